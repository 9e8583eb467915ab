//! The address map of the board q35.

use devices::addr::Pa;

use crate::legacy::{DebugExit, FwCfg};

/// First address of the PCI Express configuration space [PCIe 7.2.2].
pub const ECAM_BASE: u64 = 0xb000_0000;
/// Its size: 256 buses of 1 MiB.
pub const ECAM_SIZE: u64 = 256 << 20;
/// First address for the memory BARs of PCI functions.
pub const PCI_HOLE_FIRST: u64 = 0xc000_0000;
/// Last address for the memory BARs of PCI functions.
pub const PCI_HOLE_LAST: u64 = 0xfebf_ffff;
/// First register of the first VT-d remapping unit; unless told otherwise, the others follow.
pub const VTD_BASE: u64 = 0xfed9_0000;
/// First address that a unit's registers may have, and that of the last page: what lies between is
/// no other device's.
pub const VTD_BASES: std::ops::RangeInclusive<u64> = 0xfed8_0000..=0xfedf_f000;
/// First register of the I/O APIC.
pub const IOAPIC_BASE: u64 = 0xfec0_0000;
/// First of the eight ports of the serial port COM1.
pub const SERIAL_PORT: u16 = 0x3f8;
/// Its interrupt line.
pub const SERIAL_LINE: u32 = 4;
/// Index port of the real-time clock and CMOS memory; the data port follows.
pub const RTC_PORT: u16 = 0x70;
/// Selector port of the firmware configuration; the data port follows.
pub const FW_CFG_PORT: u16 = FwCfg::PORT;
/// First of the four ports that end the run with the value written.
pub const EXIT_PORT: u16 = DebugExit::PORT;

const HIGH_RAM: u64 = 1 << 32;
const LOW_RAM_SPLIT: u64 = 0x8000_0000;

/// The ranges of `bytes` of RAM as (start, length): what does not fit below the configuration space
/// continues at 4 GiB. Memory that would reach it is cut at 2 GiB already, so that both parts stay
/// aligned to large pages.
pub fn ram(bytes: u64) -> Vec<(Pa, u64)> {
    if bytes < ECAM_BASE {
        return vec![(Pa(0), bytes)];
    }
    vec![(Pa(0), LOW_RAM_SPLIT), (Pa(HIGH_RAM), bytes - LOW_RAM_SPLIT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_leaves_the_hole_below_4_gib_free() {
        for (bytes, ranges) in [
            (0x2000_0000, vec![(Pa(0), 0x2000_0000)]),
            (0xafff_f000, vec![(Pa(0), 0xafff_f000)]),
            (0xb000_0000, vec![(Pa(0), 0x8000_0000), (Pa(0x1_0000_0000), 0x3000_0000)]),
            (0x2_0000_0000, vec![(Pa(0), 0x8000_0000), (Pa(0x1_0000_0000), 0x1_8000_0000)]),
        ] {
            assert_eq!(ram(bytes), ranges, "{bytes:#x}");
        }
    }
}
