//! Recording events and raising interrupts [SMMUv3 7.2 to 7.5, 3.18].
//!
//! Records are merged where that saves one from being lost: the queue is full, and the newest record in it
//! says the same already [SMMUv3 7.3.1]. While there is room each event has its own.

use super::{Control, STEP};
use crate::addr::Pa;
use crate::fabric::{Effect, Effects};
use crate::mem::NotRam;
use crate::smmuv3::event::{Reason, Report};
use crate::smmuv3::gerror::GlobalError;
use crate::smmuv3::interrupt::Source;
use crate::smmuv3::names::UNWANTED;
use crate::trace::TraceEvent;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Recorded,
    /// Its transaction is held, so it waits until the queue can be written.
    Waiting,
    /// CR2.RECINVSID or CR0.SMMUEN is 0.
    Unwanted,
    /// The newest record in the queue says the same.
    Merged,
    Disabled,
    Overflow,
    /// An abort of an earlier write is not acknowledged.
    Stopped,
    Aborted,
}

impl Fate {
    const fn describe(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Waiting => "waiting for the queue",
            Self::Unwanted => UNWANTED,
            Self::Merged => "merged with the record before it",
            Self::Disabled => "lost: the queue is off",
            Self::Overflow => "lost to overflow",
            Self::Stopped => "lost after a write that was aborted",
            Self::Aborted => "lost: the write was aborted",
        }
    }
}

impl Control {
    /// Records an event.
    pub fn report(&mut self, report: Report, fx: &mut Effects) {
        let words = report.record();
        let fate = self.record(&report, words, fx);
        let Report { reason, subject, .. } = report;
        fx.trace(|| TraceEvent::Event {
            unit: self.config.unit.name(),
            stream: subject.stream,
            kind: reason.code(),
            what: reason.name(),
            address: subject.address,
            words,
            fate: fate.describe(),
        });
    }

    fn record(&mut self, report: &Report, words: [u64; 4], fx: &mut Effects) -> Fate {
        if !self.wanted(report.reason) {
            return Fate::Unwanted;
        }
        if report.stall.is_none() {
            return if report.merge && self.recorded(words) { Fate::Merged } else { self.append(words, fx) };
        }
        // Behind those that wait already.
        if self.state.unwritten.first().is_none() && self.writable() {
            let fate = self.append(words, fx);
            if fate == Fate::Recorded {
                return fate;
            }
        }
        self.state.unwritten.push(*report, self.config.idr5.stall_max());
        Fate::Waiting
    }

    /// Whether such an event is recorded at all [SMMUv3 6.3.9, 6.3.12].
    fn wanted(&self, reason: Reason) -> bool {
        match reason {
            Reason::UnsupportedTransaction | Reason::TranslationForbidden => true,
            Reason::BadStreamId => self.state.cr0.smmuen() && self.state.cr2.recinvsid(),
            _ => self.state.cr0.smmuen(),
        }
    }

    /// What keeps a record out of the queue now [SMMUv3 7.2.1].
    fn obstacle(&self) -> Option<Fate> {
        let s = &self.state;
        if !s.cr0.eventqen() {
            Some(Fate::Disabled)
        } else if s.errors.active(GlobalError::EventqAbort) {
            Some(Fate::Stopped)
        } else {
            s.events.full(self.event_ring()).then_some(Fate::Overflow)
        }
    }

    fn writable(&self) -> bool {
        self.obstacle().is_none()
    }

    /// What would become of an event, in words.
    pub(in crate::smmuv3) fn fate(&self, report: &Report) -> &'static str {
        let waits = report.stall.is_some();
        let fate = if !self.wanted(report.reason) {
            Fate::Unwanted
        } else if !waits && report.merge && self.recorded(report.record()) {
            Fate::Merged
        } else if waits && self.state.unwritten.first().is_some() {
            Fate::Waiting
        } else {
            let events = &self.state.events;
            let aborted = || (!events.has_room(self.event_ring(), &self.mem)).then_some(Fate::Aborted);
            match self.obstacle().or_else(aborted) {
                None => Fate::Recorded,
                Some(_) if waits => Fate::Waiting,
                Some(fate) => fate,
            }
        };
        fate.describe()
    }

    /// Whether a record, of a transaction that is not held, would be lost to a full queue whose newest
    /// record differs from it in nothing but the offset in the page.
    fn recorded(&self, words: [u64; 4]) -> bool {
        let (s, ring) = (&self.state, self.event_ring());
        if !s.cr0.eventqen() || s.errors.active(GlobalError::EventqAbort) || !s.events.full(ring) {
            return false;
        }
        // Bits 11:0 of InputAddr; a record without one has zeros there.
        let page = |[word0, word1, address, word3]: [u64; 4]| [word0, word1, address & !0xfff, word3];
        s.events.newest(ring, &self.mem).is_some_and(|newest| page(newest) == page(words))
    }

    /// Appends a record to the queue if it can be written.
    fn append(&mut self, words: [u64; 4], fx: &mut Effects) -> Fate {
        let ring = self.event_ring();
        if let Some(fate) = self.obstacle() {
            if fate == Fate::Overflow {
                self.state.events.overflow();
            }
            return fate;
        }
        match self.state.events.append(ring, &self.mem, words) {
            Ok(first) => {
                if first {
                    self.interrupt(Source::Eventq, fx);
                }
                Fate::Recorded
            }
            Err(NotRam) => {
                self.fail(GlobalError::EventqAbort, fx);
                Fate::Aborted
            }
        }
    }

    /// Writes records that waited until the queue can be written.
    pub(super) fn write_waiting_records(&mut self, fx: &mut Effects) {
        for _ in 0..STEP {
            let Some(words) = self.state.unwritten.first().map(Report::record) else { return };
            if !self.writable() || self.append(words, fx) != Fate::Recorded {
                return;
            }
            self.state.unwritten.pop();
        }
        if self.state.unwritten.first().is_some() && self.writable() {
            self.continue_later(fx);
        }
    }

    /// Makes a global error active, and tells of it if it was not.
    pub(super) fn fail(&mut self, error: GlobalError, fx: &mut Effects) {
        // That its own message had no taker is not worth another one [SMMUv3 7.5].
        if self.state.errors.raise(error) && error != GlobalError::MsiGerrorAbort {
            self.interrupt(Source::Gerror, fx);
        }
    }

    /// Raises an interrupt where software wants it: as a message, by wire, or both.
    fn interrupt(&mut self, source: Source, fx: &mut Effects) {
        let (s, wires) = (&self.state, self.config.wires);
        let (enabled, message, line, aborted) = match source {
            Source::Eventq => (
                s.irq_ctrl.eventq_irqen(),
                s.eventq_message,
                wires.map(|wires| wires.eventq),
                GlobalError::MsiEventqAbort,
            ),
            Source::Gerror => (
                s.irq_ctrl.gerror_irqen(),
                s.gerror_message,
                wires.map(|wires| wires.gerror),
                GlobalError::MsiGerrorAbort,
            ),
        };
        if !enabled {
            return;
        }
        if let Some((address, data)) = message.target()
            && self.send(address, data, fx).is_err()
        {
            self.fail(aborted, fx);
        }
        if let Some(line) = line {
            fx.push(Effect::Pulse { line });
        }
    }

    /// Sends a message: to the doorbell by way of the machine, else to memory [SMMUv3 3.18].
    pub(super) fn send(&self, address: u64, data: u32, fx: &mut Effects) -> Result<(), NotRam> {
        // Address bits beyond the output size are dropped [SMMUv3 3.4.3].
        let address = address & self.config.pa_mask();
        if self.config.doorbell.is_some_and(|doorbell| doorbell.contains(Pa(address))) {
            fx.push(Effect::PostedWrite { unit: self.config.unit, address, data });
            return Ok(());
        }
        self.mem.write(Pa(address), &data.to_le_bytes())
    }
}
