//! FADT and FACS: the fixed hardware [ACPI 5.2.9, 5.2.10].

use acpi_tables::facs::FACS;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

use super::header::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, bytes};
use super::{AcpiError, MachineDescription, PowerManagement};

/// IAPC_BOOT_ARCH: there are devices on an ISA bus (the serial port), but no VGA.
const BOOT_ARCH: u16 = 1 << 0 | 1 << 2;
/// IAPC_BOOT_ARCH: there is an 8042.
const BOOT_ARCH_8042: u16 = 1 << 1;
/// Worst-case latencies in microseconds that say "no C2" and "no C3".
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;
/// CMOS address of the century, as every PC has it.
const CENTURY: u8 = 0x32;
/// Ports of the fixed hardware from its base.
const POWER_PORTS: u16 = 12;

/// The FACS; hardware-reduced machines have none.
pub(super) fn facs() -> Vec<u8> {
    bytes(&FACS::new())
}

pub(super) fn build(
    machine: &MachineDescription,
    dsdt: u32,
    facs: Option<u32>,
) -> Result<Vec<u8>, AcpiError> {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    // Both forms of the pointer: readers of the first FADT know only the narrow one.
    fadt.dsdt = dsdt.into();
    fadt.x_dsdt = u64::from(dsdt).into();
    fadt.iapc_boot_arch = (BOOT_ARCH | if machine.keyboard_controller { BOOT_ARCH_8042 } else { 0 }).into();
    // WBINVD works; neither buttons nor RTC wake-up are fixed hardware.
    for flag in [Flags::Wbinvd, Flags::ProcC1, Flags::PwrButton, Flags::SlpButton, Flags::FixRtc] {
        fadt = fadt.flag(flag);
    }
    fadt.p_lvl2_lat = NO_C2.into();
    fadt.p_lvl3_lat = NO_C3.into();
    fadt.century = CENTURY;
    let Some(PowerManagement { base, sci }) = machine.power else {
        return Ok(bytes(&fadt.flag(Flags::HwReducedAcpi).finalize()));
    };
    if base == 0 || base.checked_add(POWER_PORTS - 1).is_none() {
        let remedy = "12 ports from there must exist, and 0 means none: use another base";
        return Err(AcpiError::Value { what: "the power-management base port", value: base.into(), remedy });
    }
    fadt.firmware_ctrl = facs.unwrap_or(0).into();
    fadt.sci_int = u16::from(sci).into();
    let block = |offset: u16, bytes: u8| {
        let port = base + offset;
        (
            u32::from(port),
            bytes,
            GAS::new(AddressSpace::SystemIo, 8 * bytes, 0, AccessSize::Undefined, port.into()),
        )
    };
    let (port, len, gas) = block(0, 4);
    (fadt.pm1a_evt_blk, fadt.pm1_evt_len, fadt.x_pm1a_evt_blk) = (port.into(), len, gas);
    let (port, len, gas) = block(4, 2);
    (fadt.pm1a_cnt_blk, fadt.pm1_cnt_len, fadt.x_pm1a_cnt_blk) = (port.into(), len, gas);
    let (port, len, gas) = block(8, 4);
    (fadt.pm_tmr_blk, fadt.pm_tmr_len, fadt.x_pm_tmr_blk) = (port.into(), len, gas);
    Ok(bytes(&fadt.finalize()))
}
