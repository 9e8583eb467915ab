//! Exclusives, compare-and-swap and atomic read-modify-write [Arm C3.2.12 to C3.2.14].
//!
//! Cores have their turns on one thread, so an operation here is atomic by itself. The monitor of a
//! core is lost when another core has had its turn. What a device writes is noticed by value: a
//! store-exclusive also compares what the load-exclusive read.

use super::memory::Form;
use crate::a64::core::{Core, Env, Monitor, Raised};
use crate::a64::exception::debug;
use crate::a64::mmu::walk::{Fault, status};
use crate::a64::op::Op;
use crate::interp::{Frame, PAGE_SIZE, Scalar};

/// A place in RAM that is aligned for an access and may be accessed.
#[derive(Clone, Copy)]
struct Place {
    frame: Frame,
    offset: u64,
    pa: u64,
}

impl Core {
    /// Alignment that does not depend on SCTLR.A or the memory type.
    pub(in crate::a64) fn check_aligned(&mut self, va: u64, size: u64, write: bool) -> Result<(), Raised> {
        if va.is_multiple_of(size) {
            return Ok(());
        }
        Err(self.data_abort(va, Fault(status::ALIGNMENT), write, 0))
    }

    fn place(&mut self, env: &mut Env<'_>, va: u64, size: u64, write: bool) -> Result<Place, Raised> {
        self.check_aligned(va, size, write)?;
        let mapping = self.data_mapping(env, va, self.mmu.data.bank(), write, 0)?;
        self.check_watches(env, va, size, write)?;
        let Some(frame) = mapping.frame else {
            return Err(self.data_abort(va, Fault(status::UNSUPPORTED_EXCLUSIVE), write, 0));
        };
        let offset = va % PAGE_SIZE;
        Ok(Place { frame, offset, pa: mapping.pa | offset })
    }

    /// A place that is read and written: a fault that a read would have as well is a read's.
    fn place_to_modify(&mut self, env: &mut Env<'_>, va: u64, size: u64) -> Result<Place, Raised> {
        self.place(env, va, size, false)?;
        self.place(env, va, size, true)
    }
}

fn get(env: &Env<'_>, place: Place, size: u64) -> u64 {
    match size {
        1 => env.ram.load::<u8>(place.frame, place.offset).widen(),
        2 => env.ram.load::<u16>(place.frame, place.offset).widen(),
        4 => env.ram.load::<u32>(place.frame, place.offset).widen(),
        _ => env.ram.load::<u64>(place.frame, place.offset),
    }
}

fn put(env: &Env<'_>, place: Place, size: u64, value: u64) {
    match size {
        1 => env.ram.store(place.frame, place.offset, u8::narrow(value)),
        2 => env.ram.store(place.frame, place.offset, u16::narrow(value)),
        4 => env.ram.store(place.frame, place.offset, u32::narrow(value)),
        _ => env.ram.store(place.frame, place.offset, value),
    }
    env.pages.written(place.frame, place.offset, size);
}

/// The two elements of a pair, of `size` bytes each.
fn get_pair(env: &Env<'_>, place: Place, size: u64) -> (u64, u64) {
    (get(env, place, size), get(env, Place { offset: place.offset + size, ..place }, size))
}

fn marked(env: &Env<'_>, place: Place, size: u64, pair: bool) -> (u64, u64) {
    if pair { get_pair(env, place, size) } else { (get(env, place, size), 0) }
}

fn put_pair(env: &Env<'_>, place: Place, size: u64, values: (u64, u64)) {
    put(env, place, size, values.0);
    put(env, Place { offset: place.offset + size, ..place }, size, values.1);
}

/// The bits of an element of `size` bytes.
fn mask(size: u64) -> u64 {
    if size >= 8 { !0 } else { (1 << (8 * size)) - 1 }
}

pub(super) fn execute(core: &mut Core, env: &mut Env<'_>, op: Op, form: Form) -> Result<(), Raised> {
    let size = 1u64 << (op.a & 3);
    let slot = |op: Op| op.b;
    match form {
        Form::CompareAndSwapPair => return compare_and_swap_pair(core, env, op, size),
        Form::LoadExclusive | Form::LoadExclusivePair => {
            let pair = form == Form::LoadExclusivePair;
            let bytes = if pair { 2 * size } else { size };
            let va = core.base(op.rn)?;
            let place = core.place(env, va, bytes, false)?;
            let value = marked(env, place, size, pair);
            core.x[op.rd] = value.0;
            if pair {
                core.x[op.rm] = value.1;
            }
            core.monitor = Some(Monitor { pa: place.pa, size: bytes, value });
            core.stepped = core.stepped.map(|_| debug::EX);
        }
        Form::StoreExclusive | Form::StoreExclusivePair => {
            let pair = form == Form::StoreExclusivePair;
            let bytes = if pair { 2 * size } else { size };
            let va = core.base(op.rn)?;
            let place = core.place(env, va, bytes, true)?;
            let value = marked(env, place, size, pair);
            let passed = core.monitor.take() == Some(Monitor { pa: place.pa, size: bytes, value });
            if passed && pair {
                put_pair(env, place, size, (core.x[op.rd], core.x[slot(op)]));
            } else if passed {
                put(env, place, size, core.x[op.rd]);
            }
            core.x[op.rm] = u64::from(!passed);
        }
        Form::CompareAndSwap => {
            let va = core.base(op.rn)?;
            let place = core.place_to_modify(env, va, size)?;
            let old = get(env, place, size);
            if old == core.x[op.rm] & mask(size) {
                put(env, place, size, core.x[op.rd]);
            }
            core.x[slot(op)] = old;
        }
        _ => {
            let va = core.base(op.rn)?;
            let place = core.place_to_modify(env, va, size)?;
            let old = get(env, place, size);
            put(env, place, size, modified(op.b, size, old, core.x[op.rm]));
            core.x[op.rd] = old;
        }
    }
    Ok(())
}

/// A [`super::super::op::Kind::Atomic`] where the data TLB has a fast entry for its address; false where
/// it has none, and nothing was done.
pub(super) fn modify_fast(core: &mut Core, op: Op) -> bool {
    let (va, operand) = (core.x[op.rn], core.x[op.rm]);
    let old = if op.a & 3 == 3 {
        core.mmu.data.modify(va, |old: u64| modified(op.b, 8, old, operand))
    } else {
        core.mmu
            .data
            .modify(va, |old: u32| u32::narrow(modified(op.b, 4, old.into(), operand)))
            .map(u64::from)
    };
    let Some(old) = old else { return false };
    core.x[op.rd] = old;
    true
}

/// The new value for o3:opc of an atomic operation.
fn modified(opcode: u8, size: u64, old: u64, operand: u64) -> u64 {
    let unused = 64 - 8 * size as u32;
    let (signed_old, signed) = ((old << unused) as i64, (operand << unused) as i64);
    let operand = operand & mask(size);
    match opcode {
        0 => old.wrapping_add(operand),
        1 => old & !operand,
        2 => old ^ operand,
        3 => old | operand,
        4 => (signed_old.max(signed) as u64) >> unused,
        5 => (signed_old.min(signed) as u64) >> unused,
        6 => old.max(operand),
        7 => old.min(operand),
        _ => operand,
    }
}

fn compare_and_swap_pair(core: &mut Core, env: &mut Env<'_>, op: Op, size: u64) -> Result<(), Raised> {
    let (new, compared) = (u32::from(op.rd), u32::from(op.rm));
    let va = core.base(op.rn)?;
    let place = core.place_to_modify(env, va, 2 * size)?;
    let old = get_pair(env, place, size);
    if old == (core.gpr(compared) & mask(size), core.gpr(compared + 1) & mask(size)) {
        put_pair(env, place, size, (core.gpr(new), core.gpr(new + 1)));
    }
    core.set_gpr(compared, old.0);
    core.set_gpr(compared + 1, old.1);
    Ok(())
}
