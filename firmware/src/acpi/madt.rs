//! MADT: the interrupt controllers [ACPI 5.2.12].
//!
//! acpi_tables' own MADT knows neither the flag for 8259s nor interrupt source overrides.

use std::collections::BTreeSet;

use acpi_tables::madt;

use super::header::{bytes, table};
use super::{AcpiError, IoApic, MachineDescription};

/// The revision of ACPI 6.3.
const REVISION: u8 = 5;
const LOCAL_APIC: u32 = 0xfee0_0000;
/// Flags bit 0: 8259s are there and must be masked.
const PCAT_COMPAT: u32 = 1;
/// The first APIC id that a Processor Local APIC structure cannot say: 255 addresses all.
const X2APIC_FIRST: u32 = 255;
const ENABLED: u32 = 1;
/// INTI flags: bits 1:0 polarity as the bus has it, 3:2 trigger mode as the bus has it.
const BUS_DEFAULT: u16 = 0;
/// INTI flags: active high, level-triggered.
const HIGH_LEVEL: u16 = 0xd;

pub(super) fn build(machine: &MachineDescription) -> Result<Vec<u8>, AcpiError> {
    check(machine)?;
    let mut body = Vec::new();
    body.extend(LOCAL_APIC.to_le_bytes());
    body.extend((if machine.pic { PCAT_COMPAT } else { 0 }).to_le_bytes());
    for (uid, &id) in (0_u32..).zip(&machine.cpus) {
        body.extend(processor(uid, id));
    }
    for &IoApic { id, address, gsi_base } in &machine.io_apics {
        body.extend(bytes(&madt::IoApic::new(id, address, gsi_base)));
    }
    body.extend(source_override(0, 2, BUS_DEFAULT));
    // The SCI may share a line with PCI, and then has no override of its own.
    let lines = machine.pci.isa_lines.iter().copied().chain(machine.power.map(|power| power.sci));
    for line in lines.collect::<BTreeSet<_>>() {
        body.extend(source_override(line, line.into(), HIGH_LEVEL));
    }
    Ok(table(*b"APIC", REVISION, &body))
}

fn check(machine: &MachineDescription) -> Result<(), AcpiError> {
    let io_apics = || machine.io_apics.iter().map(|io_apic| u32::from(io_apic.id));
    distinct("processor", machine.cpus.iter().copied())?;
    distinct("I/O APIC", io_apics())?;
    if let Some(&id) = machine.cpus.iter().find(|&&id| id == u32::MAX) {
        let remedy = "that addresses all processors: give it another";
        return Err(AcpiError::Value { what: "an APIC id", value: id.into(), remedy });
    }
    if let Some(power) = machine.power.filter(|power| !(1..=15).contains(&power.sci)) {
        let remedy = "it is an ISA line other than the timer's: use 1 to 15";
        return Err(AcpiError::Value { what: "the SCI", value: power.sci.into(), remedy });
    }
    // Line 0's override has taken global interrupt 2.
    if let Some(&line) = machine.pci.isa_lines.iter().find(|line| !matches!(line, 1 | 3..=15)) {
        let remedy = "the timer has 0 and 2: use 1 or 3 to 15";
        return Err(AcpiError::Value { what: "an ISA line of PCI", value: line.into(), remedy });
    }
    Ok(())
}

fn distinct(what: &'static str, ids: impl Iterator<Item = u32>) -> Result<(), AcpiError> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(AcpiError::Duplicate { what, id });
        }
    }
    if seen.is_empty() { Err(AcpiError::None(what)) } else { Ok(()) }
}

/// Processor Local APIC, or Local x2APIC where its numbers do not fit [ACPI 5.2.12.2, 5.2.12.12].
fn processor(uid: u32, id: u32) -> Vec<u8> {
    match (u8::try_from(uid), u8::try_from(id)) {
        (Ok(uid), Ok(apic_id)) if id < X2APIC_FIRST => {
            bytes(&madt::ProcessorLocalApic::new(uid, apic_id, madt::EnabledStatus::Enabled))
        }
        _ => {
            let mut x2apic = vec![9, 16, 0, 0];
            x2apic.extend([id, ENABLED, uid].into_iter().flat_map(u32::to_le_bytes));
            x2apic
        }
    }
}

/// Interrupt Source Override: ISA line `source` is global interrupt `gsi` [ACPI 5.2.12.5].
fn source_override(source: u8, gsi: u32, flags: u16) -> Vec<u8> {
    let mut bytes = vec![2, 10, 0, source];
    bytes.extend(gsi.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes
}
