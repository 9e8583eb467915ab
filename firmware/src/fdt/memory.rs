//! RAM, and what of it bus masters need from the start.

use vm_fdt::FdtWriter;

use super::phandle::Phandles;
use super::{Written, cells, node, pci};
use crate::arm::{Description, Master, Reserved};

pub(super) fn write(fdt: &mut FdtWriter, machine: &Description, phandles: &Phandles) -> Written {
    for ram in &machine.ram {
        node(fdt, &format!("memory@{:x}", ram.start()), |fdt| {
            fdt.property_string("device_type", "memory")?;
            fdt.property_array_u32("reg", &cells::range(ram))
        })?;
    }
    if machine.reserved.is_empty() {
        return Ok(());
    }
    node(fdt, "reserved-memory", |fdt| {
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_null("ranges")?;
        for (index, area) in machine.reserved.iter().enumerate() {
            reserved(fdt, area, phandles.reserved(index), phandles)?;
        }
        Ok(())
    })
}

/// The same range for the CPUs and for the masters: an operating system maps it one to one.
fn reserved(fdt: &mut FdtWriter, area: &Reserved, phandle: u32, phandles: &Phandles) -> Written {
    let range = cells::range(&area.range);
    node(fdt, &format!("reserved@{:x}", area.range.start()), |fdt| {
        fdt.property_array_u32("reg", &range)?;
        let mut addresses = Vec::new();
        for &master in &area.masters {
            addresses.push(phandles.master(master));
            if let Master::Pci { .. } = master {
                // An address in a PCI function's view has a cell more.
                addresses.push(pci::space(*area.range.start()));
            }
            addresses.extend(range);
        }
        fdt.property_array_u32("iommu-addresses", &addresses)?;
        fdt.property_phandle(phandle)
    })
}

/// `memory-region` of a bus master that needs reserved memory.
pub(super) fn regions(
    fdt: &mut FdtWriter,
    machine: &Description,
    master: Master,
    phandles: &Phandles,
) -> Written {
    let areas = machine.reserved.iter().enumerate();
    let own = areas.filter(|(_, area)| area.masters.contains(&master));
    let own: Vec<_> = own.map(|(index, _)| phandles.reserved(index)).collect();
    if own.is_empty() { Ok(()) } else { fdt.property_array_u32("memory-region", &own) }
}
