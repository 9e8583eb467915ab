//! Entry, return, syndromes.

use super::rig::{BASE, Rig};
use crate::a64::Features;
use crate::a64::regs::{El, daif};
use crate::interp::Conduit;

/// The vector table lies here.
const VECTORS: u64 = BASE + 0x8000;

/// CPU 0 at EL1, the vectors all being branches to themselves, and one at EL0 if asked for.
fn rig(program: &[u32], el: El) -> Rig {
    rig_with(program, el, Features::MAX)
}

fn rig_with(program: &[u32], el: El, features: Features) -> Rig {
    let mut rig = Rig::with(program, features);
    for vector in (0..0x800).step_by(0x80) {
        rig.load(VECTORS + vector, &[0x14000000]); // b .
    }
    let core = rig.core();
    core.sys.vbar = VECTORS;
    let pstate = crate::a64::regs::PState { el, sp_sel: el == El::El1, daif: 0, ..core.pstate };
    core.set_pstate(pstate);
    rig
}

/// Runs one instruction that takes an exception, and gives the vector's offset, ESR and ELR's
/// offset from the instruction.
fn taken(rig: &mut Rig) -> (u64, u64, i64) {
    rig.run(8);
    let core = rig.core();
    (core.pc - VECTORS, core.sys.esr, core.sys.elr.wrapping_sub(BASE) as i64)
}

#[test]
fn each_instruction_that_generates_an_exception_has_its_syndrome() {
    let rows: [(u32, El, (u64, u64, i64)); 13] = [
        (0xd4000001, El::El1, (0x200, 0x5600_0000, 4)), // svc #0
        (0xd41fffe1, El::El0, (0x400, 0x5600_ffff, 4)), // svc #0xffff
        (0xd4200020, El::El1, (0x200, 0xf200_0001, 0)), // brk #1
        (0xd4200020, El::El0, (0x400, 0xf200_0001, 0)), // brk #1
        (0xd4400000, El::El1, (0x200, 0x0200_0000, 0)), // hlt #0: no halting debug
        (0x00000000, El::El1, (0x200, 0x0200_0000, 0)), // udf #0
        (0xd4000002, El::El0, (0x400, 0x0200_0000, 0)), // hvc #0 at EL0
        (0xd4000003, El::El1, (0x200, 0x0200_0000, 0)), // smc #0: the conduit is HVC
        (0xd69f03e0, El::El0, (0x400, 0x0200_0000, 0)), // eret at EL0
        (0xd5384000, El::El0, (0x400, 0x0200_0000, 0)), // mrs x0, spsr_el1 at EL0
        (0xd53b4220, El::El0, (0x400, 0x6232_d005, 0)), // mrs x0, daif: trapped by UMA
        (0x3dc00000, El::El0, (0x400, 0x1fe0_0000, 0)), // ldr q0, [x0] with FPEN clear
        (0xd503207f, El::El0, (0x400, 0x07e0_0000, 0)), // wfi with nTWI clear
    ];
    for (word, el, expected) in rows {
        let got = taken(&mut rig(&[word], el));
        assert_eq!(got, expected, "{word:#x} at {el:?}: ESR {:#x}", got.1);
    }
}

#[test]
fn entry_saves_pstate_and_masks_everything() {
    let mut rig = rig(&[0xd4000001], El::El0); // svc #0
    rig.core().nzcv = crate::a64::Nzcv(0b1010);
    rig.core().pstate.pan = true;
    rig.core().pstate.uao = true;
    rig.run(2);
    let core = rig.core();
    assert_eq!(core.sys.spsr, 0xa0c0_0000);
    assert_eq!((core.pstate.el, core.pstate.sp_sel, core.pstate.daif), (El::El1, true, daif::ALL));
    assert!(core.pstate.pan && !core.pstate.uao);
}

#[test]
fn entry_sets_pan_unless_span() {
    for span in [false, true] {
        let mut rig = rig(&[0xd4000001], El::El0); // svc #0
        rig.core().sys.sctlr |= if span { 1 << 23 } else { 0 };
        assert_eq!(rig.run(2).core().pstate.pan, !span);
    }
}

#[test]
fn return_restores_what_entry_saved() {
    let program = [
        0x100000e0, // adr x0, target
        0xd5184020, // msr elr_el1, x0
        0xd2b00001, // mov x1, #0x80000000
        0xd5184001, // msr spsr_el1, x1
        0xd2824602, // mov x2, #0x1230
        0xd5184102, // msr sp_el0, x2
        0xd69f03e0, // eret
        0x910003e3, // target: mov x3, sp
        0x14000000, // b .
    ];
    let mut rig = rig(&program, El::El1);
    let core = rig.run(20).core();
    assert_eq!((core.pstate.el, core.nzcv.0, core.pstate.daif), (El::El0, 8, 0));
    assert_eq!(core.x[3], 0x1230);
}

#[test]
fn an_illegal_return_makes_the_next_instruction_an_illegal_state_exception() {
    // AArch32, EL2, EL0 with SP_ELx, EL3.
    for mode in [0x10, 0x09, 0x01, 0x0d] {
        let program = [
            0x10000080, // adr x0, target
            0xd5184020, // msr elr_el1, x0
            0xd5184001, // msr spsr_el1, x1
            0xd69f03e0, // eret
            0xd503201f, // target: nop
        ];
        let mut rig = rig(&program, El::El1);
        rig.core().x[1] = 0x2000_0000 | mode;
        let (vector, esr, elr) = taken(&mut rig);
        assert_eq!((vector, esr, elr), (0x200, 0x3a00_0000, 16), "mode {mode:#x}");
        assert_eq!(rig.core().sys.spsr & 0xf010_001f, 0x2010_0005, "the flags came, the mode stayed");
    }
}

#[test]
fn pc_and_sp_misalignment() {
    let mut wild = rig(&[0xd61f0000], El::El1); // br x0
    wild.core().x[0] = BASE + 2;
    assert_eq!(taken(&mut wild), (0x200, 0x8a00_0000, 2));
    assert_eq!(wild.core().sys.far, BASE + 2);
    for (bit, el, vector) in [(3, El::El1, 0x200), (4, El::El0, 0x400)] {
        let mut rig = rig(&[0xf94003e0], el); // ldr x0, [sp]
        rig.core().x[31] = BASE + 0x2008;
        rig.core().sys.sctlr |= 1 << bit;
        assert_eq!(taken(&mut rig), (vector, 0x9a00_0000, 0));
    }
    let mut lax = rig(&[0xf94003e0, 0x14000000], El::El1);
    lax.core().x[31] = BASE + 0x2008;
    assert_eq!(lax.run(8).core().pc, BASE + 4, "without SA there is no check");
}

#[test]
fn interrupts_are_taken_when_unmasked_by_priority() {
    for (lines, vector) in [
        (crate::interp::Lines { irq: true, ..Default::default() }, 0x280),
        (crate::interp::Lines { irq: true, fiq: true, ..Default::default() }, 0x300),
        (crate::interp::Lines { irq: true, fiq: true, serror: Some(0x123) }, 0x380),
    ] {
        let mut rig = rig(&[0xd503201f, 0xd50347ff, 0x14000000], El::El1); // nop; msr daifclr, #7; b .
        rig.core().pstate.daif = daif::ALL;
        rig.board.lines = lines;
        rig.run(6);
        let core = rig.core();
        assert_eq!((core.pc - VECTORS, core.sys.elr), (vector, BASE + 8));
        if lines.serror.is_some() {
            assert_eq!(core.sys.esr, 0xbe00_0123);
            assert_eq!(rig.board.lines.serror, None);
        }
    }
}

#[test]
fn isr_shows_pending_interrupts_that_are_masked() {
    let mut rig = rig(&[0xd538c100, 0x14000000], El::El1); // mrs x0, isr_el1
    rig.core().pstate.daif = daif::ALL;
    rig.board.lines = crate::interp::Lines { irq: true, fiq: false, serror: Some(0) };
    assert_eq!(rig.run(4).core().x[0], 0x180);
}

#[test]
fn wfi_sleeps_until_an_interrupt_even_a_masked_one() {
    let mut rig = rig(&[0xd503207f, 0xd2800020, 0x14000000], El::El1); // wfi; mov x0, #1; b .
    rig.core().pstate.daif = daif::ALL;
    assert_eq!(rig.run(1_000_000).core().x[0], 0);
    assert_eq!(rig.cluster.time(), 1_000_000, "idle time passes");
    rig.board.lines.irq = true;
    assert_eq!(rig.run(10).core().x[0], 1);
}

#[test]
fn a_firmware_call_passes_registers_and_returns() {
    let mut rig = rig(&[0xd4000002, 0x14000000], El::El1); // hvc #0
    rig.core().x[0] = 0x8400_0000;
    assert_eq!(rig.run(4).core().x[0], 0x77);
    assert_eq!(rig.board.calls, [(Conduit::Hvc, 0x8400_0000)]);
}

#[test]
fn pstate_fields_of_absent_features_are_undefined() {
    for word in [
        0xd500419f, // msr pan, #1
        0xd500417f, // msr uao, #1
        0xd503415f, // msr dit, #1
        0xd503413f, // msr ssbs, #1
        0xd5384260, // mrs x0, pan
        0xd500401f, // cfinv
        0xb8200020, // ldadd w0, w0, [x1]
        0x38bfc020, // ldaprb w0, [x1]
    ] {
        let mut rig = rig_with(&[word], El::El1, Features::V8_0);
        assert_eq!(taken(&mut rig), (0x200, 0x0200_0000, 0), "{word:#x}");
    }
}

#[test]
fn an_exception_storm_ends_with_its_time() {
    // The vectors lie where nothing is: each entry faults again.
    let mut rig = Rig::new(&[0xd4000001]);
    rig.core().sys.vbar = 0x1_0000_0000;
    rig.run(1000);
    assert!(rig.cluster.time() >= 1000);
}
