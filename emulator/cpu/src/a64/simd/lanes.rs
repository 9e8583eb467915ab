//! Vectors as lanes.

use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::fp::fpsr;

/// The low `bits` bits, 1 to 64.
#[inline(always)]
pub(super) const fn mask(bits: u32) -> u64 {
    !0 >> (64 - bits)
}

/// A lane as a signed number.
#[inline(always)]
pub(super) const fn signed(value: u64, bits: u32) -> i64 {
    ((value << (64 - bits)) as i64) >> (64 - bits)
}

/// A lane as a number, signed or not.
#[inline(always)]
pub(super) const fn number(value: u64, bits: u32, is_signed: bool) -> i128 {
    if is_signed { signed(value, bits) as i128 } else { value as i128 }
}

/// What lanes an instruction works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bits of a lane: 8, 16, 32 or 64.
    pub(super) bits: u32,
    /// Bits of all lanes: `bits` for a scalar instruction, else 64 or 128.
    pub(super) width: u32,
}

impl Shape {
    /// Lanes of `bits` bits; one where bit 28 makes the instruction scalar, else as many as Q says.
    #[inline(always)]
    pub(super) const fn of(word: u32, bits: u32) -> Self {
        let width = if bit(word, 28) {
            bits
        } else if bit(word, 30) {
            128
        } else {
            64
        };
        Self { bits, width }
    }

    /// How many lanes.
    #[inline(always)]
    pub(super) const fn lanes(self) -> u32 {
        self.width / self.bits
    }

    #[inline(always)]
    pub(super) fn get(self, vector: u128, lane: u32) -> u64 {
        // The lane is in the low bits.
        (vector >> ((lane * self.bits) & 127)) as u64 & mask(self.bits)
    }

    /// A value in a lane of an empty vector; bits that do not fit are dropped.
    #[inline(always)]
    pub(super) fn put(self, value: u64, lane: u32) -> u128 {
        u128::from(value & mask(self.bits)) << ((lane * self.bits) & 127)
    }

    /// A vector lane by lane.
    #[inline(always)]
    pub(super) fn build(self, mut lane: impl FnMut(u32) -> u64) -> u128 {
        let mut vector = 0;
        for i in 0..self.lanes() {
            vector |= self.put(lane(i), i);
        }
        vector
    }

    /// Each lane by itself.
    #[inline(always)]
    pub(super) fn map(self, a: u128, mut f: impl FnMut(u64) -> u64) -> u128 {
        self.build(|i| f(self.get(a, i)))
    }

    /// Lanes of two vectors.
    #[inline(always)]
    pub(super) fn zip(self, a: u128, b: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
        self.build(|i| f(self.get(a, i), self.get(b, i)))
    }

    /// Lanes of three vectors.
    #[inline(always)]
    pub(super) fn zip3(self, a: u128, b: u128, c: u128, mut f: impl FnMut(u64, u64, u64) -> u64) -> u128 {
        self.build(|i| f(self.get(a, i), self.get(b, i), self.get(c, i)))
    }

    /// Neighbours of the concatenation `b:a`, lower lanes first.
    #[inline(always)]
    pub(super) fn pairs(self, a: u128, b: u128, mut f: impl FnMut(u64, u64) -> u64) -> u128 {
        let lanes = self.lanes();
        let half = lanes / 2;
        self.build(|i| {
            let (from, at) = if i < half { (a, 2 * i) } else { (b, 2 * (i - half)) };
            f(self.get(from, at), self.get(from, at + 1))
        })
    }

    /// Lanes of twice the size in a whole register, for lengthening instructions. A scalar stays one.
    #[inline(always)]
    pub(super) const fn doubled(self) -> Self {
        let bits = 2 * self.bits;
        Self { bits, width: if self.width == self.bits { bits } else { 128 } }
    }

    /// The part of the register that a lengthening instruction reads: its upper half for those whose
    /// names end in 2.
    #[inline(always)]
    pub(super) const fn source(self, vector: u128) -> u128 {
        if self.width == 128 { vector >> 64 } else { vector }
    }

    /// A narrowed vector in the half of the register that Q chooses, beside what stays.
    #[inline(always)]
    pub(super) const fn narrowed(self, old: u128, low: u128) -> u128 {
        // The lower half stays.
        if self.width == 128 { old as u64 as u128 | low << 64 } else { low }
    }

    /// Only the lanes of the shape.
    #[inline(always)]
    pub(super) const fn cut(self, vector: u128) -> u128 {
        vector & (!0 >> (128 - self.width))
    }
}

/// Saturation, and whether it happened.
pub(super) struct Saturation {
    pub(super) happened: bool,
}

impl Saturation {
    pub(super) const NONE: Self = Self { happened: false };

    /// The nearest number of a lane.
    #[inline(always)]
    pub(super) fn clamp(&mut self, value: i128, bits: u32, is_signed: bool) -> u64 {
        let (low, high) =
            if is_signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) };
        let clamped = value.clamp(low, high);
        self.happened |= clamped != value;
        // Within the lane now; the rest of a negative number's bits are cut.
        clamped as u64 & mask(bits)
    }

    /// Makes it known in FPSR.QC.
    #[inline(always)]
    pub(super) fn commit(self, core: &mut Core) {
        if self.happened {
            core.fpsr |= fpsr::QC;
        }
    }
}

/// All ones or all zeros.
#[inline(always)]
pub(super) const fn truth(value: bool) -> u64 {
    if value { !0 } else { 0 }
}

/// Register numbers in an instruction.
#[inline(always)]
pub(super) const fn rd(word: u32) -> usize {
    bits(word, 4, 0) as usize
}

#[inline(always)]
pub(super) const fn rn(word: u32) -> usize {
    bits(word, 9, 5) as usize
}

#[inline(always)]
pub(super) const fn rm(word: u32) -> usize {
    bits(word, 20, 16) as usize
}
