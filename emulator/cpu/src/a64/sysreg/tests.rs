use crate::a64::Features;
use crate::a64::regs::El;
use crate::a64::tests::rig::{BASE, Rig};

const VECTORS: u64 = BASE + 0x8000;

/// Runs one MRS X0 of a key at EL1; `None` if it was undefined.
fn mrs(key: u32, features: Features) -> Option<u64> {
    let mut rig = Rig::with(&[0xd530_0000 | (key & 0x7fff) << 5, 0x14000000], features);
    if key >> 14 == 2 {
        rig.load(BASE, &[0xd520_0000 | (key & 0xffff) << 5]);
    }
    rig.core().sys.vbar = VECTORS;
    rig.load(VECTORS + 0x200, &[0x14000000]);
    let core = rig.run(3).core();
    (core.pc == BASE + 4).then_some(core.x[0])
}

const fn key(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

#[test]
fn id_registers_advertise_what_the_features_say() {
    let rows = [
        // (op2/CRm of ID_AA64*, Armv8.0, everything but FP extensions)
        (4, 0, 0x1100_0000_0100_0011u64, 0x1101_0000_0100_0011),
        (4, 1, 0, 0x20),
        (5, 0, 0x0030_5106, 0x0030_5106),
        (5, 1, 0, 0),
        (6, 0, 0x0001_0000, 0x0220_0000_0021_0000),
        (6, 1, 0, 0x0000_0010_0020_0001),
        (7, 0, 0x0010_0024, 0x0010_0025),
        (7, 1, 0, 0x0021_1002),
        (7, 2, 0, 0x11),
        (1, 0, 0, 0), // ID_PFR0_EL1: no AArch32
        (3, 0, 0, 0), // MVFR0_EL1
        (7, 7, 0, 0), // reserved, reads as zero
    ];
    let plain = Features {
        fp16: false,
        rdm: false,
        dotprod: false,
        fhm: false,
        fcma: false,
        jscvt: false,
        frintts: false,
        aes: false,
        sha1: false,
        sha256: false,
        ..Features::MAX
    };
    for (crm, op2, v8_0, all) in rows {
        let key = key(3, 0, 0, crm, op2);
        assert_eq!(
            mrs(key, Features::V8_0),
            Some(v8_0),
            "CRm {crm} op2 {op2}: {:#x?}",
            mrs(key, Features::V8_0)
        );
        assert_eq!(mrs(key, plain), Some(all), "CRm {crm} op2 {op2}: {:#x?}", mrs(key, plain));
    }
}

/// Writes X1 to a register and reads it back.
fn written(msr: u32, value: u64) -> u64 {
    let mut rig = Rig::new(&[msr | 1, msr | 0x0020_0000, 0x14000000]);
    rig.core().x[1] = value;
    rig.core().sys.vbar = VECTORS;
    let core = rig.run(4).core();
    assert_eq!(core.pc, BASE + 8, "{msr:#x}");
    core.x[0]
}

#[test]
fn registers_keep_the_bits_they_have() {
    for (msr, kept, value) in [
        (0xd5181040, 0x0030_0000, !0u64),        // cpacr_el1
        (0xd5182000, !0, !0),                    // ttbr0_el1
        (0xd5182040, 0x0000_07f7_ffff_ffbf, !0), // tcr_el1
        (0xd518a200, !0, !0),                    // mair_el1
        (0xd518c000, !0x7ff, !0),                // vbar_el1
        (0xd5184000, 0xf1f0_13df, !0),           // spsr_el1
        (0xd5185200, 0xffff_ffff, !0),           // esr_el1
        (0xd518d020, 0xffff_ffff, !0),           // contextidr_el1
        (0xd518e100, 0x3ff, !0),                 // cntkctl_el1
        (0xd5100240, 0x6ce0_f041, !0),           // mdscr_el1
        (0xd51000a0, 0x00ff_e1e7, !0),           // dbgbcr0_el1
        (0xd51003e0, 0x1f1f_ffff, !0),           // dbgwcr3_el1
        (0xd51003c0, !3, !0),                    // dbgwvr3_el1
    ] {
        assert_eq!(written(msr, value), kept, "{msr:#x}: {:#x}", written(msr, value));
    }
}

#[test]
fn fpcr_keeps_modes_and_enables_no_trap() {
    let half = if Features::MAX.fp16 { 1 << 19 } else { 0 };
    assert_eq!(fpcr(!0), 0x07c0_0000 | half);
}

fn fpcr(value: u64) -> u64 {
    let mut rig = Rig::new(&[0xd51b4401, 0xd53b4400, 0x14000000]);
    rig.core().sys.cpacr = 3 << 20;
    rig.core().context_changed();
    rig.core().x[1] = value;
    rig.run(4).core().x[0]
}

#[test]
fn el0_reaches_what_it_may_and_no_more() {
    // (mrs or msr word, SCTLR bits, ESR if it does not go through)
    for (word, sctlr, esr) in [
        (0xd53bd040u32, 0u64, None),           // mrs x0, tpidr_el0
        (0xd51bd040, 0, None),                 // msr tpidr_el0, x0
        (0xd53bd060, 0, None),                 // mrs x0, tpidrro_el0
        (0xd51bd060, 0, Some(0x0200_0000u64)), // msr tpidrro_el0, x0
        (0xd538d080, 0, Some(0x0200_0000)),    // mrs x0, tpidr_el1
        (0xd5384100, 0, Some(0x0200_0000)),    // mrs x0, sp_el0
        (0xd53b0020, 1 << 15, None),           // mrs x0, ctr_el0
        (0xd53b0020, 0, Some(0x6232_c001)),
        (0xd53b4200, 0, None),                    // mrs x0, nzcv
        (0xd5380600, 0, Some(0x0200_0000)),       // mrs x0, id_aa64isar0_el1
        (0xd50b7420, 1 << 14, Some(0x9200_0061)), // dc zva, x0: the MMU is off
        (0xd50b7420, 0, Some(0x6212_dc08)),
        (0xd50b7b20, 1 << 26, None), // dc cvau, x0
        (0xd50b7b20, 0, Some(0x6212_dc16)),
        (0xd5087620, 1 << 26, Some(0x0200_0000)), // dc ivac, x0
        (0xd508871f, 0, Some(0x0200_0000)),       // tlbi vmalle1
        (0xd53b9c00, 0, Some(0x6230_e419)),       // mrs x0, pmcr_el0
        (0xd53b9e00, 0, None),                    // mrs x0, pmuserenr_el0
        (0xd51b9e00, 0, Some(0x0200_0000)),       // msr pmuserenr_el0, x0
        (0xd53b9c80, 0, Some(0x0200_0000)),       // mrs x0, pmswinc_el0, which is written only
        (0xd51b9cc0, 0, Some(0x0200_0000)),       // msr pmceid0_el0, x0, which is read only
        (0xd53b9000, 0, Some(0x0200_0000)),       // mrs x0, s3_3_c9_c0_0, which is not there
        (0xd53be800, 0, Some(0x0200_0000)),       // mrs x0, pmevcntr0_el0: there are no event counters
        (0xd50342df, 0, Some(0x620c_d3e4)),       // msr daifset, #2
        (0xd50342df, 1 << 9, None),
    ] {
        let mut rig = Rig::new(&[word, 0x14000000]);
        rig.load(VECTORS + 0x400, &[0x14000000]);
        let core = rig.core();
        core.sys.vbar = VECTORS;
        core.sys.sctlr |= sctlr;
        core.x[0] = BASE + 0x2000;
        let pstate = crate::a64::PState { el: El::El0, sp_sel: false, ..core.pstate };
        core.set_pstate(pstate);
        let core = rig.run(4).core();
        let got = (core.pc != BASE + 4).then_some(core.sys.esr);
        assert_eq!(got, esr, "{word:#x} {sctlr:#x}: {got:#x?}");
    }
}

#[test]
fn pmuserenr_lets_el0_in_by_register() {
    // Bits of PMUSERENR_EL0, and what they let through of: mrs pmcr, mrs pmccntr, msr pmccntr,
    // msr pmswinc, msr pmselr, mrs pmxevcntr, msr pmxevcntr.
    let words = [0xd53b9c00, 0xd53b9d00, 0xd51b9d00, 0xd51b9c80, 0xd51b9ca0, 0xd53b9d40, 0xd51b9d40];
    for (user, through) in [
        (0, [false; 7]),
        (1, [true; 7]),
        (2, [false, false, false, true, false, false, false]),
        (4, [false, true, false, false, false, false, false]),
        (8, [false, false, false, false, true, true, false]),
    ] {
        for (word, through) in words.into_iter().zip(through) {
            let mut rig = Rig::new(&[0xd51b9e01, word, 0x14000000]); // msr pmuserenr_el0, x1
            rig.load(VECTORS + 0x400, &[0x14000000]);
            let core = rig.core();
            core.sys.vbar = VECTORS;
            core.x[1] = user;
            let core = rig.run(1).core();
            let pstate = crate::a64::PState { el: El::El0, sp_sel: false, ..core.pstate };
            core.set_pstate(pstate);
            assert_eq!(rig.run(3).core().pc == BASE + 8, through, "{word:#x} with {user:#x}");
        }
    }
}

#[test]
fn gic_registers_belong_to_the_machine() {
    let mut rig = Rig::new(&[0xd538cc00, 0xd518cc20, 0x14000000]); // mrs x0, icc_iar1_el1; msr icc_eoir1_el1, x0
    rig.board.gic = Some(0x3ff);
    assert_eq!(rig.run(4).core().x[0], 0x3ff);
    assert_eq!(rig.board.gic_writes, [(0xc661, 0x3ff)]);
    let mut none = Rig::new(&[0xd538cc00]);
    none.core().sys.vbar = VECTORS;
    assert_eq!(none.run(2).core().sys.esr, 0x0200_0000);
}

#[test]
fn the_cycle_counter_counts_and_overflows() {
    let mut rig = Rig::new(&[
        0xd2800020, // mov x0, #1
        0xd51b9c00, // msr pmcr_el0, x0
        0xd2b00001, // mov x1, #0x80000000
        0xd5189e21, // msr pmintenset_el1, x1
        0xb27c6fe2, // mov x2, #0xfffffff0
        0xd51b9d02, // msr pmccntr_el0, x2
        0xd51b9c21, // msr pmcntenset_el0, x1
        0xd503201f, // nop
        0xd53b9d03, // mrs x3, pmccntr_el0
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd503201f, // nop
        0xd53b9c64, // mrs x4, pmovsclr_el0
        0xd51b9c61, // msr pmovsclr_el0, x1
        0xd53b9c65, // mrs x5, pmovsclr_el0
        0x14000000, // b .
    ]);
    let core = rig.run(40).core();
    assert_eq!((core.x[3], core.x[4], core.x[5]), (0xffff_fff2, 0x8000_0000, 0));
    assert_eq!(rig.board.pmu_lines, [true, false]);
}

/// What one boot of a small arm64 kernel reads, by its encoding: all of it must be there.
#[test]
fn what_a_kernel_reads_at_boot_is_defined() {
    let keys = [
        key(3, 0, 0, 0, 0),
        key(3, 0, 0, 0, 5),
        key(3, 0, 0, 0, 6),
        key(3, 1, 0, 0, 1),
        key(3, 3, 0, 0, 1),
        key(3, 3, 0, 0, 7),
        key(3, 0, 1, 0, 0),
        key(3, 0, 1, 0, 2),
        key(3, 0, 2, 0, 0),
        key(3, 0, 2, 0, 1),
        key(3, 0, 2, 0, 2),
        key(3, 0, 4, 0, 0),
        key(3, 0, 4, 0, 1),
        key(3, 0, 4, 1, 0),
        key(3, 0, 4, 2, 2),
        key(3, 3, 4, 2, 1),
        key(3, 0, 5, 2, 0),
        key(3, 0, 6, 0, 0),
        key(3, 0, 10, 2, 0),
        key(3, 0, 13, 0, 4),
        key(3, 3, 13, 0, 2),
        key(3, 0, 14, 1, 0),
        key(3, 3, 14, 0, 0),
        key(3, 3, 14, 0, 2),
        key(3, 3, 14, 3, 1),
        key(3, 3, 9, 12, 0),
        key(3, 3, 9, 12, 6),
        key(3, 3, 9, 12, 7),
        key(2, 0, 0, 2, 2),
        key(2, 0, 1, 1, 4),
    ];
    for key in keys {
        assert!(mrs(key, Features::V8_0).is_some(), "{key:#x}");
    }
}
