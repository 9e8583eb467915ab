//! The register file [SMMUv3 6.3].
//!
//! Writes to guarded registers while their guard is on are ignored: what SMMUv3.2 asks for, and one of
//! the things that earlier versions leave open [SMMUv3 6.2].

use super::Control;
use crate::fabric::Effects;
use crate::register::block::{self, DwordSpace, Rules};
use crate::smmuv3::capability::Config;
use crate::smmuv3::command::ABORT;
use crate::smmuv3::gerror::GlobalError;
use crate::smmuv3::interrupt::Message;
use crate::smmuv3::invalidation::Release;
use crate::smmuv3::map::{Place, Reg, name_at, place, serves};
use crate::smmuv3::regs::{Cr0, Cr1, Cr2, Gbpa, IrqCfg0, IrqCtrl, QueueBase, StrtabBase};
use crate::trace::TraceEvent;

/// Incoming attributes, and transactions pass while translation is off.
pub(in crate::smmuv3) const GBPA_RESET: Gbpa = Gbpa::from_raw(0x1000);

/// Bits of CR1 that say how tables are accessed; the others are about queues.
const TABLE: u32 = 0xfc0;

impl Control {
    /// Software reads `data.len()` bytes at `offset`. Only aligned dwords, and 64-bit registers as a whole,
    /// are served; anything else reads zero, which is one of the choices of [SMMUv3 6.2].
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        if serves(offset, data.len()) {
            let mut registers = Registers { control: self, fx };
            block::read(&mut registers, Rules::Aligned32Or64, offset, data);
        } else {
            data.fill(0);
        }
    }

    /// Software writes `data` at `offset`; what [`Self::read`] would not serve is ignored.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        if serves(offset, data.len()) {
            let mut registers = Registers { control: self, fx };
            block::write(&mut registers, Rules::Aligned32Or64, offset, data);
        }
    }

    /// One dword of the register file.
    fn read_dword(&self, offset: u64) -> u32 {
        let Some(Place { reg, dword }) = place(offset) else { return 0 };
        let (s, config) = (&self.state, &self.config);
        let value = match reg {
            Reg::Idr0 => config.idr0.raw().into(),
            Reg::Idr1 => config.idr1.raw().into(),
            Reg::Idr2 => config.idr2().into(),
            Reg::Idr3 => config.idr3.raw().into(),
            Reg::Idr4 => config.idr4().into(),
            Reg::Idr5 => config.idr5.raw().into(),
            Reg::Iidr => config.iidr().into(),
            Reg::Aidr => config.aidr().into(),
            Reg::Cr0 | Reg::Cr0Ack => s.cr0.raw().into(),
            Reg::Cr1 => s.cr1.raw().into(),
            Reg::Cr2 => s.cr2.raw().into(),
            // DORMANT is a hint that IDR0.DORMHINT says is not given.
            Reg::Statusr => 0,
            Reg::Gbpa => s.gbpa.raw().into(),
            Reg::IrqCtrl | Reg::IrqCtrlAck => s.irq_ctrl.raw().into(),
            Reg::Gerror => s.errors.gerror.raw().into(),
            Reg::Gerrorn => s.errors.gerrorn.raw().into(),
            Reg::GerrorIrqCfg0 => s.gerror_message.cfg0.raw(),
            Reg::GerrorIrqCfg1 => s.gerror_message.data.into(),
            Reg::GerrorIrqCfg2 => s.gerror_message.cfg2.raw().into(),
            Reg::StrtabBase => s.strtab_base.raw(),
            Reg::StrtabBaseCfg => s.strtab_base_cfg.raw().into(),
            Reg::CmdqBase => s.commands.base.raw(),
            Reg::CmdqProd => s.commands.prod.raw().into(),
            Reg::CmdqCons => s.commands.cons.raw().into(),
            Reg::EventqBase => s.events.base.raw(),
            Reg::EventqProd => s.events.prod.raw().into(),
            Reg::EventqCons => s.events.cons.raw().into(),
            Reg::EventqIrqCfg0 => s.eventq_message.cfg0.raw(),
            Reg::EventqIrqCfg1 => s.eventq_message.data.into(),
            Reg::EventqIrqCfg2 => s.eventq_message.cfg2.raw().into(),
            Reg::Identification => {
                return config.id_registers().get(dword as usize).copied().unwrap_or(0);
            }
        };
        // The wanted dword is the low one after the shift.
        (value >> (32 * dword)) as u32
    }

    fn write_dword(&mut self, offset: u64, value: u32, fx: &mut Effects) {
        let Some(Place { reg, dword }) = place(offset) else { return };
        let before = self.state.global();
        let output = self.config.pa_mask();
        let s = &mut self.state;
        let (cr0, irq_ctrl) = (s.cr0, s.irq_ctrl);
        let queues_off = !cr0.cmdqen() && !cr0.eventqen() && !cr0.priqen();
        // Reserved without message interrupts.
        let gerror_message = self.config.idr0.msi() && !irq_ctrl.gerror_irqen();
        let eventq_message = self.config.idr0.msi() && !irq_ctrl.eventq_irqen();
        match reg {
            Reg::Cr0 => return self.enables(Cr0::from_raw(value), fx),
            Reg::Cr1 => {
                let guarded =
                    if cr0.smmuen() { TABLE } else { 0 } | if queues_off { 0 } else { Cr1::RW & !TABLE };
                s.cr1 = s.cr1.written((value & !guarded) | (s.cr1.raw() & guarded));
            }
            Reg::Cr2 if !cr0.smmuen() => s.cr2 = writable_cr2(&self.config, Cr2::from_raw(value)),
            Reg::Gbpa if value & GBPA_UPDATE != 0 => s.gbpa = s.gbpa.written(value & !GBPA_UPDATE),
            Reg::IrqCtrl => s.irq_ctrl = writable_irq_ctrl(&self.config, IrqCtrl::from_raw(value)),
            Reg::Gerrorn => return self.acknowledge(value, fx),
            Reg::GerrorIrqCfg0 if gerror_message => write_cfg0(&mut s.gerror_message, dword, value, output),
            Reg::GerrorIrqCfg1 if gerror_message => s.gerror_message.data = value,
            Reg::GerrorIrqCfg2 if gerror_message => {
                s.gerror_message.cfg2 = s.gerror_message.cfg2.written(value);
            }
            Reg::StrtabBase if !cr0.smmuen() => {
                let base = s.strtab_base.written(merge(s.strtab_base.raw(), dword, value));
                s.strtab_base = StrtabBase::from_raw(base.raw() & (output | !ADDRESS));
            }
            Reg::StrtabBaseCfg if !cr0.smmuen() => s.strtab_base_cfg = s.strtab_base_cfg.written(value),
            Reg::CmdqBase if !cr0.cmdqen() => {
                s.commands.base = base(s.commands.base, dword, value, output);
            }
            Reg::CmdqProd => {
                s.commands.prod = s.commands.prod.written(value);
                self.run_commands(fx);
            }
            Reg::CmdqCons if !cr0.cmdqen() => s.commands.cons = s.commands.cons.written(value),
            Reg::EventqBase if !cr0.eventqen() => s.events.base = base(s.events.base, dword, value, output),
            Reg::EventqProd if !cr0.eventqen() => s.events.prod = s.events.prod.written(value),
            Reg::EventqCons => {
                s.events.cons = s.events.cons.written(value);
                self.write_waiting_records(fx);
            }
            Reg::EventqIrqCfg0 if eventq_message => write_cfg0(&mut s.eventq_message, dword, value, output),
            Reg::EventqIrqCfg1 if eventq_message => s.eventq_message.data = value,
            Reg::EventqIrqCfg2 if eventq_message => {
                s.eventq_message.cfg2 = s.eventq_message.cfg2.written(value);
            }
            // Guarded.
            Reg::Cr2
            | Reg::Gbpa
            | Reg::GerrorIrqCfg0
            | Reg::GerrorIrqCfg1
            | Reg::GerrorIrqCfg2
            | Reg::StrtabBase
            | Reg::StrtabBaseCfg
            | Reg::CmdqBase
            | Reg::CmdqCons
            | Reg::EventqBase
            | Reg::EventqProd
            | Reg::EventqIrqCfg0
            | Reg::EventqIrqCfg1
            | Reg::EventqIrqCfg2 => {}
            // Read only.
            Reg::Idr0
            | Reg::Idr1
            | Reg::Idr2
            | Reg::Idr3
            | Reg::Idr4
            | Reg::Idr5
            | Reg::Iidr
            | Reg::Aidr
            | Reg::Cr0Ack
            | Reg::Statusr
            | Reg::IrqCtrlAck
            | Reg::Gerror
            | Reg::Identification => {}
        }
        let after = self.state.global();
        if before != after {
            self.changes.make().set_global(after);
        }
    }

    /// CR0 was written. Should software change several bits at once, translation goes off before anything
    /// and on after everything else [SMMUv3 6.3.9].
    fn enables(&mut self, written: Cr0, fx: &mut Effects) {
        let old = self.state.cr0;
        let new = writable_cr0(&self.config, written);
        self.state.cr0 = new.with_smmuen(old.smmuen() && new.smmuen());
        self.set_global();
        if old.smmuen() && !new.smmuen() {
            // No record of theirs appears any more [SMMUv3 6.3.9].
            self.release(Release::All, ABORT, fx);
        }
        if new.eventqen() && !old.eventqen() {
            self.write_waiting_records(fx);
        }
        if new.cmdqen() && !old.cmdqen() {
            self.run_commands(fx);
        }
        if new.smmuen() && !old.smmuen() {
            self.state.cr0 = new;
            self.set_global();
        }
    }

    /// GERRORN was written: a queue goes on when the error that stopped it is no longer active
    /// [SMMUv3 7.1, 7.2].
    fn acknowledge(&mut self, value: u32, fx: &mut Effects) {
        let before = self.state.errors;
        self.state.errors.acknowledge(value, self.config.idr0);
        let ended = |error| before.active(error) && !self.state.errors.active(error);
        let (commands, events) = (ended(GlobalError::Cmdq), ended(GlobalError::EventqAbort));
        if events {
            self.write_waiting_records(fx);
        }
        if commands {
            self.run_commands(fx);
        }
    }
}

const GBPA_UPDATE: u32 = 1 << 31;

/// Address bits of a base register, those below an alignment included.
const ADDRESS: u64 = 0x00ff_ffff_ffff_ffc0;

/// A queue's base after one of its dwords was written; address bits beyond `output` do not stick.
fn base(old: QueueBase, dword: u32, value: u32, output: u64) -> QueueBase {
    let new = old.written(merge(old.raw(), dword, value));
    new.with_addr(new.addr() & (output >> 5))
}

fn write_cfg0(message: &mut Message, dword: u32, value: u32, output: u64) {
    let new = message.cfg0.written(merge(message.cfg0.raw(), dword, value));
    message.cfg0 = IrqCfg0::from_raw(new.raw() & output);
}

/// CR0 without the bits of features that are not there.
pub(super) fn writable_cr0(config: &Config, value: Cr0) -> Cr0 {
    let idr0 = config.idr0;
    let value = Cr0::from_raw(value.raw() & Cr0::RW);
    value
        .with_priqen(value.priqen() && idr0.pri())
        .with_atschk(value.atschk() && idr0.ats())
        .with_vmw(if idr0.vmw() { value.vmw() } else { 0 })
}

/// CR2 without the bits of features that are not there.
pub(super) fn writable_cr2(config: &Config, value: Cr2) -> Cr2 {
    let idr0 = config.idr0;
    Cr2::ZERO
        .with_rec_cfg_ats(value.rec_cfg_ats() && idr0.atsrecerr())
        .with_ptm(value.ptm() && idr0.btm())
        .with_recinvsid(value.recinvsid())
        .with_e2h(value.e2h() && idr0.hyp())
}

/// IRQ_CTRL without the bit of a queue that is not there.
pub(super) fn writable_irq_ctrl(config: &Config, value: IrqCtrl) -> IrqCtrl {
    let value = IrqCtrl::from_raw(value.raw() & IrqCtrl::RW);
    value.with_priq_irqen(value.priq_irqen() && config.idr0.pri())
}

/// The register file as software accesses it, traced.
struct Registers<'a> {
    control: &'a mut Control,
    fx: &'a mut Effects,
}

impl DwordSpace for Registers<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let value = self.control.read_dword(offset);
        let register = name_at(offset);
        let unit = self.control.config.unit.name();
        self.fx.trace(|| TraceEvent::RegisterRead { unit, register, offset, value });
        value
    }

    fn write_dword(&mut self, offset: u64, value: u32, _lanes: u32) {
        let register = name_at(offset);
        let unit = self.control.config.unit.name();
        self.fx.trace(|| TraceEvent::RegisterWrite { unit, register, offset, value });
        self.control.write_dword(offset, value, self.fx);
        // Software can read the registers next.
        self.control.changes.complete();
    }
}

/// `old` with one of its dwords replaced.
fn merge(old: u64, dword: u32, value: u32) -> u64 {
    let shift = 32 * dword;
    (old & !(0xffff_ffff << shift)) | u64::from(value) << shift
}
