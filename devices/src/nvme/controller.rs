//! The controller: registers, queues and the commands under way.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::asynchronous::Events;
use super::command::Command;
use super::completion::Status;
use super::data::{Bus, Transfer};
use super::error_log::ErrorLog;
use super::features::Features;
use super::health::Health;
use super::interrupts::Interrupts;
use super::medium::Medium;
use super::queue::{BadValue, CompletionQueue, SubmissionQueue};
use super::regs::{Aqa, CAP, Cc, Doorbell};
use super::{Config, LBA, QUEUES};
use crate::events::Time;
use crate::pci::{Context, Timer};

/// The state of a controller; its medium is apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Controller {
    pub(super) cc: Cc,
    pub(super) aqa: Aqa,
    pub(super) asq: u64,
    pub(super) acq: u64,
    /// CSTS.RDY: commands are accepted.
    pub(super) ready: bool,
    /// CSTS.CFS.
    pub(super) fatal: bool,
    pub(super) shutdown: Shutdown,
    pub(super) submission: [Option<SubmissionQueue>; QUEUES as usize],
    pub(super) completion: [Option<CompletionQueue>; QUEUES as usize],
    /// Whose turn it is to be fetched from.
    pub(super) turn: Turn,
    /// Commands that were fetched and have not completed, in the order in which they are performed.
    pub(super) active: VecDeque<Active>,
    /// What was begun of the first of them.
    pub(super) work: Option<Work>,
    pub(super) features: Features,
    pub(super) interrupts: Interrupts,
    pub(super) events: Events,
    pub(super) errors: ErrorLog,
    pub(super) health: Health,
}

/// CSTS.SHST [NVMe 3.1.6].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Shutdown {
    #[default]
    Normal = 0b00,
    Occurring = 0b01,
    Complete = 0b10,
}

/// Round robin arbitration [NVMe 4.13.1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turn {
    pub(super) queue: u16,
    /// Commands that have been fetched in this turn.
    pub(super) fetched: u32,
}

/// A command that has been fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Active {
    /// Its submission queue.
    pub(super) queue: u16,
    /// When it is its turn.
    pub(super) due: Time,
    pub(super) command: Command,
    /// It fails in any case.
    pub(super) verdict: Option<Status>,
}

/// A command that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    /// Its data is on its way.
    Transfer(Transfer),
    /// Write Zeroes has done this many bytes.
    Zero(u64),
}

/// What a controller works with.
pub(super) struct Outside<'a, 'b> {
    pub(super) config: &'a Config,
    pub(super) medium: &'a mut dyn Medium,
    pub(super) bus: Bus<'a, 'b>,
}

impl Controller {
    /// Bytes of a memory page, 4 to 64 KiB.
    pub(super) fn page(&self) -> u64 {
        1 << (12 + self.cc.mps().min(CAP.mpsmax()))
    }

    /// CC was written.
    pub(super) fn configure(&mut self, value: Cc, out: &mut Outside<'_, '_>) {
        let before = self.cc;
        self.cc = value;
        if before.en() {
            // What an enabled controller has latched.
            self.cc = self.cc.with_ams(before.ams()).with_mps(before.mps()).with_css(before.css());
        }
        match (before.en(), value.en()) {
            (true, false) => self.reset_controller(out.bus.cx),
            (false, true) => self.enable(),
            _ => {}
        }
        if value.shn() != 0 && before.shn() == 0 && self.shutdown == Shutdown::Normal {
            self.shutdown = Shutdown::Occurring;
        }
        self.run(out);
    }

    /// CC.EN became 1. A configuration that CAP does not allow is fatal.
    fn enable(&mut self) {
        self.shutdown = Shutdown::Normal;
        let (cc, aqa) = (self.cc, self.aqa);
        let valid = cc.mps() <= CAP.mpsmax()
            && cc.css() == 0
            && cc.ams() == 0
            && aqa.asqs() != 0
            && aqa.acqs() != 0
            && self.asq.is_multiple_of(self.page())
            && self.acq.is_multiple_of(self.page());
        if !valid {
            self.fatal = true;
            return;
        }
        let size = |last: u16| u32::from(last) + 1;
        // The admin completion queue is vector 0's [NVMe 3.1.10].
        self.completion[0] = Some(CompletionQueue::new(self.acq, size(aqa.acqs()), Some(0)));
        self.submission[0] = Some(SubmissionQueue::new(self.asq, size(aqa.asqs()), 0));
        self.ready = true;
    }

    /// CC.EN became 0 [NVMe 7.3.2]: queues, commands and features go; the registers of the admin queue
    /// and the logs stay.
    fn reset_controller(&mut self, cx: &mut Context<'_>) {
        let Self { cc, aqa, asq, acq, errors, health, .. } = self;
        let (errors, health) = (std::mem::take(errors), std::mem::take(health));
        *self = Self { cc: *cc, aqa: *aqa, asq: *asq, acq: *acq, errors, health, ..Self::default() };
        cx.clear_timer(Timer::Main);
        cx.clear_timer(Timer::Second);
    }

    /// Nothing goes on until the controller is reset.
    pub(super) fn fail(&mut self) {
        self.fatal = true;
        self.active.clear();
        self.work = None;
    }

    /// A doorbell was written.
    pub(super) fn doorbell(&mut self, doorbell: Doorbell, value: u32, out: &mut Outside<'_, '_>) {
        if !self.ready || self.fatal {
            return;
        }
        // Bits 31:16 are reserved.
        let value = value & 0xffff;
        let rung = match doorbell {
            Doorbell::Tail(id) => self
                .submission
                .get_mut(usize::from(id))
                .and_then(Option::as_mut)
                .map(|queue| queue.set_tail(value)),
            Doorbell::Head(id) => self
                .completion
                .get_mut(usize::from(id))
                .and_then(Option::as_mut)
                .map(|queue| queue.set_head(value)),
        };
        match rung {
            Some(Ok(())) => {}
            Some(Err(BadValue)) => self.report_doorbell(super::asynchronous::Event::InvalidDoorbellValue),
            None => self.report_doorbell(super::asynchronous::Event::InvalidDoorbell),
        }
        self.run(out);
    }

    /// Blocks of the namespace.
    pub(super) fn blocks(medium: &dyn Medium) -> u64 {
        medium.bytes() / LBA
    }
}
