//! Two registers, miscellaneous [Arm C4.1, "Advanced SIMD two-register miscellaneous" and its scalar
//! and FP16 tables].

use super::lanes::{Saturation, Shape, number, rd, rn, signed, truth};
use super::{Table, op};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::fp::{Format, Fp, Integer, Order, Rounding, unsigned_reciprocal, unsigned_reciprocal_root};
use crate::a64::op::{Op, forms};

forms! {
    /// U chooses between signed and unsigned where there is one form for both.
    enum Form {
        Rev64,
        Rev32,
        Rev16,
        AddLongPairwise,
        AddAccumulateLongPairwise,
        /// SUQADD, USQADD
        AccumulateSaturating,
        Cls,
        Clz,
        Cnt,
        Not,
        Rbit,
        Sqabs,
        Sqneg,
        GreaterZero,
        GreaterEqualZero,
        EqualZero,
        LessEqualZero,
        LessZero,
        Abs,
        Neg,
        Xtn,
        Sqxtun,
        SaturatingNarrow,
        Shll,
        Fcvtn,
        Fcvtxn,
        Fcvtl,
        Round,
        RoundExact,
        /// FRINT32Z and the like: `a` is the bits.
        RoundTo,
        ToInteger,
        FromInteger,
        FcmGreater,
        FcmGreaterEqual,
        FcmEqual,
        FcmLessEqual,
        FcmLess,
        Fabs,
        Fneg,
        Fsqrt,
        Urecpe,
        Ursqrte,
        Frecpe,
        Frsqrte,
        Frecpx,
    }
}

/// `a` of [`Form::Round`], [`Form::ToInteger`]: a rounding mode numbered as RMode, or these.
const AWAY: u8 = 4;
const CURRENT: u8 = 5;

fn rounding(mode: u8, fp: &Fp) -> Rounding {
    match mode {
        CURRENT => fp.rounding,
        AWAY => Rounding::NearestAway,
        mode => Rounding::of(mode.into()),
    }
}

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let (scalar, q, u) = (bit(word, 28), bit(word, 30), bit(word, 29));
    let size = bits(word, 23, 22);
    let opcode = bits(word, 16, 12);
    let vector = !scalar && size != 3;
    let any = scalar || size != 3 || q;
    let most = if scalar { size == 3 } else { any };
    let (form, allocated) = match (opcode, u) {
        (0b00000, false) => (Form::Rev64, vector),
        (0b00000, true) => (Form::Rev32, vector && size < 2),
        (0b00001, false) => (Form::Rev16, vector && size == 0),
        (0b00010, _) => (Form::AddLongPairwise, vector),
        (0b00011, _) => (Form::AccumulateSaturating, any),
        (0b00100, false) => (Form::Cls, vector),
        (0b00100, true) => (Form::Clz, vector),
        (0b00101, false) => (Form::Cnt, vector && size == 0),
        (0b00101, true) => (if size == 0 { Form::Not } else { Form::Rbit }, vector && size < 2),
        (0b00110, _) => (Form::AddAccumulateLongPairwise, vector),
        (0b00111, false) => (Form::Sqabs, any),
        (0b00111, true) => (Form::Sqneg, any),
        (0b01000, false) => (Form::GreaterZero, most),
        (0b01000, true) => (Form::GreaterEqualZero, most),
        (0b01001, false) => (Form::EqualZero, most),
        (0b01001, true) => (Form::LessEqualZero, most),
        (0b01010, false) => (Form::LessZero, most),
        (0b01011, false) => (Form::Abs, most),
        (0b01011, true) => (Form::Neg, most),
        (0b10010, false) => (Form::Xtn, vector),
        (0b10010, true) => (Form::Sqxtun, size != 3),
        (0b10011, true) => (Form::Shll, vector),
        (0b10100, _) => (Form::SaturatingNarrow, size != 3),
        (0b10110, false) => (Form::Fcvtn, !scalar && size < 2),
        (0b10110, true) => (Form::Fcvtxn, size == 1),
        (0b10111, false) => (Form::Fcvtl, !scalar && size < 2),
        _ => return decode_float(word, opcode, 2 + size % 2, features),
    };
    // RBIT reverses bytes, though its size is 1. FCVTN and FCVTXN narrow from twice their lane.
    let lane = match form {
        Form::Rbit => 0,
        Form::Fcvtn | Form::Fcvtl => 1 + size,
        Form::Fcvtxn => 2,
        _ => size,
    };
    allocated.then(|| op(word, Table::TwoMisc, form as u16, lane))
}

/// The FP16 table.
pub(super) fn decode_half(word: u32, features: &Features) -> Option<Op> {
    if !features.fp16 {
        return None;
    }
    decode_float(word, bits(word, 16, 12), 1, features)
}

/// The forms that FP16 has as well. Bit 23 of the word is the high bit of the size.
fn decode_float(word: u32, opcode: u32, size: u32, features: &Features) -> Option<Op> {
    let (scalar, q, u, high) = (bit(word, 28), bit(word, 30), bit(word, 29), bit(word, 23));
    let vector = !scalar;
    let single = vector && size == 2;
    let fits = features.frintts && vector && size != 1;
    let (form, a, allocated) = match (opcode, u, high) {
        (0b01100, false, true) => (Form::FcmGreater, 0, true),
        (0b01100, true, true) => (Form::FcmGreaterEqual, 0, true),
        (0b01101, false, true) => (Form::FcmEqual, 0, true),
        (0b01101, true, true) => (Form::FcmLessEqual, 0, true),
        (0b01110, false, true) => (Form::FcmLess, 0, true),
        (0b01111, false, true) => (Form::Fabs, 0, vector),
        (0b01111, true, true) => (Form::Fneg, 0, vector),
        (0b11000, false, false) => (Form::Round, 0, vector),
        (0b11000, false, true) => (Form::Round, 1, vector),
        (0b11001, false, false) => (Form::Round, 2, vector),
        (0b11001, false, true) => (Form::Round, 3, vector),
        (0b11000, true, false) => (Form::Round, AWAY, vector),
        (0b11001, true, true) => (Form::Round, CURRENT, vector),
        (0b11001, true, false) => (Form::RoundExact, CURRENT, vector),
        (0b11010, _, false) => (Form::ToInteger, 0, true),
        (0b11010, _, true) => (Form::ToInteger, 1, true),
        (0b11011, _, false) => (Form::ToInteger, 2, true),
        (0b11011, _, true) => (Form::ToInteger, 3, true),
        (0b11100, _, false) => (Form::ToInteger, AWAY, true),
        (0b11101, _, false) => (Form::FromInteger, 0, true),
        (0b11100, false, true) => (Form::Urecpe, 0, single),
        (0b11100, true, true) => (Form::Ursqrte, 0, single),
        (0b11101, false, true) => (Form::Frecpe, 0, true),
        (0b11101, true, true) => (Form::Frsqrte, 0, true),
        (0b11110, _, false) => (Form::RoundTo, 32, fits),
        (0b11111, _, false) => (Form::RoundTo, 64, fits),
        (0b11111, false, true) => (Form::Frecpx, 0, scalar),
        (0b11111, true, true) => (Form::Fsqrt, 0, vector),
        _ => return None,
    };
    let fits_register = scalar || q || size != 3;
    (allocated && fits_register).then(|| op(word, Table::TwoMisc, form as u16, size).a(a))
}

pub(super) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let shape = Shape::of(word, 8 << op.b);
    let (n, d) = (core.v[rn(word)], core.v[rd(word)]);
    core.v[rd(word)] = if form as u8 >= Form::Fcvtn as u8 {
        let mut fp = Fp::of(core);
        let result = execute_float(&mut fp, op, shape, n, d);
        core.fpsr = fp.flags;
        result
    } else {
        execute_integer(core, form, shape, !bit(word, 29), n, d)
    };
}

/// Reverses lanes within containers of `container` bits.
fn reverse(shape: Shape, container: u32, n: u128) -> u128 {
    let last = container / shape.bits - 1;
    shape.build(|i| shape.get(n, i ^ last))
}

fn execute_integer(core: &mut Core, form: Form, shape: Shape, is_signed: bool, n: u128, d: u128) -> u128 {
    let lane = shape.bits;
    let mut saturation = Saturation::NONE;
    let wide = |value| number(value, lane, true);
    let mut narrow = |from: bool, to: bool| {
        let source = shape.doubled();
        let part = if shape.width == 128 { Shape { width: 64, ..shape } } else { shape };
        let low = part.build(|i| saturation.clamp(number(source.get(n, i), source.bits, from), lane, to));
        shape.narrowed(d, low)
    };
    // Results are cut to the lane, which is what `as` does here.
    let result = match form {
        Form::Rev64 => reverse(shape, 64, n),
        Form::Rev32 => reverse(shape, 32, n),
        Form::Rev16 => reverse(shape, 16, n),
        Form::AddLongPairwise | Form::AddAccumulateLongPairwise => {
            let long = Shape { bits: 2 * lane, ..shape };
            let onto = if form == Form::AddLongPairwise { 0 } else { d };
            long.build(|i| {
                let [a, b] = [2 * i, 2 * i + 1].map(|i| number(shape.get(n, i), lane, is_signed));
                long.get(onto, i).wrapping_add((a + b) as u64)
            })
        }
        Form::AccumulateSaturating => shape.zip(n, d, |a, d| {
            // A number of the other kind is added.
            saturation.clamp(number(a, lane, !is_signed) + number(d, lane, is_signed), lane, is_signed)
        }),
        Form::Cls => shape.map(n, |a| {
            let a = signed(a, lane);
            u64::from((a ^ a >> 63).leading_zeros() - (64 - lane) - 1)
        }),
        Form::Clz => shape.map(n, |a| u64::from(a.leading_zeros() - (64 - lane))),
        Form::Cnt => shape.map(n, |a| u64::from(a.count_ones())),
        Form::Not => shape.cut(!n),
        Form::Rbit => shape.map(n, |a| a.reverse_bits() >> (64 - lane)),
        Form::Sqabs => shape.map(n, |a| saturation.clamp(wide(a).abs(), lane, true)),
        Form::Sqneg => shape.map(n, |a| saturation.clamp(-wide(a), lane, true)),
        Form::GreaterZero => shape.map(n, |a| truth(wide(a) > 0)),
        Form::GreaterEqualZero => shape.map(n, |a| truth(wide(a) >= 0)),
        Form::EqualZero => shape.map(n, |a| truth(a == 0)),
        Form::LessEqualZero => shape.map(n, |a| truth(wide(a) <= 0)),
        Form::LessZero => shape.map(n, |a| truth(wide(a) < 0)),
        Form::Abs => shape.map(n, |a| wide(a).unsigned_abs() as u64),
        Form::Neg => shape.map(n, u64::wrapping_neg),
        Form::Xtn => {
            let source = shape.doubled();
            shape.narrowed(d, Shape { width: 64, ..shape }.build(|i| source.get(n, i)))
        }
        Form::Sqxtun => narrow(true, false),
        Form::SaturatingNarrow => narrow(is_signed, is_signed),
        // SHLL
        _ => {
            let source = shape.source(n);
            shape.doubled().build(|i| shape.get(source, i) << lane)
        }
    };
    saturation.commit(core);
    result
}

fn execute_float(fp: &mut Fp, op: Op, shape: Shape, n: u128, d: u128) -> u128 {
    // The instruction.
    let word = op.imm as u32;
    let form = Form::of(op.form);
    let lane = shape.bits;
    let format = Format::of_bits(lane);
    let integer = Integer::new(lane, !bit(word, 29));
    let mut test =
        |a, signalling, holds: fn(Order) -> bool| truth(holds(fp.compare(format, a, 0, signalling)));
    match form {
        Form::Fcvtn | Form::Fcvtxn => {
            let source = shape.doubled();
            let from = Format::of_bits(source.bits);
            let rounding = if form == Form::Fcvtxn { Rounding::Odd } else { fp.rounding };
            let part = if shape.width == 128 { Shape { width: 64, ..shape } } else { shape };
            let low = part.build(|i| fp.convert_with(from, format, source.get(n, i), rounding));
            shape.narrowed(d, low)
        }
        Form::Fcvtl => {
            let (source, long) = (shape.source(n), shape.doubled());
            long.build(|i| fp.convert(format, Format::of_bits(long.bits), shape.get(source, i)))
        }
        Form::Round | Form::RoundExact => {
            let rounding = rounding(op.a, fp);
            shape.map(n, |a| fp.round_int(format, a, rounding, form == Form::RoundExact))
        }
        Form::RoundTo => {
            let rounding = if bit(word, 29) { fp.rounding } else { Rounding::Zero };
            shape.map(n, |a| fp.round_int_n(format, a, rounding, op.a.into()))
        }
        Form::ToInteger => {
            let rounding = rounding(op.a, fp);
            shape.map(n, |a| fp.to_fixed(format, a, integer, 0, rounding))
        }
        Form::FromInteger => shape.map(n, |a| fp.from_fixed(format, a, integer, 0)),
        Form::FcmGreater => shape.map(n, |a| test(a, true, |order| order == Order::Greater)),
        Form::FcmGreaterEqual => {
            shape.map(n, |a| test(a, true, |order| matches!(order, Order::Greater | Order::Equal)))
        }
        Form::FcmEqual => shape.map(n, |a| test(a, false, |order| order == Order::Equal)),
        Form::FcmLessEqual => {
            shape.map(n, |a| test(a, true, |order| matches!(order, Order::Less | Order::Equal)))
        }
        Form::FcmLess => shape.map(n, |a| test(a, true, |order| order == Order::Less)),
        Form::Fabs => shape.map(n, |a| a & !format.sign()),
        Form::Fneg => shape.map(n, |a| a ^ format.sign()),
        Form::Fsqrt => shape.map(n, |a| fp.sqrt(format, a)),
        Form::Urecpe => shape.map(n, unsigned_reciprocal),
        Form::Ursqrte => shape.map(n, unsigned_reciprocal_root),
        Form::Frecpe => shape.map(n, |a| fp.recip_estimate(format, a)),
        Form::Frsqrte => shape.map(n, |a| fp.rsqrt_estimate(format, a)),
        _ => shape.map(n, |a| fp.recip_exponent(format, a)),
    }
}
