//! The way to memory during one step.

use super::super::completion::Status;
use crate::fabric::{Outcome, Request};
use crate::pci::Context;

/// Why a command does not go on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Stop {
    /// The step has done enough; it goes on in the next.
    Later,
    /// It has failed.
    Failed(Status),
    /// Its queue could not be written.
    Broken,
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}

/// The way to memory, for a bounded number of requests.
pub(in super::super) struct Bus<'a, 'b> {
    pub(in super::super) cx: &'a mut Context<'b>,
    /// Requests, each of at most a page, that are left in this step.
    pub(in super::super) pieces: u32,
}

/// A request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Refused;

impl Bus<'_, '_> {
    /// Whether the step has done enough.
    pub(in super::super) fn is_exhausted(&self) -> bool {
        self.pieces == 0
    }

    /// Counts something as `pieces` requests.
    pub(in super::super) fn charge(&mut self, pieces: u32) {
        self.pieces = self.pieces.saturating_sub(pieces);
    }

    /// Reads for a command, inside a page.
    pub(in super::super) fn read(&mut self, address: u64, data: &mut [u8]) -> Result<(), Stop> {
        if self.is_exhausted() {
            return Err(Stop::Later);
        }
        self.read_entry(Some(address), data).map_err(|Refused| Stop::Failed(Status::DataTransferError))
    }

    /// Writes for a command, inside a page.
    pub(in super::super) fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Stop> {
        if self.is_exhausted() {
            return Err(Stop::Later);
        }
        self.write_entry(Some(address), data).map_err(|Refused| Stop::Failed(Status::DataTransferError))
    }

    /// Reads, even where the step has done enough.
    pub(in super::super) fn read_entry(
        &mut self,
        address: Option<u64>,
        data: &mut [u8],
    ) -> Result<(), Refused> {
        self.charge(1);
        match self.cx.dma_read(Request::at(address.ok_or(Refused)?), data).outcome {
            Outcome::Done => Ok(()),
            // Zeros is what the bus returned.
            Outcome::Raz => {
                data.fill(0);
                Ok(())
            }
            // A function of PCI is never held.
            Outcome::Abort(_) | Outcome::Stalled(_) => Err(Refused),
        }
    }

    /// Writes, even where the step has done enough.
    pub(in super::super) fn write_entry(&mut self, address: Option<u64>, data: &[u8]) -> Result<(), Refused> {
        self.charge(1);
        match self.cx.dma_write(Request::at(address.ok_or(Refused)?), data).outcome {
            Outcome::Done | Outcome::Raz => Ok(()),
            Outcome::Abort(_) | Outcome::Stalled(_) => Err(Refused),
        }
    }
}
