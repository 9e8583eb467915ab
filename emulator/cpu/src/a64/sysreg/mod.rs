//! System registers.

use serde::{Deserialize, Serialize};

use super::features::Features;

/// The encoding of a system register or operation: `op0:op1:CRn:CRm:op2` as 2, 3, 4, 4 and 3 bits,
/// which is how bits 20:5 of the instruction hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) struct Key(pub(in crate::a64) u16);

impl Key {
    pub(in crate::a64) const fn new(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> Self {
        Self(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2)
    }
}

/// Encodings [Arm D23].
pub(in crate::a64) mod key {
    use super::Key;

    pub(in crate::a64) const SP_EL0: Key = Key::new(3, 0, 4, 1, 0);
    pub(in crate::a64) const TPIDR_EL1: Key = Key::new(3, 0, 13, 0, 4);
    pub(in crate::a64) const TPIDR_EL0: Key = Key::new(3, 3, 13, 0, 2);
}

/// Bits of SCTLR_EL1.
pub(in crate::a64) mod sctlr {
    pub(in crate::a64) const M: u64 = 1 << 0;
    pub(in crate::a64) const A: u64 = 1 << 1;
    pub(in crate::a64) const SA: u64 = 1 << 3;
    pub(in crate::a64) const SA0: u64 = 1 << 4;
    pub(in crate::a64) const SPAN: u64 = 1 << 23;
    pub(in crate::a64) const DSSBS: u64 = 1 << 44;
}

/// Bits of MDSCR_EL1.
pub(in crate::a64) mod mdscr {
    pub(in crate::a64) const SS: u64 = 1 << 0;
    pub(in crate::a64) const KDE: u64 = 1 << 13;
}

/// The system registers that are state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) struct SysRegs {
    /// SP_EL0 and SP_EL1; the one in use lives in the register file.
    pub(in crate::a64) sp: [u64; 2],
    pub(in crate::a64) sctlr: u64,
    pub(in crate::a64) cpacr: u64,
    pub(in crate::a64) vbar: u64,
    pub(in crate::a64) elr: u64,
    pub(in crate::a64) spsr: u64,
    pub(in crate::a64) esr: u64,
    pub(in crate::a64) far: u64,
    pub(in crate::a64) tpidr_el0: u64,
    pub(in crate::a64) tpidr_el1: u64,
    pub(in crate::a64) mdscr: u64,
    pub(in crate::a64) os_locked: bool,
    pub(in crate::a64) osdlr: u64,
}

impl SysRegs {
    pub(in crate::a64) fn reset(_index: usize, _features: &Features) -> Self {
        Self { sctlr: 0x30d0_0800, os_locked: true, ..Self::default() }
    }
}
