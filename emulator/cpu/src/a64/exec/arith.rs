//! Integer arithmetic that is more than an operator.

use crate::a64::core::Core;
use crate::a64::op::{Op, forms};
use crate::a64::regs::Nzcv;

forms! {
    /// Instructions that only change flags; [`super::super::op::Kind::Flags`].
    pub(in crate::a64) enum FlagOp {
        /// Inverts C.
        Cfinv,
        /// From the external to the Arm floating-point flag format.
        Xaflag,
        /// The reverse.
        Axflag,
        /// Flags of mask `b` from rn rotated by `a`.
        Rmif,
        /// N, Z and V of an 8-bit result in rn.
        Setf8,
        /// The same for 16 bits.
        Setf16,
    }
}

/// Sum and flags.
#[inline(always)]
pub(in crate::a64) fn adds64(a: u64, b: u64) -> (u64, Nzcv) {
    let (sum, carry) = a.overflowing_add(b);
    (sum, Nzcv::new(sum >> 63 != 0, sum == 0, carry, (a ^ sum) & (b ^ sum) & 1 << 63 != 0))
}

/// Difference and flags; C is set where nothing was borrowed.
#[inline(always)]
pub(in crate::a64) fn subs64(a: u64, b: u64) -> (u64, Nzcv) {
    let difference = a.wrapping_sub(b);
    let overflow = (a ^ b) & (a ^ difference) & 1 << 63 != 0;
    (difference, Nzcv::new(difference >> 63 != 0, difference == 0, a >= b, overflow))
}

/// Sum and flags of the low 32 bits.
#[inline(always)]
pub(in crate::a64) fn adds32(a: u64, b: u64) -> (u64, Nzcv) {
    // The low halves are what a W register is.
    let (a, b) = (a as u32, b as u32);
    let (sum, carry) = a.overflowing_add(b);
    (u64::from(sum), Nzcv::new(sum >> 31 != 0, sum == 0, carry, (a ^ sum) & (b ^ sum) & 1 << 31 != 0))
}

/// Difference and flags of the low 32 bits.
#[inline(always)]
pub(in crate::a64) fn subs32(a: u64, b: u64) -> (u64, Nzcv) {
    // The low halves are what a W register is.
    let (a, b) = (a as u32, b as u32);
    let difference = a.wrapping_sub(b);
    let overflow = (a ^ b) & (a ^ difference) & 1 << 31 != 0;
    (u64::from(difference), Nzcv::new(difference >> 31 != 0, difference == 0, a >= b, overflow))
}

/// Flags of a logical result.
#[inline(always)]
pub(in crate::a64) fn logic64(value: u64) -> Nzcv {
    Nzcv::new(value >> 63 != 0, value == 0, false, false)
}

/// Flags of a logical result of 32 bits.
#[inline(always)]
pub(in crate::a64) fn logic32(value: u64) -> Nzcv {
    Nzcv::new(value >> 31 & 1 != 0, value & 0xffff_ffff == 0, false, false)
}

/// Sum with carry, and flags.
pub(in crate::a64) fn add_with_carry64(a: u64, b: u64, carry: bool) -> (u64, Nzcv) {
    let wide = u128::from(a) + u128::from(b) + u128::from(carry);
    // The low half; the carry is bit 64.
    let sum = wide as u64;
    (sum, Nzcv::new(sum >> 63 != 0, sum == 0, wide >> 64 != 0, (a ^ sum) & (b ^ sum) & 1 << 63 != 0))
}

/// Sum of 32 bits with carry, and flags.
pub(in crate::a64) fn add_with_carry32(a: u64, b: u64, carry: bool) -> (u64, Nzcv) {
    let (a, b) = (a & 0xffff_ffff, b & 0xffff_ffff);
    let wide = a + b + u64::from(carry);
    let sum = wide & 0xffff_ffff;
    let overflow = (a ^ sum) & (b ^ sum) & 1 << 31 != 0;
    (sum, Nzcv::new(sum >> 31 != 0, sum == 0, wide >> 32 != 0, overflow))
}

/// A register shifted by a constant: LSL, LSR, ASR, ROR.
#[inline(always)]
pub(in crate::a64) fn shift64(value: u64, kind: u8, amount: u8) -> u64 {
    let amount = u32::from(amount & 63);
    match kind & 3 {
        0 => value << amount,
        1 => value >> amount,
        2 => (value as i64 >> amount) as u64,
        _ => value.rotate_right(amount),
    }
}

/// The same for a W register.
#[inline(always)]
pub(in crate::a64) fn shift32(value: u64, kind: u8, amount: u8) -> u64 {
    let (value, amount) = (value as u32, u32::from(amount & 31));
    u64::from(match kind & 3 {
        0 => value << amount,
        1 => value >> amount,
        2 => (value as i32 >> amount) as u32,
        _ => value.rotate_right(amount),
    })
}

/// An extended register: UXTB, UXTH, UXTW, UXTX, SXTB, SXTH, SXTW, SXTX, then shifted left.
#[inline(always)]
pub(in crate::a64) fn extend(value: u64, kind: u8, amount: u8) -> u64 {
    // Taking the low bits is the extension.
    let extended = match kind & 7 {
        0 => u64::from(value as u8),
        1 => u64::from(value as u16),
        2 => u64::from(value as u32),
        4 => value as i8 as u64,
        5 => value as i16 as u64,
        6 => value as i32 as u64,
        _ => value,
    };
    extended << (amount & 7)
}

/// CRC-32 of the low `bytes` bytes of `data`, bit-reflected, with the polynomial of IEEE 802.3 or
/// Castagnoli's.
pub(in crate::a64) fn crc32(accumulator: u32, data: u64, bytes: u8, castagnoli: bool) -> u32 {
    const fn table(polynomial: u32) -> [u32; 256] {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut crc = index as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 != 0 { crc >> 1 ^ polynomial } else { crc >> 1 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    }
    const IEEE: [u32; 256] = table(0xedb8_8320);
    const CASTAGNOLI: [u32; 256] = table(0x82f6_3b78);
    let table = if castagnoli { &CASTAGNOLI } else { &IEEE };
    (0..bytes & 15).fold(accumulator, |crc, i| {
        // A byte at a time.
        let index = (crc ^ (data >> (8 * i)) as u32) as u8;
        crc >> 8 ^ table[usize::from(index)]
    })
}

/// Bytes reversed within each half word.
pub(in crate::a64) fn rev16(value: u64) -> u64 {
    (value & 0x00ff_00ff_00ff_00ff) << 8 | value >> 8 & 0x00ff_00ff_00ff_00ff
}

/// Leading bits that equal the sign bit, without it.
pub(in crate::a64) fn cls64(value: u64) -> u64 {
    u64::from((value ^ (value as i64 >> 63) as u64).leading_zeros()) - 1
}

/// The same for 32 bits.
pub(in crate::a64) fn cls32(value: u64) -> u64 {
    let value = value as u32;
    u64::from((value ^ (value as i32 >> 31) as u32).leading_zeros()) - 1
}

pub(in crate::a64) fn flags(core: &mut Core, op: Op) {
    let old = core.nzcv;
    let (z, c, v) = (old.0 & 4 != 0, old.0 & 2 != 0, old.0 & 1 != 0);
    let value = core.x[op.rn];
    core.nzcv = match FlagOp::of(op.form) {
        FlagOp::Cfinv => Nzcv(old.0 ^ 2),
        FlagOp::Xaflag => Nzcv::new(!c && !z, z && c, c || z, !c && z),
        FlagOp::Axflag => Nzcv::new(false, z || v, c && !v, false),
        // Four bits.
        FlagOp::Rmif => {
            let new = value.rotate_right(u32::from(op.a)) as u8 & 15;
            Nzcv(old.0 & !op.b | new & op.b)
        }
        FlagOp::Setf8 => {
            Nzcv::new(value >> 7 & 1 != 0, value & 0xff == 0, c, (value >> 8 ^ value >> 7) & 1 != 0)
        }
        FlagOp::Setf16 => {
            Nzcv::new(value >> 15 & 1 != 0, value & 0xffff == 0, c, (value >> 16 ^ value >> 15) & 1 != 0)
        }
    };
}
