//! `smmuv3_dma`: DMA through an SMMUv3, from its reset state to every event a DMA can provoke.
//!
//! The machine is a `virt` with the unit at 0905_0000h and one function of the exerciser at least,
//! whose StreamID is its requester id. A second function takes part if it is there, and so does an
//! exerciser on the platform bus at 0c80_0000h; the command line names its StreamID,
//! `stream=0x10000`, if it is another. The report is in the Test Anything Protocol, and the program
//! returns [`HELD`] or [`FAILED`].
//!
//! # Caches
//! No architecture promises that a stale translation is used: a unit without caches is a good unit.
//! So what a DMA sees between a change of the tables and the invalidation is a strict check only if
//! the command line says `cache=retain`, that is, that the unit keeps every entry until it is
//! invalidated. Without it the check is that the DMA sees the old page or the new one and nothing
//! else, and a line `# cache: …` tells which. That the new page is seen *after* the invalidation is
//! always strict.

mod bench;
mod bypass;
mod capabilities;
mod commands;
mod configuration;
mod events;
mod faults;
mod invalidation;
mod invalidation_config;
mod messages;
mod nested;
mod overflow;
mod stage1;
mod stage2;
mod stalls;

use super::{FAILED, HELD};
use crate::error::Error;
use crate::hw::Hw;
use crate::tap::Tap;
use bench::{Bench, Parts};

/// Runs the program; returns [`HELD`] or [`FAILED`].
pub fn run<H: Hw>(hw: &mut H) -> u32 {
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

fn sections<H: Hw>(mut bench: Bench<'_, H>) -> bool {
    type Section<H> = fn(&mut Bench<'_, H>) -> Result<(), Error>;
    let sections: [(&str, Section<H>); 16] = [
        ("the unit and what it can do", capabilities::run),
        ("the unit off: GBPA decides", bypass::off),
        ("the unit on: queues and a stream table", bypass::turn_on),
        ("bypass: addresses are physical, by permission", bypass::by_stream),
        ("stage 1: addresses are what a driver's tables say", stage1::run),
        ("stage 2: addresses are what a hypervisor's tables say", stage2::run),
        ("both stages, and substreams", nested::run),
        ("events of the configuration", configuration::run),
        ("events of the tables", faults::run),
        ("faults of tables within tables", nested::faults),
        ("what a stale entry is, and which command ends it", invalidation::run),
        ("stale configuration", invalidation_config::run),
        ("commands that are refused", commands::run),
        ("more events than records", overflow::run),
        ("interrupts", messages::run),
        ("stalls", stalls::run),
    ];
    for (name, section) in sections {
        run_section(&mut bench, name, section);
    }
    run_section(&mut bench, "the unit off again", bypass::turn_off);
    bench.tap.finish(bench.hw)
}

fn run_section<H: Hw>(
    bench: &mut Bench<'_, H>,
    name: &str,
    section: fn(&mut Bench<'_, H>) -> Result<(), Error>,
) {
    bench.note(format_args!("--- {name}"));
    let result = section(bench).and_then(|()| bench.go_home());
    if result.is_err() {
        bench.check(result.map(|()| true), format_args!("the section \"{name}\" runs to its end"));
        // If this fails as well, the next section tells.
        let _ = bench.go_home();
    }
}
