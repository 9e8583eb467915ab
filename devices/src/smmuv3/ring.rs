//! Circular queues in memory [SMMUv3 3.5.1].
//!
//! An index has as many bits as the queue's size needs, and one more above them that flips at each wrap.
//! So equal indexes are an empty queue, and indexes that differ in nothing but that bit a full one. Bits
//! above it are not looked at.

use super::regs::QueueBase;
use crate::addr::Pa;

/// log2 of the entries of the largest queue that the indexes can count.
const LOG2SIZE_MAX: u8 = 19;

/// One queue as its base register describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    base: u64,
    log2size: u8,
    entry: u64,
}

impl Ring {
    /// A queue of entries of `entry` bytes, a power of two. `limit` is the largest size that an ID register
    /// reports, as log2; a larger one counts as this. Address bits outside `output`, and those inside the
    /// queue, count as zero [SMMUv3 6.3.26].
    pub fn new(base: QueueBase, limit: u8, entry: u64, output: u64) -> Self {
        let log2size = base.log2size().min(limit).min(LOG2SIZE_MAX);
        let size = (entry << log2size).max(32);
        Self { base: (base.addr() << 5) & output & !(size - 1), log2size, entry }
    }

    /// How many entries there are room for.
    pub const fn entries(self) -> u32 {
        1 << self.log2size
    }

    /// How many entries there are; `None` where the indexes cannot be those of one queue.
    pub const fn filled(self, producer: u32, consumer: u32) -> Option<u32> {
        let filled = producer.wrapping_sub(consumer) & self.mask();
        if filled <= self.entries() { Some(filled) } else { None }
    }

    /// The index after `index`.
    pub const fn next(self, index: u32) -> u32 {
        index.wrapping_add(1) & self.mask()
    }

    /// The index before `index`.
    pub const fn previous(self, index: u32) -> u32 {
        index.wrapping_sub(1) & self.mask()
    }

    /// Which entry an index means.
    pub const fn slot(self, index: u32) -> u32 {
        index & (self.entries() - 1)
    }

    /// Where that entry lies.
    pub const fn address(self, index: u32) -> Pa {
        // The base has at most 56 bits and is aligned to the size, so nothing overflows.
        Pa(self.base + self.slot(index) as u64 * self.entry)
    }

    /// The bits of an index, the wrap bit included.
    const fn mask(self) -> u32 {
        2 * self.entries() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(base: u64, limit: u8) -> Ring {
        Ring::new(QueueBase::from_raw(base), limit, 16, (1 << 44) - 1)
    }

    #[test]
    fn sizes_are_capped_and_bases_aligned_to_them() {
        // (register, limit, entries, address of entry 0)
        for (base, limit, entries, first) in [
            (0x1234_5678_9ae0u64 & !0x1f, 19, 1, 0x234_5678_9ae0u64),
            (0x4000_1fe3, 19, 8, 0x4000_1f80),
            (0x4000_1fe1, 19, 2, 0x4000_1fe0),
            (0x4000_1ffe, 4, 16, 0x4000_1f00),
            (0x4fff_fffe | 0x1f, 19, 1 << 19, 0x4f80_0000),
            (0x4fff_fffe | 0x1f, 31, 1 << 19, 0x4f80_0000),
            (0x4000_0000_0000_0020, 19, 1, 0x20),
        ] {
            let ring = ring(base, limit);
            assert_eq!((ring.entries(), ring.address(0).0), (entries, first), "{base:#x}");
        }
    }

    #[test]
    fn the_wrap_bit_tells_full_from_empty() {
        // Eight entries: index bits 2:0, wrap bit 3.
        let eight = ring(0x1003, 19);
        for (producer, consumer, filled) in [
            (0, 0, Some(0)),
            (3, 0, Some(3)),
            (8, 0, Some(8)),
            (0, 8, Some(8)),
            (0, 0xf, Some(1)),
            (2, 0xd, Some(5)),
            (9, 0, None),
            (0, 1, None),
            (5, 7, None),
            (0xfff0, 0, Some(0)),
            (0xffff_fff8, 0, Some(8)),
        ] {
            assert_eq!(eight.filled(producer, consumer), filled, "{producer:#x} {consumer:#x}");
        }
        assert_eq!([0, 7, 8, 0xf, 0xff].map(|index| eight.next(index)), [1, 8, 9, 0, 0]);
        assert_eq!([1, 8, 9, 0, 0x10].map(|index| eight.previous(index)), [0, 7, 8, 0xf, 0xf]);
        assert_eq!([0, 7, 8, 0xf].map(|index| eight.address(index).0), [0x1000, 0x1070, 0x1000, 0x1070]);
        let one = ring(0x1000, 19);
        assert_eq!((one.filled(1, 0), one.filled(0, 0), one.next(0), one.next(1)), (Some(1), Some(0), 1, 0));
    }
}
