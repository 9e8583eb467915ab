//! Three registers of different types: lengthening and narrowing [Arm C4.1, "Advanced SIMD three
//! different" and its scalar table].

use super::lanes::{Saturation, Shape, number, rd, rm, rn, signed};
use super::three_same::polynomial;
use super::{Table, op};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::op::{Op, forms};

forms! {
    /// U chooses between signed and unsigned.
    enum Form {
        AddLong,
        AddWide,
        SubLong,
        SubWide,
        AddHighNarrow,
        SubHighNarrow,
        RoundingAddHighNarrow,
        RoundingSubHighNarrow,
        AbsDiffLong,
        AbsDiffAccumulateLong,
        Mlal,
        Mlsl,
        Mull,
        Sqdmlal,
        Sqdmlsl,
        Sqdmull,
        Pmull,
        /// 64 by 64 bits.
        PmullWide,
    }
}

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let (scalar, u) = (bit(word, 28), bit(word, 29));
    let size = bits(word, 23, 22);
    let vector = !scalar && size != 3;
    let saturating = size == 1 || size == 2;
    let (form, allocated) = match (bits(word, 15, 12), u) {
        (0b0000, _) => (Form::AddLong, vector),
        (0b0001, _) => (Form::AddWide, vector),
        (0b0010, _) => (Form::SubLong, vector),
        (0b0011, _) => (Form::SubWide, vector),
        (0b0100, false) => (Form::AddHighNarrow, vector),
        (0b0100, true) => (Form::RoundingAddHighNarrow, vector),
        (0b0101, _) => (Form::AbsDiffAccumulateLong, vector),
        (0b0110, false) => (Form::SubHighNarrow, vector),
        (0b0110, true) => (Form::RoundingSubHighNarrow, vector),
        (0b0111, _) => (Form::AbsDiffLong, vector),
        (0b1000, _) => (Form::Mlal, vector),
        (0b1010, _) => (Form::Mlsl, vector),
        (0b1100, _) => (Form::Mull, vector),
        (0b1001, false) => (Form::Sqdmlal, saturating),
        (0b1011, false) => (Form::Sqdmlsl, saturating),
        (0b1101, false) => (Form::Sqdmull, saturating),
        (0b1110, false) if size == 3 => (Form::PmullWide, features.aes && !scalar),
        (0b1110, false) => (Form::Pmull, !scalar && size == 0),
        _ => return None,
    };
    allocated.then(|| op(word, Table::ThreeDifferent, form as u16, size))
}

/// SQDMULL, and SQDMLAL or SQDMLSL onto `onto`. `lane` is the bits of a factor.
pub(super) fn doubling_long(
    saturation: &mut Saturation,
    lane: u32,
    [a, b]: [u64; 2],
    onto: Option<(u64, bool)>,
) -> u64 {
    let doubled = 2 * i128::from(signed(a, lane)) * i128::from(signed(b, lane));
    let product = saturation.clamp(doubled, 2 * lane, true);
    let Some((accumulator, subtract)) = onto else { return product };
    let (accumulator, product) = (signed(accumulator, 2 * lane), signed(product, 2 * lane));
    let (accumulator, product) = (i128::from(accumulator), i128::from(product));
    let total = if subtract { accumulator - product } else { accumulator + product };
    saturation.clamp(total, 2 * lane, true)
}

pub(super) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let shape = Shape::of(word, 8 << op.b);
    let lane = shape.bits;
    let is_signed = !bit(word, 29);
    let (n, m, d) = (core.v[rn(word)], core.v[rm(word)], core.v[rd(word)]);
    let (low_n, low_m) = (shape.source(n), shape.source(m));
    let mut saturation = Saturation::NONE;
    if form == Form::PmullWide {
        // The half that Q chooses.
        core.v[rd(word)] = polynomial(low_n as u64, low_m as u64);
        return;
    }
    let long = shape.doubled();
    let wide = |value| number(value, lane, is_signed);
    // The lane's factors and the accumulator.
    let factors = |i| (wide(shape.get(low_n, i)), wide(shape.get(low_m, i)), long.get(d, i));
    let patterns = |i| [shape.get(low_n, i), shape.get(low_m, i)];
    // Results are cut to the lane, which is what `as` does here.
    let each = |f: fn(i128, i128, u64) -> u64| {
        long.build(|i| {
            let (a, b, d) = factors(i);
            f(a, b, d)
        })
    };
    let high = |subtract: bool, rounding: bool| {
        let part = Shape { width: 64, ..shape };
        let half = if rounding { 1 << (lane - 1) } else { 0 };
        let low = part.build(|i| {
            let (a, b) = (long.get(n, i), long.get(m, i));
            let sum = if subtract { a.wrapping_sub(b) } else { a.wrapping_add(b) };
            sum.wrapping_add(half) >> lane
        });
        shape.narrowed(d, low)
    };
    let result =
        match form {
            Form::AddLong => each(|a, b, _| (a + b) as u64),
            Form::SubLong => each(|a, b, _| (a - b) as u64),
            Form::AddWide => long.build(|i| long.get(n, i).wrapping_add(wide(shape.get(low_m, i)) as u64)),
            Form::SubWide => long.build(|i| long.get(n, i).wrapping_sub(wide(shape.get(low_m, i)) as u64)),
            Form::AddHighNarrow => high(false, false),
            Form::SubHighNarrow => high(true, false),
            Form::RoundingAddHighNarrow => high(false, true),
            Form::RoundingSubHighNarrow => high(true, true),
            Form::AbsDiffLong => each(|a, b, _| a.abs_diff(b) as u64),
            Form::AbsDiffAccumulateLong => each(|a, b, d| d.wrapping_add(a.abs_diff(b) as u64)),
            Form::Mlal => each(|a, b, d| d.wrapping_add((a * b) as u64)),
            Form::Mlsl => each(|a, b, d| d.wrapping_sub((a * b) as u64)),
            Form::Mull => each(|a, b, _| (a * b) as u64),
            Form::Sqdmlal => long
                .build(|i| doubling_long(&mut saturation, lane, patterns(i), Some((long.get(d, i), false)))),
            Form::Sqdmlsl => long
                .build(|i| doubling_long(&mut saturation, lane, patterns(i), Some((long.get(d, i), true)))),
            Form::Sqdmull => long.build(|i| doubling_long(&mut saturation, lane, patterns(i), None)),
            _ => long.build(|i| {
                let [a, b] = patterns(i);
                polynomial(a, b) as u64
            }),
        };
    saturation.commit(core);
    core.v[rd(word)] = result;
}
