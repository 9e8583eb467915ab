//! Advanced SIMD: decode and execution.
//!
//! One file per encoding table, or a few that belong together [Arm C4.1, "Data Processing -- Scalar
//! Floating-Point and Advanced SIMD"]. A scalar instruction is decoded and run with the vector
//! instruction of the same opcode: it has one lane.
//!
//! | file | tables |
//! |---|---|
//! | `three_same` | three registers of the same type, scalar and vector; FP16 |
//! | `three_extra` | SQRDMLAH, SQRDMLSH, SDOT, UDOT, FCADD, FCMLA |
//! | `three_different` | lengthening and narrowing operations of three registers |
//! | `two_misc` | two-register miscellaneous, scalar and vector; FP16 |
//! | `reduce` | across lanes, scalar pairwise |
//! | `indexed` | by element |
//! | `shift` | shift by immediate, and the shifts by register |
//! | `permute` | copy, permute, extract, table lookup, modified immediate |
//! | `crypto` | AES, SHA-1, SHA-256 |
//! | `structures` | LD1 to LD4, ST1 to ST4 |
//! | `lanes` | a vector as lanes; saturation |

mod crypto;
mod indexed;
mod lanes;
mod permute;
mod reduce;
mod shift;
mod structures;
#[cfg(test)]
mod tests;
mod three_different;
mod three_extra;
mod three_same;
mod two_misc;

use super::core::Core;
use super::decode::{bit, bits};
use super::features::Features;
use super::op::{Kind, Op, forms};
pub(in crate::a64) use structures::{decode as decode_memory, execute as execute_memory};

forms! {
    /// Whose form the low byte of [`Op::form`] is; in its high byte.
    enum Table {
        ThreeSame,
        ThreeExtra,
        ThreeDifferent,
        TwoMisc,
        Reduce,
        Indexed,
        Shift,
        Permute,
        Crypto,
    }
}

/// An operation of a table. `size` is log2 of the bytes of a lane, the narrower ones where there
/// are two kinds.
fn op(word: u32, table: Table, form: u16, size: u32) -> Op {
    // Two bits.
    Op::group(Kind::Simd, (table as u16) << 8 | form, word).b(size as u8 & 3)
}

/// Decodes an Advanced SIMD data-processing instruction to [`Kind::Simd`].
pub(in crate::a64) fn decode(word: u32, features: &Features) -> Option<Op> {
    // Scalar instructions have both bits, vector instructions neither.
    let scalar = bit(word, 28);
    if bit(word, 31) || (scalar && !bit(word, 30)) {
        return None;
    }
    if bit(word, 24) {
        return match bit(word, 10) {
            false => indexed::decode(word, features),
            true if bit(word, 23) => None,
            true if bits(word, 22, 19) != 0 => shift::decode(word, features),
            true if scalar => None,
            true => permute::decode_immediate(word, features),
        };
    }
    if bit(word, 21) {
        return match (bits(word, 11, 10), bits(word, 20, 17)) {
            (0b01 | 0b11, _) => three_same::decode(word, features),
            (0b00, _) => three_different::decode(word, features),
            (_, 0b0000) => two_misc::decode(word, features),
            (_, 0b1000) => reduce::decode(word, features),
            (_, 0b1100) if bit(word, 22) => two_misc::decode_half(word, features),
            (_, 0b0100) => crypto::decode_two(word, features),
            _ => None,
        };
    }
    match (bit(word, 15), bit(word, 10)) {
        (true, true) => three_extra::decode(word, features),
        (false, true) if bits(word, 23, 21) == 0 => permute::decode_copy(word),
        (false, true) if bits(word, 22, 21) == 0b10 && !bit(word, 14) => {
            three_same::decode_half(word, features)
        }
        (false, false) if scalar => crypto::decode_three(word, features),
        (false, false) => permute::decode(word),
        _ => None,
    }
}

/// Runs what [`decode`] made. Access has been checked.
pub(in crate::a64) fn execute(core: &mut Core, op: Op) {
    match Table::of(op.form >> 8) {
        Table::ThreeSame => three_same::execute(core, op),
        Table::ThreeExtra => three_extra::execute(core, op),
        Table::ThreeDifferent => three_different::execute(core, op),
        Table::TwoMisc => two_misc::execute(core, op),
        Table::Reduce => reduce::execute(core, op),
        Table::Indexed => indexed::execute(core, op),
        Table::Shift => shift::execute(core, op),
        Table::Permute => permute::execute(core, op),
        Table::Crypto => crypto::execute(core, op),
    }
}
