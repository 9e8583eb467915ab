//! Scalar floating point: decode and execution.

use super::core::Core;
use super::features::Features;
use super::op::Op;

/// Decodes a scalar floating-point instruction to [`super::op::Kind::Fp`], `None` where it is not one.
pub(in crate::a64) fn decode(_word: u32, _features: &Features) -> Option<Op> {
    None
}

/// Runs what [`decode`] made. Access has been checked.
pub(in crate::a64) fn execute(_core: &mut Core, _op: Op) {}
