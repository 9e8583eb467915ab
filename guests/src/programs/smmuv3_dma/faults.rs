//! Events of translation tables, one stage at a time [SMMUv3 7.3.13 to 7.3.17].

use super::bench::{Bench, NOT_RAM, READ, VA_BITS, WRITE};
use super::events::{Class, Expected, F_ACCESS, F_ADDR_SIZE, F_PERMISSION, F_TRANSLATION, F_WALK_EABT};
use super::stage1::attach;
use crate::error::Error;
use crate::exerciser::{Dma, Op, Status};
use crate::hw::Hw;
use crate::smmuv3::ste::Plain;
use crate::smmuv3::tables::{
    AF, LAST, READ_ONLY, S2_NORMAL, S2_READ, S2_WRITE, STAGE1, STAGE2, UNPRIVILEGED, UXN,
};
use crate::smmuv3::{Cd, OnFault, Stage2, Ste, Tables};

/// Pages apart from all others, a gigabyte each.
const UNMAPPED: u64 = 0x20_0000_0000;
const PAGE_READ_ONLY: u64 = 0x21_0000_0000;
const PAGE_WRITE_ONLY: u64 = 0x22_0000_0000;
const PRIVILEGED: u64 = 0x23_0000_0000;
const NO_ACCESS: u64 = 0x24_0000_0000;
const TOO_FAR: u64 = 0x25_0000_0000;
const TABLE_TOO_FAR: u64 = 0x26_0000_0000;
const TABLE_ABORTS: u64 = 0x27_0000_0000;
const NOT_A_PAGE: u64 = 0x28_0000_0000;
const NO_TABLE: u64 = 0x29_0000_0000;
const NEVER_EXECUTED: u64 = 0x2a_0000_0000;
/// Beyond 32 bits of output, within every other size.
const FAR: u64 = 1 << 33;
/// STE.PRIVCFG: privileged. STE.INSTCFG: instruction.
const PRIVCFG: u64 = 0b11 << 48;
const INSTCFG: u64 = 0b11 << 50;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if bench.has_stage1("faults of stage 1") {
        stage1(bench)?;
        models(bench)?;
        overrides(bench)?;
    }
    if bench.has_stage2("faults of stage 2") {
        stage2(bench)?;
    }
    Ok(())
}

/// Entries that both stages refuse for the same reasons.
fn broken<H: Hw>(bench: &mut Bench<'_, H>, tables: &Tables, leaf: u64) -> Result<(), Error> {
    let a = bench.parts.page_a;
    bench.map(tables, (NO_ACCESS, a), leaf & !AF)?;
    bench.map(tables, (TOO_FAR, FAR), leaf)?;
    bench.set_entry(tables, TABLE_TOO_FAR, LAST - 1, FAR | 3)?;
    bench.set_entry(tables, TABLE_ABORTS, LAST - 1, NOT_RAM | 3)?;
    // Bit 1 of the last level is no choice.
    bench.set_entry(tables, NOT_A_PAGE, LAST, (a & !(tables.granule.bytes() - 1)) | leaf | 1)?;
    bench.set_entry(tables, NO_TABLE, LAST - 1, 0)?;
    Ok(())
}

fn stage1<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let a = bench.parts.page_a;
    let space = bench.space(1)?;
    let tables = space.tables;
    broken(bench, &tables, STAGE1)?;
    bench.map(&tables, (PAGE_READ_ONLY, a), STAGE1 | READ_ONLY)?;
    bench.map(&tables, (PRIVILEGED, a), STAGE1 & !UNPRIVILEGED)?;
    // IPS 32 bits.
    let cd = Cd::new(&tables, space.asid, 0, bench.terminates());
    let ste = Ste::stage1(&bench.single(cd)?, Plain::Terminate);
    attach(bench, ste, tables.granule)?;

    let add = Op::FetchAdd(1);
    let beyond = 1 << VA_BITS | 0x5000;
    let rows = [
        ("read of a page that is not mapped", READ, UNMAPPED, F_TRANSLATION),
        ("write to a page that is not mapped", WRITE, UNMAPPED, F_TRANSLATION),
        ("zero-length read of a page that is not mapped", Op::ZeroLengthRead, UNMAPPED, F_TRANSLATION),
        ("no table on the way", READ, NO_TABLE, F_TRANSLATION),
        ("a block at the last level", READ, NOT_A_PAGE, F_TRANSLATION),
        ("an address beyond T0SZ", READ, beyond, F_TRANSLATION),
        ("an address of the upper half, which is disabled", WRITE, !0xfff, F_TRANSLATION),
        ("a page beyond IPS", READ, TOO_FAR, F_ADDR_SIZE),
        ("a table beyond IPS", WRITE, TABLE_TOO_FAR, F_ADDR_SIZE),
        ("a page without AF", READ, NO_ACCESS, F_ACCESS),
        ("write to a read-only page", WRITE, PAGE_READ_ONLY, F_PERMISSION),
        ("read of a privileged page", READ, PRIVILEGED, F_PERMISSION),
        ("write to a privileged page", WRITE, PRIVILEGED, F_PERMISSION),
        ("atomic on a read-only page", add, PAGE_READ_ONLY, F_PERMISSION),
    ];
    for (what, op, iova, kind) in rows {
        bench.faults(what, &Dma::new(op, iova), Expected::new(kind).access(op, iova).by_stage1());
    }
    let expected = Expected::new(F_WALK_EABT).read(TABLE_ABORTS).aborted_stage1(NOT_RAM);
    bench.faults("a table where nothing answers", &Dma::new(READ, TABLE_ABORTS), expected);
    let kept = bench.reads(PAGE_READ_ONLY | a & (tables.granule.bytes() - 1), a, 0x81);
    bench.check(kept, format_args!("what may be read is read"));

    // The first level itself.
    let ring = bench.parts.device.ring_iova();
    let cd = Cd::new(&Tables { root: NOT_RAM, ..tables }, space.asid, 0, bench.terminates());
    let ste = Ste::stage1(&bench.single(cd)?, Plain::Terminate);
    bench.set_ste(bench.stream(), ste)?;
    let fetch = NOT_RAM + (ring >> tables.granule.shift(tables.start)) * 8;
    bench.fetch_faults(
        "a first level where nothing answers",
        Expected::new(F_WALK_EABT).read(ring).aborted_stage1(fetch),
    );
    Ok(())
}

/// What CD.A, R and S make of a fault.
fn models<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (stall_model, term_model) = {
        let idr0 = bench.parts.smmu.unit.idr0;
        (idr0.stall_model(), idr0.term_model())
    };
    if !bench.needs(stall_model != 2, "ways to end a fault", "IDR0.STALL_MODEL is 2") {
        return Ok(());
    }
    let space = bench.space(1)?;
    let read = Dma::new(READ, UNMAPPED);
    let expected = Expected::new(F_TRANSLATION).read(UNMAPPED).by_stage1();
    let quiet = OnFault { record: false, ..OnFault::TERMINATE };
    with_model(bench, space, quiet)?;
    bench.is_refused_silently("an abort that CD.R does not have recorded", &read);
    if stall_model == 0 {
        with_model(bench, space, OnFault::STALL)?;
        bench.faults("a PCI function cannot be held, whatever CD.S says", &read, expected);
    }
    if !bench.needs(term_model == 0, "reads of zeros", "IDR0.TERM_MODEL is 1") {
        return Ok(());
    }
    for record in [true, false] {
        with_model(bench, space, OnFault { abort: false, record, stall: false })?;
        bench.drop_events();
        bench.poison_buffer();
        let status = bench.dma(&read).map(|completion| completion.status == Status::ReadAsZero);
        let zero = bench.buffer_is_zero();
        let told =
            if record { bench.is_recorded(bench.stream(), expected).is_some() } else { bench.is_silent() };
        let how = if record { "recorded" } else { "not recorded" };
        bench.check(
            status.map(|status| status && zero && told),
            format_args!("with CD.A clear a refused read gives zeros, {how}"),
        );
        let status = bench.dma(&Dma::new(WRITE, UNMAPPED)).map(|done| done.status != Status::Ur);
        bench.drop_events();
        bench.check(status, format_args!("and a refused write is lost without a word to the device"));
    }
    Ok(())
}

fn with_model<H: Hw>(
    bench: &mut Bench<'_, H>,
    space: super::bench::Space,
    on_fault: OnFault,
) -> Result<(), Error> {
    let cd = bench.cd(space, on_fault);
    let ste = Ste::stage1(&bench.single(cd)?, Plain::Terminate);
    attach(bench, ste, space.tables.granule)
}

/// What an STE makes of a transaction's privilege and kind.
fn overrides<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let offered = bench.parts.smmu.unit.idr1.attr_perms_ovr() == 1;
    if !bench.needs(offered, "PRIVCFG and INSTCFG", "IDR1.ATTR_PERMS_OVR is 0") {
        return Ok(());
    }
    let a = bench.parts.page_a;
    let space = bench.space(1)?;
    let page = a & (space.tables.granule.bytes() - 1);
    bench.map(&space.tables, (PRIVILEGED, a), STAGE1 & !UNPRIVILEGED)?;
    bench.map(&space.tables, (NEVER_EXECUTED, a), STAGE1 | UXN)?;
    let Ste(words) = bench.stage1_ste(space)?;
    let with = |bits: u64| {
        let mut words = words;
        words[1] |= bits;
        Ste(words)
    };
    attach(bench, with(PRIVCFG), space.tables.granule)?;
    let read = bench.reads(PRIVILEGED | page, a, 0x82);
    bench.check(read, format_args!("with PRIVCFG = privileged the device reads a privileged page"));
    let expected = Expected::new(F_TRANSLATION).read(UNMAPPED).by_stage1().privileged();
    bench.faults("it is recorded as privileged", &Dma::new(READ, UNMAPPED), expected);
    attach(bench, with(INSTCFG), space.tables.granule)?;
    let expected = Expected::new(F_PERMISSION).read(NEVER_EXECUTED).by_stage1().instruction();
    bench.faults(
        "with INSTCFG = instruction, a read of a page that is never executed",
        &Dma::new(READ, NEVER_EXECUTED),
        expected,
    );
    let written = bench.writes(NEVER_EXECUTED | page, a, 0x83);
    bench.check(written, format_args!("writes stay what they are"));
    Ok(())
}

fn stage2<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let a = bench.parts.page_a;
    // S2PS 32 bits.
    let stage2 = Stage2 { ps: 0, ..bench.stage2(1)? };
    let tables = stage2.tables;
    broken(bench, &tables, STAGE2)?;
    bench.map(&tables, (PAGE_READ_ONLY, a), S2_NORMAL | S2_READ)?;
    bench.map(&tables, (PAGE_WRITE_ONLY, a), S2_NORMAL | S2_WRITE)?;
    attach(bench, Ste::stage2(&stage2), tables.granule)?;

    let add = Op::FetchAdd(1);
    let beyond = 1 << tables.bits | 0x5000;
    let rows = [
        ("stage 2: read of a page that is not mapped", READ, UNMAPPED, F_TRANSLATION),
        ("stage 2: write to a page that is not mapped", WRITE, UNMAPPED, F_TRANSLATION),
        ("stage 2: no table on the way", READ, NO_TABLE, F_TRANSLATION),
        ("stage 2: a block at the last level", READ, NOT_A_PAGE, F_TRANSLATION),
        ("stage 2: an address beyond S2T0SZ", READ, beyond, F_TRANSLATION),
        ("stage 2: a page beyond S2PS", READ, TOO_FAR, F_ADDR_SIZE),
        ("stage 2: a table beyond S2PS", WRITE, TABLE_TOO_FAR, F_ADDR_SIZE),
        ("stage 2: a page without AF", READ, NO_ACCESS, F_ACCESS),
        ("stage 2: write to a read-only page", WRITE, PAGE_READ_ONLY, F_PERMISSION),
        ("stage 2: read of a write-only page", READ, PAGE_WRITE_ONLY, F_PERMISSION),
        ("stage 2: atomic on a read-only page", add, PAGE_READ_ONLY, F_PERMISSION),
    ];
    for (what, op, iova, kind) in rows {
        if iova == beyond && tables.bits == bench.parts.smmu.unit.idr5.output_bits() {
            // Such an address is too wide for the unit already; see below.
            continue;
        }
        bench.faults(
            what,
            &Dma::new(op, iova),
            Expected::new(kind).access(op, iova).by_stage2(Class::In, iova),
        );
    }
    let expected = Expected::new(F_WALK_EABT).read(TABLE_ABORTS).aborted_stage2(Class::In, NOT_RAM);
    bench.faults("stage 2: a table where nothing answers", &Dma::new(READ, TABLE_ABORTS), expected);
    let wide = 1 << bench.parts.smmu.unit.idr5.output_bits() | 0x5000;
    let expected = Expected::new(F_ADDR_SIZE).write(wide).by_stage1();
    bench.faults("an address beyond what stage 2 takes at all", &Dma::new(WRITE, wide), expected);
    let expected = Expected::new(super::events::C_BAD_SUBSTREAMID).bad_substream(5);
    let dma = Dma { pasid: Some(5), ..Dma::new(READ, PAGE_READ_ONLY) };
    bench.faults("a PASID without stage 1", &dma, expected);

    if bench.parts.smmu.unit.idr0.stall_model() != 2 {
        attach(bench, Ste::stage2(&Stage2 { record: false, ..stage2 }), tables.granule)?;
        bench.is_refused_silently("a fault that STE.S2R does not have recorded", &Dma::new(READ, UNMAPPED));
    }
    Ok(())
}
