//! ESR_EL1 values [Arm D24.2.40].

/// Exception classes.
pub(in crate::a64) mod class {
    pub(in crate::a64) const UNKNOWN: u32 = 0x00;
    pub(in crate::a64) const WFX: u32 = 0x01;
    pub(in crate::a64) const FP: u32 = 0x07;
    pub(in crate::a64) const ILLEGAL: u32 = 0x0e;
    pub(in crate::a64) const SVC: u32 = 0x15;
    pub(in crate::a64) const SYSTEM: u32 = 0x18;
    pub(in crate::a64) const INSTRUCTION_LOWER: u32 = 0x20;
    pub(in crate::a64) const INSTRUCTION_SAME: u32 = 0x21;
    pub(in crate::a64) const PC_ALIGNMENT: u32 = 0x22;
    pub(in crate::a64) const DATA_LOWER: u32 = 0x24;
    pub(in crate::a64) const DATA_SAME: u32 = 0x25;
    pub(in crate::a64) const SP_ALIGNMENT: u32 = 0x26;
    pub(in crate::a64) const SERROR: u32 = 0x2f;
    pub(in crate::a64) const BREAKPOINT_LOWER: u32 = 0x30;
    pub(in crate::a64) const STEP_LOWER: u32 = 0x32;
    pub(in crate::a64) const WATCHPOINT_LOWER: u32 = 0x34;
    pub(in crate::a64) const BRK: u32 = 0x3c;
}

/// Instruction length: 32 bits.
const IL: u32 = 1 << 25;

/// A class with its syndrome, for a 32-bit instruction.
pub(in crate::a64) const fn syndrome(class: u32, iss: u32) -> u32 {
    class << 26 | IL | iss
}

/// An undefined instruction.
pub(in crate::a64) const UNDEFINED: u32 = syndrome(class::UNKNOWN, 0);
/// PSTATE.IL is set.
pub(in crate::a64) const ILLEGAL_STATE: u32 = syndrome(class::ILLEGAL, 0);
/// FP and SIMD are disabled: CV set, COND always.
pub(in crate::a64) const FP_DISABLED: u32 = syndrome(class::FP, 1 << 24 | 0xe << 20);

/// A trapped MSR, MRS or system instruction: encoding, register, direction.
pub(in crate::a64) const fn system(key: u16, register: u8, read: bool) -> u32 {
    let key = key as u32;
    let (op0, op1, crn, crm, op2) = (key >> 14, key >> 11 & 7, key >> 7 & 15, key >> 3 & 15, key & 7);
    let iss =
        op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | (register as u32 & 31) << 5 | crm << 1 | read as u32;
    syndrome(class::SYSTEM, iss)
}
