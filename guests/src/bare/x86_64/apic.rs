//! The local APIC in x2APIC mode, which is all MSRs and no memory.

use super::cpu::{read_msr, write_msr};

const APIC_BASE: u32 = 0x1b;
/// Global enable and x2APIC mode.
const ENABLE: u64 = 1 << 11;
const X2APIC: u64 = 1 << 10;
const ID: u32 = 0x802;
const TASK_PRIORITY: u32 = 0x808;
const END_OF_INTERRUPT: u32 = 0x80b;
const SPURIOUS: u32 = 0x80f;
const SOFTWARE_ENABLE: u64 = 1 << 8;

/// The vector of spurious interrupts: they are not acknowledged.
pub const SPURIOUS_VECTOR: u8 = 0xff;

/// Switches the APIC on with nothing masked by priority; returns its id. A boot CPU's id fits the 8
/// bits of a message interrupt's destination.
pub fn init() -> u8 {
    let base = read_msr(APIC_BASE);
    // Off to x2APIC is no legal step: enable first.
    write_msr(APIC_BASE, base | ENABLE);
    write_msr(APIC_BASE, base | ENABLE | X2APIC);
    write_msr(TASK_PRIORITY, 0);
    write_msr(SPURIOUS, SOFTWARE_ENABLE | u64::from(SPURIOUS_VECTOR));
    read_msr(ID) as u8
}

/// Ends the interrupt in service.
pub fn end_of_interrupt() {
    write_msr(END_OF_INTERRUPT, 0);
}
