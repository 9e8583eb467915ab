//! Loads and stores that are not in the loop: writeback, exclusives, ordered accesses, atomics,
//! vector registers.

use crate::a64::core::{Core, Env, Monitor, Raised};
use crate::a64::exception::{Exception, syndrome};
use crate::a64::mmu::bank;
use crate::a64::op::{Indexing, Op, forms};
use crate::a64::regs::{El, SP};
use crate::interp::Scalar;

forms! {
    /// What a [`super::super::op::Kind::Memory`] does. `rd` is the register transferred, `rn` the base.
    pub(in crate::a64) enum Form {
        /// `a` is a [`Width`], `b` an [`Indexing`].
        LoadIndexed,
        StoreIndexed,
        /// LDTR: `a` is a [`Width`].
        LoadUnprivileged,
        StoreUnprivileged,
        /// Address: pc + imm.
        LoadLiteral,
        /// LDXR, LDAXR: log2 of the size in `a`.
        LoadExclusive,
        /// STXR, STLXR: status to rm.
        StoreExclusive,
        /// rd and rm.
        LoadExclusivePair,
        /// rd and the slot `b`, status to rm.
        StoreExclusivePair,
        /// LDAR, LDLAR, LDAPR, LDAPUR: `a` is a [`Width`].
        LoadOrdered,
        StoreOrdered,
        /// CAS: compares rm, stores rd, old value to the slot `b`.
        CompareAndSwap,
        /// CASP: pairs by register number in rd and rm; log2 of one element's size in `a`.
        CompareAndSwapPair,
        /// LDADD and the like: `b` is o3:opc.
        Atomic,
        /// Vector registers: log2 of the size in `a`, [`Indexing`] in `b`.
        LoadVector,
        StoreVector,
        /// The size is in the high byte of `form`; the address is formed as in the loop.
        LoadVectorRegister,
        StoreVectorRegister,
        LoadVectorLiteral,
        LoadVectorPair,
        StoreVectorPair,
    }
}

forms! {
    /// What a general register gets from memory, or gives.
    pub(in crate::a64) enum Width {
        B,
        H,
        W,
        X,
        /// Sign-extended byte to 64 bits.
        SbX,
        SbW,
        ShX,
        ShW,
        Sw,
    }
}

impl Core {
    /// Loads with the rights of the current exception level.
    #[inline]
    pub(in crate::a64) fn load<T: Scalar>(&mut self, env: &mut Env<'_>, va: u64) -> Result<T, Raised> {
        match self.mmu.data.load(va) {
            Some(value) => Ok(value),
            None => self.load_slow(env, va, self.mmu.data.bank()),
        }
    }

    /// Stores with the rights of the current exception level.
    #[inline]
    pub(in crate::a64) fn store<T: Scalar>(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        value: T,
    ) -> Result<(), Raised> {
        if self.mmu.data.store(va, value) {
            return Ok(());
        }
        self.store_slow(env, va, self.mmu.data.bank(), value)
    }

    /// Loads 16 bytes.
    pub(in crate::a64) fn load128(&mut self, env: &mut Env<'_>, va: u64) -> Result<u128, Raised> {
        let low: u64 = self.load(env, va)?;
        let high: u64 = self.load(env, va.wrapping_add(8))?;
        Ok(u128::from(low) | u128::from(high) << 64)
    }

    /// Stores 16 bytes.
    pub(in crate::a64) fn store128(&mut self, env: &mut Env<'_>, va: u64, value: u128) -> Result<(), Raised> {
        // Both halves are stored.
        self.store(env, va, value as u64)?;
        self.store(env, va.wrapping_add(8), (value >> 64) as u64)
    }

    /// The base register's value.
    #[inline(always)]
    pub(in crate::a64) fn base(&mut self, slot: u8) -> Result<u64, Raised> {
        let value = self.x[slot];
        if slot == SP && value & 15 != 0 {
            self.check_sp()?;
        }
        Ok(value)
    }

    /// SP alignment checking, for a misaligned SP [Arm D1.3.11.2].
    #[cold]
    fn check_sp(&mut self) -> Result<(), Raised> {
        use crate::a64::sysreg::sctlr;
        let bit = if self.pstate.el == El::El0 { sctlr::SA0 } else { sctlr::SA };
        if self.sys.sctlr & bit == 0 {
            return Ok(());
        }
        Err(self.raise(Exception::synchronous(syndrome::syndrome(syndrome::class::SP_ALIGNMENT, 0))))
    }

    fn load_width(&mut self, env: &mut Env<'_>, va: u64, width: Width) -> Result<u64, Raised> {
        // Sign extension to 64 bits, or to 32 and then with zeros.
        Ok(match width {
            Width::B => self.load::<u8>(env, va)?.into(),
            Width::H => self.load::<u16>(env, va)?.into(),
            Width::W => self.load::<u32>(env, va)?.into(),
            Width::X => self.load::<u64>(env, va)?,
            Width::SbX => self.load::<u8>(env, va)? as i8 as u64,
            Width::SbW => u64::from(self.load::<u8>(env, va)? as i8 as u32),
            Width::ShX => self.load::<u16>(env, va)? as i16 as u64,
            Width::ShW => u64::from(self.load::<u16>(env, va)? as i16 as u32),
            Width::Sw => self.load::<u32>(env, va)? as i32 as u64,
        })
    }

    fn store_width(&mut self, env: &mut Env<'_>, va: u64, width: Width, value: u64) -> Result<(), Raised> {
        match width {
            Width::B | Width::SbX | Width::SbW => self.store(env, va, u8::narrow(value)),
            Width::H | Width::ShX | Width::ShW => self.store(env, va, u16::narrow(value)),
            Width::W | Width::Sw => self.store(env, va, u32::narrow(value)),
            Width::X => self.store(env, va, value),
        }
    }

    /// Address to access, and what the base becomes.
    fn indexed(&mut self, op: Op) -> Result<(u64, u64), Raised> {
        let base = self.base(op.rn)?;
        let moved = base.wrapping_add(op.imm);
        Ok(match Indexing::of(u16::from(op.b)) {
            Indexing::Offset => (moved, base),
            Indexing::Pre => (moved, moved),
            Indexing::Post => (base, moved),
        })
    }

    /// Access with the rights of EL0, unless UAO says otherwise [Arm D8.4.1.6].
    fn unprivileged<R>(&mut self, access: impl FnOnce(&mut Self) -> Result<R, Raised>) -> Result<R, Raised> {
        let current = self.mmu.data.bank();
        if self.pstate.el == El::El1 && !self.pstate.uao {
            self.mmu.data.select(bank::EL0);
        }
        let result = access(self);
        self.mmu.data.select(current);
        result
    }
}

/// Runs a [`super::super::op::Kind::Memory`]; PC is that of the instruction.
pub(in crate::a64) fn execute(core: &mut Core, env: &mut Env<'_>, op: Op) -> Result<(), Raised> {
    let width = Width::of(u16::from(op.a));
    match Form::of(op.form) {
        Form::LoadIndexed => {
            let (address, moved) = core.indexed(op)?;
            let value = core.load_width(env, address, width)?;
            core.x[op.rn] = moved;
            core.x[op.rd] = value;
        }
        Form::StoreIndexed => {
            let (address, moved) = core.indexed(op)?;
            let value = core.x[op.rd];
            core.store_width(env, address, width, value)?;
            core.x[op.rn] = moved;
        }
        Form::LoadUnprivileged => {
            let address = core.base(op.rn)?.wrapping_add(op.imm);
            core.x[op.rd] = core.unprivileged(|core| core.load_width(env, address, width))?;
        }
        Form::StoreUnprivileged => {
            let address = core.base(op.rn)?.wrapping_add(op.imm);
            let value = core.x[op.rd];
            core.unprivileged(|core| core.store_width(env, address, width, value))?;
        }
        Form::LoadLiteral => {
            let address = core.pc.wrapping_add(op.imm);
            core.x[op.rd] = core.load_width(env, address, width)?;
        }
        form => return super::memory::rest(core, env, op, form),
    }
    Ok(())
}

fn rest(core: &mut Core, _env: &mut Env<'_>, _op: Op, _form: Form) -> Result<(), Raised> {
    let _ = Monitor { pa: 0, size: 0 };
    Err(core.raise(Exception::synchronous(syndrome::UNDEFINED)))
}
