//! `vtd_dma`: DMA through a VT-d unit in legacy mode, from its reset state to every fault a DMA can
//! provoke.
//!
//! The machine is a q35 with the unit at fed9_0000h and one function of the exerciser at least; a
//! second function and an `edu` take part if they are there. The report is in the Test Anything
//! Protocol, and the program returns [`HELD`] or [`FAILED`].
//!
//! # Caches
//! No architecture promises that a stale translation is used: a unit without caches is a good unit.
//! So what a DMA sees between a change of the tables and the invalidation is a strict check only if
//! the command line says `cache=retain`, that is, that the unit keeps every translation until it is
//! invalidated. No probe could replace this word: a unit that evicts at random may keep the probe's
//! translation and drop the next. Without it the check is that the DMA sees the old page or the new
//! one and nothing else, and a line `# cache: …` tells which. That the new page is seen *after* the
//! invalidation is always strict.

mod bench;
mod capabilities;
mod edu;
mod events;
mod faults;
mod functions;
mod identity;
mod invalidation;
mod overflow;
mod remapped;

use super::{FAILED, HELD};
use crate::error::Error;
use crate::hw::Pc;
use crate::tap::Tap;
use bench::{Bench, Parts};

/// Runs the program; returns [`HELD`] or [`FAILED`].
pub fn run<H: Pc>(hw: &mut H) -> u32 {
    let tap = Tap::start(hw);
    let held = match Parts::find(hw) {
        Ok(parts) => sections(Bench { hw, tap, parts }),
        Err(error) => {
            tap.bail_out(hw, format_args!("{error}"));
            false
        }
    };
    if held { HELD } else { FAILED }
}

fn sections<H: Pc>(mut bench: Bench<'_, H>) -> bool {
    type Section<H> = fn(&mut Bench<'_, H>) -> Result<(), Error>;
    let sections: [(&str, Section<H>); 14] = [
        ("the unit and what it can do", capabilities::run),
        ("translation off: devices use physical addresses", identity::translation_off),
        ("translation on: the exerciser gets page tables", identity::turn_on),
        ("invalidation through registers", invalidation::by_registers),
        ("queued invalidation on", identity::queue_on),
        ("pass-through: addresses are physical, by permission", identity::pass_through),
        ("remapped DMA: addresses are what the page tables say", remapped::run),
        ("faults: what is refused, and how it is recorded", faults::run),
        ("more faults than records", overflow::run),
        ("invalidation through the queue", invalidation::by_queue),
        ("interrupts", events::run),
        ("two functions, two domains", functions::run),
        ("edu", edu::run),
        ("translation off again", identity::turn_off),
    ];
    for (name, section) in sections {
        bench.note(format_args!("--- {name}"));
        let result = section(&mut bench).and_then(|()| bench.go_home());
        if result.is_err() {
            bench.check(result.map(|()| true), format_args!("the section \"{name}\" runs to its end"));
            // If this fails as well, the next section tells.
            let _ = bench.go_home();
        }
    }
    bench.tap.finish(bench.hw)
}
