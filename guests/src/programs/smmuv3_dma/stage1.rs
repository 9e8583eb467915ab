//! DMA through stage 1, addresses different from the physical ones.

use super::bench::{BYTES, Bench, RING_IOVA, VA_BITS};
use crate::arena::PAGE;
use crate::error::Error;
use crate::exerciser::{Completion, Dma, Op, Status};
use crate::hw::Hw;
use crate::smmuv3::tables::{LAST, STAGE1};
use crate::smmuv3::{Granule, Ste, Tables};

/// A leaf of each level in gigabytes of its own; the largest leaf is 1 GiB.
const LEAVES: [u64; 3] = [0x12_0000_0000, 0x13_0000_0000, 0x14_0000_0000];
const IOVA: u64 = 0x12_3456_0000;
const COPY_FROM: u64 = 0x15_0000_0000;
const COPY_TO: u64 = 0x16_0000_0000;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.has_stage1("stage 1") {
        return Ok(());
    }
    let ring = bench.parts.device.ring();
    for granule in bench.granules() {
        let space = bench.space_of(1, granule, VA_BITS, ring)?;
        let ste = bench.stage1_ste(space)?;
        attach(bench, ste, granule)?;
        leaves(bench, &space.tables, STAGE1, "stage 1")?;
    }
    depths(bench)?;
    let space = bench.space(1)?;
    let ste = bench.stage1_ste(space)?;
    attach(bench, ste, space.tables.granule)?;
    copy(bench, &space.tables)?;
    atomics(bench, &space.tables)
}

/// Puts the first function behind an STE whose tables, of this granule, map its ring.
pub fn attach<H: Hw>(bench: &mut Bench<'_, H>, ste: Ste, granule: Granule) -> Result<(), Error> {
    bench.set_ste(bench.stream(), ste)?;
    let ring = within(RING_IOVA, bench.parts.device.ring(), granule.bits());
    bench.parts.device.start(bench.hw, ring);
    Ok(())
}

/// The address of `pa` in a leaf of 2^`bits` bytes at `base`.
pub fn within(base: u64, pa: u64, bits: u32) -> u64 {
    base + (pa & ((1 << bits) - 1))
}

/// A read and a write through a leaf of each level that the granule has.
pub fn leaves<H: Hw>(
    bench: &mut Bench<'_, H>,
    tables: &Tables,
    attributes: u64,
    stage: &str,
) -> Result<(), Error> {
    let (a, granule) = (bench.parts.page_a, tables.granule);
    for (level, base) in granule.leaf_levels().iter().copied().zip(LEAVES) {
        if level < tables.start {
            continue;
        }
        let shift = granule.shift(level);
        let iova = within(base, a, shift);
        tables.map(bench.hw, &mut bench.parts.arena, (iova, a), level, attributes)?;
        bench.flush()?;
        let size = Size(shift);
        let read = bench.reads(iova, a, 0x61);
        bench.check(read, format_args!("{stage}, {size} leaf: a read at {iova:#x} gets RAM at {a:#x}"));
        let written = bench.writes(iova, a, 0x62);
        bench.check(written, format_args!("{stage}, {size} leaf: a write at {iova:#x} lands at {a:#x}"));
        if level != LAST {
            let b = bench.parts.page_b;
            if a >> shift == b >> shift {
                let written = bench.writes(within(base, b, shift), b, 0x63);
                bench.check(written, format_args!("the same leaf covers {b:#x} as well"));
            }
        }
    }
    Ok(())
}

/// Bytes of a power of two, for people.
struct Size(u32);

impl core::fmt::Display for Size {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self(bits) = *self;
        match bits {
            30.. => write!(f, "{}-GiB", 1u64 << (bits - 30)),
            20.. => write!(f, "{}-MiB", 1u64 << (bits - 20)),
            _ => write!(f, "{}-KiB", 1u64 << bits >> 10),
        }
    }
}

/// The same address through tables of every depth.
fn depths<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, ring, granule) = (bench.parts.page_a, bench.parts.device.ring(), bench.granule()?);
    let iova = within(IOVA, a, granule.bits());
    for bits in [VA_BITS, 44, 48] {
        let space = bench.space_of(1, granule, bits, ring)?;
        bench.map(&space.tables, (iova, a), STAGE1)?;
        let ste = bench.stage1_ste(space)?;
        attach(bench, ste, granule)?;
        let written = bench.writes(iova, a, 0x60 + bits);
        let levels = LAST + 1 - space.tables.start;
        bench.check(written, format_args!("{levels} levels of tables translate addresses of {bits} bits"));
    }
    Ok(())
}

/// A copy over page borders: neighbours for the device, strangers in RAM.
fn copy<H: Hw>(bench: &mut Bench<'_, H>, tables: &Tables) -> Result<(), Error> {
    let page = tables.granule.bytes();
    let from = bench.parts.arena.aligned(bench.hw, 2 * page)?;
    let to = bench.parts.arena.aligned(bench.hw, 2 * page)?;
    // Swapped on both sides: the device's first page is the second in RAM.
    for (iova, pa) in [(COPY_FROM, from), (COPY_TO, to)] {
        bench.map(tables, (iova, pa + page), STAGE1)?;
        bench.map(tables, (iova + page, pa), STAGE1)?;
    }
    bench.flush()?;
    // The last PAGE bytes of one page and the first of the next, as the device sees them.
    let start = page - PAGE;
    let marks = [(page + start, 0x71), (2 * page - u64::from(BYTES), 0x72), (0, 0x73)];
    for (offset, seed) in marks {
        bench.fill(from + offset, seed);
        bench.poison(to + offset);
    }
    let dma = Dma::new(Op::Copy { len: 2 * PAGE as u32, to: COPY_TO + start }, COPY_FROM + start);
    let done = bench.succeeds(&dma);
    let held = done.map(|done| done && marks.into_iter().all(|(at, seed)| bench.holds(to + at, seed)));
    bench.check(held, format_args!("a copy of 8 KiB over a page border finds every page by the tables"));
    Ok(())
}

fn atomics<H: Hw>(bench: &mut Bench<'_, H>, tables: &Tables) -> Result<(), Error> {
    let a = bench.parts.page_a;
    let iova = within(LEAVES[0], a, tables.granule.bits());
    bench.map(tables, (iova, a), STAGE1)?;
    bench.flush()?;
    let old = 0x0000_0005_ffff_ffff;
    let rows = [
        ("a 64-bit fetch-and-add carries", Op::FetchAdd(3), 0x0000_0006_0000_0002),
        ("a 64-bit swap replaces", Op::Swap(0x1122_3344_5566_7788), 0x1122_3344_5566_7788),
        ("a compare-and-swap that finds its value replaces", Op::CompareSwap { compare: old, swap: 9 }, 9),
        (
            "a compare-and-swap that does not leaves memory alone",
            Op::CompareSwap { compare: 1, swap: 9 },
            old,
        ),
    ];
    for (what, op, after) in rows {
        bench.hw.mem_write64(a, old);
        let completion = bench.dma(&Dma { wide: true, ..Dma::new(op, iova) });
        let held = completion.map(|Completion { status, result, .. }| {
            status == Status::Done && result == old && bench.hw.mem_read64(a) == after
        });
        bench.check(held, format_args!("{what}, through the tables"));
    }
    Ok(())
}
