//! The cases of debug exceptions: software step, breakpoints, watchpoints.

use super::cases::{EL1H, MASKED, SVC, case};
use super::events::{NOP, push};
use super::image::{HIGH, Image, PAGES, Regime};

const SS: u64 = 1;
const KDE: u64 = 1 << 13;
const MDE: u64 = 1 << 15;
/// PSTATE.D set.
const D: u64 = 1 << 9;

/// Software step.
pub fn steps(image: &mut Image, regime: &Regime) {
    let rows: [(&str, &[u32]); 8] = [
        ("nop", &[NOP, NOP, SVC]),
        ("svc", &[SVC]),
        ("undefined", &[0, SVC]),
        ("a load", &[0xf940_0020, SVC]),
        ("a load-exclusive", &[0xc85f_7c20, SVC]),
        ("a branch", &[0x1400_0002, NOP, NOP, SVC]),
        ("brk", &[0xd420_0000]),
        ("unmasking, masking", &[0xd503_48ff, 0xd503_48df, NOP, SVC]),
    ];
    for (name, words) in rows {
        for base in [0x1_0000, 0x1_2000] {
            if base == 0x1_2000 && !name.starts_with("a load") {
                continue;
            }
            for mdscr in [SS, SS | KDE] {
                for spsr in [MASKED, MASKED & !D, EL1H, EL1H & !D] {
                    for ss in [0, 1 << 21] {
                        let mut case = case(regime, format!("step of {name}, MDSCR {mdscr:#x}"));
                        case.sctlr |= 1 << 9;
                        case.mdscr = mdscr;
                        case.x[1] = base;
                        case.spsr = spsr | ss;
                        push(image, case, words);
                    }
                }
            }
        }
    }
}

/// Exception returns while a step is armed: from where it cannot be taken to where it can.
pub fn stepped_returns(image: &mut Image, regime: &Regime) {
    let target = image.stub(&[NOP, NOP, SVC]) + HIGH;
    let words = [0xd518_4001, 0xd518_4022, 0xd503_3fdf, 0xd69f_03e0]; // msr spsr_el1, x1; msr elr_el1, x2; isb; eret
    for mdscr in [0, SS, SS | KDE] {
        for to in [MASKED, MASKED & !D, EL1H, EL1H & !D, 0x2_0000_0000 | MASKED] {
            for ss in [0, 1 << 21] {
                for from in [EL1H, EL1H & !D] {
                    // One that steps from where it can be taken is stepped itself.
                    let mut case =
                        case(regime, format!("return to {to:#x} with SS {ss:#x}, MDSCR {mdscr:#x}"));
                    case.mdscr = mdscr;
                    case.spsr = from;
                    case.x[1] = to | ss;
                    case.x[2] = target;
                    push(image, case, &words);
                }
            }
        }
    }
}

/// Breakpoints by address; QEMU 7.2 has none by context.
pub fn breakpoints(image: &mut Image, regime: &Regime) {
    let words = [NOP, NOP, NOP, SVC];
    let at = image.stub(&words) + HIGH;
    // Enabled, all bytes, by privilege: EL1, EL0, both.
    for control in [0x1e3, 0x1e5, 0x1e7, 0x1e4, 0x1e1] {
        for (mdscr, spsr) in [
            (MDE, MASKED),
            (MDE | KDE, EL1H & !D),
            (MDE | KDE, EL1H),
            (MDE, EL1H & !D),
            (0, MASKED),
            (MDE | KDE, MASKED & !D),
        ] {
            for (name, value) in [("first", at), ("second", at + 4)] {
                let mut case =
                    case(regime, format!("breakpoint {control:#x} at the {name}, MDSCR {mdscr:#x}"));
                case.mdscr = mdscr;
                case.spsr = spsr;
                case.breakpoint = [value, control];
                push(image, case, &words);
            }
        }
    }
}

/// Watchpoints by address, byte and direction. QEMU 7.2 takes a store that is not aligned for one of more
/// bytes.
pub fn watchpoints(image: &mut Image, regime: &Regime) {
    const WORDS: [u32; 12] = [
        0xf940_0020, // ldr x0, [x1]
        0xf900_0020, // str x0, [x1]
        0x3940_0020, // ldrb w0, [x1]
        0x3900_0020, // strb w0, [x1]
        0xb940_0020, // ldr w0, [x1]
        0xc85f_7c20, // ldxr x0, [x1]
        0xf822_0020, // ldadd x2, x0, [x1]
        0xf840_0820, // ldtr x0, [x1]
        0xa940_0820, // ldp x0, x2, [x1]
        0xa900_0820, // stp x0, x2, [x1]
        0x3dc0_0020, // ldr q0, [x1]
        0x3d80_0020, // str q0, [x1]
    ];
    // Enabled: bytes, direction and privilege; a range of 32 bytes.
    for control in [0x1ff7, 0x1fef, 0x1ff5, 0x1ff3, 0x1e17, 0x0037, 0x0500_1fff, 0x1ffe, 0x1fff] {
        for word in WORDS {
            for offset in [0, 8, 16, 32] {
                for (mdscr, spsr) in [(MDE, MASKED), (MDE | KDE, EL1H & !D), (MDE | KDE, EL1H)] {
                    let mut case =
                        case(regime, format!("watchpoint {control:#x}, MDSCR {mdscr:#x}, {offset} on"));
                    case.mdscr = mdscr;
                    case.spsr = spsr;
                    case.watchpoint = [if control >> 24 != 0 { 0x1_0400 } else { 0x1_0408 }, control];
                    case.x[1] = 0x1_0400 + offset;
                    case.patches = vec![(PAGES + 0x400 + offset, 0x10)];
                    push(image, case, &[word, SVC]);
                }
            }
        }
    }
}
