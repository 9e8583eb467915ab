//! DMA to physical addresses: with the unit off, and by STE; and the switches.

use super::bench::{Bench, READ};
use super::events::{Expected, F_ADDR_SIZE, F_TRANSL_FORBIDDEN};
use crate::error::Error;
use crate::exerciser::{Dma, Op};
use crate::hw::Hw;
use crate::smmuv3::regs::{CMDQ_CONS, CMDQEN, CR0ACK, EVENTQEN, SMMUEN};
use crate::smmuv3::{Command, Signal, Ste, StreamTable};

pub fn off<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    both_ways(bench, "with the unit off");
    unit.set_bypass(bench.hw, false)?;
    let ring = bench.parts.device.run(bench.hw, &Dma::new(Op::Nop, 0));
    bench.check(
        Ok(ring == Err(Error::RingFault)),
        format_args!("with the unit off and GBPA.ABORT set a device reaches nothing"),
    );
    unit.set_bypass(bench.hw, true)?;
    bench.parts.device.restart(bench.hw);
    both_ways(bench, "with GBPA.ABORT clear again");
    Ok(())
}

pub fn turn_on<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    // By a linear table first, which every unit takes.
    let (stream, two_levels) = (bench.stream(), bench.parts.smmu.streams);
    let bits = 32 - stream.leading_zeros();
    let linear = StreamTable::linear(bench.hw, &mut bench.parts.arena, bits.max(6))?;
    bench.parts.smmu.streams = linear;
    bench.write_ste(stream, Ste::BYPASS)?;
    let up = bench.parts.smmu.bring_up(bench.hw);
    bench.check(up.map(|()| true), format_args!("the unit works through its queue and turns on"));
    bench.parts.on = up.is_ok();
    up?;
    both_ways(bench, "by a linear stream table");

    unit.set_cr0(bench.hw, CMDQEN | EVENTQEN)?;
    let ack = unit.read32(bench.hw, CR0ACK);
    bench.check(Ok(ack & SMMUEN == 0), format_args!("it turns off, with its queues on"));
    bench.parts.smmu.streams = two_levels;
    bench.write_ste(stream, Ste::BYPASS)?;
    bench.parts.smmu.bring_up(bench.hw)?;
    if bench.needs(two_levels.l1_at(stream).is_some(), "a stream table of two levels", "IDR0.ST_LEVEL is 0") {
        both_ways(bench, "by a stream table of two levels");
    }
    synchronise(bench);
    Ok(())
}

/// The two ways of waiting for commands.
fn synchronise<H: Hw>(bench: &mut Bench<'_, H>) {
    let unit = bench.parts.smmu.unit;
    let done = bench.submit(&[Command::tlbi_nsnh_all()]);
    bench.check(done.map(|()| true), format_args!("CMDQ_CONS passes a CMD_SYNC"));
    if !bench.needs(unit.idr0.msi() == 1, "a message of a CMD_SYNC", "IDR0.MSI is 0") {
        return;
    }
    let word = bench.parts.page_a;
    bench.hw.mem_write64(word, !0);
    let commands = &mut bench.parts.smmu.commands;
    commands.post(
        bench.hw,
        &unit,
        &[Command::sync(Signal::Message { address: word + 4, data: 0x1234_5678 })],
    );
    let done = commands.wait(bench.hw, &unit);
    let written = bench.hw.mem_read64(word);
    bench.check(
        done.map(|()| written == 0x1234_5678_ffff_ffff),
        format_args!("the message of a CMD_SYNC is a dword in memory"),
    );
    bench.parts.smmu.commands.by_message = true;
    let slot = bench.parts.smmu.commands.next_slot() + 16;
    let done = bench.submit(&[Command::tlbi_nsnh_all()]);
    let (low, cons) = (bench.hw.mem_read32(slot), unit.read32(bench.hw, CMDQ_CONS) & 0xf_ffff);
    let prod = bench.parts.smmu.commands.prod();
    bench.check(
        done.map(|()| low == 0 && cons == prod),
        format_args!("it may be the CMD_SYNC itself, in the queue, and comes with CMDQ_CONS"),
    );
}

pub fn by_stream<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    both_ways(bench, "in bypass");
    let beyond = 1 << bench.parts.smmu.unit.idr5.output_bits() | 0x1000;
    let expected = Expected::new(F_ADDR_SIZE).read(beyond).by_stage1();
    bench.faults("an address beyond the output size, in bypass", &Dma::new(READ, beyond), expected);
    let dma = Dma { translated: true, ..Dma::new(READ, bench.parts.page_a) };
    if bench.needs(bench.parts.smmu.unit.idr0.ats() == 0, "translated requests without ATS", "IDR0.ATS is 1")
    {
        let expected = Expected::new(F_TRANSL_FORBIDDEN).read(dma.address);
        bench.faults("a device says that its address is translated", &dma, expected);
    }
    bench.set_ste(bench.stream(), Ste::ABORT)?;
    bench.is_refused_silently("a stream whose STE says abort", &Dma::new(Op::Nop, 0));
    Ok(())
}

pub fn turn_off<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    bench.set_ste(bench.stream(), Ste::ABORT)?;
    let off = unit.set_cr0(bench.hw, 0);
    bench.check(off.map(|()| true), format_args!("the unit turns off"));
    bench.parts.on = false;
    bench.go_home()?;
    both_ways(bench, "with the unit off again");
    let errors = unit.errors(bench.hw);
    bench.check(Ok(errors == 0), format_args!("no global error is active on the way out"));
    Ok(())
}

pub fn both_ways<H: Hw>(bench: &mut Bench<'_, H>, when: &str) {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    let read = bench.reads(a, a, 0x51);
    bench.check(read, format_args!("{when} a device reads RAM at its physical address"));
    let written = bench.writes(b, b, 0x52);
    bench.check(written, format_args!("{when} a device writes RAM at its physical address"));
}
