//! Instructions that Rust has no word for.
//!
//! Loads and stores are written as instructions, not as volatile pointers: a register or a page of
//! guest RAM is no Rust object, and the access must have exactly the width asked for.

use core::arch::asm;

pub fn load32(address: u64) -> u32 {
    let value;
    // SAFETY: an aligned load. Callers pass addresses of device registers or of RAM that the program
    // owns; no Rust object lives there.
    unsafe { asm!("ldr {:w}, [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags)) };
    value
}

pub fn store32(address: u64, value: u32) {
    // SAFETY: as for `load32`.
    unsafe { asm!("str {:w}, [{}]", in(reg) value, in(reg) address, options(nostack, preserves_flags)) };
}

pub fn load64(address: u64) -> u64 {
    let value;
    // SAFETY: as for `load32`.
    unsafe { asm!("ldr {}, [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags)) };
    value
}

pub fn store64(address: u64, value: u64) {
    // SAFETY: as for `load32`.
    unsafe { asm!("str {}, [{}]", in(reg) value, in(reg) address, options(nostack, preserves_flags)) };
}

/// Copies physical memory into `data`.
pub fn copy_in(address: u64, data: &mut [u8]) {
    for (at, byte) in (address..).zip(data) {
        // SAFETY: reads RAM that the program owns, as for `load32`.
        unsafe { asm!("ldrb {:w}, [{}]", out(reg) *byte, in(reg) at, options(nostack, preserves_flags)) };
    }
}

/// Copies `data` into physical memory.
pub fn copy_out(address: u64, data: &[u8]) {
    for (at, byte) in (address..).zip(data) {
        // SAFETY: writes RAM that the program owns.
        unsafe {
            asm!("strb {:w}, [{}]", in(reg) u32::from(*byte), in(reg) at, options(nostack, preserves_flags));
        }
    }
}

/// Reads a system register, by its name or its encoding.
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: the register exists, and reading it changes nothing but what the caller means to.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a system register, and waits until that has taken effect.
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the caller means what the register does; memory that Rust knows stays as it is.
        unsafe {
            core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack, preserves_flags));
        }
    }};
}

pub(crate) use {read_register, write_register};

/// The virtual counter.
pub fn counter() -> u64 {
    // SAFETY: waits, so that the counter is not read early.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
    read_register!("cntvct_el0")
}

/// Ticks of the counter in a second.
pub fn counter_frequency() -> u64 {
    read_register!("cntfrq_el0")
}

/// Lets interrupts in for the length of an instruction.
pub fn interrupt_window() {
    // SAFETY: handlers are installed before the first call and keep all registers.
    unsafe { asm!("msr daifclr, #2", "isb", "msr daifset, #2", options(nostack)) };
}

/// Waits for an interrupt, which is then let in, or for an event: the event stream's at the latest.
pub fn wait_for_event() {
    // SAFETY: as for `interrupt_window`. An interrupt that comes before WFE is taken before it, and
    // the exception return is an event.
    unsafe { asm!("msr daifclr, #2", "wfe", "msr daifset, #2", options(nostack)) };
}

/// Waits until an interrupt is pending, without taking it.
pub fn wait_for_interrupt() {
    // SAFETY: waits.
    unsafe { asm!("wfi", options(nostack)) };
}

/// Makes what was stored visible to other observers, and table walks among them.
pub fn synchronise() {
    // SAFETY: orders accesses.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}
