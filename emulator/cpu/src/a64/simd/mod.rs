//! Advanced SIMD: decode and execution.

use super::core::{Core, Env, Raised};
use super::features::Features;
use super::op::Op;

/// Decodes an Advanced SIMD data-processing instruction to [`super::op::Kind::Simd`].
pub(in crate::a64) fn decode(_word: u32, _features: &Features) -> Option<Op> {
    None
}

/// Runs what [`decode`] made. Access has been checked.
pub(in crate::a64) fn execute(_core: &mut Core, _op: Op) {}

/// Decodes LD1 to LD4, ST1 to ST4 and their replicating and single-lane forms to
/// [`super::op::Kind::SimdMemory`].
pub(in crate::a64) fn decode_memory(_word: u32, _features: &Features) -> Option<Op> {
    None
}

/// Runs what [`decode_memory`] made. Access has been checked; nothing may be written to a register
/// before the last access that can fault.
pub(in crate::a64) fn execute_memory(_core: &mut Core, _env: &mut Env<'_>, _op: Op) -> Result<(), Raised> {
    Ok(())
}
