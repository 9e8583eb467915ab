//! Stale translations before an invalidation, fresh ones after it, for every granularity.

use super::bench::{Bench, Domain};
use super::identity::LAST_WITH_REGISTERS;
use crate::arena::PAGE;
use crate::error::Error;
use crate::hw::Hw;
use crate::vtd::{ContextScope, IotlbScope, READ, Size, WRITE};

/// A page in the middle of sixteen, so that masks of up to four bits can be tried around it.
const PROBE: u64 = 0x18_0001_0000;
/// The pattern of the old page, and of the new one.
const OLD: u32 = 0x91;
const NEW: u32 = 0x92;

pub fn by_registers<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (major, _) = bench.parts.unit.version(bench.hw);
    if major > LAST_WITH_REGISTERS {
        bench.skip("invalidation through registers", "units of this version have the queue only");
        return Ok(());
    }
    all(bench)
}

pub fn by_queue<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    all(bench)
}

fn all<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    bench.fill(a, OLD);
    bench.fill(b, NEW);
    iotlb(bench)?;
    masked(bench)?;
    unmapped(bench)?;
    other_domain(bench)?;
    context(bench)
}

fn iotlb<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let domain = bench.parts.home.id;
    let rows = [
        ("a global IOTLB invalidation", IotlbScope::Global, true),
        ("a domain-selective IOTLB invalidation", IotlbScope::Domain(domain), true),
        (
            "a page-selective IOTLB invalidation",
            IotlbScope::Page { domain, address: PROBE, mask: 0 },
            bench.parts.unit.cap.psi(),
        ),
    ];
    for (what, scope, offered) in rows {
        if !offered {
            bench.skip(what, "CAP.PSI is 0");
            continue;
        }
        remap(bench, 0)?;
        stale(bench, PROBE, "a page-table change")?;
        bench.invalidate(None, Some(scope))?;
        fresh(bench, PROBE, what);
    }
    Ok(())
}

/// Maps the page `index` pages from the probe to the old page, has the device use it, and maps it to
/// the new page without a word to the unit.
fn remap<H: Hw>(bench: &mut Bench<'_, H>, index: u64) -> Result<(), Error> {
    let (a, b, home) = (bench.parts.page_a, bench.parts.page_b, bench.parts.home);
    let iova = PROBE + index * PAGE;
    bench.map(home, (iova, a), Size::Page4K, READ | WRITE)?;
    bench.flush()?;
    // It is cached now, if the unit caches.
    let seen = bench.which(iova, [OLD])?;
    if seen.is_none() {
        bench.check(Ok(false), format_args!("a page just mapped is seen"));
    }
    bench.map(home, (iova, b), Size::Page4K, READ | WRITE)
}

/// Before the invalidation: see the module doc of the program.
fn stale<H: Hw>(bench: &mut Bench<'_, H>, iova: u64, change: &str) -> Result<(), Error> {
    let seen = bench.which(iova, [OLD, NEW])?;
    if bench.parts.retain {
        let held = Ok(seen == Some(OLD));
        bench.check(held, format_args!("after {change} alone, the device still sees the old page"));
        return Ok(());
    }
    match seen {
        Some(OLD) => bench.note(format_args!("cache: kept the old translation")),
        Some(_) => bench.note(format_args!("cache: walked the new tables")),
        None => {}
    }
    bench.check(
        Ok(seen.is_some()),
        format_args!("after {change} alone, the device sees the old page or the new one"),
    );
    Ok(())
}

fn fresh<H: Hw>(bench: &mut Bench<'_, H>, iova: u64, what: &str) {
    let seen = bench.which(iova, [NEW]).map(|seen| seen.is_some());
    bench.check(seen, format_args!("after {what} the device sees the new page"));
}

/// Four pages by one invalidation with an address mask.
fn masked<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let cap = bench.parts.unit.cap;
    let what = "a page-selective IOTLB invalidation of four pages";
    if !cap.psi() || cap.mamv() < 2 {
        bench.skip(what, "CAP.PSI or CAP.MAMV does not offer it");
        return Ok(());
    }
    let (a, b, home) = (bench.parts.page_a, bench.parts.page_b, bench.parts.home);
    let pages = [0, 1, 2, 3, 4].map(|index| PROBE + index * PAGE);
    for iova in pages {
        bench.map(home, (iova, a), Size::Page4K, READ | WRITE)?;
    }
    bench.flush()?;
    for iova in pages {
        bench.which(iova, [OLD])?;
    }
    for iova in pages {
        bench.map(home, (iova, b), Size::Page4K, READ | WRITE)?;
    }
    let scope = IotlbScope::Page { domain: home.id, address: PROBE, mask: 2 };
    bench.invalidate(None, Some(scope))?;
    let [inside @ .., outside] = pages;
    let mut seen = Ok(true);
    for iova in inside {
        seen = seen.and_then(|so_far| Ok(so_far && bench.which(iova, [NEW])?.is_some()));
    }
    bench.check(seen, format_args!("after {what} the device sees all four new pages"));
    if bench.parts.retain {
        let seen = bench.which(outside, [OLD]).map(|seen| seen.is_some());
        bench.check(seen, format_args!("the fifth page is left as it was"));
    }
    Ok(())
}

fn unmapped<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    use super::faults::{Expected, Kind};
    use crate::exerciser::{Dma, Op};

    remap(bench, 0)?;
    bench.map(bench.parts.home, (PROBE, 0), Size::Page4K, 0)?;
    bench.invalidate(None, Some(IotlbScope::Domain(bench.parts.home.id)))?;
    let dma = Dma::new(Op::Read { len: super::bench::BYTES, buffer: 0 }, PROBE);
    let expected = Expected::new(0x06, Kind::Read, PROBE);
    bench.faults("read of a page that was unmapped and invalidated", &dma, expected);
    Ok(())
}

/// Strict only on a unit that keeps translations: any unit may drop more than it was asked to.
fn other_domain<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.parts.retain {
        return Ok(());
    }
    remap(bench, 0)?;
    let other = bench.parts.home.id + 1;
    bench.invalidate(None, Some(IotlbScope::Domain(other)))?;
    let seen = bench.which(PROBE, [OLD]).map(|seen| seen.is_some());
    bench.check(seen, format_args!("an invalidation of another domain changes nothing here"));
    Ok(())
}

/// A device that moves to another domain.
fn context<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (a, b, home) = (bench.parts.page_a, bench.parts.page_b, bench.parts.home);
    let source = bench.parts.device.source();
    let ring = bench.parts.device.ring();
    let other: Domain = bench.new_ring_domain(home.id + 1, home.stage.levels, ring)?;
    bench.map(home, (PROBE, a), Size::Page4K, READ | WRITE)?;
    bench.map(other, (PROBE, b), Size::Page4K, READ | WRITE)?;
    let domain = home.id;
    let rows = [
        ("a global context-cache invalidation", ContextScope::Global),
        ("a domain-selective context-cache invalidation", ContextScope::Domain(domain)),
        ("a device-selective context-cache invalidation", ContextScope::Device { domain, source }),
    ];
    for (what, scope) in rows {
        bench.set_context(source, home.context())?;
        if bench.which(PROBE, [OLD])?.is_none() {
            bench.check(Ok(false), format_args!("the device sees its own domain"));
        }
        let (root, arena) = (bench.parts.root, &mut bench.parts.arena);
        root.set_context(bench.hw, arena, source, other.context())?;
        stale(bench, PROBE, "a change of its domain")?;
        // The IOTLB is invalidated for the domain that the device has left [VT-d 6.2.2.1].
        bench.invalidate(Some(scope), Some(IotlbScope::Domain(domain)))?;
        fresh(bench, PROBE, what);
    }
    bench.go_home()
}
