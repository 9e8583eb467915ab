//! Whether a saved controller is one that can be.

use super::controller::{Controller, Work};
use super::engine::QUEUE_ACTIVE_MAX;
use super::{LBA, QUEUES};

/// Bytes of the longest Write Zeroes.
const ZEROES_MAX: u64 = LBA << 16;

impl Controller {
    /// Says what is wrong with it, if anything is.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let Self {
            cc: _,
            aqa: _,
            asq: _,
            acq: _,
            ready,
            fatal: _,
            shutdown: _,
            submission,
            completion,
            turn,
            active,
            work,
            features,
            interrupts: _,
            events,
            errors,
            health: _,
        } = self;
        let has_completion = |id: u16| completion.get(usize::from(id)).is_some_and(Option::is_some);
        let has_submission = |id: u16| submission.get(usize::from(id)).is_some_and(Option::is_some);
        if submission.iter().flatten().any(|queue| !queue.is_valid() || !has_completion(queue.completion))
            || completion.iter().flatten().any(|queue| !queue.is_valid())
            || *ready != has_submission(0)
            || turn.queue >= QUEUES
        {
            return Err("its queues");
        }
        let too_many = |id| active.iter().filter(|active| active.queue == id).count() > QUEUE_ACTIVE_MAX;
        if active.iter().any(|active| !has_submission(active.queue)) || (0..QUEUES).any(too_many) {
            return Err("the commands under way");
        }
        let work_is_valid = match work {
            None => true,
            Some(Work::Transfer(transfer)) => !active.is_empty() && transfer.is_valid(),
            Some(Work::Zero(done)) => !active.is_empty() && *done <= ZEROES_MAX,
        };
        if !work_is_valid {
            return Err("the transfer under way");
        }
        if !features.is_valid() {
            return Err("its features");
        }
        if events.is_valid() && errors.is_valid() { Ok(()) } else { Err("its events or its error log") }
    }
}
