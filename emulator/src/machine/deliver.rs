//! Effects: what models want done elsewhere, done after they have returned.

use devices::fabric::{Effect, Effects, Initiator, posted_write};
use devices::trace::TraceEvent;
use serde::{Deserialize, Serialize};

use super::lines::Input;
use super::{Machine, Remapper};

/// Data bit of a message: level triggered [SDM 11.11.2].
const LEVEL: u32 = 1 << 15;

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
        /// Global system interrupt number.
        line: u32,
        /// The new level.
        asserted: bool,
    },
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
    /// This ends: a line has messages and faults for effects, a fault has messages and events, and
    /// those have none. No delivery performs a DMA that could fault again.
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
                if matches!(initiator, Initiator::IoApic { .. }) && data & LEVEL != 0 {
                    self.routes.touch();
                }
                self.message(None, address, data, fx);
            }
            Effect::PostedWrite { unit, address, data } => {
                if posted_write(&self.phys, address, data) {
                    self.message(Some(unit.name()), address, data, fx);
                }
            }
            Effect::Fault { unit, fault } => {
                if let Some(Remapper { unit, device, .. }) = self.units.get_mut(unit.index()) {
                    fx.set_device(*device);
                    unit.fault(fault, fx);
                }
            }
            Effect::Stale { unit, stale } => fx.trace(|| TraceEvent::Stale { unit: unit.name(), stale }),
            Effect::Line { line, asserted } => {
                fx.trace(|| TraceEvent::Line { line, asserted });
                self.interrupts.push(Interrupt::Line { line, asserted });
                for (input, asserted) in self.lines.set(line, asserted) {
                    match input {
                        Input::Pic(irq) => self.pic.set_line(irq, asserted),
                        Input::IoApic(pin) => self.ioapic.set_line(pin, asserted, fx),
                    }
                }
            }
            Effect::Schedule { device, time, event } => self.events.push(time, device, event),
        }
    }

    fn message(&mut self, unit: Option<&'static str>, address: u64, data: u32, fx: &mut Effects) {
        fx.trace(|| TraceEvent::Interrupt { unit, address, data });
        self.interrupts.push(Interrupt::Message { address, data });
    }

    fn emit(&mut self, fx: &mut Effects) {
        if let Some(sink) = &mut self.sink {
            for event in fx.take_trace() {
                sink.record(self.now, &event);
            }
        }
    }
}
