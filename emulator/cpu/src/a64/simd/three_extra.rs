//! Three registers, extension: SQRDMLAH, SQRDMLSH, SDOT, UDOT, FCADD, FCMLA [Arm C4.1, "Advanced SIMD
//! three same extra" and its scalar table].

use super::lanes::{Saturation, Shape, number, rd, rm, rn};
use super::three_same::doubling_high_accumulate;
use super::{Table, op};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::fp::{Format, Fp};
use crate::a64::op::{Op, forms};

forms! {
    enum Form {
        Sqrdmlah,
        Sqrdmlsh,
        /// U chooses between signed and unsigned.
        Dot,
        Fcmla,
        Fcadd,
    }
}

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let (scalar, q, u) = (bit(word, 28), bit(word, 30), bit(word, 29));
    let size = bits(word, 23, 22);
    let complex = features.fcma
        && !scalar
        && match size {
            0 => false,
            1 => features.fp16,
            2 => true,
            _ => q,
        };
    let (form, allocated) = match (bits(word, 14, 11), u) {
        (0b0000, true) => (Form::Sqrdmlah, features.rdm && (size == 1 || size == 2)),
        (0b0001, true) => (Form::Sqrdmlsh, features.rdm && (size == 1 || size == 2)),
        (0b0010, _) => (Form::Dot, features.dotprod && !scalar && size == 2),
        (0b1000..=0b1011, true) => (Form::Fcmla, complex),
        (0b1100 | 0b1110, true) => (Form::Fcadd, complex),
        _ => return None,
    };
    allocated.then(|| op(word, Table::ThreeExtra, form as u16, size))
}

pub(super) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let shape = Shape::of(word, 8 << op.b);
    let (n, m, d) = (core.v[rn(word)], core.v[rm(word)], core.v[rd(word)]);
    let mut saturation = Saturation::NONE;
    let mut fp = Fp::of(core);
    core.v[rd(word)] = match form {
        Form::Sqrdmlah | Form::Sqrdmlsh => shape.zip3(d, n, m, |d, a, b| {
            doubling_high_accumulate(&mut saturation, shape.bits, [d, a, b], form == Form::Sqrdmlsh)
        }),
        Form::Dot => dot(shape, !bit(word, 29), n, |i| shape.get(m, i), d),
        Form::Fcmla => complex_mul_add(&mut fp, shape, bits(word, 12, 11), [n, d], |i| {
            [shape.get(m, 2 * i), shape.get(m, 2 * i + 1)]
        }),
        Form::Fcadd => {
            // Rotated by 90 degrees the imaginary part is negated, by 270 the real one.
            let format = Format::of_bits(shape.bits);
            let negated = u32::from(!bit(word, 12));
            shape.build(|i| {
                let other = shape.get(m, i ^ 1);
                let other = if i & 1 != negated { other ^ format.sign() } else { other };
                fp.add(format, shape.get(n, i), other)
            })
        }
    };
    core.fpsr = fp.flags;
    saturation.commit(core);
}

/// SDOT, UDOT: onto each lane of 32 bits the products of its bytes.
pub(super) fn dot(shape: Shape, is_signed: bool, n: u128, other: impl Fn(u32) -> u64, d: u128) -> u128 {
    shape.build(|i| {
        let (a, b) = (shape.get(n, i), other(i));
        let products = [0, 8, 16, 24]
            .map(|at| number(a >> at & 0xff, 8, is_signed) * number(b >> at & 0xff, 8, is_signed));
        // Modulo 2^32.
        shape.get(d, i).wrapping_add(products.iter().sum::<i128>() as u64)
    })
}

/// FCMLA with a rotation in units of 90 degrees. `other` gives real and imaginary part of a pair.
pub(super) fn complex_mul_add(
    fp: &mut Fp,
    shape: Shape,
    rotation: u32,
    [n, d]: [u128; 2],
    other: impl Fn(u32) -> [u64; 2],
) -> u128 {
    let format = Format::of_bits(shape.bits);
    shape.build(|i| {
        let (pair, imaginary) = (i / 2, i % 2);
        let [real_part, imaginary_part] = other(pair);
        // The factor from n is its real part for 0 and 180, else its imaginary one.
        let factor = shape.get(n, 2 * pair + rotation % 2);
        let cross = rotation % 2 != imaginary;
        let value = if cross { imaginary_part } else { real_part };
        let negative = match rotation {
            0 => false,
            1 => imaginary == 0,
            2 => true,
            _ => imaginary == 1,
        };
        let value = if negative { value ^ format.sign() } else { value };
        fp.mul_add(format, shape.get(d, i), factor, value)
    })
}
