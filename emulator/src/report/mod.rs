//! What a run comes to, for programs that judge it: expectations, reports, and the bundle that a
//! failed run leaves behind.
//!
//! A [`Watch`] hears what happens in the machine and what the guest says, and holds both against
//! [`Rules`]. A [`Summary`] of what it saw is written as JSON or JUnit XML.
//!
//! A fault counts when the hardware reports it, whether or not a fault record was free. One that
//! FPD = 1 suppresses is not reported to software, so it neither meets an expectation nor breaks
//! `--deny-faults`; reports list it all the same. So it is with an event of an SMMU that CR2.RECINVSID = 0
//! keeps from being recorded. A fault that its CD or STE says not to record is none: the unit tells nobody.
//!
//! Invariants: a guest decides how much happens, never how much is kept. Counts are exact; lists and
//! texts are cut at the limits below, and say so.

pub mod bundle;
mod expectation;
mod faults;
mod json;
mod junit;
#[cfg(test)]
mod tests;
mod watch;

use devices::events::Time;

use crate::config::MachineConfig;
use crate::exit::Exit;
pub use expectation::{Expectation, ExpectationError, Master};
pub use faults::{Faults, Rules, SeenFault};
pub use json::to_json;
pub use junit::to_junit;
pub use watch::{Check, CheckOutcome, Seen, Watch};

/// Faults listed one by one; later ones are counted.
pub const MAX_FAULTS: usize = 1000;
/// Uses of stale entries listed one by one.
pub const MAX_STALE: usize = 100;
/// Checks of the guest listed one by one.
pub const MAX_CHECKS: usize = 10_000;
/// Bytes kept of the console: the last ones.
pub const MAX_CONSOLE: usize = 1 << 20;

/// A run that is over.
#[derive(Debug)]
pub struct Summary<'a> {
    /// What ran: the guest's name, or `script`.
    pub name: &'a str,
    /// The words of the command line that started it.
    pub command: &'a [String],
    /// What ran the guest.
    pub driver: &'a str,
    /// The machine.
    pub machine: &'a MachineConfig,
    /// Machine time at the end.
    pub time: Time,
    /// How the process will end.
    pub exit: Exit,
    /// What went wrong with the run itself: its guest reported failure or did not get to its end.
    /// Broken rules are not in here.
    pub failure: Option<&'a str>,
    /// The value that the guest ended with, if it did.
    pub value: Option<u32>,
    /// What the watch saw.
    pub seen: &'a Seen,
}

impl Exit {
    /// A word for reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "passed",
            Self::GuestFailed => "failed",
            Self::Usage => "usage",
            Self::Environment => "environment",
            Self::CannotRun => "cannot-run",
            Self::Timeout => "timeout",
            Self::Crashed => "crashed",
        }
    }
}
