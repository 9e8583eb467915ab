//! Arithmetic, as the pseudocode functions of the same names define it [Arm J1.3.3].
//!
//! Operands and results are bit patterns in the low bits of a `u64`. Everything exact is computed in
//! 128 bits and rounded once.

use super::control::{Fp, Rounding, fpsr};
use super::fast;
use super::format::{Class, Constant, Exact, Format, Number, shift_sticky};

/// Brings a significand that is not zero up to bit `top`, exactly.
fn lift(value: Exact, top: u32) -> Exact {
    let up = value.significand.leading_zeros().saturating_sub(127 - top);
    Exact { exponent: value.exponent - up as i32, significand: value.significand << up, ..value }
}

/// The sum; `None` where it is exactly zero. Operands have at most 125 bits, or are zero.
fn sum(a: Exact, b: Exact) -> Option<Exact> {
    if a.significand == 0 || b.significand == 0 {
        let one = if a.significand == 0 { b } else { a };
        return (one.significand != 0).then_some(one);
    }
    // With 126 bits, nothing is lost where leading bits can cancel.
    let (a, b) = (lift(a, 125), lift(b, 125));
    let (high, low) = if a.exponent >= b.exponent { (a, b) } else { (b, a) };
    let low_significand = shift_sticky(low.significand, high.exponent.abs_diff(low.exponent));
    if high.sign == low.sign {
        return Some(Exact { significand: high.significand + low_significand, ..high });
    }
    let difference = high.significand.abs_diff(low_significand);
    let sign = if high.significand >= low_significand { high.sign } else { low.sign };
    (difference != 0).then_some(Exact { sign, significand: difference, ..high })
}

fn product(a: Number, b: Number) -> Exact {
    Exact {
        sign: a.sign != b.sign,
        exponent: a.exponent + b.exponent,
        significand: u128::from(a.significand) * u128::from(b.significand),
    }
}

impl Fp {
    fn unpack2(&mut self, format: Format, a: u64, b: u64) -> (Number, Number) {
        (self.unpack(format, a), self.unpack(format, b))
    }

    /// What an exact sum of zero is.
    fn zero_sum(&self, format: Format) -> u64 {
        format.signed(self.rounding == Rounding::MinusInfinity, 0)
    }

    fn round_sum(&mut self, format: Format, sum: Option<Exact>) -> u64 {
        match sum {
            Some(sum) => self.round(format, sum),
            None => self.zero_sum(format),
        }
    }

    /// FPAdd.
    pub(in crate::a64) fn add(&mut self, format: Format, a: u64, b: u64) -> u64 {
        if let Some(result) = fast::binary(self, format, a, b, |a, b| a + b, |a, b| a + b) {
            return result;
        }
        let (x, y) = self.unpack2(format, a, b);
        if let Some(nan) = self.nans(format, [(x, a), (y, b)]) {
            return nan;
        }
        match (x.class, y.class) {
            (Class::Infinity, Class::Infinity) if x.sign != y.sign => self.invalid(format),
            (Class::Infinity, _) => format.signed(x.sign, format.infinity()),
            (_, Class::Infinity) => format.signed(y.sign, format.infinity()),
            (Class::Zero, Class::Zero) if x.sign == y.sign => format.signed(x.sign, 0),
            _ => self.round_sum(format, sum(x.exact(), y.exact())),
        }
    }

    /// FPSub.
    pub(in crate::a64) fn sub(&mut self, format: Format, a: u64, b: u64) -> u64 {
        // A NaN is propagated with the sign it has.
        let flipped = if format.is_nan(b) { b } else { b ^ format.sign() };
        self.add(format, a, flipped)
    }

    /// FPMul.
    pub(in crate::a64) fn mul(&mut self, format: Format, a: u64, b: u64) -> u64 {
        self.multiply(format, a, b, None)
    }

    /// FPMulX: zero times infinity is two.
    pub(in crate::a64) fn mulx(&mut self, format: Format, a: u64, b: u64) -> u64 {
        self.multiply(format, a, b, Some(Constant::Two))
    }

    fn multiply(&mut self, format: Format, a: u64, b: u64, zero_infinity: Option<Constant>) -> u64 {
        if let Some(result) = fast::binary(self, format, a, b, |a, b| a * b, |a, b| a * b) {
            return result;
        }
        let (x, y) = self.unpack2(format, a, b);
        if let Some(nan) = self.nans(format, [(x, a), (y, b)]) {
            return nan;
        }
        let sign = x.sign != y.sign;
        match (x.class, y.class) {
            (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) => match zero_infinity {
                Some(constant) => format.signed(sign, format.constant(constant)),
                None => self.invalid(format),
            },
            (Class::Infinity, _) | (_, Class::Infinity) => format.signed(sign, format.infinity()),
            (Class::Zero, _) | (_, Class::Zero) => format.signed(sign, 0),
            _ => self.round(format, product(x, y)),
        }
    }

    /// FPDiv.
    pub(in crate::a64) fn div(&mut self, format: Format, a: u64, b: u64) -> u64 {
        if let Some(result) = fast::binary(self, format, a, b, |a, b| a / b, |a, b| a / b) {
            return result;
        }
        let (x, y) = self.unpack2(format, a, b);
        if let Some(nan) = self.nans(format, [(x, a), (y, b)]) {
            return nan;
        }
        let sign = x.sign != y.sign;
        match (x.class, y.class) {
            (Class::Infinity, Class::Infinity) | (Class::Zero, Class::Zero) => self.invalid(format),
            (Class::Infinity, _) => format.signed(sign, format.infinity()),
            (_, Class::Zero) => {
                self.raise(fpsr::DZC);
                format.signed(sign, format.infinity())
            }
            (Class::Zero, _) | (_, Class::Infinity) => format.signed(sign, 0),
            _ => {
                // A dividend of 127 bits leaves 74 bits of quotient at least.
                let dividend = lift(x.exact(), 126);
                let divisor = u128::from(y.significand);
                let (quotient, rest) = (dividend.significand / divisor, dividend.significand % divisor);
                self.round(
                    format,
                    Exact {
                        sign,
                        exponent: dividend.exponent - y.exponent,
                        significand: quotient | u128::from(rest != 0),
                    },
                )
            }
        }
    }

    /// FPSqrt.
    pub(in crate::a64) fn sqrt(&mut self, format: Format, a: u64) -> u64 {
        if let Some(result) = fast::unary(self, format, a, f32::sqrt, f64::sqrt) {
            return result;
        }
        let x = self.unpack(format, a);
        match x.class {
            Class::QuietNan | Class::SignallingNan => self.nan(format, a),
            Class::Zero => format.signed(x.sign, 0),
            _ if x.sign => self.invalid(format),
            Class::Infinity => format.infinity(),
            Class::Finite => {
                let mut square = lift(x.exact(), 126);
                if square.exponent % 2 != 0 {
                    square.exponent += 1;
                    // Bit 0 is clear: 53 significant bits lie at the top.
                    square.significand >>= 1;
                }
                let root = square.significand.isqrt();
                let rest = u128::from(root * root != square.significand);
                // One more bit makes room for what is left.
                let significand = root << 1 | rest;
                self.round(format, Exact { sign: false, exponent: square.exponent / 2 - 1, significand })
            }
        }
    }

    /// FPMulAdd: `addend + a * b`, rounded once.
    pub(in crate::a64) fn mul_add(&mut self, format: Format, addend: u64, a: u64, b: u64) -> u64 {
        if let Some(result) = fast::mul_add(self, format, addend, a, b) {
            return result;
        }
        let z = self.unpack(format, addend);
        let (x, y) = self.unpack2(format, a, b);
        let undefined = (x.is_infinite() && y.is_zero()) || (x.is_zero() && y.is_infinite());
        if z.class == Class::QuietNan && undefined {
            return self.invalid(format);
        }
        if let Some(nan) = self.nans(format, [(z, addend), (x, a), (y, b)]) {
            return nan;
        }
        let sign = x.sign != y.sign;
        let infinite = x.is_infinite() || y.is_infinite();
        if undefined || (z.is_infinite() && infinite && z.sign != sign) {
            return self.invalid(format);
        }
        if z.is_infinite() || infinite {
            return format.signed(if infinite { sign } else { z.sign }, format.infinity());
        }
        if z.is_zero() && (x.is_zero() || y.is_zero()) && z.sign == sign {
            return format.signed(sign, 0);
        }
        self.round_sum(format, sum(z.exact(), product(x, y)))
    }

    /// FPRecipStepFused: `2 - a * b`.
    pub(in crate::a64) fn recip_step(&mut self, format: Format, a: u64, b: u64) -> u64 {
        self.step(format, a, b, Constant::Two)
    }

    /// FPRSqrtStepFused: `(3 - a * b) / 2`.
    pub(in crate::a64) fn rsqrt_step(&mut self, format: Format, a: u64, b: u64) -> u64 {
        self.step(format, a, b, Constant::OnePointFive)
    }

    fn step(&mut self, format: Format, a: u64, b: u64, constant: Constant) -> u64 {
        let a = a ^ format.sign();
        let (x, y) = self.unpack2(format, a, b);
        if let Some(nan) = self.nans(format, [(x, a), (y, b)]) {
            return nan;
        }
        let sign = x.sign != y.sign;
        match (x.class, y.class) {
            (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) => format.constant(constant),
            (Class::Infinity, _) | (_, Class::Infinity) => format.signed(sign, format.infinity()),
            _ => {
                // The halving does not round: it is an exponent less.
                let (whole, halve) = match constant {
                    Constant::Two => (2, 0),
                    Constant::OnePointFive => (3, 1),
                };
                let whole = Exact { sign: false, exponent: 0, significand: whole };
                let total = sum(whole, product(x, y));
                let halved = total.map(|total| Exact { exponent: total.exponent - halve, ..total });
                self.round_sum(format, halved)
            }
        }
    }

    /// FPAbs of FPSub.
    pub(in crate::a64) fn abs_diff(&mut self, format: Format, a: u64, b: u64) -> u64 {
        self.sub(format, a, b) & !format.sign()
    }

    /// FPMax, FPMin.
    pub(in crate::a64) fn max_min(&mut self, format: Format, a: u64, b: u64, max: bool) -> u64 {
        let (x, y) = self.unpack2(format, a, b);
        if let Some(nan) = self.nans(format, [(x, a), (y, b)]) {
            return nan;
        }
        // Flushed operands are zeros from here on.
        let flushed = |number: Number, value| if number.is_zero() { value & format.sign() } else { value };
        let (a, b) = (flushed(x, a), flushed(y, b));
        match order(format, a, b) {
            Order::Equal if max => a & b,
            Order::Equal => a | b,
            Order::Less if max => b,
            Order::Greater if !max => b,
            _ => a,
        }
    }

    /// FPMaxNum, FPMinNum: a number wins over a quiet NaN.
    pub(in crate::a64) fn max_min_num(&mut self, format: Format, a: u64, b: u64, max: bool) -> u64 {
        let quiet = |value: u64| format.is_nan(value) && value & format.quiet() != 0;
        let worst = format.signed(max, format.infinity());
        let (a, b) = match (quiet(a), quiet(b)) {
            (true, false) => (worst, b),
            (false, true) => (a, worst),
            _ => (a, b),
        };
        self.max_min(format, a, b, max)
    }

    /// FPCompare. `signalling`: a quiet NaN is invalid as well.
    pub(in crate::a64) fn compare(&mut self, format: Format, a: u64, b: u64, signalling: bool) -> Order {
        let (x, y) = self.unpack2(format, a, b);
        if x.is_nan() || y.is_nan() {
            if signalling || x.class == Class::SignallingNan || y.class == Class::SignallingNan {
                self.raise(fpsr::IOC);
            }
            return Order::Unordered;
        }
        let flushed = |number: Number, value| if number.is_zero() { 0 } else { value };
        order(format, flushed(x, a), flushed(y, b))
    }
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) enum Order {
    Less,
    Equal,
    Greater,
    Unordered,
}

/// Orders two numbers that are not NaNs.
fn order(format: Format, a: u64, b: u64) -> Order {
    // Magnitude with sign; 63 bits at most.
    let value = |value: u64| {
        let magnitude = (value & (format.sign() - 1)) as i64;
        if value & format.sign() != 0 { -magnitude } else { magnitude }
    };
    match value(a).cmp(&value(b)) {
        std::cmp::Ordering::Less => Order::Less,
        std::cmp::Ordering::Equal => Order::Equal,
        std::cmp::Ordering::Greater => Order::Greater,
    }
}
