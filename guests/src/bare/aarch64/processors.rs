//! The other CPUs, started by PSCI.

use super::{firmware, mmu};

/// What a CPU is given when it starts; the entry code knows the place of the stack.
#[repr(C)]
pub struct Start {
    /// One past the last byte of its stack.
    stack_top: u64,
    function: extern "C" fn(u64),
    argument: u64,
}

impl Start {
    /// A CPU that runs `function` on `argument`, with its stack below `stack_top`, a multiple of 16.
    pub const fn new(stack_top: u64, function: extern "C" fn(u64), argument: u64) -> Self {
        Self { stack_top, function, argument }
    }
}

unsafe extern "C" {
    static secondary_start: u8;
}

/// Switches a CPU on, by CPU_ON. `start` is read by that CPU, so it has to outlast its run.
pub fn start(affinity: u64, start: &'static Start) -> i64 {
    let entry = (&raw const secondary_start) as u64;
    super::cpu::synchronise();
    firmware::call(firmware::CPU_ON, [affinity, entry, core::ptr::from_ref(start) as u64])
}

/// Called by the entry code of another CPU.
pub(super) extern "C" fn secondary(start: &Start) -> ! {
    mmu::enable();
    (start.function)(start.argument);
    firmware::call(firmware::CPU_OFF, [0; 3]);
    loop {
        super::cpu::wait_for_interrupt();
    }
}
