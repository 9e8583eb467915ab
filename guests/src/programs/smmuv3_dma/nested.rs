//! Stage 1 by SubstreamID, alone and through stage 2.
//!
//! Stage 2 has all RAM [`LINK`] higher than it is, so an address of the one kind that is taken for the
//! other leads nowhere.

use super::bench::{Bench, IPA_BITS, NOT_RAM, READ, RING_IOVA, Space, VA_BITS, WRITE};
use super::events::{
    C_BAD_CD, C_BAD_SUBSTREAMID, Class, Expected, F_ACCESS, F_CD_FETCH, F_PERMISSION, F_STREAM_DISABLED,
    F_TRANSLATION, F_WALK_EABT,
};
use super::stage1::within;
use crate::error::Error;
use crate::exerciser::{Dma, Op};
use crate::hw::Hw;
use crate::smmuv3::ste::Plain;
use crate::smmuv3::tables::{AF, LAST, S2_DEVICE, S2_NORMAL, S2_READ, S2_WRITE, STAGE1, STAGE2};
use crate::smmuv3::{Command, ContextFormat, ContextTable, Stage2, Ste, Tables};

/// What is to be added to a physical address for the intermediate one.
pub const LINK: u64 = 0x40_0000_0000;
/// An intermediate address for each way in which stage 2 refuses; a multiple of every granule.
const NOWHERE: u64 = 0x60_0000_0000;
const NO_ACCESS: u64 = 0x60_0100_0000;
const WRITE_ONLY: u64 = 0x60_0200_0000;
const READ_ONLY: u64 = 0x60_0300_0000;
const DEVICE: u64 = 0x60_0400_0000;
const ABORTING: u64 = 0x60_0500_0000;
/// In no block with the others.
const NO_TABLE: u64 = 0x70_0000_0000;
/// What devices see.
const PROBE: u64 = 0x18_0000_0000;
const UNMAPPED: u64 = 0x2f_0000_0000;
/// S1ContextPtr.
const CONTEXTS: u64 = 0x00ff_ffff_ffff_ffc0;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.has_stage1("substreams") {
        return Ok(());
    }
    substreams(bench, None)?;
    if let Some(stage2) = stage2_over_ram(bench)? {
        one_context(bench, &stage2)?;
        substreams(bench, Some(&stage2))?;
    }
    Ok(())
}

/// A stage 2 that has all RAM [`LINK`] higher; `None`, and the check is skipped, where there is none.
pub fn stage2_over_ram<H: Hw>(bench: &mut Bench<'_, H>) -> Result<Option<Stage2>, Error> {
    let wide = bench.parts.smmu.unit.idr5.output_bits() >= IPA_BITS;
    if !bench.has_stage2("both stages") || !bench.needs(wide, "both stages", "IDR5.OAS is below 40 bits") {
        return Ok(None);
    }
    let stage2 = bench.stage2(1)?;
    let (ram, shift) = (bench.hw.ram(), stage2.tables.granule.shift(LAST - 1));
    for block in ram.start >> shift..=ram.last >> shift {
        let pages = (LINK + (block << shift), block << shift);
        stage2.tables.map(bench.hw, &mut bench.parts.arena, pages, LAST - 1, STAGE2)?;
    }
    Ok(Some(stage2))
}

/// Stage-1 tables whose descriptors lie `link` above themselves, with the ring mapped.
pub fn linked_space<H: Hw>(bench: &mut Bench<'_, H>, asid: u16, link: u64) -> Result<Space, Error> {
    let (granule, ring) = (bench.granule()?, bench.parts.device.ring());
    let tables = Tables::stage1(bench.hw, &mut bench.parts.arena, granule, VA_BITS, link)?;
    let space = Space { tables, asid };
    bench.map(&tables, (ring_iova(&tables, ring), ring + link), STAGE1)?;
    Ok(space)
}

fn ring_iova(tables: &Tables, ring: u64) -> u64 {
    within(RING_IOVA, ring, tables.granule.bits())
}

/// The address of `pa` in the page at [`PROBE`].
fn probe(tables: &Tables, pa: u64) -> u64 {
    within(PROBE, pa, tables.granule.bits())
}

/// Puts the first function behind an STE, with its ring as stage-1 tables map it.
fn enter<H: Hw>(bench: &mut Bench<'_, H>, ste: Ste, tables: &Tables) -> Result<(), Error> {
    bench.set_ste(bench.stream(), ste)?;
    let ring = ring_iova(tables, bench.parts.device.ring());
    bench.parts.device.start(bench.hw, ring);
    Ok(())
}

fn one_context<H: Hw>(bench: &mut Bench<'_, H>, stage2: &Stage2) -> Result<(), Error> {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    let space = linked_space(bench, 1, LINK)?;
    let iova = probe(&space.tables, a);
    bench.map(&space.tables, (iova, a + LINK), STAGE1)?;
    let contexts =
        bench.contexts(ContextFormat::Single, 0, LINK, &[(0, bench.cd(space, bench.terminates()))])?;
    enter(bench, Ste::nested(&contexts, Plain::Terminate, stage2), &space.tables)?;
    let read = bench.reads(iova, a, 0x41);
    bench.check(read, format_args!("both stages: a read at {iova:#x} gets RAM at {a:#x}"));
    let written = bench.writes(iova, a, 0x42);
    bench.check(written, format_args!("both stages: a write at {iova:#x} lands at {a:#x}"));

    // Stage 2 moves a page that stage 1 knows nothing of; by a page, as `NOWHERE` is in no block.
    let page = within(NOWHERE, b, space.tables.granule.bits());
    bench.map(&stage2.tables, (page, b), STAGE2)?;
    let moved = PROBE + (1 << 30) + (page - NOWHERE);
    bench.map(&space.tables, (moved, page), STAGE1)?;
    bench.flush()?;
    let written = bench.writes(moved, b, 0x43);
    bench.check(written, format_args!("both stages: pages of both meet where they overlap"));
    bench.set_entry(&stage2.tables, page, LAST, 0)?;
    bench.flush()
}

/// Two address spaces of one device, by SubstreamID, in every format of CD tables.
fn substreams<H: Hw>(bench: &mut Bench<'_, H>, stage2: Option<&Stage2>) -> Result<(), Error> {
    let stages = if stage2.is_some() { "both stages" } else { "stage 1" };
    let most = bench.parts.smmu.unit.idr1.ssidsize();
    if !bench.needs(most >= 2, "substreams", "IDR1.SSIDSIZE is too small") {
        return Ok(());
    }
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    let link = if stage2.is_some() { LINK } else { 0 };
    let (plain, other) = (linked_space(bench, 1, link)?, linked_space(bench, 2, link)?);
    let iova = probe(&plain.tables, a);
    bench.map(&plain.tables, (iova, a + link), STAGE1)?;
    bench.map(&other.tables, (iova, b + link), STAGE1)?;
    let on_fault = bench.terminates();
    let (first, second) = (bench.cd(plain, on_fault), bench.cd(other, on_fault));
    let ste = |contexts: &ContextTable, plain| match stage2 {
        Some(stage2) => Ste::nested(contexts, plain, stage2),
        None => Ste::stage1(contexts, plain),
    };

    let cd2l = bench.parts.smmu.unit.idr0.cd2l() == 1;
    let formats = [
        ("a linear CD table", ContextFormat::Linear, 2, true),
        ("CD tables of two levels, 4 KiB", ContextFormat::TwoLevel4K, 8, cd2l),
        ("CD tables of two levels, 64 KiB", ContextFormat::TwoLevel64K, 12, cd2l),
    ];
    for (name, format, log2, offered) in formats {
        if !bench.needs(offered && log2 <= most, name, "IDR0.CD2L or IDR1.SSIDSIZE does not offer it") {
            continue;
        }
        // The last one, which the second level has where there is one.
        let substream = (1 << log2) - 1;
        let contexts = bench.contexts(format, log2, link, &[(0, first), (substream, second)])?;
        enter(bench, ste(&contexts, Plain::First), &plain.tables)?;
        let written = bench.writes(iova, a, 0x44);
        bench
            .check(written, format_args!("{stages}, {name}: a write without PASID lands in the first space"));
        let dma = Dma { pasid: Some(substream), ..Dma::new(WRITE, iova) };
        let written = bench.writes_by(dma, b, 0x45);
        bench.check(written, format_args!("{stages}, {name}: one with PASID {substream} in its own"));

        let dma = Dma { pasid: Some(substream), ..Dma::new(READ, UNMAPPED) };
        let expected = Expected::new(F_TRANSLATION).substream(substream).read(UNMAPPED).by_stage1();
        bench.faults("a page that the space of a PASID does not map", &dma, expected);
        let dma = Dma { pasid: Some(1), ..Dma::new(READ, iova) };
        bench.faults("a PASID whose CD is not valid", &dma, Expected::new(C_BAD_CD).substream(1));
        let dma = Dma { pasid: Some(0), ..Dma::new(READ, iova) };
        let expected = Expected::new(F_STREAM_DISABLED);
        bench.faults("PASID 0, where that is for requests without one", &dma, expected);
        let dma = Dma { pasid: Some(1 << log2), ..Dma::new(READ, iova) };
        let expected = Expected::new(C_BAD_SUBSTREAMID).bad_substream(1 << log2);
        bench.faults("a PASID beyond the CD table", &dma, expected);
        if format != ContextFormat::Linear {
            // The first table of the second level goes, with CD 0 in it; the ring is that of a stream
            // without stage 1.
            bypassed_ring(bench, ste(&contexts, Plain::Bypass), link)?;
            let dma = Dma { pasid: Some(substream), ..Dma::new(READ, iova) };
            if let Some(at) = contexts.l1_at(substream) {
                bench.hw.mem_write64(at, 0);
                bench.flush()?;
                let expected = Expected::new(C_BAD_SUBSTREAMID).bad_substream(substream);
                bench.faults("a PASID whose L1CD is not valid", &dma, expected);
            }
        }
    }

    let contexts = bench.contexts(ContextFormat::Linear, 2, link, &[(0, first), (3, second)])?;
    bypassed_ring(bench, ste(&contexts, Plain::Bypass), link)?;
    let written = bench.writes(a + link, a, 0x46);
    bench.check(written, format_args!("{stages}: without PASID stage 1 is bypassed, if the STE says so"));
    let dma = Dma { pasid: Some(3), ..Dma::new(WRITE, iova) };
    let written = bench.writes_by(dma, b, 0x47);
    bench.check(written, format_args!("{stages}: and with one it translates"));
    bench.set_ste(bench.stream(), ste(&contexts, Plain::Terminate))?;
    bench.fetch_faults("no PASID, where the STE wants one", Expected::new(F_STREAM_DISABLED));
    Ok(())
}

/// Puts the first function behind an STE that lets what has no PASID pass by stage 1.
fn bypassed_ring<H: Hw>(bench: &mut Bench<'_, H>, ste: Ste, link: u64) -> Result<(), Error> {
    bench.set_ste(bench.stream(), ste)?;
    let ring = bench.parts.device.ring() + link;
    bench.parts.device.start(bench.hw, ring);
    Ok(())
}

/// What stage 2 refuses while it translates for stage 1, and what stage 1 refuses above it.
pub fn faults<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.has_stage1("faults of tables within tables") {
        return Ok(());
    }
    let Some(stage2) = stage2_over_ram(bench)? else { return Ok(()) };
    let (a, tables) = (bench.parts.page_a, stage2.tables);
    bench.map(&tables, (NO_ACCESS, a), STAGE2 & !AF)?;
    bench.map(&tables, (WRITE_ONLY, a), S2_NORMAL | S2_WRITE)?;
    bench.map(&tables, (READ_ONLY, a), S2_NORMAL | S2_READ)?;
    bench.map(&tables, (DEVICE, a), S2_DEVICE | S2_READ | S2_WRITE)?;
    bench.map(&tables, (ABORTING, NOT_RAM), STAGE2)?;
    bench.set_entry(&tables, NO_TABLE, LAST - 1, NOT_RAM | 3)?;

    let space = linked_space(bench, 1, LINK)?;
    let contexts =
        bench.contexts(ContextFormat::Single, 0, LINK, &[(0, bench.cd(space, bench.terminates()))])?;
    let ste = Ste::nested(&contexts, Plain::Terminate, &stage2);
    enter(bench, ste, &space.tables)?;
    outputs(bench, &space)?;
    descriptors(bench, &space, &stage2)?;
    context_descriptors(bench, ste, &stage2)
}

/// The address that stage 1 gives.
fn outputs<H: Hw>(bench: &mut Bench<'_, H>, space: &Space) -> Result<(), Error> {
    let rows = [
        ("stage 1 leads where stage 2 has nothing", READ, F_TRANSLATION, NOWHERE),
        ("stage 1 leads to a page without AF in stage 2", READ, F_ACCESS, NO_ACCESS),
        ("read of a page that stage 2 lets be written", READ, F_PERMISSION, WRITE_ONLY),
        ("write to a page that stage 2 lets be read", WRITE, F_PERMISSION, READ_ONLY),
        ("atomic on such a page", Op::FetchAdd(1), F_PERMISSION, READ_ONLY),
    ];
    for (what, op, kind, ipa) in rows {
        bench.map(&space.tables, (PROBE, ipa), STAGE1)?;
        bench.flush()?;
        let expected = Expected::new(kind).access(op, PROBE + 0x40).by_stage2(Class::In, ipa);
        bench.faults(what, &Dma::new(op, PROBE + 0x40), expected);
    }
    bench.map(&space.tables, (PROBE, NOWHERE), STAGE1 & !AF)?;
    bench.flush()?;
    let expected = Expected::new(F_ACCESS).read(PROBE).by_stage1();
    bench.faults("stage 1 refuses before stage 2 is asked", &Dma::new(READ, PROBE), expected);
    Ok(())
}

/// Stage-1 tables at addresses that stage 2 refuses.
fn descriptors<H: Hw>(bench: &mut Bench<'_, H>, space: &Space, stage2: &Stage2) -> Result<(), Error> {
    // Apart from the ring's tables.
    let from = PROBE + (1 << 36);
    let granule = space.tables.granule;
    let fault = |kind, ipa| Expected::new(kind).read(from).by_stage2(Class::Tt, ipa);
    let rows = [
        ("a stage-1 table where stage 2 has nothing", NOWHERE, fault(F_TRANSLATION, NOWHERE)),
        ("a stage-1 table in a page without AF", NO_ACCESS, fault(F_ACCESS, NO_ACCESS)),
        (
            "a stage-1 table that stage 2 does not let be read",
            WRITE_ONLY,
            fault(F_PERMISSION, WRITE_ONLY).of_a_descriptor_read(),
        ),
        (
            "a stage-1 table in Device memory, with S2PTW",
            DEVICE,
            fault(F_PERMISSION, DEVICE).of_a_descriptor_read(),
        ),
        (
            "a stage-1 table that stage 2 puts where nothing answers",
            ABORTING,
            Expected::new(F_WALK_EABT).read(from).aborted_stage1(NOT_RAM & !(granule.bytes() - 1)),
        ),
        (
            "a stage-2 table where nothing answers, on the way to one of stage 1",
            NO_TABLE,
            Expected::new(F_WALK_EABT).read(from).aborted_stage2(
                Class::Tt,
                NOT_RAM + (NO_TABLE >> granule.bits() & ((granule.bytes() >> 3) - 1)) * 8,
            ),
        ),
    ];
    for (what, table, expected) in rows {
        bench.set_entry(&space.tables, from, LAST - 1, table | 3)?;
        bench.flush()?;
        bench.faults(what, &Dma::new(READ, from), expected);
    }
    bench.set_entry(&space.tables, from, LAST - 1, 0)?;
    bench.submit(&[Command::tlbi_s12_vmall(stage2.vmid)])
}

/// CDs at addresses that stage 2 refuses; the device's ring is refused with them.
fn context_descriptors<H: Hw>(bench: &mut Bench<'_, H>, ste: Ste, stage2: &Stage2) -> Result<(), Error> {
    let ring = bench.parts.device.ring_iova();
    let granule = stage2.tables.granule;
    let fault = |kind, ipa| Expected::new(kind).read(ring).by_stage2(Class::Cd, ipa);
    let rows = [
        ("a CD where stage 2 has nothing", NOWHERE, fault(F_TRANSLATION, NOWHERE)),
        ("a CD in a page without AF", NO_ACCESS, fault(F_ACCESS, NO_ACCESS)),
        ("a CD in Device memory, with S2PTW", DEVICE, fault(F_PERMISSION, DEVICE)),
        ("a CD that stage 2 does not let be read", WRITE_ONLY, fault(F_PERMISSION, WRITE_ONLY)),
        (
            "a CD that stage 2 puts where nothing answers",
            ABORTING,
            Expected::new(F_CD_FETCH).fetched(NOT_RAM),
        ),
        (
            "a stage-2 table where nothing answers, on the way to a CD",
            NO_TABLE,
            Expected::new(F_WALK_EABT).read(ring).aborted_stage2(
                Class::Cd,
                NOT_RAM + (NO_TABLE >> granule.bits() & ((granule.bytes() >> 3) - 1)) * 8,
            ),
        ),
    ];
    for (what, pointer, expected) in rows {
        let Ste([word, rest @ ..]) = ste;
        let [w1, w2, w3, w4, w5, w6, w7] = rest;
        bench.set_ste(bench.stream(), Ste([word & !CONTEXTS | pointer, w1, w2, w3, w4, w5, w6, w7]))?;
        bench.fetch_faults(what, expected);
    }
    Ok(())
}
