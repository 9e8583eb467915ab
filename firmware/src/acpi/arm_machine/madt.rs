//! MADT: the GICv3 [ACPI 5.2.12.14 to 5.2.12.18].

use acpi_tables::madt::{GicIts, GicVersion, Gicd, Gicr};

use super::super::header::{bytes, table};
use crate::arm::{Description, PERFORMANCE_MONITORS, PPI_BASE};

/// The revision of ACPI 6.3.
const REVISION: u8 = 5;
const ENABLED: u32 = 1;

pub(super) fn build(machine: &Description) -> Vec<u8> {
    let gic = &machine.gic;
    // No local APIC, no 8259s.
    let mut body = vec![0; 8];
    body.extend(bytes(&Gicd::new(0, gic.distributor, GicVersion::GICv3)));
    for (number, &affinity) in (0..).zip(&machine.cpus) {
        body.extend(gicc(number, affinity));
    }
    let (first, last) = (*gic.redistributors.start(), *gic.redistributors.end());
    // The description's check keeps it below 4 GiB.
    body.extend(bytes(&Gicr::new(first, (last - first + 1) as u32)));
    if let Some(its) = gic.its {
        body.extend(bytes(&GicIts::new(0, its)));
    }
    table(*b"APIC", REVISION, &body)
}

/// GIC CPU Interface structure. acpi_tables' has the two bytes more of ACPI 6.5.
///
/// CPU interface number and processor UID are the index of the CPU. Its redistributor is found by the GICR
/// structure, and there is no virtualisation or parking to tell of.
fn gicc(number: u32, affinity: u64) -> [u8; 80] {
    let mut gicc = [0; 80];
    gicc[..2].copy_from_slice(&[11, 80]);
    gicc[4..8].copy_from_slice(&number.to_le_bytes());
    gicc[8..12].copy_from_slice(&number.to_le_bytes());
    gicc[12..16].copy_from_slice(&ENABLED.to_le_bytes());
    gicc[20..24].copy_from_slice(&(PPI_BASE + PERFORMANCE_MONITORS).to_le_bytes());
    gicc[68..76].copy_from_slice(&affinity.to_le_bytes());
    gicc
}
