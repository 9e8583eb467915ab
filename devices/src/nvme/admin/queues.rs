//! Creation and deletion of I/O queues [NVMe 5.3 to 5.6].

use super::super::command::Command;
use super::super::completion::Status;
use super::super::controller::{Controller, Outside};
use super::super::data::Stop;
use super::super::engine::{Begun, QueueFault};
use super::super::queue::{CompletionQueue, SubmissionQueue};
use super::super::{QUEUE_ENTRIES_MAX, VECTORS};

/// Bytes of entries as powers of 2, which CC.IOSQES and CC.IOCQES must name.
const IOSQES: u8 = 6;
const IOCQES: u8 = 4;
/// Bit 0 of dword 11: the queue is contiguous, which CAP.CQR wants.
const CONTIGUOUS: u32 = 1;
/// Bit 1: the completion queue raises its vector.
const INTERRUPTS: u32 = 1 << 1;

impl Controller {
    /// Create I/O Completion Queue [NVMe 5.3].
    pub(super) fn create_completion_queue(&mut self, command: Command) -> Result<(), Status> {
        let id = queue_id(command);
        if id == 0 || id > self.features.completion_queues() || self.completion[usize::from(id)].is_some() {
            return Err(Status::InvalidQueueId);
        }
        let size = size(command)?;
        if self.cc.iocqes() != IOCQES {
            return Err(Status::InvalidQueueSize);
        }
        let base = self.base(command)?;
        // Bits 31:16.
        let vector = (command.cdw11() >> 16) as u16;
        if vector >= VECTORS {
            return Err(Status::InvalidVector);
        }
        let vector = (command.cdw11() & INTERRUPTS != 0).then_some(vector);
        self.completion[usize::from(id)] = Some(CompletionQueue::new(base, size, vector));
        Ok(())
    }

    /// Create I/O Submission Queue [NVMe 5.4].
    pub(super) fn create_submission_queue(&mut self, command: Command) -> Result<(), Status> {
        let id = queue_id(command);
        if id == 0 || id > self.features.submission_queues() || self.submission[usize::from(id)].is_some() {
            return Err(Status::InvalidQueueId);
        }
        // Bits 31:16.
        let completion = (command.cdw11() >> 16) as u16;
        if completion == 0 || completion > self.features.completion_queues() {
            return Err(Status::InvalidQueueId);
        }
        if self.completion[usize::from(completion)].is_none() {
            return Err(Status::CompletionQueueInvalid);
        }
        let size = size(command)?;
        if self.cc.iosqes() != IOSQES {
            return Err(Status::InvalidQueueSize);
        }
        let base = self.base(command)?;
        self.submission[usize::from(id)] = Some(SubmissionQueue::new(base, size, completion));
        Ok(())
    }

    /// Delete I/O Submission Queue [NVMe 5.6]. Commands of the queue that have been fetched are aborted;
    /// those that have not are forgotten.
    pub(super) fn delete_submission_queue(
        &mut self,
        command: Command,
        out: &mut Outside<'_, '_>,
    ) -> Result<Begun, Stop> {
        let id = queue_id(command);
        if id == 0 || self.submission.get(usize::from(id)).is_none_or(Option::is_none) {
            return Err(Status::InvalidQueueId.into());
        }
        while let Some(at) = self.active.iter().position(|active| active.queue == id) {
            if let Some(aborted) = self.active.remove(at) {
                let posted = self.complete(id, aborted.command, Err(Status::AbortedBySqDeletion), out);
                posted.map_err(|QueueFault| Stop::Broken)?;
            }
        }
        self.submission[usize::from(id)] = None;
        Ok(Begun::Done(0))
    }

    /// Delete I/O Completion Queue [NVMe 5.5].
    pub(super) fn delete_completion_queue(&mut self, command: Command) -> Result<(), Status> {
        let id = queue_id(command);
        if id == 0 || self.completion.get(usize::from(id)).is_none_or(Option::is_none) {
            return Err(Status::InvalidQueueId);
        }
        if self.submission.iter().flatten().any(|queue| queue.completion == id) {
            return Err(Status::InvalidQueueDeletion);
        }
        self.completion[usize::from(id)] = None;
        Ok(())
    }

    /// The memory of a queue that is created.
    fn base(&self, command: Command) -> Result<u64, Status> {
        if command.cdw11() & CONTIGUOUS == 0 {
            return Err(Status::InvalidField);
        }
        let base = command.prp1();
        if base.is_multiple_of(self.page()) { Ok(base) } else { Err(Status::PrpOffsetInvalid) }
    }
}

fn queue_id(command: Command) -> u16 {
    // Bits 15:0.
    command.cdw10() as u16
}

/// Entries of a queue that is created; the command has one less.
fn size(command: Command) -> Result<u32, Status> {
    let size = (command.cdw10() >> 16) + 1;
    if (2..=u32::from(QUEUE_ENTRIES_MAX)).contains(&size) { Ok(size) } else { Err(Status::InvalidQueueSize) }
}
