//! Working off the command queue [SMMUv3 4.8, 7.1].

use super::{Control, STEP};
use crate::fabric::{Effect, Effects, Resumption};
use crate::smmuv3::command::{Command, Error, Signal, decode, name};
use crate::smmuv3::gerror::GlobalError;
use crate::smmuv3::invalidation::{AddressRange, ConfigScope, Release, TlbScope};
use crate::smmuv3::regs::Cr0;
use crate::trace::TraceEvent;

impl Control {
    /// Fetches and processes commands until the queue is empty, stops at an error, or the bound of one
    /// step is reached.
    pub(super) fn run_commands(&mut self, fx: &mut Effects) {
        for _ in 0..STEP {
            if !self.commands_wait() {
                return;
            }
            if let Err(error) = self.process_command(fx) {
                self.state.commands.fail(error);
                self.fail(GlobalError::Cmdq, fx);
                return;
            }
        }
        if self.commands_wait() {
            self.continue_later(fx);
        }
    }

    fn commands_wait(&self) -> bool {
        let s = &self.state;
        s.cr0.cmdqen() && !s.errors.active(GlobalError::Cmdq) && s.commands.waiting(self.command_ring()) > 0
    }

    fn process_command(&mut self, fx: &mut Effects) -> Result<(), Error> {
        let ring = self.command_ring();
        let words = self.state.commands.fetch(ring, &self.mem)?;
        let index = u64::from(ring.slot(self.state.commands.cons.rd()));
        let unit = self.config.unit.name();
        let decoded = decode(words, &self.config, wildcard(self.state.cr0));
        fx.trace(|| TraceEvent::QueueEntry { unit, index, kind: name(words[0] as u8), words });
        let command = decoded?;
        if let Command::Sync(_) = command {
            self.changes.complete();
            self.retry_outdated(fx);
        }
        let was_full = self.state.commands.waiting(ring) == ring.entries();
        self.state.commands.advance(ring);
        if was_full && self.config.idr0.sev() {
            fx.push(Effect::SendEvent { unit: self.config.unit });
        }
        match command {
            Command::Prefetch => {}
            Command::Config(scope) => {
                let what = config_words(scope);
                fx.trace(|| TraceEvent::Invalidation { unit, what, domain: None, range: None });
                self.state.unwritten.outdate();
                self.changes.make().invalidate_config(scope);
            }
            Command::Tlb(scope) => {
                let (what, domain, range) = tlb_words(scope);
                fx.trace(|| TraceEvent::Invalidation { unit, what, domain, range });
                self.state.unwritten.outdate();
                self.changes.make().invalidate_tlb(scope);
            }
            Command::Release(which, how) => self.release(which, how, fx),
            Command::Sync(signal) => self.signal(signal, fx),
        }
        Ok(())
    }

    /// Says that a CMD_SYNC is complete; CMDQ_CONS has passed it.
    fn signal(&mut self, signal: Signal, fx: &mut Effects) {
        match signal {
            Signal::None => {}
            Signal::Interrupt(message) => {
                if let Some((address, data)) = message
                    && self.send(address, data, fx).is_err()
                {
                    self.fail(GlobalError::MsiCmdqAbort, fx);
                }
                if let Some(wires) = self.config.wires {
                    fx.push(Effect::Pulse { line: wires.cmd_sync });
                }
            }
            Signal::Event => fx.push(Effect::SendEvent { unit: self.config.unit }),
        }
    }

    /// Lets held transactions go on, or end; none of their records is written after that.
    pub(super) fn release(&mut self, which: Release, how: Resumption, fx: &mut Effects) {
        let released = self.changes.make().release(which, how);
        if !released.is_empty() {
            self.state.unwritten.forget(which);
        }
        for (tag, how) in released {
            fx.push(Effect::Resume { tag, how });
        }
    }

    /// Retries transactions whose records wait for room since before an invalidation that is complete now
    /// [SMMUv3 3.12.2].
    fn retry_outdated(&mut self, fx: &mut Effects) {
        for report in self.state.unwritten.take_outdated() {
            if let Some(stag) = report.stall {
                self.release(Release::One { stream: report.subject.stream, stag }, Resumption::Retry, fx);
            }
        }
    }
}

/// VMID bits that an invalidation does not compare: as many as CR0.VMW says, up to four; its reserved
/// values count as none [SMMUv3 6.3.9].
fn wildcard(cr0: Cr0) -> u16 {
    match cr0.vmw() {
        bits @ 0..=4 => (1 << bits) - 1,
        _ => 0,
    }
}

const fn config_words(scope: ConfigScope) -> &'static str {
    match scope {
        ConfigScope::All => "all configuration",
        ConfigScope::Streams { .. } => "stream table entries",
        ConfigScope::Context { .. } => "a context descriptor",
        ConfigScope::Contexts(_) => "context descriptors of a stream",
    }
}

fn tlb_words(scope: TlbScope) -> (&'static str, Option<u16>, Option<(u64, u64)>) {
    let ends = |range: AddressRange| Some((range.first, range.last));
    match scope {
        TlbScope::El1All => ("all translations of EL1", None, None),
        TlbScope::El2All => ("all translations of EL2", None, None),
        TlbScope::Stage1 { vmid } => ("stage 1 translations of a VMID", Some(vmid.vmid), None),
        TlbScope::Vm { vmid } => ("translations of a VMID", Some(vmid.vmid), None),
        TlbScope::Asid { vmid, .. } => ("translations of an ASID", Some(vmid.vmid), None),
        TlbScope::Va { vmid, range, .. } => ("translations of addresses", Some(vmid.vmid), ends(range)),
        TlbScope::Ipa { vmid, range } => ("stage 2 translations of addresses", Some(vmid.vmid), ends(range)),
    }
}
