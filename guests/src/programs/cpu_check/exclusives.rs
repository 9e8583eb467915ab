//! Exclusive accesses, and atomic instructions where the CPU has them.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::bench::Bench;
use crate::bare::aarch64::cpu::{load64, read_register, store64};
use crate::error::Error;
use crate::hw::Hw;

/// LDXR, `between`, STXR of `value`; the status, 0 where the store was done.
fn exclusive(address: u64, value: u64, between: impl FnOnce()) -> u32 {
    // SAFETY: loads RAM that the program owns.
    unsafe { asm!("ldxr {}, [{}]", out(reg) _, in(reg) address, options(nostack)) };
    between();
    let status: u32;
    // SAFETY: stores to RAM that the program owns.
    unsafe {
        asm!("stxr {:w}, {}, [{}]", out(reg) status, in(reg) value, in(reg) address, options(nostack));
    }
    status
}

pub fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    let page = bench.arena.page(bench.machine)?;
    let status = exclusive(page, 5, || {});
    bench.equal((u64::from(status), load64(page)).1, 5, format_args!("STXR after LDXR stores"));
    bench.equal(status, 0, format_args!("and its status is 0"));

    // SAFETY: gives up a reservation.
    let clear = || unsafe { asm!("clrex", options(nostack)) };
    let status = exclusive(page, 6, clear);
    bench.equal(status, 1, format_args!("after CLREX it does not"));
    bench.equal(load64(page), 5, format_args!("and memory is unchanged"));

    let status: u32;
    // SAFETY: stores to RAM that the program owns, or not at all.
    unsafe { asm!("stxr {:w}, {}, [{}]", out(reg) status, in(reg) 7u64, in(reg) page, options(nostack)) };
    bench.equal(status, 1, format_args!("nor does STXR without LDXR"));

    pair(bench, page);

    // What the compiler makes of atomics: loops of LDAXR and STLXR.
    let counter = AtomicU64::new(1);
    counter.fetch_add(41, Ordering::SeqCst);
    let swapped = counter.compare_exchange(42, 7, Ordering::AcqRel, Ordering::Acquire);
    let held = swapped == Ok(42) && counter.load(Ordering::Acquire) == 7;
    bench.check(held, format_args!("atomic addition and compare-and-swap"));

    // ID_AA64ISAR0_EL1.Atomic.
    if read_register!("id_aa64isar0_el1") >> 20 & 0xf >= 2 {
        large_system_extensions(bench, page);
    } else {
        bench.skip("CAS and LDADD", "the CPU lacks FEAT_LSE");
    }
    Ok(())
}

fn pair(bench: &mut Bench<'_>, page: u64) {
    bench.machine.mem_write64(page + 16, 1);
    bench.machine.mem_write64(page + 24, 2);
    let (low, high, status): (u64, u64, u32);
    // SAFETY: accesses RAM that the program owns.
    unsafe {
        asm!(
            "ldaxp {low}, {high}, [{at}]",
            "stlxp {status:w}, {high}, {low}, [{at}]",
            low = out(reg) low,
            high = out(reg) high,
            status = out(reg) status,
            at = in(reg) page + 16,
            options(nostack)
        );
    }
    let after = (load64(page + 16), load64(page + 24));
    let held = (low, high, status) == (1, 2, 0) && after == (2, 1);
    bench.check(held, format_args!("LDAXP and STLXP exchange a pair"));
}

fn large_system_extensions(bench: &mut Bench<'_>, page: u64) {
    store64(page, 10);
    let mut expected = 10u64;
    let old: u64;
    // SAFETY: accesses RAM that the program owns.
    unsafe {
        asm!(
            ".arch_extension lse",
            "casal {expected}, {new}, [{at}]",
            "ldaddal {by}, {old}, [{at}]",
            ".arch_extension nolse",
            expected = inout(reg) expected,
            new = in(reg) 20u64,
            by = in(reg) 2u64,
            old = out(reg) old,
            at = in(reg) page,
            options(nostack)
        );
    }
    let held = (expected, old, load64(page)) == (10, 20, 22);
    bench.check(held, format_args!("CAS stores where the value was expected, LDADD adds to it"));
}
