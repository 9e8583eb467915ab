//! The cases of everything but translation. Those of exceptions and traps are here; [`super::memory`],
//! [`super::debug`] and [`super::registers`] have the others.

use super::cases::{EL0, EL1H, ISB, MASKED, PAGE, READ_ONLY, SCTLR, SVC, case, run};
use super::debug;
use super::image::{Case, HIGH, Image, PAGES, Regime};
use super::memory;
use super::registers;

pub const NOP: u32 = 0xd503_201f;
const UXN: u64 = 1 << 54;
/// Pages of the regime here: for both, writable and not, with a hole at 0x12000 and 0x21000.
const PLACES: [(u64, u64); 7] = [
    (0x1_0000, PAGES | PAGE | EL0),
    (0x1_1000, (PAGES + 0x1000) | PAGE | EL0),
    (0x1_3000, (PAGES + 0x3000) | PAGE | EL0),
    (0x1_4000, (PAGES + 0x4000) | PAGE | EL0 | READ_ONLY),
    (0x2_0000, (PAGES + 0x5000) | PAGE | EL0 | READ_ONLY),
    (0x2_2000, (PAGES + 0x6000) | PAGE | EL0 | READ_ONLY),
    (0x2_3000, (PAGES + 0x7000) | PAGE | EL0 | READ_ONLY | UXN),
];
/// EL0 and EL1.
pub const LEVELS: [u64; 2] = [MASKED, EL1H];

/// All of them.
pub fn all(image: &mut Image) {
    let regime = places(image);
    exceptions(image, &regime);
    traps(image, &regime);
    returns(image, &regime);
    memory::borders(image, &regime);
    memory::alignment(image, &regime);
    memory::exclusives(image, &regime);
    memory::others(image, &regime);
    debug::steps(image, &regime);
    debug::stepped_returns(image, &regime);
    debug::breakpoints(image, &regime);
    debug::watchpoints(image, &regime);
    registers::bits(image);
}

/// The regime with [`PLACES`].
fn places(image: &mut Image) -> Regime {
    let regime = image.regime(0, 12, 25);
    for (va, descriptor) in PLACES {
        let slot = image.slot(&regime, va, 3, 0);
        image.store(slot, descriptor);
    }
    regime
}

/// Those of what came after the Neoverse N1.
pub fn later(image: &mut Image) {
    const WORDS: [u32; 16] = [
        0xd500_401f, // cfinv
        0xd500_403f, // xaflag
        0xd500_405f, // axflag
        0x3a00_080d, // setf8 w0
        0x3a00_480d, // setf16 w0
        0xba02_042f, // rmif x1, #4, #15
        0xd503_30ff, // sb
        0xd503_415f, // msr dit, #1
        0xd503_405f, // msr dit, #0
        0xd53b_42a0, // mrs x0, dit
        0xd51b_42a0, // msr dit, x0
        0xd503_413f, // msr ssbs, #1
        0xd53b_42c0, // mrs x0, ssbs
        0xd940_0020, // ldapur x0, [x1]
        0xd900_0020, // stlur x0, [x1]
        0xd508_8424, // a TLBI that is not there
    ];
    let regime = places(image);
    for word in WORDS {
        for spsr in LEVELS {
            // Flags, and DIT and SSBS set and not.
            for bits in [0, 0xf000_0000, 1 << 24 | 1 << 12] {
                let mut case = case(&regime, "later".into());
                case.x[0] = 0x0100_1000;
                case.x[1] = 0x1_0000;
                push(image, Case { spsr: spsr | bits, ..case }, &[word, SVC]);
            }
        }
    }
    registers::instructions(image, &regime);
}

/// Adds a case that runs words.
pub fn push(image: &mut Image, mut case: Case, words: &[u32]) {
    case.name = format!("{} [{words:08x?}] with SPSR {:#x}", case.name, case.spsr);
    run(image, &mut case, words);
    image.push(case);
}

/// Instructions that generate exceptions, and such as are not there.
fn exceptions(image: &mut Image, regime: &Regime) {
    const WORDS: [u32; 28] = [
        0x0000_0000, // udf #0
        0x0000_ffff, // udf #65535
        0xffff_ffff,
        0xd400_0001, // svc #0
        0xd41f_ffe1, // svc #65535
        0xd420_0000, // brk #0
        0xd437_dde0, // brk #0xbeef
        0xd440_0000, // hlt #0
        0xd4a0_0001, // dcps1
        0xd4a0_0002, // dcps2
        0xd4a0_0003, // dcps3
        0xd400_0003, // smc #0
        0xd400_0004, // unallocated in exception generation
        0xd6bf_03e0, // drps
        0x0420_0000, // SVE
        0xc080_0000, // SME
        0x9ac0_1000, // irg: MTE
        0xdac1_0000, // pacia
        0xd71f_0800, // braa
        0xd503_233f, // paciasp, a hint
        0xd503_201f, // nop
        0xd503_241f, // bti, a hint
        0xd503_3f9f, // dsb sy
        0xd503_30ff, // sb
        0xd500_401f, // cfinv
        0xd503_3f5f, // clrex
        0x1e60_2820, // fadd d0, d1, d0
        0x4e20_8400, // add v0.16b
    ];
    for word in WORDS {
        for spsr in LEVELS {
            // What is above EL1 is QEMU's own there.
            if word == 0xd400_0003 && spsr == EL1H || word == 0xd440_0000 {
                continue;
            }
            push(image, Case { spsr, ..case(regime, "exception".into()) }, &[word, SVC]);
        }
    }
    let words = [0x1e60_2820, 0x4e20_8400, 0x3dc0_0020, 0x3d80_0020, 0x4c40_7020, 0x9e66_0000, 0xd53b_4400];
    for word in words {
        for cpacr in 0..4 {
            for spsr in LEVELS {
                let mut case = case(regime, format!("CPACR.FPEN {cpacr}"));
                case.cpacr = cpacr << 20;
                case.x[1] = 0x1_0000;
                push(image, Case { spsr, ..case }, &[word, SVC]);
            }
        }
    }
    // Flags, and which masks an exception records and sets.
    for spsr in
        [0xf000_0000, 0xa000_0040, 0x5000_0080, 0x0000_0200 | 5, 0xf000_0104, 4, 5, 1 << 20, 1 << 20 | 5]
    {
        push(image, Case { spsr, ..case(regime, "flags".into()) }, &[SVC]);
    }
    for (name, span) in [("SPAN", 1 << 23), ("no SPAN", 0)] {
        for spsr in LEVELS {
            let mut case = case(regime, name.into());
            case.sctlr = SCTLR & !(1 << 23) | span;
            push(image, Case { spsr, ..case }, &[SVC]);
        }
    }
}

/// Instructions that controls of EL1 trap, and registers as EL0 sees them.
fn traps(image: &mut Image, regime: &Regime) {
    // UMA, DZE, UCT, nTWI, nTWE, UCI.
    const CONTROLS: [u64; 6] = [1 << 9, 1 << 14, 1 << 15, 1 << 16, 1 << 18, 1 << 26];
    const WORDS: [u32; 26] = [
        0xd503_4fdf, // msr daifset, #15
        0xd503_4fff, // msr daifclr, #15
        0xd53b_4220, // mrs x0, daif
        0xd51b_4220, // msr daif, x0
        0xd53b_4200, // mrs x0, nzcv
        0xd51b_4200, // msr nzcv, x0
        0xd500_40bf, // msr spsel, #0
        0xd500_419f, // msr pan, #1
        0xd500_417f, // msr uao, #1
        0xd503_413f, // msr ssbs, #1
        0xd538_4240, // mrs x0, currentel
        0xd538_4260, // mrs x0, pan
        0xd50b_7a21, // dc cvac, x1
        0xd50b_7b21, // dc cvau, x1
        0xd50b_7c21, // dc cvap, x1
        0xd50b_7e21, // dc civac, x1
        0xd50b_7521, // ic ivau, x1
        0xd508_7621, // dc ivac, x1
        0xd508_7641, // dc isw, x1
        0xd508_751f, // ic iallu
        0xd508_871f, // tlbi vmalle1
        0xd508_7801, // at s1e1r, x1
        0xd538_d080, // mrs x0, tpidr_el1
        0xd51b_d060, // msr tpidrro_el0, x0
        0xd53b_d060, // mrs x0, tpidrro_el0
        0xd69f_03e0, // eret
    ];
    let all: u64 = CONTROLS.iter().sum();
    for word in WORDS {
        for controls in CONTROLS.into_iter().chain([0, all]) {
            // QEMU 7.2 exchanges Op1 and Op2 in the syndrome of MSR DAIFSet and DAIFClr.
            if word & 0xffff_ffdf == 0xd503_4fdf && controls & 1 << 9 == 0 {
                continue;
            }
            let mut case = case(regime, format!("controls {controls:#x}"));
            case.sctlr = SCTLR & !all | controls;
            case.spsr = MASKED;
            case.x[1] = 0x1_1000;
            case.x[0] = 0x5000_0040;
            push(image, case, &[word, SVC]);
        }
    }
    for (name, word) in [("wfi", 0xd503_207f), ("wfe", 0xd503_205f)] {
        let mut case = case(regime, name.into());
        case.sctlr &= !(1 << 16 | 1 << 18);
        push(image, Case { spsr: MASKED, ..case }, &[word, SVC]);
    }
    // MRS and MSR of registers of EL1 and of none, from EL0.
    const OTHERS: [u32; 10] = [
        0xd51c_1000, // S3_4_C1_C0_0
        0xd51e_1000, // S3_6_C1_C0_0
        0xd51d_1000, // S3_5_C1_C0_0
        0xd51b_d0c0, // S3_3_C13_C0_6
        0xd51b_9000, // S3_3_C9_C0_0
        0xd51b_9c00, // PMCR_EL0
        0xd51b_9c80, // PMSWINC_EL0
        0xd51b_9cc0, // PMCEID0_EL0
        0xd51b_9d00, // PMCCNTR_EL0
        0xd51b_e340, // CNTV_CVAL_EL0
    ];
    for key in registers::EL1_REGISTERS.into_iter().chain(OTHERS) {
        for read in [0, 1 << 21] {
            let case = case(regime, "system register from EL0".into());
            push(image, Case { spsr: MASKED, ..case }, &[key | read, SVC]);
        }
    }
}

/// ERET to what is there and what is not.
fn returns(image: &mut Image, regime: &Regime) {
    let words = [0xd518_4001, 0xd518_4022, ISB, 0xd69f_03e0]; // msr spsr_el1, x1; msr elr_el1, x2; eret
    let svc = image.stub(&[SVC]) + HIGH;
    for mode in (0..16).chain([0x10_0000, 0x10_0005, 0xf000_03c0, 0xf120_0285, 0x0000_1000]) {
        let mut case = case(regime, format!("return to {mode:#x}"));
        case.x[1] = mode | MASKED;
        case.x[2] = svc;
        push(image, case, &words);
    }
    for (target, spsr) in
        [(svc | 1, EL1H), (svc | 2, EL1H), (svc | 3, MASKED), (0x2_0002, MASKED), (1 << 50, EL1H)]
    {
        let mut case = case(regime, format!("return to {target:#x}"));
        case.x[1] = spsr;
        case.x[2] = target;
        push(image, case, &words);
    }
    // BR to addresses with a tag, with and without TBI0.
    for tcr in [0, 1 << 37] {
        for target in [0xa5 << 56 | 0x2_0000, 0x2_0002, 0x2_1000, 1 << 48 | 0x2_0000] {
            for spsr in LEVELS {
                let mut case = case(regime, format!("branch to {target:#x}, TCR bits {tcr:#x}"));
                case.tcr |= tcr;
                case.x[1] = target;
                push(image, Case { spsr, ..case }, &[0xd63f_0020]); // blr x1
            }
        }
    }
}
