//! What the process tells its caller: one number per kind of ending.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for happened; of a guest, all its checks held.
    Success,
    /// The guest ran to its end and reported failure, or its run broke a rule such as `--expect`.
    GuestFailed,
    /// The command line, the machine it describes, or a command of a script is not valid.
    Usage,
    /// The host lacks what was asked for, such as KVM, a file or memory.
    Environment,
    /// The chosen back end cannot run this guest's instructions.
    CannotRun,
    /// The time limit passed before the guest ended.
    Timeout,
    /// The guest crashed: on x86-64, a triple fault.
    Crashed,
}

impl Exit {
    /// The table for `--help`.
    pub const HELP: &'static str = "\
Exit codes:
  0  success: all checks and expectations held
  1  the guest reported failure, or --expect or --deny-faults did not hold
  2  usage or configuration error, or a command of a script failed
  3  the host environment lacks something (such as KVM with --cpu kvm)
  4  this back end cannot run this guest
  5  the time limit passed
  6  the guest crashed (triple fault)";

    /// The process's exit status.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::GuestFailed => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::CannotRun => 4,
            Self::Timeout => 5,
            Self::Crashed => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
