//! The event queue's registers [SMMUv3 7.2, 6.3.29 to 6.3.31].

use serde::{Deserialize, Serialize};

use super::regs::{EventqCons, EventqProd, QueueBase};
use super::ring::Ring;
use crate::mem::{NotRam, PhysMem};

/// Bytes of a record.
pub(super) const RECORD: u64 = 32;

/// SMMU_EVENTQ_BASE, _PROD and _CONS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EventQueue {
    pub base: QueueBase,
    pub prod: EventqProd,
    pub cons: EventqCons,
}

impl EventQueue {
    /// Whether no record fits in; so it is also where the indexes cannot be right [SMMUv3 3.5.1].
    pub fn full(&self, ring: Ring) -> bool {
        ring.filled(self.prod.wr(), self.cons.rd()).is_none_or(|filled| filled == ring.entries())
    }

    /// Whether memory is where the next record would lie.
    pub fn has_room(&self, ring: Ring, mem: &PhysMem) -> bool {
        mem.resolve(ring.address(self.prod.wr())).is_some_and(|(_, left)| left >= RECORD)
    }

    /// The newest record that software has not read; `None` where there is none, or the indexes cannot be
    /// right. Software may have written over it.
    pub fn newest(&self, ring: Ring, mem: &PhysMem) -> Option<[u64; 4]> {
        ring.filled(self.prod.wr(), self.cons.rd()).filter(|filled| *filled > 0)?;
        let at = ring.address(ring.previous(self.prod.wr()));
        let half = |offset| mem.load128(at.checked_add(offset)?).ok();
        let ([word0, word1], [word2, word3]) = (half(0)?, half(16)?);
        Some([word0, word1, word2, word3])
    }

    /// Appends a record where the queue is not full, and says whether it is the only one.
    ///
    /// # Errors
    /// [`NotRam`] where it would lie outside memory; nothing is appended then.
    pub fn append(&mut self, ring: Ring, mem: &PhysMem, record: [u64; 4]) -> Result<bool, NotRam> {
        let mut bytes = [0; RECORD as usize];
        for (place, word) in bytes.chunks_exact_mut(8).zip(record) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        mem.write(ring.address(self.prod.wr()), &bytes)?;
        let first = ring.filled(self.prod.wr(), self.cons.rd()) == Some(0);
        self.prod = self.prod.with_wr(ring.next(self.prod.wr()));
        Ok(first)
    }

    /// A record was lost because the queue is full. Software is told once until it acknowledges
    /// [SMMUv3 7.4].
    pub fn overflow(&mut self) {
        self.prod = self.prod.with_ovflg(!self.cons.ovackflg());
    }
}
