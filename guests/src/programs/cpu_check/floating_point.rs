//! Floating point and Advanced SIMD.

use core::arch::asm;

use super::bench::Bench;
use crate::bare::aarch64::cpu::{read_register, write_register};
use crate::error::Error;

/// FPSR: division by zero, inexact.
const DZC: u64 = 1 << 1;
const IXC: u64 = 1 << 4;

/// An instruction on two doubles.
macro_rules! double {
    ($instruction:literal, $a:expr, $b:expr) => {{
        let result: f64;
        // SAFETY: computes.
        unsafe {
            asm!(
                concat!($instruction, " {:d}, {:d}, {:d}"),
                out(vreg) result,
                in(vreg) $a,
                in(vreg) $b,
                options(nostack)
            );
        }
        result.to_bits()
    }};
}

pub fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    write_register!("fpsr", 0);
    write_register!("fpcr", 0);
    bench.equal(double!("fadd", 1.5, 2.25), 0x400e_0000_0000_0000, format_args!("1.5 + 2.25 = 3.75"));
    bench.equal(read_register!("fpsr"), 0, format_args!("which is exact"));
    bench.equal(double!("fdiv", 1.0, 3.0), 0x3fd5_5555_5555_5555, format_args!("1 / 3 to nearest"));
    bench.equal(read_register!("fpsr"), IXC, format_args!("which is not"));
    // RMode = towards plus infinity.
    write_register!("fpcr", 0b01 << 22);
    bench.equal(double!("fdiv", 1.0, 3.0), 0x3fd5_5555_5555_5556, format_args!("1 / 3 rounded up"));
    write_register!("fpcr", 0);
    write_register!("fpsr", 0);
    bench.equal(double!("fdiv", 1.0, 0.0), 0x7ff0_0000_0000_0000, format_args!("1 / 0 is infinity"));
    bench.equal(read_register!("fpsr"), DZC, format_args!("a division by zero"));
    bench.equal(
        double!("fsub", f64::INFINITY, f64::INFINITY),
        0x7ff8_0000_0000_0000,
        format_args!("infinity minus infinity is the default NaN"),
    );
    write_register!("fpsr", 0);
    let rounded: i64;
    // SAFETY: computes.
    unsafe { asm!("fcvtns {}, {:d}", out(reg) rounded, in(vreg) -2.5f64, options(nostack)) };
    bench.check(rounded == -2, format_args!("FCVTNS rounds -2.5 to even"));

    let sum: u64;
    // SAFETY: computes.
    unsafe {
        asm!(
            "movi {v}.16b, #3",
            "uaddlv {v:h}, {v}.16b",
            "fmov {sum}, {v:d}",
            v = out(vreg) _,
            sum = out(reg) sum,
            options(nostack)
        );
    }
    bench.equal(sum, 48, format_args!("sixteen bytes added across a vector"));
    Ok(())
}
