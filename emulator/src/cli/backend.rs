//! What runs a guest: the choice, and the run.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::{Args, ValueEnum};
use emulator::boot::{self, aarch64::Firmware};
use emulator::config::MachineSpec;
use emulator::control::Server;
use emulator::exit::Exit;
use emulator::hosted::{self, Ending};
use emulator::machine::Machine;
use emulator::soft::Soft;

use super::{Failure, duration, soft};

/// Seconds that a guest has if no option says otherwise.
const TIMEOUT: u64 = 60;

/// Options of every guest run.
#[derive(Debug, Args)]
pub struct BackendArgs {
    /// What runs the guest
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    cpu: Cpu,
    /// Stop the guest after this many seconds: of the host's time, for a hosted guest of the machine's
    /// [default: 60; for a command in Linux 600, for a shell none]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: Option<u64>,
    /// Stop the guest at this machine time too, such as 10ms or 2s (without a unit: nanoseconds)
    ///
    /// A hosted guest, or one on the software processor, stops at the same place each time. On KVM
    /// machine time follows the host's.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout_machine: Option<u64>,
    /// Wait for a debugger on this TCP port of the loopback interface before the guest begins (0: any)
    ///
    /// For guests on the software processor. It speaks GDB's remote protocol: 'target remote :PORT'.
    /// --timeout counts from when it has left.
    #[arg(long, value_name = "PORT")]
    gdb: Option<u16>,
    /// Tell the guest of the machine by ACPI tables, as UEFI hands them over, and not by a device tree
    ///
    /// For Linux on the board virt. There are no runtime services of UEFI: kernels before 5.7 need
    /// efi=noruntime.
    #[arg(long)]
    acpi: bool,
    /// Say at the end how many instructions the software processor has run, and how fast
    #[arg(long)]
    stats: bool,
}

impl Default for BackendArgs {
    fn default() -> Self {
        Self { cpu: Cpu::Auto, timeout: None, timeout_machine: None, gdb: None, acpi: false, stats: false }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Cpu {
    /// KVM if it works here, else hosted if the guest is one of our own; on the board virt, soft
    #[default]
    Auto,
    /// The host's processor, by KVM (x86-64 Linux)
    Kvm,
    /// The guest's own code in this process (our own guests only)
    Hosted,
    /// The emulator's own AArch64 processor (on the board virt)
    Soft,
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
    /// An initial RAM disk, for a guest on the board virt.
    pub initrd: Option<Vec<u8>>,
}

/// A back end that can run the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Kvm,
    Hosted(&'static str),
    Soft,
}

impl Backend {
    /// Its name, as `--cpu` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Hosted(_) => "hosted",
            Self::Soft => "soft",
        }
    }
}

impl BackendArgs {
    /// Chooses, and says on standard error what and why. The choice holds for the whole run.
    pub fn choose(&self, guest: &Guest, board: &MachineSpec) -> Result<Backend, Failure> {
        let chosen = match board {
            MachineSpec::Q35(_) => self.choose_for_pc(guest),
            MachineSpec::Virt(_) => self.choose_for_virt(guest),
        }?;
        if guest.initrd.is_some() && chosen != Backend::Soft {
            return Err(Failure::new(Exit::Usage, "--initrd is for guests on --machine virt; leave it out"));
        }
        if self.acpi && chosen != Backend::Soft {
            let why = "--acpi is for guests on the software processor: use --machine virt --cpu soft";
            return Err(Failure::new(Exit::Usage, why));
        }
        if self.gdb.is_some() && chosen != Backend::Soft {
            let why = "--gdb works with the software processor only: use --machine virt --cpu soft";
            return Err(Failure::new(Exit::Usage, why));
        }
        tell!(
            "iommulator: the guest runs {}",
            match chosen {
                Backend::Kvm => "on KVM",
                Backend::Hosted(_) => "hosted, in this process",
                Backend::Soft => "on the software processor",
            }
        );
        Ok(chosen)
    }

    fn choose_for_virt(&self, guest: &Guest) -> Result<Backend, Failure> {
        let refused = |why: &str| Err(Failure::new(Exit::CannotRun, why));
        let hosted = guest.program.filter(|program| guests::programs::FOR_VIRT.contains(program));
        match self.cpu {
            Cpu::Kvm => refused("--cpu kvm runs x86-64 guests only; use --cpu soft on the board virt"),
            Cpu::Hosted => hosted.map(Backend::Hosted).ok_or_else(|| {
                let known = guests::programs::FOR_VIRT.join(", ");
                let why =
                    format!("--cpu hosted runs on the board virt only {known}; use --cpu soft for others");
                Failure::new(Exit::CannotRun, why)
            }),
            Cpu::Auto | Cpu::Soft if firmware::aarch64::is_image(&guest.image) => Ok(Backend::Soft),
            Cpu::Auto | Cpu::Soft => refused(
                "the board virt runs AArch64 images (ELF64 executables, Linux 'Image' files, such ones compressed), \
                 and this is none; \
                 use --machine q35 for x86-64",
            ),
        }
    }

    fn choose_for_pc(&self, guest: &Guest) -> Result<Backend, Failure> {
        if firmware::aarch64::is_image(&guest.image) {
            return Err(Failure::new(Exit::CannotRun, "this is an AArch64 image; use --machine virt"));
        }
        let hosted = guest.program.filter(|program| guests::programs::FOR_PC.contains(program));
        let hosted = hosted.map(Backend::Hosted);
        let chosen = match self.cpu {
            Cpu::Kvm => {
                kvm::probe().map(|()| Backend::Kvm).map_err(|why| Failure::new(Exit::Environment, why))?
            }
            Cpu::Hosted => hosted.ok_or_else(|| {
                let known = guests::programs::FOR_PC.join(", ");
                Failure::new(
                    Exit::CannotRun,
                    format!("--cpu hosted runs only the built-in guests: {known}; use --cpu kvm for others"),
                )
            })?,
            Cpu::Soft => {
                let why = "the software processor is an AArch64 one; use it with --machine virt";
                return Err(Failure::new(Exit::CannotRun, why));
            }
            Cpu::Auto => match (kvm::probe(), hosted) {
                (Ok(()), _) => Backend::Kvm,
                (Err(why), Some(hosted)) => {
                    tell!("iommulator: KVM is not used: {why}");
                    hosted
                }
                (Err(why), None) => {
                    let why = format!("{why}; without KVM only the built-in guests run");
                    return Err(Failure::new(Exit::Environment, why));
                }
            },
        };
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
        let timeout = Duration::from_secs(self.timeout.unwrap_or(TIMEOUT));
        // What bounds the host's time too bounds machine time, from the start of the run.
        let both = self.timeout_machine.map_or(timeout, |limit| timeout.min(Duration::from_nanos(limit)));
        match backend {
            Backend::Kvm => kvm::run(machine, guest, both, control, console),
            Backend::Hosted(program) => run_hosted(machine, guest, program, both, control, console),
            Backend::Soft => {
                let limits = self.limits(timeout);
                let mut console = console;
                let outside = soft::Outside {
                    console: &mut console,
                    // Nobody listens there.
                    auxiliary: &mut |_| {},
                    typed: false,
                    signals: None,
                    control,
                    stats: self.stats,
                };
                soft::run(machine, self.on_virt(guest), limits, self.gdb, outside)
            }
        }
    }

    /// The guest as firmware of a virt starts it.
    pub fn on_virt<'a>(&self, guest: &'a Guest) -> boot::aarch64::Guest<'a> {
        let firmware = if self.acpi { Firmware::Acpi } else { Firmware::Tree };
        let Guest { image, command_line, initrd, .. } = guest;
        boot::aarch64::Guest { image, command_line, initrd: initrd.as_deref(), firmware }
    }

    /// Runs a guest that has begun on the software processor, as [`Self::run`] does.
    pub fn go_on(
        &self,
        soft: Soft<Machine>,
        control: &mut Option<Server>,
        mut console: impl FnMut(&[u8]),
    ) -> (Machine, Result<u32, Failure>) {
        let outside = soft::Outside {
            console: &mut console,
            auxiliary: &mut |_| {},
            typed: false,
            signals: None,
            control,
            stats: self.stats,
        };
        soft::go_on(soft, self.limits(Duration::from_secs(TIMEOUT)), self.gdb, outside)
    }

    /// Refuses a processor other than the software one, which alone can go on with a saved run.
    pub fn check_restored(&self) -> Result<(), Failure> {
        match self.cpu {
            Cpu::Auto | Cpu::Soft => Ok(()),
            Cpu::Kvm | Cpu::Hosted => {
                let why = "a saved run goes on with the software processor only; leave --cpu out";
                Err(Failure::new(Exit::CannotRun, why))
            }
        }
    }

    /// Whether to say at the end how fast the guest ran.
    pub const fn stats(&self) -> bool {
        self.stats
    }

    /// What bounds a run on the software processor: the host's time by this if no option says so.
    pub fn limits(&self, timeout: Duration) -> soft::Limits {
        soft::Limits {
            host: self.timeout.map_or(timeout, Duration::from_secs),
            machine: self.timeout_machine,
        }
    }

    /// The port of a debugger, if there is to be one.
    pub const fn debugger(&self) -> Option<u16> {
        self.gdb
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
    // The program has no image to load, but the machine around it is the same: a PC's firmware leaves
    // tables in memory, which a device may find.
    if let MachineSpec::Q35(_) = machine.config().machine
        && let Err(error) = boot::write_tables(&machine)
    {
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
        let Guest { image, name, modules, program: _, command_line, initrd: _ } = guest;
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
