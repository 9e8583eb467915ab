//! VMSAv8-64 translation tables of both stages [Arm ARM D8.2, D8.3].

use crate::arena::Arena;
use crate::error::Error;
use crate::hw::Hw;

/// A descriptor that means something.
const VALID: u64 = 1 << 0;
/// A table, or a page at the last level.
const TABLE: u64 = 1 << 1;
/// Address bits of a table descriptor; the granule's own bits are zero.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
/// The last level.
pub const LAST: u32 = 3;

/// Access flag, either stage.
pub const AF: u64 = 1 << 10;
/// Inner Shareable, either stage.
const INNER: u64 = 0b11 << 8;

/// Stage 1: not global.
pub const NG: u64 = 1 << 11;
/// Stage 1: read-only, AP\[2\].
pub const READ_ONLY: u64 = 1 << 7;
/// Stage 1: unprivileged accesses too, AP\[1\].
pub const UNPRIVILEGED: u64 = 1 << 6;
/// Stage 1: privileged execution never.
pub const PXN: u64 = 1 << 53;
/// Stage 1: unprivileged execution never.
pub const UXN: u64 = 1 << 54;
/// Stage 1: everybody reads and writes one address space's normal memory (MAIR attribute 0).
pub const STAGE1: u64 = AF | INNER | NG | UNPRIVILEGED;

/// Stage 2: reads, S2AP\[0\].
pub const S2_READ: u64 = 1 << 6;
/// Stage 2: writes, S2AP\[1\].
pub const S2_WRITE: u64 = 1 << 7;
/// Stage 2: normal write-back memory, without rights.
pub const S2_NORMAL: u64 = AF | INNER | 0b1111 << 2;
/// Stage 2: Device-nGnRnE memory, without rights.
pub const S2_DEVICE: u64 = AF | INNER;
/// Stage 2: everybody reads and writes normal memory.
pub const STAGE2: u64 = S2_NORMAL | S2_READ | S2_WRITE;

/// A granule: the size of pages and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granule {
    /// 4 KiB.
    K4,
    /// 16 KiB.
    K16,
    /// 64 KiB.
    K64,
}

impl Granule {
    /// Address bits inside a page.
    pub const fn bits(self) -> u32 {
        match self {
            Self::K4 => 12,
            Self::K16 => 14,
            Self::K64 => 16,
        }
    }

    /// Bytes of a page.
    pub const fn bytes(self) -> u64 {
        1 << self.bits()
    }

    /// CD.TG0 and STE.S2TG.
    pub const fn tg0(self) -> u64 {
        match self {
            Self::K4 => 0,
            Self::K64 => 1,
            Self::K16 => 2,
        }
    }

    /// TG of a range invalidation.
    pub const fn tg(self) -> u64 {
        match self {
            Self::K4 => 1,
            Self::K16 => 2,
            Self::K64 => 3,
        }
    }

    /// Address bits that a level's index takes.
    const fn index_bits(self) -> u32 {
        self.bits() - 3
    }

    /// The lowest address bit of a level's index, and the log2 of what its leaves map.
    pub const fn shift(self, level: u32) -> u32 {
        self.bits() + self.index_bits() * (LAST - level)
    }

    /// Levels that may have leaves whatever the address size, the finest first.
    pub const fn leaf_levels(self) -> &'static [u32] {
        match self {
            Self::K4 => &[3, 2, 1],
            Self::K16 | Self::K64 => &[3, 2],
        }
    }
}

/// Translation tables of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Physical address of the first level.
    pub root: u64,
    /// Granule.
    pub granule: Granule,
    /// Level of the first level, 0 to 3.
    pub start: u32,
    /// Bits of an input address.
    pub bits: u32,
    /// What is to be added to the physical address of a table for the address that walks know it by:
    /// 0, unless the walks themselves are translated.
    pub link: u64,
}

impl Tables {
    /// Empty stage-1 tables for addresses of `bits`, 16 to 48.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn stage1<H: Hw>(
        hw: &mut H,
        arena: &mut Arena,
        granule: Granule,
        bits: u32,
        link: u64,
    ) -> Result<Self, Error> {
        let levels = (bits - granule.bits()).div_ceil(granule.index_bits());
        Self::new(hw, arena, Self { root: 0, granule, start: LAST + 1 - levels, bits, link })
    }

    /// Empty stage-2 tables for addresses of `bits`, with up to 16 tables side by side at the first
    /// level.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn stage2<H: Hw>(hw: &mut H, arena: &mut Arena, granule: Granule, bits: u32) -> Result<Self, Error> {
        let spare = bits - granule.bits() - granule.index_bits().min(bits - granule.bits());
        let levels = spare.saturating_sub(4).div_ceil(granule.index_bits()) + 1;
        Self::new(hw, arena, Self { root: 0, granule, start: LAST + 1 - levels, bits, link: 0 })
    }

    fn new<H: Hw>(hw: &mut H, arena: &mut Arena, shape: Self) -> Result<Self, Error> {
        let entries = 1u64 << (shape.bits - shape.granule.shift(shape.start));
        // A table that is smaller than a page still begins one.
        let root = arena.aligned(hw, (entries * 8).next_multiple_of(4096))?;
        Ok(Self { root, ..shape })
    }

    /// The first level as walks know it: CD.TTB0 or STE.S2TTB.
    pub const fn base(&self) -> u64 {
        self.root + self.link
    }

    /// CD.T0SZ or STE.S2T0SZ.
    pub const fn t0sz(&self) -> u64 {
        64 - self.bits as u64
    }

    /// STE.S2SL0.
    pub const fn sl0(&self) -> u64 {
        let first = match self.granule {
            Granule::K4 => 2,
            Granule::K16 | Granule::K64 => 3,
        };
        // Level 3 of the 4-KiB granule, which would be coded differently, does not occur.
        (first as u64).saturating_sub(self.start as u64)
    }

    /// Maps what a leaf of `level` covers, so that `from` leads to `to`; overwrites what was there. The
    /// caller invalidates what the unit may hold of it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or [`Error::NotATable`] where a block is in the way.
    pub fn map<H: Hw>(
        &self,
        hw: &mut H,
        arena: &mut Arena,
        (from, to): (u64, u64),
        level: u32,
        attributes: u64,
    ) -> Result<(), Error> {
        let at = self.entry_at(hw, arena, from, level)?;
        hw.mem_write64(at, self.leaf(to, level, attributes));
        Ok(())
    }

    /// The descriptor of a leaf that holds `to`.
    pub const fn leaf(&self, to: u64, level: u32, attributes: u64) -> u64 {
        let kind = if level == LAST { VALID | TABLE } else { VALID };
        to >> self.granule.shift(level) << self.granule.shift(level) | attributes | kind
    }

    /// Where the descriptor of a level lies on the way to `from`, by physical address; makes the
    /// tables above it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or [`Error::NotATable`] where a block is in the way or `from` is too
    /// wide.
    pub fn entry_at<H: Hw>(
        &self,
        hw: &mut H,
        arena: &mut Arena,
        from: u64,
        level: u32,
    ) -> Result<u64, Error> {
        if from >> self.bits != 0 || !(self.start..=LAST).contains(&level) {
            return Err(Error::NotATable { iova: from });
        }
        let mut at = self.root + (from >> self.granule.shift(self.start)) * 8;
        for current in self.start..level {
            let mut word = hw.mem_read64(at);
            if word & VALID == 0 {
                let table = arena.aligned(hw, self.granule.bytes())?;
                word = (table + self.link) | VALID | TABLE;
                hw.mem_write64(at, word);
            } else if word & TABLE == 0 {
                return Err(Error::NotATable { iova: from });
            }
            let table = (word & ADDRESS & !(self.granule.bytes() - 1)) - self.link;
            let index = from >> self.granule.shift(current + 1) & ((1 << self.granule.index_bits()) - 1);
            at = table + index * 8;
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn first_levels_are_where_the_architecture_has_them() {
        use Granule::{K4, K16, K64};
        let hw = &mut Fake::new();
        let mut arena = Arena::new(hw.ram());
        // Stage 1: granule, bits, level. Stage 2 also: SL0.
        for (granule, bits, start) in
            [(K4, 48, 0), (K4, 39, 1), (K4, 30, 2), (K16, 47, 1), (K16, 36, 2), (K64, 48, 1), (K64, 42, 2)]
        {
            let tables = Tables::stage1(hw, &mut arena, granule, bits, 0).unwrap();
            assert_eq!((tables.start, tables.t0sz()), (start, 64 - u64::from(bits)), "{granule:?} {bits}");
        }
        for (granule, bits, start, sl0) in [
            (K4, 40, 1, 1),
            (K4, 44, 0, 2),
            (K4, 34, 2, 0),
            (K16, 40, 2, 1),
            (K64, 40, 2, 1),
            (K64, 30, 3, 0),
        ] {
            let tables = Tables::stage2(hw, &mut arena, granule, bits).unwrap();
            assert_eq!((tables.start, tables.sl0()), (start, sl0), "{granule:?} {bits}");
            let bytes = 8u64 << (bits - granule.shift(start));
            assert_eq!(tables.root % bytes.min(1 << 18), 0, "{granule:?} {bits}: {:#x}", tables.root);
        }
    }

    #[test]
    fn a_page_is_reached_through_nine_address_bits_a_level() {
        let hw = &mut Fake::new();
        let mut arena = Arena::new(hw.ram());
        let tables = Tables::stage1(hw, &mut arena, Granule::K4, 48, 0x10_0000_0000).unwrap();
        // Every index differs.
        let from = 4 << 39 | 3 << 30 | 2 << 21 | 1 << 12 | 0xabc;
        tables.map(hw, &mut arena, (from, 0x7_7123), 3, STAGE1).unwrap();
        let words = [0x1020, 0x2018, 0x3010, 0x4008].map(|at| hw.mem_read64(at));
        assert_eq!(words, [0x10_0000_2003, 0x10_0000_3003, 0x10_0000_4003, 0x7_7f43]);
        assert_eq!(tables.base(), 0x10_0000_1000);
    }

    #[test]
    fn blocks_end_the_walk_early() {
        let hw = &mut Fake::new();
        let mut arena = Arena::new(hw.ram());
        let tables = Tables::stage2(hw, &mut arena, Granule::K4, 40).unwrap();
        // The second of the two tables of the first level.
        tables.map(hw, &mut arena, (0x80_4000_0000, 0x5234_5678), 1, STAGE2).unwrap();
        assert_eq!(hw.mem_read64(tables.root + 0x1008), 0x4000_07fd);
        tables.map(hw, &mut arena, (0x8020_0000, 0x1234_5678), 2, S2_DEVICE | S2_WRITE).unwrap();
        let below = hw.mem_read64(tables.root + 0x10) & !3;
        assert_eq!(hw.mem_read64(below + 8), 0x1220_0781);
        let under_block = tables.map(hw, &mut arena, (0x80_4000_1000, 0), 3, STAGE2);
        assert_eq!(under_block, Err(Error::NotATable { iova: 0x80_4000_1000 }));
        let too_wide = tables.map(hw, &mut arena, (1 << 40, 0), 3, STAGE2);
        assert_eq!(too_wide, Err(Error::NotATable { iova: 1 << 40 }));
    }
}
