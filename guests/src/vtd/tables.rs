//! Root and context tables [VT-d 9.1, 9.3].

use crate::arena::Arena;
use crate::error::Error;
use crate::hw::Hw;

/// A root entry that names a context table [VT-d 9.1].
pub const fn root_entry(context_table: u64) -> [u64; 2] {
    [context_table | 1, 0]
}

/// What a context entry says [VT-d 9.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Not present.
    Absent,
    /// Untranslated requests go through second-stage tables (TT = 00).
    Translate {
        /// Physical address of the top table.
        table: u64,
        /// Its number of levels.
        levels: u32,
        /// Domain id.
        domain: u16,
    },
    /// Untranslated requests pass unchanged (TT = 10).
    PassThrough {
        /// The largest number of levels that the unit supports.
        levels: u32,
        /// Domain id.
        domain: u16,
    },
}

impl Context {
    /// The entry's words, low word first.
    pub const fn words(self) -> [u64; 2] {
        match self {
            Self::Absent => [0, 0],
            Self::Translate { table, levels, domain } => [table | 1, high(levels, domain)],
            Self::PassThrough { levels, domain } => [0b10 << 2 | 1, high(levels, domain)],
        }
    }
}

/// Address width 66:64 (1 for three levels) and domain id 87:72.
const fn high(levels: u32, domain: u16) -> u64 {
    (levels as u64 - 2) & 0b111 | (domain as u64) << 8
}

/// A root table, and the context tables under it.
#[derive(Clone, Copy, Debug)]
pub struct RootTable {
    /// Physical address.
    pub address: u64,
}

impl RootTable {
    /// An empty table.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new<H: Hw>(hw: &mut H, arena: &mut Arena) -> Result<Self, Error> {
        Ok(Self { address: arena.page(hw)? })
    }

    /// Where the root entry for a requester's bus lies.
    pub fn root_entry_at(self, source: u16) -> u64 {
        self.address + u64::from(source >> 8) * 16
    }

    /// Where the context entry of a requester lies; makes the context table if there is none.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn context_entry_at<H: Hw>(self, hw: &mut H, arena: &mut Arena, source: u16) -> Result<u64, Error> {
        let root = self.root_entry_at(source);
        let mut entry = hw.mem_read64(root);
        if entry & 1 == 0 {
            let words = root_entry(arena.page(hw)?);
            write_entry(hw, root, words);
            entry = words[0];
        }
        Ok((entry & !0xfff) + u64::from(source & 0xff) * 16)
    }

    /// Writes the context entry of a requester. The caller invalidates what the unit may hold.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn set_context<H: Hw>(
        self,
        hw: &mut H,
        arena: &mut Arena,
        source: u16,
        words: [u64; 2],
    ) -> Result<(), Error> {
        let at = self.context_entry_at(hw, arena, source)?;
        write_entry(hw, at, words);
        Ok(())
    }
}

/// Writes a 128-bit entry so that the unit never sees a present half-written one.
fn write_entry<H: Hw>(hw: &mut H, at: u64, [low, high]: [u64; 2]) {
    hw.mem_write64(at, 0);
    hw.mem_write64(at + 8, high);
    hw.mem_write64(at, low);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn entries_have_the_words_of_the_specification() {
        assert_eq!(root_entry(0x0012_3000), [0x0012_3001, 0]);
        let rows = [
            ("absent", Context::Absent, [0, 0]),
            (
                "three levels",
                Context::Translate { table: 0x0045_6000, levels: 3, domain: 0x1234 },
                [0x0045_6001, 0x0012_3401],
            ),
            (
                "five levels",
                Context::Translate { table: 0xf_f000, levels: 5, domain: 0xffff },
                [0x000f_f001, 0x00ff_ff03],
            ),
            ("pass-through", Context::PassThrough { levels: 4, domain: 7 }, [0x9, 0x0702]),
        ];
        for (name, context, words) in rows {
            assert_eq!(context.words(), words, "{name}");
        }
    }

    #[test]
    fn context_tables_are_found_by_bus_and_indexed_by_device_and_function() {
        let hw = &mut Fake::new();
        let mut arena = Arena::new(hw.ram());
        let root = RootTable::new(hw, &mut arena).unwrap();
        root.set_context(hw, &mut arena, 0x0310, [0xaaaa_a001, 0x102]).unwrap();
        root.set_context(hw, &mut arena, 0x03ff, [0xbbbb_b001, 0x103]).unwrap();
        assert_eq!(root.address, 0x1000);
        // Bus 3: the fourth entry of 16 bytes names the page made next.
        assert_eq!(hw.mem_read64(0x1030), 0x2001);
        assert_eq!(hw.mem_read64(0x1038), 0);
        assert_eq!([hw.mem_read64(0x2100), hw.mem_read64(0x2108)], [0xaaaa_a001, 0x102]);
        assert_eq!([hw.mem_read64(0x2ff0), hw.mem_read64(0x2ff8)], [0xbbbb_b001, 0x103]);
    }
}
