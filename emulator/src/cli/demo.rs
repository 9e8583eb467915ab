//! `demo`: the built-in guest, with the story of what its devices and the IOMMU do.

use std::borrow::Cow;
use std::io;

use clap::Args;
use emulator::config::MachineConfig;
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::story::Narrator;

use super::backend::{BackendArgs, Guest};
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
}

impl Demo {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut machine = Machine::new(&config()?).or_exit(Exit::Environment)?;
        machine.assign_resources().or_exit(Exit::Usage)?;
        let guest = Guest {
            image: Cow::Borrowed(guests::image::VTD_DMA),
            program: Some(PROGRAM),
            // This machine's caches keep every translation until it is invalidated.
            command_line: "cache=retain".to_owned(),
        };
        let backend = self.backend.choose(&guest)?;
        super::print(PROLOGUE)?;
        let narrator = Narrator::new(io::stdout());
        machine.set_trace(Some(Box::new(narrator.clone())));
        let console = narrator.clone();
        let (mut machine, result) =
            self.backend.run(backend, machine, &guest, &mut None, move |bytes| console.console(bytes));
        trace::finish(&mut machine)?;
        let value = result?;
        match narrator.report().verdict() {
            Ok(checks) if value == 0 => {
                let milliseconds = machine.now().0 / 1_000_000;
                super::print(&format!(
                    "\nAll {checks} checks held, in {milliseconds} ms of machine time.\n"
                ))?;
                Ok(Exit::Success)
            }
            Ok(_) => Err(Failure::new(
                Exit::GuestFailed,
                format!("every check held, but the guest ended with the value {value}"),
            )),
            Err(failure) => Err(Failure::new(Exit::GuestFailed, failure)),
        }
    }
}

fn config() -> Result<MachineConfig, Failure> {
    let devices = DEVICES.iter().map(|device| device.parse()).collect::<Result<_, _>>();
    Ok(MachineConfig {
        iommu: Some(IOMMU.parse().or_exit(Exit::Usage)?),
        memory: MEMORY.parse().or_exit(Exit::Usage)?,
        devices: devices.or_exit(Exit::Usage)?,
        ..MachineConfig::default()
    })
}
