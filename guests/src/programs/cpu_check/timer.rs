//! The generic timer: the counter, the virtual timer, and waiting for it.

use super::bench::Bench;
use crate::bare::aarch64::cpu;
use crate::bare::aarch64::interrupts::{self, VIRTUAL_TIMER};
use crate::error::Error;
use crate::hw::{Hw, next_interrupt};

/// INTID of an SPI that no device of a `virt` machine has.
const FREE_SPI: u32 = 32 + 240;
/// Looks at the timer's status before it is given up.
const LOOKS: u32 = 100_000_000;

pub fn run(bench: &mut Bench<'_>) -> Result<(), Error> {
    let frequency = cpu::counter_frequency();
    bench.check(frequency >= 1_000_000, format_args!("the counter's frequency is known"));
    let first = cpu::counter();
    let moved = (0..LOOKS).any(|_| cpu::counter() != first);
    bench.check(moved, format_args!("the counter counts"));

    // A tenth of a millisecond.
    let ticks = frequency / 10_000;
    interrupts::arm_timer(ticks);
    interrupts::mask_timer();
    let early = interrupts::timer_fired();
    let start = cpu::counter();
    let fired = (0..LOOKS).any(|_| interrupts::timer_fired());
    let waited = cpu::counter().wrapping_sub(start);
    bench.check(!early && fired, format_args!("the virtual timer fires, and not at once"));
    bench.check(waited + frequency / 100_000 >= ticks, format_args!("and not too early"));

    let start = cpu::counter();
    bench.machine.idle();
    let idled = cpu::counter().wrapping_sub(start);
    bench.check(idled >= frequency / 1000, format_args!("WFE with the event stream waits a millisecond"));
    bench.check(idled < frequency, format_args!("and ends"));

    if !interrupts::present() {
        bench.skip("the timer's interrupt", "the machine has no GIC");
        return Ok(());
    }
    let stray = bench.machine.take_interrupt();
    bench.check(stray.is_none(), format_args!("no interrupt came that nobody asked for"));
    interrupts::arm_timer(ticks);
    let start = cpu::counter();
    cpu::wait_for_interrupt();
    let waited = cpu::counter().wrapping_sub(start);
    bench.check(
        interrupts::timer_fired() && waited + frequency / 100_000 >= ticks,
        format_args!("WFI ends when the timer's interrupt is pending, masked or not"),
    );
    let taken = next_interrupt(bench.machine);
    bench.equal(taken.unwrap_or(0), VIRTUAL_TIMER, format_args!("it is taken as INTID 27"));
    let again = bench.machine.take_interrupt();
    bench.check(again.is_none(), format_args!("once"));
    shared(bench);
    Ok(())
}

/// An SPI that software makes pending.
fn shared(bench: &mut Bench<'_>) {
    bench.machine.pend_spi(FREE_SPI);
    let early = bench.machine.take_interrupt();
    bench.check(early.is_none(), format_args!("a pending SPI waits until it is enabled"));
    bench.machine.enable_spi(FREE_SPI, true);
    let taken = next_interrupt(bench.machine);
    bench.equal(taken.unwrap_or(0), FREE_SPI, format_args!("then it is taken"));
    let again = bench.machine.take_interrupt();
    bench.check(again.is_none(), format_args!("once, as an edge is"));
}
