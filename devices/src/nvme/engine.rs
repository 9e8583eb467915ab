//! Steps: commands are fetched, performed and completed.

use super::command::Command;
use super::completion::{Completion, Status};
use super::controller::{Active, Controller, Outside, Shutdown, Turn, Work};
use super::data::{Direction, Refused, Stop};
use super::error_log::Entry;
use super::{LBA, QUEUES};
use crate::pci::Timer;

/// Most requests to memory of one step.
pub(super) const STEP: u32 = 256;
/// What a flush of the medium counts for.
const FLUSH: u32 = 16;
/// Most commands of one queue that are under way.
pub(super) const QUEUE_ACTIVE_MAX: usize = 32;
/// A burst of this code has no end [NVMe 5.21.1.1].
const UNLIMITED_BURST: u32 = 7;

/// A queue could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFault;

impl From<Refused> for QueueFault {
    fn from(_: Refused) -> Self {
        Self
    }
}

/// What became of a command that is begun.
pub(super) enum Begun {
    /// It is done, with this dword 0 of its completion.
    Done(u32),
    /// It completes when an event occurs.
    Held,
    /// There is more to do.
    Work(Work),
}

impl Controller {
    /// Goes on as far as the bounds of a step allow.
    pub(super) fn run(&mut self, out: &mut Outside<'_, '_>) {
        if self.ready && !self.fatal && self.serve(out) == Err(QueueFault) {
            self.fail();
        }
        if self.shutdown == Shutdown::Occurring && self.active.is_empty() {
            if self.flush_medium(out).is_err() {
                self.health.media_error();
            }
            self.shutdown = Shutdown::Complete;
        }
        self.end_step(out);
    }

    fn serve(&mut self, out: &mut Outside<'_, '_>) -> Result<(), QueueFault> {
        loop {
            self.report_events(out)?;
            self.fetch(out)?;
            if !self.perform(out)? {
                return Ok(());
            }
        }
    }

    /// Sends the interrupts that are due and sees to it that the controller is called again.
    pub(super) fn end_step(&mut self, out: &mut Outside<'_, '_>) {
        let exhausted = out.bus.is_exhausted();
        let cx = &mut *out.bus.cx;
        self.interrupts.send(&self.features, cx);
        cx.set_intx(self.interrupts.level(&self.completion));
        let now = cx.now();
        if exhausted && self.ready && !self.fatal {
            cx.set_timer(Timer::Main, 0);
        } else if let Some(first) = self.active.front() {
            cx.set_timer(Timer::Main, first.due.0.saturating_sub(now.0));
        }
    }

    /// Fetches commands round robin. None is fetched after a shutdown notification.
    fn fetch(&mut self, out: &mut Outside<'_, '_>) -> Result<(), QueueFault> {
        while self.shutdown == Shutdown::Normal
            && !out.bus.is_exhausted()
            && let Some(id) = self.arbitrate()
            && let Some(queue) = &mut self.submission[usize::from(id)]
        {
            let mut bytes = [0; 64];
            out.bus.read_entry(queue.next(), &mut bytes)?;
            queue.take();
            let command = Command::from_bytes(&bytes);
            let twice =
                self.active.iter().any(|other| other.queue == id && other.command.cid() == command.cid())
                    || (id == 0 && self.events.holds(command.cid()));
            let verdict = twice.then_some(Status::CommandIdConflict);
            let due = out.bus.cx.now().after(out.config.latency.into());
            self.active.push_back(Active { queue: id, due, command, verdict });
        }
        Ok(())
    }

    /// The queue to fetch from: the one whose turn it is until its burst ends, else the next that can be
    /// served.
    fn arbitrate(&mut self) -> Option<u16> {
        let burst = self.features.arbitration_burst();
        let Turn { queue, fetched } = self.turn;
        let goes_on = burst == UNLIMITED_BURST || fetched < 1 << burst;
        let first = if goes_on { queue } else { queue + 1 };
        let next = (0..QUEUES).map(|step| (first + step) % QUEUES).find(|id| self.can_fetch(*id))?;
        let fetched = if next == queue && goes_on { fetched.saturating_add(1) } else { 1 };
        self.turn = Turn { queue: next, fetched };
        Some(next)
    }

    /// Whether queue `id` has a command and its completion will have a place [NVMe 4.1].
    fn can_fetch(&self, id: u16) -> bool {
        let Some(queue) = self.submission.get(usize::from(id)).copied().flatten() else { return false };
        if queue.is_empty() || self.active_of(id) >= QUEUE_ACTIVE_MAX {
            return false;
        }
        self.can_post(queue.completion)
    }

    fn active_of(&self, id: u16) -> usize {
        self.active.iter().filter(|active| active.queue == id).count()
    }

    /// Whether completion queue `id` has room beside what is under way.
    pub(super) fn can_post(&self, id: u16) -> bool {
        let Some(queue) = self.completion.get(usize::from(id)).copied().flatten() else { return false };
        let completes_there = |active: &&Active| {
            self.submission[usize::from(active.queue)].is_some_and(|queue| queue.completion == id)
        };
        (queue.free() as usize) > self.active.iter().filter(completes_there).count()
    }

    /// Performs the first command, if it is its turn. Returns whether it is done with.
    fn perform(&mut self, out: &mut Outside<'_, '_>) -> Result<bool, QueueFault> {
        let Some(first) = self.active.front() else { return Ok(false) };
        if first.due > out.bus.cx.now() || out.bus.is_exhausted() {
            return Ok(false);
        }
        let (queue, command) = (first.queue, first.command);
        let ended = match (first.verdict, self.work.take()) {
            (Some(status), _) => Err(Stop::Failed(status)),
            (None, Some(work)) => self.go_on(queue, command, work, out),
            // Fused operations are not advertised.
            (None, None) if command.fuse() != 0 => Err(Stop::Failed(Status::InvalidField)),
            (None, None) if queue == 0 => self.begin_admin(command, out),
            (None, None) => self.begin_io(command, out),
        };
        let result = match ended {
            Err(Stop::Later) => return Ok(false),
            Err(Stop::Broken) => return Err(QueueFault),
            Ok(Begun::Work(work)) => {
                self.work = Some(work);
                return Ok(true);
            }
            Ok(Begun::Done(dw0)) => Some(Ok(dw0)),
            Ok(Begun::Held) => None,
            Err(Stop::Failed(status)) => Some(Err(status)),
        };
        self.active.pop_front();
        if let Some(result) = result {
            self.complete(queue, command, result, out)?;
        }
        Ok(true)
    }

    /// Does what is left of a command that was begun.
    fn go_on(
        &mut self,
        queue: u16,
        command: Command,
        work: Work,
        out: &mut Outside<'_, '_>,
    ) -> Result<Begun, Stop> {
        let mut transfer = match work {
            Work::Transfer(transfer) => transfer,
            Work::Zero(done) => return self.go_on_zeroing(command, done, out),
        };
        match (transfer.advance(self.page(), &mut out.bus), transfer.direction()) {
            (Err(stop), _) => {
                self.work = (stop == Stop::Later).then_some(Work::Transfer(transfer));
                Err(stop)
            }
            (Ok(()), Direction::ToHost) if queue == 0 => {
                self.log_was_read(command);
                Ok(Begun::Done(0))
            }
            (Ok(()), Direction::ToHost) => {
                self.health.read(transfer.into_data().len() as u64 / LBA);
                Ok(Begun::Done(0))
            }
            (Ok(()), Direction::ToController) => self.received(command, transfer.into_data(), out),
        }
    }

    /// Posts the completion of a command that is not under way any more.
    pub(super) fn complete(
        &mut self,
        id: u16,
        command: Command,
        result: Result<u32, Status>,
        out: &mut Outside<'_, '_>,
    ) -> Result<(), QueueFault> {
        let Some(queue) = self.submission.get(usize::from(id)).copied().flatten() else { return Ok(()) };
        let Some(completion) = &mut self.completion[usize::from(queue.completion)] else { return Ok(()) };
        let (address, phase) = completion.next();
        let entry =
            Completion::ZERO.with_sqhd(queue.head()).with_sqid(id).with_cid(command.cid()).with_phase(phase);
        let entry = match result {
            Ok(dw0) => entry.with_dw0(dw0),
            Err(status) => {
                self.errors.add(Entry::of(id, command, status));
                entry.with_status(status.code()).with_more(true).with_dnr(status.do_not_retry())
            }
        };
        out.bus.write_entry(address, &entry.to_bytes())?;
        completion.post();
        if let Some(vector) = completion.vector {
            self.interrupts.posted(vector, queue.completion == 0);
        }
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn flush_medium(&mut self, out: &mut Outside<'_, '_>) -> Result<(), Status> {
        out.bus.charge(FLUSH);
        out.medium.flush().map_err(|_| Status::WriteFault)
    }
}
