//! More events than there are records [SMMUv3 7.4].

use super::bench::{Bench, READ};
use super::events::{Expected, F_ADDR_SIZE};
use crate::arena::PAGE;
use crate::error::Error;
use crate::exerciser::Dma;
use crate::hw::Hw;
use crate::smmuv3::event;
use crate::smmuv3::regs::{CMDQEN, EVENTQEN, SMMUEN};

/// Log2 of the records of a queue that fills soon.
const SMALL: u32 = 2;
const COUNT: u64 = 1 << SMALL;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    install(bench, SMALL)?;
    let result = overflow(bench);
    install(bench, event::LOG2)?;
    result
}

/// Gives the unit an empty queue of 2^`log2` records.
fn install<H: Hw>(bench: &mut Bench<'_, H>, log2: u32) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    unit.set_cr0(bench.hw, CMDQEN | SMMUEN)?;
    bench.parts.smmu.events.install(bench.hw, &unit, log2);
    unit.set_cr0(bench.hw, CMDQEN | EVENTQEN | SMMUEN)
}

/// No address from here on is one that the unit puts out.
fn first<H: Hw>(bench: &Bench<'_, H>) -> u64 {
    1 << bench.parts.smmu.unit.idr5.output_bits()
}

fn overflow<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    let first = first(bench);
    for number in 0..COUNT {
        provoke(bench, number)?;
    }
    let waiting = bench.parts.smmu.events.waiting(bench.hw, &unit);
    let overflowed = bench.parts.smmu.events.overflowed(bench.hw, &unit);
    let in_order = (0..COUNT).all(|number| {
        let record = bench.parts.smmu.events.record(bench.hw, number);
        record.0[2] == first + number * PAGE
    });
    bench.check(
        Ok(u64::from(waiting) == COUNT && in_order),
        format_args!("{COUNT} events fill {COUNT} records in their order"),
    );
    bench.check(Ok(!overflowed), format_args!("full is not overflowed: OVFLG is as it was"));

    provoke(bench, COUNT)?;
    let overflowed = bench.parts.smmu.events.overflowed(bench.hw, &unit);
    bench.check(Ok(overflowed), format_args!("one event more toggles OVFLG"));
    let kept = bench.parts.smmu.events.record(bench.hw, 0).0[2] == first;
    bench.check(Ok(kept), format_args!("the oldest record is not overwritten"));
    provoke(bench, COUNT)?;
    let overflowed = bench.parts.smmu.events.overflowed(bench.hw, &unit);
    bench.check(Ok(overflowed), format_args!("another one does not toggle it back"));

    while bench.take_event().is_some() {}
    let number = COUNT + 1;
    provoke(bench, number)?;
    let expected = Expected::new(F_ADDR_SIZE).read(first + number * PAGE).by_stage1();
    let recorded = bench.is_recorded(bench.stream(), expected).is_some();
    bench.check(Ok(recorded), format_args!("once there is room, events are recorded, acknowledged or not"));
    bench.parts.smmu.events.acknowledge_overflow(bench.hw, &unit);
    let overflowed = bench.parts.smmu.events.overflowed(bench.hw, &unit);
    bench.check(Ok(!overflowed), format_args!("OVACKFLG acknowledges the overflow"));
    for number in 0..=COUNT {
        provoke(bench, number)?;
    }
    let overflowed = bench.parts.smmu.events.overflowed(bench.hw, &unit);
    bench.check(Ok(overflowed), format_args!("then the next overflow shows again"));
    let errors = unit.errors(bench.hw);
    bench.check(Ok(errors == 0), format_args!("none of this is a global error"));
    Ok(())
}

/// A read in bypass, whose address is too wide.
fn provoke<H: Hw>(bench: &mut Bench<'_, H>, number: u64) -> Result<(), Error> {
    let address = first(bench) + number * PAGE;
    bench.dma(&Dma::new(READ, address))?;
    Ok(())
}
