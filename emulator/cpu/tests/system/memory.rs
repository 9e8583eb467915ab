//! The cases of loads and stores that end in something else than a translation's fault: page borders,
//! alignment, exclusives.

use super::cases::{ALIGNED, MASKED, SCTLR, SVC, case};
use super::events::{LEVELS, push};
use super::image::{Case, HIGH, Image, PAGES, Regime};

/// Accesses that leave a page.
pub fn borders(image: &mut Image, regime: &Regime) {
    // Base X1, what is transferred in X0 and X2.
    const WORDS: [(u32, u64); 20] = [
        (0xf940_0020, 8),  // ldr x0, [x1]
        (0xf900_0020, 8),  // str x0, [x1]
        (0xb940_0020, 4),  // ldr w0, [x1]
        (0xb900_0020, 4),  // str w0, [x1]
        (0x7940_0020, 2),  // ldrh w0, [x1]
        (0x7900_0020, 2),  // strh w0, [x1]
        (0xf840_8c20, 8),  // ldr x0, [x1, #8]!
        (0xf800_8c20, 8),  // str x0, [x1, #8]!
        (0xf840_8420, 8),  // ldr x0, [x1], #8
        (0xf800_8420, 8),  // str x0, [x1], #8
        (0xa940_0820, 16), // ldp x0, x2, [x1]
        (0xa9c1_0820, 16), // ldp x0, x2, [x1, #16]!
        (0xa8c1_0820, 16), // ldp x0, x2, [x1], #16
        (0xa8c1_0821, 16), // ldp x1, x2, [x1], #16, of which only a fault is certain
        (0x3dc0_0020, 16), // ldr q0, [x1]
        (0x3d80_0020, 16), // str q0, [x1]
        (0xad40_0820, 32), // ldp q0, q2, [x1]
        (0xf840_0820, 8),  // ldtr x0, [x1]
        (0xf800_0820, 8),  // sttr x0, [x1]
        (0x2940_0820, 8),  // ldp w0, w2, [x1]
    ];
    for (word, size) in WORDS {
        // Into a hole, out of one, into a page that is read-only, and between two that are there.
        for border in [0x1_2000, 0x1_3000, 0x1_4000, 0x1_1000] {
            for before in [1, size / 2, size - 1] {
                if word == 0xa8c1_0821 && (border & 0x2000 == 0 || border == 0x1_4000) {
                    continue;
                }
                for spsr in LEVELS {
                    let mut case = case(regime, format!("{before} bytes before {border:#x}"));
                    case.spsr = spsr;
                    let moved = if word & 0x0000_0c00 == 0x0c00 && word >> 30 == 3 || word == 0xa9c1_0820 {
                        if word == 0xa9c1_0820 { 16 } else { 8 }
                    } else {
                        0
                    };
                    case.x[0] = 0x0123_4567_89ab_cdef;
                    case.x[1] = border - before - moved;
                    case.x[2] = 0xfedc_ba98_7654_3210;
                    // The last and the first eight bytes at the border.
                    let page = PAGES + (border & 0xf000);
                    case.seen = [page - 8, page];
                    case.patches = vec![(page - 8, 0x1111_1111_1111_1111), (page, 0x2222_2222_2222_2222)];
                    push(image, case, &[word, SVC]);
                }
            }
        }
    }
    // Instructions at the end of a page, with a hole behind it, and a page that EL0 must not execute.
    for page in [0x2_0000, 0x2_2000] {
        for spsr in LEVELS {
            let mut case = case(regime, format!("code at the end of {page:#x}"));
            case.name += &format!(" with SPSR {spsr:#x}");
            case.spsr = spsr;
            case.elr = page + 0xffc;
            image.push(case);
        }
    }
}

/// Accesses that have to be aligned. A store-exclusive without its load may fail instead, and does in
/// QEMU; and QEMU 7.2 does not demand it of LDAPR, nor of device memory.
pub fn alignment(image: &mut Image, regime: &Regime) {
    // Base X1; X0, X2, X3 and X4.
    const WORDS: [(u32, u64); 23] = [
        (0xf940_0020, 8),  // ldr x0, [x1]
        (0xf900_0020, 8),  // str x0, [x1]
        (0x7940_0020, 2),  // ldrh w0, [x1]
        (0xa940_0820, 8),  // ldp x0, x2, [x1]
        (0xa900_0820, 8),  // stp x0, x2, [x1]
        (0x2940_0820, 4),  // ldp w0, w2, [x1]
        (0x69c0_8820, 4),  // ldpsw x0, x2, [x1, #4]!
        (0xf840_0820, 8),  // ldtr x0, [x1]
        (0xfd40_0020, 8),  // ldr d0, [x1]
        (0x3dc0_0020, 16), // ldr q0, [x1]
        (0x3d80_0020, 16), // str q0, [x1]
        (0x4c40_7020, 1),  // ld1 {v0.16b}, [x1]
        (0x4c40_7c20, 8),  // ld1 {v0.2d}, [x1]
        (0xc85f_7c20, 8),  // ldxr x0, [x1]
        (0x885f_7c20, 4),  // ldxr w0, [x1]
        (0x485f_fc20, 2),  // ldaxrh w0, [x1]
        (0xc87f_0820, 16), // ldxp x0, x2, [x1]
        (0x887f_0820, 8),  // ldxp w0, w2, [x1]
        (0xc8df_fc20, 8),  // ldar x0, [x1]
        (0xc89f_fc20, 8),  // stlr x0, [x1]
        (0xf822_0020, 8),  // ldadd x2, x0, [x1]
        (0xc8a2_7c20, 8),  // cas x2, x0, [x1]
        (0x4822_7c24, 16), // casp x2, x3, x4, x5, [x1]
    ];
    for (word, size) in WORDS {
        for offset in [0, 1, size / 2, size] {
            for aligned in [0, ALIGNED] {
                for spsr in LEVELS {
                    let mut case = case(regime, format!("{offset} bytes off, SCTLR.A {aligned}"));
                    case.spsr = spsr;
                    case.sctlr |= aligned;
                    case.x[1] = 0x1_0200 + offset;
                    case.patches =
                        vec![(PAGES + 0x200, 0x1111_1111_1111_1111), (PAGES + 0x208, 0x2222_2222_2222_2222)];
                    case.seen = [PAGES + 0x200, PAGES + 0x208];
                    push(image, case, &[word, SVC]);
                }
            }
        }
        for va in [0x1_2000, 0x1_4000] {
            let mut case = case(regime, format!("at {va:#x}"));
            case.x[1] = va;
            push(image, case, &[word, SVC]);
        }
    }
}

/// Exclusives that fail, and what clears a monitor.
pub fn exclusives(image: &mut Image, regime: &Regime) {
    const LDXR: u32 = 0xc85f_7c20; // ldxr x0, [x1]
    const STXR: u32 = 0xc803_7c22; // stxr w3, x2, [x1]
    let rows: [(&str, &[u32]); 10] = [
        ("a pair", &[LDXR, STXR]),
        ("a store alone", &[STXR]),
        ("two stores", &[LDXR, STXR, 0xc804_7c22]),
        ("clrex", &[LDXR, 0xd503_3f5f, STXR]),
        ("another address", &[LDXR, 0x9100_2021, STXR]),
        ("another address and back", &[LDXR, 0x9100_2021, STXR, 0xd100_2021, 0xc804_7c22]),
        ("a changed value", &[LDXR, 0xf900_0021, STXR]),
        ("of two loads the last", &[LDXR, 0x9100_2021, LDXR, STXR]),
        ("pairs", &[0xc87f_0825, 0xc823_0422]),
        ("a store elsewhere", &[LDXR, 0xf900_0821, STXR]),
    ];
    for (name, words) in rows {
        for spsr in LEVELS {
            let mut case = case(regime, name.into());
            case.spsr = spsr;
            case.x[1] = 0x1_0300;
            case.x[2] = 0x7777;
            case.patches = vec![(PAGES + 0x300, 0x10), (PAGES + 0x308, 0x20)];
            case.seen = [PAGES + 0x300, PAGES + 0x308];
            let words: Vec<u32> = words.iter().copied().chain([SVC]).collect();
            push(image, case, &words);
        }
    }
    // ERET between the two.
    let mut case = case(regime, "an exception return".into());
    let rest = image.stub(&[STXR, SVC]) + HIGH;
    case.x[1] = 0x1_0300;
    case.x[4] = MASKED;
    case.x[5] = rest;
    case.patches = vec![(PAGES + 0x300, 0x10)];
    case.seen = [PAGES + 0x300, 0];
    push(image, case, &[LDXR, 0xd518_4004, 0xd518_4025, 0xd69f_03e0]);
}

/// DC ZVA, and accesses with the MMU off.
pub fn others(image: &mut Image, regime: &Regime) {
    for va in [0x1_0340, 0x1_0377, 0x1_1fff, 0x1_2000, 0x1_4000, 0x1_4fff] {
        for controls in [0, 1 << 14] {
            for spsr in LEVELS {
                let mut case = case(regime, format!("DC ZVA at {va:#x}, DZE {controls:#x}"));
                case.spsr = spsr;
                case.sctlr |= controls;
                case.x[1] = va;
                let page = PAGES + (va & 0xf000);
                case.patches =
                    vec![(page + 0x338, !0), (page + 0x340, !0), (page + 0x378, !0), (page + 0x380, !0)];
                case.seen = [page + 0x338, page + 0x378];
                push(image, case, &[0xd50b_7421, SVC]);
            }
        }
    }
    for va in
        [PAGES + 0x800, 0x0b00_0000, 1 << 47 | PAGES, 1 << 48 | PAGES, 1 << 55, 0xa5 << 56 | PAGES, !0 << 48]
    {
        for tcr in [0, 1 << 37, 1 << 38] {
            for word in [0xf940_0020, 0xf900_0020, 0xd63f_0020, 0xd508_7801] {
                for spsr in LEVELS {
                    // AT is of EL1. QEMU 7.2 says that the device memory it finds is not shareable.
                    let found = va < 1 << 48 || va == 0xa5 << 56 | PAGES;
                    if word == 0xd508_7801 && (spsr == MASKED || found) {
                        continue;
                    }
                    let mut case =
                        Case { name: format!("MMU off: {va:#x}, TCR bits {tcr:#x}"), ..Case::safe() };
                    case.sctlr = SCTLR & !1;
                    case.tcr |= tcr;
                    case.spsr = spsr;
                    case.x[1] = va;
                    push(image, case, &[word, SVC]);
                }
            }
        }
    }
}
