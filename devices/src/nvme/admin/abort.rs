//! Abort [NVMe 5.1].

use super::super::command::Command;
use super::super::completion::Status;
use super::super::controller::{Active, Controller, Outside};
use super::super::data::Stop;
use super::super::engine::{Begun, QueueFault};
use super::ABORT;

/// Abort commands that can be under way at once; ACL is one less.
pub(super) const LIMIT: usize = 4;

/// Bit 0 of dword 0 of the completion: the command was not aborted.
const NOT_ABORTED: u32 = 1;

impl Controller {
    /// Ends a command that has been fetched and not begun, or a request for an event. Its completion is
    /// posted before that of the Abort.
    pub(super) fn abort(&mut self, command: Command, out: &mut Outside<'_, '_>) -> Result<Begun, Stop> {
        let aborts = |active: &&Active| active.queue == 0 && active.command.opc() == ABORT;
        if self.active.iter().filter(aborts).count() > LIMIT {
            return Err(Status::AbortLimitExceeded.into());
        }
        // The two halves of the dword.
        let (queue, cid) = (command.cdw10() as u16, (command.cdw10() >> 16) as u16);
        // The first command is this one.
        let found = (1..self.active.len())
            .find(|at| self.active[*at].queue == queue && self.active[*at].command.cid() == cid);
        let aborted = match found {
            Some(at) => self.active.remove(at).map(|active| active.command),
            None if queue == 0 && self.events.holds(cid) && self.can_post(0) => {
                self.events.release(cid);
                Some(Command::ZERO.with_cid(cid))
            }
            None => None,
        };
        let Some(aborted) = aborted else { return Ok(Begun::Done(NOT_ABORTED)) };
        let posted = self.complete(queue, aborted, Err(Status::CommandAbortRequested), out);
        posted.map_err(|QueueFault| Stop::Broken)?;
        Ok(Begun::Done(0))
    }
}
