//! The walker engine, parameterised by table format.
//!
//! A format says what an entry means; the engine goes from table to table. How an entry is fetched
//! is the caller's: a plain load, or a load through another stage.

use crate::addr::Pa;
use crate::mem::NotRam;

/// What an entry, and the entries above it, permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// Neither reads nor writes.
    pub const NONE: Self = Self(0);
    /// Reads.
    pub const READ: Self = Self(1);
    /// Writes.
    pub const WRITE: Self = Self(2);
    /// Reads and writes.
    pub const BOTH: Self = Self(3);

    /// From bit 0 (read) and bit 1 (write); other bits are dropped.
    pub const fn from_bits(bits: u64) -> Self {
        Self((bits & 3) as u8)
    }

    /// Bit 0 read, bit 1 write.
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }

    /// Whether all of `wanted` is granted.
    pub const fn grants(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// What both grant.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// A table entry, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Not present.
    Absent,
    /// A reserved bit is set or a reserved encoding is used.
    Reserved,
    /// Points to a table of the next level.
    Table {
        /// First byte of that table.
        next: Pa,
        /// What is permitted below.
        rights: Rights,
    },
    /// Maps a page.
    Page {
        /// First byte of the page.
        base: Pa,
        /// What is permitted.
        rights: Rights,
    },
}

/// A format of translation tables with 512 entries of 8 bytes each.
pub trait Format {
    /// Level of the first table. Level 1 holds the smallest pages.
    fn top(&self) -> u32;

    /// What `raw`, found in a table of `level`, means. Level 1 never yields [`Entry::Table`].
    fn decode(&self, level: u32, raw: u64) -> Entry;
}

/// Bits of the input address that one entry at `level` leaves untranslated.
pub const fn page_bits(level: u32) -> u32 {
    12 + 9 * (level - 1)
}

/// The end of a successful walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The translated address, offset in the page included.
    pub pa: Pa,
    /// What all levels permit together.
    pub rights: Rights,
    /// Level of the entry that maps the page.
    pub level: u32,
}

/// Why a walk ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The entry could not be read.
    Fetch,
    /// The entry is not present.
    Absent,
    /// The entry is malformed.
    Reserved,
}

/// Where and why a walk ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Level of the entry at fault.
    pub level: u32,
    /// What is wrong with it.
    pub why: Why,
}

/// A table on the way, and what the entries above it permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// First byte.
    pub base: Pa,
    /// Level of its entries.
    pub level: u32,
    /// What the entries that led here permit together.
    pub rights: Rights,
}

impl Table {
    /// The first table of a format.
    pub fn root(format: &impl Format, base: Pa) -> Self {
        Self { base, level: format.top(), rights: Rights::BOTH }
    }
}

/// What a walk needs of its caller.
pub trait Steps {
    /// Reads the entry of `level` at `address`.
    ///
    /// # Errors
    /// [`NotRam`].
    fn fetch(&mut self, level: u32, address: Pa) -> Result<u64, NotRam>;

    /// The walk has come to `table`, by an entry that is valid.
    fn reached(&mut self, table: Table);
}

/// Translates `input` from `start` on.
///
/// # Errors
/// [`Stop`] at the first entry that does not lead on.
#[inline]
pub fn walk<F: Format>(format: &F, start: Table, input: u64, steps: &mut impl Steps) -> Result<Leaf, Stop> {
    let Table { base: mut table, mut level, mut rights } = start;
    loop {
        let index = (input >> page_bits(level)) & 0x1ff;
        // Tables are 4-KiB aligned, so the sum cannot carry.
        let raw =
            steps.fetch(level, Pa(table.0 | index << 3)).map_err(|NotRam| Stop { level, why: Why::Fetch })?;
        match format.decode(level, raw) {
            Entry::Absent => return Err(Stop { level, why: Why::Absent }),
            Entry::Reserved => return Err(Stop { level, why: Why::Reserved }),
            Entry::Table { next, rights: here } => (table, rights) = (next, rights.and(here)),
            Entry::Page { base, rights: here } => {
                let offset = input & ((1 << page_bits(level)) - 1);
                return Ok(Leaf { pa: Pa(base.0 | offset), rights: rights.and(here), level });
            }
        }
        assert!(level > 1, "a format never yields a table below level 1");
        level -= 1;
        steps.reached(Table { base: table, level, rights });
    }
}
