//! The software CPU back end, with or without a debugger.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context;
use emulator::boot;
use emulator::config::{MachineSpec, VirtSpec};
use emulator::control::Server;
use emulator::exit::Exit;
use emulator::gdb::{self, Left, Listener};
use emulator::machine::Machine;
use emulator::soft::{self, Ending, Options, Soft};

use super::{Failure, OrExit};

/// What bounds a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the host's time; what a debugger takes is not counted.
    pub host: Duration,
    /// Nanoseconds of machine time.
    pub machine: Option<u64>,
}

/// Runs an AArch64 image to its end; `gdb` is the port of a debugger that is to begin.
pub fn run(
    machine: Machine,
    guest: boot::aarch64::Guest<'_>,
    limits: Limits,
    gdb: Option<u16>,
    control: &mut Option<Server>,
    mut console: impl FnMut(&[u8]),
) -> (Machine, Result<u32, Failure>) {
    let start = match boot::aarch64::start(&machine, guest) {
        Ok(start) => start,
        Err(error) => return (machine, Err(Failure { exit: Exit::Usage, error: error.into() })),
    };
    let MachineSpec::Virt(VirtSpec { cpus }) = machine.config().machine else {
        return (machine, Err(Failure::new(Exit::CannotRun, "the software CPU is for --machine virt")));
    };
    let options = Options { cpus: usize::from(cpus), ..Options::default() };
    let mut soft = match Soft::new(machine, &options) {
        Ok(soft) => soft,
        Err((machine, error)) => return (machine, Err(Failure { exit: Exit::Usage, error: error.into() })),
    };
    soft.start(start.entry, start.tree);
    let limit = limits.machine.map_or(devices::events::Time::MAX, |limit| soft.now().after(limit));
    // Since when the guest runs by itself.
    let alone = Cell::new(gdb.is_none().then(Instant::now));
    let mut too_long = false;
    let mut service = |machine: &mut Machine| {
        too_long = alone.get().is_some_and(|since| since.elapsed() >= limits.host);
        match control {
            _ if too_long => ControlFlow::Break(()),
            Some(server) => server.serve(machine),
            None => ControlFlow::Continue(()),
        }
    };
    let ending = match gdb {
        None => Ok(soft::run(&mut soft, limit, &mut console, &mut service)),
        Some(port) => wait_for_debugger(port).map(|connection| {
            let left = |left: &Left| {
                alone.set(Some(Instant::now()));
                tell(left);
            };
            gdb::run(&mut soft, options.cpus, connection, limit, &mut console, &mut service, left)
        }),
    };
    let result = ending.and_then(|ending| value(ending, too_long));
    (soft.into_board(), result)
}

fn wait_for_debugger(port: u16) -> Result<std::net::TcpStream, Failure> {
    let listener = Listener::bind(port)
        .with_context(|| format!("cannot listen on TCP port {port} for a debugger; name another with --gdb"))
        .or_exit(Exit::Environment)?;
    let address = listener.address().or_exit(Exit::Environment)?;
    eprintln!(
        "iommulator: waiting for a debugger at {address}; for example: gdb-multiarch -ex 'target remote {address}'"
    );
    listener.accept().context("cannot take the debugger's connection").or_exit(Exit::Environment)
}

fn tell(left: &Left) {
    match left {
        Left::Ended(_) => {}
        Left::Detached => eprintln!("iommulator: the debugger has detached; the guest goes on"),
        Left::Lost(why) => eprintln!("iommulator: the debugger is gone ({why}); the guest goes on"),
    }
}

/// The guest's exit value.
fn value(ending: Ending, too_long: bool) -> Result<u32, Failure> {
    let timeout = || {
        let why = "the guest did not end in time; raise --timeout or --timeout-machine";
        Err(Failure::new(Exit::Timeout, why))
    };
    match ending {
        Ending::Exited(value) => Ok(value),
        Ending::Stopped if too_long => timeout(),
        Ending::Off | Ending::Stopped => Ok(0),
        Ending::TimedOut => timeout(),
        Ending::Reset => Err(Failure::new(Exit::Crashed, "the guest asked for a reset of the machine")),
        Ending::NoCpu => Err(Failure::new(Exit::Crashed, "the guest has switched all its CPUs off")),
    }
}
