//! Commands that are refused: why, where the queue stands, and how it goes on [SMMUv3 7.1].

use super::bench::{Bench, NOT_RAM};
use crate::error::Error;
use crate::exerciser::{Dma, Op};
use crate::hw::{Hw, poll};
use crate::smmuv3::command::Pages;
use crate::smmuv3::regs::{
    ALLOCATE, CMDQ_BASE, CMDQ_CONS, CMDQ_ERR, CMDQ_PROD, CMDQEN, EVENTQ_ABT_ERR, EVENTQ_BASE, EVENTQ_CONS,
    EVENTQ_PROD, EVENTQEN, MSI_CMDQ_ABT_ERR, SMMUEN,
};
use crate::smmuv3::{Command, Signal, Ste, event};

/// CMDQ_CONS.ERR.
const CERROR_ILL: u32 = 1;
const CERROR_ABT: u32 = 2;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    illegal(bench)?;
    outside_memory(bench)?;
    messages(bench)?;
    event_queue_outside_memory(bench)
}

impl<H: Hw> Bench<'_, H> {
    /// The global errors that are active, once there are any; 0 if none comes.
    fn errors_soon(&mut self) -> u32 {
        let unit = self.parts.smmu.unit;
        let active = |hw: &mut H| Some(unit.errors(hw)).filter(|errors| *errors != 0);
        poll(self.hw, active).unwrap_or(0)
    }
}

fn illegal<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    let (idr0, ril) = (unit.idr0, unit.idr3.ril() == 1);
    let stream = bench.stream();
    let nothing = Pages { granule: bench.granule()?, num: 0, scale: 0 };
    let by_address = if idr0.s1p() == 1 {
        Command::tlbi_nh_va(0, 1, 0x1000, true)
    } else {
        Command::tlbi_s2_ipa(0, 0x1000, true)
    };
    let rows = [
        ("an opcode that nobody knows", Command::UNKNOWN, true),
        ("a CMD_SYNC with the reserved CS", Command::ILLEGAL_SYNC, true),
        ("a command for the Secure state", Command([0x04 | 1 << 10, 31]), true),
        ("CMD_TLBI_EL3_ALL", Command([0x18, 0]), true),
        ("CMD_TLBI_EL2_ALL without EL2", Command::tlbi_el2_all(), idr0.hyp() == 0),
        ("CMD_CFGI_CD without stage 1", Command::cfgi_cd(stream, 0, true), idr0.s1p() == 0),
        ("CMD_TLBI_S12_VMALL without stage 2", Command::tlbi_s12_vmall(1), idr0.s2p() == 0),
        ("CMD_ATC_INV without ATS", Command([0x40, 52]), idr0.ats() == 0),
        ("CMD_PRI_RESP without page requests", Command([0x41, 0]), idr0.pri() == 0),
        ("CMD_RESUME without stalls", Command::retry(stream, 0), idr0.stall_model() == 1),
        ("a range of one page at any level", by_address.range(nothing, 0), ril),
    ];
    for (what, command, applies) in rows {
        if applies {
            refused(bench, what, command)?;
        }
    }
    Ok(())
}

/// A command in the middle of others: the queue stands at it until software has dealt with it.
fn refused<H: Hw>(bench: &mut Bench<'_, H>, what: &str, command: Command) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    let witness = bench.parts.page_a;
    bench.hw.mem_write64(witness, 0);
    let commands = &mut bench.parts.smmu.commands;
    // Bit 8 is the wrap bit of 256 commands.
    let at = (commands.prod() + 1) & 0x1ff;
    let after = match unit.idr0.msi() {
        1 => Command::sync(Signal::Message { address: witness, data: 1 }),
        _ => Command::sync(Signal::None),
    };
    commands.post(bench.hw, &unit, &[Command::tlbi_nsnh_all(), command, after]);
    let errors = bench.errors_soon();
    let cons = unit.read32(bench.hw, CMDQ_CONS);
    let untouched = bench.hw.mem_read64(witness) == 0;
    let held = cons & 0x7f0f_ffff == CERROR_ILL << 24 | at && errors == CMDQ_ERR && untouched;
    bench.check(Ok(held), format_args!("CERROR_ILL: {what}"));
    if !held {
        bench.note(format_args!("  CMDQ_CONS {cons:#010x}, active errors {errors:#x}"));
    }
    bench.parts.smmu.commands.replace_current(bench.hw, &unit);
    unit.acknowledge_errors(bench.hw);
    let done = bench.parts.smmu.commands.wait(bench.hw, &unit);
    let went_on = unit.idr0.msi() == 0 || bench.hw.mem_read64(witness) == 1;
    bench.check(done.map(|()| went_on), format_args!("replaced and acknowledged, the queue goes on"));
    Ok(())
}

/// A queue where nothing answers.
fn outside_memory<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    unit.set_cr0(bench.hw, EVENTQEN | SMMUEN)?;
    unit.write64(bench.hw, CMDQ_BASE, ALLOCATE | NOT_RAM | 8);
    unit.write32(bench.hw, CMDQ_PROD, 0);
    unit.write32(bench.hw, CMDQ_CONS, 0);
    unit.set_cr0(bench.hw, CMDQEN | EVENTQEN | SMMUEN)?;
    unit.write32(bench.hw, CMDQ_PROD, 1);
    let (errors, cons) = (bench.errors_soon(), unit.read32(bench.hw, CMDQ_CONS));
    let held = cons & 0x7f0f_ffff == CERROR_ABT << 24 && errors == CMDQ_ERR;
    bench.check(Ok(held), format_args!("CERROR_ABT: a command queue where nothing answers"));
    unit.set_cr0(bench.hw, EVENTQEN | SMMUEN)?;
    bench.parts.smmu.commands.install(bench.hw, &unit);
    unit.acknowledge_errors(bench.hw);
    unit.set_cr0(bench.hw, CMDQEN | EVENTQEN | SMMUEN)?;
    let done = bench.flush();
    bench.check(done.map(|()| true), format_args!("moved back to memory, it works"));
    Ok(())
}

/// A CMD_SYNC whose message nobody takes is complete all the same.
fn messages<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    if !bench.needs(unit.idr0.msi() == 1, "messages where nothing answers", "IDR0.MSI is 0") {
        return Ok(());
    }
    let signal = Signal::Message { address: NOT_RAM, data: 0 };
    let done = bench.submit(&[Command::sync(signal)]);
    let errors = unit.errors(bench.hw);
    bench.check(
        done.map(|()| errors == MSI_CMDQ_ABT_ERR),
        format_args!("a message of a CMD_SYNC that nobody takes is a global error"),
    );
    unit.acknowledge_errors(bench.hw);
    Ok(())
}

/// Records that cannot be written.
fn event_queue_outside_memory<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    unit.set_cr0(bench.hw, CMDQEN | SMMUEN)?;
    unit.write64(bench.hw, EVENTQ_BASE, ALLOCATE | NOT_RAM | 4);
    unit.write32(bench.hw, EVENTQ_PROD, 0);
    unit.write32(bench.hw, EVENTQ_CONS, 0);
    unit.set_cr0(bench.hw, CMDQEN | EVENTQEN | SMMUEN)?;
    bench.set_ste(bench.stream(), Ste::INVALID)?;
    let refused = bench.dma(&Dma::new(Op::Nop, 0)) == Err(Error::RingFault);
    let errors = bench.errors_soon();
    bench.check(
        Ok(refused && errors == EVENTQ_ABT_ERR),
        format_args!("an event queue where nothing answers is a global error"),
    );
    unit.set_cr0(bench.hw, CMDQEN | SMMUEN)?;
    bench.parts.smmu.events.install(bench.hw, &unit, event::LOG2);
    unit.acknowledge_errors(bench.hw);
    unit.set_cr0(bench.hw, CMDQEN | EVENTQEN | SMMUEN)
}
