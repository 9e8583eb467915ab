//! Synchronous exceptions, their syndromes and their return addresses.

use core::arch::asm;

use super::bench::{Bench, WINDOW, class, status};
use crate::bare::aarch64::cpu::{read_register, write_register};
use crate::bare::aarch64::firmware;
use crate::error::Error;

/// Runs one instruction and gives its address.
macro_rules! instruction {
    ($text:literal $(, $($operand:tt)*)?) => {{
        let address: u64;
        // SAFETY: what the instruction does, or the exception it raises, is what is tried here.
        unsafe { asm!("adr {at}, 3f", concat!("3: ", $text), at = out(reg) address $(, $($operand)*)?) };
        address
    }};
}

pub fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.equal(read_register!("CurrentEL"), 1 << 2, format_args!("the program runs at EL1"));
    generated(bench);
    undefined(bench);
    aborts(bench);
    trapped(bench);
    let answer = firmware::call(0x8600_ffff, [0; 3]);
    bench.check(answer == firmware::NOT_SUPPORTED, format_args!("HVC: an unknown call is NOT_SUPPORTED"));
    Ok(())
}

fn generated(bench: &mut Bench<'_>) {
    let mut at = 0;
    let taken =
        bench.raises((class::SVC, 0x1234), format_args!("SVC: its immediate is the syndrome"), || {
            at = instruction!("svc #0x1234");
        });
    bench.equal(taken.map_or(0, |taken| taken.elr), at + 4, format_args!("it returns behind itself"));
    let taken = bench.raises((class::BRK, 0x55), format_args!("BRK: its immediate is the syndrome"), || {
        at = instruction!("brk #0x55");
    });
    bench.equal(taken.map_or(0, |taken| taken.elr), at, format_args!("it returns to itself"));
}

fn undefined(bench: &mut Bench<'_>) {
    let mut at = 0;
    let what = format_args!("UDF: undefined, class 0 without syndrome");
    let taken = bench.raises((class::UNKNOWN, 0), what, || at = instruction!("udf #7"));
    bench.equal(taken.map_or(0, |taken| taken.elr), at, format_args!("it returns to itself"));
    let what = format_args!("a register of EL2 is undefined at EL1");
    bench.raises((class::UNKNOWN, 0), what, || {
        instruction!("mrs {to}, S3_4_C1_C1_0", to = out(reg) _);
    });
}

fn aborts(bench: &mut Bench<'_>) {
    let nowhere = WINDOW + (1 << 30) + 0x123;
    let what = format_args!("a load where level 1 maps nothing: data abort, translation fault");
    let taken = bench.raises((class::DATA_ABORT, status::TRANSLATION_1), what, || {
        instruction!("ldrb {to:w}, [{from}]", to = out(reg) _, from = in(reg) nowhere);
    });
    bench.equal(taken.map_or(0, |taken| taken.far), nowhere, format_args!("FAR is the very byte"));
    let what = format_args!("a store: the same with WnR");
    bench.raises((class::DATA_ABORT, status::TRANSLATION_1 | status::WRITE), what, || {
        instruction!("str xzr, [{to}]", to = in(reg) nowhere);
    });
    let word = 0u64;
    let odd = (&raw const word) as u64 + 1;
    let what = format_args!("LDXR of an address that is not aligned: alignment fault");
    let taken = bench.raises((class::DATA_ABORT, status::ALIGNMENT), what, || {
        instruction!("ldxr {to:w}, [{from}]", to = out(reg) _, from = in(reg) odd);
    });
    bench.equal(taken.map_or(0, |taken| taken.far), odd, format_args!("FAR is the address"));
}

fn trapped(bench: &mut Bench<'_>) {
    let access = read_register!("cpacr_el1");
    // COND is always valid and AL in AArch64.
    let what = format_args!("FP without CPACR_EL1.FPEN traps");
    bench.raises((class::FP_TRAPPED, 1 << 24 | 0xe << 20), what, || {
        write_register!("cpacr_el1", access & !(0b11 << 20));
        instruction!("fmov {to}, d0", to = out(reg) _);
        write_register!("cpacr_el1", access);
    });
}
