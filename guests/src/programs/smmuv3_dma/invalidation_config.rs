//! Stale stream table entries and context descriptors [SMMUv3 3.21.3, 4.3].

use super::bench::{Bench, READ};
use super::invalidation::{NEW, OLD, Page, fresh, stale};
use super::stage1::attach;
use crate::error::Error;
use crate::exerciser::Dma;
use crate::hw::Hw;
use crate::smmuv3::ste::Plain;
use crate::smmuv3::tables::{STAGE1, STAGE2};
use crate::smmuv3::{Cd, Command, ContextFormat, Ste};

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    bench.fill(a, OLD);
    bench.fill(b, NEW);
    if bench.has_stage2("a stream that moves from one VMID to another") {
        entries_of_stage2(bench)?;
    }
    if bench.has_stage1("a CD that changes") {
        contexts(bench)?;
        substreams(bench)?;
    }
    Ok(())
}

/// The commands that have the unit read an STE again.
fn commands(stream: u32) -> [(&'static str, Command); 4] {
    [
        ("CMD_CFGI_STE", Command::cfgi_ste(stream, true)),
        ("CMD_CFGI_STE with its descriptors", Command::cfgi_ste(stream, false)),
        ("CMD_CFGI_STE_RANGE", Command::cfgi_ste_range(stream & !0xf, 3)),
        ("CMD_CFGI_ALL", Command::cfgi_all()),
    ]
}

/// A stream that moves from one VMID to another.
fn entries_of_stage2<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, b, stream) = (bench.parts.page_a, bench.parts.page_b, bench.stream());
    let (first, second) = (bench.stage2(1)?, bench.stage2(2)?);
    let page = Page { tables: first.tables, attributes: STAGE2, link: 0 };
    let dma = Dma::new(READ, page.probe(bench));
    bench.map(&first.tables, (dma.address, a), STAGE2)?;
    bench.map(&second.tables, (dma.address, b), STAGE2)?;
    for (what, command) in commands(stream) {
        attach(bench, Ste::stage2(&first), first.tables.granule)?;
        if bench.which_of(dma, [OLD])?.is_none() {
            bench.check(Ok(false), format_args!("the device sees its own memory"));
        }
        bench.write_ste(stream, Ste::stage2(&second))?;
        stale(bench, dma, "a change of its STE")?;
        bench.submit(&[command])?;
        fresh(bench, dma, what);
    }
    if bench.parts.retain {
        attach(bench, Ste::stage2(&first), first.tables.granule)?;
        bench.which_of(dma, [OLD])?;
        bench.write_ste(stream, Ste::stage2(&second))?;
        bench.submit(&[Command::cfgi_ste(stream ^ 0x10, true), Command::tlbi_nsnh_all()])?;
        let seen = bench.which_of(dma, [OLD]).map(|seen| seen.is_some());
        bench.check(
            seen,
            format_args!("neither another stream's CMD_CFGI_STE nor a TLBI changes anything here"),
        );
    }
    Ok(())
}

/// A CD that changes from one address space to another.
fn contexts<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, b, stream) = (bench.parts.page_a, bench.parts.page_b, bench.stream());
    let (first, second) = (bench.space(1)?, bench.space(2)?);
    let page = Page { tables: first.tables, attributes: STAGE1, link: 0 };
    let dma = Dma::new(READ, page.probe(bench));
    bench.map(&first.tables, (dma.address, a), STAGE1)?;
    bench.map(&second.tables, (dma.address, b), STAGE1)?;
    let on_fault = bench.terminates();
    let (old, new) = (bench.cd(first, on_fault), bench.cd(second, on_fault));
    let table = bench.single(old)?;
    let rows = [
        ("CMD_CFGI_CD", Command::cfgi_cd(stream, 0, true)),
        ("CMD_CFGI_CD with its descriptors", Command::cfgi_cd(stream, 0, false)),
        ("CMD_CFGI_CD_ALL", Command::cfgi_cd_all(stream)),
        ("CMD_CFGI_STE, for a change of the CD,", Command::cfgi_ste(stream, true)),
    ];
    for (what, command) in rows {
        table.set(bench.hw, &mut bench.parts.arena, 0, old)?;
        attach(bench, Ste::stage1(&table, Plain::Terminate), first.tables.granule)?;
        bench.which_of(dma, [OLD])?;
        table.set(bench.hw, &mut bench.parts.arena, 0, new)?;
        stale(bench, dma, "a change of its CD")?;
        bench.submit(&[command])?;
        fresh(bench, dma, what);
    }
    Ok(())
}

/// A CD of one SubstreamID, with that of another left alone.
fn substreams<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let idr1 = bench.parts.smmu.unit.idr1;
    if !bench.needs(idr1.ssidsize() >= 2, "CDs of substreams", "IDR1.SSIDSIZE is too small") {
        return Ok(());
    }
    let (a, b, stream) = (bench.parts.page_a, bench.parts.page_b, bench.stream());
    let (first, second) = (bench.space(1)?, bench.space(2)?);
    let page = Page { tables: first.tables, attributes: STAGE1, link: 0 };
    let iova = page.probe(bench);
    bench.map(&first.tables, (iova, a), STAGE1)?;
    bench.map(&second.tables, (iova, b), STAGE1)?;
    let on_fault = bench.terminates();
    let (old, new): (Cd, Cd) = (bench.cd(first, on_fault), bench.cd(second, on_fault));
    let table = bench.contexts(ContextFormat::Linear, 2, 0, &[(0, old), (2, old), (3, old)])?;
    attach(bench, Ste::stage1(&table, Plain::First), first.tables.granule)?;
    let [two, three] = [2, 3].map(|pasid| Dma { pasid: Some(pasid), ..Dma::new(READ, iova) });
    for dma in [two, three] {
        bench.which_of(dma, [OLD])?;
    }
    for substream in [2, 3] {
        table.set(bench.hw, &mut bench.parts.arena, substream, new)?;
    }
    bench.submit(&[Command::cfgi_cd(stream, 3, true)])?;
    fresh(bench, three, "CMD_CFGI_CD of PASID 3");
    stale(bench, two, "CMD_CFGI_CD of another PASID")?;
    bench.submit(&[Command::cfgi_cd_all(stream)])?;
    fresh(bench, two, "CMD_CFGI_CD_ALL, for every PASID,");
    Ok(())
}
