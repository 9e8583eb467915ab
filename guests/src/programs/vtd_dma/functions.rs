//! Two functions of one device: two requester ids, two domains.

use super::bench::{BYTES, Bench, RING_IOVA};
use super::faults::{Expected, Kind};
use crate::error::Error;
use crate::exerciser::{Dma, Exerciser, Op, Status};
use crate::hw::Hw;
use crate::vtd::{Context, READ, Size, WRITE};

const SHARED: u64 = 0x19_0000_0000;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let Some(mut second) = bench.parts.second.take() else {
        bench.skip("two functions", "the exerciser has one function: give it functions=2");
        return Ok(());
    };
    let result = with(bench, &mut second);
    bench.parts.second = Some(second);
    result
}

fn with<H: Hw>(bench: &mut Bench<'_, H>, second: &mut Exerciser) -> Result<(), Error> {
    let (a, b, home) = (bench.parts.page_a, bench.parts.page_b, bench.parts.home);
    let other = bench.new_ring_domain(home.id + 1, home.stage.levels, second.ring())?;
    bench.map(home, (SHARED, a), Size::Page4K, READ | WRITE)?;
    bench.map(other, (SHARED, b), Size::Page4K, READ | WRITE)?;
    bench.set_context(second.source(), other.context())?;
    second.start(bench.hw, RING_IOVA);

    bench.poison(b);
    let first_writes = bench.writes(SHARED, a, 0xa1);
    bench.check(first_writes, format_args!("the first function's write lands in its own domain"));
    let untouched = bench.is_poisoned(b);
    bench.check(Ok(untouched), format_args!("and not in the other's, at the same address"));

    let add = Dma { wide: true, ..Dma::new(Op::Swap(0xa2), SHARED) };
    let swapped = second.run(bench.hw, &add).map(|completion| completion.status == Status::Done);
    let landed = bench.hw.mem_read64(b) == 0xa2;
    let held = swapped.map(|done| done && landed);
    bench.check(held, format_args!("the second function's lands in its own"));
    let kept = bench.holds(a, 0xa1);
    bench.check(Ok(kept), format_args!("and not in the first's"));

    bench.set_context(second.source(), Context::Absent.words())?;
    bench.parts.unit.clear_faults(bench.hw);
    let refused = second.run(bench.hw, &Dma::new(Op::Nop, 0)) == Err(Error::RingFault);
    let recorded = bench.take_fault(second.source(), Expected::new(0x02, Kind::Read, RING_IOVA));
    let what = "a fault of the second function carries its own requester id";
    bench.check(Ok(refused && recorded), format_args!("{what}"));
    let read = Dma::new(Op::Read { len: BYTES, buffer: 0 }, SHARED);
    let done = bench.succeeds(&read);
    bench.check(done, format_args!("the first function goes on meanwhile"));
    Ok(())
}
