//! What UEFI leaves behind for an operating system [UEFI 2.10 4.3, 4.6, 7.2].
//!
//! Linux for Arm looks for ACPI tables where UEFI has left them, and knows of UEFI by a device tree that its
//! own start program for UEFI writes [Linux Documentation/arch/arm/uefi.rst]. [`build`] makes what memory
//! holds when that program is done; no code of a firmware ever runs:
//!
//! | part | type in the memory map | holds |
//! |---|---|---|
//! | tree | loader data | `/chosen` only: command line, RAM disk, where the next two are |
//! | system table | reserved | the table, its list of other tables, and two of those |
//! | memory map | loader data | all RAM by its use |
//! | ACPI tables | ACPI reclaim | see [`crate::acpi`] |
//!
//! Each begins at a multiple of 64 KiB, the largest page that a kernel can have.
//!
//! What is absent: boot services, which are over; runtime services, so that nobody knows the time of day or
//! keeps variables; SMBIOS. DEVIATION: UEFI wants runtime services that answer EFI_UNSUPPORTED, and here is no
//! table of them: the EFI_RT_PROPERTIES_TABLE says that none is supported, which Linux believes from 5.7 on
//! (older kernels need `efi=noruntime`).

mod error;
mod memory_map;
mod system_table;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use crate::acpi::{self, Machine};
use crate::arm::Description;
use crate::fdt::{self, Uefi};
use memory_map::{Kind, Use};

pub use error::EfiError;

/// Alignment of the parts.
const GRANULE: u64 = 0x1_0000;
/// Bytes of the tree's part, the system table's and the memory map's each.
const PART: u64 = GRANULE;

/// What to write to memory before the operating system starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    parts: Vec<Part>,
}

/// Bytes and their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Physical address of the first byte.
    pub address: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Handover {
    /// The parts in ascending order of addresses: first the device tree, whose address the operating system is
    /// given.
    pub fn iter(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter()
    }
}

/// Builds what UEFI would leave behind on `machine` in `area`, which is RAM that nothing else uses, 64-KiB
/// aligned at its start; 2 MiB suffice for any machine of ordinary size. The operating system lies in `image`.
///
/// # Errors
/// [`EfiError`] says what in the description cannot be.
pub fn build(
    machine: &Description,
    area: &RangeInclusive<u64>,
    image: &RangeInclusive<u64>,
) -> Result<Handover, EfiError> {
    machine.check()?;
    let (first, last) = (*area.start(), *area.end());
    let tables = first.checked_add(3 * PART).filter(|tables| tables <= &last);
    let Some(tables) = tables.filter(|_| first.is_multiple_of(GRANULE) && machine.in_ram(area)) else {
        return Err(EfiError::Area { first, last });
    };
    let (system_at, map_at) = (first + PART, first + 2 * PART);
    let acpi = acpi::build(Machine::Arm { machine, area: tables..=last })?;
    let end = acpi.iter().map(|table| table.address + (table.bytes.len() as u64 - 1)).max().unwrap_or(tables);
    let uses = [
        Use { kind: Kind::LoaderData, range: first..=system_at - 1 },
        Use { kind: Kind::Reserved, range: system_at..=map_at - 1 },
        Use { kind: Kind::LoaderData, range: map_at..=tables - 1 },
        Use { kind: Kind::AcpiReclaim, range: tables..=(end | (GRANULE - 1)).min(last) },
        Use { kind: Kind::LoaderCode, range: image.clone() },
    ];
    let initrd =
        machine.chosen.initrd.iter().map(|range| Use { kind: Kind::LoaderData, range: range.clone() });
    let reserved = machine.reserved.iter().map(|reserved| reserved.range.clone());
    let reserved =
        reserved.filter(|range| machine.is_ram(range)).map(|range| Use { kind: Kind::Reserved, range });
    let uses: Vec<_> = uses.into_iter().chain(initrd).chain(reserved).collect();
    let map = fitting("memory map", memory_map::build(&machine.ram, &uses))?;
    let uefi = Uefi {
        system_table: system_at,
        map: map_at,
        // At most a part.
        map_size: map.len() as u32,
        descriptor_size: memory_map::DESCRIPTOR_SIZE as u32,
        descriptor_version: memory_map::DESCRIPTOR_VERSION,
    };
    let tree = fitting("device tree", fdt::build_for_uefi(machine, &uefi)?)?;
    let system = system_table::build(system_at, acpi.rsdp());
    let parts = [(first, tree), (system_at, system), (map_at, map)];
    let parts = parts.map(|(address, bytes)| Part { address, bytes });
    let tables = acpi.iter().map(|table| Part { address: table.address, bytes: table.bytes.clone() });
    Ok(Handover { parts: parts.into_iter().chain(tables).collect() })
}

/// `bytes` if they fit their part.
fn fitting(what: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, EfiError> {
    if bytes.len() as u64 > PART {
        return Err(EfiError::TooLarge { what, size: bytes.len() });
    }
    Ok(bytes)
}
