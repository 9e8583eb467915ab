//! Conversions between formats, integers and fixed-point numbers [Arm J1.3.3].

use super::control::{Fp, Rounding, fpsr};
use super::format::{Class, Exact, Format, Number};

#[expect(clippy::wrong_self_convention, reason = "they are named as the pseudocode names them")]
impl Fp {
    /// FPConvert: to another format, under FPCR's rounding mode.
    pub(in crate::a64) fn convert(&mut self, from: Format, to: Format, value: u64) -> u64 {
        self.convert_with(from, to, value, self.rounding)
    }

    /// FPConvert with a rounding mode. Half precision is never flushed here.
    pub(in crate::a64) fn convert_with(
        &mut self,
        from: Format,
        to: Format,
        value: u64,
        rounding: Rounding,
    ) -> u64 {
        let alternative = self.alternative_half && to == Format::H;
        let number = self.unpack_to_convert(from, value);
        let sign = number.sign;
        match number.class {
            Class::QuietNan | Class::SignallingNan => {
                if alternative {
                    self.raise(fpsr::IOC);
                    return to.signed(sign, 0);
                }
                if number.class == Class::SignallingNan {
                    self.raise(fpsr::IOC);
                }
                if self.default_nan {
                    return to.default_nan();
                }
                // The payload keeps its most significant bits.
                let payload = (value & from.fraction_mask()) << (63 - from.fraction());
                to.signed(sign, to.default_nan() | payload >> (63 - to.fraction()))
            }
            Class::Infinity if alternative => {
                self.raise(fpsr::IOC);
                to.signed(sign, to.sign() - 1)
            }
            Class::Infinity => to.signed(sign, to.infinity()),
            Class::Zero => to.signed(sign, 0),
            Class::Finite => {
                let flush = self.flush && to != Format::H;
                self.round_as(to, number.exact(), rounding, flush, alternative)
            }
        }
    }

    /// Half precision as single, for FMLAL: exact, a signalling NaN stays one.
    pub(in crate::a64) fn widen_half(&self, value: u64) -> u64 {
        let (sign, exponent, fraction) = Format::H.split(value);
        let up = Format::S.fraction() - Format::H.fraction();
        let magnitude = match exponent {
            0 if fraction == 0 || self.flush_half => 0,
            0 => {
                // Brought up to a leading one, which adds itself to the exponent.
                let shift = fraction.leading_zeros() - (63 - Format::H.fraction());
                let bias = Format::H.least() - Format::S.least() - shift as i32;
                ((bias as u64) << Format::S.fraction()) + (fraction << shift << up)
            }
            exponent if exponent == Format::H.exponent_mask() => Format::S.infinity() | fraction << up,
            exponent => {
                // 112, the difference of the biases.
                let bias = (Format::H.least() - Format::S.least()) as u64;
                (exponent + bias) << Format::S.fraction() | fraction << up
            }
        };
        Format::S.signed(sign, magnitude)
    }

    /// FPUnpackCV: half precision is taken as FPCR.AHP says, and its denormals are kept.
    fn unpack_to_convert(&mut self, format: Format, value: u64) -> Number {
        if format != Format::H {
            return self.unpack(format, value);
        }
        let (sign, exponent, fraction) = format.split(value);
        if self.alternative_half && exponent == format.exponent_mask() {
            return Number {
                class: Class::Finite,
                sign,
                exponent: 31 - 15 - 10,
                significand: fraction | 1 << format.fraction(),
            };
        }
        let flush = std::mem::replace(&mut self.flush_half, false);
        let number = self.unpack(format, value);
        self.flush_half = flush;
        number
    }

    /// FPToFixed: to an integer of `bits` bits that counts units of `2^-fraction`, saturating.
    pub(in crate::a64) fn to_fixed(
        &mut self,
        format: Format,
        value: u64,
        target: Integer,
        fraction: u32,
        rounding: Rounding,
    ) -> u64 {
        let number = self.unpack(format, value);
        match number.class {
            Class::Zero => return 0,
            Class::QuietNan | Class::SignallingNan => {
                self.raise(fpsr::IOC);
                return 0;
            }
            Class::Infinity => {
                self.raise(fpsr::IOC);
                return target.limit(number.sign);
            }
            Class::Finite => {}
        }
        // At most 64.
        let exponent = number.exponent + fraction as i32;
        let (magnitude, inexact) =
            if exponent > 64 { (u128::MAX, false) } else { to_integer(number, exponent, rounding) };
        if magnitude > target.magnitude(number.sign) {
            self.raise(fpsr::IOC);
            return target.limit(number.sign);
        }
        if inexact {
            self.raise(fpsr::IXC);
        }
        // It fits: checked just now.
        let result = magnitude as u64;
        target.mask() & if number.sign { result.wrapping_neg() } else { result }
    }

    /// FixedToFP: `value` counts units of `2^-fraction`.
    pub(in crate::a64) fn from_fixed(
        &mut self,
        format: Format,
        value: u64,
        source: Integer,
        fraction: u32,
    ) -> u64 {
        let shift = 64 - source.bits;
        let sign = source.signed && (value << shift) >> 63 != 0;
        let magnitude =
            if sign { (((value << shift) as i64) >> shift).unsigned_abs() } else { value << shift >> shift };
        if magnitude == 0 {
            return 0;
        }
        // At most 64.
        let exact = Exact { sign, exponent: -(fraction as i32), significand: u128::from(magnitude) };
        self.round(format, exact)
    }

    /// FPRoundInt: to an integral value of the same format. `exact`: raise inexact.
    pub(in crate::a64) fn round_int(
        &mut self,
        format: Format,
        value: u64,
        rounding: Rounding,
        exact: bool,
    ) -> u64 {
        let number = self.unpack(format, value);
        match number.class {
            Class::QuietNan | Class::SignallingNan => return self.nan(format, value),
            Class::Infinity => return value,
            Class::Zero => return format.signed(number.sign, 0),
            Class::Finite => {}
        }
        if number.exponent >= 0 {
            return value;
        }
        let (magnitude, inexact) = to_integer(number, number.exponent, rounding);
        if exact && inexact {
            self.raise(fpsr::IXC);
        }
        if magnitude == 0 {
            return format.signed(number.sign, 0);
        }
        // Integers up to the significand's width are exact.
        let integer = Exact { sign: number.sign, exponent: 0, significand: magnitude };
        self.round_as(format, integer, Rounding::Zero, false, false)
    }

    /// FPRoundIntN: to an integral value that fits a signed integer of `bits` bits; what does not is
    /// the most negative one.
    pub(in crate::a64) fn round_int_n(
        &mut self,
        format: Format,
        value: u64,
        rounding: Rounding,
        bits: u32,
    ) -> u64 {
        let number = self.unpack(format, value);
        let (magnitude, inexact) = match number.class {
            Class::Zero => return format.signed(number.sign, 0),
            Class::Finite if number.exponent <= 64 => to_integer(number, number.exponent, rounding),
            _ => (u128::MAX, false),
        };
        let target = Integer::signed(bits);
        let (sign, magnitude) = if magnitude > target.magnitude(number.sign) {
            self.raise(fpsr::IOC);
            (true, target.magnitude(true))
        } else {
            if inexact {
                self.raise(fpsr::IXC);
            }
            (number.sign, magnitude)
        };
        if magnitude == 0 {
            return format.signed(sign, 0);
        }
        let integer = Exact { sign, exponent: 0, significand: magnitude };
        self.round_as(format, integer, Rounding::Zero, false, false)
    }

    /// FPToFixedJS: to a 32-bit integer modulo 2^32, and whether that was exact.
    pub(in crate::a64) fn to_javascript(&mut self, value: u64) -> (u64, bool) {
        let number = self.unpack(Format::D, value);
        match number.class {
            Class::Zero => return (0, value == 0),
            Class::Finite => {}
            _ => {
                self.raise(fpsr::IOC);
                return (0, false);
            }
        }
        // Beyond this, all bits that count are zero.
        let (magnitude, inexact) = if number.exponent > 64 {
            (1 << 100, false)
        } else {
            to_integer(number, number.exponent, Rounding::Zero)
        };
        let fits = magnitude <= Integer::signed(32).magnitude(number.sign);
        if !fits {
            self.raise(fpsr::IOC);
        } else if inexact {
            self.raise(fpsr::IXC);
        }
        // The result is what remains modulo 2^32.
        let low = magnitude as u32;
        let low = if number.sign { low.wrapping_neg() } else { low };
        (u64::from(low), fits && !inexact)
    }
}

/// `significand * 2^exponent` as an integer's magnitude, and whether anything was lost. The exponent
/// is 64 at most.
fn to_integer(number: Number, exponent: i32, rounding: Rounding) -> (u128, bool) {
    let significand = u128::from(number.significand);
    if exponent >= 0 {
        return (significand << exponent, false);
    }
    let drop = exponent.unsigned_abs();
    let (kept, rest) = match drop {
        0..=127 => (significand >> drop, significand << (128 - drop)),
        // The significand has 53 bits: this is far below a half.
        _ => (0, 1),
    };
    (kept + u128::from(rounding.up(number.sign, kept & 1 != 0, rest)), rest != 0)
}

/// An integer type, as a source or target of conversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) struct Integer {
    signed: bool,
    bits: u32,
}

impl Integer {
    /// 16, 32 or 64 bits.
    pub(in crate::a64) const fn new(bits: u32, signed: bool) -> Self {
        Self { signed, bits }
    }

    pub(in crate::a64) const fn signed(bits: u32) -> Self {
        Self::new(bits, true)
    }

    const fn mask(self) -> u64 {
        !0 >> (64 - self.bits)
    }

    /// The largest magnitude of a sign.
    const fn magnitude(self, negative: bool) -> u128 {
        match (self.signed, negative) {
            (true, true) => 1 << (self.bits - 1),
            (true, false) => (1 << (self.bits - 1)) - 1,
            (false, true) => 0,
            (false, false) => (1 << self.bits) - 1,
        }
    }

    /// The value of the largest magnitude of a sign, as a bit pattern.
    const fn limit(self, negative: bool) -> u64 {
        // Two's complement of at most 64 bits.
        let magnitude = self.magnitude(negative) as u64;
        self.mask() & if negative { magnitude.wrapping_neg() } else { magnitude }
    }
}
