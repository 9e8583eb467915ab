//! System registers of the CPU interface by their encoding [GICv3 12.2].

use super::bank::Group;
use super::cpu_interface::Local;
use crate::register;

/// A system register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// One that has no effect beyond the CPU interface.
    Local(Local),
    /// ICC_IAR0_EL1 or ICC_IAR1_EL1, read only: acknowledges.
    Iar(Group),
    /// ICC_EOIR0_EL1 or ICC_EOIR1_EL1, write only: ends the handling.
    Eoir(Group),
    /// ICC_HPPIR0_EL1 or ICC_HPPIR1_EL1, read only: the most urgent interrupt.
    Hppir(Group),
    /// ICC_DIR_EL1, write only: deactivates.
    Dir,
    /// ICC_RPR_EL1, read only: the running priority.
    Rpr,
    /// ICC_SGI0R_EL1 or ICC_SGI1R_EL1, write only: interrupts processors.
    Sgir(Group),
    /// ICC_ASGI1R_EL1, write only: SGIs of the other Security state, of which there is none.
    Asgi1r,
}

/// `op0:op1:CRn:CRm:op2` in 2, 3, 4, 4 and 3 bits, as bits 20:5 of MRS and MSR hold it.
const fn encode(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> u16 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

const MAP: &[(u16, Register)] = &[
    (encode(3, 0, 4, 6, 0), Register::Local(Local::Pmr)),
    (encode(3, 0, 12, 8, 0), Register::Iar(Group::Zero)),
    (encode(3, 0, 12, 8, 1), Register::Eoir(Group::Zero)),
    (encode(3, 0, 12, 8, 2), Register::Hppir(Group::Zero)),
    (encode(3, 0, 12, 8, 3), Register::Local(Local::Bpr(Group::Zero))),
    (encode(3, 0, 12, 8, 4), Register::Local(Local::Apr(Group::Zero))),
    (encode(3, 0, 12, 9, 0), Register::Local(Local::Apr(Group::One))),
    (encode(3, 0, 12, 11, 1), Register::Dir),
    (encode(3, 0, 12, 11, 3), Register::Rpr),
    (encode(3, 0, 12, 11, 5), Register::Sgir(Group::One)),
    (encode(3, 0, 12, 11, 6), Register::Asgi1r),
    (encode(3, 0, 12, 11, 7), Register::Sgir(Group::Zero)),
    (encode(3, 0, 12, 12, 0), Register::Iar(Group::One)),
    (encode(3, 0, 12, 12, 1), Register::Eoir(Group::One)),
    (encode(3, 0, 12, 12, 2), Register::Hppir(Group::One)),
    (encode(3, 0, 12, 12, 3), Register::Local(Local::Bpr(Group::One))),
    (encode(3, 0, 12, 12, 4), Register::Local(Local::Ctlr)),
    (encode(3, 0, 12, 12, 5), Register::Local(Local::Sre)),
    (encode(3, 0, 12, 12, 6), Register::Local(Local::Igrpen(Group::Zero))),
    (encode(3, 0, 12, 12, 7), Register::Local(Local::Igrpen(Group::One))),
];

/// The register with this encoding, `op0:op1:CRn:CRm:op2` in 2, 3, 4, 4 and 3 bits. ICC_AP0R1 and the
/// like are not there: there are 5 bits of priority.
pub fn register_at(encoding: u16) -> Option<Register> {
    MAP.iter().find(|(known, _)| *known == encoding).map(|(_, register)| *register)
}

register! {
    /// Software generated interrupt request, as ICC_SGI0R_EL1 and ICC_SGI1R_EL1 take it
    /// [GICv3 ICC_SGI1R_EL1].
    pub struct SgiRequest: u64 {
        63:56 RsvdZ _r3,
        /// Affinity level 3.
        55:48 Wo    aff3: u8,
        /// Range selector; without ICC_CTLR.RSS it is 0.
        47:44 RsvdZ _rs,
        43:41 RsvdZ _r2,
        /// To all processors but the sender.
        40:40 Wo    interrupt_routing_mode: bool,
        /// Affinity level 2.
        39:32 Wo    aff2: u8,
        31:28 RsvdZ _r1,
        /// SGI.
        27:24 Wo    intid: u8,
        /// Affinity level 1.
        23:16 Wo    aff1: u8,
        /// Processors, by affinity level 0.
        15:0  Wo    target_list: u16,
    }
}
