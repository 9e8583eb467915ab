//! Decoding: an instruction word becomes an [`Op`].
//!
//! One file per group of the top-level encoding table [Arm C4.1], and in it one function per table.
//! Decoding is pure and total: a word that is unallocated, or belongs to a feature this CPU does
//! not have, is [`Kind::Undefined`]. Encodings that are CONSTRAINED UNPREDICTABLE run as if they
//! were not, unless that could not be said in an `Op`.

mod branch;
mod dp_imm;
mod dp_reg;
mod load_store;
mod system;
#[cfg(test)]
mod tests;

use super::features::Features;
use super::op::{Kind, Op};
use super::regs::{SINK, SP, ZR};
use super::{fp, simd};

/// Decodes one instruction.
pub(in crate::a64) fn decode(word: u32, features: &Features) -> Op {
    let op = match bits(word, 28, 25) {
        0b1000 | 0b1001 => dp_imm::decode(word),
        0b1010 | 0b1011 => branch::decode(word, features),
        0b0100 | 0b0110 | 0b1100 | 0b1110 => load_store::decode(word, features),
        0b0101 | 0b1101 => dp_reg::decode(word, features),
        0b0111 | 0b1111 => fp::decode(word, features).or_else(|| simd::decode(word, features)),
        // Reserved, SME and SVE.
        _ => None,
    };
    op.unwrap_or(Op::new(Kind::Undefined))
}

/// Bits `hi:lo` of a word.
#[inline(always)]
pub(in crate::a64) const fn bits(word: u32, hi: u32, lo: u32) -> u32 {
    word >> lo & ((1u64 << (hi - lo + 1)) - 1) as u32
}

/// One bit of a word.
#[inline(always)]
pub(in crate::a64) const fn bit(word: u32, at: u32) -> bool {
    word >> at & 1 != 0
}

/// Bits `hi:lo` as a signed number, extended to 64 bits.
pub(in crate::a64) const fn signed(word: u32, hi: u32, lo: u32) -> u64 {
    let width = hi - lo + 1;
    (((bits(word, hi, lo) as u64) << (64 - width)) as i64 >> (64 - width)) as u64
}

/// Slot of a source register, 31 being zero.
const fn source(register: u32) -> u8 {
    if register & 31 == 31 { ZR } else { (register & 31) as u8 }
}

/// Slot of a destination register, 31 being nobody.
const fn target(register: u32) -> u8 {
    if register & 31 == 31 { SINK } else { (register & 31) as u8 }
}

/// Slot of a register where 31 is SP, as source or destination.
const fn with_sp(register: u32) -> u8 {
    if register & 31 == 31 { SP } else { (register & 31) as u8 }
}

/// Rd, Rn and Rm at their usual places, 31 being zero.
const fn rd_rn_rm(op: Op, word: u32) -> Op {
    op.regs(target(word), source(word >> 5), source(word >> 16))
}

/// The kind for 64 bits where bit 31 is set, else the one for 32.
const fn sized(word: u32, wide: Kind, narrow: Kind) -> Op {
    Op::new(if word >> 31 != 0 { wide } else { narrow })
}
