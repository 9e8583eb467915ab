//! DMA through stage 2 alone, and two functions behind one unit.

use super::bench::{Bench, RING_IOVA};
use super::events::{C_BAD_STE, Expected};
use super::stage1::{attach, leaves, within};
use crate::error::Error;
use crate::exerciser::{Dma, Exerciser, Op, Status};
use crate::hw::Hw;
use crate::smmuv3::Ste;
use crate::smmuv3::tables::STAGE2;

const SHARED: u64 = 0x19_0000_0000;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.has_stage2("stage 2") {
        return Ok(());
    }
    for granule in bench.granules() {
        let stage2 = bench.stage2_of(1, granule)?;
        attach(bench, Ste::stage2(&stage2), granule)?;
        leaves(bench, &stage2.tables, STAGE2, "stage 2")?;
    }
    let Some(mut second) = bench.parts.second.take() else {
        bench.skip("two functions", "the exerciser has one function: give it functions=2");
        return Ok(());
    };
    let result = two_functions(bench, &mut second);
    bench.parts.second = Some(second);
    result
}

/// Two streams with two VMIDs and the same addresses.
fn two_functions<H: Hw>(bench: &mut Bench<'_, H>, second: &mut Exerciser) -> Result<(), Error> {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    let stream = u32::from(second.source());
    let (first_vm, second_vm) = (bench.stage2(1)?, bench.stage2(2)?);
    let page = |pa| within(SHARED, pa, first_vm.tables.granule.bits());
    bench.map(&first_vm.tables, (page(a), a), STAGE2)?;
    bench.map(&second_vm.tables, (page(a), b), STAGE2)?;
    let ring = within(RING_IOVA, second.ring(), first_vm.tables.granule.bits());
    bench.map(&second_vm.tables, (ring, second.ring()), STAGE2)?;
    attach(bench, Ste::stage2(&first_vm), first_vm.tables.granule)?;
    bench.set_ste(stream, Ste::stage2(&second_vm))?;
    second.start(bench.hw, ring);

    bench.poison(b);
    let first_writes = bench.writes(page(a), a, 0xa1);
    bench.check(first_writes, format_args!("the first function's write lands in its own memory"));
    let untouched = bench.is_poisoned(b);
    bench.check(Ok(untouched), format_args!("and not in the other's, at the same address"));

    let swap = Dma { wide: true, ..Dma::new(Op::Swap(0xa2), page(a)) };
    let swapped = second.run(bench.hw, &swap).map(|completion| completion.status == Status::Done);
    let landed = bench.hw.mem_read64(b) == 0xa2;
    bench.check(swapped.map(|done| done && landed), format_args!("the second function's lands in its own"));

    bench.set_ste(stream, Ste::INVALID)?;
    bench.drop_events();
    let refused = second.run(bench.hw, &Dma::new(Op::Nop, 0)) == Err(Error::RingFault);
    let recorded = bench.is_recorded(stream, Expected::new(C_BAD_STE)).is_some();
    let what = "an event of the second function carries its own StreamID";
    bench.check(Ok(refused && recorded), format_args!("{what}"));
    let read = bench.reads(page(a), a, 0xa3);
    bench.check(read, format_args!("the first function goes on meanwhile"));
    Ok(())
}
