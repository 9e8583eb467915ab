//! FADT: no fixed hardware, and PSCI [ACPI 5.2.9].

use acpi_tables::fadt::{FADTBuilder, Flags};

use super::super::header::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, bytes};

/// ACPI 6.3, which sizes the GICC structures of the MADT.
const MINOR_VERSION: u8 = 3;
/// ARM_BOOT_ARCH: PSCI_COMPLIANT, PSCI_USE_HVC.
const BOOT_ARCH: u16 = 1 << 0 | 1 << 1;

pub(super) fn build(dsdt: u64) -> Vec<u8> {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION).dsdt_64(dsdt);
    // Neither button is fixed hardware.
    for flag in [Flags::HwReducedAcpi, Flags::PwrButton, Flags::SlpButton] {
        fadt = fadt.flag(flag);
    }
    fadt.fadt_minor_version = MINOR_VERSION;
    fadt.arm_boot_arch = BOOT_ARCH.into();
    bytes(&fadt.finalize())
}
