//! `run`: a guest image on a machine of choice.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use emulator::boot::StartError;
use emulator::control::Server;
use emulator::exit::Exit;
use emulator::machine::Machine;
use firmware::multiboot;

use super::backend::{BackendArgs, Guest};
use super::checks::{CheckArgs, Ran};
use super::machine::MachineArgs;
use super::trace::{self, TraceArgs};
use super::{Failure, OrExit};

/// The largest image or module: no guest of this emulator comes near, and a mistyped name of a disk does not
/// fill the host's memory.
const MAX_IMAGE: u64 = 256 << 20;

/// The options of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Multiboot image, ELF64 executable, Linux image for AArch64, or the name of a built-in guest
    ///
    /// On a q35, an image with a multiboot header (version 1) is started as that asks, any other by the
    /// Linux 64-bit boot protocol. Both find ACPI tables that describe the machine. On a virt, images are
    /// started by Linux's AArch64 boot protocol, with a device tree.
    image: String,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    backend: BackendArgs,
    /// Command line for the guest; a multiboot guest finds the image's name before it
    #[arg(long, default_value = "", value_name = "WORDS")]
    append: String,
    /// File for a multiboot guest, with words for it (may be repeated)
    ///
    /// The guest finds FILE, a blank and the words in the module's string.
    #[arg(long = "module", value_name = "FILE[=WORDS]")]
    modules: Vec<ModuleSpec>,
    /// Initial RAM disk for a guest on the board virt
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    #[command(flatten)]
    trace: TraceArgs,
    #[command(flatten)]
    checks: CheckArgs,
    #[command(flatten)]
    control: ControlArgs,
}

#[derive(Debug, Args)]
struct ControlArgs {
    /// Listen on this UNIX socket for commands: explain, dma, save, trace, quit
    ///
    /// One command a line; 'help' lists them. Try: socat - UNIX-CONNECT:SOCKET
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// With --control: when the guest has ended, keep its machine until a client says quit
    #[arg(long, requires = "control")]
    hold: bool,
}

impl ControlArgs {
    fn bind(&self) -> Result<Option<Server>, Failure> {
        let Some(path) = &self.control else { return Ok(None) };
        let server = Server::bind(path).with_context(|| {
            format!("cannot listen on {}; remove it if it is left over, or name another", path.display())
        });
        server.map(Some).or_exit(Exit::Environment)
    }

    fn finish(&self, server: Option<Server>, machine: &mut Machine) {
        let Some(mut server) = server else { return };
        if self.hold && !server.has_quit() {
            eprintln!("iommulator: the guest has ended; waiting for quit on the control socket");
            server.hold(machine);
        } else if server.has_quit() {
            eprintln!("iommulator: a client of the control socket ended the run");
        }
    }
}

impl Run {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut guest = guest(&self.image, self.append, &self.modules)?;
        guest.initrd = self.initrd.as_deref().map(read_initrd).transpose()?;
        let mut machine = Machine::new(&self.machine.config()).or_exit(Exit::Usage)?;
        machine.assign_resources().or_exit(Exit::Usage)?;
        let backend = self.backend.choose(&guest, &machine.config().machine)?;
        let mut control = self.control.bind()?;
        self.trace.start(&mut machine)?;
        // Before the checks begin to listen: a client pauses the trace, not them.
        if let Some(server) = &mut control {
            server.take_trace(&mut machine);
        }
        let checks = self.checks.start(&mut machine)?;
        let watch = checks.watch();
        let console = move |bytes: &[u8]| {
            watch.console(bytes);
            let mut out = io::stdout().lock();
            // A guest goes on when nobody listens any more.
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        };
        let (mut machine, result) = self.backend.run(backend, machine, &guest, &mut control, console);
        self.control.finish(control, &mut machine);
        let traced = trace::finish(&mut machine);
        let ran = Ran { name: &self.image, driver: backend.name(), result: result.map(Some) };
        let exit = checks.finish(&machine, ran)?;
        traced.map(|()| exit)
    }
}

/// A built-in guest by its name, else the file of that name. A file that *is* the image of a
/// built-in guest can run wherever that can.
fn guest(name: &str, command_line: String, modules: &[ModuleSpec]) -> Result<Guest, Failure> {
    let (image, program) = match built_in().find(|(program, _)| *program == name) {
        Some((program, image)) => (Cow::Borrowed(image), Some(program)),
        None => {
            let image = read_image(Path::new(name)).or_exit(Exit::Environment)?;
            let program = built_in().find(|(_, built_in)| *built_in == image).map(|(program, _)| program);
            (Cow::Owned(image), program)
        }
    };
    // A program that tries a processor has nothing to try in this process.
    let hosted = [guests::programs::FOR_PC, guests::programs::FOR_VIRT].concat();
    let program = program.filter(|program| hosted.contains(program));
    // Said before anything runs, and on every back end.
    if !modules.is_empty() && !multiboot::has_header(&image) {
        return Err(Failure { exit: Exit::Usage, error: StartError::Modules.into() });
    }
    let modules =
        modules.iter().map(ModuleSpec::read).collect::<Result<_, _>>().or_exit(Exit::Environment)?;
    Ok(Guest { image, name: name.to_owned(), modules, program, command_line, initrd: None })
}

/// A module as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ModuleSpec {
    file: String,
    words: String,
}

impl FromStr for ModuleSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (file, words) = text.split_once('=').unwrap_or((text, ""));
        if file.is_empty() {
            return Err("the file name is missing".to_owned());
        }
        Ok(Self { file: file.to_owned(), words: words.to_owned() })
    }
}

impl ModuleSpec {
    /// The file's contents, and the string that goes with them.
    fn read(&self) -> anyhow::Result<(Vec<u8>, String)> {
        let Self { file, words } = self;
        let context = || format!("cannot read the module {file}");
        let bytes = read_file(Path::new(file)).with_context(context)?;
        Ok((bytes, format!("{file} {words}").trim_end().to_owned()))
    }
}

/// Names and images of the guests that are part of the emulator.
pub fn built_in() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    [
        ("vtd_dma", guests::image::VTD_DMA),
        ("smmuv3_dma", guests::image::SMMUV3_DMA),
        ("cpu_check", guests::image::CPU_CHECK),
    ]
    .into_iter()
}

fn read_image(path: &Path) -> anyhow::Result<Vec<u8>> {
    let known = built_in().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    let context = || format!("cannot read the image {}; built-in guests: {known}", path.display());
    read_file(path).with_context(context)
}

fn read_initrd(path: &Path) -> Result<Vec<u8>, Failure> {
    let context = || format!("cannot read the initial RAM disk {}", path.display());
    read_file(path).with_context(context).or_exit(Exit::Environment)
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_IMAGE + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_IMAGE, "it is larger than {MAX_IMAGE} bytes");
    Ok(bytes)
}
