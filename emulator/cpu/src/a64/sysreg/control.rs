//! Control, exception, translation and thread registers.

use super::{Key, Outcome, key, sctlr};
use crate::a64::core::{Core, Env};
use crate::a64::features::Features;
use crate::a64::regs::{El, Nzcv, PState, daif};

/// Bits that read as one: AArch32 controls (ITD, SED), EOS, TSCXT, EIS, LSMAOE, nTLSMD, and SPAN
/// where PAN is absent.
pub(super) fn sctlr_res1(features: &Features) -> u64 {
    0x3050_0980 | if features.pan { 0 } else { sctlr::SPAN }
}

fn sctlr_writable(features: &Features) -> u64 {
    use sctlr::{A, C, DSSBS, DZE, I, M, NTWE, NTWI, SA, SA0, SPAN, UCI, UCT, UMA, WXN};
    let always = M | A | C | SA | SA0 | UMA | I | DZE | UCT | NTWI | NTWE | WXN | UCI;
    always | if features.pan { SPAN } else { 0 } | if features.ssbs { DSSBS } else { 0 }
}

fn tcr_writable(features: &Features) -> u64 {
    // T0SZ to TG1, IPS, TBI0 and TBI1.
    let always = 0x0067_ffff_ffbf & !(1 << 6);
    let bit = |set: bool, bits: u64| if set { bits } else { 0 };
    always | bit(features.asid16, 1 << 36) | bit(features.hafdbs, 3 << 39) | bit(features.hpds, 3 << 41)
}

/// SPSR_EL1 keeps these bits.
fn spsr_writable(features: &Features) -> u64 {
    let bit = |set: bool, at: u32| u64::from(set) << at;
    0xf030_03df
        | bit(features.pan, 22)
        | bit(features.uao, 23)
        | bit(features.dit, 24)
        | bit(features.ssbs, 12)
}

/// FPCR: AHP, DN, FZ and RMode, and FZ16 with half precision. No trap can be enabled.
fn fpcr_writable(features: &Features) -> u64 {
    0x07c0_0000 | if features.fp16 { 1 << 19 } else { 0 }
}

/// FPSR: QC and the cumulative exception bits.
const FPSR_WRITABLE: u64 = 0x0800_009f;

impl Core {
    /// Writes FPCR; bits that are not implemented stay zero.
    pub(in crate::a64) fn set_fpcr(&mut self, value: u64, features: &Features) {
        // The mask has 32 bits.
        self.fpcr = (value & fpcr_writable(features)) as u32;
    }

    /// Writes FPSR; bits that are not implemented stay zero.
    pub(in crate::a64) fn set_fpsr(&mut self, value: u64) {
        // The mask has 32 bits.
        self.fpsr = (value & FPSR_WRITABLE) as u32;
    }
}

fn fp_disabled(core: &mut Core) -> Option<crate::a64::core::Raised> {
    use crate::a64::exception::{Exception, syndrome};
    (!core.fp_enabled).then(|| core.raise(Exception::synchronous(syndrome::FP_DISABLED)))
}

pub(super) fn read(core: &mut Core, env: &mut Env<'_>, key: Key) -> Outcome<u64> {
    let features = &env.settings.features;
    let sys = &core.sys;
    Outcome::Done(match key {
        key::SCTLR_EL1 => sys.sctlr,
        key::CPACR_EL1 => sys.cpacr,
        key::TTBR0_EL1 => sys.ttbr0,
        key::TTBR1_EL1 => sys.ttbr1,
        key::TCR_EL1 => sys.tcr,
        key::MAIR_EL1 => sys.mair,
        key::ACTLR_EL1 | key::AFSR0_EL1 | key::AFSR1_EL1 | key::AMAIR_EL1 => 0,
        key::SPSR_EL1 => sys.spsr,
        key::ELR_EL1 => sys.elr,
        key::ESR_EL1 => sys.esr,
        key::FAR_EL1 => sys.far,
        key::PAR_EL1 => sys.par,
        key::VBAR_EL1 => sys.vbar,
        // The reset address is the machine's affair: it says where a CPU starts.
        key::RVBAR_EL1 => 0,
        key::ISR_EL1 => {
            let line = |set: bool, bit: u32| if set { u64::from(bit) } else { 0 };
            line(core.lines.serror.is_some(), daif::A)
                | line(core.lines.irq, daif::I)
                | line(core.lines.fiq, daif::F)
        }
        key::CONTEXTIDR_EL1 => sys.contextidr,
        key::TPIDR_EL0 => sys.tpidr_el0,
        key::TPIDRRO_EL0 => sys.tpidrro_el0,
        key::TPIDR_EL1 => sys.tpidr_el1,
        // The stack pointer in use has no other name.
        key::SP_EL0 if core.pstate.sp_sel => sys.sp[0],
        key::SP_SEL => u64::from(core.pstate.sp_sel),
        key::CURRENT_EL => 1 << 2,
        key::PAN if features.pan => u64::from(core.pstate.pan) << 22,
        key::UAO if features.uao => u64::from(core.pstate.uao) << 23,
        key::DIT if features.dit => u64::from(core.pstate.dit) << 24,
        key::SSBS if features.ssbs => u64::from(core.pstate.ssbs) << 12,
        key::NZCV => u64::from(core.nzcv.0) << 28,
        key::DAIF => {
            let masks = u64::from(core.pstate.daif);
            return Outcome::unless_trapped(core, core.sys.sctlr & sctlr::UMA != 0, || masks);
        }
        key::FPCR | key::FPSR => {
            if let Some(raised) = fp_disabled(core) {
                return Outcome::Raised(raised);
            }
            u64::from(if key == key::FPCR { core.fpcr } else { core.fpsr })
        }
        // No limited-ordering regions.
        key::LORC_EL1 if features.lor => sys.lorc,
        key::LORSA_EL1 | key::LOREA_EL1 | key::LORN_EL1 | key::LORID_EL1 if features.lor => 0,
        _ => return Outcome::Undefined,
    })
}

pub(super) fn write(core: &mut Core, env: &mut Env<'_>, key: Key, value: u64) -> Outcome {
    let features = &env.settings.features;
    let sys = &mut core.sys;
    match key {
        key::SCTLR_EL1 => {
            sys.sctlr = value & sctlr_writable(features) | sctlr_res1(features);
            core.mmu.reconfigure(&core.sys, features);
        }
        key::CPACR_EL1 => {
            // FPEN; neither SVE nor trace registers exist.
            sys.cpacr = value & 3 << 20;
            core.context_changed();
        }
        key::TTBR0_EL1 => {
            sys.ttbr0 = value;
            core.mmu.reconfigure(&core.sys, features);
        }
        key::TTBR1_EL1 => {
            sys.ttbr1 = value;
            core.mmu.reconfigure(&core.sys, features);
        }
        key::TCR_EL1 => {
            sys.tcr = value & tcr_writable(features);
            core.mmu.reconfigure(&core.sys, features);
        }
        key::MAIR_EL1 => {
            sys.mair = value;
            core.mmu.reconfigure(&core.sys, features);
        }
        key::ACTLR_EL1 | key::AFSR0_EL1 | key::AFSR1_EL1 | key::AMAIR_EL1 => {}
        key::SPSR_EL1 => sys.spsr = value & spsr_writable(features),
        key::ELR_EL1 => sys.elr = value,
        key::ESR_EL1 => sys.esr = value & 0xffff_ffff,
        key::FAR_EL1 => sys.far = value,
        key::PAR_EL1 => sys.par = value,
        key::VBAR_EL1 => sys.vbar = value & !0x7ff,
        key::CONTEXTIDR_EL1 => sys.contextidr = value & 0xffff_ffff,
        key::TPIDR_EL0 => sys.tpidr_el0 = value,
        key::TPIDRRO_EL0 if core.pstate.el == El::El1 => sys.tpidrro_el0 = value,
        key::TPIDR_EL1 => sys.tpidr_el1 = value,
        key::SP_EL0 if core.pstate.sp_sel => sys.sp[0] = value,
        key::SP_SEL => {
            let pstate = PState { sp_sel: value & 1 != 0, ..core.pstate };
            core.set_pstate(pstate);
        }
        key::PAN if features.pan => {
            core.pstate.pan = value >> 22 & 1 != 0;
            core.context_changed();
        }
        key::UAO if features.uao => core.pstate.uao = value >> 23 & 1 != 0,
        key::DIT if features.dit => core.pstate.dit = value >> 24 & 1 != 0,
        key::SSBS if features.ssbs => core.pstate.ssbs = value >> 12 & 1 != 0,
        // Four bits.
        key::NZCV => core.nzcv = Nzcv((value >> 28) as u8 & 15),
        key::DAIF => {
            if core.pstate.el == El::El0 && core.sys.sctlr & sctlr::UMA == 0 {
                return Outcome::Trap;
            }
            // Bits 9 to 6.
            core.pstate.daif = value as u32 & daif::ALL;
            core.unmasked();
        }
        key::FPCR | key::FPSR => {
            if let Some(raised) = fp_disabled(core) {
                return Outcome::Raised(raised);
            }
            if key == key::FPCR {
                core.set_fpcr(value, features);
            } else {
                core.set_fpsr(value);
            }
        }
        key::LORC_EL1 if features.lor => sys.lorc = value & 1,
        key::LORSA_EL1 | key::LOREA_EL1 | key::LORN_EL1 if features.lor => {}
        _ => return Outcome::Undefined,
    }
    Outcome::Done(())
}
