//! Memory as the oracle sees it.

use std::collections::{BTreeMap, BTreeSet};

use tests::oracle::smmuv3::Memory;

/// RAM that holds tables, and zeros before a case: `(first byte, bytes)`. The islands are at the tops of 40,
/// 44, 48 and 52 bits.
pub const POOLS: [(u64, u64); 5] = [
    (0, 0x1f0_0000),
    (0xff_fff0_0000, 0xf_0000),
    (0xfff_fff0_0000, 0xf_0000),
    (0xffff_fff0_0000, 0xf_0000),
    (0xf_ffff_fff0_0000, 0xf_0000),
];
/// RAM that no two words of are the same.
pub const DATA: [(u64, u64); 8] = [
    (0x4000_0000, 0x4_0000),
    (0xffff_0000, 0x1_0000),
    (0xf_ffff_0000, 0x1_0000),
    (0x80_0000_0000, 0x1_0000),
    (0xff_ffff_0000, 0x1_0000),
    (0xfff_ffff_0000, 0x1_0000),
    (0xffff_ffff_0000, 0x1_0000),
    (0xf_ffff_ffff_0000, 0x1_0000),
];
/// The queues, which neither tables nor data are in.
pub const QUEUES: (u64, u64) = (0x1f0_0000, 0x1_0000);

fn within(areas: &[(u64, u64)], pa: u64) -> bool {
    areas.iter().any(|(start, size)| pa.wrapping_sub(*start) < *size)
}

/// The qword at `pa` before a case; `None` where there is no RAM.
pub fn before(pa: u64) -> Option<u64> {
    if within(&DATA, pa) {
        // An odd factor makes this a bijection.
        Some(pa.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    } else {
        (within(&POOLS, pa) || within(&[QUEUES], pa)).then_some(0)
    }
}

/// What differs from memory before the case, and what was looked at.
#[derive(Default)]
pub struct Image {
    /// Qwords written since.
    pub words: BTreeMap<u64, u64>,
    /// What the last transaction read, in order.
    pub trail: Vec<(u64, Option<u64>)>,
    /// What it replaced: address and old word, oldest first.
    pub journal: Vec<(u64, u64)>,
    /// Qwords that walks have read since the last invalidation.
    pub fetched: BTreeSet<u64>,
}

impl Image {
    /// The aligned qword at `pa`.
    pub fn word(&self, pa: u64) -> Option<u64> {
        self.words.get(&pa).copied().or_else(|| before(pa))
    }

    /// Replaces a qword.
    pub fn set(&mut self, pa: u64, word: u64) {
        if let Some(old) = self.word(pa) {
            self.journal.push((pa, old));
            self.words.insert(pa, word);
        }
    }

    /// Takes back what is in the journal.
    pub fn undo(&mut self) {
        while let Some((pa, old)) = self.journal.pop() {
            self.words.insert(pa, old);
        }
    }

    /// Whether changing `pa` could change a walk that is cached.
    pub fn is_table(&self, pa: u64) -> bool {
        self.fetched.contains(&pa) || within(&POOLS, pa) || within(&[QUEUES], pa)
    }
}

impl Memory for Image {
    fn load(&mut self, pa: u64) -> Option<u64> {
        let word = self.word(pa);
        self.trail.push((pa, word));
        self.fetched.insert(pa);
        word
    }

    fn store(&mut self, pa: u64, word: u64) {
        self.set(pa, word);
    }
}
