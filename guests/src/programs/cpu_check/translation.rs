//! Stage 1 with 4-KiB pages: permissions, the access flag, EL0, maintenance [Arm D8].

use core::arch::asm;

use super::bench::{Bench, class, status};
use crate::bare::aarch64::cpu::{self, load64, read_register, store64};
use crate::bare::aarch64::mmu::{self, AF, EL0, PAGE, PXN, READ_ONLY, UXN};
use crate::bare::aarch64::vectors;
use crate::error::Error;
use crate::hw::Hw;

const VALUE: u64 = 0x1122_3344_5566_7788;

pub fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    let page = bench.arena.page(bench.machine)?;
    pages(bench, page)?;
    refusals(bench, page)?;
    address_translation(bench, page)?;
    el0(bench, page)
}

fn pages(bench: &mut Bench<'_>, page: u64) -> Result<(), Error> {
    let first = bench.map(0, page | PAGE)?;
    let second = bench.map(7, page | PAGE)?;
    store64(first + 0x10, VALUE);
    bench.equal(load64(page + 0x10), VALUE, format_args!("a store through a page reaches its memory"));
    bench.equal(load64(second + 0x10), VALUE, format_args!("another page of the same memory shows it"));

    let other = bench.arena.page(bench.machine)?;
    store64(other, !VALUE);
    bench.map(7, other | PAGE)?;
    bench.equal(load64(second), !VALUE, format_args!("a page mapped anew, after TLBI, is the new one"));

    // The last 4 bytes of one page and the first 4 of the next, which is elsewhere.
    let next = bench.map(1, other | PAGE)?;
    store64(next - 4, VALUE);
    let halves = (load64(page + 0xff8) >> 32, load64(other) & 0xffff_ffff);
    let held = halves == (VALUE & 0xffff_ffff, VALUE >> 32);
    bench.check(held, format_args!("an unaligned store across two pages reaches both"));
    Ok(())
}

fn refusals(bench: &mut Bench<'_>, page: u64) -> Result<(), Error> {
    let at = bench.map(0, 0)? + 0x18;
    let what = format_args!("an unmapped page: translation fault, level 3");
    let taken = bench.raises((class::DATA_ABORT, status::TRANSLATION_3), what, || {
        load64(at);
    });
    bench.equal(taken.map_or(0, |taken| taken.far), at, format_args!("FAR is the address"));

    bench.map(0, page | PAGE | READ_ONLY)?;
    let before = load64(at);
    let what = format_args!("a store to a read-only page: permission fault, level 3");
    bench.raises((class::DATA_ABORT, status::PERMISSION_3 | status::WRITE), what, || store64(at, !before));
    bench.equal(load64(at), before, format_args!("its memory is unchanged"));

    // With hardware management of the flag off, TCR_EL1.HA = 0.
    bench.map(0, page | PAGE & !AF)?;
    let what = format_args!("a page without the access flag: access flag fault, level 3");
    bench.raises((class::DATA_ABORT, status::ACCESS_FLAG_3), what, || {
        load64(at);
    });
    bench.map(0, page | PAGE)?;

    let what = format_args!("a load of a page as EL0 would (LDTR): permission fault");
    bench.raises((class::DATA_ABORT, status::PERMISSION_3), what, || {
        // SAFETY: loads from RAM that the program owns, or faults.
        unsafe { asm!("ldtr {}, [{}]", out(reg) _, in(reg) at) };
    });
    Ok(())
}

fn address_translation(bench: &mut Bench<'_>, page: u64) -> Result<(), Error> {
    let at = bench.map(0, page | PAGE)? + 0x123;
    let ask = |address: u64| {
        // SAFETY: changes PAR_EL1 only.
        unsafe { asm!("at s1e1r, {}", "isb", in(reg) address) };
        read_register!("par_el1")
    };
    bench.equal(ask(at) & 0xff_ffff_f001, page, format_args!("AT S1E1R finds the page"));
    bench.map(0, 0)?;
    // F, and FST in bits 6:1.
    bench.equal(ask(at) & 0x7f, status::TRANSLATION_3 << 1 | 1, format_args!("and tells why there is none"));
    Ok(())
}

/// Instructions for EL0, each followed by what happens when it goes through: SVC #9.
const EL0_CODE: [(&str, u32); 5] = [
    ("svc #5", 0xd400_00a1),
    ("ldr x1, [x0]", 0xf940_0001),
    ("str x1, [x0]", 0xf900_0001),
    ("mrs x1, sctlr_el1", 0xd538_1001),
    ("tlbi vmalle1", 0xd508_871f),
];
const SVC_9: u32 = 0xd400_0121;

fn el0(bench: &mut Bench<'_>, data: u64) -> Result<(), Error> {
    let memory = bench.arena.page(bench.machine)?;
    for (place, (_, word)) in (memory..).step_by(8).zip(EL0_CODE) {
        bench.machine.mem_write32(place, word);
        bench.machine.mem_write32(place + 4, SVC_9);
    }
    cpu::synchronise();
    let code = bench.map(2, memory | PAGE | READ_ONLY | EL0 | PXN)?;
    let kernel = bench.map(3, data | PAGE | UXN)?;
    let user = bench.map(4, data | PAGE | EL0 | UXN | PXN)?;
    let passed = (class::SVC, 9);
    let rows = [
        ("SVC comes from EL0", 0, 0, (class::SVC, 5)),
        ("EL0 reads its own page", 1, user, passed),
        ("EL0 writes its own page", 2, user, passed),
        ("EL0 may not read EL1's page", 1, kernel, (class::DATA_ABORT_FROM_EL0, status::PERMISSION_3)),
        (
            "EL0 may not write its read-only code",
            2,
            code,
            (class::DATA_ABORT_FROM_EL0, status::PERMISSION_3 | status::WRITE),
        ),
        ("a register of EL1 is undefined at EL0", 3, 0, (class::UNKNOWN, 0)),
        ("TLB maintenance is undefined at EL0", 4, 0, (class::UNKNOWN, 0)),
    ];
    for (what, index, argument, expected) in rows {
        let taken = vectors::at_el0(code + index * 8, argument);
        bench.expect(taken, expected, format_args!("{what} ({})", EL0_CODE[index as usize].0));
        bench.check(taken.is_some_and(|taken| taken.from_el0), format_args!("by the vector for EL0"));
    }
    let taken = vectors::at_el0(user, 0);
    let expected = (class::INSTRUCTION_ABORT_FROM_EL0, status::PERMISSION_3);
    bench.expect(taken, expected, format_args!("EL0 may not execute a page with UXN"));
    for index in 2..=4 {
        bench.map(index, 0)?;
    }
    mmu::invalidate();
    Ok(())
}
