//! The software CPU back end, with or without a debugger.

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
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
use rustix::fd::BorrowedFd;
use rustix::stdio::stdin;

use super::signals::Signals;
use super::terminal::{self, Input, Step};
use super::{Failure, OrExit};

/// What bounds a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the host's time; what a debugger takes is not counted.
    pub host: Duration,
    /// Nanoseconds of machine time.
    pub machine: Option<u64>,
}

/// What a guest's UARTs are connected to, and what else comes from outside.
pub struct Outside<'a> {
    /// Takes what the guest sends to its console.
    pub console: &'a mut dyn FnMut(&[u8]),
    /// Takes what it sends to its auxiliary UART.
    pub auxiliary: &'a mut dyn FnMut(&[u8]),
    /// Whether standard input is typed on the console. If so, machine time follows the host's while the
    /// guest waits.
    pub typed: bool,
    /// Signals that end the run, caught from when the guest runs.
    pub signals: Option<&'a Signals>,
    /// Commands for the machine.
    pub control: &'a mut Option<Server>,
    /// Whether to say at the end how fast the guest ran.
    pub stats: bool,
}

/// Runs an AArch64 image to its end; `gdb` is the port of a debugger that is to begin. Where a signal, a
/// client or the user ends it, its value is 0.
pub fn run(
    machine: Machine,
    guest: boot::aarch64::Guest<'_>,
    limits: Limits,
    gdb: Option<u16>,
    outside: Outside<'_>,
) -> (Machine, Result<u32, Failure>) {
    match start(machine, guest) {
        Ok(soft) => go_on(soft, limits, gdb, outside),
        Err(unstarted) => (unstarted.0, Err(unstarted.1)),
    }
}

/// The image on a processor that is about to run it.
fn start(
    machine: Machine,
    guest: boot::aarch64::Guest<'_>,
) -> Result<Soft<Machine>, Box<(Machine, Failure)>> {
    let start = match boot::aarch64::start(&machine, guest) {
        Ok(start) => start,
        Err(error) => return Err(Box::new((machine, Failure { exit: Exit::Usage, error: error.into() }))),
    };
    let MachineSpec::Virt(VirtSpec { cpus }) = machine.config().machine else {
        let failure = Failure::new(Exit::CannotRun, "the software CPU is for --machine virt");
        return Err(Box::new((machine, failure)));
    };
    let options = Options { cpus: usize::from(cpus), ..Options::default() };
    let mut soft = match Soft::new(machine, &options) {
        Ok(soft) => soft,
        Err((machine, error)) => {
            return Err(Box::new((machine, Failure { exit: Exit::Usage, error: error.into() })));
        }
    };
    soft.start(start.entry, start.tree);
    Ok(soft)
}

/// As [`run`], for a guest that has begun.
pub fn go_on(
    mut soft: Soft<Machine>,
    limits: Limits,
    gdb: Option<u16>,
    outside: Outside<'_>,
) -> (Machine, Result<u32, Failure>) {
    let Outside { console, auxiliary, typed, signals, control, stats } = outside;
    let (debugger, input) = match attach(gdb, typed, signals) {
        Ok(attached) => attached,
        Err(failure) => return (soft.into_board(), Err(failure)),
    };
    let (begun, before) = (Instant::now(), soft.instructions());
    let limit = limits.machine.map_or(devices::events::Time::MAX, |limit| soft.now().after(limit));
    // Since when the guest runs by itself.
    let alone = Cell::new(gdb.is_none().then(Instant::now));
    let mut too_long = false;
    let mut service = |soft: &mut Soft<Machine>| {
        let machine = soft.board_mut();
        take_auxiliary(machine, auxiliary);
        too_long = alone.get().is_some_and(|since| since.elapsed() >= limits.host);
        if too_long || signals.is_some_and(Signals::any) {
            return ControlFlow::Break(());
        }
        if let Some(input) = &input {
            type_input(&mut input.borrow_mut(), machine)?;
        }
        match control {
            Some(server) => server.serve(soft),
            None => ControlFlow::Continue(()),
        }
    };
    let ending = match (debugger, &input) {
        (None, None) => soft::run(&mut soft, limit, console, &mut service),
        (None, Some(input)) => {
            let rest = &mut |wait| input.borrow_mut().rest(wait);
            soft::run_resting(&mut soft, limit, console, &mut service, rest)
        }
        (Some(connection), _) => {
            let left = |left: &Left| {
                alone.set(Some(Instant::now()));
                tell(left);
            };
            let cpus = soft.cpus();
            gdb::run(&mut soft, cpus, connection, limit, console, &mut service, left)
        }
    };
    let result = value(ending, too_long);
    if stats {
        tell_speed(soft.instructions() - before, begun.elapsed());
    }
    let mut machine = soft.into_board();
    take_auxiliary(&mut machine, auxiliary);
    (machine, result)
}

/// Says how fast a guest ran; what it skipped while all processors waited does not count.
fn tell_speed(instructions: u64, elapsed: Duration) {
    let (millions, seconds) = (instructions as f64 / 1e6, elapsed.as_secs_f64());
    tell!(
        "iommulator: {millions:.0} million instructions in {seconds:.2} s: {:.0} million a second",
        millions / seconds.max(1e-6)
    );
}

/// Waits for the debugger, if there is to be one; from then on the terminal is the guest's.
fn attach(gdb: Option<u16>, typed: bool, signals: Option<&Signals>) -> Result<Attached, Failure> {
    let debugger = gdb.map(wait_for_debugger).transpose()?;
    if let Some(signals) = signals {
        signals.catch().context("cannot wait for signals").or_exit(Exit::Environment)?;
    }
    let input = typed.then(|| Input::new(stdin())).transpose();
    let input = input.context("cannot use the terminal").or_exit(Exit::Environment)?;
    if input.as_ref().is_some_and(Input::is_terminal) {
        tell!("iommulator: Ctrl-a x leaves, Ctrl-a h helps");
    }
    Ok((debugger, input.map(RefCell::new)))
}

/// A debugger's connection and what is typed.
type Attached = (Option<TcpStream>, Option<RefCell<Input<BorrowedFd<'static>>>>);

fn take_auxiliary(machine: &mut Machine, auxiliary: &mut dyn FnMut(&[u8])) {
    let sent = machine.take_auxiliary();
    if !sent.is_empty() {
        auxiliary(&sent);
    }
}

/// Types what has come in; breaks where the user wants to leave.
fn type_input(input: &mut Input<BorrowedFd<'static>>, machine: &mut Machine) -> ControlFlow<()> {
    let step = input.serve(machine.now(), |bytes| {
        if machine.is_console_listening() { machine.type_console(bytes) } else { 0 }
    });
    match step {
        Step::Continue => ControlFlow::Continue(()),
        Step::Help => {
            tell!("\n{}", terminal::HELP.trim_end());
            ControlFlow::Continue(())
        }
        Step::Leave => ControlFlow::Break(()),
    }
}

fn wait_for_debugger(port: u16) -> Result<TcpStream, Failure> {
    let listener = Listener::bind(port)
        .with_context(|| format!("cannot listen on TCP port {port} for a debugger; name another with --gdb"))
        .or_exit(Exit::Environment)?;
    let address = listener.address().or_exit(Exit::Environment)?;
    tell!(
        "iommulator: waiting for a debugger at {address}; for example: gdb-multiarch -ex 'target remote {address}'"
    );
    listener.accept().context("cannot take the debugger's connection").or_exit(Exit::Environment)
}

fn tell(left: &Left) {
    match left {
        Left::Ended(_) => {}
        Left::Detached => tell!("iommulator: the debugger has detached; the guest goes on"),
        Left::Lost(why) => tell!("iommulator: the debugger is gone ({why}); the guest goes on"),
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
