//! VMSAv8-64, stage 1 of EL1&0.
//!
//! `regime` decodes the control registers, `walk` translates, `access` is the slow way of loads,
//! stores and fetches, and `tlbi` and `at` are the instructions of those names. The software TLB
//! holds entries of the current ASID and global ones; a change of address space drops the former.
//! Contiguous hints are not used, which the architecture allows.

mod access;
pub(in crate::a64) use access::CM;
pub(in crate::a64) mod at;
pub(in crate::a64) mod regime;
#[cfg(test)]
mod tests;
pub(in crate::a64) mod tlbi;
pub(in crate::a64) mod walk;

use super::features::Features;
use super::regs::{El, PState};
use super::sysreg::SysRegs;
use crate::interp::{PAGE_SIZE, PageId, Ram, Tlb};
use regime::Regime;
use walk::Rights;

/// Banks of the data TLB. The instruction TLB uses the first two.
pub(in crate::a64) mod bank {
    /// Unprivileged.
    pub(in crate::a64) const EL0: usize = 0;
    /// Privileged.
    pub(in crate::a64) const EL1: usize = 1;
    /// Privileged with PSTATE.PAN.
    pub(in crate::a64) const EL1_PAN: usize = 2;
}

fn rights(bank: usize) -> Rights {
    Rights { privileged: bank != bank::EL0, pan: bank == bank::EL1_PAN }
}

/// Places PC was at lately: page address with the exception level in bit 0, and the decoded page.
type Recent = [(u64, PageId); 64];
const NOWHERE: (u64, PageId) = (!0, PageId::NONE);

/// What a core caches of its translations.
pub(in crate::a64) struct Mmu {
    pub(in crate::a64) data: Tlb,
    code: Tlb,
    recent: Box<Recent>,
    regime: Regime,
}

impl Mmu {
    pub(in crate::a64) fn new(ram: &Ram) -> Self {
        Self {
            data: Tlb::new(ram.clone()),
            code: Tlb::new(ram.clone()),
            recent: Box::new([NOWHERE; 64]),
            regime: Regime::default(),
        }
    }

    /// Forgets every translation.
    pub(in crate::a64) fn flush(&mut self) {
        self.data.flush();
        self.code.flush();
        self.forget_recent();
    }

    /// Forgets which decoded pages are where.
    pub(in crate::a64) fn forget_recent(&mut self) {
        self.recent.fill(NOWHERE);
    }

    /// Forgets those at pages in `first..=last`, by the address bits of `mask`.
    fn forget_recent_in(&mut self, first: u64, last: u64, mask: u64) {
        let pages = mask & !(PAGE_SIZE - 1);
        let (first, last) = (first & pages, last & pages);
        for place in self.recent.iter_mut() {
            let page = place.0 & pages;
            if first <= page && page <= last {
                *place = NOWHERE;
            }
        }
    }

    /// Follows a change of a translation control register.
    pub(in crate::a64) fn reconfigure(&mut self, sys: &SysRegs, features: &Features) {
        let old = std::mem::replace(&mut self.regime, Regime::of(sys, features));
        let spaces = |regime: Regime| Regime {
            asid: 0,
            halves: [regime::Half { base: 0, ..regime.halves[0] }, regime.halves[1]],
            ..regime
        };
        if spaces(old) != spaces(self.regime) {
            self.flush();
        } else if old != self.regime {
            self.data.flush_local();
            self.code.flush_local();
            self.forget_recent();
        }
    }

    /// Selects the data TLB's bank for PSTATE.
    pub(in crate::a64) fn select(&mut self, pstate: &PState) {
        self.data.select(match (pstate.el, pstate.pan) {
            (El::El0, _) => bank::EL0,
            (El::El1, false) => bank::EL1,
            (El::El1, true) => bank::EL1_PAN,
        });
    }

    /// The regime in force.
    pub(in crate::a64) fn regime(&self) -> &Regime {
        &self.regime
    }

    /// The address that PC gets when `va` is branched to.
    pub(in crate::a64) fn canonical(&self, va: u64) -> u64 {
        self.regime.canonical(va)
    }
}
