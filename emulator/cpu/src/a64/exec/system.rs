//! Exception generation, waiting, PSTATE, system registers.

use crate::a64::core::{Core, Env, Raised};
use crate::a64::exception::{Exception, syndrome};
use crate::a64::op::{Op, forms};

forms! {
    /// What a [`super::super::op::Kind::System`] does.
    pub(in crate::a64) enum Form {
        Svc,
        Hvc,
        Smc,
        Brk,
        Eret,
        Yield,
        Wfe,
        Wfi,
        Sev,
        Sevl,
        Clrex,
        Isb,
        /// `a` is an [`Immediate`], `imm` the value.
        MsrImmediate,
        /// `imm` is the key, `rd` and `rn` the slots, `a` the register's number.
        Mrs,
        Msr,
        Sys,
        Sysl,
    }
}

forms! {
    /// A field of PSTATE that MSR (immediate) writes.
    pub(in crate::a64) enum Immediate {
        Uao,
        Pan,
        SpSel,
        Ssbs,
        Dit,
        DaifSet,
        DaifClr,
    }
}

/// Runs a [`super::super::op::Kind::System`]; PC is that of the instruction. The next one is at PC afterwards.
pub(in crate::a64) fn execute(core: &mut Core, env: &mut Env<'_>, op: Op) -> Result<(), Raised> {
    let _ = env;
    match Form::of(op.form) {
        Form::Svc => {
            core.pc = core.pc.wrapping_add(4);
            // 16 bits.
            Err(core.raise(Exception::synchronous(syndrome::syndrome(syndrome::class::SVC, op.imm as u32))))
        }
        _ => Err(core.raise(Exception::synchronous(syndrome::UNDEFINED))),
    }
}
