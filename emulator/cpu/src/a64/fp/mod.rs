//! Floating point: IEEE arithmetic as Arm defines it, and the scalar instructions.
//!
//! | file | holds |
//! |---|---|
//! | `format` | binary16, binary32, binary64; an operand taken apart |
//! | `control` | FPCR and FPSR; NaN propagation; rounding |
//! | `arith`, `convert`, `estimate` | the operations, as the pseudocode's functions name them |
//! | `fast` | the same by the host's arithmetic, where the result and the flags are known to agree |
//! | `decode`, `execute` | the scalar instructions |
//!
//! Results, NaNs and cumulative flags are those of the pseudocode for every rounding mode, with and
//! without flushing, default NaNs and the alternative half precision. Arm detects tininess before
//! rounding, rounds to odd in FCVTXN and takes square roots, and the pure-Rust libraries of soft
//! floats do none of these, which is why the one rounding function is here and such a library is
//! what tests compare with.
//!
//! # Absent
//! Trapped exceptions: FPCR's enable bits are zero, as the architecture allows.

mod arith;
mod control;
mod convert;
mod decode;
mod estimate;
mod execute;
mod fast;
mod format;
#[cfg(test)]
mod tests;

pub(in crate::a64) use arith::Order;
pub(in crate::a64) use control::{Fp, Rounding, fpsr};
pub(in crate::a64) use convert::Integer;
pub(in crate::a64) use decode::decode;
pub(in crate::a64) use estimate::{unsigned_reciprocal, unsigned_reciprocal_root};
pub(in crate::a64) use execute::execute;
pub(in crate::a64) use format::Format;
