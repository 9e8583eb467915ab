//! SYS: cache and TLB maintenance, address translation [Arm C5.3 to C5.5].
//!
//! Caches are coherent and never hold anything back, so cleaning and invalidating them does
//! nothing; what an operation by address does is to translate it, and fault.

use super::{Key, Outcome, sctlr};
use crate::a64::core::{Core, Env, Message, Raised};
use crate::a64::mmu::tlbi::Scope;
use crate::a64::mmu::walk::{Access, Rights};
use crate::a64::mmu::{CM, at};
use crate::a64::regs::El;

/// Bytes that DC ZVA clears.
const ZVA: u64 = 64;

pub(super) fn execute(core: &mut Core, env: &mut Env<'_>, key: Key, value: u64) -> Outcome {
    match (key.op1(), key.crn(), key.crm(), key.op2()) {
        // IC IALLUIS, IC IALLU
        (0, 7, 1 | 5, 0) => Outcome::Done(()),
        // IC IVAU
        (3, 7, 5, 1) => maintain(core, env, value, sctlr::UCI),
        // DC ZVA
        (3, 7, 4, 1) => zero(core, env, value),
        // DC IVAC; it may discard, so it needs the right to write.
        (0, 7, 6, 1) => touch(core, env, value, true),
        // DC ISW, CSW, CISW
        (0, 7, 6 | 10 | 14, 2) => Outcome::Done(()),
        // DC CVAC, CVAU, CIVAC
        (3, 7, 10 | 11 | 14, 1) => maintain(core, env, value, sctlr::UCI),
        // DC CVAP
        (3, 7, 12, 1) if env.settings.features.dpb => maintain(core, env, value, sctlr::UCI),
        // AT S1E1R, S1E1W, S1E0R, S1E0W
        (0, 7, 8, op2 @ 0..=3) => {
            let access = if op2 & 1 != 0 { Access::Write } else { Access::Read };
            let rights = Rights { privileged: op2 < 2, pan: false };
            translated(at::execute(core, env, value, rights, access))
        }
        // AT S1E1RP, S1E1WP
        (0, 7, 9, op2 @ 0..=1) if env.settings.features.pan => {
            let access = if op2 != 0 { Access::Write } else { Access::Read };
            let rights = Rights { privileged: true, pan: core.pstate.pan };
            translated(at::execute(core, env, value, rights, access))
        }
        (0, 8, crm, op2) => tlbi(core, env, crm, op2, value),
        _ => Outcome::Undefined,
    }
}

/// What an address translation came to, which may be an exception.
fn translated(result: Result<(), Raised>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done(()),
        Err(raised) => Outcome::Raised(raised),
    }
}

/// TLBI of EL1&0, by CRm and op2. Outer shareable is the same as inner shareable: all cores.
fn tlbi(core: &mut Core, env: &mut Env<'_>, crm: u16, op2: u16, value: u64) -> Outcome {
    let ranges = env.settings.features.tlbi_range;
    let (by_range, everywhere) = match crm {
        7 => (false, false),
        3 => (false, true),
        1 if ranges => (false, true),
        6 if ranges => (true, false),
        2 | 5 if ranges => (true, true),
        _ => return Outcome::Undefined,
    };
    let scope = match (by_range, op2) {
        (false, 0) => Scope::All,
        // The ASID is in bits 63:48.
        (false, 2) => Scope::Asid((value >> 48) as u16),
        (false, 1 | 3 | 5 | 7) => Scope::address(value),
        (true, 1 | 3 | 5 | 7) => Scope::range(value),
        _ => return Outcome::Undefined,
    };
    core.mmu.invalidate(scope);
    if everywhere {
        env.tell(Message::Tlbi(scope));
    }
    Outcome::Done(())
}

/// Maintenance that EL0 may do if `bit` of SCTLR says so.
fn maintain(core: &mut Core, env: &mut Env<'_>, va: u64, bit: u64) -> Outcome {
    if core.pstate.el == El::El0 && core.sys.sctlr & bit == 0 {
        return Outcome::Trap;
    }
    touch(core, env, va, false)
}

/// Translates an address for maintenance. Its faults say that they are writes.
fn touch(core: &mut Core, env: &mut Env<'_>, va: u64, write: bool) -> Outcome {
    let bank = core.mmu.data.bank();
    match core.data_mapping(env, va, bank, write, CM | 1 << 6) {
        Ok(_) => Outcome::Done(()),
        Err(raised) => Outcome::Raised(raised),
    }
}

fn zero(core: &mut Core, env: &mut Env<'_>, va: u64) -> Outcome {
    if core.pstate.el == El::El0 && core.sys.sctlr & sctlr::DZE == 0 {
        return Outcome::Trap;
    }
    match core.zero_block(env, va, ZVA) {
        Ok(()) => Outcome::Done(()),
        Err(raised) => Outcome::Raised(raised),
    }
}
