//! `cpu_check`: what an operating system needs of an AArch64 CPU, tried out at EL1 and EL0.
//!
//! Exceptions with their syndromes, translation by tables of 4-KiB pages, exclusive accesses, floating
//! point, the generic timer, interrupts, and several CPUs by PSCI. The report is in the Test Anything Protocol.
//! What a machine does not have (a GIC, a second CPU) is reported as skipped.

#![allow(unsafe_code, reason = "what is tried here are instructions")]

mod bench;
mod code;
mod exceptions;
mod exclusives;
mod floating_point;
mod processors;
mod timer;
mod translation;

use super::{FAILED, HELD};
use crate::bare::aarch64::Machine;
use crate::error::Error;
use crate::tap::Tap;
use bench::Bench;

/// Runs the program; returns [`HELD`] or [`FAILED`].
pub fn run(machine: &mut Machine) -> u32 {
    let mut bench = Bench::new(machine);
    type Section = fn(&mut Bench<'_>) -> Result<(), Error>;
    let sections: [(&str, Section); 7] = [
        ("exceptions at EL1", exceptions::run),
        ("translation by 4-KiB pages", translation::run),
        ("code that changes", code::run),
        ("exclusive accesses", exclusives::run),
        ("floating point and SIMD", floating_point::run),
        ("the generic timer, and interrupts", timer::run),
        ("several CPUs", processors::run),
    ];
    for (name, section) in sections {
        bench.note(format_args!("--- {name}"));
        if section(&mut bench).is_err() {
            bench.check(false, format_args!("the section \"{name}\" runs to its end"));
        }
    }
    if bench.finish() { HELD } else { FAILED }
}
