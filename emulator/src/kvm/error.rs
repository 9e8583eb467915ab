//! How a run can fail.

use std::fmt;
use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::exit::Exit;

/// Why a guest did not reach its end.
#[derive(Debug, Error)]
pub enum KvmError {
    /// KVM could not be opened, or refused a request.
    #[error(
        "{what} failed: {source}; KVM needs a host with /dev/kvm that this user may open, or choose another --cpu"
    )]
    Host {
        /// The request.
        what: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// KVM lacks a capability.
    #[error("this host's KVM lacks {0}; use a newer kernel or another --cpu")]
    Lacks(&'static str),
    /// The probe did not run to its end, so no guest is tried.
    #[error("this host's KVM is not usable: {0}")]
    Unusable(#[source] Box<ProbeError>),
    /// KVM met an instruction that it can neither execute nor emulate.
    #[error(
        "this back end cannot run this guest at RIP {rip:#x}, instruction bytes {bytes}; choose another --cpu"
    )]
    CannotRun {
        /// Where the instruction is.
        rip: u64,
        /// The instruction and what follows it.
        bytes: InstructionBytes,
    },
    /// Another internal error of KVM [KVM API 5, KVM_EXIT_INTERNAL_ERROR].
    #[error("KVM reported internal error {suberror} at RIP {rip:#x}; choose another --cpu")]
    Internal {
        /// KVM's number.
        suberror: u32,
        /// Where the guest was.
        rip: u64,
    },
    /// The guest shut its processor down: an exception while starting the handler of a double fault.
    #[error("the guest crashed: triple fault; check its exception handlers, stack and page tables")]
    TripleFault,
    /// The guest did not end in time.
    #[error(
        "the guest did not end within {limit:?}; it was stopped at RIP {rip:#x}: raise the limit or look there"
    )]
    Timeout {
        /// The limit.
        limit: Duration,
        /// Where the guest was.
        rip: u64,
    },
    /// KVM returned for a reason that nothing here asked for.
    #[error("KVM returned unexpectedly: {0}")]
    Unexpected(String),
}

impl KvmError {
    /// What the process tells its caller of it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Host { .. } | Self::Lacks(_) | Self::Unusable(_) | Self::Unexpected(_) => Exit::Environment,
            Self::CannotRun { .. } | Self::Internal { .. } => Exit::CannotRun,
            Self::TripleFault => Exit::Crashed,
            Self::Timeout { .. } => Exit::Timeout,
        }
    }

    pub(super) fn host(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| Self::Host { what, source: error.into() }
    }
}

/// The bytes at an instruction pointer, at most 15: fewer where memory ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstructionBytes(pub Vec<u8>);

impl fmt::Display for InstructionBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("unreadable");
        }
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Why KVM is not usable on this host.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The probe guest did not reach its end.
    #[error("the built-in probe guest did not complete: {0}")]
    Incomplete(#[source] KvmError),
    /// The probe guest ended, but not as it must.
    #[error(
        "the built-in probe guest went wrong: {what} is {found:#x}, which is not possible on a working KVM"
    )]
    Wrong {
        /// What was looked at.
        what: &'static str,
        /// What was found.
        found: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_run_names_place_and_bytes_and_has_its_own_exit_code() {
        let bytes = InstructionBytes(vec![0xf3, 0x0f, 0xb8, 0xc1]);
        let error = KvmError::CannotRun { rip: 0x10_0000, bytes };
        assert_eq!(
            error.to_string(),
            "this back end cannot run this guest at RIP 0x100000, instruction bytes f3 0f b8 c1; choose another --cpu"
        );
        let timeout = KvmError::Timeout { limit: Duration::from_secs(1), rip: 0 };
        let codes =
            [error, timeout, KvmError::TripleFault, KvmError::Lacks("x")].map(|error| error.exit().code());
        assert_eq!(codes, [4, 5, 6, 3]);
    }
}
