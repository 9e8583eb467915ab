//! A core's registers as a debugger or a test sees them, between two runs.

use super::cluster::Cluster;
use super::exception::{pstate_of, spsr};
use super::mmu::walk::{Access, Rights, translate};
use super::regs::{El, Nzcv, SP};

/// The registers that a debugger shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// X0 to X30.
    pub x: [u64; 31],
    /// The stack pointer in use.
    pub sp: u64,
    /// Program counter.
    pub pc: u64,
    /// PSTATE, laid out as SPSR_EL1.
    pub pstate: u32,
    /// V0 to V31.
    pub v: [u128; 32],
    /// Floating-point control register.
    pub fpcr: u32,
    /// Floating-point status register.
    pub fpsr: u32,
}

impl Cluster {
    /// The registers of a CPU, `None` for one that does not exist.
    pub fn registers(&self, cpu: usize) -> Option<Registers> {
        let core = self.core(cpu)?;
        let mut x = [0; 31];
        x.copy_from_slice(&core.x.named()[..31]);
        Some(Registers {
            x,
            sp: core.x[SP],
            pc: core.pc,
            // SPSR has 32 bits.
            pstate: spsr(&core.pstate, core.nzcv) as u32,
            v: core.v,
            fpcr: core.fpcr,
            fpsr: core.fpsr,
        })
    }

    /// Replaces the registers of a CPU. A PSTATE that an exception return could not establish
    /// changes the flags and nothing else; bits of FPCR and FPSR that are not implemented stay zero. No
    /// effect on a CPU that does not exist.
    pub fn set_registers(&mut self, cpu: usize, registers: &Registers) {
        let features = self.features();
        let Some(core) = self.core_of(cpu) else { return };
        if let Some(pstate) = pstate_of(registers.pstate, &features) {
            core.set_pstate(pstate);
        }
        core.nzcv = Nzcv((registers.pstate >> 28) as u8);
        for (slot, value) in (0..).zip(registers.x) {
            core.x[slot] = value;
        }
        core.x[SP] = registers.sp;
        core.pc = registers.pc;
        core.v = registers.v;
        core.set_fpcr(registers.fpcr.into(), &features);
        core.set_fpsr(registers.fpsr.into());
    }

    /// The physical address that a CPU's current translation gives `va` for reading at EL1 or, with
    /// `user`, EL0. `None` where it faults. Nothing is recorded in the tables, and an access flag that
    /// is clear is no fault.
    pub fn translate(&self, cpu: usize, va: u64, user: bool) -> Option<u64> {
        let core = self.core(cpu)?;
        let rights = Rights { privileged: !user, pan: false };
        translate(core.mmu.regime(), self.ram(), va, rights, Access::Look).ok().map(|found| found.pa)
    }

    /// The exception level of a CPU.
    pub fn exception_level(&self, cpu: usize) -> Option<El> {
        self.core(cpu).map(|core| core.pstate.el)
    }
}
