//! Parts of a medium that are kept in this process.

use std::collections::BTreeMap;

use super::state::Bytes;
use super::{Block, MediumError, contains};

/// Bytes that are kept or not kept together.
pub const BLOCK: u64 = 64 << 10;

/// The blocks that are kept, by index. None reaches beyond the capacity, so neither does their sum.
#[derive(Debug)]
pub(super) struct Blocks {
    bytes: u64,
    kept: BTreeMap<u64, Box<[u8]>>,
}

/// The part of a range that lies in one block.
pub(super) struct Part {
    pub(super) index: u64,
    /// Offset in the block.
    pub(super) offset: usize,
    /// Offset in the range.
    pub(super) done: usize,
    pub(super) len: usize,
}

impl Part {
    /// The bytes of the block that it covers.
    pub(super) fn in_block(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len
    }

    /// The bytes of the range that it is.
    pub(super) fn in_range(&self) -> std::ops::Range<usize> {
        self.done..self.done + self.len
    }
}

impl Blocks {
    /// No block of a medium of `bytes`.
    pub(super) fn new(bytes: u64) -> Self {
        Self { bytes, kept: BTreeMap::new() }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the block `index`: all but the last are whole.
    pub(super) fn len(&self, index: u64) -> usize {
        let left = index.checked_mul(BLOCK).map_or(0, |start| self.bytes.saturating_sub(start));
        // At most a block.
        left.min(BLOCK) as usize
    }

    /// Cuts `len` bytes from `at` on at the borders of blocks.
    pub(super) fn parts(
        &self,
        at: u64,
        len: usize,
    ) -> Result<impl Iterator<Item = Part> + use<>, MediumError> {
        if !contains(self.bytes, at, len) {
            return Err(MediumError);
        }
        let mut done = 0;
        Ok(std::iter::from_fn(move || {
            let start = at + done as u64;
            // Below a block.
            let offset = (start % BLOCK) as usize;
            let part =
                Part { index: start / BLOCK, offset, done, len: (len - done).min(BLOCK as usize - offset) };
            done += part.len;
            (part.len > 0).then_some(part)
        }))
    }

    pub(super) fn get(&self, index: u64) -> Option<&[u8]> {
        self.kept.get(&index).map(|block| &**block)
    }

    /// The block `index`, which is what `make` says if it was not kept.
    pub(super) fn get_or_keep(
        &mut self,
        index: u64,
        make: impl FnOnce(usize) -> Result<Box<[u8]>, MediumError>,
    ) -> Result<&mut [u8], MediumError> {
        let len = self.len(index);
        match self.kept.entry(index) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => Ok(entry.insert(make(len)?)),
        }
    }

    /// Keeps no block any more that lies in the `bytes` from `at` on as a whole.
    pub(super) fn drop_inside(&mut self, at: u64, bytes: u64) {
        let end = at.saturating_add(bytes).min(self.bytes);
        // The last block ends with the medium.
        let last = if end == self.bytes { end.div_ceil(BLOCK) } else { end / BLOCK };
        let first = at.div_ceil(BLOCK);
        // To split the map would cost time for all that is kept, and guests ask often.
        while first < last
            && let Some(index) = self.kept.range(first..last).next().map(|(index, _)| *index)
        {
            self.kept.remove(&index);
        }
    }

    /// The blocks as data, without those that `omit` names.
    pub(super) fn save(&self, omit: impl Fn(&[u8]) -> bool) -> Vec<Block> {
        let kept = self.kept.iter().filter(|(_, bytes)| !omit(bytes));
        kept.map(|(index, bytes)| Block { index: *index, bytes: Bytes(bytes.to_vec()) }).collect()
    }

    /// Blocks from data.
    pub(super) fn from_saved(bytes: u64, saved: Vec<Block>) -> Result<Self, &'static str> {
        let mut blocks = Self::new(bytes);
        for Block { index, bytes: Bytes(bytes) } in saved {
            if bytes.is_empty() || bytes.len() != blocks.len(index) {
                return Err("the length of a block of its medium");
            }
            blocks.kept.insert(index, bytes.into_boxed_slice());
        }
        Ok(blocks)
    }
}
