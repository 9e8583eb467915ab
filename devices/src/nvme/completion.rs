//! Entries of completion queues and what they say [NVMe 4.6].

use serde::{Deserialize, Serialize};

use crate::register;

register! {
    /// A completion as it lies in memory; bit 8 n is bit 0 of byte n.
    pub(super) struct Completion: [u64; 2] {
        /// Do Not Retry.
        127:127 Field dnr: bool,
        /// More: the error log says more.
        126:126 Field more: bool,
        /// Command Retry Delay.
        125:124 Field _crd,
        /// Status Code Type and Status Code.
        123:113 Field status: u16,
        /// Phase Tag.
        112:112 Field phase: bool,
        111:96  Field cid: u16,
        95:80   Field sqid: u16,
        79:64   Field sqhd: u16,
        63:32   Field _r0,
        31:0    Field dw0: u32,
    }
}

impl Completion {
    /// The bytes in memory.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let [low, high] = self.raw();
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }
}

/// How a command failed: Status Code Type in 10:8, Status Code in 7:0 [NVMe 4.6.1.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    InvalidOpcode = 0x001,
    InvalidField = 0x002,
    CommandIdConflict = 0x003,
    DataTransferError = 0x004,
    CommandAbortRequested = 0x007,
    AbortedBySqDeletion = 0x008,
    InvalidNamespace = 0x00b,
    CommandSequenceError = 0x00c,
    InvalidSglSegment = 0x00d,
    InvalidSglCount = 0x00e,
    SglLengthInvalid = 0x00f,
    SglTypeInvalid = 0x011,
    PrpOffsetInvalid = 0x013,
    NamespaceWriteProtected = 0x020,
    LbaOutOfRange = 0x080,
    CompletionQueueInvalid = 0x100,
    InvalidQueueId = 0x101,
    InvalidQueueSize = 0x102,
    AbortLimitExceeded = 0x103,
    EventLimitExceeded = 0x105,
    InvalidVector = 0x108,
    InvalidLogPage = 0x109,
    InvalidQueueDeletion = 0x10c,
    FeatureNotSaveable = 0x10d,
    FeatureNotPerNamespace = 0x10f,
    WriteFault = 0x280,
    UnrecoveredReadError = 0x281,
    CompareFailure = 0x285,
}

impl Status {
    pub(super) const fn code(self) -> u16 {
        self as u16
    }

    /// Whether the same command would fail again.
    pub(super) const fn do_not_retry(self) -> bool {
        !matches!(
            self,
            Self::DataTransferError
                | Self::CommandAbortRequested
                | Self::AbortedBySqDeletion
                | Self::AbortLimitExceeded
                | Self::WriteFault
                | Self::UnrecoveredReadError
        )
    }
}
