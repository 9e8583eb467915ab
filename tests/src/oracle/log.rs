//! The fault recording registers [VT-d 7.2.1].

/// FSTS.PFO [VT-d 11.4.7.1].
const PFO: u32 = 1 << 0;
/// FSTS.PPF.
const PPF: u32 = 1 << 1;
/// F in the high word of a record.
const F: u64 = 1 << 63;

/// All records and what FSTS tells of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    records: Vec<[u64; 2]>,
    index: usize,
    overflow: bool,
    first: usize,
    compress: bool,
}

impl Log {
    /// `count` empty records; with `compress`, one pending record per source is enough.
    pub fn new(count: usize, compress: bool) -> Self {
        Self { records: vec![[0; 2]; count], index: 0, overflow: false, first: 0, compress }
    }

    /// Records a fault, or not.
    pub fn push(&mut self, record: [u64; 2]) {
        if self.overflow {
            return;
        }
        let same = |old: &[u64; 2]| old[1] & F != 0 && old[1] & 0xffff == record[1] & 0xffff;
        if self.compress && self.records.iter().any(same) {
            return;
        }
        if self.records[self.index][1] & F != 0 {
            self.overflow = true;
            return;
        }
        if !self.pending() {
            self.first = self.index;
        }
        self.records[self.index] = record;
        self.index = (self.index + 1) % self.records.len();
    }

    /// Software handled record `index`: it wrote 1 to F.
    pub fn clear(&mut self, index: usize) {
        self.records[index][1] &= !F;
    }

    /// Software wrote 1 to PFO.
    pub fn clear_overflow(&mut self) {
        self.overflow = false;
    }

    /// The records, low word first; what a record without F holds is of no interest.
    pub fn records(&self) -> &[[u64; 2]] {
        &self.records
    }

    /// FSTS_REG: PFO, PPF, and FRI while that is valid.
    pub fn fsts(&self) -> u32 {
        let status = if self.overflow { PFO } else { 0 };
        // There are at most 256 records.
        if self.pending() { status | PPF | (self.first as u32) << 8 } else { status }
    }

    fn pending(&self) -> bool {
        self.records.iter().any(|record| record[1] & F != 0)
    }
}
