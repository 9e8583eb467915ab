//! Effects: what models want done elsewhere, done after they have returned.

use devices::fabric::{Effect, Effects};
use devices::trace::TraceEvent;
use serde::{Deserialize, Serialize};

use super::Machine;
use super::board::Sender;
use super::unit::{Remapper, Unit};

/// An interrupt on its way to the processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interrupt {
    /// A message to the window at 0xfee00000.
    Message {
        /// Address written.
        address: u64,
        /// Data written; bits 7:0 are the vector.
        data: u32,
    },
    /// A level-triggered line changed. The machine's own interrupt controllers know already.
    Line {
        /// Global system interrupt number; on virt the number of the shared peripheral interrupt.
        line: u32,
        /// The new level.
        asserted: bool,
    },
    /// An edge on a line. The machine's own interrupt controllers know already.
    Pulse {
        /// The line.
        line: u32,
    },
    /// An IOMMU sent an event to all processors, as the instruction SEV does: a wait by WFE ends.
    Event,
}

impl Machine {
    /// The interrupts that arrived since the last call, oldest first. A driver takes them after
    /// each access and each [`Machine::advance`].
    pub fn take_interrupts(&mut self) -> Vec<Interrupt> {
        std::mem::take(&mut self.interrupts)
    }

    /// An empty output for the next call of a model.
    pub(super) fn effects(&self) -> Effects {
        Effects::new(self.now, self.sink.is_some())
    }

    /// Delivers what a model left in `fx`, and what that delivery makes of it in turn.
    ///
    /// This ends: a line has messages and faults for effects, a fault has messages, edges and events,
    /// a message has events, and those have none. Only a transaction that is retried can fault again,
    /// and what comes of that retries nothing: it takes a command of software.
    pub(super) fn deliver(&mut self, mut fx: Effects) {
        loop {
            self.emit(&mut fx);
            let effects = fx.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.deliver_one(effect, &mut fx);
            }
        }
    }

    fn deliver_one(&mut self, effect: Effect, fx: &mut Effects) {
        match effect {
            Effect::Interrupt { initiator, address, data } => {
                self.message(Sender::Master(initiator), address, data, fx);
            }
            Effect::PostedWrite { unit, address, data } => {
                if self.board.posted_write(&self.phys, address, data) {
                    self.message(Sender::Unit(unit), address, data, fx);
                }
            }
            Effect::Fault { unit, fault } => {
                if let Some(Remapper { unit: Unit::Vtd(unit), device, .. }) = self.units.get_mut(unit.index())
                {
                    fx.set_device(*device);
                    unit.fault(fault, fx);
                }
            }
            Effect::Event { unit, report } => {
                if let Some(Remapper { unit: Unit::Smmuv3(unit), device, .. }) =
                    self.units.get_mut(unit.index())
                {
                    fx.set_device(*device);
                    unit.report(report, fx);
                }
            }
            Effect::Stale { unit, stale } => fx.trace(|| TraceEvent::Stale { unit: unit.name(), stale }),
            Effect::Line { line, asserted } => {
                fx.trace(|| TraceEvent::Line { line, asserted });
                self.interrupts.push(Interrupt::Line { line, asserted });
                self.board.set_line(line, asserted, fx);
            }
            Effect::Pulse { line } => {
                fx.trace(|| TraceEvent::Line { line, asserted: true });
                fx.trace(|| TraceEvent::Line { line, asserted: false });
                self.interrupts.push(Interrupt::Pulse { line });
                self.board.pulse_line(line, fx);
            }
            Effect::SendEvent { .. } => self.interrupts.push(Interrupt::Event),
            Effect::Resume { tag, how } => self.platform.resume(tag, how, fx),
            Effect::Schedule { device, time, event } => self.events.push(time, device, event),
        }
    }

    fn message(&mut self, sender: Sender, address: u64, data: u32, fx: &mut Effects) {
        let unit = match sender {
            Sender::Unit(unit) => Some(unit.name()),
            Sender::Master(_) => None,
        };
        fx.trace(|| TraceEvent::Interrupt { unit, address, data });
        self.interrupts.extend(self.board.message(sender, address, data, fx));
    }

    fn emit(&mut self, fx: &mut Effects) {
        if let Some(sink) = &mut self.sink {
            for event in fx.take_trace() {
                sink.record(self.now, &event);
            }
        }
    }
}
