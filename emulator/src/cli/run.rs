//! `run`: a guest image on a machine of choice.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::Context;
use clap::Args;
use emulator::exit::Exit;
use emulator::machine::Machine;

use super::backend::{BackendArgs, Guest};
use super::checks::{CheckArgs, Ran};
use super::machine::MachineArgs;
use super::trace::{self, TraceArgs};
use super::{Failure, OrExit};

/// The largest image: no guest of this emulator comes near, and a mistyped name of a disk does not
/// fill the host's memory.
const MAX_IMAGE: u64 = 256 << 20;

/// The options of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// ELF64 executable for x86-64, or the name of a built-in guest
    image: String,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    backend: BackendArgs,
    /// Command line for the guest
    #[arg(long, default_value = "", value_name = "WORDS")]
    append: String,
    #[command(flatten)]
    trace: TraceArgs,
    #[command(flatten)]
    checks: CheckArgs,
}

impl Run {
    pub fn run(self) -> Result<Exit, Failure> {
        let guest = guest(&self.image, self.append)?;
        let mut machine = Machine::new(&self.machine.config()).or_exit(Exit::Usage)?;
        machine.assign_resources().or_exit(Exit::Usage)?;
        let backend = self.backend.choose(&guest)?;
        self.trace.start(&mut machine)?;
        let checks = self.checks.start(&mut machine)?;
        let watch = checks.watch();
        let console = move |bytes: &[u8]| {
            watch.console(bytes);
            let mut out = io::stdout().lock();
            // A guest goes on when nobody listens any more.
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        };
        let (mut machine, result) = self.backend.run(backend, machine, &guest, console);
        let traced = trace::finish(&mut machine);
        let ran = Ran { name: &self.image, driver: backend.name(), result: result.map(Some) };
        let exit = checks.finish(&machine, ran)?;
        traced.map(|()| exit)
    }
}

/// A built-in guest by its name, else the file of that name. A file that *is* the image of a
/// built-in guest can run wherever that can.
fn guest(name: &str, command_line: String) -> Result<Guest, Failure> {
    if let Some((program, image)) = built_in().find(|(program, _)| *program == name) {
        return Ok(Guest { image: Cow::Borrowed(image), program: Some(program), command_line });
    }
    let image = read_image(Path::new(name)).or_exit(Exit::Environment)?;
    let program = built_in().find(|(_, built_in)| *built_in == image).map(|(program, _)| program);
    Ok(Guest { image: Cow::Owned(image), program, command_line })
}

/// Names and images of the guests that are part of the emulator.
pub fn built_in() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    [("vtd_dma", guests::image::VTD_DMA)].into_iter()
}

fn read_image(path: &Path) -> anyhow::Result<Vec<u8>> {
    let known = guests::programs::NAMES.join(", ");
    let context = || format!("cannot read the image {}; built-in guests: {known}", path.display());
    let mut image = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_IMAGE + 1).read_to_end(&mut image))
        .with_context(context)?;
    anyhow::ensure!(image.len() as u64 <= MAX_IMAGE, "{} is larger than {MAX_IMAGE} bytes", path.display());
    Ok(image)
}
