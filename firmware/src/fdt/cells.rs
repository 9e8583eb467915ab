//! Numbers as cells of 32 bits.

use std::ops::RangeInclusive;

use vm_fdt::FdtWriter;

use super::Written;
use crate::arm::{Spi, Trigger};

/// Interrupt types of the GIC's binding.
const SPI: u32 = 0;
const PPI: u32 = 1;
/// Trigger types, as IRQ bindings number them.
const RISING: u32 = 1;
const HIGH: u32 = 4;

/// Two cells.
pub(super) fn wide(value: u64) -> [u32; 2] {
    // Both halves fit by construction.
    [(value >> 32) as u32, value as u32]
}

/// A range of addresses: two cells of address, two of size.
pub(super) fn range(range: &RangeInclusive<u64>) -> [u32; 4] {
    let [address_high, address_low] = wide(*range.start());
    let [size_high, size_low] = wide(size(range));
    [address_high, address_low, size_high, size_low]
}

/// Bytes of a range: no sound description has one of the whole 64-bit space.
pub(super) fn size(range: &RangeInclusive<u64>) -> u64 {
    (range.end() - range.start()).saturating_add(1)
}

/// `reg` of one block of registers.
pub(super) fn registers(fdt: &mut FdtWriter, base: u64, size: u64) -> Written {
    fdt.property_array_u64("reg", &[base, size])
}

/// An SPI as the GIC's children name it.
pub(super) fn spi(line: Spi) -> [u32; 3] {
    let trigger = match line.trigger {
        Trigger::Edge => RISING,
        Trigger::Level => HIGH,
    };
    [SPI, line.number, trigger]
}

/// A level-triggered SPI.
pub(super) fn level(number: u32) -> [u32; 3] {
    spi(Spi { number, trigger: Trigger::Level })
}

/// A level-triggered PPI.
pub(super) fn ppi(number: u32) -> [u32; 3] {
    [PPI, number, HIGH]
}
