//! What runs a guest: the choice, and the run.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::{Args, ValueEnum};
use emulator::boot;
use emulator::control::Server;
use emulator::exit::Exit;
use emulator::hosted::{self, Ending};
use emulator::machine::Machine;

use super::{Failure, duration};

/// Options of every guest run.
#[derive(Debug, Args)]
pub struct BackendArgs {
    /// What runs the guest
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    cpu: Cpu,
    /// Stop the guest after this many seconds: of the host's time, for a hosted guest of the machine's
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: u64,
    /// Stop the guest at this machine time too, such as 10ms or 2s (without a unit: nanoseconds)
    ///
    /// A hosted guest stops at the same place each time. On KVM machine time follows the host's.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout_machine: Option<u64>,
}

impl Default for BackendArgs {
    fn default() -> Self {
        Self { cpu: Cpu::Auto, timeout: 60, timeout_machine: None }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Cpu {
    /// KVM if it works here, else hosted if the guest is one of our own
    #[default]
    Auto,
    /// The host's processor, by KVM (x86-64 Linux)
    Kvm,
    /// The guest's own code in this process (our own guests only)
    Hosted,
}

/// What a run is of.
#[cfg_attr(
    not(all(target_arch = "x86_64", target_os = "linux")),
    allow(dead_code, reason = "no back end of this host runs images")
)]
pub struct Guest {
    /// An ELF64 executable or a multiboot image.
    pub image: Cow<'static, [u8]>,
    /// Its name, for a command line that begins with it.
    pub name: String,
    /// Files for a multiboot guest, and their strings.
    pub modules: Vec<(Vec<u8>, String)>,
    /// The program that can run in this process, if it is one of ours.
    pub program: Option<&'static str>,
    /// Words for the guest.
    pub command_line: String,
}

/// A back end that can run the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Kvm,
    Hosted(&'static str),
}

impl Backend {
    /// Its name, as `--cpu` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Hosted(_) => "hosted",
        }
    }
}

impl BackendArgs {
    /// Chooses, and says on standard error what and why. The choice holds for the whole run.
    pub fn choose(&self, guest: &Guest) -> Result<Backend, Failure> {
        let hosted = guest.program.map(Backend::Hosted);
        let chosen = match self.cpu {
            Cpu::Kvm => {
                kvm::probe().map(|()| Backend::Kvm).map_err(|why| Failure::new(Exit::Environment, why))?
            }
            Cpu::Hosted => hosted.ok_or_else(|| {
                let known = guests::programs::NAMES.join(", ");
                Failure::new(
                    Exit::CannotRun,
                    format!("--cpu hosted runs only the built-in guests: {known}; use --cpu kvm for others"),
                )
            })?,
            Cpu::Auto => match (kvm::probe(), hosted) {
                (Ok(()), _) => Backend::Kvm,
                (Err(why), Some(hosted)) => {
                    eprintln!("iommulator: KVM is not used: {why}");
                    hosted
                }
                (Err(why), None) => {
                    let why = format!("{why}; without KVM only the built-in guests run");
                    return Err(Failure::new(Exit::Environment, why));
                }
            },
        };
        eprintln!(
            "iommulator: the guest runs {}",
            match chosen {
                Backend::Kvm => "on KVM",
                Backend::Hosted(_) => "hosted, in this process",
            }
        );
        Ok(chosen)
    }

    /// Runs the guest to its end on a machine with resources assigned, serving `control` meanwhile;
    /// returns the machine and the guest's exit value, which is 0 where a client ended the run.
    pub fn run(
        &self,
        backend: Backend,
        machine: Machine,
        guest: &Guest,
        control: &mut Option<Server>,
        console: impl FnMut(&[u8]) + Send + 'static,
    ) -> (Machine, Result<u32, Failure>) {
        let timeout = Duration::from_secs(self.timeout);
        // Both back ends bound machine time by it, from the start of the run.
        let timeout = self.timeout_machine.map_or(timeout, |limit| timeout.min(Duration::from_nanos(limit)));
        match backend {
            Backend::Kvm => kvm::run(machine, guest, timeout, control, console),
            Backend::Hosted(program) => run_hosted(machine, guest, program, timeout, control, console),
        }
    }
}

fn run_hosted(
    machine: Machine,
    guest: &Guest,
    program: &str,
    timeout: Duration,
    control: &mut Option<Server>,
    mut console: impl FnMut(&[u8]),
) -> (Machine, Result<u32, Failure>) {
    // A day of nanoseconds fits.
    let limit = machine.now().after(timeout.as_nanos() as u64);
    // The program has no image to load, but the machine around it is the same.
    if let Err(error) = boot::write_tables(&machine) {
        return (machine, Err(Failure { exit: Exit::Usage, error: error.into() }));
    }
    let options = hosted::Options { command_line: &guest.command_line, limit };
    let mut service = |machine: &mut Machine| match control {
        Some(server) => server.serve(machine),
        None => ControlFlow::Continue(()),
    };
    let finished = hosted::run_with(machine, options, &mut console, &mut service, |hw| {
        guests::programs::run(program, hw).unwrap_or(guests::programs::FAILED)
    });
    let result = match finished.ending {
        Ending::Exited(value) => Ok(value),
        Ending::Stopped => Ok(0),
        Ending::TimedOut => {
            let why = format!(
                "the guest did not end within {timeout:?} of machine time; raise --timeout or --timeout-machine"
            );
            Err(Failure::new(Exit::Timeout, why))
        }
    };
    (finished.machine, result)
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod kvm {
    use emulator::control::Controlled;
    use emulator::kvm::{self, Limits};
    use firmware::multiboot::Module;

    use super::*;

    pub fn probe() -> anyhow::Result<()> {
        Ok(kvm::probe()?)
    }

    pub fn run(
        machine: Machine,
        guest: &Guest,
        timeout: Duration,
        control: &mut Option<Server>,
        console: impl FnMut(&[u8]) + Send + 'static,
    ) -> (Machine, Result<u32, Failure>) {
        let Guest { image, name, modules, program: _, command_line } = guest;
        let modules: Vec<_> =
            modules.iter().map(|(bytes, command_line)| Module { bytes, command_line }).collect();
        let boot = match boot::start(&machine, boot::Guest { image, name, command_line, modules: &modules }) {
            Ok(boot) => boot,
            Err(error) => return (machine, Err(Failure { exit: Exit::Usage, error: error.into() })),
        };
        let limits = Limits { timeout };
        let (machine, end) = match control.take() {
            None => {
                let finished = kvm::run(machine, &boot, limits, console);
                (finished.platform, finished.end)
            }
            Some(server) => {
                let finished = kvm::run(Controlled::new(machine, server), &boot, limits, console);
                let (machine, server) = finished.platform.into_parts();
                *control = Some(server);
                (machine, finished.end)
            }
        };
        (machine, end.map_err(|error| Failure { exit: error.exit(), error: error.into() }))
    }
}

/// Stands in where there is no KVM for x86-64 guests.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod kvm {
    use super::*;

    pub fn probe() -> anyhow::Result<()> {
        Err(absent())
    }

    pub fn run(
        machine: Machine,
        _: &Guest,
        _: Duration,
        _: &mut Option<Server>,
        _: impl FnMut(&[u8]) + Send + 'static,
    ) -> (Machine, Result<u32, Failure>) {
        (machine, Err(Failure { exit: Exit::Environment, error: absent() }))
    }

    fn absent() -> anyhow::Error {
        anyhow::anyhow!("KVM runs x86-64 guests on x86-64 Linux hosts only")
    }
}
