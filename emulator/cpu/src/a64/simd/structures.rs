//! LD1 to LD4 and ST1 to ST4: multiple structures, single structures, replication [Arm C4.1,
//! "Advanced SIMD load/store multiple structures" and the three tables after it].

use super::lanes::Shape;
use crate::a64::core::{Core, Env, Raised};
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::op::{Kind, Op, forms};
use crate::a64::regs::SP;

forms! {
    /// `rd` is the first register, `a` how many of them make a structure, `b` log2 of an element's
    /// bytes.
    enum Form {
        /// Whole registers: `form` bits 15:8 are the repetitions.
        Multiple,
        /// One element: `form` bits 15:8 are its index.
        Single,
        /// One element to all lanes.
        Replicate,
    }
}

/// Decodes a load or store of structures to [`Kind::SimdMemory`].
pub(in crate::a64) fn decode(word: u32, _features: &Features) -> Option<Op> {
    let (q, post) = (bit(word, 30), bit(word, 23));
    // Without writeback the field of Rm is zero.
    let register = bits(word, 20, 16);
    if bit(word, 31) || (!post && register != 0) {
        return None;
    }
    let op = if bit(word, 24) { single(word, q)? } else { multiple(word, q)? };
    let rn = bits(word, 9, 5);
    // Five bits each.
    let base = if rn == 31 { SP } else { rn as u8 };
    Some(op.regs(bits(word, 4, 0) as u8, base, register as u8))
}

fn multiple(word: u32, q: bool) -> Option<Op> {
    if bit(word, 21) {
        return None;
    }
    let (repeat, elements) = match bits(word, 15, 12) {
        0b0000 => (1, 4),
        0b0010 => (4, 1),
        0b0100 => (1, 3),
        0b0110 => (3, 1),
        0b0111 => (1, 1),
        0b1000 => (1, 2),
        0b1010 => (2, 1),
        _ => return None,
    };
    let size = bits(word, 11, 10);
    if size == 3 && !q && elements != 1 {
        return None;
    }
    // Two bits.
    let op = Op::group(Kind::SimdMemory, Form::Multiple as u16 | repeat << 8, word);
    Some(op.a(elements).b(size as u8))
}

fn single(word: u32, q: bool) -> Option<Op> {
    // Three bits each at most.
    let elements = (bits(word, 13, 13) << 1 | bits(word, 21, 21)) as u8 + 1;
    let (s, size) = (bits(word, 12, 12), bits(word, 11, 10));
    let q = u32::from(q);
    let (form, scale, index) = match (bits(word, 15, 14), size) {
        (0, _) => (Form::Single, 0, q << 3 | s << 2 | size),
        (1, 0b00 | 0b10) => (Form::Single, 1, q << 2 | s << 1 | size >> 1),
        (2, 0b00) => (Form::Single, 2, q << 1 | s),
        (2, 0b01) if s == 0 => (Form::Single, 3, q),
        (3, _) if s == 0 && bit(word, 22) => (Form::Replicate, size, 0),
        _ => return None,
    };
    // Four bits and two.
    let op = Op::group(Kind::SimdMemory, form as u16 | (index as u16) << 8, word);
    Some(op.a(elements).b(scale as u8))
}

impl Core {
    /// Loads an element of `8 << size` bits.
    fn load_element(&mut self, env: &mut Env<'_>, va: u64, size: u8) -> Result<u64, Raised> {
        Ok(match size {
            0 => self.load::<u8>(env, va)?.into(),
            1 => self.load::<u16>(env, va)?.into(),
            2 => self.load::<u32>(env, va)?.into(),
            _ => self.load::<u64>(env, va)?,
        })
    }

    /// Stores an element's low bits.
    fn store_element(&mut self, env: &mut Env<'_>, va: u64, size: u8, value: u64) -> Result<(), Raised> {
        match size {
            0 => self.store(env, va, value as u8),
            1 => self.store(env, va, value as u16),
            2 => self.store(env, va, value as u32),
            _ => self.store(env, va, value),
        }
    }
}

/// The elements of a doubleword. In memory that the TLB has a pointer to they are accessed together;
/// elsewhere one by one, because a device can tell, and because alignment is that of elements.
impl Core {
    fn load_doubleword(&mut self, env: &mut Env<'_>, va: u64, size: u8) -> Result<u64, Raised> {
        if let Some(value) = self.mmu.data.load(va) {
            return Ok(value);
        }
        let bits = 8 << size;
        let mut value = 0;
        for at in (0..64).step_by(bits) {
            value |= self.load_element(env, va.wrapping_add(at / 8), size)? << at;
        }
        Ok(value)
    }

    fn store_doubleword(&mut self, env: &mut Env<'_>, va: u64, size: u8, value: u64) -> Result<(), Raised> {
        if self.mmu.data.store(va, value) {
            return Ok(());
        }
        let bits = 8 << size;
        for at in (0..64).step_by(bits) {
            self.store_element(env, va.wrapping_add(at / 8), size, value >> at)?;
        }
        Ok(())
    }
}

/// Runs what [`decode`] made; PC is that of the instruction. Access has been checked. No register is
/// written before the last access that can fault.
pub(in crate::a64) fn execute(core: &mut Core, env: &mut Env<'_>, op: Op) -> Result<(), Raised> {
    // The instruction.
    let word = op.imm as u32;
    let base = core.base(op.rn)?;
    let load = bit(word, 22);
    let moved = match Form::of(op.form) {
        Form::Multiple => multiple_structures(core, env, op, base, load)?,
        Form::Single => {
            let shape = Shape { bits: 8 << op.b, width: 128 };
            let index = u32::from(op.form >> 8);
            one_structure(core, env, op, base, load, |old, element| {
                old & !shape.put(!0, index) | shape.put(element, index)
            })?
        }
        Form::Replicate => {
            let shape = Shape::of(word, 8 << op.b);
            one_structure(core, env, op, base, true, |_, element| shape.build(|_| element))?
        }
    };
    if bit(word, 23) {
        let offset = if op.rm == 31 { moved } else { core.gpr(op.rm.into()) };
        core.x[op.rn] = base.wrapping_add(offset);
    }
    Ok(())
}

/// Whole registers. How many bytes that were.
fn multiple_structures(
    core: &mut Core,
    env: &mut Env<'_>,
    op: Op,
    base: u64,
    load: bool,
) -> Result<u64, Raised> {
    // The instruction.
    let word = op.imm as u32;
    let (repeat, elements) = (usize::from(op.form >> 8), usize::from(op.a));
    let register = |i: usize| (usize::from(op.rd) + i) % 32;
    // One register after the other goes by doublewords where it can; what is interleaved by elements.
    let size = if elements == 1 { 3 } else { op.b };
    let shape = Shape::of(word, 8 << size);
    let mut loaded = [0u128; 4];
    let mut address = base;
    for r in 0..repeat {
        for lane in 0..shape.lanes() {
            for s in 0..elements {
                let at = (r + s) % 4;
                match (load, elements) {
                    (true, 1) => loaded[at] |= shape.put(core.load_doubleword(env, address, op.b)?, lane),
                    (true, _) => loaded[at] |= shape.put(core.load_element(env, address, size)?, lane),
                    (false, 1) => {
                        let value = shape.get(core.v[register(at)], lane);
                        core.store_doubleword(env, address, op.b, value)?;
                    }
                    (false, _) => {
                        let value = shape.get(core.v[register(at)], lane);
                        core.store_element(env, address, size, value)?;
                    }
                }
                address = address.wrapping_add(1 << size);
            }
        }
    }
    if load {
        for (i, value) in loaded.iter().enumerate().take(repeat.max(elements)) {
            core.v[register(i)] = *value;
        }
    }
    Ok(address.wrapping_sub(base))
}

/// One element of each register; `merge` makes the register's new value. How many bytes that were.
fn one_structure(
    core: &mut Core,
    env: &mut Env<'_>,
    op: Op,
    base: u64,
    load: bool,
    merge: impl Fn(u128, u64) -> u128,
) -> Result<u64, Raised> {
    let size = op.b & 3;
    let shape = Shape { bits: 8 << size, width: 128 };
    let index = u32::from(op.form >> 8);
    let mut loaded = [0u64; 4];
    let elements = usize::from(op.a).min(4);
    let register = |i: usize| (usize::from(op.rd) + i) % 32;
    let mut address = base;
    for (i, element) in loaded.iter_mut().enumerate().take(elements) {
        if load {
            *element = core.load_element(env, address, size)?;
        } else {
            let value = shape.get(core.v[register(i)], index);
            core.store_element(env, address, size, value)?;
        }
        address = address.wrapping_add(1 << size);
    }
    if load {
        for (i, element) in loaded.iter().enumerate().take(elements) {
            core.v[register(i)] = merge(core.v[register(i)], *element);
        }
    }
    Ok(address.wrapping_sub(base))
}
