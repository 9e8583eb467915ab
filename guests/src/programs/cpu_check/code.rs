//! Code that the program writes itself.

use core::arch::asm;

use super::bench::{Bench, class, status};
use crate::bare::aarch64::mmu::{PAGE, PXN};
use crate::bare::aarch64::vectors;
use crate::error::Error;
use crate::hw::Hw;

/// `movz x0, #value`
const fn movz(value: u32) -> u32 {
    0xd280_0000 | value << 5
}
const RET: u32 = 0xd65f_03c0;

/// Makes stores to a line of code visible to fetches [Arm B2.4.4].
fn publish(address: u64) {
    // SAFETY: cache maintenance changes no contents.
    unsafe {
        asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb", in(reg) address);
    }
}

fn call(address: u64) -> u64 {
    // SAFETY: the caller has put a function there.
    let function: extern "C" fn() -> u64 = unsafe { core::mem::transmute(address) };
    function()
}

pub fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    let page = bench.arena.page(bench.machine)?;
    bench.machine.mem_write32(page, movz(1));
    bench.machine.mem_write32(page + 4, RET);
    publish(page);
    bench.equal(call(page), 1, format_args!("code written to memory runs"));
    bench.machine.mem_write32(page, movz(2));
    publish(page);
    bench.equal(call(page), 2, format_args!("changed, it does the new thing"));

    let alias = bench.map(5, page | PAGE)?;
    bench.equal(call(alias), 2, format_args!("it runs through another page of the same memory"));
    bench.machine.mem_write32(alias, movz(3));
    publish(alias);
    bench.equal(call(page), 3, format_args!("and changes through it"));

    bench.map(5, page | PAGE | PXN)?;
    let taken = vectors::probe(|| {
        call(alias);
    });
    let expected = (class::INSTRUCTION_ABORT, status::PERMISSION_3);
    bench.expect(taken, expected, format_args!("a page with PXN is not executed at EL1"));
    bench.equal(taken.map_or(0, |taken| taken.far), alias, format_args!("FAR is the target"));
    bench.map(5, 0)?;
    Ok(())
}
