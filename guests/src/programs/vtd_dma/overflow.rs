//! More faults than there are records [VT-d 7.2.1].

use super::bench::{BYTES, Bench};
use super::faults::{Expected, Kind};
use crate::arena::PAGE;
use crate::error::Error;
use crate::exerciser::{Dma, Op};
use crate::hw::Hw;
use crate::vtd::regs::{FSTS, PFO, PPF};

/// No page from here on is mapped.
const FIRST: u64 = 0x30_0000_0000;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.unit;
    let count = unit.cap.fault_records();
    unit.clear_faults(bench.hw);
    provoke(bench, 0)?;
    let Some((first, _)) = unit.pending_fault(bench.hw) else {
        bench.check(Ok(false), format_args!("a fault is recorded"));
        return Ok(());
    };
    for number in 1..count {
        provoke(bench, number)?;
        if number == 1 && unit.fault_record(bench.hw, (first + 1) % count).0[1] >> 63 == 0 {
            bench.skip("overflow", "the unit drops faults of a requester that has one pending");
            return Ok(());
        }
    }
    let recorded = (0..count).all(|number| {
        let low = unit.fault_record(bench.hw, (first + number) % count).0[0];
        low == FIRST + number * PAGE
    });
    bench.check(Ok(recorded), format_args!("{count} faults fill {count} records in their order"));
    let status = unit.read32(bench.hw, FSTS);
    bench.check(Ok(status & PFO == 0), format_args!("full is not overflowed: PFO is clear"));

    provoke(bench, count)?;
    let status = unit.read32(bench.hw, FSTS);
    bench.check(Ok(status & (PFO | PPF) == PFO | PPF), format_args!("one fault more sets PFO"));
    let kept = unit.fault_record(bench.hw, first).0[0];
    bench.check(Ok(kept == FIRST), format_args!("the oldest record is not overwritten"));

    for index in 0..count {
        unit.clear_fault(bench.hw, index);
    }
    let status = unit.read32(bench.hw, FSTS);
    bench.check(Ok(status & (PFO | PPF) == PFO), format_args!("PFO outlives the records"));
    provoke(bench, count + 1)?;
    let dropped = unit.pending_fault(bench.hw).is_none();
    bench.check(Ok(dropped), format_args!("while PFO is set nothing is recorded"));

    unit.write32(bench.hw, FSTS, PFO);
    let status = unit.read32(bench.hw, FSTS);
    bench.check(Ok(status & PFO == 0), format_args!("writing 1 clears PFO"));
    let iova = FIRST + (count + 2) * PAGE;
    provoke(bench, count + 2)?;
    let expected = Expected::new(0x06, Kind::Read, iova);
    let taken = bench.take_fault(bench.parts.device.source(), expected);
    bench.check(Ok(taken), format_args!("then faults are recorded again"));
    Ok(())
}

fn provoke<H: Hw>(bench: &mut Bench<'_, H>, number: u64) -> Result<(), Error> {
    bench.dma(&Dma::new(Op::Read { len: BYTES, buffer: 0 }, FIRST + number * PAGE))?;
    Ok(())
}
