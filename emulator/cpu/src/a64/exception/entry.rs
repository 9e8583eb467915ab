//! Exception entry and return [Arm D1.3.1, D1.3.4].

use super::{Exception, Vector};
use crate::a64::core::Core;
use crate::a64::features::Features;
use crate::a64::regs::{El, Nzcv, PState, daif};
use crate::a64::sysreg::sctlr;

/// PSTATE as SPSR_EL1 holds it.
pub(in crate::a64) fn spsr(pstate: &PState, nzcv: Nzcv) -> u64 {
    let mode = match (pstate.el, pstate.sp_sel) {
        (El::El0, _) => 0b0000,
        (El::El1, false) => 0b0100,
        (El::El1, true) => 0b0101,
    };
    let bit = |set: bool, at: u32| u32::from(set) << at;
    let word = u32::from(nzcv.0) << 28
        | bit(pstate.dit, 24)
        | bit(pstate.uao, 23)
        | bit(pstate.pan, 22)
        | bit(pstate.ss, 21)
        | bit(pstate.il, 20)
        | bit(pstate.ssbs, 12)
        | pstate.daif
        | mode;
    u64::from(word)
}

/// Takes an exception to EL1, with PC as its preferred return address.
pub(in crate::a64) fn take(core: &mut Core, exception: Exception, features: &Features) {
    let kind = match exception.vector {
        Vector::Synchronous => 0x000,
        Vector::Irq => 0x080,
        Vector::Fiq => 0x100,
        Vector::SError => 0x180,
    };
    let from = match (core.pstate.el, core.pstate.sp_sel) {
        (El::El0, _) => 0x400,
        (El::El1, true) => 0x200,
        (El::El1, false) => 0x000,
    };
    if matches!(exception.vector, Vector::Synchronous | Vector::SError) {
        core.sys.esr = u64::from(exception.syndrome);
    }
    if let Some(address) = exception.address {
        core.sys.far = address;
    }
    core.sys.elr = core.pc;
    core.sys.spsr = spsr(&core.pstate, core.nzcv);
    let pan = features.pan && (core.pstate.pan || core.sys.sctlr & sctlr::SPAN == 0);
    let pstate = PState {
        el: El::El1,
        sp_sel: true,
        daif: daif::ALL,
        ss: false,
        il: false,
        pan,
        uao: false,
        dit: core.pstate.dit,
        ssbs: features.ssbs && core.sys.sctlr & sctlr::DSSBS != 0,
    };
    core.set_pstate(pstate);
    core.pc = core.sys.vbar.wrapping_add(from + kind);
    core.kick();
}

/// The PSTATE that an SPSR value describes; `None` where no exception level and stack pointer of
/// this CPU is named.
pub(in crate::a64) fn pstate_of(spsr: u32, features: &Features) -> Option<PState> {
    let bit = |at: u32| spsr >> at & 1 != 0;
    let (el, sp_sel) = match spsr & 0x1f {
        0b00000 => (El::El0, false),
        0b00100 => (El::El1, false),
        0b00101 => (El::El1, true),
        _ => return None,
    };
    Some(PState {
        el,
        sp_sel,
        daif: spsr & daif::ALL,
        ss: bit(21),
        il: bit(20),
        pan: features.pan && bit(22),
        uao: features.uao && bit(23),
        dit: features.dit && bit(24),
        ssbs: features.ssbs && bit(12),
    })
}

/// ERET from EL1: PC and PSTATE from ELR and SPSR. An illegal return keeps exception level, stack
/// pointer and the fields that came with extensions, and sets PSTATE.IL [Arm D1.4.4].
pub(in crate::a64) fn exception_return(core: &mut Core, features: &Features) {
    // SPSR_EL1 has no bits above 31 that matter here.
    let spsr = core.sys.spsr as u32;
    let pstate = match pstate_of(spsr, features) {
        Some(pstate) => {
            let ss = pstate.ss && super::debug::step_after_return(core, pstate.el, spsr);
            PState { ss, ..pstate }
        }
        None => PState { daif: spsr & daif::ALL, il: true, ss: false, ..core.pstate },
    };
    core.nzcv = Nzcv((spsr >> 28) as u8);
    core.set_pstate(pstate);
    core.pc = core.sys.elr;
    core.event = true;
    core.monitor = None;
    core.kick();
}

impl Core {
    /// Changes PSTATE, exchanging the stack pointer and what else depends on it.
    pub(in crate::a64) fn set_pstate(&mut self, pstate: PState) {
        if pstate.el != self.pstate.el {
            self.advance_pmu();
        }
        let bank = |pstate: &PState| usize::from(pstate.el == El::El1 && pstate.sp_sel);
        let (old, new) = (bank(&self.pstate), bank(&pstate));
        if old != new {
            self.sys.sp[old] = self.x[crate::a64::regs::SP];
            self.x[crate::a64::regs::SP] = self.sys.sp[new];
        }
        self.pstate = pstate;
        self.context_changed();
    }
}
