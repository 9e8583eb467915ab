//! The half that software meets: registers, the two queues, global errors, interrupts [SMMUv3 4, 6, 7].
//!
//! Everything is done at once: an Update is complete, and CR0ACK, IRQ_CTRLACK and GBPA say so, when the
//! write that began it returns; only a long command queue is worked off in steps.

mod commands;
mod events;
mod registers;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capability::Config;
use super::cmdq::{COMMAND, CommandQueue};
use super::eventq::{EventQueue, RECORD};
use super::gerror::GlobalErrors;
use super::interrupt::Message;
use super::invalidation::{BackEnd, Global};
use super::regs::{Cr0, Cr1, Cr2, Gbpa, IrqCtrl, StrtabBase, StrtabBaseCfg};
use super::ring::Ring;
use super::stall::Unwritten;
use crate::events::DeviceEvent;
use crate::fabric::Effects;
use crate::iommu::changes::Changes;
use crate::mem::PhysMem;
pub(super) use registers::GBPA_RESET;

/// Queue entries processed before the unit lets others run.
const STEP: u32 = 256;

/// The control half of a unit.
pub struct Control {
    config: Config,
    mem: PhysMem,
    changes: Changes<dyn BackEnd>,
    state: State,
}

/// A saved [`Control`]: all of its registers, and records that wait for room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// CR0ACK as well.
    cr0: Cr0,
    cr1: Cr1,
    cr2: Cr2,
    gbpa: Gbpa,
    /// IRQ_CTRLACK as well.
    irq_ctrl: IrqCtrl,
    errors: GlobalErrors,
    gerror_message: Message,
    strtab_base: StrtabBase,
    strtab_base_cfg: StrtabBaseCfg,
    commands: CommandQueue,
    events: EventQueue,
    eventq_message: Message,
    unwritten: Unwritten,
    /// An event to continue with a queue is on its way.
    scheduled: bool,
}

impl State {
    fn reset() -> Self {
        Self {
            cr0: Cr0::ZERO,
            cr1: Cr1::ZERO,
            cr2: Cr2::ZERO,
            gbpa: registers::GBPA_RESET,
            irq_ctrl: IrqCtrl::ZERO,
            errors: GlobalErrors::default(),
            gerror_message: Message::default(),
            strtab_base: StrtabBase::ZERO,
            strtab_base_cfg: StrtabBaseCfg::ZERO,
            commands: CommandQueue::default(),
            events: EventQueue::default(),
            eventq_message: Message::default(),
            unwritten: Unwritten::default(),
            scheduled: false,
        }
    }

    /// What the translating half is to know.
    fn global(&self) -> Global {
        Global {
            enabled: self.cr0.smmuen(),
            atschk: self.cr0.atschk(),
            cr2: self.cr2,
            gbpa: self.gbpa,
            strtab_base: self.strtab_base,
            strtab_base_cfg: self.strtab_base_cfg,
        }
    }
}

impl Control {
    /// Registers as after reset.
    pub fn new(config: Config, mem: PhysMem, back_end: Arc<dyn BackEnd>) -> Self {
        let mut control = Self { config, mem, changes: Changes::new(back_end), state: State::reset() };
        control.set_global();
        control
    }

    /// Returns the registers to their reset values; the back end's caches and held transactions are the
    /// caller's to reset.
    pub fn reset(&mut self) {
        self.state = State::reset();
        self.set_global();
    }

    /// The registers as data.
    pub fn save(&self) -> State {
        self.state.clone()
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        let State {
            cr0,
            cr1,
            cr2,
            gbpa,
            irq_ctrl,
            errors,
            gerror_message,
            strtab_base,
            strtab_base_cfg,
            commands,
            events,
            eventq_message,
            unwritten,
            scheduled,
        } = state;
        self.state = State {
            // Nobody could have switched on what is not there.
            cr0: registers::writable_cr0(&self.config, cr0),
            cr1,
            cr2: registers::writable_cr2(&self.config, cr2),
            gbpa: gbpa.with_update(false),
            irq_ctrl: registers::writable_irq_ctrl(&self.config, irq_ctrl),
            errors,
            gerror_message,
            strtab_base,
            strtab_base_cfg,
            commands,
            events,
            eventq_message,
            unwritten: unwritten.bounded(self.config.idr5.stall_max()),
            scheduled,
        };
        self.set_global();
    }

    /// Continues what was cut off.
    pub fn event(&mut self, event: DeviceEvent, fx: &mut Effects) {
        match event {
            DeviceEvent::Work => {
                self.state.scheduled = false;
                self.write_waiting_records(fx);
                self.run_commands(fx);
            }
            // The unit never asks for one.
            DeviceEvent::Timer(_) => {}
        }
        self.changes.complete();
    }

    /// What a unit is made of, CR0, and its memory.
    pub(super) fn parts(&self) -> (&Config, Cr0, &PhysMem) {
        (&self.config, self.state.cr0, &self.mem)
    }

    fn set_global(&mut self) {
        let global = self.state.global();
        self.changes.make().set_global(global);
        self.changes.complete();
    }

    fn continue_later(&mut self, fx: &mut Effects) {
        if !self.state.scheduled {
            self.state.scheduled = true;
            fx.schedule_after(0, DeviceEvent::Work);
        }
    }

    fn command_ring(&self) -> Ring {
        let (limit, output) = (self.config.idr1.cmdqs(), self.config.pa_mask());
        Ring::new(self.state.commands.base, limit, COMMAND, output)
    }

    fn event_ring(&self) -> Ring {
        let (limit, output) = (self.config.idr1.eventqs(), self.config.pa_mask());
        Ring::new(self.state.events.base, limit, RECORD, output)
    }
}
