//! `linux`: stock Linux on a machine with an IOMMU, to a shell or for one command.
//!
//! The guest has two UARTs. The first is the kernel's console; on the second a command's output comes past
//! the kernel's messages, and behind it how the command ended. So the output of the process is the output
//! of the command, and its status the command's.

mod status;
mod system;
mod tail;
mod trailer;
mod words;

use std::borrow::Cow;
use std::cell::Cell;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::builder::Resettable;
use clap::{ArgGroup, Args};
use emulator::config::{DeviceSpec, MachineConfig};
use emulator::control::Server;
use emulator::exit::Exit;
use emulator::linux::initramfs::Task;
use emulator::machine::Machine;
use emulator::report::Watch;

use super::backend::{Backend, BackendArgs, Guest};
use super::checks::{CheckArgs, Ran};
use super::control::ControlArgs;
use super::machine::MachineArgs;
use super::signals::Signals;
use super::soft::{self, Outside};
use super::terminal;
use super::trace::{self, TraceArgs};
use super::{Failure, OrExit};
pub use status::Status;
use system::{System, SystemArgs};
use tail::Tail;
use trailer::Trailer;
use words::{Terminal, Words};

/// A command that has not ended after this time hangs, as a rule.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

/// The options of `linux`.
#[derive(Debug, Args)]
#[command(
    after_help = Status::HELP,
    group = ArgGroup::new("task").args(["exec", "shell"]),
    mut_arg("machine", |arg| arg.default_value("virt")),
    mut_arg("memory", |arg| arg.default_value("512M")),
    mut_arg("iommu", |arg| arg.default_value("smmuv3.2-nested")),
    mut_arg("sanitize", |arg| arg.requires(Resettable::Reset)),
)]
pub struct Linux {
    /// Run this command by the guest's shell, and end
    ///
    /// Its output and its errors go to standard output, the kernel's console to standard error. Its
    /// standard input is empty. Time in the guest is the number of instructions, so each run is the same.
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// A shell on the guest's console; what there is if standard input is a terminal
    ///
    /// Ctrl-a x leaves, Ctrl-a h helps. Standard input can be a file or a pipe too: its end ends the shell.
    /// While the guest waits, its time is this host's.
    #[arg(long)]
    shell: bool,
    /// Words for the kernel, such as iommu.strict=1
    #[arg(long, default_value = "", value_name = "WORDS")]
    append: String,
    /// No messages of the kernel; with --exec no console at all
    #[arg(long)]
    quiet: bool,
    /// The disk /dev/nvme0n1: a file and its options, such as disk.img,snapshot=on, or none
    /// [default: 64 MiB of zeros]
    #[arg(long, value_name = "FILE[,KEY=VALUE…]|none")]
    disk: Option<String>,
    /// No IOMMU: DMA uses physical addresses
    #[arg(long, conflicts_with_all = ["iommu", "sanitize"])]
    no_iommu: bool,
    #[command(flatten)]
    system: SystemArgs,
    #[command(flatten, next_help_heading = "Machine")]
    machine: MachineArgs,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    trace: TraceArgs,
    #[command(flatten)]
    checks: CheckArgs,
    #[command(flatten)]
    control: ControlArgs,
}

/// What the guest does, and so whose console it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// A command, for whoever reads its output.
    Exec(String),
    /// A user, or what stands in for one, at the console.
    Console,
}

/// What came of a run.
struct Finished {
    machine: Machine,
    /// The run's own ending.
    result: Result<u32, Failure>,
    /// The status that the guest told.
    status: Option<u8>,
    /// The end of a console that was not shown.
    unseen: Option<Tail>,
    /// Why standard output does not have all that it should.
    lost: Option<io::Error>,
}

impl Linux {
    /// Does it: the process's exit status.
    pub fn run(self) -> ExitCode {
        match self.attempt() {
            Ok(status) => status.into(),
            Err(failure) => {
                failure.tell();
                Status::Own(failure.exit).into()
            }
        }
    }

    fn attempt(self) -> Result<Status, Failure> {
        let mode = self.mode()?;
        let config = self.config()?;
        let task = match &mode {
            Mode::Exec(command) => Task::Exec(command.clone()),
            Mode::Console => Task::Shell,
        };
        let mut machine = Machine::new(&config).or_exit(Exit::Usage)?;
        machine.assign_resources().or_exit(Exit::Usage)?;
        let System { name, kernel, initrd } = self.system.system(task, self.has_disk())?;
        let guest = Guest {
            image: Cow::Owned(kernel),
            name,
            modules: Vec::new(),
            program: None,
            command_line: self.words(&mode).command_line(),
            initrd: Some(initrd),
        };
        let backend = self.backend.choose(&guest, &config.machine)?;
        if backend != Backend::Soft {
            let why = "Linux runs on the software processor only; use --machine virt --cpu soft";
            return Err(Failure::new(Exit::CannotRun, why));
        }
        let mut control = self.control.bind()?;
        self.trace.start(&mut machine)?;
        // Before the checks begin to listen: a client pauses the trace, not them.
        if let Some(server) = &mut control {
            server.take_trace(&mut machine);
        }
        let checks = self.checks.start(&mut machine)?;
        let signals = Signals::default();
        let finished = self.boot(&mode, machine, &guest, &signals, &mut control, &checks.watch());
        let Finished { mut machine, result, status, unseen, lost } = finished;
        let quit = control.as_ref().is_some_and(Server::has_quit);
        self.control.finish(control, &mut machine);
        let traced = trace::finish(&mut machine);
        let result =
            result.and_then(|_| whole(lost)).and_then(|()| value(&mode, status, quit || signals.any()));
        if let (Err(_), Some(unseen)) = (&result, unseen) {
            // There is nobody to tell where this fails.
            let _ = io::stderr().write_all(unseen.lines().as_bytes());
        }
        let ended = checks.finish(&machine, Ran { name: &guest.name, driver: backend.name(), result });
        signals.obey();
        let ended = judged(ended, status)?;
        traced.map(|()| ended)
    }

    fn mode(&self) -> Result<Mode, Failure> {
        match &self.exec {
            Some(command) => Ok(Mode::Exec(command.clone())),
            None if self.shell || self.system.has_own_initrd() || io::stdin().is_terminal() => {
                Ok(Mode::Console)
            }
            None => {
                let why = "say what the guest is to do: --exec 'CMD', or --shell, which reads standard input";
                Err(Failure::new(Exit::Usage, why))
            }
        }
    }

    /// The machine, with its disk as the first device.
    fn config(&self) -> Result<MachineConfig, Failure> {
        let mut config = self.machine.config();
        if self.no_iommu {
            config.iommus.clear();
        }
        if self.has_disk() {
            let disk = match &self.disk {
                Some(file) => format!("nvme,file={file}"),
                None => "nvme,size=64M".to_owned(),
            };
            config.devices.insert(0, disk.parse::<DeviceSpec>().or_exit(Exit::Usage)?);
        }
        Ok(config)
    }

    fn has_disk(&self) -> bool {
        self.disk.as_deref() != Some("none")
    }

    fn words(&self, mode: &Mode) -> Words {
        let interactive = *mode == Mode::Console && io::stdin().is_terminal();
        let terminal =
            interactive.then(|| Terminal { kind: env::var("TERM").ok(), size: terminal::size(io::stdout()) });
        Words { quiet: self.quiet, terminal, append: self.append.clone() }
    }

    fn boot(
        &self,
        mode: &Mode,
        machine: Machine,
        guest: &Guest,
        signals: &Signals,
        control: &mut Option<Server>,
        watch: &Watch,
    ) -> Finished {
        let (exec, timeout) = match mode {
            Mode::Exec(_) => (true, COMMAND_TIMEOUT),
            Mode::Console => (false, Duration::MAX),
        };
        let mut unseen = (exec && self.quiet).then(Tail::default);
        let mut trailer = Trailer::default();
        let lost = Cell::new(None);
        let print = |bytes: &[u8]| {
            if let Err(error) = write(&mut io::stdout().lock(), bytes) {
                lost.set(Some(error));
            }
        };
        let mut console = |bytes: &[u8]| {
            watch.text(bytes);
            match &mut unseen {
                Some(unseen) => unseen.push(bytes),
                // An error means that nobody wants to know.
                None if exec => drop(write(&mut io::stderr().lock(), bytes)),
                None => print(bytes),
            }
        };
        let mut output = |bytes: &[u8]| {
            watch.text(bytes);
            print(bytes);
        };
        let mut auxiliary = |bytes: &[u8]| trailer.push(bytes, &mut output);
        let outside = Outside {
            console: &mut console,
            auxiliary: &mut auxiliary,
            typed: !exec,
            signals: Some(signals),
            control,
            stats: self.backend.stats(),
        };
        let (limits, debugger) = (self.backend.limits(timeout), self.backend.debugger());
        let (machine, result) = soft::run(machine, self.backend.on_virt(guest), limits, debugger, outside);
        let status = match trailer.finish() {
            Ok(status) => Some(status),
            Err(rest) => {
                output(&rest);
                None
            }
        };
        Finished { machine, result, status, unseen, lost: lost.take() }
    }
}

/// What a guest that went off is worth, which may have told a status; `cut` says that somebody ended it.
fn value(mode: &Mode, status: Option<u8>, cut: bool) -> Result<Option<u32>, Failure> {
    match (mode, status) {
        (_, Some(status)) => Ok(Some(status.into())),
        (Mode::Console, None) => Ok(Some(0)),
        (Mode::Exec(_), None) if cut => {
            Err(Failure::new(Exit::GuestFailed, "the run was ended before the command was"))
        }
        (Mode::Exec(_), None) => {
            let why = "the guest went off without saying how the command ended; its console may say why";
            Err(Failure::new(Exit::Crashed, why))
        }
    }
}

/// Whether standard output has all that it should; else the error was `lost`.
fn whole(lost: Option<io::Error>) -> Result<(), Failure> {
    match lost {
        // Whoever has closed a pipe has read enough.
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let why = "cannot write the guest's output to standard output";
            Err(error).context(why).or_exit(Exit::Environment)
        }
        _ => Ok(()),
    }
}

/// How the process ends when the run has been judged.
fn judged(ended: Result<Exit, Failure>, status: Option<u8>) -> Result<Status, Failure> {
    match (ended, status) {
        // That it is not zero is no failure of ours, and nothing to say a word about.
        (Err(Failure { exit: Exit::GuestFailed, .. }), Some(status)) if status != 0 => {
            Ok(Status::Guest(status))
        }
        (Err(failure), _) => Err(failure),
        (Ok(Exit::Success), status) => Ok(Status::Guest(status.unwrap_or(0))),
        (Ok(exit), _) => Ok(Status::Own(exit)),
    }
}

/// Writes what the guest says. A guest goes on when nobody listens any more.
fn write(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes).and_then(|()| out.flush())
}
