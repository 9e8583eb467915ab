//! The exception vectors, and what their handlers do [Arm D1.3].
//!
//! Interrupts are masked but for the windows that `interrupts` opens. A synchronous exception ends the
//! run with a report, unless [`probe`] or [`at_el0`] waits for one: then it is recorded, and the
//! program goes on.

use core::arch::{asm, global_asm};
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::EXIT_EXCEPTION;
use super::cpu::read_register;
use super::{firmware, interrupts, pl011};

// Sixteen vectors of 128 bytes: four kinds (synchronous, IRQ, FIQ, SError), from EL1 with SP_EL0, EL1
// with SP_EL1, EL0 in AArch64 and in AArch32. All registers are kept, those of FP and SIMD too, which
// compiled handlers use.
global_asm!(
    ".section .text.exception_vectors, \"ax\", @progbits",
    ".balign 2048",
    ".global exception_vectors",
    "exception_vectors:",
    ".set vector, 0",
    ".rept 16",
    ".balign 128",
    "sub sp, sp, #816",
    "stp x0, x1, [sp]",
    "mov x0, #vector",
    "b exception_common",
    ".set vector, vector + 1",
    ".endr",
    ".balign 128",
    "exception_common:",
    "stp x2, x3, [sp, #16]",
    "stp x4, x5, [sp, #32]",
    "stp x6, x7, [sp, #48]",
    "stp x8, x9, [sp, #64]",
    "stp x10, x11, [sp, #80]",
    "stp x12, x13, [sp, #96]",
    "stp x14, x15, [sp, #112]",
    "stp x16, x17, [sp, #128]",
    "stp x18, x19, [sp, #144]",
    "stp x20, x21, [sp, #160]",
    "stp x22, x23, [sp, #176]",
    "stp x24, x25, [sp, #192]",
    "stp x26, x27, [sp, #208]",
    "stp x28, x29, [sp, #224]",
    "stp x30, x0, [sp, #240]",
    "mrs x0, elr_el1",
    "mrs x1, spsr_el1",
    "stp x0, x1, [sp, #256]",
    "mrs x0, cpacr_el1",
    "orr x1, x0, #3 << 20",
    "msr cpacr_el1, x1",
    "isb",
    "str x0, [sp, #272]",
    "mrs x1, fpcr",
    "str x1, [sp, #280]",
    "mrs x1, fpsr",
    "str x1, [sp, #288]",
    "add x1, sp, #304",
    "stp q0, q1, [x1], #32",
    "stp q2, q3, [x1], #32",
    "stp q4, q5, [x1], #32",
    "stp q6, q7, [x1], #32",
    "stp q8, q9, [x1], #32",
    "stp q10, q11, [x1], #32",
    "stp q12, q13, [x1], #32",
    "stp q14, q15, [x1], #32",
    "stp q16, q17, [x1], #32",
    "stp q18, q19, [x1], #32",
    "stp q20, q21, [x1], #32",
    "stp q22, q23, [x1], #32",
    "stp q24, q25, [x1], #32",
    "stp q26, q27, [x1], #32",
    "stp q28, q29, [x1], #32",
    "stp q30, q31, [x1], #32",
    "mov x0, sp",
    "bl {handler}",
    "add x1, sp, #304",
    "ldp q0, q1, [x1], #32",
    "ldp q2, q3, [x1], #32",
    "ldp q4, q5, [x1], #32",
    "ldp q6, q7, [x1], #32",
    "ldp q8, q9, [x1], #32",
    "ldp q10, q11, [x1], #32",
    "ldp q12, q13, [x1], #32",
    "ldp q14, q15, [x1], #32",
    "ldp q16, q17, [x1], #32",
    "ldp q18, q19, [x1], #32",
    "ldp q20, q21, [x1], #32",
    "ldp q22, q23, [x1], #32",
    "ldp q24, q25, [x1], #32",
    "ldp q26, q27, [x1], #32",
    "ldp q28, q29, [x1], #32",
    "ldp q30, q31, [x1], #32",
    "ldr x1, [sp, #280]",
    "msr fpcr, x1",
    "ldr x1, [sp, #288]",
    "msr fpsr, x1",
    "ldr x0, [sp, #272]",
    "msr cpacr_el1, x0",
    "ldp x0, x1, [sp, #256]",
    "msr elr_el1, x0",
    "msr spsr_el1, x1",
    "ldp x2, x3, [sp, #16]",
    "ldp x4, x5, [sp, #32]",
    "ldp x6, x7, [sp, #48]",
    "ldp x8, x9, [sp, #64]",
    "ldp x10, x11, [sp, #80]",
    "ldp x12, x13, [sp, #96]",
    "ldp x14, x15, [sp, #112]",
    "ldp x16, x17, [sp, #128]",
    "ldp x18, x19, [sp, #144]",
    "ldp x20, x21, [sp, #160]",
    "ldp x22, x23, [sp, #176]",
    "ldp x24, x25, [sp, #192]",
    "ldp x26, x27, [sp, #208]",
    "ldp x28, x29, [sp, #224]",
    "ldr x30, [sp, #240]",
    "ldp x0, x1, [sp]",
    "add sp, sp, #816",
    "eret",
    handler = sym handle,
);

/// What the vectors push, as far as Rust looks at it.
#[repr(C)]
struct Frame {
    x: [u64; 31],
    vector: u64,
    elr: u64,
    spsr: u64,
}

/// Vectors, by their place in the table.
const SYNCHRONOUS: u64 = 4;
const IRQ: u64 = 5;
const SYNCHRONOUS_FROM_EL0: u64 = 8;

/// EL1 with its own stack pointer, all interrupts masked.
const EL1H: u64 = 0x3c5;
/// EL0, all interrupts masked.
const EL0T: u64 = 0x3c0;

/// A synchronous exception that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1; it means something for aborts only.
    pub far: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// It came from EL0.
    pub from_el0: bool,
}

impl Taken {
    /// Exception class.
    pub const fn class(self) -> u64 {
        self.esr >> 26 & 0x3f
    }

    /// Instruction specific syndrome.
    pub const fn iss(self) -> u64 {
        self.esr & 0x1ff_ffff
    }
}

/// SVC's exception class; the return address is already that behind the instruction.
const SVC: u64 = 0x15;
/// That of an instruction abort at the same exception level.
const INSTRUCTION_ABORT: u64 = 0x21;

/// An exception is waited for. Only the first CPU waits for any, so relaxed accesses are enough.
static EXPECTED: AtomicBool = AtomicBool::new(false);
/// Where to go on after one from EL0.
static CONTINUE: AtomicU64 = AtomicU64::new(0);
/// ESR, FAR, ELR, vector.
static TAKEN: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

extern "C" fn handle(frame: &mut Frame) {
    if frame.vector == IRQ {
        return interrupts::handle();
    }
    let (esr, far) = (read_register!("esr_el1"), read_register!("far_el1"));
    let from_el0 = frame.vector == SYNCHRONOUS_FROM_EL0;
    if !(from_el0 || frame.vector == SYNCHRONOUS) || !EXPECTED.swap(false, Ordering::Relaxed) {
        // The serial port takes everything.
        let _ = writeln!(
            pl011::Port,
            "Bail out! exception by vector {}, ESR {esr:#x}, at {:#x}, FAR {far:#x}",
            frame.vector,
            frame.elr
        );
        firmware::exit(EXIT_EXCEPTION);
    }
    for (place, value) in TAKEN.iter().zip([esr, far, frame.elr, u64::from(from_el0)]) {
        place.store(value, Ordering::Relaxed);
    }
    if from_el0 {
        frame.elr = CONTINUE.load(Ordering::Relaxed);
        frame.spsr = EL1H;
    } else {
        match esr >> 26 & 0x3f {
            SVC => {}
            // Nothing of the function that was called has run: back to its caller.
            INSTRUCTION_ABORT => frame.elr = frame.x[30],
            // Behind the instruction: what it was to do is left out.
            _ => frame.elr += 4,
        }
    }
}

fn taken() -> Option<Taken> {
    if EXPECTED.swap(false, Ordering::Relaxed) {
        return None;
    }
    let [esr, far, elr, from_el0] = TAKEN.each_ref().map(|place| place.load(Ordering::Relaxed));
    Some(Taken { esr, far, elr, from_el0: from_el0 != 0 })
}

/// Runs `attempt`, of which one instruction is expected to raise an exception; that instruction is
/// left out then, or the function whose instructions cannot be fetched. `None` if none did.
pub fn probe(attempt: impl FnOnce()) -> Option<Taken> {
    EXPECTED.store(true, Ordering::Relaxed);
    attempt();
    taken()
}

/// Runs the instructions at `entry` at EL0 with `argument` in X0 until they raise an exception, which
/// is returned. They may change X0 to X17 and nothing else.
pub fn at_el0(entry: u64, argument: u64) -> Option<Taken> {
    EXPECTED.store(true, Ordering::Relaxed);
    // SAFETY: control comes back behind the `eret`, with the stack as it was; the registers that EL0
    // may change are named.
    unsafe {
        asm!(
            "adr x9, 2f",
            "str x9, [{place}]",
            "msr elr_el1, {entry}",
            "msr spsr_el1, {spsr}",
            "eret",
            "2:",
            place = in(reg) CONTINUE.as_ptr(),
            entry = in(reg) entry,
            spsr = in(reg) EL0T,
            inout("x0") argument => _,
            out("x9") _,
            clobber_abi("C"),
        );
    }
    taken()
}
