//! A domain's second-stage tables [VT-d 3.7, 9.8].
//!
//! The driver remembers beside each table which of its entries are in use, and where they lead to other
//! tables. So it never follows a pointer that it read from memory, where a device of an identity domain
//! could have changed it.
//!
//! Invariants: a table that is linked holds at least one entry, the first table aside; entries of linked
//! tables change in one step; a new table is complete before it is linked.

use std::collections::BTreeMap;
use std::sync::Arc;

use devices::addr::Pa;

use super::entries;
use super::table_memory::TableMemory;
use crate::errno::{Errno, Result};
use crate::span::Span;

/// Entries of a table.
const ENTRIES: usize = 512;

/// Bits of the address that an entry of `level` leaves untranslated.
pub(super) const fn page_bits(level: u8) -> u32 {
    12 + 9 * (level as u32 - 1)
}

/// What tables may look like on a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Levels: 3, 4 or 5.
    pub(super) levels: u8,
    /// Levels whose entries may map pages: bit n for level n.
    pub(super) leaves: u8,
}

/// Where a span is mapped to.
#[derive(Clone, Copy)]
pub(super) struct Mapping {
    /// IOVAs.
    pub(super) span: Span,
    /// Physical address of the first.
    pub(super) pa: Pa,
    /// Rights and snoop bit of the leaves; no address.
    pub(super) attributes: entries::SecondStage,
    /// Levels that leaves may be in: bit n for level n.
    pub(super) leaves: u8,
}

impl Mapping {
    /// The leaf for `iova` in a table of `level`.
    fn leaf(&self, level: u8, iova: u64) -> u64 {
        let pa = self.pa.0 + (iova - self.span.start);
        self.attributes.with_address(pa >> 12).with_ps(level > 1).raw()
    }

    /// Whether one entry of `level` can map all of `part`.
    fn fits(&self, level: u8, part: Span) -> bool {
        let offset = (1 << page_bits(level)) - 1;
        let pa = self.pa.0 + (part.start - self.span.start);
        self.leaves & 1 << level != 0 && part.beyond() == offset && (part.start | pa) & offset == 0
    }
}

/// The tables of one domain.
pub(super) struct SecondStage {
    memory: Arc<TableMemory>,
    format: Format,
    root: Table,
}

impl SecondStage {
    /// Tables that map nothing.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn new(memory: &Arc<TableMemory>, format: Format) -> Result<Self> {
        let root = Table::new(memory.alloc()?);
        Ok(Self { memory: Arc::clone(memory), format, root })
    }

    /// The first table.
    pub(super) fn root(&self) -> Pa {
        self.root.page
    }

    /// Whether nothing is mapped.
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Maps a span of whole 4-KiB pages within the tables' width.
    ///
    /// # Errors
    /// `EINVAL` where any of it is mapped, `ENOMEM`. Entries that were made before that are there, and
    /// may have been used.
    pub(super) fn map(&mut self, mapping: &Mapping) -> Result<()> {
        let level = self.format.levels;
        let mapping = Mapping { leaves: mapping.leaves & self.format.leaves, ..*mapping };
        if !self.root.is_free(level, 0, mapping.span) {
            return Err(Errno::EINVAL);
        }
        self.root.map(&self.memory, level, 0, mapping.span, &mapping, true)
    }

    /// Removes every leaf that maps any of `span`. Tables that are empty then are unlinked and added to
    /// `unlinked`: hardware may use them until its caches are invalidated.
    pub(super) fn unmap(&mut self, span: Span, unlinked: &mut Vec<Pa>) {
        let beyond = (1 << page_bits(self.format.levels + 1)) - 1;
        if let Some(span) = span.common(Span { start: 0, last: beyond }) {
            self.root.unmap(&self.memory, self.format.levels, 0, span, unlinked);
        }
    }

    /// Where `iova` leads, as hardware would find it.
    pub(super) fn translate(&self, iova: u64) -> Option<Pa> {
        let (mut table, mut level) = (&self.root, self.format.levels);
        if iova >> page_bits(level + 1) != 0 {
            return None;
        }
        loop {
            let index = index(level, iova);
            if table.has_leaf(index) {
                let entry = entries::SecondStage::from_raw(self.memory.load64(table.entry(index))?);
                let offset = iova & ((1 << page_bits(level)) - 1);
                return Some(Pa(entry.address() << 12 | offset));
            }
            (table, level) = (table.tables.get(&index)?, level - 1);
        }
    }
}

impl Drop for SecondStage {
    fn drop(&mut self) {
        let mut pages = Vec::new();
        self.root.take_pages(&mut pages);
        self.memory.free(pages);
    }
}

/// The entry of a table of `level` that translates `iova`.
fn index(level: u8, iova: u64) -> u16 {
    // Nine bits.
    (iova >> page_bits(level) & 0x1ff) as u16
}

/// A table, and what is in it.
struct Table {
    page: Pa,
    /// Entries that map pages, a bit each.
    leaves: [u64; ENTRIES / 64],
    /// Entries that lead to tables.
    tables: BTreeMap<u16, Self>,
}

impl Table {
    fn new(page: Pa) -> Self {
        Self { page, leaves: [0; ENTRIES / 64], tables: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.leaves == [0; ENTRIES / 64]
    }

    fn entry(&self, index: u16) -> Pa {
        Pa(self.page.0 + u64::from(index) * 8)
    }

    fn has_leaf(&self, index: u16) -> bool {
        self.leaves[usize::from(index / 64)] & 1 << (index % 64) != 0
    }

    fn set_leaf(&mut self, index: u16, used: bool) {
        let (word, bit) = (&mut self.leaves[usize::from(index / 64)], 1 << (index % 64));
        *word = if used { *word | bit } else { *word & !bit };
    }

    /// The entries that translate `span`, each with the part of the span that is its own and whether
    /// that is all it translates. The table is of `level` and its first entry translates `base`.
    fn parts(level: u8, base: u64, span: Span) -> impl Iterator<Item = (u16, u64, Span, bool)> {
        (index(level, span.start)..=index(level, span.last)).filter_map(move |index| {
            let start = base + (u64::from(index) << page_bits(level));
            let whole = Span { start, last: start + ((1 << page_bits(level)) - 1) };
            let part = whole.common(span)?;
            Some((index, start, part, part == whole))
        })
    }

    fn is_free(&self, level: u8, base: u64, span: Span) -> bool {
        Self::parts(level, base, span).all(|(index, start, part, _)| {
            let below = |table: &Self| table.is_free(level - 1, start, part);
            !self.has_leaf(index) && self.tables.get(&index).is_none_or(below)
        })
    }

    /// Maps `span`, which is free. `linked` says whether hardware may be reading the table.
    fn map(
        &mut self,
        memory: &TableMemory,
        level: u8,
        base: u64,
        span: Span,
        mapping: &Mapping,
        linked: bool,
    ) -> Result<()> {
        let mut run = Run::default();
        for (index, start, part, _) in Self::parts(level, base, span) {
            if mapping.fits(level, part) {
                self.set_leaf(index, true);
                match linked {
                    true => memory.store64(self.entry(index), mapping.leaf(level, part.start)),
                    false => run.push(index, mapping.leaf(level, part.start)),
                }
                continue;
            }
            if let Some(table) = self.tables.get_mut(&index) {
                table.map(memory, level - 1, start, part, mapping, linked)?;
                continue;
            }
            let mut table = Self::new(memory.alloc()?);
            if let Err(errno) = table.map(memory, level - 1, start, part, mapping, false) {
                // No hardware has seen it.
                let mut pages = Vec::new();
                table.take_pages(&mut pages);
                memory.free(pages);
                return Err(errno);
            }
            memory.store64(self.entry(index), pointer(table.page));
            self.tables.insert(index, table);
        }
        // What fits lies between what does not, without a gap.
        run.write(memory, self.page);
        Ok(())
    }

    fn unmap(&mut self, memory: &TableMemory, level: u8, base: u64, span: Span, unlinked: &mut Vec<Pa>) {
        for (index, start, part, whole) in Self::parts(level, base, span) {
            if self.has_leaf(index) {
                // A leaf that the span cuts goes as well: memory may be given away after this.
                self.set_leaf(index, false);
                memory.store64(self.entry(index), 0);
                continue;
            }
            let Some(table) = self.tables.get_mut(&index) else { continue };
            if !whole {
                table.unmap(memory, level - 1, start, part, unlinked);
            }
            if (whole || table.is_empty())
                && let Some(mut table) = self.tables.remove(&index)
            {
                memory.store64(self.entry(index), 0);
                table.take_pages(unlinked);
            }
        }
    }

    /// Adds its page, and those of all tables below, to `pages`.
    fn take_pages(&mut self, pages: &mut Vec<Pa>) {
        pages.push(self.page);
        for table in self.tables.values_mut() {
            table.take_pages(pages);
        }
    }
}

/// An entry that leads to a table. What may be done is for the leaves to say.
fn pointer(table: Pa) -> u64 {
    entries::SecondStage::ZERO.with_address(table.0 >> 12).with_r(true).with_w(true).raw()
}

/// Neighbouring leaves of a new table, written at once.
#[derive(Default)]
struct Run {
    first: u16,
    words: Vec<u64>,
}

impl Run {
    fn push(&mut self, index: u16, word: u64) {
        if self.words.is_empty() {
            self.first = index;
        }
        self.words.push(word);
    }

    fn write(self, memory: &TableMemory, table: Pa) {
        memory.fill(Pa(table.0 + u64::from(self.first) * 8), &self.words);
    }
}
