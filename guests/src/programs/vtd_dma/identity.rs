//! DMA to physical addresses: with translation off, and by pass-through; and the switches.

use super::bench::Bench;
use crate::error::Error;
use crate::hw::Hw;
use crate::vtd::{Context, Queue};

/// Largest major version whose units invalidate through registers [VT-d 11.4.6].
pub const LAST_WITH_REGISTERS: u32 = 5;

pub fn translation_off<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    both_ways(bench, "with translation off");
    Ok(())
}

pub fn turn_on<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if bench.parts.unit.version(bench.hw).0 > LAST_WITH_REGISTERS {
        enable_queue(bench)?;
    }
    let unit = bench.parts.unit;
    let root = bench.parts.root.address;
    let rooted = unit.set_root_table(bench.hw, root);
    bench.check(rooted.map(|()| true), format_args!("the unit takes a root table"));
    bench.set_context(bench.parts.device.source(), bench.parts.home.context())?;
    let enabled = unit.enable_translation(bench.hw);
    bench.check(enabled.map(|()| true), format_args!("the unit turns translation on"));
    bench.parts.on = true;
    Ok(())
}

pub fn queue_on<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if bench.parts.queue.is_none() {
        enable_queue(bench)?;
    }
    let flushed = bench.flush();
    bench.check(
        flushed.map(|()| true),
        format_args!("the unit works through its queue and writes the status asked for"),
    );
    Ok(())
}

fn enable_queue<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let queue = Queue::enable(bench.hw, &bench.parts.unit, &mut bench.parts.arena)?;
    bench.parts.queue = Some(queue);
    Ok(())
}

pub fn pass_through<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    if !bench.parts.unit.ecap.pt() {
        bench.skip("pass-through", "ECAP.PT is 0");
        return Ok(());
    }
    let levels = bench.parts.unit.cap.most_levels().ok_or(Error::Unsupported("second-stage tables"))?;
    let source = bench.parts.device.source();
    bench.set_context(source, Context::PassThrough { levels, domain: 2 }.words())?;
    let ring = bench.parts.device.ring();
    bench.parts.device.start(bench.hw, ring);
    both_ways(bench, "in pass-through");
    Ok(())
}

pub fn turn_off<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let disabled = bench.parts.unit.disable_translation(bench.hw);
    bench.check(disabled.map(|()| true), format_args!("the unit turns translation off"));
    bench.parts.on = false;
    bench.go_home()?;
    both_ways(bench, "with translation off again");
    let fault = bench.parts.unit.pending_fault(bench.hw);
    bench.check(Ok(fault.is_none()), format_args!("no fault was recorded on the way out"));
    Ok(())
}

fn both_ways<H: Hw>(bench: &mut Bench<'_, H>, when: &str) {
    let (a, b) = (bench.parts.page_a, bench.parts.page_b);
    let read = bench.reads(a, a, 0x51);
    bench.check(read, format_args!("{when} a device reads RAM at its physical address"));
    let written = bench.writes(b, b, 0x52);
    bench.check(written, format_args!("{when} a device writes RAM at its physical address"));
}
