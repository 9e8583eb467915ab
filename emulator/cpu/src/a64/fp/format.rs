//! Binary interchange formats and what a value of one is.

/// A binary interchange format [IEEE 754 3.4].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) enum Format {
    /// binary16
    H,
    /// binary32
    S,
    /// binary64
    D,
}

impl Format {
    /// From the number of bits.
    pub(in crate::a64) const fn of_bits(bits: u32) -> Self {
        match bits {
            16 => Self::H,
            32 => Self::S,
            _ => Self::D,
        }
    }

    pub(in crate::a64) const fn bits(self) -> u32 {
        1 + self.exponent() + self.fraction()
    }

    /// Bits of the exponent.
    pub(super) const fn exponent(self) -> u32 {
        match self {
            Self::H => 5,
            Self::S => 8,
            Self::D => 11,
        }
    }

    /// Bits of the fraction.
    pub(super) const fn fraction(self) -> u32 {
        match self {
            Self::H => 10,
            Self::S => 23,
            Self::D => 52,
        }
    }

    /// The exponent of the smallest normal number.
    pub(super) const fn least(self) -> i32 {
        2 - (1 << (self.exponent() - 1))
    }

    /// The sign bit.
    pub(in crate::a64) const fn sign(self) -> u64 {
        1 << (self.bits() - 1)
    }

    pub(super) const fn fraction_mask(self) -> u64 {
        (1 << self.fraction()) - 1
    }

    /// All ones, as an exponent field in place at bit 0.
    pub(super) const fn exponent_mask(self) -> u64 {
        (1 << self.exponent()) - 1
    }

    /// Everything but the sign of infinity.
    pub(super) const fn infinity(self) -> u64 {
        self.exponent_mask() << self.fraction()
    }

    /// The most significant bit of the fraction: a quiet NaN has it set.
    pub(super) const fn quiet(self) -> u64 {
        1 << (self.fraction() - 1)
    }

    /// FPDefaultNaN.
    pub(super) const fn default_nan(self) -> u64 {
        self.infinity() | self.quiet()
    }

    /// Zero or infinity and the like, with a sign.
    pub(super) const fn signed(self, sign: bool, magnitude: u64) -> u64 {
        magnitude | if sign { self.sign() } else { 0 }
    }

    /// The largest finite number's magnitude.
    pub(super) const fn largest(self) -> u64 {
        self.infinity() - 1
    }

    /// Sign, exponent field and fraction.
    pub(super) const fn split(self, value: u64) -> (bool, u64, u64) {
        let exponent = value >> self.fraction() & self.exponent_mask();
        (value & self.sign() != 0, exponent, value & self.fraction_mask())
    }

    /// 1.0, 1.5 or 2.0.
    pub(super) const fn constant(self, constant: Constant) -> u64 {
        let one = (self.exponent_mask() >> 1) << self.fraction();
        match constant {
            Constant::OnePointFive => one | self.quiet(),
            Constant::Two => one + (1 << self.fraction()),
        }
    }

    pub(in crate::a64) const fn is_nan(self, value: u64) -> bool {
        value & !self.sign() & self.mask() > self.infinity()
    }

    /// All bits of the format.
    pub(in crate::a64) const fn mask(self) -> u64 {
        self.sign() | (self.sign() - 1)
    }

    /// VFPExpandImm: the eight bits of an immediate as a number.
    pub(in crate::a64) const fn expand(self, imm8: u32) -> u64 {
        let imm8 = imm8 as u64;
        let (sign, b, rest) = (imm8 >> 7 & 1, imm8 >> 6 & 1, imm8 & 0x3f);
        let repeat = self.exponent() - 3;
        let exponent =
            (b ^ 1) << (self.exponent() - 1) | (if b != 0 { (1 << repeat) - 1 } else { 0 }) << 2 | rest >> 4;
        sign << (self.bits() - 1) | exponent << self.fraction() | (rest & 15) << (self.fraction() - 4)
    }
}

/// Numbers that some operations give as they are.
#[derive(Clone, Copy)]
pub(super) enum Constant {
    OnePointFive,
    Two,
}

/// What kind of number an operand is, after denormals were flushed if FPCR says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Zero,
    Finite,
    Infinity,
    QuietNan,
    SignallingNan,
}

/// An operand taken apart. The value of a finite one is `significand * 2^exponent`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) class: Class,
    pub(super) sign: bool,
    pub(super) exponent: i32,
    pub(super) significand: u64,
}

impl Number {
    pub(super) fn is_nan(self) -> bool {
        matches!(self.class, Class::QuietNan | Class::SignallingNan)
    }

    pub(super) fn is_zero(self) -> bool {
        self.class == Class::Zero
    }

    pub(super) fn is_infinite(self) -> bool {
        self.class == Class::Infinity
    }

    /// As an exact sum takes it.
    pub(super) fn exact(self) -> Exact {
        Exact { sign: self.sign, exponent: self.exponent, significand: u128::from(self.significand) }
    }
}

/// An exact value before rounding, or one whose lowest bit stands for everything below it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact {
    pub(super) sign: bool,
    /// Of the significand's bit 0.
    pub(super) exponent: i32,
    pub(super) significand: u128,
}

/// Shifts right, keeping in bit 0 whether anything was shifted out.
pub(super) fn shift_sticky(value: u128, amount: u32) -> u128 {
    match amount {
        0 => value,
        1..=127 => value >> amount | u128::from(value << (128 - amount) != 0),
        _ => u128::from(value != 0),
    }
}
