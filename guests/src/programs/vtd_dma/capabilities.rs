//! What the unit says of itself, and whether it makes sense.

use super::bench::Bench;
use crate::error::{Bdf, Error};
use crate::hw::Hw;
use crate::vtd::regs::{GSTS, TE};

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.unit;
    let (cap, ecap) = (unit.cap, unit.ecap);
    let (major, minor) = unit.version(bench.hw);
    bench.note(format_args!("VT-d {major}.{minor}, CAP {:#018x}, ECAP {:#018x}", cap.0, ecap.0));
    for levels in cap.level_choices() {
        bench.note(format_args!("  page tables of {levels} levels: addresses of {} bits", 12 + 9 * levels));
    }
    let [pages_2m, pages_1g] = [1, 2].map(|bit| if cap.sslps() & bit != 0 { "yes" } else { "no" });
    bench.note(format_args!("  addresses of up to {} bits", cap.mgaw()));
    bench.note(format_args!("  2-MiB pages: {pages_2m}, 1-GiB pages: {pages_1g}"));
    bench.note(format_args!(
        "  domain ids of {} bits, {} fault records",
        cap.domain_id_width(),
        cap.fault_records()
    ));
    bench.note(format_args!(
        "  queued invalidation: {}, pass-through: {}, device TLBs: {}, PASIDs: {}, caching mode: {}",
        yes(ecap.qi()),
        yes(ecap.pt()),
        yes(ecap.dt()),
        yes(ecap.pasid()),
        yes(cap.cm())
    ));
    let first = bench.parts.device.source();
    bench.note(format_args!("exerciser at {}", Bdf(first)));
    if let Some(second) = bench.parts.second.as_ref().map(|device| device.source()) {
        bench.note(format_args!("exerciser at {}", Bdf(second)));
    }
    if let Some(edu) = bench.parts.edu {
        bench.note(format_args!("edu at {}", Bdf(edu.function().source())));
    }

    bench.check(Ok(major >= 1), format_args!("the unit has a version"));
    bench.check(Ok(cap.sagaw() & 0b10001 == 0), format_args!("it offers no page tables that do not exist"));
    bench.check(
        Ok([0b0000, 0b0001, 0b0011].contains(&cap.sslps())),
        format_args!("it offers 1-GiB pages only together with 2-MiB pages"),
    );
    bench.check(Ok(ecap.qi()), format_args!("it offers queued invalidation"));
    let status = unit.read32(bench.hw, GSTS);
    bench.check(Ok(status & TE == 0), format_args!("translation is off at first"));
    let fault = unit.pending_fault(bench.hw);
    bench.check(Ok(fault.is_none()), format_args!("no fault is pending at first"));
    Ok(())
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
