//! The cases of system registers and system instructions.

use super::cases::{EL1H, ISB, MASKED, SCTLR, SVC, case};
use super::events::{LEVELS, NOP, push};
use super::format::Random;
use super::image::{Case, HIGH, Image, Regime};

/// Some of all system instructions, allocated or not: hints, barriers, PSTATE, and operations.
pub fn instructions(image: &mut Image, regime: &Regime) {
    // Where the word goes in each case.
    let at = image.stub(&[NOP, SVC]);
    let mut random = Random(17);
    for _ in 0..2000 {
        // Op1, CRn, CRm and op2.
        let fields = random.next() as u32 & 0x3fff;
        let op1 = [0, 3, 3, fields >> 11][random.below(4) as usize];
        let operation = random.next() & 1 != 0;
        let crn = if operation { [7, 8, fields >> 7 & 15][random.below(3) as usize] } else { 2 + fields % 3 };
        let rt = if operation && fields & 1 != 0 { 0 } else { 31 };
        let word =
            0xd500_0000 | u32::from(operation) << 19 | op1 << 16 | crn << 12 | (fields & 0x7f) << 5 | rt;
        let spsr = LEVELS[random.below(2) as usize];
        let absent = match word & !31 {
            // WFE and WFI, which wait.
            0xd503_2040 | 0xd503_2060 => true,
            // CFP, DVP and CPP: FEAT_SPECRES. DC CVADP: FEAT_DPB2.
            0xd50b_7380 | 0xd50b_73a0 | 0xd50b_73e0 | 0xd50b_7d20 => true,
            // MSR DAIFSet and DAIFClr, of which QEMU 7.2 exchanges Op1 and Op2.
            word => word & 0xffff_f0c0 == 0xd503_40c0 && spsr == MASKED,
        };
        if absent {
            continue;
        }
        let mut case = case(regime, format!("system instruction {word:#x} with SPSR {spsr:#x}"));
        case.spsr = spsr;
        case.x[0] = 0x1_0000;
        case.patches = vec![(at, u64::from(SVC) << 32 | u64::from(word))];
        case.elr = at + HIGH;
        image.push(case);
    }
}

/// MSR of registers of EL1, as words with X0.
pub const EL1_REGISTERS: [u32; 29] = [
    0xd518_2000, // TTBR0_EL1
    0xd518_2020, // TTBR1_EL1
    0xd518_2040, // TCR_EL1
    0xd518_4000, // SPSR_EL1
    0xd518_4020, // ELR_EL1
    0xd518_4100, // SP_EL0
    0xd518_5100, // AFSR0_EL1
    0xd518_5120, // AFSR1_EL1
    0xd518_5200, // ESR_EL1
    0xd518_6000, // FAR_EL1
    0xd518_7400, // PAR_EL1
    0xd518_a200, // MAIR_EL1
    0xd518_a300, // AMAIR_EL1
    0xd518_1040, // CPACR_EL1
    0xd518_d020, // CONTEXTIDR_EL1
    0xd518_d080, // TPIDR_EL1
    0xd51b_d040, // TPIDR_EL0
    0xd51b_d060, // TPIDRRO_EL0
    0xd518_e100, // CNTKCTL_EL1
    0xd51b_4200, // NZCV
    0xd51b_4220, // DAIF
    0xd51b_4400, // FPCR
    0xd51b_4420, // FPSR
    0xd518_4260, // PAN
    0xd518_4280, // UAO
    0xd51b_42c0, // SSBS
    0xd510_0080, // DBGBVR0_EL1
    0xd510_00c0, // DBGWVR0_EL1
    0xd510_0240, // MDSCR_EL1
];

/// The bits of a register that are something.
fn defined(register: u32) -> u64 {
    match register {
        0xd518_2040 => 0x07f7_ffff_ffbf,
        0xd518_4000 => 0xf0f0_13df,
        0xd518_5200 | 0xd518_d020 => 0xffff_ffff,
        0xd518_1040 => 3 << 20,
        0xd518_e100 => 0x3ff,
        0xd51b_4400 => 0x07c8_0000,
        0xd51b_4420 => 0x0800_009f,
        0xd510_0240 => 0x6ce0_f041,
        _ => !0,
    }
}

/// What registers keep. Bits that are reserved are not set: QEMU keeps those of many registers.
pub fn bits(image: &mut Image) {
    for register in EL1_REGISTERS {
        for value in [0, !0, 0x5a5a_5a5a_5a5a_5a5a] {
            let value = value & defined(register);
            let mut case = Case {
                name: format!("bits of {value:#x}"),
                sctlr: SCTLR & !1,
                cpacr: 3 << 20,
                spsr: EL1H,
                ..Case::safe()
            };
            case.x[0] = value;
            let read = register | 1 << 21;
            let words = [
                read | 2, // mrs x2, …
                register, // msr …, x0
                ISB,
                read | 3,     // mrs x3, …
                register | 2, // msr …, x2
                ISB,
                SVC,
            ];
            push(image, case, &words);
        }
    }
}
