//! Access flag and dirty state, updated by the unit itself [SMMUv3 3.13; Arm ARM D8.5].

use std::hint::cold_path;

use super::HardwareUpdate;
use crate::addr::Pa;
use crate::mem::{NotRam, PhysMem};

/// How often a walk starts over because its descriptor changed between the fetch and the update. Each
/// time somebody else's write went through, so one more is enough but against software that does
/// nothing else; what it then gets is what a bus gives that never grants an exclusive access.
pub(super) const ATTEMPTS: u32 = 16;

/// AF, of both stages.
const ACCESS_FLAG: u64 = 1 << 10;
/// DBM, of both stages.
const DIRTY_MODIFIER: u64 = 1 << 51;
/// AP[2] of stage 1, S2AP[1] of stage 2.
const WRITE_BIT: u64 = 1 << 7;

/// Which value of bit 7 permits writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteBit {
    /// Stage 1: AP[2] = 0.
    Zero,
    /// Stage 2: S2AP[1] = 1.
    One,
}

/// What a stage does to the leaf descriptors that it uses, as masks: they meet every descriptor.
#[derive(Clone, Copy)]
pub(super) struct Updates {
    /// Bits that are set in a descriptor before its AF is looked at.
    excused: u64,
    /// Bits that an access sets.
    accessed: u64,
    /// Bits of which one says that the unit takes care of dirty state.
    managed: u64,
    /// What bit 7 is in a page that may not be written.
    read_only: u64,
}

impl Updates {
    #[inline]
    pub fn new(update: HardwareUpdate, writable: WriteBit) -> Self {
        let HardwareUpdate { access, dirty, no_access_fault } = update;
        Self {
            excused: u64::from(access | no_access_fault) * ACCESS_FLAG,
            accessed: u64::from(access) * ACCESS_FLAG,
            // {HD, HA} = 10 is reserved, and does nothing.
            managed: u64::from(access & dirty) * DIRTY_MODIFIER,
            read_only: if writable == WriteBit::Zero { WRITE_BIT } else { 0 },
        }
    }

    /// Whether AF is no obstacle.
    #[inline]
    pub fn accessible(self, raw: u64) -> bool {
        (raw | self.excused) & ACCESS_FLAG != 0
    }

    /// Whether writes are permitted as soon as the unit has noted the first of them.
    #[inline]
    pub fn clean(self, raw: u64) -> bool {
        raw & self.managed != 0 && raw & WRITE_BIT == self.read_only
    }

    /// The descriptor after a permitted access.
    #[inline]
    pub fn after(self, raw: u64, write: bool) -> u64 {
        let accessed = raw | self.accessed;
        if write && self.clean(raw) { accessed ^ WRITE_BIT } else { accessed }
    }
}

/// A descriptor as the unit reads it, from memory in the order that ENDI names, or back.
#[inline]
pub(super) fn ordered(raw: u64, big_endian: bool) -> u64 {
    if big_endian {
        cold_path();
        raw.swap_bytes()
    } else {
        raw
    }
}

/// Replaces the descriptor at `at`; false where it is no longer `old`.
///
/// # Errors
/// [`NotRam`].
#[cold]
pub(super) fn replace(mem: &PhysMem, at: Pa, old: u64, new: u64, big_endian: bool) -> Result<bool, NotRam> {
    Ok(mem.compare_exchange64(at, ordered(old, big_endian), ordered(new, big_endian))?.is_ok())
}
