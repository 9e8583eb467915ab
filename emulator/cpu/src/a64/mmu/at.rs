//! Address translation instructions [Arm C5.5].

use super::CM;
use super::walk::{Access, Rights, status, translate};
use crate::a64::core::{Core, Env, Raised};

/// PAR_EL1 bit 11, which reads as one.
const RES1: u64 = 1 << 11;
/// PAR_EL1: the translation aborted.
const FAILED: u64 = 1;
/// PAR_EL1: non-secure output.
const NON_SECURE: u64 = 1 << 9;

/// AT: translates `va` and leaves the outcome in PAR_EL1. All it raises is an external abort on the
/// walk; PAR_EL1, which is unknown then, stays [Arm C5.5].
pub(in crate::a64) fn execute(
    core: &mut Core,
    env: &mut Env<'_>,
    va: u64,
    rights: Rights,
    access: Access,
) -> Result<(), Raised> {
    core.sys.par = match translate(&core.mmu.regime, env.ram, va, rights, access) {
        Ok(found) => {
            let attributes = u64::from(found.attributes) << 56 | u64::from(found.shareability) << 7;
            found.pa & 0x000f_ffff_ffff_f000 | attributes | NON_SECURE | RES1
        }
        // The level is in the low two bits; the syndrome calls it a write whatever was asked for.
        Err(fault) if fault.0 & !3 == status::EXTERNAL_WALK => {
            return Err(core.data_abort(va, fault, true, CM));
        }
        Err(fault) => u64::from(fault.0) << 1 | RES1 | FAILED,
    };
    Ok(())
}
