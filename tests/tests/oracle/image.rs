//! What memory should hold.

use crate::case::{DATA, ISLANDS};

/// A copy of all RAM that the unit under test never sees.
#[derive(Clone)]
pub struct Image {
    bytes: Vec<u8>,
}

impl Image {
    /// Memory before a case: tables zero, every other word like no second one.
    pub fn new() -> Self {
        let mut bytes = Vec::new();
        for (start, pages) in ISLANDS {
            for pa in (start..start + 0x1000 * pages).step_by(8) {
                // An odd factor makes this a bijection, so all words differ.
                let word = if pa < DATA { 0 } else { pa.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
                bytes.extend(word.to_le_bytes());
            }
        }
        Self { bytes }
    }

    /// The aligned qword at `pa`, if that is RAM.
    pub fn word(&self, pa: u64) -> Option<u64> {
        let at = index(pa)?;
        Some(u64::from_le_bytes(self.bytes[at..at + 8].try_into().ok()?))
    }

    /// `len` bytes at `pa`, if that is RAM; they must not leave its page.
    pub fn bytes(&self, pa: u64, len: usize) -> Option<&[u8]> {
        let at = index(pa)?;
        Some(&self.bytes[at..at + len])
    }

    /// Replaces bytes of one page; where there is no RAM, nothing happens.
    pub fn set(&mut self, pa: u64, bytes: &[u8]) {
        if let Some(at) = index(pa) {
            self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// The islands: first address and contents.
    pub fn islands(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = &self.bytes[..];
        ISLANDS.iter().map(move |(start, pages)| {
            let (island, after) = rest.split_at(0x1000 * *pages as usize);
            rest = after;
            (*start, island)
        })
    }
}

fn index(pa: u64) -> Option<usize> {
    let mut before = 0;
    for (start, pages) in ISLANDS {
        let size = 0x1000 * pages;
        if pa >= start && pa - start < size {
            return Some((before + (pa - start)) as usize);
        }
        before += size;
    }
    None
}
