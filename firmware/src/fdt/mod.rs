//! The flattened device tree of an Arm machine [DTSpec 0.4].
//!
//! [`build`] turns a [`Description`] into a blob. Nodes and properties are those of the bindings that
//! Linux documents; each file here is one group of them:
//!
//! | file | nodes |
//! |---|---|
//! | `processors` | `cpus`, `psci`, `timer`, `pmu` |
//! | `memory` | `memory`, `reserved-memory` |
//! | `interrupts` | the GICv3 and its ITS |
//! | `peripherals` | the APB clock, the PL011s with their aliases, PL031 |
//! | `pci` | the host bridge, with `iommu-map` and `msi-map`; functions that need reserved memory |
//! | `smmu` | the SMMUs |
//! | `platform` | devices that are no PCI functions |
//!
//! [`build_for_uefi`] makes another tree, for a kernel that has ACPI tables.
//!
//! What is absent: page requests and PASIDs of the PCI hierarchy, for which no binding has a word; a
//! second PCI segment; CPU topology and caches; memory reservations in
//! the blob's header (a blob does not know where it will lie).

mod cells;
mod error;
mod interrupts;
mod memory;
mod pci;
mod peripherals;
mod phandle;
mod platform;
mod processors;
mod smmu;
#[cfg(test)]
mod tests;
mod uefi;

use vm_fdt::FdtWriter;

use crate::arm::Description;
use phandle::Phandles;

pub use error::FdtError;
pub use uefi::Uefi;

/// The largest blob that Linux takes.
const SIZE_MAX: usize = 2 << 20;

/// Result of writing a node.
type Written = Result<(), vm_fdt::Error>;

/// Builds the blob of a machine.
///
/// # Errors
/// [`FdtError`] says what in the description cannot be.
pub fn build(machine: &Description) -> Result<Vec<u8>, FdtError> {
    machine.check()?;
    bounded(tree(machine)?)
}

/// Builds the blob for a kernel that finds the machine in ACPI tables, and those by `uefi`.
///
/// # Errors
/// [`FdtError`] says what in the description cannot be.
pub fn build_for_uefi(machine: &Description, uefi: &Uefi) -> Result<Vec<u8>, FdtError> {
    machine.check()?;
    let mut fdt = FdtWriter::new()?;
    uefi::write(&mut fdt, machine, uefi)?;
    bounded(fdt.finish()?)
}

fn bounded(blob: Vec<u8>) -> Result<Vec<u8>, FdtError> {
    if blob.len() > SIZE_MAX {
        return Err(FdtError::TooLarge { size: blob.len(), max: SIZE_MAX });
    }
    Ok(blob)
}

fn tree(machine: &Description) -> Result<Vec<u8>, vm_fdt::Error> {
    let phandles = Phandles::new(machine);
    let mut fdt = FdtWriter::new()?;
    node(&mut fdt, "", |fdt| {
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_string("compatible", "linux,dummy-virt")?;
        fdt.property_string("model", "iommulator,virt")?;
        fdt.property_u32("interrupt-parent", phandles.gic())?;
        chosen(fdt, machine)?;
        peripherals::aliases(fdt, machine)?;
        memory::write(fdt, machine, &phandles)?;
        processors::write(fdt, machine)?;
        interrupts::write(fdt, machine, &phandles)?;
        peripherals::write(fdt, machine, &phandles)?;
        for (index, smmu) in machine.smmus.iter().enumerate() {
            smmu::write(fdt, smmu, phandles.smmu(index), &phandles)?;
        }
        pci::write(fdt, machine, &phandles)?;
        for (index, device) in machine.devices.iter().enumerate() {
            platform::write(fdt, machine, index, device, &phandles)?;
        }
        Ok(())
    })?;
    fdt.finish()
}

fn chosen(fdt: &mut FdtWriter, machine: &Description) -> Written {
    node(fdt, "chosen", |fdt| {
        fdt.property_string("stdout-path", &format!("/{}", peripherals::uart_name(machine.uart)))?;
        boot_arguments(fdt, machine)
    })
}

/// The command line, where the initial RAM disk lies, and what is random.
fn boot_arguments(fdt: &mut FdtWriter, machine: &Description) -> Written {
    if !machine.chosen.command_line.is_empty() {
        fdt.property_string("bootargs", &machine.chosen.command_line)?;
    }
    if let Some(initrd) = &machine.chosen.initrd {
        fdt.property_u64("linux,initrd-start", *initrd.start())?;
        // One past the last byte: 0 where that is the last of the address space.
        fdt.property_u64("linux,initrd-end", initrd.end().wrapping_add(1))?;
    }
    if let Some(seed) = &machine.chosen.seed {
        fdt.property("rng-seed", seed)?;
    }
    Ok(())
}

/// Writes the node `name`; `content` writes its properties, then its children.
fn node(fdt: &mut FdtWriter, name: &str, content: impl FnOnce(&mut FdtWriter) -> Written) -> Written {
    let open = fdt.begin_node(name)?;
    content(fdt)?;
    fdt.end_node(open)
}

/// A property of several strings.
fn strings<'a>(fdt: &mut FdtWriter, name: &str, values: impl IntoIterator<Item = &'a str>) -> Written {
    fdt.property_string_list(name, values.into_iter().map(String::from).collect())
}
