//! Instructions that Rust has no word for.
//!
//! Loads and stores are written as instructions, not as volatile pointers: a register or a page of
//! guest RAM is no Rust object, and the access must have exactly the width asked for.

use core::arch::asm;

pub fn load32(address: u64) -> u32 {
    let value;
    // SAFETY: an aligned load. Callers pass addresses of device registers or of RAM that the program
    // owns; the identity map covers both, and no Rust object lives there.
    unsafe { asm!("mov {:e}, [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags)) };
    value
}

pub fn store32(address: u64, value: u32) {
    // SAFETY: as for `load32`.
    unsafe { asm!("mov [{}], {:e}", in(reg) address, in(reg) value, options(nostack, preserves_flags)) };
}

pub fn load64(address: u64) -> u64 {
    let value;
    // SAFETY: as for `load32`.
    unsafe { asm!("mov {}, [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags)) };
    value
}

pub fn store64(address: u64, value: u64) {
    // SAFETY: as for `load32`.
    unsafe { asm!("mov [{}], {}", in(reg) address, in(reg) value, options(nostack, preserves_flags)) };
}

/// Copies physical memory into `data`.
pub fn copy_in(address: u64, data: &mut [u8]) {
    // SAFETY: writes exactly the slice; the source is RAM that the program owns, as for `load32`.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") data.len() => _,
            inout("rsi") address => _,
            inout("rdi") data.as_mut_ptr() => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Copies `data` into physical memory.
pub fn copy_out(address: u64, data: &[u8]) {
    // SAFETY: reads exactly the slice; the destination is RAM that the program owns.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") data.len() => _,
            inout("rsi") data.as_ptr() => _,
            inout("rdi") address => _,
            options(nostack, preserves_flags)
        );
    }
}

pub fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: port I/O changes devices, not memory.
    unsafe { asm!("in al, dx", out("al") value, in("dx") port, options(nostack, preserves_flags)) };
    value
}

pub fn out8(port: u16, value: u8) {
    // SAFETY: as for `in8`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags)) };
}

pub fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: as for `in8`.
    unsafe { asm!("in eax, dx", out("eax") value, in("dx") port, options(nostack, preserves_flags)) };
    value
}

pub fn out32(port: u16, value: u32) {
    // SAFETY: as for `in8`.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags)) };
}

pub fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: callers name MSRs of the local APIC, which exist in x2APIC mode; reads have no effect.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

pub fn write_msr(msr: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: callers name MSRs of the local APIC, which change the delivery of interrupts only.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") low, in("edx") high, options(nostack, preserves_flags));
    }
}

/// The time-stamp counter.
pub fn time_stamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// The address of the last page fault.
pub fn fault_address() -> u64 {
    let value;
    // SAFETY: reads a control register.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Lets interrupts in for the length of a hint instruction. With `pause` in between they are
/// recognised: the first instruction after `sti` is the last that holds them off.
pub fn interrupt_window() {
    // SAFETY: handlers are installed before the first call and keep all registers.
    unsafe { asm!("sti", "pause", "cli", options(nostack)) };
}

/// Halts for good, as far as the program is concerned: interrupts are off.
pub fn halt() {
    // SAFETY: waits.
    unsafe { asm!("cli", "hlt", options(nostack)) };
}
