//! Arm SMMUv3, register by register [SMMUv3 6], Non-secure state.
//!
//! A [`Unit`] has two halves. [`control::Control`] is what software meets: registers, the command queue,
//! the event queue, global errors and interrupts. [`translate::Translator`] is what bus masters meet:
//! stream table, context descriptors, both stages of translation, the caches. The first drives the second
//! through [`invalidation::BackEnd`].
//!
//! What the ID registers do not report is not there: Secure and Realm state, ATS and page requests,
//! VMSAv8-32, ATOS, MPAM, broadcast TLB maintenance, enhanced command queues. Their registers read zero
//! and ignore writes, and their commands are illegal.

pub mod capability;
mod cmdq;
pub mod command;
pub mod control;
pub mod event;
mod eventq;
pub mod explain;
mod gerror;
mod interrupt;
pub mod invalidation;
mod map;
pub mod names;
mod record;
pub mod regs;
mod ring;
mod stall;
pub mod stream_map;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod translate;
pub mod vmsa;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::events::DeviceEvent;
use crate::fabric::{Effects, Translate};
use crate::mem::PhysMem;
pub use capability::Config;
use control::Control;
pub use event::Report;
pub use regs::REGISTERS_SIZE;
use translate::Translator;
pub use translate::{Missing, StaleUse};

/// An SMMU.
pub struct Unit {
    control: Control,
    translator: Arc<Translator>,
}

/// A saved [`Unit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    control: control::State,
    translator: translate::State,
}

impl Unit {
    /// A unit as after reset, whose tables and queues lie in `mem`.
    pub fn new(config: Config, mem: PhysMem) -> Self {
        let translator = Arc::new(Translator::new(&config, mem.clone()));
        Self { control: Control::new(config, mem, translator.clone()), translator }
    }

    /// The half that bus masters meet.
    pub fn translator(&self) -> Arc<dyn Translate> {
        self.translator.clone()
    }

    /// Software reads `data.len()` bytes at `offset` of the register file. Only aligned dwords, and 64-bit
    /// registers as a whole, are served [SMMUv3 6.2]; anything else reads zero.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        self.control.read(offset, data, fx);
    }

    /// Software writes `data` at `offset`; what [`Self::read`] would not serve is ignored.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        self.control.write(offset, data, fx);
    }

    /// Delivers an event that the unit asked for.
    pub fn event(&mut self, event: DeviceEvent, fx: &mut Effects) {
        self.control.event(event, fx);
    }

    /// Delivers what the translating half has to record.
    pub fn report(&mut self, report: Report, fx: &mut Effects) {
        self.control.report(report, fx);
    }

    /// A reset: registers, caches and held transactions.
    pub fn reset(&mut self) {
        self.translator.reset();
        self.control.reset();
    }

    /// The unit as data, caches included.
    pub fn save(&self) -> State {
        let Self { control, translator } = self;
        State { control: control.save(), translator: translator.save() }
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        let State { control, translator } = state;
        self.translator.restore(&translator);
        self.control.restore(control);
    }
}
