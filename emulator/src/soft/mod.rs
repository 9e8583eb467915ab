//! Guests on software CPUs: AArch64, interpreted.
//!
//! A [`Soft`] holds the CPUs and the [`Board`] around them. The CPUs run a slice of instructions; machine
//! time is the number of instructions, each [`Options::instruction`] nanoseconds, and jumps to what is
//! due next where all CPUs wait. What is due in between is done at the CPUs' next access, or at the
//! next turn of a CPU, which is about a thousand instructions later at most. No host clock is read, so a run is a
//! function of machine and image.
//!
//! Firmware calls are answered by [`psci`]. What devices write to RAM reaches the CPUs' decoded code
//! through the board's write watch.

mod board;
mod machine;
pub mod psci;
mod state;
#[cfg(test)]
mod tests;
mod wires;

use std::ops::ControlFlow;
use std::sync::Arc;

use cpu::a64::{Cluster, Config, Features, Reason, Stop};
use cpu::interp::{CodeWatch, Conduit, Ram, RamError};
use devices::events::Time;
use thiserror::Error;

pub use board::{Board, PHYSICAL_TIMER, PMU, VIRTUAL_TIMER};
use psci::Firmware;
pub use state::{ProcessorsState, RestoreError};
use wires::{DeviceWrites, Pace, Wires};

/// CPUs of a machine at most.
pub const CPUS_MAX: usize = 8;
/// Instructions per tick of the system counter.
const PER_TICK: u64 = 16;
/// Instructions that a CPU runs before the next one has its turn.
const QUANTUM: u32 = 1000;
/// Nanoseconds of machine time between two looks at the console and the service.
const SLICE: u64 = 1_000_000;

/// What the CPUs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many, 1 to [`CPUS_MAX`].
    pub cpus: usize,
    /// What they implement; whether there is a GIC is the board's to say.
    pub features: Features,
    /// Nanoseconds that an instruction takes, 1 to 1000. The system counter ticks once in 16.
    pub instruction: u32,
}

impl Options {
    fn check(&self) -> Result<(), SoftError> {
        if !(1..=CPUS_MAX).contains(&self.cpus) {
            return Err(SoftError::Cpus(self.cpus));
        }
        if !(1..=1000).contains(&self.instruction) {
            return Err(SoftError::Instruction(self.instruction));
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { cpus: 1, features: Features::MAX, instruction: 1 }
    }
}

/// The CPUs cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SoftError {
    /// Too many CPUs, or none.
    #[error("{0} CPUs are not 1 to {CPUS_MAX}; ask for fewer or more")]
    Cpus(usize),
    /// An instruction takes no time, or too long.
    #[error("{0} ns per instruction are not 1 to 1000")]
    Instruction(u32),
    /// The machine's RAM does not fit.
    #[error(transparent)]
    Ram(#[from] RamError),
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It ended the run with this value; 0 means that all went well.
    Exited(u32),
    /// It switched the machine off (SYSTEM_OFF).
    Off,
    /// It asked for a reset (SYSTEM_RESET).
    Reset,
    /// No CPU is on any more.
    NoCpu,
    /// Machine time reached the limit first.
    TimedOut,
    /// The service between its slices, or a debugger, stopped it.
    Stopped,
}

/// Why a slice of a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Its time has come.
    Time,
    /// All CPUs wait: until this time, or for good unless something comes from outside.
    Idle(Option<Time>),
    /// The guest has ended.
    Ended(Ending),
    /// A stop that a debugger asked for.
    Debugger {
        /// The CPU that reached it.
        cpu: usize,
        /// Which.
        reason: Reason,
    },
}

/// Software CPUs on a board.
pub struct Soft<B> {
    cluster: Cluster,
    wires: Wires<B>,
    options: Options,
}

impl<B: Board> Soft<B> {
    /// CPUs on `board`, all off.
    ///
    /// # Errors
    /// [`SoftError`], with the board.
    pub fn new(board: B, options: &Options) -> Result<Self, (B, SoftError)> {
        let Options { cpus, features, instruction } = *options;
        let ram = match options.check().and_then(|()| Ok(Ram::new(board.memory())?)) {
            Ok(ram) => ram,
            Err(error) => return Err((board, error)),
        };
        let firmware = Firmware::new(cpus, ram.ranges().collect());
        let config = Config {
            cpus,
            features: Features { gic: board.has_gic(), ..features },
            conduit: Some(Conduit::Hvc),
            // At most 62.5 MHz.
            counter_frequency: (1_000_000_000 / (PER_TICK * u64::from(instruction))) as u32,
            time_per_tick: PER_TICK,
            quantum: QUANTUM,
        };
        let cluster = Cluster::new(ram, &config);
        board.watch(Arc::new(DeviceWrites(cluster.code_watch())));
        let pace = Pace { origin: board.now(), nanoseconds: u64::from(instruction) };
        Ok(Self { cluster, wires: Wires { board, firmware, pace }, options: *options })
    }

    /// Starts the first CPU at EL1 with the MMU off: at physical address `entry`, with `context` in X0.
    pub fn start(&mut self, entry: u64, context: u64) {
        self.cluster.start(0, entry, context);
        self.wires.firmware.set_on(0);
    }

    /// Runs until `until`, or longer by a page of instructions at most.
    pub fn run(&mut self, until: Time) -> Pause {
        let until = self.wires.pace.instructions(until);
        let stop = self.cluster.run(&mut self.wires, until);
        self.pause(stop)
    }

    /// As [`Self::run`], but where time would jump because all CPUs wait, this is over:
    /// [`Pause::Idle`]. To let it jump, run up to where.
    pub fn run_to_idle(&mut self, until: Time) -> Pause {
        let until = self.wires.pace.instructions(until);
        let stop = self.cluster.run_to_idle(&mut self.wires, until);
        self.pause(stop)
    }

    fn pause(&mut self, stop: Stop) -> Pause {
        self.settle();
        let request = self.wires.board.exit_request();
        match stop {
            Stop::Time | Stop::Idle { .. } if let Some(value) = request => {
                Pause::Ended(Ending::Exited(value))
            }
            Stop::Time => Pause::Time,
            Stop::Idle { due } => Pause::Idle(due.map(|due| self.wires.pace.time(due))),
            Stop::Firmware { .. } => Pause::Ended(self.wires.firmware.ending().unwrap_or(Ending::Stopped)),
            Stop::AllOff => Pause::Ended(Ending::NoCpu),
            Stop::Debugger { cpu, reason } => Pause::Debugger { cpu, reason },
        }
    }

    /// Runs one instruction of one CPU, and no other CPU meanwhile; false where that CPU is off or
    /// waits. A firmware call may end the run: see [`Self::ending`].
    pub fn step(&mut self, cpu: usize) -> bool {
        let ran = self.cluster.step(&mut self.wires, cpu);
        self.settle();
        ran
    }

    /// Brings the board's time up to that of the CPUs.
    fn settle(&mut self) {
        let time = self.cluster.time();
        self.wires.pass(time);
    }

    /// How a firmware call ended the run, once one has.
    pub fn ending(&self) -> Option<Ending> {
        self.wires.firmware.ending()
    }

    /// Machine time, as far as the CPUs have come.
    pub fn now(&self) -> Time {
        self.wires.pace.time(self.cluster.time())
    }

    /// Instructions that the CPUs have run; machine time also passes while all of them wait.
    pub fn instructions(&self) -> u64 {
        self.cluster.instructions()
    }

    /// How many CPUs there are.
    pub fn cpus(&self) -> usize {
        self.options.cpus
    }

    /// The CPUs.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The CPUs, for a debugger.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// What writes to RAM that no CPU makes must be reported to, unless the board's watch sees them.
    pub fn code_watch(&self) -> Arc<CodeWatch> {
        self.cluster.code_watch()
    }

    /// The board.
    pub fn board(&self) -> &B {
        &self.wires.board
    }

    /// The board, for its driver.
    pub fn board_mut(&mut self) -> &mut B {
        &mut self.wires.board
    }

    /// The board as the guest left it.
    pub fn into_board(self) -> B {
        self.wires.board
    }
}

/// Runs the guest to its end, or to `limit`; `console` is given its text as it comes, and `service` may
/// look at CPUs and board and change them in between, and stop the run by breaking.
pub fn run<B: Board>(
    soft: &mut Soft<B>,
    limit: Time,
    console: &mut dyn FnMut(&[u8]),
    service: &mut dyn FnMut(&mut Soft<B>) -> ControlFlow<()>,
) -> Ending {
    drive(soft, limit, console, service, None)
}

/// Lets the host rest while all CPUs wait: for so many nanoseconds, or for good (`None`) unless something
/// comes from outside. Returns how much machine time has passed, at most that.
pub type Rest<'a> = &'a mut dyn FnMut(Option<u64>) -> u64;

/// As [`run`], but while all CPUs wait, time passes as `rest` says instead of jumping.
pub fn run_resting<B: Board>(
    soft: &mut Soft<B>,
    limit: Time,
    console: &mut dyn FnMut(&[u8]),
    service: &mut dyn FnMut(&mut Soft<B>) -> ControlFlow<()>,
    rest: Rest<'_>,
) -> Ending {
    drive(soft, limit, console, service, Some(rest))
}

fn drive<B: Board>(
    soft: &mut Soft<B>,
    limit: Time,
    console: &mut dyn FnMut(&[u8]),
    service: &mut dyn FnMut(&mut Soft<B>) -> ControlFlow<()>,
    mut rest: Option<Rest<'_>>,
) -> Ending {
    loop {
        if service(soft).is_break() {
            return Ending::Stopped;
        }
        let now = soft.now();
        if now >= limit {
            return Ending::TimedOut;
        }
        let slice = now.after(SLICE).min(limit);
        let pause = if rest.is_some() { soft.run_to_idle(slice) } else { soft.run(slice) };
        let text = soft.board_mut().take_console();
        if !text.is_empty() {
            console(&text);
        }
        let pause = match (pause, &mut rest) {
            (Pause::Idle(due), Some(rest)) => {
                let now = soft.now();
                let passed = rest(due.map(|due| due.0.saturating_sub(now.0)));
                // Nothing but time passes here: no CPU wakes before all of it has.
                soft.run(now.after(passed).min(limit))
            }
            (pause, _) => pause,
        };
        match pause {
            Pause::Time | Pause::Idle(_) => {}
            Pause::Ended(ending) => return ending,
            // Nobody asked for a stop here: what a debugger has left does not count.
            Pause::Debugger { cpu, .. } => {
                soft.step(cpu);
            }
        }
    }
}
