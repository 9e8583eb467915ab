//! The way to memory during one step, on which the DMA that was held comes first.

use serde::{Deserialize, Serialize};

use super::Attachment;
use crate::fabric::{Abort, Access, AtomicOp, Outcome, Request, StallTag};

/// Status codes of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Code {
    Done = 1,
    Raz = 2,
    Ur = 3,
    Ca = 4,
    Malformed = 5,
}

/// Why a step ends before its work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It goes on after this many nanoseconds.
    Later(u64),
    /// The IOMMU holds a DMA, which has moved nothing.
    Held(StallTag),
    /// A descriptor could not be fetched, or its status not be written.
    RingFault,
}

/// The way to memory.
pub(super) struct Bus<'a> {
    pub(super) at: &'a mut dyn Attachment,
    /// How the next DMA ended while it was held.
    pub(super) answer: Option<Outcome>,
}

impl Bus<'_> {
    /// Reads inside of a page. What reads as zero does.
    pub(super) fn read(&mut self, request: Request, data: &mut [u8]) -> Result<Code, Stop> {
        let outcome = match self.answered(request, data.len(), Access::Read) {
            Some(outcome) => outcome,
            None => self.at.dma_read(request, data).outcome,
        };
        if outcome == Outcome::Raz {
            data.fill(0);
        }
        code(outcome)
    }

    /// Writes inside of a page.
    pub(super) fn write(&mut self, request: Request, data: &[u8]) -> Result<Code, Stop> {
        match self.answered(request, data.len(), Access::Write) {
            Some(outcome) => code(outcome),
            None => code(self.at.dma_write(request, data).outcome),
        }
    }

    /// Updates a number; what it was before, or why not.
    pub(super) fn atomic(&mut self, request: Request, op: AtomicOp) -> Result<Result<u64, Code>, Stop> {
        // 4 or 8.
        let result = match self.answered(request, op.size() as usize, Access::Atomic) {
            Some(outcome) => Err(outcome),
            None => self.at.dma_atomic(request, op),
        };
        match result {
            Ok(old) => Ok(Ok(old)),
            Err(outcome) => code(outcome).map(Err),
        }
    }

    fn answered(&mut self, request: Request, len: usize, access: Access) -> Option<Outcome> {
        let outcome = self.answer.take()?;
        self.at.dma_ended(request, len as u64, access, outcome);
        Some(outcome)
    }
}

fn code(outcome: Outcome) -> Result<Code, Stop> {
    match outcome {
        Outcome::Done => Ok(Code::Done),
        Outcome::Raz => Ok(Code::Raz),
        Outcome::Abort(Abort::Ur) => Ok(Code::Ur),
        Outcome::Abort(Abort::Ca) => Ok(Code::Ca),
        Outcome::Stalled(tag) => Err(Stop::Held(tag)),
    }
}
