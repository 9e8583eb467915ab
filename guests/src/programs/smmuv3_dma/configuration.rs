//! Events of stream table entries and context descriptors: the device meets them as soon as it fetches
//! its descriptor [SMMUv3 5.2.2, 5.4.2, 7.3].

use super::bench::{Bench, NOT_RAM, READ};
use super::events::{
    C_BAD_CD, C_BAD_STE, C_BAD_STREAMID, C_BAD_SUBSTREAMID, Expected, F_CD_FETCH, F_STE_FETCH,
};
use crate::error::Error;
use crate::exerciser::{Dma, Op};
use crate::hw::Hw;
use crate::smmuv3::regs::{CMDQEN, CR2, EVENTQEN, PTM, RECINVSID, SMMUEN};
use crate::smmuv3::ste::Plain;
use crate::smmuv3::{Cd, ContextFormat, Ste};

/// One bit or field of an entry: the word, what is cleared, what is set.
type Change = (usize, u64, u64);

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    stream_tables(bench)?;
    bench.go_home()?;
    substream_without_stage1(bench)?;
    stage1_entries(bench)?;
    stage2_entries(bench)?;
    contexts(bench)
}

fn stream_tables<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (stream, table, unit) = (bench.stream(), bench.parts.smmu.streams, bench.parts.smmu.unit);
    let Some(at) = table.l1_at(stream) else {
        bench.skip("events of the first level of a stream table", "IDR0.ST_LEVEL is 0");
        return Ok(());
    };
    let good = bench.hw.mem_read64(at);
    let in_table = u64::from(stream & 0xff) * 64;
    let bad = Expected::new(C_BAD_STREAMID);
    let rows = [
        ("a descriptor without a table", 0, bad),
        ("a descriptor with the reserved Span 12", NOT_RAM | 12, bad),
        ("a descriptor with a Span above the split", NOT_RAM | 10, bad),
        (
            "a table where nothing answers",
            NOT_RAM | 9,
            Expected::new(F_STE_FETCH).fetched(NOT_RAM + in_table),
        ),
    ];
    for (what, word, expected) in rows {
        bench.hw.mem_write64(at, word);
        bench.flush()?;
        bench.fetch_faults(what, expected);
    }
    // The rest is written while translation is off.
    let queues = CMDQEN | EVENTQEN;
    bench.hw.mem_write64(at, 0);
    unit.set_cr0(bench.hw, queues)?;
    unit.write32(bench.hw, CR2, PTM);
    unit.set_cr0(bench.hw, queues | SMMUEN)?;
    bench.flush()?;
    bench
        .is_refused_silently("a StreamID without entry, where CR2.RECINVSID is clear", &Dma::new(Op::Nop, 0));
    bench.hw.mem_write64(at, good);
    unit.set_cr0(bench.hw, queues)?;
    unit.write32(bench.hw, CR2, PTM | RECINVSID);
    let mut nowhere = table;
    nowhere.base = NOT_RAM;
    nowhere.install(bench.hw, &unit);
    unit.set_cr0(bench.hw, queues | SMMUEN)?;
    bench.flush()?;
    let expected = Expected::new(F_STE_FETCH).fetched(NOT_RAM + u64::from(stream >> 8) * 8);
    bench.fetch_faults("a first level where nothing answers", expected);
    unit.set_cr0(bench.hw, queues)?;
    table.install(bench.hw, &unit);
    unit.set_cr0(bench.hw, queues | SMMUEN)?;
    bench.flush()
}

fn substream_without_stage1<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let dma = Dma { pasid: Some(5), ..Dma::new(READ, bench.parts.page_a) };
    let expected = Expected::new(C_BAD_SUBSTREAMID).bad_substream(5);
    bench.faults("a PASID in bypass", &dma, expected);
    Ok(())
}

/// Checks that an STE with something changed is refused.
fn bad_ste<H: Hw>(
    bench: &mut Bench<'_, H>,
    Ste(mut words): Ste,
    rows: &[(&str, Change, bool)],
) -> Result<(), Error> {
    let good = words;
    for (what, (word, clear, set), applies) in rows {
        if !applies {
            continue;
        }
        words = good;
        words[*word] = words[*word] & !clear | set;
        bench.set_ste(bench.stream(), Ste(words))?;
        bench.fetch_faults(what, Expected::new(C_BAD_STE));
    }
    Ok(())
}

fn stage1_entries<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.has_stage1("STEs of stage 1") {
        return Ok(());
    }
    let unit = bench.parts.smmu.unit;
    let (idr0, idr1) = (unit.idr0, unit.idr1);
    let space = bench.space(1)?;
    let ste = bench.stage1_ste(space)?;
    let rows = [
        ("an STE that is not valid", (0, 1, 0), true),
        ("STE.S1CDMax above SSIDSIZE", (0, 0x1f << 59, 0x1f << 59), idr1.ssidsize() != 0),
        (
            "STE.S1Fmt of two levels without CD2L",
            (0, 0x1f << 59, 1 << 59 | 1 << 4),
            idr0.cd2l() == 0 && idr1.ssidsize() != 0,
        ),
        ("STE.STRW = 01", (1, 0, 0b01 << 30), idr0.hyp() == 1),
        ("STE.STRW = 11", (1, 0, 0b11 << 30), idr0.hyp() == 1),
        ("STE.S1STALLD where stalls cannot be switched off", (1, 0, 1 << 27), idr0.stall_model() != 0),
        ("STE.Config of both stages without stage 2", (0, 0b111 << 1, 0b111 << 1), idr0.s2p() == 0),
    ];
    bad_ste(bench, ste, &rows)?;

    let Ste([word, rest @ ..]) = ste;
    let [w1, w2, w3, w4, w5, w6, w7] = rest;
    let garbage = Ste([word & !0b1110, !0, !0, !0, w4, w5, w6, w7]);
    bench.set_ste(bench.stream(), garbage)?;
    bench.is_refused_silently("an STE that says abort, whatever its other fields say", &Dma::new(Op::Nop, 0));
    let nowhere = Ste([word & !0x00ff_ffff_ffff_ffc0 | NOT_RAM, w1, w2, w3, w4, w5, w6, w7]);
    bench.set_ste(bench.stream(), nowhere)?;
    bench.fetch_faults("a CD where nothing answers", Expected::new(F_CD_FETCH).fetched(NOT_RAM));
    Ok(())
}

fn stage2_entries<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.has_stage2("STEs of stage 2") {
        return Ok(());
    }
    let idr0 = bench.parts.smmu.unit.idr0;
    let ste = Ste::stage2(&bench.stage2(1)?);
    let rows = [
        ("STE.S2TG = 11", (2, 0, 0b11 << 46), true),
        ("STE.S2T0SZ = 63", (2, 0x3f << 32, 0x3f << 32), true),
        ("STE.S2T0SZ = 0", (2, 0x3f << 32, 0), true),
        ("STE.S2SL0 = 00, which is too deep for S2T0SZ", (2, 0b11 << 38, 0), true),
        ("STE.S2AA64 = 0 without VMSAv8-32", (2, 1 << 51, 0), idr0.ttf() & 1 == 0),
        ("STE.S2HA without HTTU", (2, 0, 1 << 56), idr0.httu() == 0),
        ("STE.S2HD without HTTU", (2, 0, 1 << 55), idr0.httu() < 2),
        ("STE.S2S without stalls", (2, 0, 1 << 57), idr0.stall_model() == 1),
        ("STE.S2ENDI without big-endian tables", (2, 0, 1 << 52), idr0.ttendian() == 2),
        ("STE.S2TTB beyond S2PS", (3, 0, 1 << 36), true),
        ("STE.S2VMID of 16 bits without VMID16", (2, 0, 1 << 15), idr0.vmid16() == 0),
        ("STE.Config of both stages without stage 1", (0, 0b111 << 1, 0b111 << 1), idr0.s1p() == 0),
    ];
    // S2PS is 32 bits for the row of S2TTB, which changes nothing for the others.
    let Ste(mut words) = ste;
    words[2] &= !(0b111 << 48);
    bad_ste(bench, Ste(words), &rows)
}

fn contexts<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.has_stage1("CDs") {
        return Ok(());
    }
    let idr0 = bench.parts.smmu.unit.idr0;
    let space = bench.space(1)?;
    let Cd(good) = bench.cd(space, bench.terminates());
    let rows: [(&str, Change, bool); 13] = [
        ("a CD that is not valid", (0, 1 << 31, 0), true),
        ("CD.AA64 = 0 without VMSAv8-32", (0, 1 << 41, 0), idr0.ttf() & 1 == 0),
        ("CD.TG0 = 11", (0, 0, 0b11 << 6), true),
        ("CD.T0SZ = 63", (0, 0x3f, 0x3f), true),
        ("CD.T0SZ = 0", (0, 0x3f, 0), true),
        ("CD.TTB0 beyond IPS", (1, 0, 1 << 36), true),
        ("CD.TG1 = 00 with EPD1 clear", (0, 1 << 30, 25 << 16), true),
        ("CD.T1SZ = 0 with EPD1 clear", (0, 1 << 30, 0b10 << 22), true),
        ("CD.HA without HTTU", (0, 0, 1 << 43), idr0.httu() == 0),
        ("CD.HD without HTTU", (0, 0, 1 << 42), idr0.httu() < 2),
        ("CD.S without stalls", (0, 0, 1 << 44), idr0.stall_model() == 1),
        ("CD.A = 0 where everything terminates by abort", (0, 1 << 46, 0), idr0.term_model() == 1),
        ("CD.ENDI without big-endian tables", (0, 0, 1 << 15), idr0.ttendian() == 2),
    ];
    for (what, (word, clear, set), applies) in rows {
        if !applies {
            continue;
        }
        let mut words = good;
        // IPS is 32 bits, for the row of TTB0.
        words[0] &= !(0b111 << 32);
        words[word] = words[word] & !clear | set;
        let table = bench.single(Cd(words))?;
        bench.set_ste(bench.stream(), Ste::stage1(&table, Plain::Terminate))?;
        bench.fetch_faults(what, Expected::new(C_BAD_CD));
    }
    context_tables(bench)
}

/// The two levels of a CD table where nothing answers.
fn context_tables<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    let offered = unit.idr0.cd2l() == 1 && unit.idr1.ssidsize() >= 8;
    if !bench.needs(offered, "CD tables of two levels", "IDR0.CD2L or IDR1.SSIDSIZE does not offer them") {
        return Ok(());
    }
    let mut table = bench.contexts(ContextFormat::TwoLevel4K, 8, 0, &[])?;
    let expected = Expected::new(F_CD_FETCH).fetched(NOT_RAM);
    bench.hw.mem_write64(table.base, NOT_RAM | 1);
    bench.set_ste(bench.stream(), Ste::stage1(&table, Plain::First))?;
    bench.fetch_faults("a second level of CDs where nothing answers", expected);
    table.base = NOT_RAM;
    bench.set_ste(bench.stream(), Ste::stage1(&table, Plain::First))?;
    bench.fetch_faults("a first level of CDs where nothing answers", expected);
    Ok(())
}
