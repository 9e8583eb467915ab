//! Execution.

pub(in crate::a64) mod arith;
mod atomic;
pub(in crate::a64) mod memory;
pub(in crate::a64) mod run;
pub(in crate::a64) mod system;

use super::core::Core;
use super::regs::El;

/// Does CPACR_EL1.FPEN allow FP and SIMD at the current exception level?
pub(in crate::a64) fn fp_enabled(core: &Core) -> bool {
    match core.sys.cpacr >> 20 & 3 {
        0b11 => true,
        0b01 => core.pstate.el == El::El1,
        _ => false,
    }
}
