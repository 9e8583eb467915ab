//! Intel VT-d DMA remapping, register by register [VT-d 11], in legacy mode.
//!
//! A [`Unit`] has two halves. [`control::Control`] is what software meets: registers, the
//! invalidation queue, fault records and event interrupts. [`translate::Translator`] is what bus
//! masters meet: root and context tables, second-stage walks, the caches. The first drives the
//! second through [`invalidation::BackEnd`], so another back end can take the walker's place.
//!
//! What the capability registers do not report is not there: scalable mode, first-stage tables,
//! device-TLBs, page requests, posted interrupts. Their registers read zero, and their bits in entries
//! and descriptors are reserved.

pub mod capability;
pub mod control;
pub mod explain;
pub mod fault;
pub mod interrupt;
pub mod interrupt_remapping;
pub mod invalidation;
pub mod invalidation_queue;
pub mod names;
mod protected;
pub mod regs;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod translate;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::events::DeviceEvent;
use crate::fabric::{Effects, Translate};
pub use crate::iommu::{UNITS_MAX, UnitId};
use crate::mem::PhysMem;
use crate::register::block::{self, Rules};
pub use capability::{AddressWidth, Config};
use control::{Control, Registers};
pub use fault::{Fault, Reason};
pub use regs::REGISTERS_SIZE;
use translate::Translator;
pub use translate::{Missing, StaleUse};

/// A remapping hardware unit.
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

    /// Software reads `data.len()` bytes at `offset` of the register file. Only aligned dwords and
    /// qwords reach a register [VT-d 11.2]; anything else reads zero.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        let mut registers = Registers { control: &mut self.control, fx };
        block::read(&mut registers, Rules::Aligned32Or64, offset, data);
    }

    /// Software writes `data` at `offset`; what [`Self::read`] would not serve is ignored.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        let mut registers = Registers { control: &mut self.control, fx };
        block::write(&mut registers, Rules::Aligned32Or64, offset, data);
    }

    /// Delivers an event that the unit asked for.
    pub fn event(&mut self, event: DeviceEvent, fx: &mut Effects) {
        self.control.event(event, fx);
    }

    /// Delivers a fault that the translating half found.
    pub fn fault(&mut self, fault: Fault, fx: &mut Effects) {
        self.control.fault(fault, fx);
    }

    /// A power-good reset: sticky bits clear as well.
    pub fn reset(&mut self) {
        self.control.reset();
        self.translator.reset();
    }

    /// The unit as data, caches included.
    pub fn save(&self) -> State {
        let Self { control, translator } = self;
        State { control: control.save(), translator: translator.save() }
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        let State { control, translator } = state;
        self.control.restore(control);
        self.translator.restore(&translator);
    }
}
