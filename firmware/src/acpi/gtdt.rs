//! GTDT: the generic timer [ACPI 5.2.24].

use super::header::table;
use crate::arm::{PPI_BASE, TimerInterrupts};

/// The revision of ACPI 6.3.
const REVISION: u8 = 3;
/// No memory-mapped counter.
const NO_FRAME: u64 = u64::MAX;
/// Timer flags: level-triggered (bit 0 clear), active high (bit 1 clear), never loses context.
const ALWAYS_ON: u32 = 1 << 2;

pub(super) fn build() -> Vec<u8> {
    let mut body = NO_FRAME.to_le_bytes().to_vec();
    body.extend([0; 4]);
    let timers = [
        TimerInterrupts::SECURE,
        TimerInterrupts::NON_SECURE,
        TimerInterrupts::VIRTUAL,
        TimerInterrupts::HYPERVISOR,
    ];
    body.extend(timers.into_iter().flat_map(|ppi| [PPI_BASE + ppi, ALWAYS_ON]).flat_map(u32::to_le_bytes));
    body.extend(NO_FRAME.to_le_bytes());
    // Neither platform timers nor a virtual timer of EL2: count, offset, interrupt, flags.
    body.extend([0; 16]);
    table(*b"GTDT", REVISION, &body)
}
