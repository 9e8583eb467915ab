//! The walker engine, parameterised by table format.
//!
//! A format says how a table is indexed and what an entry means; the engine goes from table to table.
//! How an entry is fetched is the caller's: a plain load, or a load through another stage, whose own
//! fault then ends the walk.
//!
//! Levels are counted from the page up: entries of level 1 map the smallest pages, whatever number the
//! architecture gives them.

use crate::addr::{Ipa, Pa};
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

/// What entries of a path say together, the entry of a table first, then those below it.
pub trait Accumulate: Copy {
    /// Of a path without entries.
    const START: Self;

    /// Of a path that `below` has been added to.
    #[must_use]
    fn then(self, below: Self) -> Self;
}

impl Accumulate for Rights {
    const START: Self = Self::BOTH;

    fn then(self, below: Self) -> Self {
        self.and(below)
    }
}

/// An address of the space that tables and pages of a format lie in.
pub trait Address: Copy {
    /// From the number.
    fn new(number: u64) -> Self;

    /// The number.
    fn number(self) -> u64;
}

impl Address for Pa {
    fn new(number: u64) -> Self {
        Self(number)
    }

    fn number(self) -> u64 {
        self.0
    }
}

impl Address for Ipa {
    fn new(number: u64) -> Self {
        Self(number)
    }

    fn number(self) -> u64 {
        self.0
    }
}

/// A table entry, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<R = Rights, A = Pa> {
    /// Not present.
    Absent,
    /// A reserved bit is set, a reserved encoding is used, or an address is wider than the format permits.
    Reserved,
    /// Points to a table of the next level.
    Table {
        /// First byte of that table.
        next: A,
        /// What is permitted below.
        rights: R,
    },
    /// Maps a page.
    Page {
        /// First byte of the page.
        base: A,
        /// What is permitted.
        rights: R,
    },
}

/// A format of translation tables with entries of 8 bytes each. Unless it says otherwise its tables have
/// 512 entries.
pub trait Format {
    /// What entries contribute to the permissions of a page.
    type Rights: Accumulate;
    /// Where tables and pages lie.
    type Address: Address;

    /// Level of the first table. Level 1 holds the smallest pages.
    fn top(&self) -> u32;

    /// Bits of the input address that one entry at `level` leaves untranslated.
    #[inline]
    fn page_bits(&self, level: u32) -> u32 {
        page_bits(level)
    }

    /// Where in a table of `level` the entry for `input` lies, in bytes. The table must be aligned to its
    /// size.
    #[inline]
    fn offset(&self, level: u32, input: u64) -> u64 {
        ((input >> self.page_bits(level)) & 0x1ff) << 3
    }

    /// What `raw`, found in a table of `level`, means. Level 1 never yields [`Entry::Table`].
    fn decode(&self, level: u32, raw: u64) -> Entry<Self::Rights, Self::Address>;
}

/// Bits of the input address that one entry at `level` leaves untranslated where tables have 512 entries.
pub const fn page_bits(level: u32) -> u32 {
    12 + 9 * (level - 1)
}

/// The end of a successful walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf<R = Rights, A = Pa> {
    /// The translated address, offset in the page included.
    pub output: A,
    /// What all levels permit together.
    pub rights: R,
    /// Level of the entry that maps the page.
    pub level: u32,
    /// Where that entry lies.
    pub at: A,
    /// The entry.
    pub entry: u64,
}

/// Why a walk ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<E = NotRam> {
    /// The entry could not be read.
    Fetch(E),
    /// The entry is not present.
    Absent,
    /// The entry is malformed.
    Reserved,
}

/// Where and why a walk ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop<E = NotRam> {
    /// Level of the entry at fault.
    pub level: u32,
    /// What is wrong with it.
    pub why: Why<E>,
}

/// A table on the way, and what the entries above it permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<R = Rights, A = Pa> {
    /// First byte.
    pub base: A,
    /// Level of its entries.
    pub level: u32,
    /// What the entries that led here permit together.
    pub rights: R,
}

impl<R: Accumulate, A> Table<R, A> {
    /// The first table of a format.
    pub fn root(format: &impl Format<Rights = R, Address = A>, base: A) -> Self {
        Self { base, level: format.top(), rights: R::START }
    }
}

/// What a walk needs of its caller.
pub trait Steps<F: Format> {
    /// Why an entry could not be read.
    type Error;

    /// Reads the entry of `level` at `address`.
    ///
    /// # Errors
    /// The caller's own.
    fn fetch(&mut self, level: u32, address: F::Address) -> Result<u64, Self::Error>;

    /// The walk has come to `table`, by an entry that is valid.
    fn reached(&mut self, table: Table<F::Rights, F::Address>);
}

/// The end of a walk of a format's tables by a caller's steps.
pub type End<F, S> =
    Result<Leaf<<F as Format>::Rights, <F as Format>::Address>, Stop<<S as Steps<F>>::Error>>;

/// Translates `input` from `start` on. Always in line: the result is larger than what is asked of it.
///
/// # Errors
/// [`Stop`] at the first entry that does not lead on.
#[inline(always)]
pub fn walk<F: Format, S: Steps<F>>(
    format: &F,
    start: Table<F::Rights, F::Address>,
    input: u64,
    steps: &mut S,
) -> End<F, S> {
    let Table { base: mut table, mut level, mut rights } = start;
    loop {
        // Tables are aligned to their size, so the sum cannot carry.
        let at = F::Address::new(table.number() | format.offset(level, input));
        let entry = steps.fetch(level, at).map_err(|error| Stop { level, why: Why::Fetch(error) })?;
        match format.decode(level, entry) {
            Entry::Absent => return Err(Stop { level, why: Why::Absent }),
            Entry::Reserved => return Err(Stop { level, why: Why::Reserved }),
            Entry::Table { next, rights: here } => (table, rights) = (next, rights.then(here)),
            Entry::Page { base, rights: here } => {
                let offset = input & ((1 << format.page_bits(level)) - 1);
                let output = F::Address::new(base.number() | offset);
                return Ok(Leaf { output, rights: rights.then(here), level, at, entry });
            }
        }
        assert!(level > 1, "a format never yields a table below level 1");
        level -= 1;
        steps.reached(Table { base: table, level, rights });
    }
}
