//! Shifts [Arm C4.1, "Advanced SIMD shift by immediate" and its scalar table].

use super::lanes::{Saturation, Shape, mask, number, rd, rn};
use super::{Table, op};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::fp::{Format, Fp, Integer, Rounding};
use crate::a64::op::{Op, forms};

forms! {
    /// U chooses between signed and unsigned.
    enum Form {
        Right,
        RightAccumulate,
        RoundingRight,
        RoundingRightAccumulate,
        Left,
        Sri,
        Sli,
        SaturatingLeft,
        Sqshlu,
        Narrow,
        RoundingNarrow,
        SaturatingNarrow,
        SaturatingRoundingNarrow,
        SignedToUnsignedNarrow,
        SignedToUnsignedRoundingNarrow,
        Lengthen,
        FromFixed,
        ToFixed,
    }
}

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let (scalar, q, u) = (bit(word, 28), bit(word, 30), bit(word, 29));
    // The highest bit of immh that is set.
    let size = bits(word, 22, 19).checked_ilog2()?;
    let full = scalar || size != 3 || q;
    // Scalars that do not saturate have 64 bits.
    let most = if scalar { size == 3 } else { full };
    let narrow = size != 3;
    let float = full && (size >= 2 || (size == 1 && features.fp16));
    let (form, allocated) = match (bits(word, 15, 11), u) {
        (0b00000, _) => (Form::Right, most),
        (0b00010, _) => (Form::RightAccumulate, most),
        (0b00100, _) => (Form::RoundingRight, most),
        (0b00110, _) => (Form::RoundingRightAccumulate, most),
        (0b01000, true) => (Form::Sri, most),
        (0b01010, false) => (Form::Left, most),
        (0b01010, true) => (Form::Sli, most),
        (0b01100, true) => (Form::Sqshlu, full),
        (0b01110, _) => (Form::SaturatingLeft, full),
        (0b10000, false) => (Form::Narrow, narrow && !scalar),
        (0b10000, true) => (Form::SignedToUnsignedNarrow, narrow),
        (0b10001, false) => (Form::RoundingNarrow, narrow && !scalar),
        (0b10001, true) => (Form::SignedToUnsignedRoundingNarrow, narrow),
        (0b10010, _) => (Form::SaturatingNarrow, narrow),
        (0b10011, _) => (Form::SaturatingRoundingNarrow, narrow),
        (0b10100, _) => (Form::Lengthen, narrow && !scalar),
        (0b11100, _) => (Form::FromFixed, float),
        (0b11111, _) => (Form::ToFixed, float),
        _ => return None,
    };
    allocated.then(|| op(word, Table::Shift, form as u16, size))
}

/// Right, as a number of any precision; rounded to nearest, halves up.
fn right(value: i128, amount: u32, rounding: bool) -> i128 {
    // Values have 65 bits at most, so nothing is left beyond this.
    let amount = amount.min(100);
    let half = if rounding && amount != 0 { 1 << (amount - 1) } else { 0 };
    (value + half) >> amount
}

/// By the signed number in the low byte of `by`, left if it is positive. What does not fit 64 bits
/// is at least 2^64 in magnitude, and its low bits are right.
pub(super) fn by_register(value: i128, by: u64, rounding: bool) -> i128 {
    // The low byte.
    let by = by as i8;
    match u32::try_from(by) {
        Ok(left @ 0..64) => value << left,
        Ok(_) => value.signum() << 100,
        Err(_) => right(value, u32::from(by.unsigned_abs()), rounding),
    }
}

pub(super) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let shape = Shape::of(word, 8 << op.b);
    let (lane, immediate) = (shape.bits, bits(word, 22, 16));
    let is_signed = !bit(word, 29);
    let (n, d) = (core.v[rn(word)], core.v[rd(word)]);
    // Left shifts count up from the lane's size in immh:immb, right shifts down from twice it.
    let (left, down) = (immediate.wrapping_sub(lane) & 63, (2 * lane).wrapping_sub(immediate) & 127);
    let wide = |value| number(value, lane, is_signed);
    let mut saturation = Saturation::NONE;
    // Results of integer forms are cut to the lane, which is what `as` does here.
    let result = match form {
        Form::Right => shape.map(n, |a| right(wide(a), down, false) as u64),
        Form::RoundingRight => shape.map(n, |a| right(wide(a), down, true) as u64),
        Form::RightAccumulate => shape.zip(n, d, |a, d| d.wrapping_add(right(wide(a), down, false) as u64)),
        Form::RoundingRightAccumulate => {
            shape.zip(n, d, |a, d| d.wrapping_add(right(wide(a), down, true) as u64))
        }
        Form::Left => shape.map(n, |a| a << left),
        Form::Sli => shape.zip(n, d, |a, d| a << left | d & !(mask(lane) << left)),
        Form::Sri => shape.zip(n, d, |a, d| {
            let kept = mask(lane).checked_shr(down).unwrap_or(0);
            a.checked_shr(down).unwrap_or(0) | d & !kept
        }),
        Form::SaturatingLeft => shape.map(n, |a| saturation.clamp(wide(a) << left, lane, is_signed)),
        Form::Sqshlu => shape.map(n, |a| saturation.clamp(number(a, lane, true) << left, lane, false)),
        Form::Lengthen => {
            let source = shape.source(n);
            shape.doubled().build(|i| (wide(shape.get(source, i)) << left) as u64)
        }
        Form::FromFixed | Form::ToFixed => {
            let mut fp = Fp::of(core);
            let (format, integer) = (Format::of_bits(lane), Integer::new(lane, is_signed));
            let result = if form == Form::FromFixed {
                shape.map(n, |a| fp.from_fixed(format, a, integer, down))
            } else {
                shape.map(n, |a| fp.to_fixed(format, a, integer, down, Rounding::Zero))
            };
            core.fpsr = fp.flags;
            result
        }
        narrowing => {
            let rounding = matches!(
                narrowing,
                Form::RoundingNarrow | Form::SaturatingRoundingNarrow | Form::SignedToUnsignedRoundingNarrow
            );
            let plain = matches!(narrowing, Form::Narrow | Form::RoundingNarrow);
            // Signed from signed, unsigned from unsigned, or unsigned from signed.
            let (from, to) = match narrowing {
                Form::SaturatingNarrow | Form::SaturatingRoundingNarrow => (is_signed, is_signed),
                Form::SignedToUnsignedNarrow | Form::SignedToUnsignedRoundingNarrow => (true, false),
                _ => (false, false),
            };
            let source = shape.doubled();
            let part = if shape.width == 128 { Shape { width: 64, ..shape } } else { shape };
            let low = part.build(|i| {
                let value = right(number(source.get(n, i), source.bits, from), down, rounding);
                if plain { value as u64 } else { saturation.clamp(value, lane, to) }
            });
            shape.narrowed(d, low)
        }
    };
    saturation.commit(core);
    core.v[rd(word)] = result;
}
