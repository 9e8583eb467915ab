//! Three registers of the same type [Arm C4.1, "Advanced SIMD three same" and its scalar and FP16
//! tables].

use super::lanes::{Saturation, Shape, number, rd, rm, rn, signed, truth};
use super::{Table, shift};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::fp::{Format, Fp, Order};
use crate::a64::op::{Op, forms};

forms! {
    /// Where U only chooses between signed and unsigned, there is one form for both.
    enum Form {
        HalvingAdd,
        SaturatingAdd,
        RoundingHalvingAdd,
        And,
        Bic,
        Orr,
        Orn,
        Eor,
        Bsl,
        Bit,
        Bif,
        HalvingSub,
        SaturatingSub,
        CompareGreater,
        CompareGreaterEqual,
        Shift,
        SaturatingShift,
        RoundingShift,
        SaturatingRoundingShift,
        Max,
        Min,
        AbsDiff,
        AbsDiffAccumulate,
        Add,
        Sub,
        CompareTest,
        CompareEqual,
        Mla,
        Mls,
        Mul,
        PolynomialMul,
        MaxPairwise,
        MinPairwise,
        Sqdmulh,
        Sqrdmulh,
        AddPairwise,
        Fmaxnm,
        Fminnm,
        Fmla,
        Fmls,
        Fadd,
        Fsub,
        Fmulx,
        Fmul,
        Fcmeq,
        Fcmge,
        Fcmgt,
        Facge,
        Facgt,
        Fmax,
        Fmin,
        Frecps,
        Frsqrts,
        Fdiv,
        Fabd,
        Fmaxnmp,
        Fminnmp,
        Faddp,
        Fmaxp,
        Fminp,
        /// FMLAL and FMLSL: lanes are the long ones.
        Fmlal,
        Fmlsl,
        Fmlal2,
        Fmlsl2,
    }
}

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let (scalar, q, u) = (bit(word, 28), bit(word, 30), bit(word, 29));
    let size = bits(word, 23, 22);
    let opcode = bits(word, 15, 11);
    if opcode >= 0b11000 {
        let double = bit(word, 22);
        if let Some(form) = long(opcode & 7, u, bit(word, 23)) {
            let allocated = features.fhm && !scalar && !double;
            return allocated.then(|| super::op(word, Table::ThreeSame, form as u16, 2));
        }
        let form = float(opcode & 7, u, bit(word, 23), scalar)?;
        return (scalar || q || !double)
            .then(|| super::op(word, Table::ThreeSame, form as u16, 2 + size % 2));
    }
    // Lanes of 64 bits need a whole register, and scalars are of 64 bits for most.
    let any = scalar || size != 3 || q;
    let most = if scalar { size == 3 } else { any };
    let vector = !scalar && size != 3;
    let (form, allocated) = match (opcode, u) {
        (0b00000, _) => (Form::HalvingAdd, vector),
        (0b00001, _) => (Form::SaturatingAdd, any),
        (0b00010, _) => (Form::RoundingHalvingAdd, vector),
        (0b00011, false) => ([Form::And, Form::Bic, Form::Orr, Form::Orn][size as usize & 3], !scalar),
        (0b00011, true) => ([Form::Eor, Form::Bsl, Form::Bit, Form::Bif][size as usize & 3], !scalar),
        (0b00100, _) => (Form::HalvingSub, vector),
        (0b00101, _) => (Form::SaturatingSub, any),
        (0b00110, _) => (Form::CompareGreater, most),
        (0b00111, _) => (Form::CompareGreaterEqual, most),
        (0b01000, _) => (Form::Shift, most),
        (0b01001, _) => (Form::SaturatingShift, any),
        (0b01010, _) => (Form::RoundingShift, most),
        (0b01011, _) => (Form::SaturatingRoundingShift, any),
        (0b01100, _) => (Form::Max, vector),
        (0b01101, _) => (Form::Min, vector),
        (0b01110, _) => (Form::AbsDiff, vector),
        (0b01111, _) => (Form::AbsDiffAccumulate, vector),
        (0b10000, false) => (Form::Add, most),
        (0b10000, true) => (Form::Sub, most),
        (0b10001, false) => (Form::CompareTest, most),
        (0b10001, true) => (Form::CompareEqual, most),
        (0b10010, false) => (Form::Mla, vector),
        (0b10010, true) => (Form::Mls, vector),
        (0b10011, false) => (Form::Mul, vector),
        (0b10011, true) => (Form::PolynomialMul, vector && size == 0),
        (0b10100, _) => (Form::MaxPairwise, vector),
        (0b10101, _) => (Form::MinPairwise, vector),
        (0b10110, false) => (Form::Sqdmulh, size == 1 || size == 2),
        (0b10110, true) => (Form::Sqrdmulh, size == 1 || size == 2),
        (0b10111, false) => (Form::AddPairwise, any && !scalar),
        _ => return None,
    };
    allocated.then(|| super::op(word, Table::ThreeSame, form as u16, size))
}

/// The floating-point form of the low three bits of an opcode, U and the high bit of the size.
fn float(opcode: u32, u: bool, high: bool, scalar: bool) -> Option<Form> {
    let (form, has_scalar) = match (opcode, u, high) {
        (0b000, false, false) => (Form::Fmaxnm, false),
        (0b000, false, true) => (Form::Fminnm, false),
        (0b000, true, false) => (Form::Fmaxnmp, false),
        (0b000, true, true) => (Form::Fminnmp, false),
        (0b001, false, false) => (Form::Fmla, false),
        (0b001, false, true) => (Form::Fmls, false),
        (0b010, false, false) => (Form::Fadd, false),
        (0b010, false, true) => (Form::Fsub, false),
        (0b010, true, false) => (Form::Faddp, false),
        (0b010, true, true) => (Form::Fabd, true),
        (0b011, false, false) => (Form::Fmulx, true),
        (0b011, true, false) => (Form::Fmul, false),
        (0b100, false, false) => (Form::Fcmeq, true),
        (0b100, true, false) => (Form::Fcmge, true),
        (0b100, true, true) => (Form::Fcmgt, true),
        (0b101, true, false) => (Form::Facge, true),
        (0b101, true, true) => (Form::Facgt, true),
        (0b110, false, false) => (Form::Fmax, false),
        (0b110, false, true) => (Form::Fmin, false),
        (0b110, true, false) => (Form::Fmaxp, false),
        (0b110, true, true) => (Form::Fminp, false),
        (0b111, false, false) => (Form::Frecps, true),
        (0b111, false, true) => (Form::Frsqrts, true),
        (0b111, true, false) => (Form::Fdiv, false),
        _ => return None,
    };
    (!scalar || has_scalar).then_some(form)
}

fn long(opcode: u32, u: bool, high: bool) -> Option<Form> {
    Some(match (opcode, u, high) {
        (0b101, false, false) => Form::Fmlal,
        (0b101, false, true) => Form::Fmlsl,
        (0b001, true, false) => Form::Fmlal2,
        (0b001, true, true) => Form::Fmlsl2,
        _ => return None,
    })
}

/// The FP16 table: bits 13:11 are the low three bits of the opcode.
pub(super) fn decode_half(word: u32, features: &Features) -> Option<Op> {
    let form = float(bits(word, 13, 11), bit(word, 29), bit(word, 23), bit(word, 28))?;
    features.fp16.then(|| super::op(word, Table::ThreeSame, form as u16, 1))
}

pub(super) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let shape = Shape::of(word, 8 << op.b);
    let (n, m, d) = (core.v[rn(word)], core.v[rm(word)], core.v[rd(word)]);
    core.v[rd(word)] = if form as u8 >= Form::Fmaxnm as u8 {
        let mut fp = Fp::of(core);
        let result = execute_float(&mut fp, form, shape, n, m, d);
        core.fpsr = fp.flags;
        result
    } else {
        execute_integer(core, form, shape, !bit(word, 29), [n, m, d])
    };
}

fn execute_integer(core: &mut Core, form: Form, shape: Shape, is_signed: bool, v: [u128; 3]) -> u128 {
    let [n, m, d] = v;
    let bits = shape.bits;
    let mut saturation = Saturation::NONE;
    let wide = |value| number(value, bits, is_signed);
    let greater = |a, b| wide(a) > wide(b);
    let larger = |a, b| if greater(a, b) { a } else { b };
    let smaller = |a, b| if greater(a, b) { b } else { a };
    let distance = |a, b| larger(a, b).wrapping_sub(smaller(a, b));
    // Results of integer forms are cut to the lane, which is what `as` does here.
    let result = match form {
        Form::HalvingAdd => shape.zip(n, m, |a, b| ((wide(a) + wide(b)) >> 1) as u64),
        Form::RoundingHalvingAdd => shape.zip(n, m, |a, b| ((wide(a) + wide(b) + 1) >> 1) as u64),
        Form::HalvingSub => shape.zip(n, m, |a, b| ((wide(a) - wide(b)) >> 1) as u64),
        Form::SaturatingAdd => shape.zip(n, m, |a, b| saturation.clamp(wide(a) + wide(b), bits, is_signed)),
        Form::SaturatingSub => shape.zip(n, m, |a, b| saturation.clamp(wide(a) - wide(b), bits, is_signed)),
        Form::And => shape.cut(n & m),
        Form::Bic => shape.cut(n & !m),
        Form::Orr => shape.cut(n | m),
        Form::Orn => shape.cut(n | !m),
        Form::Eor => shape.cut(n ^ m),
        Form::Bsl => shape.cut(m ^ ((m ^ n) & d)),
        Form::Bit => shape.cut(d ^ ((d ^ n) & m)),
        Form::Bif => shape.cut(d ^ ((d ^ n) & !m)),
        Form::CompareGreater => shape.zip(n, m, |a, b| truth(greater(a, b))),
        Form::CompareGreaterEqual => shape.zip(n, m, |a, b| truth(!greater(b, a))),
        Form::CompareTest => shape.zip(n, m, |a, b| truth(a & b != 0)),
        Form::CompareEqual => shape.zip(n, m, |a, b| truth(a == b)),
        Form::Shift | Form::RoundingShift => {
            let rounding = form == Form::RoundingShift;
            shape.zip(n, m, |a, b| shift::by_register(wide(a), b, rounding) as u64)
        }
        Form::SaturatingShift | Form::SaturatingRoundingShift => {
            let rounding = form == Form::SaturatingRoundingShift;
            shape
                .zip(n, m, |a, b| saturation.clamp(shift::by_register(wide(a), b, rounding), bits, is_signed))
        }
        Form::Max => shape.zip(n, m, larger),
        Form::Min => shape.zip(n, m, smaller),
        Form::AbsDiff => shape.zip(n, m, distance),
        Form::AbsDiffAccumulate => shape.zip3(n, m, d, |a, b, d| d.wrapping_add(distance(a, b))),
        Form::Add => shape.zip(n, m, u64::wrapping_add),
        Form::Sub => shape.zip(n, m, u64::wrapping_sub),
        Form::Mla => shape.zip3(n, m, d, |a, b, d| d.wrapping_add(a.wrapping_mul(b))),
        Form::Mls => shape.zip3(n, m, d, |a, b, d| d.wrapping_sub(a.wrapping_mul(b))),
        Form::Mul => shape.zip(n, m, u64::wrapping_mul),
        Form::PolynomialMul => shape.zip(n, m, |a, b| polynomial(a, b) as u64),
        Form::MaxPairwise => shape.pairs(n, m, larger),
        Form::MinPairwise => shape.pairs(n, m, smaller),
        Form::AddPairwise => shape.pairs(n, m, u64::wrapping_add),
        Form::Sqdmulh => shape.zip(n, m, |a, b| doubling_high(&mut saturation, bits, a, b, false)),
        _ => shape.zip(n, m, |a, b| doubling_high(&mut saturation, bits, a, b, true)),
    };
    saturation.commit(core);
    result
}

/// Product of polynomials over {0, 1}.
pub(super) fn polynomial(a: u64, b: u64) -> u128 {
    (0..64).filter(|i| b >> i & 1 != 0).fold(0, |product, i| product ^ u128::from(a) << i)
}

/// SQDMULH and SQRDMULH: the high half of the doubled product.
pub(super) fn doubling_high(saturation: &mut Saturation, bits: u32, a: u64, b: u64, rounding: bool) -> u64 {
    let product = 2 * i128::from(signed(a, bits)) * i128::from(signed(b, bits));
    let half = if rounding { 1 << (bits - 1) } else { 0 };
    saturation.clamp((product + half) >> bits, bits, true)
}

/// SQRDMLAH and SQRDMLSH: the same with an accumulator, rounded once.
pub(super) fn doubling_high_accumulate(
    saturation: &mut Saturation,
    bits: u32,
    [d, a, b]: [u64; 3],
    subtract: bool,
) -> u64 {
    let product = 2 * i128::from(signed(a, bits)) * i128::from(signed(b, bits));
    let product = if subtract { -product } else { product };
    let total = (i128::from(signed(d, bits)) << bits) + product + (1 << (bits - 1));
    saturation.clamp(total >> bits, bits, true)
}

/// FMLAL and the like: onto lanes of single precision the products of lanes of half precision, of the
/// upper half of those for FMLAL2 and FMLSL2.
pub(super) fn mul_add_long(
    fp: &mut Fp,
    shape: Shape,
    (upper, subtract): (bool, bool),
    [n, d]: [u128; 2],
    other: impl Fn(u32) -> u64,
) -> u128 {
    let halves = Shape { bits: 16, ..shape };
    let from = if upper { shape.lanes() } else { 0 };
    shape.build(|i| {
        let a = halves.get(n, from + i) ^ if subtract { Format::H.sign() } else { 0 };
        let (a, b) = (fp.widen_half(a), fp.widen_half(other(from + i)));
        fp.mul_add(Format::S, shape.get(d, i), a, b)
    })
}

fn execute_float(fp: &mut Fp, form: Form, shape: Shape, n: u128, m: u128, d: u128) -> u128 {
    let format = Format::of_bits(shape.bits);
    let magnitude = |value: u64| value & !format.sign();
    let mut test =
        |a, b, signalling, holds: fn(Order) -> bool| truth(holds(fp.compare(format, a, b, signalling)));
    let at_least = |order| matches!(order, Order::Greater | Order::Equal);
    match form {
        Form::Fcmeq => shape.zip(n, m, |a, b| test(a, b, false, |order| order == Order::Equal)),
        Form::Fcmge => shape.zip(n, m, |a, b| test(a, b, true, at_least)),
        Form::Fcmgt => shape.zip(n, m, |a, b| test(a, b, true, |order| order == Order::Greater)),
        Form::Facge => shape.zip(n, m, |a, b| test(magnitude(a), magnitude(b), true, at_least)),
        Form::Facgt => {
            shape.zip(n, m, |a, b| test(magnitude(a), magnitude(b), true, |order| order == Order::Greater))
        }
        Form::Fmla => shape.zip3(n, m, d, |a, b, d| fp.mul_add(format, d, a, b)),
        Form::Fmls => shape.zip3(n, m, d, |a, b, d| fp.mul_add(format, d, a ^ format.sign(), b)),
        Form::Fmaxnm => shape.zip(n, m, |a, b| fp.max_min_num(format, a, b, true)),
        Form::Fminnm => shape.zip(n, m, |a, b| fp.max_min_num(format, a, b, false)),
        Form::Fmaxnmp => shape.pairs(n, m, |a, b| fp.max_min_num(format, a, b, true)),
        Form::Fminnmp => shape.pairs(n, m, |a, b| fp.max_min_num(format, a, b, false)),
        Form::Fmax => shape.zip(n, m, |a, b| fp.max_min(format, a, b, true)),
        Form::Fmin => shape.zip(n, m, |a, b| fp.max_min(format, a, b, false)),
        Form::Fmaxp => shape.pairs(n, m, |a, b| fp.max_min(format, a, b, true)),
        Form::Fminp => shape.pairs(n, m, |a, b| fp.max_min(format, a, b, false)),
        Form::Fadd => shape.zip(n, m, |a, b| fp.add(format, a, b)),
        Form::Faddp => shape.pairs(n, m, |a, b| fp.add(format, a, b)),
        Form::Fsub => shape.zip(n, m, |a, b| fp.sub(format, a, b)),
        Form::Fabd => shape.zip(n, m, |a, b| fp.abs_diff(format, a, b)),
        Form::Fmulx => shape.zip(n, m, |a, b| fp.mulx(format, a, b)),
        Form::Fmul => shape.zip(n, m, |a, b| fp.mul(format, a, b)),
        Form::Fdiv => shape.zip(n, m, |a, b| fp.div(format, a, b)),
        Form::Fmlal | Form::Fmlsl | Form::Fmlal2 | Form::Fmlsl2 => {
            let upper = matches!(form, Form::Fmlal2 | Form::Fmlsl2);
            let subtract = matches!(form, Form::Fmlsl | Form::Fmlsl2);
            let halves = Shape { bits: 16, ..shape };
            mul_add_long(fp, shape, (upper, subtract), [n, d], |i| halves.get(m, i))
        }
        Form::Frecps => shape.zip(n, m, |a, b| fp.recip_step(format, a, b)),
        _ => shape.zip(n, m, |a, b| fp.rsqrt_step(format, a, b)),
    }
}
