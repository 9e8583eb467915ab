//! The same for a device of another kind: `edu`, with its slow DMA and its MSI.

use super::bench::{BYTES, Bench};
use crate::edu::Edu;
use crate::error::Error;
use crate::hw::{Hw, Pc, message};
use crate::vtd::{READ, Size, WRITE};

/// Below 256 MiB: the device cuts addresses to 28 bits.
const READ_IOVA: u32 = 0x0a10_0000;
const WRITE_IOVA: u32 = 0x0a20_0000;
const VECTOR: u8 = 0x45;

pub fn run<H: Pc>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let Some(edu) = bench.parts.edu else {
        bench.skip("edu does DMA through its own page tables", "no edu in this machine");
        return Ok(());
    };
    dma(bench, edu)?;
    msi(bench, edu)
}

fn dma<H: Hw>(bench: &mut Bench<'_, H>, edu: Edu) -> Result<(), Error> {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    let levels = bench.parts.home.stage.levels;
    let domain = bench.new_domain(3, levels)?;
    bench.map(domain, (u64::from(READ_IOVA), a), Size::Page4K, READ)?;
    bench.map(domain, (u64::from(WRITE_IOVA), b), Size::Page4K, WRITE)?;
    bench.set_context(edu.function().source(), domain.context())?;
    bench.fill(a, 0xb1);
    bench.poison(b);
    edu.read(bench.hw, READ_IOVA, BYTES)?;
    edu.write(bench.hw, WRITE_IOVA, BYTES)?;
    let copied = bench.holds(b, 0xb1);
    bench.check(Ok(copied), format_args!("edu copies a page to another through its own page tables"));
    let fault = bench.parts.unit.pending_fault(bench.hw);
    bench.check(Ok(fault.is_none()), format_args!("and no fault is recorded"));
    Ok(())
}

fn msi<H: Pc>(bench: &mut Bench<'_, H>, edu: Edu) -> Result<(), Error> {
    let target = message(bench.hw, VECTOR);
    edu.function().enable_msi(bench.hw, target)?;
    edu.raise(bench.hw, 0x5);
    bench.expect_interrupt(VECTOR, "edu's MSI arrives");
    let status = edu.interrupt_status(bench.hw);
    edu.acknowledge(bench.hw, status);
    let after = edu.interrupt_status(bench.hw);
    bench.check(Ok((status, after) == (5, 0)), format_args!("its status tells why, until acknowledged"));
    Ok(())
}
