//! DMA through second-stage tables, IOVA different from the physical address.

use super::bench::{BYTES, Bench};
use crate::arena::PAGE;
use crate::error::Error;
use crate::exerciser::{Completion, Dma, Op, Status};
use crate::hw::Hw;
use crate::vtd::{READ, Size, WRITE};

const IOVA_4K: u64 = 0x12_3456_7000;
const IOVA_2M: u64 = 0x13_0020_0000;
const IOVA_1G: u64 = 0x14_4000_0000;
const IOVA_COPY_FROM: u64 = 0x15_0000_0000;
const IOVA_COPY_TO: u64 = 0x16_0000_0000;
const IOVA_WRITE_ONLY: u64 = 0x17_0000_0000;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    sizes(bench)?;
    depths(bench)?;
    copy(bench)?;
    atomics(bench)?;
    zero_length_reads(bench)
}

/// The IOVA of `pa` in a page of `size` at `base`.
fn within(base: u64, pa: u64, size: Size) -> u64 {
    base + (pa & (size.bytes() - 1))
}

fn sizes<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let sslps = bench.parts.unit.cap.sslps();
    let rows = [
        ("4-KiB", Size::Page4K, IOVA_4K, true),
        ("2-MiB", Size::Page2M, IOVA_2M, sslps & 1 != 0),
        ("1-GiB", Size::Page1G, IOVA_1G, sslps & 2 != 0),
    ];
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    for (name, size, base, offered) in rows {
        if !offered {
            bench.skip(name, "CAP.SSLPS does not offer pages of this size");
            continue;
        }
        let iova = within(base, a, size);
        bench.map(bench.parts.home, (iova, a), size, READ | WRITE)?;
        bench.flush()?;
        let read = bench.reads(iova, a, 0x61);
        bench.check(read, format_args!("through a {name} page, a read at {iova:#x} gets RAM at {a:#x}"));
        let written = bench.writes(iova, a, 0x62);
        bench.check(written, format_args!("through a {name} page, a write at {iova:#x} lands at {a:#x}"));
        if size != Size::Page4K {
            // The low bits of the IOVA reach further than the page that was tried first.
            let iova = within(base, b, size);
            if size.bytes() > PAGE && a & !(size.bytes() - 1) == b & !(size.bytes() - 1) {
                let written = bench.writes(iova, b, 0x63);
                bench.check(written, format_args!("the same {name} page covers {b:#x} as well"));
            }
        }
    }
    Ok(())
}

/// The same IOVA through tables of every depth that the unit offers.
fn depths<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, ring) = (bench.parts.page_a, bench.parts.device.ring());
    let source = bench.parts.device.source();
    for levels in bench.parts.unit.cap.level_choices() {
        let domain = bench.new_ring_domain(2, levels, ring)?;
        bench.map(domain, (IOVA_4K, a), Size::Page4K, READ | WRITE)?;
        bench.set_context(source, domain.context())?;
        let written = bench.writes(IOVA_4K, a, 0x64 + levels);
        bench.check(written, format_args!("page tables of {levels} levels translate"));
    }
    bench.go_home()
}

/// A copy over page borders: neighbours for the device, strangers in RAM.
fn copy<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let from = bench.parts.arena.pages(bench.hw, 2)?;
    let to = bench.parts.arena.pages(bench.hw, 2)?;
    // Swapped on both sides: the device's first page is the second in RAM.
    let pages = [(IOVA_COPY_FROM, from), (IOVA_COPY_TO, to)];
    for (iova, pa) in pages {
        bench.map(bench.parts.home, (iova, pa + PAGE), Size::Page4K, READ | WRITE)?;
        bench.map(bench.parts.home, (iova + PAGE, pa), Size::Page4K, READ | WRITE)?;
    }
    bench.flush()?;
    let last = PAGE - u64::from(BYTES);
    // Offsets in RAM of the first and last bytes of either page.
    let marks = [(PAGE, 0x71), (PAGE + last, 0x72), (0, 0x73), (last, 0x74)];
    for (offset, seed) in marks {
        bench.fill(from + offset, seed);
        bench.poison(to + offset);
    }
    let dma = Dma::new(Op::Copy { len: 2 * PAGE as u32, to: IOVA_COPY_TO }, IOVA_COPY_FROM);
    let done = bench.succeeds(&dma);
    let held = done.map(|done| done && marks.into_iter().all(|(at, seed)| bench.holds(to + at, seed)));
    bench.check(held, format_args!("a copy of 8 KiB over page borders finds every page by the tables"));
    Ok(())
}

fn atomics<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let a = bench.parts.page_a;
    bench.map(bench.parts.home, (IOVA_4K, a), Size::Page4K, READ | WRITE)?;
    bench.flush()?;
    let old = 0x0000_0005_ffff_ffff;
    // (what, operation, 64-bit operand, value in RAM afterwards, value returned)
    let rows = [
        (
            "a 32-bit fetch-and-add wraps in its dword",
            Op::FetchAdd(3),
            false,
            0x0000_0005_0000_0002,
            0xffff_ffff,
        ),
        ("a 64-bit fetch-and-add carries", Op::FetchAdd(3), true, 0x0000_0006_0000_0002, old),
        ("a 64-bit swap replaces", Op::Swap(0x1122_3344_5566_7788), true, 0x1122_3344_5566_7788, old),
        (
            "a compare-and-swap that finds its value replaces",
            Op::CompareSwap { compare: old, swap: 9 },
            true,
            9,
            old,
        ),
        (
            "a compare-and-swap that does not leaves memory alone",
            Op::CompareSwap { compare: 1, swap: 9 },
            true,
            old,
            old,
        ),
    ];
    for (what, op, wide, after, returned) in rows {
        bench.hw.mem_write64(a, old);
        let completion = bench.dma(&Dma { wide, ..Dma::new(op, IOVA_4K) });
        let held = completion.map(|Completion { status, result, .. }| {
            status == Status::Done && result == returned && bench.hw.mem_read64(a) == after
        });
        bench.check(held, format_args!("{what}, through the page tables"));
    }
    Ok(())
}

fn zero_length_reads<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let a = bench.parts.page_a;
    bench.map(bench.parts.home, (IOVA_4K, a), Size::Page4K, READ)?;
    bench.map(bench.parts.home, (IOVA_WRITE_ONLY, a), Size::Page4K, WRITE)?;
    bench.flush()?;
    let done = bench.succeeds(&Dma::new(Op::ZeroLengthRead, IOVA_4K));
    bench.check(done, format_args!("a zero-length read of a readable page succeeds"));
    if bench.parts.unit.cap.zlr() {
        let done = bench.succeeds(&Dma::new(Op::ZeroLengthRead, IOVA_WRITE_ONLY));
        bench.check(done, format_args!("CAP.ZLR: a zero-length read of a write-only page succeeds"));
    } else {
        bench.skip("a zero-length read of a write-only page", "CAP.ZLR is 0");
    }
    Ok(())
}
