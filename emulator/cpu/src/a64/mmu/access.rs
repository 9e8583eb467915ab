//! The slow way of loads, stores and fetches: translation, faults, unaligned accesses, devices,
//! stores to code.

use super::walk::{Access, Fault, Translation, status, translate};
use super::{Mmu, bank, rights};
use crate::a64::core::{Core, Env, Message, Raised};
use crate::a64::exception::{Exception, debug, syndrome};
use crate::a64::regs::El;
use crate::interp::{Mapping, PAGE_SHIFT, PAGE_SIZE, PageId, Scalar};

/// ISS bit: the access was a write.
const WNR: u32 = 1 << 6;
/// ISS bit: the fault is that of a cache maintenance instruction.
pub(in crate::a64) const CM: u32 = 1 << 8;

impl Core {
    /// A data abort to be taken to EL1. `extra` is or-ed into the syndrome.
    #[cold]
    pub(in crate::a64) fn data_abort(&mut self, va: u64, fault: Fault, write: bool, extra: u32) -> Raised {
        let class = match self.pstate.el {
            El::El0 => syndrome::class::DATA_LOWER,
            El::El1 => syndrome::class::DATA_SAME,
        };
        let iss = fault.0 | if write { WNR } else { 0 } | extra;
        self.raise(Exception::at(syndrome::syndrome(class, iss), va))
    }

    #[cold]
    fn instruction_abort(&mut self, va: u64, fault: Fault) -> Raised {
        let class = match self.pstate.el {
            El::El0 => syndrome::class::INSTRUCTION_LOWER,
            El::El1 => syndrome::class::INSTRUCTION_SAME,
        };
        self.raise(Exception::at(syndrome::syndrome(class, fault.0), va))
    }

    /// The mapping of `va` for data in `bank`, entered into the TLB.
    pub(in crate::a64) fn data_mapping(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        bank: usize,
        write: bool,
        extra: u32,
    ) -> Result<Mapping, Raised> {
        if let Some(mapping) = self.mmu.data.find(bank, va)
            && if write { mapping.write } else { mapping.read }
        {
            return Ok(mapping);
        }
        let access = if write { Access::Write } else { Access::Read };
        let found = translate(&self.mmu.regime, env.ram, va, rights(bank), access)
            .map_err(|fault| self.data_abort(va, fault, write, extra))?;
        let mut mapping = mapping(&found, env);
        if debug::watched(self, va) || env.stops.watches_page(va) {
            mapping.fast_read = false;
            mapping.fast_write = false;
        }
        self.mmu.data.insert(bank, va, mapping);
        Ok(mapping)
    }

    /// Loads through bank `bank`, when the fast way missed.
    #[cold]
    #[inline(never)]
    pub(in crate::a64) fn load_slow<T: Scalar>(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        bank: usize,
    ) -> Result<T, Raised> {
        if !va.is_multiple_of(T::SIZE) {
            return self.load_unaligned(env, va, bank);
        }
        let mapping = self.data_mapping(env, va, bank, false, 0)?;
        self.check_watches(env, va, T::SIZE, false)?;
        self.load_mapped(env, va, &mapping)
    }

    /// Stores through bank `bank`, when the fast way missed.
    #[cold]
    #[inline(never)]
    pub(in crate::a64) fn store_slow<T: Scalar>(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        bank: usize,
        value: T,
    ) -> Result<(), Raised> {
        if !va.is_multiple_of(T::SIZE) {
            return self.store_unaligned(env, va, bank, value);
        }
        let mapping = self.data_mapping(env, va, bank, true, 0)?;
        self.check_watches(env, va, T::SIZE, true)?;
        self.store_mapped(env, va, &mapping, value)
    }

    fn load_mapped<T: Scalar>(&mut self, env: &mut Env<'_>, va: u64, mapping: &Mapping) -> Result<T, Raised> {
        let offset = va % PAGE_SIZE;
        if let Some(frame) = mapping.frame {
            return Ok(env.ram.load(frame, offset));
        }
        let at = self.at(env);
        // A scalar has at most 8 bytes.
        let result = env.bus.read(at, mapping.pa | offset, T::SIZE as u8);
        self.poll_lines(env);
        result.map(T::narrow).map_err(|_| self.data_abort(va, Fault(status::EXTERNAL), false, 0))
    }

    fn store_mapped<T: Scalar>(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        mapping: &Mapping,
        value: T,
    ) -> Result<(), Raised> {
        let offset = va % PAGE_SIZE;
        if let Some(frame) = mapping.frame {
            env.ram.store(frame, offset, value);
            env.pages.written(frame, offset, T::SIZE);
            return Ok(());
        }
        let at = self.at(env);
        // A scalar has at most 8 bytes.
        let result = env.bus.write(at, mapping.pa | offset, T::SIZE as u8, value.widen());
        self.poll_lines(env);
        result.map_err(|_| self.data_abort(va, Fault(status::EXTERNAL), true, 0))
    }

    /// The mappings of the first and the last byte of an unaligned access, which must not be of
    /// device memory.
    fn unaligned(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        size: u64,
        bank: usize,
        write: bool,
    ) -> Result<[Mapping; 2], Raised> {
        if self.mmu.regime.aligned {
            return Err(self.data_abort(va, Fault(status::ALIGNMENT), write, 0));
        }
        let first = self.data_mapping(env, va, bank, write, 0)?;
        let last = va.wrapping_add(size - 1);
        let second = if (va ^ last) >> PAGE_SHIFT == 0 {
            first
        } else {
            self.data_mapping(env, last & !(PAGE_SIZE - 1), bank, write, 0)?
        };
        if first.device || second.device {
            // The first byte that cannot be accessed, as for other faults of the second page.
            let at = if first.device { va } else { last & !(PAGE_SIZE - 1) };
            return Err(self.data_abort(at, Fault(status::ALIGNMENT), write, 0));
        }
        self.check_watches(env, va, size, write)?;
        Ok([first, second])
    }

    fn load_unaligned<T: Scalar>(&mut self, env: &mut Env<'_>, va: u64, bank: usize) -> Result<T, Raised> {
        let [first, second] = self.unaligned(env, va, T::SIZE, bank, false)?;
        if let Some(frame) = first.frame
            && va % PAGE_SIZE + T::SIZE <= PAGE_SIZE
        {
            return Ok(env.ram.load(frame, va % PAGE_SIZE));
        }
        let mut value = 0;
        for i in 0..T::SIZE {
            let at = va.wrapping_add(i);
            let mapping = if (at ^ va) >> PAGE_SHIFT == 0 { &first } else { &second };
            value |= self.load_mapped::<u8>(env, at, mapping)?.widen() << (8 * i);
        }
        Ok(T::narrow(value))
    }

    fn store_unaligned<T: Scalar>(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        bank: usize,
        value: T,
    ) -> Result<(), Raised> {
        let [first, second] = self.unaligned(env, va, T::SIZE, bank, true)?;
        if let Some(frame) = first.frame
            && va % PAGE_SIZE + T::SIZE <= PAGE_SIZE
        {
            env.ram.store(frame, va % PAGE_SIZE, value);
            env.pages.written(frame, va % PAGE_SIZE, T::SIZE);
            return Ok(());
        }
        for i in 0..T::SIZE {
            let at = va.wrapping_add(i);
            let mapping = if (at ^ va) >> PAGE_SHIFT == 0 { &first } else { &second };
            self.store_mapped(env, at, mapping, u8::narrow(value.widen() >> (8 * i)))?;
        }
        Ok(())
    }

    /// Refuses a 16-byte access that is not 16-byte aligned where alignment is demanded.
    pub(in crate::a64) fn check_aligned128(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        write: bool,
    ) -> Result<(), Raised> {
        if va.is_multiple_of(16) {
            return Ok(());
        }
        let bank = self.mmu.data.bank();
        if self.mmu.regime.aligned || self.data_mapping(env, va, bank, write, 0)?.device {
            return Err(self.data_abort(va, Fault(status::ALIGNMENT), write, 0));
        }
        Ok(())
    }

    /// The decoded page of PC; `None` where there is no room for it.
    #[inline]
    pub(in crate::a64) fn fetch(&mut self, env: &mut Env<'_>) -> Result<Option<PageId>, Raised> {
        let tag = self.pc & !(PAGE_SIZE - 1) | u64::from(self.pstate.el == El::El1);
        let (known, id) = self.mmu.recent[Mmu::place(self.pc)];
        if known == tag && self.pc & 3 == 0 {
            return Ok(Some(id));
        }
        self.fetch_slow(env)
    }

    #[cold]
    fn fetch_slow(&mut self, env: &mut Env<'_>) -> Result<Option<PageId>, Raised> {
        if self.pc & 3 != 0 {
            let syndrome = syndrome::syndrome(syndrome::class::PC_ALIGNMENT, 0);
            return Err(self.raise(Exception::at(syndrome, self.pc)));
        }
        self.pc = self.mmu.canonical(self.pc);
        let pc = self.pc;
        let bank = if self.pstate.el == El::El0 { bank::EL0 } else { bank::EL1 };
        let mapping = match self.mmu.code.find(bank, pc) {
            Some(mapping) => mapping,
            None => {
                let found = translate(&self.mmu.regime, env.ram, pc, rights(bank), Access::Execute)
                    .map_err(|fault| self.instruction_abort(pc, fault))?;
                let mapping = mapping(&found, env);
                self.mmu.code.insert(bank, pc, mapping);
                mapping
            }
        };
        let Some(frame) = mapping.frame else {
            return Err(self.instruction_abort(pc, Fault(status::EXTERNAL)));
        };
        let id = match env.pages.find(frame) {
            Some(id) => id,
            None => {
                let Some(id) = env.pages.add(frame) else { return Ok(None) };
                self.mmu.data.guard(frame);
                env.tell(Message::Guard(frame));
                id
            }
        };
        let tag = pc & !(PAGE_SIZE - 1) | u64::from(self.pstate.el == El::El1);
        self.mmu.recent[Mmu::place(pc)] = (tag, id);
        Ok(Some(id))
    }
}

impl Mmu {
    fn place(pc: u64) -> usize {
        (pc >> PAGE_SHIFT) as usize % 64
    }
}

fn mapping(found: &Translation, env: &Env<'_>) -> Mapping {
    let pa = found.pa & !(PAGE_SIZE - 1);
    let frame = env.ram.frame(pa);
    Mapping {
        pa,
        frame,
        read: found.read,
        write: found.write,
        fast_read: true,
        fast_write: frame.is_some_and(|frame| env.pages.find(frame).is_none()),
        device: found.device(),
        global: found.global,
        // At most 48.
        shift: found.shift as u8,
    }
}
