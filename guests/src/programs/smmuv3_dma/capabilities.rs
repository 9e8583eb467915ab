//! What the unit says of itself, and whether it makes sense.

use super::bench::Bench;
use crate::error::{Bdf, Error};
use crate::hw::Hw;
use crate::smmuv3::regs::{CR0ACK, IRQ_CTRLACK};

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    let (idr0, idr1, idr3, idr5) = (unit.idr0, unit.idr1, unit.idr3, unit.idr5);
    let minor = unit.minor(bench.hw);
    bench.note(format_args!(
        "SMMUv3.{minor}, IDR0 {:#010x}, IDR1 {:#010x}, IDR3 {:#010x}, IDR5 {:#010x}",
        idr0.0, idr1.0, idr3.0, idr5.0
    ));
    bench.note(format_args!(
        "  stage 1: {}, stage 2: {}, both levels of stream tables: {}, of CD tables: {}",
        yes(idr0.s1p()),
        yes(idr0.s2p()),
        yes(idr0.st_level()),
        yes(idr0.cd2l())
    ));
    bench.note(format_args!(
        "  StreamIDs of {} bits, SubstreamIDs of {}, outputs of {}",
        idr1.sidsize(),
        idr1.ssidsize(),
        idr5.output_bits()
    ));
    bench.note(format_args!(
        "  messages: {}, range invalidation: {}, stall model {}, up to {} stalls",
        yes(idr0.msi()),
        yes(idr3.ril()),
        idr0.stall_model(),
        idr5.stall_max()
    ));
    let first = bench.parts.device.source();
    bench.note(format_args!("exerciser at {}", Bdf(first)));
    if let Some(second) = bench.parts.second.as_ref().map(|device| device.source()) {
        bench.note(format_args!("exerciser at {}", Bdf(second)));
    }
    if let Some(stream) = bench.parts.platform.as_ref().map(|(_, stream)| *stream) {
        bench.note(format_args!("exerciser on the platform bus, stream {stream:#x}"));
    }

    bench.check(Ok(idr0.ttf() & 0b10 != 0), format_args!("it walks VMSAv8-64 tables"));
    bench.check(Ok(idr0.s1p() | idr0.s2p() == 1), format_args!("it has a stage"));
    bench.check(
        Ok(idr1.sidsize() < 7 || idr0.st_level() != 0),
        format_args!("wide StreamIDs come with stream tables of two levels"),
    );
    bench.check(Ok(idr5.gran4k() | idr5.gran16k() | idr5.gran64k() == 1), format_args!("it has a granule"));
    bench.check(
        Ok(minor < 2 || idr3.ril() & idr3.fwb() == 1),
        format_args!("from SMMUv3.2 on it has range invalidation and forced write-back"),
    );
    bench.check(
        Ok((idr0.stall_model() == 1) == (idr5.stall_max() == 0)),
        format_args!("it says how many stalls there can be if there can be any"),
    );
    let acknowledged = unit.read32(bench.hw, CR0ACK) | unit.read32(bench.hw, IRQ_CTRLACK);
    bench.check(Ok(acknowledged == 0), format_args!("everything is off at first"));
    let errors = unit.errors(bench.hw);
    bench.check(Ok(errors == 0), format_args!("no global error is active at first"));
    Ok(())
}

fn yes(field: u32) -> &'static str {
    if field == 0 { "no" } else { "yes" }
}
