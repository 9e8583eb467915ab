//! How the process ends after a guest's program did, or where there was none.

use std::process::ExitCode;

use emulator::exit::Exit;

/// What is added to [`Exit::code`]: shells use the numbers below for programs and their signals.
const OWN: u8 = 200;

/// Whose ending it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// That of the program in the guest, with this status.
    Guest(u8),
    /// That of the emulator, which has something to say about it.
    Own(Exit),
}

impl Status {
    /// The table for `--help`.
    pub const HELP: &'static str = "\
Exit status: that of the command or the shell in the guest (125: it could not be started), or
  201  --expect or --deny-faults did not hold, or the run was ended before the command was
  202  usage or configuration error
  203  the host environment lacks something (such as a package)
  204  the emulator cannot run this kernel
  205  the time limit passed
  206  the guest crashed, or went off without saying how the command ended";

    /// The process's exit status.
    pub const fn code(self) -> u8 {
        match self {
            Self::Guest(status) => status,
            Self::Own(exit) => OWN + exit.code(),
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_status_and_our_own_are_told_apart() {
        for (status, code) in [
            (Status::Guest(0), 0),
            (Status::Guest(7), 7),
            (Status::Guest(255), 255),
            (Status::Own(Exit::GuestFailed), 201),
            (Status::Own(Exit::Usage), 202),
            (Status::Own(Exit::Environment), 203),
            (Status::Own(Exit::CannotRun), 204),
            (Status::Own(Exit::Timeout), 205),
            (Status::Own(Exit::Crashed), 206),
        ] {
            assert_eq!(status.code(), code, "{status:?}");
            assert!(code <= 200 || code == 255 || Status::HELP.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
