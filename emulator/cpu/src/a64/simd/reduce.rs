//! A vector to a scalar [Arm C4.1, "Advanced SIMD across lanes", "Advanced SIMD scalar pairwise"].

use super::lanes::{Shape, number, rd, rn};
use super::{Table, op};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::fp::{Format, Fp};
use crate::a64::op::{Op, forms};

forms! {
    /// U chooses between signed and unsigned.
    enum Form {
        AddLong,
        Max,
        Min,
        Add,
        Fmaxnm,
        Fminnm,
        Fadd,
        Fmax,
        Fmin,
    }
}

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let (scalar, q, u, high) = (bit(word, 28), bit(word, 30), bit(word, 29), bit(word, 23));
    let size = bits(word, 23, 22);
    let opcode = bits(word, 16, 12);
    let float = match (opcode, high) {
        (0b01100, false) => Some(Form::Fmaxnm),
        (0b01100, true) => Some(Form::Fminnm),
        (0b01101, false) if scalar => Some(Form::Fadd),
        (0b01111, false) => Some(Form::Fmax),
        (0b01111, true) => Some(Form::Fmin),
        _ => None,
    };
    if let Some(form) = float {
        // Without U these are of half precision, and bit 22 is clear.
        let lane = if u { 2 + size % 2 } else { 1 };
        let allocated = match (u, scalar) {
            (false, _) => features.fp16 && !bit(word, 22),
            (true, true) => true,
            (true, false) => q && !bit(word, 22),
        };
        return allocated.then(|| op(word, Table::Reduce, form as u16, lane));
    }
    if scalar {
        let allocated = opcode == 0b11011 && !u && size == 3;
        return allocated.then(|| op(word, Table::Reduce, Form::Add as u16, 3));
    }
    let form = match (opcode, u) {
        (0b00011, _) => Form::AddLong,
        (0b01010, _) => Form::Max,
        (0b11010, _) => Form::Min,
        (0b11011, false) => Form::Add,
        _ => return None,
    };
    // There must be more than two lanes.
    (size < 2 || (size == 2 && q)).then(|| op(word, Table::Reduce, form as u16, size))
}

pub(super) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let lane = 8 << op.b;
    // A scalar pairwise instruction has two lanes.
    let shape = if bit(word, 28) { Shape { bits: lane, width: 2 * lane } } else { Shape::of(word, lane) };
    let n = core.v[rn(word)];
    let is_signed = !bit(word, 29);
    let wide = |value| number(value, lane, is_signed);
    let numbers = (0..shape.lanes()).map(|i| wide(shape.get(n, i)));
    let single = Shape { bits: lane, width: lane };
    // Cut to the lane.
    core.v[rd(word)] = match form {
        Form::AddLong => {
            let double = 2 * lane;
            Shape { bits: double, width: double }.put(numbers.sum::<i128>() as u64, 0)
        }
        Form::Add => single.put(numbers.sum::<i128>() as u64, 0),
        Form::Max => single.put(numbers.max().unwrap_or(0) as u64, 0),
        Form::Min => single.put(numbers.min().unwrap_or(0) as u64, 0),
        float => {
            let mut fp = Fp::of(core);
            let format = Format::of_bits(lane);
            let result = halves(shape, n, &mut |a, b| match float {
                Form::Fmaxnm => fp.max_min_num(format, a, b, true),
                Form::Fminnm => fp.max_min_num(format, a, b, false),
                Form::Fmax => fp.max_min(format, a, b, true),
                Form::Fmin => fp.max_min(format, a, b, false),
                _ => fp.add(format, a, b),
            });
            core.fpsr = fp.flags;
            u128::from(result)
        }
    };
}

/// FPReduce: the lower half and the upper half, each by itself, and then both. The order decides
/// which NaN is the result.
fn halves(shape: Shape, n: u128, f: &mut impl FnMut(u64, u64) -> u64) -> u64 {
    if shape.lanes() == 1 {
        return shape.get(n, 0);
    }
    let half = Shape { width: shape.width / 2, ..shape };
    let (low, high) = (halves(half, n, f), halves(half, n >> half.width, f));
    f(low, high)
}
