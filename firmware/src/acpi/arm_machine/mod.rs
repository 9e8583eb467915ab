//! The tables of an Arm machine, all but GTDT, SPCR and IORT, which have files of their own.

mod dsdt;
mod fadt;
mod madt;
mod pptt;
mod wide_range;

use std::ops::RangeInclusive;

use super::{ALIGNMENT, AcpiError, Area, Tables, gtdt, header, iort, pci, spcr};
use crate::arm::{Description, DescriptionError};

/// Platform devices that have names: three hexadecimal digits.
const DEVICES_MAX: usize = 0x1000;

pub(super) fn build(machine: &Description, area: &RangeInclusive<u64>) -> Result<Tables, AcpiError> {
    machine.check()?;
    if machine.devices.len() > DEVICES_MAX {
        let (what, count) = ("platform device", machine.devices.len());
        return Err(DescriptionError::TooMany { what, count, max: DEVICES_MAX }.into());
    }
    let (first, last) = (*area.start(), *area.end());
    if !machine.in_ram(area) || !first.is_multiple_of(ALIGNMENT as u64) {
        let remedy = "use RAM, from a multiple of 16 on";
        return Err(AcpiError::Range { what: "the area for ACPI tables", first, last, remedy });
    }
    let mut area = Area::new(area);
    let dsdt = area.place(dsdt::build(machine)?, ALIGNMENT)?;
    let tables = [
        fadt::build(dsdt),
        madt::build(machine),
        pptt::build(machine.cpus.len()),
        gtdt::build(),
        pci::mcfg(machine.pci.ecam, machine.pci.last_bus)?,
        spcr::build(machine.uart),
        iort::build(machine)?,
    ];
    let listed: Vec<_> =
        tables.into_iter().map(|table| area.place(table, ALIGNMENT)).collect::<Result<_, _>>()?;
    let xsdt = area.place(header::xsdt(&listed), ALIGNMENT)?;
    Ok(area.finish(&header::rsdp(0, xsdt)))
}

/// Name of a platform device's object.
fn device_name(index: usize) -> String {
    format!("D{index:03X}")
}

/// The object as IORT names it.
pub(super) fn device_path(index: usize) -> String {
    format!("\\_SB_.{}", device_name(index))
}
