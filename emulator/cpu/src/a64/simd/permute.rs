//! Moving lanes: copy, permute, extract, table lookup, modified immediate [Arm C4.1, the tables of
//! these names].

use super::lanes::{Shape, rd, rm, rn, signed};
use super::{Table, op};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::fp::Format;
use crate::a64::op::{Op, forms};

forms! {
    enum Form {
        /// Element `a` to all lanes.
        Dup,
        DupGeneral,
        /// Element `a` to a general register.
        Smov,
        Umov,
        /// Into element `a`.
        InsGeneral,
        Ins,
        Uzp,
        Trn,
        Zip,
        Ext,
        /// From `a` registers.
        Tbl,
        Tbx,
        /// MOVI, MVNI, FMOV; ORR and BIC.
        Movi,
        Orr,
        Bic,
    }
}

/// Copy.
pub(super) fn decode_copy(word: u32) -> Option<Op> {
    let (scalar, q) = (bit(word, 28), bit(word, 30));
    let imm5 = bits(word, 20, 16);
    let size = imm5.trailing_zeros();
    if size > 3 {
        return None;
    }
    let (form, allocated) = match (bit(word, 29), bits(word, 14, 11)) {
        (true, _) => (Form::Ins, q && !scalar),
        (false, 0b0000) => (Form::Dup, scalar || size != 3 || q),
        (false, 0b0001) => (Form::DupGeneral, !scalar && (size != 3 || q)),
        (false, 0b0011) => (Form::InsGeneral, !scalar && q),
        (false, 0b0101) => (Form::Smov, !scalar && size < 2 + u32::from(q)),
        (false, 0b0111) => (Form::Umov, !scalar && (size == 3) == q),
        _ => return None,
    };
    // Four bits.
    let index = (imm5 >> (size + 1)) as u8;
    allocated.then(|| op(word, Table::Permute, form as u16, size).a(index))
}

/// Permute, extract, table lookup: bits 21, 15 and 10 are clear.
pub(super) fn decode(word: u32) -> Option<Op> {
    let q = bit(word, 30);
    let size = bits(word, 23, 22);
    if bit(word, 29) {
        let allocated = size == 0 && (q || !bit(word, 14));
        return allocated.then(|| op(word, Table::Permute, Form::Ext as u16, 0));
    }
    if !bit(word, 11) {
        let form = if bit(word, 12) { Form::Tbx } else { Form::Tbl };
        // Two bits.
        let registers = bits(word, 14, 13) as u8 + 1;
        return (size == 0).then(|| op(word, Table::Permute, form as u16, 0).a(registers));
    }
    let form = match bits(word, 13, 12) {
        0b01 => Form::Uzp,
        0b10 => Form::Trn,
        0b11 => Form::Zip,
        _ => return None,
    };
    (size != 3 || q).then(|| op(word, Table::Permute, form as u16, size))
}

/// Modified immediate: bits 22:19 are clear.
pub(super) fn decode_immediate(word: u32, features: &Features) -> Option<Op> {
    let (q, inverted) = (bit(word, 30), bit(word, 29));
    let cmode = bits(word, 15, 12);
    if bit(word, 11) {
        // FMOV of half precision.
        let allocated = features.fp16 && cmode == 0b1111 && !inverted;
        return allocated.then(|| op(word, Table::Permute, Form::Movi as u16, 1));
    }
    let form = match (cmode & 1 != 0 && cmode < 12, inverted) {
        (false, _) => Form::Movi,
        (true, false) => Form::Orr,
        (true, true) => Form::Bic,
    };
    // FMOV of double precision needs a whole register.
    (cmode != 0b1111 || !inverted || q).then(|| op(word, Table::Permute, form as u16, 3))
}

/// AdvSIMDExpandImm, for 64 bits.
fn expand(word: u32, half: bool) -> u64 {
    let imm8 = bits(word, 18, 16) << 5 | bits(word, 9, 5);
    let byte = u64::from(imm8);
    let inverted = bit(word, 29);
    let cmode = bits(word, 15, 12);
    let twice = |value: u64| value << 32 | value;
    let four_times = |value: u64| twice(value << 16 | value);
    let value = match cmode {
        0b0000..=0b0111 => twice(byte << (8 * (cmode >> 1))),
        0b1000..=0b1011 => four_times(byte << (8 * (cmode >> 1 & 1))),
        0b1100 => twice(byte << 8 | 0xff),
        0b1101 => twice(byte << 16 | 0xffff),
        0b1110 if inverted => {
            // Each bit becomes a byte.
            return (0..8).filter(|i| imm8 >> i & 1 != 0).fold(0, |value, i| value | 0xff << (8 * i));
        }
        0b1110 => four_times(byte << 8 | byte),
        _ if half => return four_times(Format::H.expand(imm8)),
        _ if inverted => return Format::D.expand(imm8),
        _ => twice(Format::S.expand(imm8)),
    };
    // BIC inverts when it is run.
    if inverted && (cmode & 1 == 0 || cmode >= 12) { !value } else { value }
}

/// TBL and TBX: a byte of the table for each index, or what `missing` has where there is none.
fn look_up(core: &Core, word: u32, registers: u8, missing: u128) -> u128 {
    let table: [u128; 4] = std::array::from_fn(|i| core.v[(rn(word) + i) % 32]);
    let bytes = Shape::of(word, 8);
    bytes.zip(core.v[rm(word)], missing, |index, missing| {
        if index < 16 * u64::from(registers) {
            // Below 64, so both parts are in range; the byte is the low one.
            (table[index as usize / 16 % 4] >> (index % 16 * 8)) as u64
        } else {
            missing
        }
    })
}

pub(super) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let shape = Shape::of(word, 8 << op.b);
    let index = u32::from(op.a);
    let (n, m, d) = (core.v[rn(word)], core.v[rm(word)], core.v[rd(word)]);
    let general = core.gpr(bits(word, 9, 5));
    let insert = |value| d & !shape.put(!0, index) | shape.put(value, index);
    let second = u32::from(bit(word, 14));
    let result = match form {
        Form::Dup => {
            let element = shape.get(n, index);
            shape.build(|_| element)
        }
        Form::DupGeneral => shape.build(|_| general),
        Form::Smov => {
            // Sign extension to 64 bits, or to 32.
            let value = signed(shape.get(n, index), shape.bits);
            let value = if bit(word, 30) { value as u64 } else { u64::from(value as u32) };
            return core.set_gpr(bits(word, 4, 0), value);
        }
        Form::Umov => return core.set_gpr(bits(word, 4, 0), shape.get(n, index)),
        Form::InsGeneral => insert(general),
        Form::Ins => insert(shape.get(n, bits(word, 14, 11) >> op.b)),
        Form::Uzp => {
            let half = shape.lanes() / 2;
            shape.build(|i| {
                let (from, at) = if i < half { (n, i) } else { (m, i - half) };
                shape.get(from, 2 * at + second)
            })
        }
        Form::Trn => shape.build(|i| shape.get(if i % 2 == 0 { n } else { m }, (i & !1) + second)),
        Form::Zip => {
            let from = second * shape.lanes() / 2;
            shape.build(|i| shape.get(if i % 2 == 0 { n } else { m }, from + i / 2))
        }
        Form::Ext => {
            let at = 8 * bits(word, 14, 11);
            match (shape.width, at) {
                (_, 0) => shape.cut(n),
                (128, _) => n >> at | m << (128 - at),
                // Both halves are 64 bits of one value.
                _ => shape.cut((u128::from(n as u64) | m << 64) >> at),
            }
        }
        Form::Tbl => look_up(core, word, op.a, 0),
        Form::Tbx => look_up(core, word, op.a, d),
        Form::Movi | Form::Orr | Form::Bic => {
            let value = expand(word, op.b == 1);
            let value = shape.cut(u128::from(value) << 64 | u128::from(value));
            match form {
                Form::Movi => value,
                Form::Orr => shape.cut(d) | value,
                _ => shape.cut(d) & !value,
            }
        }
    };
    core.v[rd(word)] = result;
}
