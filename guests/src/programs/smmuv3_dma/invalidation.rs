//! Stale translations before an invalidation, fresh ones after it, for every command
//! [SMMUv3 3.17, 4.4].

use super::bench::{Bench, READ, Space};
use super::events::{Expected, F_TRANSLATION};
use super::nested::{LINK, linked_space, stage2_over_ram};
use super::stage1::{attach, within};
use crate::error::Error;
use crate::exerciser::Dma;
use crate::hw::Hw;
use crate::smmuv3::command::Pages;
use crate::smmuv3::ste::Plain;
use crate::smmuv3::tables::{LAST, NG, STAGE1, STAGE2};
use crate::smmuv3::{Command, ContextFormat, Granule, Stage2, Ste, Tables};

/// The page in question; those after it are for ranges.
pub const PROBE: u64 = 0x1a_0001_0000;
/// The pattern of the old page, and of the new one.
pub const OLD: u32 = 0x91;
pub const NEW: u32 = 0x92;
/// What this section's streams use.
const VMID: u16 = 1;
const ASID: u16 = 1;
/// An intermediate page that is in no block.
const MOVED: u64 = 0x61_0000_0000;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    bench.fill(a, OLD);
    bench.fill(b, NEW);
    if bench.has_stage1("stale translations of stage 1") {
        stage1(bench)?;
    }
    if bench.has_stage2("stale translations of stage 2") {
        stage2(bench)?;
    }
    if bench.has_stage1("stale translations of both stages")
        && let Some(stage2) = stage2_over_ram(bench)?
    {
        both(bench, &stage2)?;
    }
    Ok(())
}

/// Tables with the page at [`PROBE`] in them, and what their leaves are.
#[derive(Clone, Copy)]
pub struct Page {
    pub tables: Tables,
    pub attributes: u64,
    /// What is to be added to physical addresses.
    pub link: u64,
}

impl Page {
    /// The device's address of a page so many pages from the probe.
    fn iova<H: Hw>(&self, bench: &Bench<'_, H>, index: u64) -> u64 {
        let granule = self.tables.granule;
        within(PROBE, bench.parts.page_a, granule.bits()) + index * granule.bytes()
    }

    /// Maps such a page to the old one, has the device use it, and maps it to the new one without a word
    /// to the unit.
    pub fn remap<H: Hw>(&self, bench: &mut Bench<'_, H>, index: u64) -> Result<(), Error> {
        let (a, b) = (bench.parts.page_a, bench.parts.page_b);
        let iova = self.iova(bench, index);
        bench.map(&self.tables, (iova, a + self.link), self.attributes)?;
        bench.flush()?;
        // It is cached now, if the unit caches.
        if bench.which(iova, [OLD])?.is_none() {
            bench.check(Ok(false), format_args!("a page just mapped is seen"));
        }
        bench.map(&self.tables, (iova, b + self.link), self.attributes)
    }

    /// The device's address of the probe.
    pub fn probe<H: Hw>(&self, bench: &Bench<'_, H>) -> u64 {
        self.iova(bench, 0)
    }
}

/// Before the invalidation: see the module doc of the program.
pub fn stale<H: Hw>(bench: &mut Bench<'_, H>, dma: Dma, change: &str) -> Result<(), Error> {
    let seen = bench.which_of(dma, [OLD, NEW])?;
    if bench.parts.retain {
        let held = Ok(seen == Some(OLD));
        bench.check(held, format_args!("after {change} alone, the device still sees the old page"));
        return Ok(());
    }
    match seen {
        Some(OLD) => bench.note(format_args!("cache: kept the old translation")),
        Some(_) => bench.note(format_args!("cache: walked the new tables")),
        None => {}
    }
    bench.check(
        Ok(seen.is_some()),
        format_args!("after {change} alone, the device sees the old page or the new one"),
    );
    Ok(())
}

pub fn fresh<H: Hw>(bench: &mut Bench<'_, H>, dma: Dma, what: &str) {
    let seen = bench.which_of(dma, [NEW]).map(|seen| seen.is_some());
    bench.check(seen, format_args!("after {what} the device sees the new page"));
}

/// Checks, on a unit that keeps entries, that a command leaves the old page: any unit may drop more than
/// it was asked to.
fn untouched<H: Hw>(
    bench: &mut Bench<'_, H>,
    page: &Page,
    what: &str,
    command: Command,
) -> Result<(), Error> {
    if !bench.parts.retain {
        return Ok(());
    }
    page.remap(bench, 0)?;
    bench.submit(&[command])?;
    let seen = bench.which(page.probe(bench), [OLD]).map(|seen| seen.is_some());
    bench.check(seen, format_args!("{what} changes nothing here"));
    Ok(())
}

/// Stale, command, fresh, for each command.
fn each<H: Hw>(bench: &mut Bench<'_, H>, page: &Page, rows: &[(&str, Command)]) -> Result<(), Error> {
    for (what, command) in rows {
        page.remap(bench, 0)?;
        let dma = Dma::new(READ, page.probe(bench));
        stale(bench, dma, "a change of the tables")?;
        bench.submit(&[*command])?;
        fresh(bench, dma, what);
    }
    Ok(())
}

fn pages(granule: Granule, num: u8, scale: u8) -> Pages {
    Pages { granule, num, scale }
}

/// Four pages by one command, and the fifth left alone.
fn range<H: Hw>(bench: &mut Bench<'_, H>, page: &Page, what: &str, command: Command) -> Result<(), Error> {
    if !bench.needs(bench.parts.smmu.unit.idr3.ril() == 1, what, "IDR3.RIL is 0") {
        return Ok(());
    }
    let (a, b, granule) = (bench.parts.page_a, bench.parts.page_b, page.tables.granule);
    let iovas = [0, 1, 2, 3, 4].map(|index| page.iova(bench, index));
    for to in [a, b] {
        for iova in iovas {
            bench.map(&page.tables, (iova, to + page.link), page.attributes)?;
        }
        if to == a {
            bench.flush()?;
            for iova in iovas {
                bench.which(iova, [OLD])?;
            }
        }
    }
    // Two units of two pages.
    bench.submit(&[command.range(pages(granule, 1, 1), 3)])?;
    let [inside @ .., outside] = iovas;
    let mut seen = Ok(true);
    for iova in inside {
        seen = seen.and_then(|so_far| Ok(so_far && bench.which(iova, [NEW])?.is_some()));
    }
    bench.check(seen, format_args!("after {what} the device sees all four new pages"));
    if bench.parts.retain {
        let seen = bench.which(outside, [OLD]).map(|seen| seen.is_some());
        bench.check(seen, format_args!("the fifth page is left as it was"));
    }
    Ok(())
}

fn stage1<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    // A stream of stage 1 alone has the VMID of its STE where there is stage 2, else none.
    let vmid = if bench.parts.smmu.unit.idr0.s2p() == 1 { VMID } else { 0 };
    let space = bench.space(ASID)?;
    let Ste(mut words) = bench.stage1_ste(space)?;
    words[2] |= u64::from(vmid);
    attach(bench, Ste(words), space.tables.granule)?;
    let page = Page { tables: space.tables, attributes: STAGE1, link: 0 };
    let va = page.probe(bench);
    each(
        bench,
        &page,
        &[
            ("CMD_TLBI_NH_VA of last-level entries", Command::tlbi_nh_va(vmid, ASID, va, true)),
            ("CMD_TLBI_NH_VA", Command::tlbi_nh_va(vmid, ASID, va, false)),
            ("CMD_TLBI_NH_VAA", Command::tlbi_nh_vaa(vmid, va, true)),
            ("CMD_TLBI_NH_ASID", Command::tlbi_nh_asid(vmid, ASID)),
            ("CMD_TLBI_NH_ALL", Command::tlbi_nh_all(vmid)),
            ("CMD_TLBI_NSNH_ALL", Command::tlbi_nsnh_all()),
        ],
    )?;
    range(bench, &page, "CMD_TLBI_NH_VA of a range", Command::tlbi_nh_va(vmid, ASID, va, true))?;
    range(bench, &page, "CMD_TLBI_NH_VAA of a range", Command::tlbi_nh_vaa(vmid, va, false))?;

    let next = va + space.tables.granule.bytes();
    untouched(bench, &page, "CMD_TLBI_NH_VA of another page", Command::tlbi_nh_va(vmid, ASID, next, true))?;
    untouched(bench, &page, "CMD_TLBI_NH_VA of another ASID", Command::tlbi_nh_va(vmid, 2, va, true))?;
    untouched(bench, &page, "CMD_TLBI_NH_ASID of another ASID", Command::tlbi_nh_asid(vmid, 2))?;
    untouched(bench, &page, "CMD_CFGI_ALL", Command::cfgi_all())?;
    if vmid != 0 {
        untouched(bench, &page, "CMD_TLBI_NH_ALL of another VMID", Command::tlbi_nh_all(2))?;
        untouched(bench, &page, "CMD_TLBI_S2_IPA", Command::tlbi_s2_ipa(vmid, va, false))?;
    }
    if bench.parts.smmu.unit.idr0.hyp() == 1 {
        untouched(bench, &page, "CMD_TLBI_EL2_ALL", Command::tlbi_el2_all())?;
    }

    let global = Page { attributes: STAGE1 & !NG, ..page };
    untouched(bench, &global, "CMD_TLBI_NH_ASID, to a global page,", Command::tlbi_nh_asid(vmid, ASID))?;
    each(
        bench,
        &global,
        &[("CMD_TLBI_NH_VA, of any ASID, for a global page,", Command::tlbi_nh_va(vmid, 2, va, true))],
    )?;
    unmapped(bench, &page, vmid)
}

fn unmapped<H: Hw>(bench: &mut Bench<'_, H>, page: &Page, vmid: u16) -> Result<(), Error> {
    page.remap(bench, 0)?;
    let iova = page.probe(bench);
    bench.set_entry(&page.tables, iova, LAST, 0)?;
    bench.submit(&[Command::tlbi_nh_va(vmid, ASID, iova, true)])?;
    let expected = Expected::new(F_TRANSLATION).read(iova).by_stage1();
    bench.faults("read of a page that was unmapped and invalidated", &Dma::new(READ, iova), expected);
    // What is not mapped is not cached.
    bench.map(&page.tables, (iova, bench.parts.page_b), page.attributes)?;
    fresh(bench, Dma::new(READ, iova), "mapping it again, without a command,");
    Ok(())
}

fn stage2<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let stage2 = bench.stage2(VMID)?;
    attach(bench, Ste::stage2(&stage2), stage2.tables.granule)?;
    let page = Page { tables: stage2.tables, attributes: STAGE2, link: 0 };
    let ipa = page.probe(bench);
    each(
        bench,
        &page,
        &[
            ("CMD_TLBI_S2_IPA of last-level entries", Command::tlbi_s2_ipa(VMID, ipa, true)),
            ("CMD_TLBI_S2_IPA", Command::tlbi_s2_ipa(VMID, ipa, false)),
            ("CMD_TLBI_S12_VMALL", Command::tlbi_s12_vmall(VMID)),
            ("CMD_TLBI_NSNH_ALL, at stage 2,", Command::tlbi_nsnh_all()),
        ],
    )?;
    range(bench, &page, "CMD_TLBI_S2_IPA of a range", Command::tlbi_s2_ipa(VMID, ipa, true))?;
    let next = ipa + stage2.tables.granule.bytes();
    untouched(bench, &page, "CMD_TLBI_S2_IPA of another page", Command::tlbi_s2_ipa(VMID, next, true))?;
    untouched(bench, &page, "CMD_TLBI_S12_VMALL of another VMID", Command::tlbi_s12_vmall(2))
}

/// A page that stage 1 leaves where it is and stage 2 moves.
fn both<H: Hw>(bench: &mut Bench<'_, H>, stage2: &Stage2) -> Result<(), Error> {
    let space: Space = linked_space(bench, ASID, LINK)?;
    let cd = bench.cd(space, bench.terminates());
    let contexts = bench.contexts(ContextFormat::Single, 0, LINK, &[(0, cd)])?;
    attach(bench, Ste::nested(&contexts, Plain::Terminate, stage2), space.tables.granule)?;

    // A change of stage 1 under an unchanged stage 2.
    let page = Page { tables: space.tables, attributes: STAGE1, link: LINK };
    let va = page.probe(bench);
    each(
        bench,
        &page,
        &[
            ("CMD_TLBI_NH_VA, with both stages,", Command::tlbi_nh_va(VMID, ASID, va, true)),
            ("CMD_TLBI_NH_ALL, with both stages,", Command::tlbi_nh_all(VMID)),
            ("CMD_TLBI_S12_VMALL, with both stages,", Command::tlbi_s12_vmall(VMID)),
        ],
    )?;

    // A change of stage 2 under an unchanged stage 1.
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    let ipa = within(MOVED, a, space.tables.granule.bits());
    bench.map(&space.tables, (va, ipa), STAGE1)?;
    let rows: [(&str, &[Command]); 2] = [
        (
            "CMD_TLBI_S2_IPA and CMD_TLBI_NH_ALL",
            &[Command::tlbi_s2_ipa(VMID, ipa, true), Command::tlbi_nh_all(VMID)],
        ),
        ("CMD_TLBI_S12_VMALL, for a change of stage 2,", &[Command::tlbi_s12_vmall(VMID)]),
    ];
    let dma = Dma::new(READ, va);
    for (what, commands) in rows {
        bench.map(&stage2.tables, (ipa, a), STAGE2)?;
        bench.flush()?;
        bench.which(va, [OLD])?;
        bench.map(&stage2.tables, (ipa, b), STAGE2)?;
        stale(bench, dma, "a change of stage 2")?;
        bench.submit(commands)?;
        fresh(bench, dma, what);
    }
    bench.set_entry(&stage2.tables, ipa, LAST, 0)?;
    Ok(())
}
