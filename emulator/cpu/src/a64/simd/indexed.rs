//! By element [Arm C4.1, "Advanced SIMD vector x indexed element" and its scalar table].

use super::lanes::{Saturation, Shape, number, rd, rm, rn};
use super::three_different::doubling_long;
use super::three_same::{doubling_high, doubling_high_accumulate, mul_add_long};
use super::{Table, op, three_extra};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::fp::{Format, Fp};
use crate::a64::op::{Op, forms};

forms! {
    /// U chooses between signed and unsigned. `a` is the element's index.
    enum Form {
        Mla,
        Mls,
        Mul,
        Mlal,
        Mlsl,
        Mull,
        Sqdmlal,
        Sqdmlsl,
        Sqdmull,
        Sqdmulh,
        Sqrdmulh,
        Sqrdmlah,
        Sqrdmlsh,
        Dot,
        Fmla,
        Fmls,
        Fmul,
        Fmulx,
        Fcmla,
        /// Bit 3 of the opcode chooses the upper half, bit 2 subtracts.
        Fmlal,
    }
}

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let (scalar, q, u) = (bit(word, 28), bit(word, 30), bit(word, 29));
    let size = bits(word, 23, 22);
    let (h, l, m) = (bits(word, 11, 11), bits(word, 21, 21), bits(word, 20, 20));
    let opcode = bits(word, 15, 12);
    let float = match (opcode, u) {
        (0b0001, false) => Some(Form::Fmla),
        (0b0101, false) => Some(Form::Fmls),
        (0b1001, false) => Some(Form::Fmul),
        (0b1001, true) => Some(Form::Fmulx),
        _ => None,
    };
    // An index counts in the register that M joins, except for half-words: V0 to V15 only.
    let (lane, index, allocated) = match (size, float) {
        (0, Some(_)) => (1, h << 2 | l << 1 | m, features.fp16),
        (2, Some(_)) => (2, h << 1 | l, true),
        (3, Some(_)) => (3, h, l == 0 && (q || scalar)),
        (1, None) => (1, h << 2 | l << 1 | m, true),
        (2, None) => (2, h << 1 | l, true),
        _ => return None,
    };
    // FCMLA: the element is a complex number.
    let complex = u && !scalar && features.fcma && opcode & 0b1001 == 0b0001;
    let (form, index, allocated) = match (opcode, u) {
        _ if float.is_some() => (float?, index, allocated),
        _ if complex && size == 1 => (Form::Fcmla, h << 1 | l, features.fp16 && (q || h == 0)),
        _ if complex && size == 2 => (Form::Fcmla, h, l == 0 && q),
        (0b0000 | 0b0100, false) | (0b1000 | 0b1100, true) if size == 2 => {
            (Form::Fmlal, h << 2 | l << 1 | m, features.fhm && !scalar)
        }
        (0b0000, true) => (Form::Mla, index, !scalar),
        (0b0100, true) => (Form::Mls, index, !scalar),
        (0b1000, false) => (Form::Mul, index, !scalar),
        (0b0010, _) => (Form::Mlal, index, !scalar),
        (0b0110, _) => (Form::Mlsl, index, !scalar),
        (0b1010, _) => (Form::Mull, index, !scalar),
        (0b0011, false) => (Form::Sqdmlal, index, true),
        (0b0111, false) => (Form::Sqdmlsl, index, true),
        (0b1011, false) => (Form::Sqdmull, index, true),
        (0b1100, false) => (Form::Sqdmulh, index, true),
        (0b1101, false) => (Form::Sqrdmulh, index, true),
        (0b1101, true) => (Form::Sqrdmlah, index, features.rdm),
        (0b1111, true) => (Form::Sqrdmlsh, index, features.rdm),
        (0b1110, _) if size == 2 => (Form::Dot, index, features.dotprod && !scalar),
        _ => return None,
    };
    // Three bits.
    (allocated).then(|| op(word, Table::Indexed, form as u16, lane).a(index as u8))
}

pub(super) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let shape = Shape::of(word, 8 << op.b);
    let lane = shape.bits;
    let is_signed = !bit(word, 29);
    let (n, d) = (core.v[rn(word)], core.v[rd(word)]);
    let half_word = (lane == 16 && form != Form::Fcmla) || form == Form::Fmlal;
    let m = core.v[if half_word { rm(word) & 15 } else { rm(word) }];
    let element = shape.get(m, op.a.into());
    let mut saturation = Saturation::NONE;
    let mut fp = Fp::of(core);
    let format = Format::of_bits(lane);
    let (long, source) = (shape.doubled(), shape.source(n));
    let wide = |value| number(value, lane, is_signed);
    // Cut to the lane.
    let long_product = |i| (wide(shape.get(source, i)) * wide(element)) as u64;
    let result = match form {
        Form::Mla => shape.zip(n, d, |a, d| d.wrapping_add(a.wrapping_mul(element))),
        Form::Mls => shape.zip(n, d, |a, d| d.wrapping_sub(a.wrapping_mul(element))),
        Form::Mul => shape.map(n, |a| a.wrapping_mul(element)),
        Form::Mlal => long.build(|i| long.get(d, i).wrapping_add(long_product(i))),
        Form::Mlsl => long.build(|i| long.get(d, i).wrapping_sub(long_product(i))),
        Form::Mull => long.build(long_product),
        Form::Sqdmlal | Form::Sqdmlsl | Form::Sqdmull => long.build(|i| {
            let onto = match form {
                Form::Sqdmull => None,
                form => Some((long.get(d, i), form == Form::Sqdmlsl)),
            };
            doubling_long(&mut saturation, lane, [shape.get(source, i), element], onto)
        }),
        Form::Sqdmulh => shape.map(n, |a| doubling_high(&mut saturation, lane, a, element, false)),
        Form::Sqrdmulh => shape.map(n, |a| doubling_high(&mut saturation, lane, a, element, true)),
        Form::Sqrdmlah | Form::Sqrdmlsh => shape.zip(n, d, |a, d| {
            doubling_high_accumulate(&mut saturation, lane, [d, a, element], form == Form::Sqrdmlsh)
        }),
        Form::Dot => three_extra::dot(shape, is_signed, n, |_| element, d),
        Form::Fmla => shape.zip(n, d, |a, d| fp.mul_add(format, d, a, element)),
        Form::Fmls => shape.zip(n, d, |a, d| fp.mul_add(format, d, a ^ format.sign(), element)),
        Form::Fmul => shape.map(n, |a| fp.mul(format, a, element)),
        Form::Fmulx => shape.map(n, |a| fp.mulx(format, a, element)),
        Form::Fmlal => {
            let element = Shape { bits: 16, ..shape }.get(m, op.a.into());
            mul_add_long(&mut fp, shape, (bit(word, 15), bit(word, 14)), [n, d], |_| element)
        }
        Form::Fcmla => {
            let at = 2 * u32::from(op.a);
            let pair = [shape.get(m, at), shape.get(m, at + 1)];
            three_extra::complex_mul_add(&mut fp, shape, bits(word, 14, 13), [n, d], |_| pair)
        }
    };
    core.fpsr = fp.flags;
    saturation.commit(core);
    core.v[rd(word)] = result;
}
