//! Second-stage page tables [VT-d 9.8].

use crate::arena::Arena;
use crate::error::Error;
use crate::hw::Hw;

/// The page may be read.
pub const READ: u64 = 1 << 0;
/// The page may be written.
pub const WRITE: u64 = 1 << 1;
/// The entry maps a large page instead of naming a table.
const PAGE_SIZE: u64 = 1 << 7;
/// Address bits of an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The size of a mapped page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 4 KiB.
    Page4K,
    /// 2 MiB; needs bit 0 of SSLPS.
    Page2M,
    /// 1 GiB; needs bit 1 of SSLPS.
    Page1G,
}

impl Size {
    /// Level of the entry that maps such a page; 1 is the lowest.
    pub const fn level(self) -> u32 {
        match self {
            Self::Page4K => 1,
            Self::Page2M => 2,
            Self::Page1G => 3,
        }
    }

    /// The page's bytes.
    pub const fn bytes(self) -> u64 {
        1 << shift(self.level())
    }
}

/// The lowest address bit that the index of a level takes.
const fn shift(level: u32) -> u32 {
    12 + 9 * (level - 1)
}

/// The word of an entry that maps a page.
pub const fn entry(address: u64, size: Size, rights: u64) -> u64 {
    match size {
        Size::Page4K => address | rights,
        Size::Page2M | Size::Page1G => address | rights | PAGE_SIZE,
    }
}

/// A tree of second-stage tables.
#[derive(Clone, Copy, Debug)]
pub struct SecondStage {
    /// Physical address of the top table.
    pub top: u64,
    /// Number of levels, 3 to 5.
    pub levels: u32,
}

impl SecondStage {
    /// An empty tree.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new<H: Hw>(hw: &mut H, arena: &mut Arena, levels: u32) -> Result<Self, Error> {
        Ok(Self { top: arena.page(hw)?, levels })
    }

    /// Maps the page of `size` that holds `iova` to the one that holds `pa`. Overwrites what was
    /// there; the caller invalidates what the unit may hold of it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or [`Error::NotATable`] where a larger page is in the way.
    pub fn map<H: Hw>(
        self,
        hw: &mut H,
        arena: &mut Arena,
        (iova, pa): (u64, u64),
        size: Size,
        rights: u64,
    ) -> Result<(), Error> {
        let at = self.entry_at(hw, arena, iova, size.level())?;
        hw.mem_write64(at, entry(pa & !(size.bytes() - 1), size, rights));
        Ok(())
    }

    /// Where the entry of a level lies on the way to `iova`; makes the tables above it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or [`Error::NotATable`] where a larger page is in the way or `iova` is
    /// too wide for the tree.
    pub fn entry_at<H: Hw>(self, hw: &mut H, arena: &mut Arena, iova: u64, level: u32) -> Result<u64, Error> {
        if iova >> shift(self.levels + 1) != 0 || level > self.levels {
            return Err(Error::NotATable { iova });
        }
        let mut table = self.top;
        let mut current = self.levels;
        loop {
            let at = table + (iova >> shift(current) & 0x1ff) * 8;
            if current == level {
                return Ok(at);
            }
            let mut word = hw.mem_read64(at);
            if word & (READ | WRITE) == 0 {
                word = arena.page(hw)? | READ | WRITE;
                hw.mem_write64(at, word);
            } else if word & PAGE_SIZE != 0 {
                return Err(Error::NotATable { iova });
            }
            table = word & ADDRESS;
            current -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn tree(levels: u32) -> (Fake, Arena, SecondStage) {
        let mut hw = Fake::new();
        let mut arena = Arena::new(hw.ram());
        let tree = SecondStage::new(&mut hw, &mut arena, levels).unwrap();
        (hw, arena, tree)
    }

    #[test]
    fn a_page_is_reached_through_nine_address_bits_a_level() {
        // Every index differs: 5 in bits 56:48, 4 in 47:39, 3 in 38:30, 2 in 29:21, 1 in 20:12.
        let iova = 5 << 48 | 4 << 39 | 3 << 30 | 2 << 21 | 1 << 12;
        let (mut hw, mut arena, tree) = tree(5);
        tree.map(&mut hw, &mut arena, (iova | 0xabc, 0x7_7000), Size::Page4K, READ).unwrap();
        let words = [0x1028, 0x2020, 0x3018, 0x4010, 0x5008].map(|at| hw.mem_read64(at));
        assert_eq!(words, [0x2003, 0x3003, 0x4003, 0x5003, 0x7_7001]);
    }

    #[test]
    fn large_pages_end_the_walk_early() {
        let (mut hw, mut arena, tree) = tree(3);
        let rw = READ | WRITE;
        tree.map(&mut hw, &mut arena, (0x4000_0000, 0x1234_5678), Size::Page1G, rw).unwrap();
        tree.map(&mut hw, &mut arena, (0x8020_0000, 0x1234_5678), Size::Page2M, WRITE).unwrap();
        assert_eq!(hw.mem_read64(0x1008), 0x0000_0083);
        assert_eq!(hw.mem_read64(0x1010), 0x0000_2003);
        assert_eq!(hw.mem_read64(0x2008), 0x1220_0082);
        let under_large = tree.map(&mut hw, &mut arena, (0x4000_1000, 0), Size::Page4K, rw);
        assert_eq!(under_large, Err(Error::NotATable { iova: 0x4000_1000 }));
        let too_wide = tree.map(&mut hw, &mut arena, (1 << 39, 0), Size::Page4K, rw);
        assert_eq!(too_wide, Err(Error::NotATable { iova: 1 << 39 }));
    }
}
