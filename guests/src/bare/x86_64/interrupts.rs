//! The interrupt descriptor table, and what its handlers do.
//!
//! Interrupts are off but for the windows that [`take`] and [`idle`] open, so an interrupt waits in
//! the local APIC until the program asks, and no wake-up can be lost between looking and waiting. The
//! handler appends the vector to a ring; an exception ends the run with a report.

use core::arch::{asm, global_asm};
use core::fmt::Write;

use super::super::{EXIT_EXCEPTION, ring};
use super::{apic, cpu, exit, serial};

/// Windows that [`idle`] opens at most.
const WINDOWS: u32 = 20_000;
/// Ticks of the time-stamp counter after which [`idle`] returns: 0.5 to 2 milliseconds on CPUs of 1 to
/// 4 GHz.
const TICKS: u64 = 1 << 21;

// One stub of 16 bytes for each vector. An exception without an error code pushes a zero for it, so
// that all frames look the same: vector, error code, rip, cs, rflags, rsp, ss.
global_asm!(
    ".section .text.interrupt_stubs, \"ax\", @progbits",
    ".balign 16",
    ".global interrupt_stubs",
    "interrupt_stubs:",
    ".set vector, 0",
    ".rept 256",
    ".balign 16",
    ".if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)",
    "push 0",
    ".endif",
    // A dword immediate: a byte would be sign-extended from vector 128 on.
    ".byte 0x68",
    ".long vector",
    "jmp interrupt_common",
    ".set vector, vector + 1",
    ".endr",
    "interrupt_common:",
    "cld",
    "push rax",
    "push rcx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "lea rdi, [rsp + 72]",
    // The CPU aligned the stack to 16 before it pushed its 5 words; with ours that makes 16: aligned.
    "call {handler}",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "pop rax",
    "add rsp, 16",
    "iretq",
    handler = sym handle,
);

unsafe extern "C" {
    static interrupt_stubs: [[u8; 16]; 256];
}

/// What a stub and the CPU pushed.
#[repr(C)]
struct Frame {
    vector: u64,
    error: u64,
    rip: u64,
}

/// The table's memory; the CPU only reads it after [`init`] filled it.
#[repr(C, align(16))]
struct Table([[u64; 2]; 256]);

#[repr(C, packed)]
struct TableRegister {
    limit: u16,
    base: u64,
}

static mut TABLE: Table = Table([[0; 2]; 256]);

/// Fills the table and gives it to the CPU.
pub fn init() {
    let stubs = (&raw const interrupt_stubs) as u64;
    let table = &raw mut TABLE;
    for vector in 0..256 {
        let stub = stubs + vector as u64 * 16;
        // Offset in three parts, selector 10h, an interrupt gate, present.
        let low = stub & 0xffff | 0x10 << 16 | 0x8e00 << 32 | (stub >> 16 & 0xffff) << 48;
        // SAFETY: the only CPU, before the table is in use; the index is in bounds.
        unsafe { (&raw mut (*table).0[vector]).write([low, stub >> 32]) };
    }
    let register = TableRegister { limit: 256 * 16 - 1, base: table as u64 };
    // SAFETY: the table is complete, and static.
    unsafe { asm!("lidt [{}]", in(reg) &raw const register, options(readonly, nostack, preserves_flags)) };
}

extern "C" fn handle(frame: &Frame) {
    let vector = frame.vector as u8;
    if vector < 32 {
        let Frame { error, rip, .. } = *frame;
        let cr2 = cpu::fault_address();
        // The serial port takes everything.
        let _ = writeln!(
            serial::Port,
            "Bail out! CPU exception {vector}, error {error:#x}, at {rip:#x}, CR2 {cr2:#x}"
        );
        exit(EXIT_EXCEPTION);
    }
    if vector == apic::SPURIOUS_VECTOR {
        return;
    }
    ring::push(u32::from(vector));
    apic::end_of_interrupt();
}

/// Lets pending interrupts in, then takes the oldest vector.
pub fn take() -> Option<u32> {
    if ring::is_empty() {
        cpu::interrupt_window();
    }
    ring::pop()
}

/// Waits for an interrupt, or about a millisecond.
///
/// It polls instead of halting: without a timer of its own, a halted CPU whose interrupt never comes
/// would sleep for ever. The time-stamp counter bounds the wait where instructions are slow, the
/// number of windows where the counter is.
pub fn idle() {
    let start = cpu::time_stamp();
    for _ in 0..WINDOWS {
        cpu::interrupt_window();
        if !ring::is_empty() || cpu::time_stamp().wrapping_sub(start) >= TICKS {
            break;
        }
    }
}
