//! Rounding, flags and NaNs: rows from the pseudocode, and another implementation of IEEE arithmetic.

use proptest::prelude::*;
use rustc_apfloat::ieee::{Double, Half, Single};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};

use super::control::{fpcr, fpsr};
use super::{Format, Fp, Integer, Order, Rounding};

const IOC: u32 = fpsr::IOC;
const DZC: u32 = fpsr::DZC;
const OFC: u32 = fpsr::OFC;
const UFC: u32 = fpsr::UFC;
const IXC: u32 = fpsr::IXC;
const IDC: u32 = fpsr::IDC;

const RP: u32 = 1 << 22;
const RM: u32 = 2 << 22;
const RZ: u32 = 3 << 22;
const FZ: u32 = fpcr::FZ;
const DN: u32 = fpcr::DN;
const AHP: u32 = fpcr::AHP;
const FZ16: u32 = fpcr::FZ16;

use Format::{D, H, S};

/// Runs an operation from clear flags.
fn run(fpcr: u32, operation: impl FnOnce(&mut Fp) -> u64) -> (u64, u32) {
    let mut fp = Fp::new(fpcr, 0);
    (operation(&mut fp), fp.flags)
}

#[test]
fn single_arithmetic() {
    type Operation = fn(&mut Fp, u64, u64) -> u64;
    let add: Operation = |fp, a, b| fp.add(S, a, b);
    let sub: Operation = |fp, a, b| fp.sub(S, a, b);
    let mul: Operation = |fp, a, b| fp.mul(S, a, b);
    let div: Operation = |fp, a, b| fp.div(S, a, b);
    let sqrt: Operation = |fp, a, _| fp.sqrt(S, a);
    let mulx: Operation = |fp, a, b| fp.mulx(S, a, b);
    let max: Operation = |fp, a, b| fp.max_min(S, a, b, true);
    let maxnm: Operation = |fp, a, b| fp.max_min_num(S, a, b, true);
    let recps: Operation = |fp, a, b| fp.recip_step(S, a, b);
    let rsqrts: Operation = |fp, a, b| fp.rsqrt_step(S, a, b);
    let recpe: Operation = |fp, a, _| fp.recip_estimate(S, a);
    let rsqrte: Operation = |fp, a, _| fp.rsqrt_estimate(S, a);
    let rows: [(&str, Operation, u32, u64, u64, u64, u32); 57] = [
        ("1 + 2^-24 is a tie", add, 0, 0x3f80_0000, 0x3380_0000, 0x3f80_0000, IXC),
        ("1 + 2^-24, up", add, RP, 0x3f80_0000, 0x3380_0000, 0x3f80_0001, IXC),
        ("-1 - 2^-24, down", add, RM, 0xbf80_0000, 0xb380_0000, 0xbf80_0001, IXC),
        ("1 - tiny, to zero", add, RZ, 0x3f80_0000, 0x8000_0001, 0x3f7f_ffff, IXC),
        ("x - x", sub, 0, 0x4049_0fdb, 0x4049_0fdb, 0, 0),
        ("x - x, down", sub, RM, 0x4049_0fdb, 0x4049_0fdb, 0x8000_0000, 0),
        ("-0 + -0", add, 0, 0x8000_0000, 0x8000_0000, 0x8000_0000, 0),
        ("-0 + 0, down", add, RM, 0x8000_0000, 0, 0x8000_0000, 0),
        ("inf - inf", sub, 0, 0x7f80_0000, 0x7f80_0000, 0x7fc0_0000, IOC),
        ("largest + largest", add, 0, 0x7f7f_ffff, 0x7f7f_ffff, 0x7f80_0000, OFC | IXC),
        ("largest + largest, to zero", add, RZ, 0x7f7f_ffff, 0x7f7f_ffff, 0x7f7f_ffff, OFC | IXC),
        ("-largest - largest, up", add, RP, 0xff7f_ffff, 0xff7f_ffff, 0xff7f_ffff, OFC | IXC),
        ("denormal sums are exact", add, 0, 0x0000_0001, 0x0000_0002, 0x0000_0003, 0),
        ("denormal operands flushed", add, FZ, 0x0000_0001, 0x8000_0002, 0, IDC),
        ("normal difference flushed", sub, FZ, 0x0080_0001, 0x0080_0000, 0, UFC),
        ("negative one keeps its sign", sub, FZ, 0x0080_0000, 0x0080_0001, 0x8000_0000, UFC),
        ("one operand flushed", add, FZ, 0x3f80_0000, 0x0000_0001, 0x3f80_0000, IDC),
        ("quiet NaN", add, 0, 0x7fc0_1234, 0x3f80_0000, 0x7fc0_1234, 0),
        ("first of two", add, 0, 0xffc0_1234, 0x7fc0_5678, 0xffc0_1234, 0),
        ("signalling before quiet", add, 0, 0x7fc0_1234, 0x7f80_5678, 0x7fc0_5678, IOC),
        ("default NaN", add, DN, 0xffc0_1234, 0x3f80_0000, 0x7fc0_0000, 0),
        ("default for signalling", add, DN, 0x3f80_0000, 0xff80_0001, 0x7fc0_0000, IOC),
        ("subtrahend keeps its sign", sub, 0, 0x3f80_0000, 0x7fc0_0001, 0x7fc0_0001, 0),
        ("NaN and denormal, flushed", add, FZ, 0x7fc0_0001, 0x0000_0001, 0x7fc0_0001, IDC),
        ("0 * inf", mul, 0, 0x8000_0000, 0x7f80_0000, 0x7fc0_0000, IOC),
        ("0 * inf, extended", mulx, 0, 0x8000_0000, 0x7f80_0000, 0xc000_0000, 0),
        ("flushed * inf, extended", mulx, FZ, 0x0000_0001, 0x7f80_0000, 0x4000_0000, IDC),
        // 2^-126 * (1 - 2^-24) is tiny, and rounded it is not.
        ("tininess before rounding", mul, 0, 0x3f7f_ffff, 0x0080_0000, 0x0080_0000, UFC | IXC),
        ("flushed although it would round up", mul, FZ, 0x3f7f_ffff, 0x0080_0000, 0, UFC),
        ("exact and denormal", mul, 0, 0x3f00_0000, 0x0080_0000, 0x0040_0000, 0),
        ("half of the smallest", mul, 0, 0x3f00_0000, 0x0000_0001, 0, UFC | IXC),
        ("half of the smallest, up", mul, RP, 0x3f00_0000, 0x0000_0001, 1, UFC | IXC),
        ("1 / 0", div, 0, 0xbf80_0000, 0, 0xff80_0000, DZC),
        ("0 / 0", div, 0, 0, 0x8000_0000, 0x7fc0_0000, IOC),
        ("inf / inf", div, 0, 0x7f80_0000, 0x7f80_0000, 0x7fc0_0000, IOC),
        ("1 / 3", div, 0, 0x3f80_0000, 0x4040_0000, 0x3eaa_aaab, IXC),
        ("1 / 3, to zero", div, RZ, 0x3f80_0000, 0x4040_0000, 0x3eaa_aaaa, IXC),
        ("1 / flushed", div, FZ, 0x3f80_0000, 0x0040_0000, 0x7f80_0000, IDC | DZC),
        ("sqrt 2", sqrt, 0, 0x4000_0000, 0, 0x3fb5_04f3, IXC),
        ("sqrt of the smallest", sqrt, 0, 0x0000_0001, 0, 0x1a35_04f3, IXC),
        ("sqrt -0", sqrt, 0, 0x8000_0000, 0, 0x8000_0000, 0),
        ("sqrt -1", sqrt, 0, 0xbf80_0000, 0, 0x7fc0_0000, IOC),
        ("sqrt of a negative denormal, flushed", sqrt, FZ, 0x8000_0001, 0, 0x8000_0000, IDC),
        ("max of zeros", max, 0, 0x8000_0000, 0, 0, 0),
        ("max with a NaN", max, 0, 0x3f80_0000, 0x7fc0_0001, 0x7fc0_0001, 0),
        ("maxnm with a NaN", maxnm, 0, 0x3f80_0000, 0x7fc0_0001, 0x3f80_0000, 0),
        ("maxnm with a signalling NaN", maxnm, 0, 0x3f80_0000, 0x7f80_0001, 0x7fc0_0001, IOC),
        ("2 - 0 * inf", recps, 0, 0, 0x7f80_0000, 0x4000_0000, 0),
        ("(3 - 0 * inf) / 2", rsqrts, 0, 0, 0x7f80_0000, 0x3fc0_0000, 0),
        ("2 - NaN is negated", recps, 0, 0x7fc0_0001, 0x3f80_0000, 0xffc0_0001, 0),
        // (3 + largest * 1.5) / 2: the product alone does not fit.
        ("halved before it overflows", rsqrts, 0, 0xff7f_ffff, 0x3fc0_0000, 0x7f3f_ffff, IXC),
        ("estimate of 1 / 1", recpe, 0, 0x3f80_0000, 0, 0x3f7f_8000, 0),
        ("estimate of 1 / 0", recpe, 0, 0x8000_0000, 0, 0xff80_0000, DZC),
        ("estimate that does not fit", recpe, RZ, 0x0010_0000, 0, 0x7f7f_ffff, OFC | IXC),
        ("estimate that is flushed", recpe, FZ, 0x7f00_0000, 0, 0, UFC),
        ("estimate of 1 / sqrt 1", rsqrte, 0, 0x3f80_0000, 0, 0x3f7f_8000, 0),
        ("estimate of 1 / sqrt -1", rsqrte, 0, 0xbf80_0000, 0, 0x7fc0_0000, IOC),
    ];
    for (what, operation, fpcr, a, b, result, flags) in rows {
        let found = run(fpcr, |fp| operation(fp, a, b));
        assert_eq!(found, (result, flags), "{what}: {:#x} {:#x}", found.0, found.1);
    }
}

#[test]
fn fused_multiply_add() {
    let one = 0x3f80_0000;
    let rows: [(&str, u32, [u64; 3], u64, u32); 9] = [
        ("rounded once", 0, [0xbf80_0002, 0x3f80_0001, 0x3f80_0001], 0x2880_0000, 0),
        ("NaN + 0 * inf", 0, [0x7fc0_1234, 0, 0x7f80_0000], 0x7fc0_0000, IOC),
        ("signalling NaN + 0 * inf", 0, [0x7f80_1234, 0, 0x7f80_0000], 0x7fc0_1234, IOC),
        ("addend's NaN first", 0, [0x7fc0_0001, 0x7fc0_0002, one], 0x7fc0_0001, 0),
        ("inf - inf * 1", 0, [0xff80_0000, 0x7f80_0000, one], 0x7fc0_0000, IOC),
        ("-0 + 0 * -1", 0, [0x8000_0000, 0, 0xbf80_0000], 0x8000_0000, 0),
        ("exact zero, down", RM, [0xbf80_0000, one, one], 0x8000_0000, 0),
        ("far below the addend", RP, [one, 0x0080_0000, 0x0080_0000], 0x3f80_0001, IXC),
        ("addend far below", RZ, [0x8000_0001, 0x7f00_0000, one], 0x7eff_ffff, IXC),
    ];
    for (what, fpcr, [addend, a, b], result, flags) in rows {
        let found = run(fpcr, |fp| fp.mul_add(S, addend, a, b));
        assert_eq!(found, (result, flags), "{what}: {:#x} {:#x}", found.0, found.1);
    }
}

#[test]
fn conversions_between_formats() {
    let rows: [(&str, u32, Format, Format, u64, u64, u32); 19] = [
        ("1", 0, D, S, 0x3ff0_0000_0000_0000, 0x3f80_0000, 0),
        ("overflow", 0, D, S, 0x47f0_0000_0000_0000, 0x7f80_0000, OFC | IXC),
        ("underflow", 0, D, S, 0x3690_0000_0000_0001, 0x0000_0001, UFC | IXC),
        ("flushed", FZ, D, S, 0x3800_0000_0000_0000, 0, UFC),
        ("NaN's payload", 0, D, S, 0xfff8_0000_2000_0000, 0xffc0_0001, 0),
        ("signalling", 0, S, D, 0x7f80_0001, 0x7ff8_0000_2000_0000, IOC),
        ("half", 0, S, H, 0x3f80_0000, 0x3c00, 0),
        ("half tie", 0, S, H, 0x3f80_1000, 0x3c00, IXC),
        ("half denormal", 0, S, H, 0x3380_0000, 0x0001, 0),
        ("half is not flushed", FZ | FZ16, S, H, 0x3380_0000, 0x0001, 0),
        ("nor by FZ16 as an operand", FZ | FZ16, H, S, 0x0001, 0x3380_0000, 0),
        ("half overflow", 0, S, H, 0x4780_0000, 0x7c00, OFC | IXC),
        ("alternative has no infinity", AHP, S, H, 0x4780_0000, 0x7c00, 0),
        ("its largest", AHP, S, H, 0x47ff_e000, 0x7fff, 0),
        ("beyond it", AHP, S, H, 0x4800_0000, 0x7fff, IOC),
        ("infinity to it", AHP, S, H, 0xff80_0000, 0xffff, IOC),
        ("NaN to it", AHP, S, H, 0xffc0_0001, 0x8000, IOC),
        ("from it", AHP, H, S, 0x7fff, 0x47ff_e000, 0),
        ("half to double", 0, H, D, 0xfc00, 0xfff0_0000_0000_0000, 0),
    ];
    for (what, fpcr, from, to, value, result, flags) in rows {
        let found = run(fpcr, |fp| fp.convert(from, to, value));
        assert_eq!(found, (result, flags), "{what}: {:#x} {:#x}", found.0, found.1);
    }
    let odd = |value| run(0, |fp| fp.convert_with(D, S, value, Rounding::Odd));
    assert_eq!(odd(0x3ff0_0000_0000_0001), (0x3f80_0001, IXC), "to odd");
    assert_eq!(odd(0x3ff0_0000_2000_0001), (0x3f80_0001, IXC), "odd already");
    assert_eq!(odd(0x7fef_ffff_ffff_ffff), (0x7f7f_ffff, OFC | IXC), "to odd does not overflow");
}

#[test]
fn conversions_to_integers() {
    let (w, x) = (Integer::signed(32), Integer::signed(64));
    let (uw, ux) = (Integer::new(32, false), Integer::new(64, false));
    use Rounding::{MinusInfinity, NearestAway, NearestEven, PlusInfinity, Zero};
    let rows: [(&str, u64, Integer, u32, Rounding, u64, u32); 16] = [
        ("2.5 to even", 0x4004_0000_0000_0000, w, 0, NearestEven, 2, IXC),
        ("2.5 away", 0x4004_0000_0000_0000, w, 0, NearestAway, 3, IXC),
        ("-2.5 up", 0xc004_0000_0000_0000, w, 0, PlusInfinity, 0xffff_fffe, IXC),
        ("-2.5 down", 0xc004_0000_0000_0000, w, 0, MinusInfinity, 0xffff_fffd, IXC),
        ("-0.5 unsigned", 0xbfe0_0000_0000_0000, uw, 0, Zero, 0, IXC),
        ("-1 unsigned", 0xbff0_0000_0000_0000, uw, 0, Zero, 0, IOC),
        ("2^31", 0x41e0_0000_0000_0000, w, 0, Zero, 0x7fff_ffff, IOC),
        ("-2^31", 0xc1e0_0000_0000_0000, w, 0, Zero, 0x8000_0000, 0),
        ("-2^31 - 0.5", 0xc1e0_0000_0010_0000, w, 0, Zero, 0x8000_0000, IXC),
        ("2^63 unsigned", 0x43e0_0000_0000_0000, ux, 0, Zero, 1 << 63, 0),
        ("2^64 unsigned", 0x43f0_0000_0000_0000, ux, 0, Zero, !0, IOC),
        ("-inf", 0xfff0_0000_0000_0000, x, 0, Zero, 1 << 63, IOC),
        ("NaN", 0x7ff8_0000_0000_0000, x, 0, Zero, 0, IOC),
        ("2^-64 fixed", 0x3bf0_0000_0000_0000, x, 64, Zero, 1, 0),
        ("0.5 fixed, too large", 0x3fe0_0000_0000_0000, x, 64, Zero, i64::MAX as u64, IOC),
        ("smallest, up", 1, x, 0, PlusInfinity, 1, IXC),
    ];
    for (what, value, target, fraction, rounding, result, flags) in rows {
        let found = run(0, |fp| fp.to_fixed(D, value, target, fraction, rounding));
        assert_eq!(found, (result, flags), "{what}: {:#x} {:#x}", found.0, found.1);
    }
    let rows: [(&str, u64, u32, bool); 6] = [
        ("-0 is not exact", 0x8000_0000_0000_0000, 0, false),
        ("1", 0x3ff0_0000_0000_0000, 1, true),
        ("2^32 + 1", 0x41f0_0000_0010_0000, 1, false),
        ("-1", 0xbff0_0000_0000_0000, 0xffff_ffff, true),
        ("2^84 + 2^32", 0x4530_0000_0000_0001, 0, false),
        ("inf", 0x7ff0_0000_0000_0000, 0, false),
    ];
    for (what, value, result, exact) in rows {
        assert_eq!(Fp::new(0, 0).to_javascript(value), (result.into(), exact), "{what}");
    }
    assert_eq!(Fp::new(FZ, 0).to_javascript(1), (0, false), "a flushed operand is not exact");
}

#[test]
fn comparisons_say_which_nans_are_invalid() {
    let rows = [
        (0x3f80_0000, 0x4000_0000, false, Order::Less, 0),
        (0x8000_0000, 0, false, Order::Equal, 0),
        (0xff80_0000, 0xff7f_ffff, false, Order::Less, 0),
        (0x7fc0_0000, 0, false, Order::Unordered, 0),
        (0x7fc0_0000, 0, true, Order::Unordered, IOC),
        (0x7f80_0001, 0, false, Order::Unordered, IOC),
    ];
    for (a, b, signalling, order, flags) in rows {
        let mut fp = Fp::new(0, 0);
        assert_eq!((fp.compare(S, a, b, signalling), fp.flags), (order, flags), "{a:#x} {b:#x}");
    }
    let mut fp = Fp::new(FZ, 0);
    assert_eq!((fp.compare(S, 1, 0x8000_0001, false), fp.flags), (Order::Equal, IDC), "flushed");
}

/// The four modes as both name them.
const MODES: [(u32, Round); 4] = [
    (0, Round::NearestTiesToEven),
    (RP, Round::TowardPositive),
    (RM, Round::TowardNegative),
    (RZ, Round::TowardZero),
];

/// The flags that a status stands for.
fn flags(status: Status) -> u32 {
    [
        (Status::INVALID_OP, IOC),
        (Status::DIV_BY_ZERO, DZC),
        (Status::OVERFLOW, OFC),
        (Status::UNDERFLOW, UFC),
        (Status::INEXACT, IXC),
    ]
    .into_iter()
    .filter(|(bit, _)| status.contains(*bit))
    .fold(0, |flags, (_, flag)| flags | flag)
}

/// The same number, or both a NaN; and the same flags. The library detects tininess after rounding, and
/// calls it no overflow if the result is the largest number.
fn agree<F: Float>(format: Format, found: (u64, u32), expected: StatusAnd<F>) -> Result<(), TestCaseError> {
    // 64 bits at most.
    let value = expected.value.to_bits() as u64;
    if format.is_nan(value) {
        prop_assert!(format.is_nan(found.0));
        return Ok(());
    }
    prop_assert_eq!(found.0, value);
    let magnitude = value & !format.sign();
    let least_normal = format.infinity() & format.infinity().wrapping_neg();
    let mask = match magnitude {
        _ if magnitude == least_normal => !UFC,
        _ if magnitude == format.largest() => !OFC,
        _ => !0,
    };
    prop_assert_eq!(found.1 & mask, flags(expected.status) & mask, "{:?}", expected.status);
    Ok(())
}

/// Patterns near each other and near the ends of the exponent's range.
fn pattern(format: Format) -> impl Strategy<Value = u64> {
    let (fraction, exponents) = (format.fraction(), format.exponent_mask());
    let few = prop_oneof![
        0..=2u64,
        exponents - 3..=exponents,
        exponents / 2 - 2..=exponents / 2 + 2,
        0..=exponents
    ];
    let mask = format.fraction_mask();
    let bits = prop_oneof![Just(0), Just(mask), 0..=mask, (0..fraction).prop_map(|at| 1u64 << at)];
    (any::<bool>(), few, bits)
        .prop_map(move |(sign, exponent, bits)| format.signed(sign, exponent << fraction | bits))
}

macro_rules! against_library {
    ($name:ident, $format:expr, $float:ty) => {
        mod $name {
            use super::*;

            fn float(bits: u64) -> $float {
                <$float>::from_bits(bits.into())
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(4096))]
                #[test]
                fn arithmetic_agrees_with_a_library(
                    a in pattern($format), b in pattern($format), c in pattern($format), mode in 0..4usize,
                ) {
                    let (fpcr, round) = MODES[mode];
                    let (x, y, z) = (float(a), float(b), float(c));
                    agree($format, run(fpcr, |fp| fp.add($format, a, b)), x.add_r(y, round))?;
                    agree($format, run(fpcr, |fp| fp.sub($format, a, b)), x.sub_r(y, round))?;
                    agree($format, run(fpcr, |fp| fp.mul($format, a, b)), x.mul_r(y, round))?;
                    agree($format, run(fpcr, |fp| fp.div($format, a, b)), x.div_r(y, round))?;
                    agree($format, run(fpcr, |fp| fp.mul_add($format, c, a, b)), x.mul_add_r(y, z, round))?;
                    if !$format.is_nan(a) {
                        let whole = run(fpcr, |fp| {
                            let rounding = fp.rounding;
                            fp.round_int($format, a, rounding, true)
                        });
                        prop_assert_eq!(whole.0, x.round_to_integral(round).value.to_bits() as u64);
                    }
                }

            }
        }
    };
}
against_library!(half, H, Half);
against_library!(single, S, Single);
against_library!(double, D, Double);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn conversions_agree_with_a_library(a in pattern(D), b in pattern(S), mode in 0..4usize) {
        let (fpcr, round) = MODES[mode];
        let (double, single) = (Double::from_bits(a.into()), Single::from_bits(b.into()));
        let mut loses = false;
        let narrow: StatusAnd<Single> = double.convert_r(round, &mut loses);
        agree(S, run(fpcr, |fp| fp.convert(D, S, a)), narrow)?;
        let half: StatusAnd<Half> = single.convert_r(round, &mut loses);
        agree(H, run(fpcr, |fp| fp.convert(S, H, b)), half)?;
        let wide: StatusAnd<Double> = single.convert_r(round, &mut loses);
        agree(D, run(fpcr, |fp| fp.convert(S, D, b)), wide)?;
    }

    #[test]
    fn integers_agree_with_a_library(a in pattern(D), value in any::<u64>(), shift in 0..64u32, mode in 0..4usize) {
        let (fpcr, round) = MODES[mode];
        let value = value >> shift;
        let from = Double::from_u128_r(value.into(), round);
        agree(D, run(fpcr, |fp| fp.from_fixed(D, value, Integer::new(64, false), 0)), from)?;
        let from = Single::from_i128_r((value as i64).into(), round);
        agree(S, run(fpcr, |fp| fp.from_fixed(S, value, Integer::signed(64), 0)), from)?;
        if !D.is_nan(a) {
            let mut exact = false;
            let to = Double::from_bits(a.into()).to_i128_r(64, round, &mut exact);
            let found = run(fpcr, |fp| {
                let rounding = fp.rounding;
                fp.to_fixed(D, a, Integer::signed(64), 0, rounding)
            });
            prop_assert_eq!(found, (to.value as u64, flags(to.status)));
        }
    }

    /// The host rounds to nearest; a root of double precision has enough bits to be rounded once more.
    #[test]
    fn roots_agree_with_the_host(a in pattern(D), b in pattern(S), mode in 0..4usize) {
        let (a, b) = (a & !D.sign(), b & !S.sign());
        prop_assume!(!D.is_nan(a) && !S.is_nan(b));
        prop_assert_eq!(run(0, |fp| fp.sqrt(D, a)).0, f64::from_bits(a).sqrt().to_bits());
        let (fpcr, round) = MODES[mode];
        let root = f64::from(f32::from_bits(b as u32)).sqrt();
        let mut loses = false;
        let narrow: StatusAnd<Single> = Double::from_bits(root.to_bits().into()).convert_r(round, &mut loses);
        agree(S, run(fpcr, |fp| fp.sqrt(S, b)), narrow)?;
    }

    /// With inexact set the host is asked; without, it is not.
    #[test]
    fn the_host_gives_the_same(
        a in pattern(D), b in pattern(D), c in pattern(D), x in pattern(S), y in pattern(S), z in pattern(S),
        fpcr in prop_oneof![Just(0), Just(FZ), Just(DN), Just(FZ | DN)],
    ) {
        let both = |operation: &dyn Fn(&mut Fp) -> u64| {
            let (mut slow, mut fast) = (Fp::new(fpcr, 0), Fp::new(fpcr, IXC));
            let results = (operation(&mut slow), operation(&mut fast));
            prop_assert_eq!(results.0, results.1);
            prop_assert_eq!(slow.flags | IXC, fast.flags);
            Ok(())
        };
        both(&|fp| fp.add(D, a, b))?;
        both(&|fp| fp.sub(D, a, b))?;
        both(&|fp| fp.mul(D, a, b))?;
        both(&|fp| fp.div(D, a, b))?;
        both(&|fp| fp.sqrt(D, a))?;
        both(&|fp| fp.mul_add(D, c, a, b))?;
        both(&|fp| fp.add(S, x, y))?;
        both(&|fp| fp.sub(S, x, y))?;
        both(&|fp| fp.mul(S, x, y))?;
        both(&|fp| fp.div(S, x, y))?;
        both(&|fp| fp.sqrt(S, x))?;
        both(&|fp| fp.mul_add(S, z, x, y))?;
    }
}
