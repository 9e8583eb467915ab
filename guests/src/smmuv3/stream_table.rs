//! The stream table: an STE for each StreamID, at one level or two [SMMUv3 3.3.1, 5.1].

use super::cd::write_words;
use super::regs;
use super::ste::Ste;
use super::unit::Unit;
use crate::arena::Arena;
use crate::error::Error;
use crate::hw::Hw;

/// Bytes of an STE.
const STE: u64 = 64;
/// StreamID bits that the second level takes.
const SPLIT: u32 = 8;
/// STRTAB_BASE_CFG.FMT: two levels.
const TWO_LEVELS: u32 = 1 << 16;

/// A stream table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTable {
    /// Physical address.
    pub base: u64,
    /// StreamID bits.
    pub log2: u32,
    two_levels: bool,
}

impl StreamTable {
    /// An empty table of 2^`log2` STEs.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn linear<H: Hw>(hw: &mut H, arena: &mut Arena, log2: u32) -> Result<Self, Error> {
        let base = arena.aligned(hw, (STE << log2).next_multiple_of(4096))?;
        Ok(Self { base, log2, two_levels: false })
    }

    /// An empty table of two levels for StreamIDs of `log2` bits, more than eight.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn two_level<H: Hw>(hw: &mut H, arena: &mut Arena, log2: u32) -> Result<Self, Error> {
        let base = arena.aligned(hw, (8 << log2.saturating_sub(SPLIT)).max(4096))?;
        Ok(Self { base, log2, two_levels: true })
    }

    /// Gives it to the unit, while CR0.SMMUEN is clear.
    pub fn install<H: Hw>(&self, hw: &mut H, unit: &Unit) {
        let format = if self.two_levels { TWO_LEVELS | SPLIT << 6 } else { 0 };
        unit.write64(hw, regs::STRTAB_BASE, regs::ALLOCATE | self.base);
        unit.write32(hw, regs::STRTAB_BASE_CFG, format | self.log2);
    }

    /// Where the descriptor of the first level for a stream lies; `None` where there is one level.
    pub fn l1_at(&self, stream: u32) -> Option<u64> {
        self.two_levels.then(|| self.base + u64::from(stream >> SPLIT) * 8)
    }

    /// Where a stream's STE lies; makes the table that it is in.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or [`Error::Unsupported`] for a StreamID that the table does not reach.
    pub fn ste_at<H: Hw>(&self, hw: &mut H, arena: &mut Arena, stream: u32) -> Result<u64, Error> {
        if u64::from(stream) >> self.log2 != 0 {
            return Err(Error::Unsupported("StreamIDs as wide as the device's"));
        }
        let Some(at) = self.l1_at(stream) else { return Ok(self.base + u64::from(stream) * STE) };
        let mut word = hw.mem_read64(at);
        if word & 0x1f == 0 {
            // Span: 2^SPLIT STEs.
            word = arena.aligned(hw, STE << SPLIT)? | u64::from(SPLIT + 1);
            hw.mem_write64(at, word);
        }
        Ok((word & !0x3f) + u64::from(stream & ((1 << SPLIT) - 1)) * STE)
    }

    /// Writes a stream's STE. The caller invalidates what the unit may hold.
    ///
    /// # Errors
    /// As [`Self::ste_at`].
    pub fn set<H: Hw>(&self, hw: &mut H, arena: &mut Arena, stream: u32, ste: Ste) -> Result<(), Error> {
        let at = self.ste_at(hw, arena, stream)?;
        write_words(hw, at, ste.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn streams_are_found_at_one_level_and_at_two() {
        let hw = &mut Fake::new();
        let mut arena = Arena::new(hw.ram());
        let unit = Unit::at(0x0905_0000);
        let linear = StreamTable::linear(hw, &mut arena, 6).unwrap();
        assert_eq!(linear.ste_at(hw, &mut arena, 0x3f), Ok(linear.base + 0xfc0));
        assert!(linear.ste_at(hw, &mut arena, 0x40).is_err());
        linear.install(hw, &unit);
        let two = StreamTable::two_level(hw, &mut arena, 17).unwrap();
        two.set(hw, &mut arena, 0x1_0012, Ste([1, 2, 3, 4, 5, 6, 7, 8])).unwrap();
        let l1 = hw.mem_read64(two.base + 0x800);
        assert_eq!((l1 & 0x3fff, hw.mem_read64((l1 & !0x3fff) + 0x12 * 64 + 56)), (9, 8));
        two.install(hw, &unit);
        let low = |table: &StreamTable| table.base as u32;
        let expected = [
            (0x0905_0080, low(&linear)),
            (0x0905_0084, 0x4000_0000),
            (0x0905_0088, 6),
            (0x0905_0080, low(&two)),
            (0x0905_0084, 0x4000_0000),
            (0x0905_0088, 0x1_0211),
        ];
        assert_eq!(hw.writes, expected);
    }
}
