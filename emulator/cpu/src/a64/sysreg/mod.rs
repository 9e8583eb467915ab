//! System registers and system instructions with a register operand.
//!
//! [`Key`] is the encoding. Each room below knows a family of registers and has one `match` per
//! direction; what none of them knows is undefined. The GIC's CPU interface belongs to the machine
//! and is handed to the bus. ID registers are computed from the features.

mod control;
mod debug;
mod id;
mod operations;
mod pmu;
#[cfg(test)]
mod tests;
pub(in crate::a64) mod timer;

use serde::{Deserialize, Serialize};

use super::core::{Core, Env, Raised};
use super::exception::{Exception, syndrome};
use super::features::Features;
use super::op::Op;
use super::regs::El;

/// The encoding of a system register or operation: `op0:op1:CRn:CRm:op2` as 2, 3, 4, 4 and 3 bits,
/// which is how bits 20:5 of the instruction hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) struct Key(pub(in crate::a64) u16);

impl Key {
    pub(in crate::a64) const fn new(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> Self {
        Self(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2)
    }

    const fn op0(self) -> u16 {
        self.0 >> 14
    }

    const fn op1(self) -> u16 {
        self.0 >> 11 & 7
    }

    const fn crn(self) -> u16 {
        self.0 >> 7 & 15
    }

    const fn crm(self) -> u16 {
        self.0 >> 3 & 15
    }

    const fn op2(self) -> u16 {
        self.0 & 7
    }
}

macro_rules! keys {
    ($($name:ident = $op0:literal, $op1:literal, $crn:literal, $crm:literal, $op2:literal;)*) => {
        $(pub(in crate::a64) const $name: Key = Key::new($op0, $op1, $crn, $crm, $op2);)*
    };
}

/// Encodings [Arm D23].
pub(in crate::a64) mod key {
    use super::Key;

    keys! {
        MIDR_EL1 = 3, 0, 0, 0, 0;
        MPIDR_EL1 = 3, 0, 0, 0, 5;
        REVIDR_EL1 = 3, 0, 0, 0, 6;
        CCSIDR_EL1 = 3, 1, 0, 0, 0;
        CLIDR_EL1 = 3, 1, 0, 0, 1;
        AIDR_EL1 = 3, 1, 0, 0, 7;
        CSSELR_EL1 = 3, 2, 0, 0, 0;
        CTR_EL0 = 3, 3, 0, 0, 1;
        DCZID_EL0 = 3, 3, 0, 0, 7;

        SCTLR_EL1 = 3, 0, 1, 0, 0;
        ACTLR_EL1 = 3, 0, 1, 0, 1;
        CPACR_EL1 = 3, 0, 1, 0, 2;
        TTBR0_EL1 = 3, 0, 2, 0, 0;
        TTBR1_EL1 = 3, 0, 2, 0, 1;
        TCR_EL1 = 3, 0, 2, 0, 2;
        SPSR_EL1 = 3, 0, 4, 0, 0;
        ELR_EL1 = 3, 0, 4, 0, 1;
        SP_EL0 = 3, 0, 4, 1, 0;
        SP_SEL = 3, 0, 4, 2, 0;
        CURRENT_EL = 3, 0, 4, 2, 2;
        PAN = 3, 0, 4, 2, 3;
        UAO = 3, 0, 4, 2, 4;
        AFSR0_EL1 = 3, 0, 5, 1, 0;
        AFSR1_EL1 = 3, 0, 5, 1, 1;
        ESR_EL1 = 3, 0, 5, 2, 0;
        FAR_EL1 = 3, 0, 6, 0, 0;
        PAR_EL1 = 3, 0, 7, 4, 0;
        MAIR_EL1 = 3, 0, 10, 2, 0;
        AMAIR_EL1 = 3, 0, 10, 3, 0;
        LORSA_EL1 = 3, 0, 10, 4, 0;
        LOREA_EL1 = 3, 0, 10, 4, 1;
        LORN_EL1 = 3, 0, 10, 4, 2;
        LORC_EL1 = 3, 0, 10, 4, 3;
        LORID_EL1 = 3, 0, 10, 4, 7;
        VBAR_EL1 = 3, 0, 12, 0, 0;
        RVBAR_EL1 = 3, 0, 12, 0, 1;
        ISR_EL1 = 3, 0, 12, 1, 0;
        CONTEXTIDR_EL1 = 3, 0, 13, 0, 1;
        TPIDR_EL1 = 3, 0, 13, 0, 4;
        CNTKCTL_EL1 = 3, 0, 14, 1, 0;

        NZCV = 3, 3, 4, 2, 0;
        DAIF = 3, 3, 4, 2, 1;
        DIT = 3, 3, 4, 2, 5;
        SSBS = 3, 3, 4, 2, 6;
        FPCR = 3, 3, 4, 4, 0;
        FPSR = 3, 3, 4, 4, 1;
        TPIDR_EL0 = 3, 3, 13, 0, 2;
        TPIDRRO_EL0 = 3, 3, 13, 0, 3;
        CNTFRQ_EL0 = 3, 3, 14, 0, 0;
        CNTPCT_EL0 = 3, 3, 14, 0, 1;
        CNTVCT_EL0 = 3, 3, 14, 0, 2;
        CNTP_TVAL_EL0 = 3, 3, 14, 2, 0;
        CNTP_CTL_EL0 = 3, 3, 14, 2, 1;
        CNTP_CVAL_EL0 = 3, 3, 14, 2, 2;
        CNTV_TVAL_EL0 = 3, 3, 14, 3, 0;
        CNTV_CTL_EL0 = 3, 3, 14, 3, 1;
        CNTV_CVAL_EL0 = 3, 3, 14, 3, 2;

        PMCR_EL0 = 3, 3, 9, 12, 0;
        PMCNTENSET_EL0 = 3, 3, 9, 12, 1;
        PMCNTENCLR_EL0 = 3, 3, 9, 12, 2;
        PMOVSCLR_EL0 = 3, 3, 9, 12, 3;
        PMSWINC_EL0 = 3, 3, 9, 12, 4;
        PMSELR_EL0 = 3, 3, 9, 12, 5;
        PMCEID0_EL0 = 3, 3, 9, 12, 6;
        PMCEID1_EL0 = 3, 3, 9, 12, 7;
        PMCCNTR_EL0 = 3, 3, 9, 13, 0;
        PMXEVTYPER_EL0 = 3, 3, 9, 13, 1;
        PMXEVCNTR_EL0 = 3, 3, 9, 13, 2;
        PMUSERENR_EL0 = 3, 3, 9, 14, 0;
        PMOVSSET_EL0 = 3, 3, 9, 14, 3;
        PMINTENSET_EL1 = 3, 0, 9, 14, 1;
        PMINTENCLR_EL1 = 3, 0, 9, 14, 2;
        PMCCFILTR_EL0 = 3, 3, 14, 15, 7;

        OSDTRRX_EL1 = 2, 0, 0, 0, 2;
        MDCCINT_EL1 = 2, 0, 0, 2, 0;
        MDSCR_EL1 = 2, 0, 0, 2, 2;
        OSDTRTX_EL1 = 2, 0, 0, 3, 2;
        OSECCR_EL1 = 2, 0, 0, 6, 2;
        MDRAR_EL1 = 2, 0, 1, 0, 0;
        OSLAR_EL1 = 2, 0, 1, 0, 4;
        OSLSR_EL1 = 2, 0, 1, 1, 4;
        OSDLR_EL1 = 2, 0, 1, 3, 4;
        DBGPRCR_EL1 = 2, 0, 1, 4, 4;
        DBGCLAIMSET_EL1 = 2, 0, 7, 8, 6;
        DBGCLAIMCLR_EL1 = 2, 0, 7, 9, 6;
        DBGAUTHSTATUS_EL1 = 2, 0, 7, 14, 6;
        MDCCSR_EL0 = 2, 3, 0, 1, 0;
        DBGDTR_EL0 = 2, 3, 0, 4, 0;
        DBGDTRRX_EL0 = 2, 3, 0, 5, 0;
    }
}

/// Bits of SCTLR_EL1.
pub(in crate::a64) mod sctlr {
    pub(in crate::a64) const M: u64 = 1 << 0;
    pub(in crate::a64) const A: u64 = 1 << 1;
    pub(in crate::a64) const C: u64 = 1 << 2;
    pub(in crate::a64) const SA: u64 = 1 << 3;
    pub(in crate::a64) const SA0: u64 = 1 << 4;
    pub(in crate::a64) const UMA: u64 = 1 << 9;
    pub(in crate::a64) const I: u64 = 1 << 12;
    pub(in crate::a64) const DZE: u64 = 1 << 14;
    pub(in crate::a64) const UCT: u64 = 1 << 15;
    pub(in crate::a64) const NTWI: u64 = 1 << 16;
    pub(in crate::a64) const NTWE: u64 = 1 << 18;
    pub(in crate::a64) const WXN: u64 = 1 << 19;
    pub(in crate::a64) const SPAN: u64 = 1 << 23;
    pub(in crate::a64) const UCI: u64 = 1 << 26;
    pub(in crate::a64) const DSSBS: u64 = 1 << 44;
}

/// Bits of MDSCR_EL1.
pub(in crate::a64) mod mdscr {
    /// Software step enable.
    pub(in crate::a64) const SS: u64 = 1 << 0;
    /// EL0 accesses to the debug communication channel trap.
    pub(in crate::a64) const TDCC: u64 = 1 << 12;
    /// Kernel debug enable.
    pub(in crate::a64) const KDE: u64 = 1 << 13;
    /// Monitor debug events: breakpoints and watchpoints.
    pub(in crate::a64) const MDE: u64 = 1 << 15;
}

/// Breakpoints a core has.
pub(in crate::a64) const BREAKPOINTS: usize = 6;
/// Watchpoints a core has.
pub(in crate::a64) const WATCHPOINTS: usize = 4;

/// The system registers that are state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) struct SysRegs {
    pub(in crate::a64) mpidr: u64,
    /// SP_EL0 and SP_EL1; the one in use lives in the register file.
    pub(in crate::a64) sp: [u64; 2],
    pub(in crate::a64) csselr: u64,
    pub(in crate::a64) sctlr: u64,
    pub(in crate::a64) cpacr: u64,
    pub(in crate::a64) ttbr0: u64,
    pub(in crate::a64) ttbr1: u64,
    pub(in crate::a64) tcr: u64,
    pub(in crate::a64) mair: u64,
    pub(in crate::a64) par: u64,
    pub(in crate::a64) vbar: u64,
    pub(in crate::a64) elr: u64,
    pub(in crate::a64) spsr: u64,
    pub(in crate::a64) esr: u64,
    pub(in crate::a64) far: u64,
    pub(in crate::a64) contextidr: u64,
    pub(in crate::a64) tpidr_el0: u64,
    pub(in crate::a64) tpidrro_el0: u64,
    pub(in crate::a64) tpidr_el1: u64,
    pub(in crate::a64) lorc: u64,
    pub(in crate::a64) cntkctl: u64,
    /// CNTFRQ_EL0, once it was written.
    pub(in crate::a64) cntfrq: Option<u32>,
    /// The virtual and the physical timer.
    pub(in crate::a64) timers: [timer::Timer; 2],
    pub(in crate::a64) pmu: pmu::Pmu,

    pub(in crate::a64) mdscr: u64,
    pub(in crate::a64) mdccint: u64,
    pub(in crate::a64) claim: u64,
    pub(in crate::a64) os_locked: bool,
    pub(in crate::a64) osdlr: u64,
    /// DBGBVR and DBGBCR.
    pub(in crate::a64) breakpoints: [(u64, u64); BREAKPOINTS],
    /// DBGWVR and DBGWCR.
    pub(in crate::a64) watchpoints: [(u64, u64); WATCHPOINTS],
}

impl SysRegs {
    pub(in crate::a64) fn reset(index: usize, features: &Features) -> Self {
        let index = index as u64;
        Self {
            // Aff0 counts to 15, as a GIC's target lists want it; then Aff1.
            mpidr: 1 << 31 | index & 15 | (index >> 4 & 0xff) << 8,
            sctlr: control::sctlr_res1(features),
            os_locked: true,
            ..Self::default()
        }
    }

    /// Takes over what the bus knows of the outputs in `old`: a reset lowers them, and the bus is still
    /// to be told.
    pub(in crate::a64) fn keep_outputs(&mut self, old: &Self) {
        for (timer, old) in self.timers.iter_mut().zip(&old.timers) {
            timer.line = old.line;
        }
        self.pmu.line = old.pmu.line;
    }
}

/// What came of an access.
pub(in crate::a64) enum Outcome<T = ()> {
    /// Done.
    Done(T),
    /// Nothing is there, or not for this exception level: undefined.
    Undefined,
    /// Trapped to EL1 by a control bit there.
    Trap,
    /// The access raised something else.
    Raised(Raised),
}

impl<T> Outcome<T> {
    fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Undefined, Self::Done)
    }

    /// Trapped at EL0 unless `allowed`.
    fn unless_trapped(core: &Core, allowed: bool, done: impl FnOnce() -> T) -> Self {
        if core.pstate.el == El::El0 && !allowed { Self::Trap } else { Self::Done(done()) }
    }
}

/// Does the exception level reach this encoding at all?
fn reachable(core: &Core, key: Key) -> bool {
    match key.op1() {
        3 => true,
        0..=2 => core.pstate.el == El::El1,
        // EL2 and EL3.
        _ => false,
    }
}

/// Is it a register of the GIC's CPU interface: ICC_*_EL1?
fn is_gic(key: Key) -> bool {
    key.op0() == 3
        && key.op1() == 0
        && matches!((key.crn(), key.crm()), (4, 6) | (12, 8..=12))
        && !(key.crn() == 4 && key.op2() != 0)
}

impl Core {
    fn settle<T>(&mut self, op: Op, read: bool, outcome: Outcome<T>) -> Result<T, Raised> {
        match outcome {
            Outcome::Done(value) => Ok(value),
            Outcome::Undefined => Err(self.raise(Exception::synchronous(syndrome::UNDEFINED))),
            Outcome::Trap => {
                // The key has 16 bits.
                let syndrome = syndrome::system(op.imm as u16, op.a, read);
                Err(self.raise(Exception::synchronous(syndrome)))
            }
            Outcome::Raised(raised) => Err(raised),
        }
    }
}

/// MRS.
pub(in crate::a64) fn mrs(core: &mut Core, env: &mut Env<'_>, op: Op) -> Result<(), Raised> {
    let key = Key(op.imm as u16);
    let outcome = if !reachable(core, key) {
        Outcome::Undefined
    } else if is_gic(key) {
        let at = core.at(env);
        let value = env.bus.gic_read(at, key.0);
        core.poll_lines(env);
        Outcome::from_option(value)
    } else if key.op0() == 2 {
        debug::read(core, key)
    } else {
        match key.crn() {
            _ if pmu::owns(key) => pmu::read(core, env, key),
            14 => timer::read(core, env, key),
            0 => id::read(core, &env.settings.features, key),
            _ => control::read(core, env, key),
        }
    };
    core.x[op.rd] = core.settle(op, true, outcome)?;
    Ok(())
}

/// MSR (register).
pub(in crate::a64) fn msr(core: &mut Core, env: &mut Env<'_>, op: Op) -> Result<(), Raised> {
    let (key, value) = (Key(op.imm as u16), core.x[op.rn]);
    let outcome = if !reachable(core, key) {
        Outcome::Undefined
    } else if is_gic(key) {
        let at = core.at(env);
        let done = env.bus.gic_write(at, key.0, value);
        core.poll_lines(env);
        Outcome::from_option(done)
    } else if key.op0() == 2 {
        debug::write(core, key, value)
    } else {
        match key.crn() {
            _ if pmu::owns(key) => pmu::write(core, env, key, value),
            14 => timer::write(core, env, key, value),
            0 => id::write(core, key, value),
            _ => control::write(core, env, key, value),
        }
    };
    core.settle(op, false, outcome)
}

/// SYS: cache, TLB and address translation operations.
pub(in crate::a64) fn sys(core: &mut Core, env: &mut Env<'_>, op: Op) -> Result<(), Raised> {
    let (key, value) = (Key(op.imm as u16), core.x[op.rn]);
    let outcome =
        if reachable(core, key) { operations::execute(core, env, key, value) } else { Outcome::Undefined };
    core.settle(op, false, outcome)
}
