//! Identification registers.

use super::{Key, Outcome, key, sctlr};
use crate::a64::core::Core;
use crate::a64::features::Features;
use crate::a64::regs::El;
use crate::a64::sysreg::{BREAKPOINTS, WATCHPOINTS};

/// Implementer 0 (software), architecture by ID registers, part 1.
const MIDR: u64 = 0xf << 16 | 1 << 4;
/// Lines of 64 bytes, PIPT instruction cache, granules of 64 bytes. Instruction fetch sees stores
/// at once, so neither cleaning (IDC) nor invalidation (DIC) is needed.
const CTR: u64 = 1 << 31 | 1 << 29 | 1 << 28 | 4 << 24 | 4 << 20 | 4 << 16 | 3 << 14 | 4;
/// DC ZVA clears 64 bytes.
const DCZID: u64 = 4;
/// Separate first-level caches, which is also where coherence is reached.
const CLIDR: u64 = 1 << 24 | 3;
/// 32 KiB, 4 ways, lines of 64 bytes.
const CCSIDR: u64 = 127 << 13 | 3 << 3 | 2;

const fn field(set: bool, value: u64, at: u32) -> u64 {
    if set { value << at } else { 0 }
}

/// The ID_AA64* registers, by CRm and op2.
fn aarch64(features: &Features, crm: u16, op2: u16) -> u64 {
    let f = features;
    match (crm, op2) {
        // ID_AA64PFR0: EL0 and EL1 in AArch64 only; FP and Advanced SIMD; a GIC system register
        // interface; not affected by CSV2 and CSV3 speculation.
        (4, 0) => {
            0x11 | field(f.fp16, 0x11, 16) | field(f.gic, 1, 24) | field(f.dit, 1, 48) | 1 << 56 | 1 << 60
        }
        // ID_AA64PFR1
        (4, 1) => field(f.ssbs, 2, 4),
        // ID_AA64DFR0: Armv8 debug, no trace.
        (5, 0) => field(f.pmu, 1, 8) | 6 | (BREAKPOINTS as u64 - 1) << 12 | (WATCHPOINTS as u64 - 1) << 20,
        // ID_AA64ISAR0
        (6, 0) => {
            let flags = if f.flagm2 { 2 } else { 1 };
            field(f.aes, 2, 4)
                | field(f.sha1, 1, 8)
                | field(f.sha256, 1, 12)
                | field(f.crc32, 1, 16)
                | field(f.lse, 2, 20)
                | field(f.rdm, 1, 28)
                | field(f.dotprod, 1, 44)
                | field(f.fhm, 1, 48)
                | field(f.flagm, flags, 52)
                | field(f.tlbi_range, 2, 56)
        }
        // ID_AA64ISAR1
        (6, 1) => {
            let rcpc = if f.lrcpc2 { 2 } else { 1 };
            field(f.dpb, 1, 0)
                | field(f.jscvt, 1, 12)
                | field(f.fcma, 1, 16)
                | field(f.lrcpc, rcpc, 20)
                | field(f.frintts, 1, 32)
                | field(f.sb, 1, 36)
        }
        // ID_AA64MMFR0: little-endian, all three granules.
        (7, 0) => {
            let range = match f.pa_bits {
                32 => 0,
                36 => 1,
                40 => 2,
                42 => 3,
                44 => 4,
                _ => 5,
            };
            range | field(f.asid16, 2, 4) | 1 << 20
        }
        // ID_AA64MMFR1
        (7, 1) => field(f.hafdbs, 2, 0) | field(f.hpds, 1, 12) | field(f.lor, 1, 16) | field(f.pan, 2, 20),
        // ID_AA64MMFR2
        (7, 2) => field(f.ttcnp, 1, 0) | field(f.uao, 1, 4),
        _ => 0,
    }
}

pub(super) fn read(core: &Core, features: &Features, key: Key) -> Outcome<u64> {
    Outcome::Done(match key {
        key::MIDR_EL1 => MIDR,
        key::MPIDR_EL1 => core.sys.mpidr,
        key::REVIDR_EL1 | key::AIDR_EL1 => 0,
        key::CCSIDR_EL1 => {
            if core.sys.csselr <= 1 {
                CCSIDR
            } else {
                0
            }
        }
        key::CLIDR_EL1 => CLIDR,
        key::CSSELR_EL1 => core.sys.csselr,
        key::CTR_EL0 if core.pstate.el == El::El0 && core.sys.sctlr & sctlr::UCT == 0 => {
            return Outcome::Trap;
        }
        key::CTR_EL0 => CTR,
        key::DCZID_EL0 => {
            let prohibited = core.pstate.el == El::El0 && core.sys.sctlr & sctlr::DZE == 0;
            DCZID | u64::from(prohibited) << 4
        }
        // The whole space of feature registers reads as zero where nothing is defined. Those of
        // AArch32, which is not implemented, do as well.
        _ if key.op0() == 3 && key.op1() == 0 && (1..=7).contains(&key.crm()) => {
            aarch64(features, key.crm(), key.op2())
        }
        _ => return Outcome::Undefined,
    })
}

pub(super) fn write(core: &mut Core, key: Key, value: u64) -> Outcome {
    match key {
        key::CSSELR_EL1 => core.sys.csselr = value & 0xf,
        _ => return Outcome::Undefined,
    }
    Outcome::Done(())
}
