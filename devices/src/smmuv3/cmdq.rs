//! The command queue's registers [SMMUv3 4, 6.3.26 to 6.3.28].

use serde::{Deserialize, Serialize};

use super::command::Error;
use super::regs::{CmdqCons, CmdqProd, QueueBase};
use super::ring::Ring;
use crate::addr::Pa;
use crate::mem::PhysMem;

/// Bytes of a command.
pub(super) const COMMAND: u64 = 16;

/// SMMU_CMDQ_BASE, _PROD and _CONS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommandQueue {
    pub base: QueueBase,
    pub prod: CmdqProd,
    pub cons: CmdqCons,
}

impl CommandQueue {
    /// How many commands wait; none where the indexes cannot be right, which stops the queue
    /// [SMMUv3 3.5.1].
    pub fn waiting(&self, ring: Ring) -> u32 {
        ring.filled(self.prod.wr(), self.cons.rd()).unwrap_or(0)
    }

    /// Reads the next command.
    ///
    /// # Errors
    /// [`Error::Abort`] where it lies outside memory.
    pub fn fetch(&self, ring: Ring, mem: &PhysMem) -> Result<[u64; 2], Error> {
        let at: Pa = ring.address(self.cons.rd());
        mem.load128(at).map_err(|_| Error::Abort)
    }

    /// Moves on to the command after it.
    pub fn advance(&mut self, ring: Ring) {
        self.cons = self.cons.with_rd(ring.next(self.cons.rd()));
    }

    /// Says why the queue stops; the command stays the next one [SMMUv3 7.1].
    pub fn fail(&mut self, error: Error) {
        self.cons = self.cons.with_err(error as u8);
    }
}
