//! The address map of the board virt. An interrupt line's number is that of the shared peripheral
//! interrupt: the INTID is 32 more.

use std::ops::RangeInclusive;

use devices::addr::Pa;
use devices::fabric::Doorbell;
use devices::platform;
use devices::smmuv3::{self, capability::Wires};

/// First register of the distributor.
pub const GICD_BASE: u64 = 0x0800_0000;
/// First register of the interrupt translation service; its translation frame is the second half.
pub const ITS_BASE: u64 = 0x0808_0000;
/// Where message interrupts are written: GITS_TRANSLATER.
pub const ITS_DOORBELL: Doorbell = Doorbell { first: Pa(ITS_BASE + 0x1_0040), last: Pa(ITS_BASE + 0x1_0043) };
/// Width of the ITS's DeviceIDs: those of PCI functions are their requester ids, those of platform
/// devices their StreamIDs.
pub const DEVICE_ID_BITS: u8 = 20;
/// DeviceID of the first remapping unit's own message interrupts; the others follow.
pub const UNITS_DEVICE_ID: u32 = 0xf_0000;
/// First register of the first redistributor; the others follow.
pub const GICR_BASE: u64 = 0x080a_0000;
/// Their size.
pub const GICR_SIZE: u64 = 0xf6_0000;
/// Shared peripheral interrupts.
pub const SPIS: u16 = 256;
/// First register of the UART that is the console, a PL011.
pub const UART_BASE: u64 = 0x0900_0000;
/// Its interrupt line.
pub const UART_LINE: u32 = 1;
/// First register of the auxiliary UART, a PL011.
pub const AUXILIARY_UART_BASE: u64 = 0x0904_0000;
/// Its interrupt line.
pub const AUXILIARY_UART_LINE: u32 = 8;
/// First register of the real-time clock, a PL031.
pub const RTC_BASE: u64 = 0x0901_0000;
/// Its interrupt line.
pub const RTC_LINE: u32 = 2;
/// The interrupt lines of PCI's pins are the four from this one on.
pub const PCI_FIRST_LINE: u32 = 3;
/// First address of the PCI Express configuration space [PCIe 7.2.2].
pub const ECAM_BASE: u64 = 0x40_1000_0000;
/// Its size: 256 buses of 1 MiB.
pub const ECAM_SIZE: u64 = 256 << 20;
/// Addresses below 4 GiB for the memory BARs of PCI functions.
pub const PCI_WINDOW: RangeInclusive<u64> = 0x1000_0000..=0x3efe_ffff;
/// Addresses for memory BARs of 64 bits.
pub const PCI_HIGH_WINDOW: RangeInclusive<u64> = 0x80_0000_0000..=0xff_ffff_ffff;
/// First register of the first SMMU.
const SMMU_BASE: u64 = 0x0905_0000;
/// Its interrupt lines are the four from this one on.
const SMMU_FIRST_LINE: u32 = 74;
/// First address of the platform bus. On it are the remapping units after the first, then the platform
/// devices.
pub const PLATFORM_BASE: u64 = 0x0c00_0000;
/// The first interrupt line of the platform bus.
pub const PLATFORM_FIRST_LINE: u32 = 112;
/// First address for platform devices, 64 KiB for each.
pub const PLATFORM_DEVICES_BASE: u64 = PLATFORM_BASE + 0x80_0000;
/// The interrupt line of the first platform device; one for each.
pub const PLATFORM_DEVICES_FIRST_LINE: u32 = PLATFORM_FIRST_LINE + 32;
/// Platform devices that there can be.
pub const PLATFORM_DEVICES: usize = 32;
/// First register of the platform device with this index.
pub const fn platform_device_base(index: usize) -> u64 {
    PLATFORM_DEVICES_BASE + index as u64 * platform::REGISTERS_SIZE
}

/// Its interrupt line, level triggered. There are at most 32.
pub const fn platform_device_line(index: usize) -> u32 {
    PLATFORM_DEVICES_FIRST_LINE + index as u32
}

/// First byte of RAM.
pub const RAM_BASE: u64 = 0x4000_0000;
/// Bytes of RAM that the board can have: beyond them the high regions would have to move.
pub const RAM_MAX: u64 = 255 << 30;

/// First register of the SMMU with this index.
pub const fn smmu_base(index: u64) -> u64 {
    match index.checked_sub(1) {
        None => SMMU_BASE,
        Some(other) => PLATFORM_BASE + other * smmuv3::REGISTERS_SIZE,
    }
}

/// Interrupt lines of the SMMU with this index; all are edges.
pub const fn smmu_lines(index: u32) -> Wires {
    let eventq = match index.checked_sub(1) {
        None => SMMU_FIRST_LINE,
        Some(other) => PLATFORM_FIRST_LINE + 4 * other,
    };
    Wires { eventq, priq: eventq + 1, cmd_sync: eventq + 2, gerror: eventq + 3 }
}

/// The ranges of `bytes` of RAM as (start, length).
pub fn ram(bytes: u64) -> Vec<(Pa, u64)> {
    vec![(Pa(RAM_BASE), bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smmus_follow_each_other_on_the_platform_bus() {
        for (index, base, eventq) in
            [(0, 0x0905_0000, 74), (1, 0x0c00_0000, 112), (2, 0x0c02_0000, 116), (7, 0x0c0c_0000, 136)]
        {
            let wires = Wires { eventq, priq: eventq + 1, cmd_sync: eventq + 2, gerror: eventq + 3 };
            assert_eq!((smmu_base(index.into()), smmu_lines(index)), (base, wires), "{index}");
        }
        // They end before the platform devices, and all lines exist.
        assert_eq!((PLATFORM_DEVICES_BASE, PLATFORM_DEVICES_FIRST_LINE), (0x0c80_0000, 144));
        assert!(PLATFORM_DEVICES_FIRST_LINE as usize + PLATFORM_DEVICES <= usize::from(SPIS));
    }
}
