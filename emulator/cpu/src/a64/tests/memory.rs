//! Loads, stores and atomics with every way to form an address. The words are an assembler's, the
//! results QEMU's.

use super::rig::{BASE, Rig};

/// Memory around X1: two words before it and two from it on. X4 to X7 hold what lies at X1.
const MEMORY: [u64; 4] =
    [0x8081_8283_8485_8687, 0x0011_2233_4455_6677, 0xfedc_ba98_7654_3210, 0xf7f6_f5f4_f3f2_f1f0];
/// Where X1 points.
const PLACE: u64 = BASE + 0x10_0010;

/// Instruction and X2, X3 before it; then X0, the change of X1, X2, X4 and the memory.
type Row = (u32, [u64; 2], [u64; 4], [u64; 4]);

/// Tries each row twice: as the first access to its page, and where the TLB has a fast entry for it.
fn check(rows: &[Row]) {
    // ldr x9, [x1]; str x9, [x1]
    for (before, &row) in
        [&[][..], &[0xf9400029, 0xf9000029]].into_iter().flat_map(|b| rows.iter().map(move |r| (b, r)))
    {
        let (word, [x2, x3], registers, memory) = row;
        let mut rig = Rig::new(&[before, &[word, 0x14000000]].concat());
        for (pa, value) in (PLACE - 16..).step_by(8).zip(MEMORY) {
            rig.ram.store64(pa, value);
        }
        let core = rig.core();
        [core.x[0], core.x[1], core.x[2], core.x[3]] = [0x55, PLACE, x2, x3];
        [core.x[4], core.x[5]] = [MEMORY[2], MEMORY[3]];
        [core.x[6], core.x[7]] = [MEMORY[2] & 0xffff_ffff, MEMORY[2] >> 32];
        let instructions = before.len() as u64;
        let core = rig.run(instructions + 2).core();
        assert_eq!(core.pc, BASE + 4 * instructions + 4, "{word:#x}");
        let got = [core.x[0], core.x[1].wrapping_sub(PLACE), core.x[2], core.x[4]];
        assert_eq!(got, registers, "{word:#x}: {got:#x?}");
        let left = [0, 8, 16, 24].map(|offset| rig.ram.load64(PLACE - 16 + offset).unwrap());
        assert_eq!(left, memory, "{word:#x}: {left:#x?}");
    }
}

/// SP alignment is checked before the access, whether or not the TLB knows its page [Arm D1.3.11.2].
#[test]
fn a_misaligned_sp_is_no_base() {
    let words = [
        0xf94007e0, // ldr x0, [sp, #8]
        0xf84107e0, // ldr x0, [sp], #16
        0xb94007e0, // ldr w0, [sp, #4]
        0x384017e0, // ldrb w0, [sp], #1
        0xf81f0fe0, // str x0, [sp, #-16]!
        0xb90007e0, // str w0, [sp, #4]
        0x390007e0, // strb w0, [sp, #1]
        0xa94007e0, // ldp x0, x1, [sp]
        0xc8dfffe0, // ldar x0, [sp]
        0x08dfffe0, // ldarb w0, [sp]
        0xc89fffe0, // stlr x0, [sp]
        0x889fffe0, // stlr w0, [sp]
        0xf82203e0, // ldadd x2, x0, [sp]
    ];
    for (word, misaligned, checked) in
        words.iter().flat_map(|word| [(word, 8, true), (word, 8, false), (word, 0, true)])
    {
        let mut rig = Rig::new(&[0xf9400029, 0xf9000029, *word, 0x14000000]);
        let core = rig.core();
        // Where the TLB matches addresses whatever SP's alignment is.
        core.x[1] = PLACE + 0x30;
        core.x[31] = PLACE + 0x30 + misaligned;
        core.sys.sctlr |= if checked { 1 << 3 } else { 0 };
        let core = rig.run(3).core();
        let faults = misaligned != 0 && checked;
        assert_eq!(core.sys.esr >> 26, if faults { 0x26 } else { 0 }, "{word:#x} {misaligned} {checked}");
        if faults {
            assert_eq!((core.sys.elr, core.x[0]), (BASE + 8, 0), "{word:#x}");
            assert_eq!(core.sys.sp[1].max(core.x[31]), PLACE + 0x38, "no writeback");
        }
    }
}

#[test]
#[rustfmt::skip]
fn loads() {
    check(&[
        (0xf9400020, [0x7fffffff80000002, 0x1], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldr x0,[x1]
        (0xf9400420, [0x7fffffff80000002, 0x1], [0xf7f6f5f4f3f2f1f0, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldr x0,[x1,#8]
        (0xb9400420, [0x7fffffff80000002, 0x1], [0xfedcba98, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldr w0,[x1,#4]
        (0x79400c20, [0x7fffffff80000002, 0x1], [0xfedc, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrh w0,[x1,#6]
        (0x39400420, [0x7fffffff80000002, 0x1], [0x32, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrb w0,[x1,#1]
        (0xb9800420, [0x7fffffff80000002, 0x1], [0xfffffffffedcba98, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrsw x0,[x1,#4]
        (0x79800420, [0x7fffffff80000002, 0x1], [0x7654, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrsh x0,[x1,#2]
        (0x79c00420, [0x7fffffff80000002, 0x1], [0x7654, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrsh w0,[x1,#2]
        (0x39801c20, [0x7fffffff80000002, 0x1], [0xfffffffffffffffe, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrsb x0,[x1,#7]
        (0x39c01c20, [0x7fffffff80000002, 0x1], [0xfffffffe, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrsb w0,[x1,#7]
        (0xf85f8020, [0x7fffffff80000002, 0x1], [0x11223344556677, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldur x0,[x1,#-8]
        (0x385ff020, [0x7fffffff80000002, 0x1], [0x0, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldurb w0,[x1,#-1]
        (0xb89fc020, [0x7fffffff80000002, 0x1], [0x112233, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldursw x0,[x1,#-4]
        (0xf8626820, [0x8, 0x1], [0xf7f6f5f4f3f2f1f0, 0x0, 0x8, 0xfedcba9876543210], MEMORY), // ldr x0,[x1,x2]
        (0xf8627820, [0x1, 0x1], [0xf7f6f5f4f3f2f1f0, 0x0, 0x1, 0xfedcba9876543210], MEMORY), // ldr x0,[x1,x2,lsl #3]
        (0xb8635820, [0x7fffffff80000002, 0x1], [0xfedcba98, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldr w0,[x1,w3,uxtw #2]
        (0x3863c820, [0x7fffffff80000002, 0xfffffffffffffff8], [0x77, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrb w0,[x1,w3,sxtw]
        (0x78e2f820, [0x1, 0x1], [0x7654, 0x0, 0x1, 0xfedcba9876543210], MEMORY), // ldrsh w0,[x1,x2,sxtx #1]
        (0x38a25820, [0x1, 0x1], [0x32, 0x0, 0x1, 0xfedcba9876543210], MEMORY), // ldrsb x0,[x1,w2,uxtw #0]
        (0xf8408420, [0x7fffffff80000002, 0x1], [0xfedcba9876543210, 0x8, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldr x0,[x1],#8
        (0xf85f0c20, [0x7fffffff80000002, 0x1], [0x8081828384858687, 0xfffffffffffffff0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldr x0,[x1,#-16]!
        (0x789fa420, [0x7fffffff80000002, 0x1], [0x3210, 0xfffffffffffffffa, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrsh x0,[x1],#-6
        (0x38403c20, [0x7fffffff80000002, 0x1], [0x76, 0x3, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldrb w0,[x1,#3]!
        (0xa9400820, [0x7fffffff80000002, 0x1], [0xfedcba9876543210, 0x0, 0xf7f6f5f4f3f2f1f0, 0xfedcba9876543210], MEMORY), // ldp x0,x2,[x1]
        (0x297f0820, [0x7fffffff80000002, 0x1], [0x44556677, 0x0, 0x112233, 0xfedcba9876543210], MEMORY), // ldp w0,w2,[x1,#-8]
        (0x69408820, [0x7fffffff80000002, 0x1], [0xfffffffffedcba98, 0x0, 0xfffffffff3f2f1f0, 0xfedcba9876543210], MEMORY), // ldpsw x0,x2,[x1,#4]
        (0xa8c10820, [0x7fffffff80000002, 0x1], [0xfedcba9876543210, 0x10, 0xf7f6f5f4f3f2f1f0, 0xfedcba9876543210], MEMORY), // ldp x0,x2,[x1],#16
        (0x29c10820, [0x7fffffff80000002, 0x1], [0xf3f2f1f0, 0x8, 0xf7f6f5f4, 0xfedcba9876543210], MEMORY), // ldp w0,w2,[x1,#8]!
        (0xa87f0820, [0x7fffffff80000002, 0x1], [0x8081828384858687, 0x0, 0x11223344556677, 0xfedcba9876543210], MEMORY), // ldnp x0,x2,[x1,#-16]
        (0xf8408820, [0x7fffffff80000002, 0x1], [0xf7f6f5f4f3f2f1f0, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldtr x0,[x1,#8]
        (0x38c07820, [0x7fffffff80000002, 0x1], [0xfffffffe, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldtrsb w0,[x1,#7]
        (0x885f7c20, [0x7fffffff80000002, 0x1], [0x76543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldxr w0,[x1]
        (0x085ffc20, [0x7fffffff80000002, 0x1], [0x10, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldaxrb w0,[x1]
        (0xc87f0820, [0x7fffffff80000002, 0x1], [0xfedcba9876543210, 0x0, 0xf7f6f5f4f3f2f1f0, 0xfedcba9876543210], MEMORY), // ldxp x0,x2,[x1]
        (0x887f8820, [0x7fffffff80000002, 0x1], [0x76543210, 0x0, 0xfedcba98, 0xfedcba9876543210], MEMORY), // ldaxp w0,w2,[x1]
        (0xc8dffc20, [0x7fffffff80000002, 0x1], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldar x0,[x1]
        (0x48dffc20, [0x7fffffff80000002, 0x1], [0x3210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldarh w0,[x1]
        (0xb8bfc020, [0x7fffffff80000002, 0x1], [0x76543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldapr w0,[x1]
        (0x599fe020, [0x7fffffff80000002, 0x1], [0x11, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldapursh x0,[x1,#-2]
        (0x88df7c20, [0x7fffffff80000002, 0x1], [0x76543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldlar w0,[x1]
    ]);
}

#[test]
#[rustfmt::skip]
fn stores() {
    check(&[
        (0xf9000022, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0xf7f6f5f4f3f2f1f0]), // str x2,[x1]
        (0xb9000c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9876543210, 0x80000002f3f2f1f0]), // str w2,[x1,#12]
        (0x79000422, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9800023210, 0xf7f6f5f4f3f2f1f0]), // strh w2,[x1,#2]
        (0x39001422, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedc029876543210, 0xf7f6f5f4f3f2f1f0]), // strb w2,[x1,#5]
        (0xf81f8022, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x7fffffff80000002, 0xfedcba9876543210, 0xf7f6f5f4f3f2f1f0]), // stur x2,[x1,#-8]
        (0xf823c822, [0x7fffffff80000002, 0xfffffffffffffff8], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x7fffffff80000002, 0xfedcba9876543210, 0xf7f6f5f4f3f2f1f0]), // str x2,[x1,w3,sxtw]
        (0x78237822, [0x7fffffff80000002, 0x1], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9800023210, 0xf7f6f5f4f3f2f1f0]), // strh w2,[x1,x3,lsl #1]
        (0xf8008422, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x8, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0xf7f6f5f4f3f2f1f0]), // str x2,[x1],#8
        (0x381ffc22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0xffffffffffffffff, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x211223344556677, 0xfedcba9876543210, 0xf7f6f5f4f3f2f1f0]), // strb w2,[x1,#-1]!
        (0xa9000c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0x1234567890abcdef]), // stp x2,x3,[x1]
        (0x293f0c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x90abcdef80000002, 0xfedcba9876543210, 0xf7f6f5f4f3f2f1f0]), // stp w2,w3,[x1,#-8]
        (0xa9bf0c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0xfffffffffffffff0, 0x7fffffff80000002, 0xfedcba9876543210], [0x7fffffff80000002, 0x1234567890abcdef, 0xfedcba9876543210, 0xf7f6f5f4f3f2f1f0]), // stp x2,x3,[x1,#-16]!
        (0x28810c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x8, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x90abcdef80000002, 0xf7f6f5f4f3f2f1f0]), // stp w2,w3,[x1],#8
        (0xa8000c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0x1234567890abcdef]), // stnp x2,x3,[x1]
        (0xb8004822, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x8000000276543210, 0xf7f6f5f4f3f2f1f0]), // sttr w2,[x1,#4]
        (0xc89ffc22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0xf7f6f5f4f3f2f1f0]), // stlr x2,[x1]
        (0x089ffc22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9876543202, 0xf7f6f5f4f3f2f1f0]), // stlrb w2,[x1]
        (0x889f7c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9880000002, 0xf7f6f5f4f3f2f1f0]), // stllr w2,[x1]
        (0xd9008022, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9876543210, 0x7fffffff80000002]), // stlur x2,[x1,#8]
        (0xf900003f, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x0, 0xf7f6f5f4f3f2f1f0]), // str xzr,[x1]
        (0xa900083f, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x0, 0x7fffffff80000002]), // stp xzr,x2,[x1]
    ]);
}

#[test]
#[rustfmt::skip]
fn atomics() {
    check(&[
        (0xf8220020, [0x7fffffff80000002, 0x1234567890abcdef], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7edcba97f6543212, 0xf7f6f5f4f3f2f1f0]), // ldadd x2,x0,[x1]
        (0x38220020, [0x7fffffff80000002, 0x1234567890abcdef], [0x10, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9876543212, 0xf7f6f5f4f3f2f1f0]), // ldaddb w2,w0,[x1]
        (0x78e20020, [0x7fffffff80000002, 0x1234567890abcdef], [0x3210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9876543212, 0xf7f6f5f4f3f2f1f0]), // ldaddalh w2,w0,[x1]
        (0xf8221020, [0x7fffffff80000002, 0x1234567890abcdef], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x8000000076543210, 0xf7f6f5f4f3f2f1f0]), // ldclr x2,x0,[x1]
        (0xb8a22020, [0x7fffffff80000002, 0x1234567890abcdef], [0x76543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba98f6543212, 0xf7f6f5f4f3f2f1f0]), // ldeora w2,w0,[x1]
        (0xf8623020, [0x7fffffff80000002, 0x1234567890abcdef], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfffffffff6543212, 0xf7f6f5f4f3f2f1f0]), // ldsetl x2,x0,[x1]
        (0xb8224020, [0x7fffffff80000002, 0x1234567890abcdef], [0x76543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldsmax w2,w0,[x1]
        (0x38224020, [0x7fffffff80000002, 0x1234567890abcdef], [0x10, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldsmaxb w2,w0,[x1]
        (0xf8225020, [0x7fffffff80000002, 0x1234567890abcdef], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldsmin x2,x0,[x1]
        (0x78225020, [0x7fffffff80000002, 0x1234567890abcdef], [0x3210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9876540002, 0xf7f6f5f4f3f2f1f0]), // ldsminh w2,w0,[x1]
        (0xb8226020, [0x7fffffff80000002, 0x1234567890abcdef], [0x76543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9880000002, 0xf7f6f5f4f3f2f1f0]), // ldumax w2,w0,[x1]
        (0x38226020, [0x7fffffff80000002, 0x1234567890abcdef], [0x10, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // ldumaxb w2,w0,[x1]
        (0xf8227020, [0x7fffffff80000002, 0x1234567890abcdef], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0xf7f6f5f4f3f2f1f0]), // ldumin x2,x0,[x1]
        (0xb8e27020, [0x7fffffff80000002, 0x1234567890abcdef], [0x76543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // lduminal w2,w0,[x1]
        (0xf8228020, [0x7fffffff80000002, 0x1234567890abcdef], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0xf7f6f5f4f3f2f1f0]), // swp x2,x0,[x1]
        (0x38228020, [0x7fffffff80000002, 0x1234567890abcdef], [0x10, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9876543202, 0xf7f6f5f4f3f2f1f0]), // swpb w2,w0,[x1]
        (0xb822003f, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0xfedcba98f6543212, 0xf7f6f5f4f3f2f1f0]), // stadd w2,[x1]
        (0xc8a07c22, [0x7fffffff80000002, 0x1234567890abcdef], [0xfedcba9876543210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // cas x0,x2,[x1]
        (0xc8a47c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0xf7f6f5f4f3f2f1f0]), // cas x4,x2,[x1]
        (0x08a47c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0x10], [0x8081828384858687, 0x11223344556677, 0xfedcba9876543202, 0xf7f6f5f4f3f2f1f0]), // casb w4,w2,[x1]
        (0x48a07c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x3210, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], MEMORY), // cash w0,w2,[x1]
        (0x88e4fc22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0x76543210], [0x8081828384858687, 0x11223344556677, 0xfedcba9880000002, 0xf7f6f5f4f3f2f1f0]), // casal w4,w2,[x1]
        (0x48247c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x7fffffff80000002, 0x1234567890abcdef]), // casp x4,x5,x2,x3,[x1]
        (0x08267c22, [0x7fffffff80000002, 0x1234567890abcdef], [0x55, 0x0, 0x7fffffff80000002, 0xfedcba9876543210], [0x8081828384858687, 0x11223344556677, 0x90abcdef80000002, 0xf7f6f5f4f3f2f1f0]), // casp w6,w7,w2,w3,[x1]
    ]);
}
