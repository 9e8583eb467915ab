//! VMSAv8-64, stage 1 of EL1&0.

pub(in crate::a64) mod tlbi;

use super::core::{Core, Env, Raised};
use super::exception::{Exception, syndrome};
use super::regs::{El, PState};
use super::sysreg::SysRegs;
use crate::interp::{Mapping, PAGE_SIZE, PageId, Ram, Scalar, Tlb};

/// Banks of the data TLB.
pub(in crate::a64) mod bank {
    /// Unprivileged.
    pub(in crate::a64) const EL0: usize = 0;
    /// Privileged.
    pub(in crate::a64) const EL1: usize = 1;
    /// Privileged with PSTATE.PAN.
    pub(in crate::a64) const EL1_PAN: usize = 2;
}

/// What a core caches of its translations.
pub(in crate::a64) struct Mmu {
    pub(in crate::a64) data: Tlb,
}

impl Mmu {
    pub(in crate::a64) fn new(ram: &Ram) -> Self {
        Self { data: Tlb::new(ram.clone()) }
    }

    pub(in crate::a64) fn flush(&mut self) {
        self.data.flush();
    }

    pub(in crate::a64) fn update(&mut self, _sys: &SysRegs, pstate: &PState) {
        self.data.select(match (pstate.el, pstate.pan) {
            (El::El0, _) => bank::EL0,
            (El::El1, false) => bank::EL1,
            (El::El1, true) => bank::EL1_PAN,
        });
    }
}

impl Core {
    /// The decoded page of PC; `None` where there is no room for it.
    pub(in crate::a64) fn fetch(&mut self, env: &mut Env<'_>) -> Result<Option<PageId>, Raised> {
        let Some(frame) = env.ram.frame(self.pc) else {
            return Err(self.raise(Exception::synchronous(syndrome::UNDEFINED)));
        };
        if let Some(id) = env.pages.find(frame) {
            return Ok(Some(id));
        }
        self.mmu.data.guard(frame);
        Ok(env.pages.add(frame))
    }

    /// Loads through bank `bank`, when the fast way missed.
    #[cold]
    pub(in crate::a64) fn load_slow<T: Scalar>(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        bank: usize,
    ) -> Result<T, Raised> {
        let Some(frame) = env.ram.frame(va) else { return Ok(T::narrow(0)) };
        let mapping = Mapping {
            pa: va & !(PAGE_SIZE - 1),
            frame: Some(frame),
            read: true,
            write: true,
            fast_read: true,
            fast_write: env.pages.find(frame).is_none(),
            device: false,
            global: true,
            shift: 12,
        };
        self.mmu.data.insert(bank, va, mapping);
        Ok(env.ram.load(frame, va % PAGE_SIZE))
    }

    /// Stores through bank `bank`, when the fast way missed.
    #[cold]
    pub(in crate::a64) fn store_slow<T: Scalar>(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        bank: usize,
        value: T,
    ) -> Result<(), Raised> {
        self.load_slow::<u8>(env, va, bank)?;
        if let Some(frame) = env.ram.frame(va) {
            env.ram.store(frame, va % PAGE_SIZE, value);
            env.pages.written(frame, va % PAGE_SIZE, T::SIZE);
        }
        Ok(())
    }
}
