//! `run`: a guest image on a machine of choice.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use emulator::boot::StartError;
use emulator::config::{DeviceKind, MachineConfig};
use emulator::control::{Server, Subject};
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::soft::Soft;
use firmware::multiboot;

use super::backend::{Backend, BackendArgs, Guest};
use super::checks::{CheckArgs, Ran};
use super::control::ControlArgs;
use super::files;
use super::machine::MachineArgs;
use super::trace::{self, TraceArgs};
use super::{Failure, OrExit};

/// The options of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Multiboot image, ELF64 executable, Linux image for AArch64, or the name of a built-in guest
    ///
    /// On a q35, an image with a multiboot header (version 1) is started as that asks, any other by the
    /// Linux 64-bit boot protocol. Both find ACPI tables that describe the machine. On a virt, images are
    /// started by Linux's AArch64 boot protocol, with a device tree, or ACPI tables if --acpi says so; there
    /// they may be compressed (gzip, zstd, xz, EFI zboot).
    #[arg(required_unless_present = "restore")]
    image: Option<String>,
    /// Go on with a run that 'save' of the control socket wrote, in place of an image
    ///
    /// Machine, processors and guest are those of FILE; the guest does what it would have done if it had
    /// never been saved. It was on the software processor, and so it will be.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "image", "append", "modules", "initrd", "machine", "iommu", "sanitize", "devices", "memory", "seed", "acpi",
    ])]
    restore: Option<PathBuf>,
    /// Open the disk files that the restored machine names, for writing where it had them so
    #[arg(long, conflicts_with = "image")]
    open_disks: bool,
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

impl Run {
    pub fn run(self) -> Result<Exit, Failure> {
        match (&self.restore, &self.image) {
            (Some(file), _) => self.restore(file),
            // One of them is there.
            (None, image) => self.begin(image.as_deref().unwrap_or_default()),
        }
    }

    fn begin(&self, image: &str) -> Result<Exit, Failure> {
        let mut guest = guest(image, self.append.clone(), &self.modules)?;
        guest.initrd = self.initrd.as_deref().map(files::read_initrd).transpose()?;
        let mut machine = Machine::new(&self.machine.config()).or_exit(Exit::Usage)?;
        machine.assign_resources().or_exit(Exit::Usage)?;
        let backend = self.backend.choose(&guest, &machine.config().machine)?;
        self.watched(image, backend.name(), machine, |machine, control, console| {
            self.backend.run(backend, machine, &guest, control, console)
        })
    }

    fn restore(&self, file: &Path) -> Result<Exit, Failure> {
        self.backend.check_restored()?;
        let state = files::read_snapshot(file)?;
        if !self.open_disks {
            refuse_disks(state.config())?;
        }
        let soft = Soft::restore(state)
            .with_context(|| format!("cannot go on with {}", file.display()))
            .or_exit(Exit::Usage)?;
        let name = file.to_string_lossy();
        self.watched(&name, Backend::Soft.name(), soft, |soft, control, console| {
            self.backend.go_on(soft, control, console)
        })
    }

    /// Runs a guest with what looks at it from outside.
    fn watched<S: Subject>(
        &self,
        name: &str,
        driver: &str,
        mut subject: S,
        run: impl FnOnce(S, &mut Option<Server>, Console) -> (Machine, Result<u32, Failure>),
    ) -> Result<Exit, Failure> {
        let machine = subject.machine();
        let mut control = self.control.bind()?;
        self.trace.start(machine)?;
        // Before the checks begin to listen: a client pauses the trace, not them.
        if let Some(server) = &mut control {
            server.take_trace(machine);
        }
        let checks = self.checks.start(machine)?;
        let watch = checks.watch();
        let console = move |bytes: &[u8]| {
            watch.console(bytes);
            let mut out = io::stdout().lock();
            // A guest goes on when nobody listens any more.
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        };
        let (mut machine, result) = run(subject, &mut control, Box::new(console));
        self.control.finish(control, &mut machine);
        let traced = trace::finish(&mut machine);
        let ran = Ran { name, driver, result: result.map(Some) };
        let exit = checks.finish(&machine, ran)?;
        traced.map(|()| exit)
    }
}

/// Refuses a machine with disk files: whoever wrote it may have named any.
fn refuse_disks(config: &MachineConfig) -> Result<(), Failure> {
    let files = config.devices.iter().filter_map(|device| match &device.kind {
        DeviceKind::Nvme { medium, .. } => medium.file(),
        _ => None,
    });
    let files: Vec<_> = files
        .map(|(path, written)| {
            format!("{} for {}", path.display(), if written { "writing" } else { "reading" })
        })
        .collect();
    if files.is_empty() {
        return Ok(());
    }
    let files = files.join(", ");
    Err(Failure::new(Exit::Usage, format!("the machine would open {files}; say --open-disks if it may")))
}

/// Takes what a guest prints.
type Console = Box<dyn FnMut(&[u8]) + Send>;

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
        let bytes = files::read(Path::new(file)).with_context(context)?;
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
    files::read(path).with_context(context)
}
