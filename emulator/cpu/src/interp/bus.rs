//! Everything around a CPU that is not RAM.

use serde::{Deserialize, Serialize};

/// Who calls the bus, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Index of the CPU.
    pub cpu: usize,
    /// Instructions retired by all CPUs so far, plus what was skipped while idle.
    pub time: u64,
}

/// Nothing answers at an address: the access ends in a synchronous external abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing answers at this address")]
pub struct BusError;

/// Interrupt lines of one CPU, as levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// IRQ.
    pub irq: bool,
    /// FIQ.
    pub fiq: bool,
    /// A pending SError with its 25-bit syndrome. It stays pending until the CPU has taken it and
    /// called [`Bus::serror_taken`].
    pub serror: Option<u32>,
}

/// The instruction that made a firmware call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conduit {
    /// HVC.
    Hvc,
    /// SMC.
    Smc,
}

/// What a firmware call does to the CPUs, besides its results in the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// Go on behind the call.
    Return,
    /// Go on behind the call, and start another CPU at `entry` in EL1 with `context` in X0. One
    /// that is on already stays as it is: it is the machine that knows which are, and tells the
    /// caller.
    Start {
        /// Index of the CPU to start.
        cpu: usize,
        /// Physical address of its first instruction.
        entry: u64,
        /// Its X0.
        context: u64,
    },
    /// This CPU is off until it is started again.
    Off,
    /// This CPU waits as by WFI, then goes on behind the call.
    Suspend,
    /// The run ends: the machine is to be reset or switched off.
    Stop,
}

/// The machine around a CPU.
///
/// Calls happen between instructions, in program order. `size` is 1, 2, 4 or 8 bytes and `address`
/// is a multiple of it.
pub trait Bus {
    /// Reads a device register.
    ///
    /// # Errors
    /// [`BusError`] where nothing answers.
    fn read(&mut self, at: At, address: u64, size: u8) -> Result<u64, BusError>;

    /// Writes a device register.
    ///
    /// # Errors
    /// [`BusError`] where nothing answers.
    fn write(&mut self, at: At, address: u64, size: u8, value: u64) -> Result<(), BusError>;

    /// The levels of a CPU's interrupt lines. Asked at the start of every quantum and after each
    /// other call.
    fn lines(&mut self, at: At) -> Lines;

    /// When something is due that may change an interrupt line, in the units of [`At::time`]. Asked
    /// while all CPUs wait: time jumps no further than there, and [`Self::lines`] is asked at that time.
    fn next_event(&mut self) -> Option<u64> {
        None
    }

    /// Whether a device has sent an event to all CPUs since the last call, as the instruction SEV does.
    /// Asked after [`Self::lines`] at the start of every quantum.
    fn take_event(&mut self, _at: At) -> bool {
        false
    }

    /// The pending SError was taken.
    fn serror_taken(&mut self, _at: At) {}

    /// The output of a CPU's generic timer changed. `timer` is 0 for the virtual and 1 for the
    /// physical timer.
    fn timer_line(&mut self, _at: At, _timer: usize, _level: bool) {}

    /// The level of a CPU's performance monitor interrupt changed.
    fn pmu_line(&mut self, _at: At, _level: bool) {}

    /// Reads a register of the GIC's CPU interface (`ICC_*_EL1`), by its encoding
    /// `op0:op1:CRn:CRm:op2` (2, 3, 4, 4 and 3 bits). `None` where the machine has no such
    /// register: the access is undefined.
    fn gic_read(&mut self, _at: At, _register: u16) -> Option<u64> {
        None
    }

    /// Writes a register of the GIC's CPU interface; `None` as for reads.
    fn gic_write(&mut self, _at: At, _register: u16, _value: u64) -> Option<()> {
        None
    }

    /// A firmware call by the SMC calling convention: X0 to X17 in, results out.
    fn firmware_call(&mut self, at: At, conduit: Conduit, x: &mut [u64; 18]) -> CallOutcome;
}
