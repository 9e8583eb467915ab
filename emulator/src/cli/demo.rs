//! `demo`: a built-in guest, with the story of what its devices and the IOMMU do.

use std::borrow::Cow;
use std::io;

use clap::{Args, ValueEnum};
use emulator::config::MachineConfig;
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::story::Narrator;

use super::backend::{BackendArgs, Guest};
use super::checks::{CheckArgs, Ran};
use super::trace;
use super::{Failure, OrExit};

const MEMORY: &str = "256M";

/// A story: a machine, and the guest that makes things happen in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Chapter {
    /// A PC with an Intel VT-d unit
    #[default]
    Vtd,
    /// An Arm machine with an SMMUv3: two stages, substreams, stalls
    Smmuv3,
}

/// What a chapter is made of.
struct Setting {
    program: &'static str,
    image: &'static [u8],
    machine: &'static str,
    iommu: &'static str,
    devices: &'static [&'static str],
    prologue: &'static str,
}

const VTD: Setting = Setting {
    program: "vtd_dma",
    image: guests::image::VTD_DMA,
    machine: "q35",
    iommu: "vtd-legacy",
    devices: &["exerciser,functions=2", "edu"],
    prologue: "\
A PC (q35) with an Intel VT-d IOMMU at fed90000h and two PCI devices that can reach memory by
themselves: the exerciser (00:01.0 and 00:01.1) and edu (00:02.0). A small guest program writes the
IOMMU's tables, lets the devices read and write through it, breaks the tables in every way it knows,
and checks what comes of it. Each line 'ok' is one of its checks; below it stands what the machine did.

",
};

const SMMUV3: Setting = Setting {
    program: "smmuv3_dma",
    image: guests::image::SMMUV3_DMA,
    machine: "virt",
    // One bit more than PCI needs, for the device beside it.
    iommu: "smmuv3.2-nested,sidsize=17",
    devices: &["exerciser,functions=2", "exerciser,bus=platform,stream=0x10000,can-stall=on"],
    prologue: "\
An Arm machine (virt) with an SMMUv3 at 09050000h and two devices that can reach memory by themselves: a
PCI exerciser (00:01.0 and 00:01.1, which are its streams 8h and 9h) and one on the platform bus (stream
10000h), whose transactions the SMMU may hold. A small guest program plays driver and hypervisor: it sets
streams up, gives them one stage of tables or two, changes tables behind the SMMU's back to see what is
stale until which command, breaks them in every way it knows, and lets what was held go on. Each line 'ok'
is one of its checks; below it stands what the machine did.

",
};

impl Chapter {
    const fn setting(self) -> &'static Setting {
        match self {
            Self::Vtd => &VTD,
            Self::Smmuv3 => &SMMUV3,
        }
    }
}

/// The options of `demo`.
#[derive(Debug, Default, Args)]
pub struct Demo {
    /// Which story
    #[arg(value_enum, default_value_t)]
    chapter: Chapter,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    checks: CheckArgs,
}

impl Demo {
    pub fn run(self) -> Result<Exit, Failure> {
        let Setting { program, image, prologue, .. } = *self.chapter.setting();
        let mut machine = Machine::new(&self.chapter.setting().config()?).or_exit(Exit::Environment)?;
        machine.assign_resources().or_exit(Exit::Usage)?;
        let guest = Guest {
            image: Cow::Borrowed(image),
            name: program.to_owned(),
            modules: Vec::new(),
            program: Some(program),
            // This machine's caches keep every translation until it is invalidated.
            command_line: "cache=retain".to_owned(),
            initrd: None,
        };
        let backend = self.backend.choose(&guest, &machine.config().machine)?;
        super::print(prologue)?;
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
        let exit = checks.finish(&machine, Ran { name: program, driver: backend.name(), result })?;
        traced?;
        if exit == Exit::Success {
            let milliseconds = machine.now().0 / 1_000_000;
            super::print(&format!("\nAll {held} checks held, in {milliseconds} ms of machine time.\n"))?;
        }
        Ok(exit)
    }
}

impl Setting {
    fn config(&self) -> Result<MachineConfig, Failure> {
        let devices = self.devices.iter().map(|device| device.parse()).collect::<Result<_, _>>();
        Ok(MachineConfig {
            machine: self.machine.parse().or_exit(Exit::Usage)?,
            iommus: vec![self.iommu.parse().or_exit(Exit::Usage)?],
            memory: MEMORY.parse().or_exit(Exit::Usage)?,
            devices: devices.or_exit(Exit::Usage)?,
            ..MachineConfig::default()
        })
    }
}
