//! `demo`: the built-in guest, with the story of what its devices and the IOMMU do.

use std::borrow::Cow;
use std::io;

use clap::Args;
use emulator::config::MachineConfig;
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::story::Narrator;

use super::backend::{BackendArgs, Guest};
use super::checks::{CheckArgs, Ran};
use super::trace;
use super::{Failure, OrExit};

const PROGRAM: &str = "vtd_dma";
const IOMMU: &str = "vtd-legacy";
const DEVICES: [&str; 2] = ["exerciser,functions=2", "edu"];
const MEMORY: &str = "256M";

const PROLOGUE: &str = "\
A PC (q35) with an Intel VT-d IOMMU at fed90000h and two PCI devices that can reach memory by
themselves: the exerciser (00:01.0 and 00:01.1) and edu (00:02.0). A small guest program writes the
IOMMU's tables, lets the devices read and write through it, breaks the tables in every way it knows,
and checks what comes of it. Each line 'ok' is one of its checks; below it stands what the machine did.

";

/// The options of `demo`.
#[derive(Debug, Default, Args)]
pub struct Demo {
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    checks: CheckArgs,
}

impl Demo {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut machine = Machine::new(&config()?).or_exit(Exit::Environment)?;
        machine.assign_resources().or_exit(Exit::Usage)?;
        let guest = Guest {
            image: Cow::Borrowed(guests::image::VTD_DMA),
            name: PROGRAM.to_owned(),
            modules: Vec::new(),
            program: Some(PROGRAM),
            // This machine's caches keep every translation until it is invalidated.
            command_line: "cache=retain".to_owned(),
        };
        let backend = self.backend.choose(&guest)?;
        super::print(PROLOGUE)?;
        let narrator = Narrator::new(io::stdout());
        machine.set_trace(Some(Box::new(narrator.clone())));
        let checks = self.checks.start(&mut machine)?;
        let (console, watch) = (narrator.clone(), checks.watch());
        let (mut machine, result) = self.backend.run(backend, machine, &guest, &mut None, move |bytes| {
            console.console(bytes);
            watch.console(bytes);
        });
        let traced = trace::finish(&mut machine);
        // The guest is known to report, so a report that is cut short is a failure too.
        let result = result.and_then(|value| match narrator.report().verdict() {
            Ok(_) if value != 0 => Err(Failure::new(
                Exit::GuestFailed,
                format!("every check held, but the guest ended with the value {value}"),
            )),
            Ok(checks) => Ok((value, checks)),
            Err(failure) => Err(Failure::new(Exit::GuestFailed, failure)),
        });
        let held = result.as_ref().map_or(0, |(_, checks)| *checks);
        let result = result.map(|(value, _)| Some(value));
        let exit = checks.finish(&machine, Ran { name: PROGRAM, driver: backend.name(), result })?;
        traced?;
        if exit == Exit::Success {
            let milliseconds = machine.now().0 / 1_000_000;
            super::print(&format!("\nAll {held} checks held, in {milliseconds} ms of machine time.\n"))?;
        }
        Ok(exit)
    }
}

fn config() -> Result<MachineConfig, Failure> {
    let devices = DEVICES.iter().map(|device| device.parse()).collect::<Result<_, _>>();
    Ok(MachineConfig {
        iommus: vec![IOMMU.parse().or_exit(Exit::Usage)?],
        memory: MEMORY.parse().or_exit(Exit::Usage)?,
        devices: devices.or_exit(Exit::Usage)?,
        ..MachineConfig::default()
    })
}
