//! FPCR and FPSR, and rounding under them.

use super::format::{Class, Exact, Format, Number, shift_sticky};
use crate::a64::core::Core;

/// Bits of FPCR [Arm C5.2.8].
pub(in crate::a64) mod fpcr {
    /// Alternative half precision.
    pub(in crate::a64) const AHP: u32 = 1 << 26;
    /// Default NaN.
    pub(in crate::a64) const DN: u32 = 1 << 25;
    /// Flush to zero.
    pub(in crate::a64) const FZ: u32 = 1 << 24;
    /// Flush half-precision numbers to zero (FEAT_FP16).
    pub(in crate::a64) const FZ16: u32 = 1 << 19;
    /// Lowest bit of RMode.
    pub(in crate::a64) const RMODE_SHIFT: u32 = 22;
}

/// Bits of FPSR [Arm C5.2.9].
pub(in crate::a64) mod fpsr {
    /// Saturation.
    pub(in crate::a64) const QC: u32 = 1 << 27;
    /// Input denormal.
    pub(in crate::a64) const IDC: u32 = 1 << 7;
    /// Inexact.
    pub(in crate::a64) const IXC: u32 = 1 << 4;
    /// Underflow.
    pub(in crate::a64) const UFC: u32 = 1 << 3;
    /// Overflow.
    pub(in crate::a64) const OFC: u32 = 1 << 2;
    /// Division by zero.
    pub(in crate::a64) const DZC: u32 = 1 << 1;
    /// Invalid operation.
    pub(in crate::a64) const IOC: u32 = 1 << 0;
}

/// How a result that does not fit is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) enum Rounding {
    NearestEven,
    PlusInfinity,
    MinusInfinity,
    Zero,
    /// Away from zero where it is a tie, for conversions to integers.
    NearestAway,
    /// Makes an inexact result odd, so that it can be rounded once more.
    Odd,
}

impl Rounding {
    /// FPDecodeRounding.
    pub(in crate::a64) const fn of(rmode: u32) -> Self {
        match rmode & 3 {
            0b00 => Self::NearestEven,
            0b01 => Self::PlusInfinity,
            0b10 => Self::MinusInfinity,
            _ => Self::Zero,
        }
    }

    /// Does the magnitude grow? `odd` is the lowest bit kept, `rest` what is lost in units of
    /// 2^-128 of it, with its lowest bit sticky.
    pub(super) fn up(self, sign: bool, odd: bool, rest: u128) -> bool {
        const HALF: u128 = 1 << 127;
        match self {
            Self::NearestEven => rest > HALF || (rest == HALF && odd),
            Self::NearestAway => rest >= HALF,
            Self::PlusInfinity => rest != 0 && !sign,
            Self::MinusInfinity => rest != 0 && sign,
            Self::Zero => false,
            Self::Odd => rest != 0 && !odd,
        }
    }

    /// Does a result that is too large become infinite, rather than the largest number?
    pub(super) fn overflows_to_infinity(self, sign: bool) -> bool {
        match self {
            Self::NearestEven | Self::NearestAway => true,
            Self::PlusInfinity => !sign,
            Self::MinusInfinity => sign,
            Self::Zero | Self::Odd => false,
        }
    }
}

/// The controls an operation runs under, and the flags it raises.
pub(in crate::a64) struct Fp {
    pub(in crate::a64) rounding: Rounding,
    /// FPCR.DN
    pub(super) default_nan: bool,
    /// FPCR.FZ
    pub(super) flush: bool,
    /// FPCR.FZ16
    pub(super) flush_half: bool,
    /// FPCR.AHP
    pub(super) alternative_half: bool,
    /// FPSR, all of it.
    pub(in crate::a64) flags: u32,
}

impl Fp {
    pub(in crate::a64) fn new(fpcr: u32, fpsr: u32) -> Self {
        Self {
            rounding: Rounding::of(fpcr >> fpcr::RMODE_SHIFT),
            default_nan: fpcr & fpcr::DN != 0,
            flush: fpcr & fpcr::FZ != 0,
            flush_half: fpcr & fpcr::FZ16 != 0,
            alternative_half: fpcr & fpcr::AHP != 0,
            flags: fpsr,
        }
    }

    pub(in crate::a64) fn of(core: &Core) -> Self {
        Self::new(core.fpcr, core.fpsr)
    }

    pub(super) fn raise(&mut self, flag: u32) {
        self.flags |= flag;
    }

    /// Are denormal numbers of a format flushed to zero?
    pub(super) fn flushes(&self, format: Format) -> bool {
        if format == Format::H { self.flush_half } else { self.flush }
    }

    /// FPUnpack.
    pub(super) fn unpack(&mut self, format: Format, value: u64) -> Number {
        let (sign, exponent, fraction) = format.split(value);
        let number = |class, exponent, significand| Number { class, sign, exponent, significand };
        // Ten bits at most.
        let scale = |field: u64| field as i32 + format.least() - 1 - format.fraction() as i32;
        if exponent == 0 {
            if fraction == 0 {
                number(Class::Zero, 0, 0)
            } else if self.flushes(format) {
                if format != Format::H {
                    self.raise(fpsr::IDC);
                }
                number(Class::Zero, 0, 0)
            } else {
                number(Class::Finite, scale(1), fraction)
            }
        } else if exponent == format.exponent_mask() {
            let class = match (fraction, fraction & format.quiet()) {
                (0, _) => Class::Infinity,
                (_, 0) => Class::SignallingNan,
                _ => Class::QuietNan,
            };
            number(class, 0, 0)
        } else {
            number(Class::Finite, scale(exponent), fraction | 1 << format.fraction())
        }
    }

    /// FPProcessNaN.
    pub(super) fn nan(&mut self, format: Format, value: u64) -> u64 {
        if value & format.quiet() == 0 {
            self.raise(fpsr::IOC);
        }
        if self.default_nan { format.default_nan() } else { value | format.quiet() }
    }

    /// An invalid operation's result.
    pub(super) fn invalid(&mut self, format: Format) -> u64 {
        self.raise(fpsr::IOC);
        format.default_nan()
    }

    /// FPProcessNaNs and FPProcessNaNs3: signalling NaNs first, else in the order given.
    pub(super) fn nans<const N: usize>(
        &mut self,
        format: Format,
        operands: [(Number, u64); N],
    ) -> Option<u64> {
        let first = |class| operands.iter().find(|(number, _)| number.class == class);
        let (_, value) = first(Class::SignallingNan).or_else(|| first(Class::QuietNan))?;
        Some(self.nan(format, *value))
    }

    /// FPRound: a value that is not zero, rounded to a format.
    pub(super) fn round(&mut self, format: Format, value: Exact) -> u64 {
        self.round_as(format, value, self.rounding, self.flushes(format), false)
    }

    /// FPRoundBase. Tininess is detected before rounding. With `alternative` the format is Arm's
    /// alternative half precision.
    pub(super) fn round_as(
        &mut self,
        format: Format,
        value: Exact,
        rounding: Rounding,
        flush: bool,
        alternative: bool,
    ) -> u64 {
        let sign = value.sign;
        let lead = value.significand.leading_zeros();
        // The most significant bit is bit 127, and `exponent` its weight.
        let significand = value.significand << (lead & 127);
        let exponent = value.exponent + 127 - lead as i32;
        let tiny = exponent < format.least();
        if tiny && flush {
            self.raise(fpsr::UFC);
            return format.signed(sign, 0);
        }
        // How far below the smallest normal number's exponent it is.
        let below = if tiny { (format.least() - exponent) as u32 } else { 0 };
        let drop = 127 - format.fraction() + below;
        let (kept, rest) = if drop < 128 {
            ((significand >> drop) as u64, significand << (128 - drop))
        } else {
            (0, shift_sticky(significand, drop - 128))
        };
        if tiny && rest != 0 {
            self.raise(fpsr::UFC);
        }
        let field = if tiny { 0 } else { (exponent - format.least()) as u64 };
        // The leading bit of a normal number counts as one in the exponent field, and so does a carry.
        let result = (field << format.fraction()) + kept + u64::from(rounding.up(sign, kept & 1 != 0, rest));
        if alternative {
            if result >= format.sign() {
                self.raise(fpsr::IOC);
                return format.signed(sign, format.sign() - 1);
            }
        } else if result >= format.infinity() {
            self.raise(fpsr::OFC | fpsr::IXC);
            let infinite = rounding.overflows_to_infinity(sign);
            return format.signed(sign, if infinite { format.infinity() } else { format.largest() });
        }
        if rest != 0 {
            self.raise(fpsr::IXC);
        }
        format.signed(sign, result)
    }
}
