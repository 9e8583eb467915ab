//! Estimates: FRECPE, FRSQRTE, FRECPX, URECPE, URSQRTE [Arm J1.3.3].

use super::control::{Fp, fpsr};
use super::format::{Class, Format};

/// RecipEstimate: 256 to 511 for 256 to 511.
fn reciprocal(a: u64) -> u64 {
    let a = a * 2 + 1;
    ((1 << 19) / a).div_ceil(2)
}

/// RecipSqrtEstimate: 256 to 511 for 128 to 511.
fn reciprocal_root(a: u64) -> u64 {
    let a = if a < 256 { a * 2 + 1 } else { ((a >> 1 << 1) + 1) * 2 };
    let mut b = 512;
    while a * (b + 1) * (b + 1) < 1 << 28 {
        b += 1;
    }
    b.div_ceil(2)
}

impl Fp {
    /// FPRecipEstimate.
    pub(in crate::a64) fn recip_estimate(&mut self, format: Format, value: u64) -> u64 {
        let number = self.unpack(format, value);
        let sign = number.sign;
        match number.class {
            Class::QuietNan | Class::SignallingNan => return self.nan(format, value),
            Class::Infinity => return format.signed(sign, 0),
            Class::Zero => {
                self.raise(fpsr::DZC);
                return format.signed(sign, format.infinity());
            }
            Class::Finite => {}
        }
        let (_, exponent, fraction) = format.split(value);
        // Eleven bits at most.
        let mut exponent = exponent as i64;
        let mut fraction = fraction << (52 - format.fraction());
        // Magnitudes below 2^(least - 2) have no reciprocal that fits.
        if exponent == 0 && fraction >> 50 == 0 {
            self.raise(fpsr::OFC | fpsr::IXC);
            let infinite = self.rounding.overflows_to_infinity(sign);
            return format.signed(sign, if infinite { format.infinity() } else { format.largest() });
        }
        // All ones less one is infinity's exponent less one; two less is where reciprocals are tiny.
        let largest = format.exponent_mask() as i64 - 1;
        if self.flushes(format) && exponent >= largest - 1 {
            self.raise(fpsr::UFC);
            return format.signed(sign, 0);
        }
        if exponent == 0 {
            if fraction >> 51 == 0 {
                exponent = -1;
                fraction <<= 2;
            } else {
                fraction <<= 1;
            }
        }
        fraction &= (1 << 52) - 1;
        let estimate = reciprocal(1 << 8 | fraction >> 44);
        // 29, 253 or 2045.
        let result = largest - 1 - exponent;
        let fraction = (estimate & 0xff) << 44;
        let (result, fraction) = match result {
            0 => (0, 1 << 51 | fraction >> 1),
            -1 => (0, 1 << 50 | fraction >> 2),
            // Positive: `exponent` is at most `largest`.
            _ => (result as u64, fraction),
        };
        format.signed(sign, result << format.fraction() | fraction >> (52 - format.fraction()))
    }

    /// FPRSqrtEstimate.
    pub(in crate::a64) fn rsqrt_estimate(&mut self, format: Format, value: u64) -> u64 {
        let number = self.unpack(format, value);
        match number.class {
            Class::QuietNan | Class::SignallingNan => return self.nan(format, value),
            Class::Zero => {
                self.raise(fpsr::DZC);
                return format.signed(number.sign, format.infinity());
            }
            _ if number.sign => return self.invalid(format),
            Class::Infinity => return 0,
            Class::Finite => {}
        }
        let (_, exponent, fraction) = format.split(value);
        // Eleven bits at most.
        let mut exponent = exponent as i64;
        let mut fraction = fraction << (52 - format.fraction());
        if exponent == 0 {
            while fraction >> 51 == 0 {
                fraction <<= 1;
                exponent -= 1;
            }
            fraction = fraction << 1 & ((1 << 52) - 1);
        }
        let scaled = if exponent & 1 == 0 { 1 << 8 | fraction >> 44 } else { 1 << 7 | fraction >> 45 };
        // 44, 380 or 3068, from which the exponent never takes all.
        let result = (3 * (format.exponent_mask() as i64 / 2) - 1 - exponent) / 2;
        let fraction = (reciprocal_root(scaled) & 0xff) << (format.fraction() - 8);
        (result as u64) << format.fraction() | fraction
    }

    /// FPRecpX.
    pub(in crate::a64) fn recip_exponent(&mut self, format: Format, value: u64) -> u64 {
        let number = self.unpack(format, value);
        if number.is_nan() {
            return self.nan(format, value);
        }
        let (sign, exponent, _) = format.split(value);
        let mask = format.exponent_mask();
        let exponent = if exponent == 0 { mask - 1 } else { !exponent & mask };
        format.signed(sign, exponent << format.fraction())
    }
}

/// UnsignedRecipEstimate.
pub(in crate::a64) fn unsigned_reciprocal(value: u64) -> u64 {
    if value >> 31 == 0 { 0xffff_ffff } else { reciprocal(value >> 23) << 23 }
}

/// UnsignedRSqrtEstimate.
pub(in crate::a64) fn unsigned_reciprocal_root(value: u64) -> u64 {
    if value >> 30 == 0 { 0xffff_ffff } else { reciprocal_root(value >> 23) << 23 }
}
