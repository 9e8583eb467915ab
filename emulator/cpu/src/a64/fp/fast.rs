//! Arithmetic by the host, where its result and the flags are known to be Arm's.
//!
//! The host rounds to nearest even. A result that is a normal number came from finite operands and
//! neither overflowed nor was tiny, so the only flag it can raise is inexact; where that flag is
//! already set, and flags are cumulative, there is nothing left to find out. The smallest normal
//! number itself is left out, because a tiny value may have been rounded to it.

use super::control::{Fp, Rounding, fpsr};
use super::format::Format;

/// May the host be asked?
#[inline(always)]
fn applies(fp: &Fp) -> bool {
    fp.rounding == Rounding::NearestEven && fp.flags & fpsr::IXC != 0
}

/// Normal or zero: no NaN to propagate, nothing to flush.
#[inline(always)]
fn operand32(value: f32) -> bool {
    value.is_normal() || value == 0.0
}

#[inline(always)]
fn operand64(value: f64) -> bool {
    value.is_normal() || value == 0.0
}

#[inline(always)]
fn result32(value: f32) -> Option<u64> {
    (value.is_finite() && value.abs() > f32::MIN_POSITIVE).then(|| u64::from(value.to_bits()))
}

#[inline(always)]
fn result64(value: f64) -> Option<u64> {
    (value.is_finite() && value.abs() > f64::MIN_POSITIVE).then(|| value.to_bits())
}

/// Two operands.
#[inline(always)]
pub(super) fn binary(
    fp: &Fp,
    format: Format,
    a: u64,
    b: u64,
    single: impl Fn(f32, f32) -> f32,
    double: impl Fn(f64, f64) -> f64,
) -> Option<u64> {
    if !applies(fp) {
        return None;
    }
    match format {
        Format::H => None,
        Format::S => {
            // The pattern is in the low half.
            let (a, b) = (f32::from_bits(a as u32), f32::from_bits(b as u32));
            if operand32(a) & operand32(b) { result32(single(a, b)) } else { None }
        }
        Format::D => {
            let (a, b) = (f64::from_bits(a), f64::from_bits(b));
            if operand64(a) & operand64(b) { result64(double(a, b)) } else { None }
        }
    }
}

/// One operand.
#[inline(always)]
pub(super) fn unary(
    fp: &Fp,
    format: Format,
    a: u64,
    single: impl Fn(f32) -> f32,
    double: impl Fn(f64) -> f64,
) -> Option<u64> {
    binary(fp, format, a, 0, |a, _| single(a), |a, _| double(a))
}

/// `addend + a * b`.
#[inline(always)]
pub(super) fn mul_add(fp: &Fp, format: Format, addend: u64, a: u64, b: u64) -> Option<u64> {
    if !applies(fp) {
        return None;
    }
    match format {
        Format::H => None,
        Format::S => {
            let [z, x, y] = [addend, a, b].map(|bits| f32::from_bits(bits as u32));
            let usable = operand32(z) & operand32(x) & operand32(y);
            if usable { result32(x.mul_add(y, z)) } else { None }
        }
        Format::D => {
            let [z, x, y] = [addend, a, b].map(f64::from_bits);
            let usable = operand64(z) & operand64(x) & operand64(y);
            if usable { result64(x.mul_add(y, z)) } else { None }
        }
    }
}
