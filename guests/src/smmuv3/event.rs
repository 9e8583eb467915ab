//! Event records, and the queue that holds them [SMMUv3 7.2, 7.3].

use core::fmt;

use super::regs::{self, EVENTQ_CONS, EVENTQ_PROD, OVERFLOW};
use super::unit::Unit;
use crate::arena::Arena;
use crate::error::Error;
use crate::hw::Hw;

/// Bytes of a record.
const RECORD: u64 = 32;
/// Records that fit into a page, log2.
pub const LOG2: u32 = 7;

/// A 256-bit record, low word first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record(pub [u64; 4]);

impl Record {
    /// Its type, bits 7:0.
    pub const fn kind(self) -> u8 {
        self.0[0] as u8
    }

    /// StreamID, bits 63:32.
    pub const fn stream(self) -> u32 {
        (self.0[0] >> 32) as u32
    }

    /// STAG, bits 79:64.
    pub const fn stag(self) -> u16 {
        self.0[1] as u16
    }

    /// Stall, bit 95.
    pub const fn is_stall(self) -> bool {
        self.0[1] >> 31 & 1 == 1
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As the specification prints it: the high word first.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([a, b, c, d]) = self;
        write!(f, "{d:016x}_{c:016x}_{b:016x}_{a:016x}")
    }
}

/// The event queue, in a page.
#[derive(Clone, Copy, Debug)]
pub struct EventQueue {
    base: u64,
    log2: u32,
    /// Index with the wrap bit, and OVACKFLG.
    cons: u32,
}

impl EventQueue {
    /// A queue in memory, which the unit does not know yet.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new<H: Hw>(hw: &mut H, arena: &mut Arena) -> Result<Self, Error> {
        Ok(Self { base: arena.page(hw)?, log2: LOG2, cons: 0 })
    }

    /// Gives it to the unit with 2^`log2` records, at most [`LOG2`], empty, while CR0.EVENTQEN is
    /// clear.
    pub fn install<H: Hw>(&mut self, hw: &mut H, unit: &Unit, log2: u32) {
        self.log2 = log2.min(LOG2);
        self.cons = 0;
        unit.write64(hw, regs::EVENTQ_BASE, regs::ALLOCATE | self.base | u64::from(self.log2));
        unit.write32(hw, EVENTQ_PROD, 0);
        unit.write32(hw, EVENTQ_CONS, 0);
    }

    /// Takes the oldest record, if there is one.
    pub fn take<H: Hw>(&mut self, hw: &mut H, unit: &Unit) -> Option<Record> {
        let prod = unit.read32(hw, EVENTQ_PROD);
        if (prod ^ self.cons) & self.mask() == 0 {
            return None;
        }
        let index = u64::from(self.cons & ((1 << self.log2) - 1));
        let record = self.record(hw, index);
        let next = (self.cons + 1) & self.mask();
        self.cons = self.cons & OVERFLOW | next;
        unit.write32(hw, EVENTQ_CONS, self.cons);
        Some(record)
    }

    /// The record at an index without the wrap bit, whether it is new or not.
    pub fn record<H: Hw>(&self, hw: &mut H, index: u64) -> Record {
        Record([0, 8, 16, 24].map(|word| hw.mem_read64(self.base + index * RECORD + word)))
    }

    /// Records that were not taken yet.
    pub fn waiting<H: Hw>(&self, hw: &mut H, unit: &Unit) -> u32 {
        unit.read32(hw, EVENTQ_PROD).wrapping_sub(self.cons) & self.mask()
    }

    /// Whether records were lost since the last [`Self::acknowledge_overflow`].
    pub fn overflowed<H: Hw>(&self, hw: &mut H, unit: &Unit) -> bool {
        (unit.read32(hw, EVENTQ_PROD) ^ self.cons) & OVERFLOW != 0
    }

    /// Copies OVFLG to OVACKFLG.
    pub fn acknowledge_overflow<H: Hw>(&mut self, hw: &mut H, unit: &Unit) {
        let flag = unit.read32(hw, EVENTQ_PROD) & OVERFLOW;
        self.cons = self.cons & !OVERFLOW | flag;
        unit.write32(hw, EVENTQ_CONS, self.cons);
    }

    /// Index and wrap bit.
    const fn mask(&self) -> u32 {
        (2 << self.log2) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn records_are_taken_in_order_over_the_wrap_with_the_overflow_flag_kept() {
        let hw = &mut Fake::new();
        let unit = Unit::at(0x0905_0000);
        let mut queue = EventQueue { base: 0x4000, log2: 2, cons: 3 };
        hw.mem_write64(0x4060, 0x0001_0008_abcd_e810);
        hw.mem_write64(0x4068, 0x0000_0208_8000_beef);
        hw.mem_write64(0x4000, 0x9_0000_0004);
        // Two records, the second past the wrap, and an overflow.
        hw.registers.insert(0x0906_00a8, 1 << 31 | 5);
        assert_eq!(queue.waiting(hw, &unit), 2);
        assert!(queue.overflowed(hw, &unit));
        queue.acknowledge_overflow(hw, &unit);
        assert!(!queue.overflowed(hw, &unit));
        let record = queue.take(hw, &unit).unwrap();
        let seen = (record.kind(), record.stream(), record.stag(), record.is_stall());
        assert_eq!(seen, (0x10, 0x1_0008, 0xbeef, true));
        assert_eq!(queue.take(hw, &unit).unwrap().stream(), 9);
        assert_eq!(queue.take(hw, &unit), None);
        let expected = [(0x0906_00ac, 1 << 31 | 3), (0x0906_00ac, 1 << 31 | 4), (0x0906_00ac, 1 << 31 | 5)];
        assert_eq!(hw.writes, expected);
    }
}
