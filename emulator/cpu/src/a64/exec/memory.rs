//! Loads and stores that are not in the loop: writeback, exclusives, ordered accesses, atomics,
//! vector registers.

use crate::a64::core::{Core, Env, Raised};
use crate::a64::exception::{Exception, syndrome};
use crate::a64::mmu::bank;
use crate::a64::mmu::walk::{Fault, status};
use crate::a64::op::{Indexing, Op, forms};
use crate::a64::regs::{El, SP};
use crate::interp::Scalar;

forms! {
    /// What a [`super::super::op::Kind::Memory`] does. `rd` is the register transferred, `rn` the base.
    pub(in crate::a64) enum Form {
        /// `a` is a [`Width`], `b` an [`Indexing`].
        LoadIndexed,
        StoreIndexed,
        /// The [`Width`] is in the high byte of `form`; the address is formed as in the loop.
        LoadRegister,
        StoreRegister,
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

impl Width {
    fn bytes(self) -> u64 {
        match self {
            Self::B | Self::SbX | Self::SbW => 1,
            Self::H | Self::ShX | Self::ShW => 2,
            Self::W | Self::Sw => 4,
            Self::X => 8,
        }
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
        if va.is_multiple_of(16)
            && let Some((low, high)) = self.mmu.data.load_pair::<u64>(va)
        {
            return Ok(u128::from(low) | u128::from(high) << 64);
        }
        self.check_aligned128(env, va, false)?;
        let low: u64 = self.load(env, va)?;
        let high: u64 = self.load(env, va.wrapping_add(8))?;
        Ok(u128::from(low) | u128::from(high) << 64)
    }

    /// Stores 16 bytes.
    pub(in crate::a64) fn store128(&mut self, env: &mut Env<'_>, va: u64, value: u128) -> Result<(), Raised> {
        // Both halves are stored.
        let (low, high) = (value as u64, (value >> 64) as u64);
        if va.is_multiple_of(16) && self.mmu.data.store_pair(va, (low, high)) {
            return Ok(());
        }
        self.check_aligned128(env, va, true)?;
        self.store(env, va, low)?;
        self.store(env, va.wrapping_add(8), high)
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

    /// Loads a vector register's 1 << `size` bytes, zero-extended.
    fn load_vector(&mut self, env: &mut Env<'_>, va: u64, size: u8) -> Result<u128, Raised> {
        Ok(match size {
            0 => self.load::<u8>(env, va)?.into(),
            1 => self.load::<u16>(env, va)?.into(),
            2 => self.load::<u32>(env, va)?.into(),
            3 => self.load::<u64>(env, va)?.into(),
            _ => self.load128(env, va)?,
        })
    }

    fn store_vector(&mut self, env: &mut Env<'_>, va: u64, size: u8, value: u128) -> Result<(), Raised> {
        // The low half holds every size but the largest.
        let low = value as u64;
        match size {
            0 => self.store(env, va, u8::narrow(low)),
            1 => self.store(env, va, u16::narrow(low)),
            2 => self.store(env, va, u32::narrow(low)),
            3 => self.store(env, va, low),
            _ => self.store128(env, va, value),
        }
    }

    /// Zeroes the aligned block of `bytes` that holds `va`, as DC ZVA.
    pub(in crate::a64) fn zero_block(
        &mut self,
        env: &mut Env<'_>,
        va: u64,
        bytes: u64,
    ) -> Result<(), Raised> {
        if self.mmu.data.zero(va, bytes.ilog2()) {
            return Ok(());
        }
        let bank = self.mmu.data.bank();
        if self.data_mapping(env, va, bank, true, 0)?.device {
            return Err(self.data_abort(va, Fault(status::ALIGNMENT), true, 0));
        }
        let first = va & !(bytes - 1);
        for at in (first..=first | (bytes - 1)).step_by(8) {
            self.store(env, at, 0u64)?;
        }
        Ok(())
    }

    /// Base plus the extended and shifted rm.
    fn register_offset(&mut self, op: Op) -> Result<u64, Raised> {
        let back = u32::from(op.a & 63);
        let index = ((self.x[op.rm] << back) as i64 >> back) as u64 & op.imm;
        Ok(self.base(op.rn)?.wrapping_add(index << (op.b & 7)))
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
        Form::LoadRegister => {
            let address = core.register_offset(op)?;
            core.x[op.rd] = core.load_width(env, address, Width::of(op.form >> 8))?;
        }
        Form::StoreRegister => {
            let address = core.register_offset(op)?;
            let value = core.x[op.rd];
            core.store_width(env, address, Width::of(op.form >> 8), value)?;
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
        Form::LoadOrdered => {
            let address = core.base(op.rn)?.wrapping_add(op.imm);
            core.check_aligned(address, width.bytes(), false)?;
            core.x[op.rd] = core.load_width(env, address, width)?;
        }
        Form::StoreOrdered => {
            let address = core.base(op.rn)?.wrapping_add(op.imm);
            core.check_aligned(address, width.bytes(), true)?;
            let value = core.x[op.rd];
            core.store_width(env, address, width, value)?;
        }
        form if form as u16 >= Form::LoadVector as u16 => return vector(core, env, op, form),
        form => return super::atomic::execute(core, env, op, form),
    }
    Ok(())
}

/// Loads and stores of vector registers.
fn vector(core: &mut Core, env: &mut Env<'_>, op: Op, form: Form) -> Result<(), Raised> {
    if !core.fp_enabled {
        return Err(core.raise(Exception::synchronous(syndrome::FP_DISABLED)));
    }
    let (first, second) = (usize::from(op.rd & 31), usize::from(op.rm & 31));
    let size = op.a;
    let other = |address: u64| address.wrapping_add(1 << (size & 7));
    match form {
        Form::LoadVector => {
            let (address, moved) = core.indexed(op)?;
            core.v[first] = core.load_vector(env, address, size)?;
            core.x[op.rn] = moved;
        }
        Form::StoreVector => {
            let (address, moved) = core.indexed(op)?;
            core.store_vector(env, address, size, core.v[first])?;
            core.x[op.rn] = moved;
        }
        Form::LoadVectorPair => {
            let (address, moved) = core.indexed(op)?;
            let values =
                [core.load_vector(env, address, size)?, core.load_vector(env, other(address), size)?];
            [core.v[first], core.v[second]] = values;
            core.x[op.rn] = moved;
        }
        Form::StoreVectorPair => {
            let (address, moved) = core.indexed(op)?;
            core.store_vector(env, address, size, core.v[first])?;
            core.store_vector(env, other(address), size, core.v[second])?;
            core.x[op.rn] = moved;
        }
        Form::LoadVectorLiteral => {
            let address = core.pc.wrapping_add(op.imm);
            core.v[first] = core.load_vector(env, address, size)?;
        }
        _ => {
            let address = core.register_offset(op)?;
            // The size is in the high byte.
            let size = (op.form >> 8) as u8;
            if form == Form::LoadVectorRegister {
                core.v[first] = core.load_vector(env, address, size)?;
            } else {
                core.store_vector(env, address, size, core.v[first])?;
            }
        }
    }
    Ok(())
}
