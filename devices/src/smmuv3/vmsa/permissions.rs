//! What accesses want, and what a stage permits.

use serde::{Deserialize, Serialize};

/// What a transaction wants, after STE.INSTCFG and STE.PRIVCFG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Reads data, or fetches instructions.
    pub read: bool,
    /// Writes.
    pub write: bool,
    /// The read is an instruction fetch.
    pub instruction: bool,
    /// Privileged.
    pub privileged: bool,
}

/// What a stage permits, by privilege; stage 2 differs between them in execution only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions(u8);

impl Permissions {
    /// Unprivileged data reads.
    pub const READ: u8 = 1 << 0;
    /// Unprivileged writes.
    pub const WRITE: u8 = 1 << 1;
    /// Unprivileged instruction fetches.
    pub const EXECUTE: u8 = 1 << 2;
    /// Privileged data reads.
    pub const PRIV_READ: u8 = 1 << 3;
    /// Privileged writes.
    pub const PRIV_WRITE: u8 = 1 << 4;
    /// Privileged instruction fetches.
    pub const PRIV_EXECUTE: u8 = 1 << 5;

    /// Everything: a stage that is not there.
    pub const ALL: Self = Self(0x3f);
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// From bits; bits 7:6 are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x3f)
    }

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Writes of either privilege.
    const WRITES: u8 = Self::WRITE | Self::PRIV_WRITE;

    /// What both permit.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// No writes, if `clean`.
    #[must_use]
    pub(super) const fn without_write_if(self, clean: bool) -> Self {
        if clean { Self(self.0 & !Self::WRITES) } else { self }
    }

    /// Privileged rights alone, if `closed` to the unprivileged.
    #[must_use]
    pub(super) const fn without_unprivileged_if(self, closed: bool) -> Self {
        if closed { Self(self.0 & (Self::PRIV_READ | Self::PRIV_WRITE | Self::PRIV_EXECUTE)) } else { self }
    }

    /// Whether all of `wanted` is granted.
    #[inline]
    pub const fn grant(self, wanted: Wanted) -> bool {
        let rights = if wanted.privileged { self.0 >> 3 } else { self.0 };
        let read = if wanted.instruction { Self::EXECUTE } else { Self::READ };
        let needed = (if wanted.read { read } else { 0 }) | if wanted.write { Self::WRITE } else { 0 };
        rights & needed == needed
    }
}
