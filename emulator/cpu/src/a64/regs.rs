//! The general registers, PSTATE and the condition flags.

use serde::{Deserialize, Serialize};

/// Slot of SP, where register 31 names the stack pointer.
pub(in crate::a64) const SP: u8 = 31;
/// Slot that holds zero, where register 31 is read as XZR.
pub(in crate::a64) const ZR: u8 = 32;
/// Slot that nobody reads, where register 31 is written as XZR.
pub(in crate::a64) const SINK: u8 = 33;

/// The register file: one slot for every value of a byte, so that an operation's register field
/// indexes it without a check. Slots 0 to 30 are X0 to X30.
pub(in crate::a64) struct Slots([u64; 256]);

impl Slots {
    pub(in crate::a64) fn new() -> Self {
        Self([0; 256])
    }

    /// X0 to X30 and the current SP.
    pub(in crate::a64) fn named(&self) -> [u64; 32] {
        let mut named = [0; 32];
        named.copy_from_slice(&self.0[..32]);
        named
    }

    pub(in crate::a64) fn set_named(&mut self, named: [u64; 32]) {
        self.0[..32].copy_from_slice(&named);
    }
}

impl std::ops::Index<u8> for Slots {
    type Output = u64;
    #[inline(always)]
    fn index(&self, slot: u8) -> &u64 {
        &self.0[usize::from(slot)]
    }
}

impl std::ops::IndexMut<u8> for Slots {
    #[inline(always)]
    fn index_mut(&mut self, slot: u8) -> &mut u64 {
        &mut self.0[usize::from(slot)]
    }
}

/// N, Z, C and V as bits 3 to 0: the order in which NZCV, CCMP and SPSR hold them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nzcv(pub u8);

impl Nzcv {
    /// From single flags.
    #[inline(always)]
    pub const fn new(n: bool, z: bool, c: bool, v: bool) -> Self {
        Self((n as u8) << 3 | (z as u8) << 2 | (c as u8) << 1 | v as u8)
    }

    /// Carry.
    #[inline(always)]
    pub const fn c(self) -> bool {
        self.0 & 2 != 0
    }

    /// Does the condition with this truth table hold? See [`condition`].
    #[inline(always)]
    pub(in crate::a64) const fn holds(self, table: u16) -> bool {
        table >> (self.0 & 15) & 1 != 0
    }
}

/// The truth table of a condition code: bit n says whether it holds for flags n [Arm C1.2.4].
pub(in crate::a64) const fn condition(code: u32) -> u16 {
    let mut table = 0;
    let mut flags = 0;
    while flags < 16 {
        let (n, z, c, v) = (flags & 8 != 0, flags & 4 != 0, flags & 2 != 0, flags & 1 != 0);
        let holds = match code >> 1 & 7 {
            0 => z,
            1 => c,
            2 => n,
            3 => v,
            4 => c && !z,
            5 => n == v,
            6 => n == v && !z,
            _ => true,
        };
        let inverted = code & 1 != 0 && code & 15 != 15;
        if holds != inverted {
            table |= 1 << flags;
        }
        flags += 1;
    }
    table
}

/// Exception levels that exist. EL2 and EL3 do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum El {
    /// Applications.
    El0,
    /// The kernel.
    El1,
}

/// The bits of DAIF, where DAIF and SPSR hold them.
pub mod daif {
    /// Debug exceptions masked.
    pub const D: u32 = 1 << 9;
    /// SError masked.
    pub const A: u32 = 1 << 8;
    /// IRQ masked.
    pub const I: u32 = 1 << 7;
    /// FIQ masked.
    pub const F: u32 = 1 << 6;
    /// All of them.
    pub const ALL: u32 = D | A | I | F;
}

/// PSTATE but for the condition flags [Arm D1.4].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PState {
    /// Exception level.
    pub el: El,
    /// SP_ELx is the stack pointer, not SP_EL0.
    pub sp_sel: bool,
    /// Exception masks, as in [`daif`].
    pub daif: u32,
    /// Software step.
    pub ss: bool,
    /// Illegal execution state.
    pub il: bool,
    /// Privileged access never.
    pub pan: bool,
    /// User access override.
    pub uao: bool,
    /// Data-independent timing.
    pub dit: bool,
    /// Speculative store bypass safe.
    pub ssbs: bool,
}

impl PState {
    /// As at reset: EL1 with its own stack pointer, everything masked.
    pub const RESET: Self = Self {
        el: El::El1,
        sp_sel: true,
        daif: daif::ALL,
        ss: false,
        il: false,
        pan: false,
        uao: false,
        dit: false,
        ssbs: false,
    };
}
