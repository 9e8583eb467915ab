//! Loads and stores [Arm C4.1, "Loads and Stores"].

use super::{bit, bits, signed, source, target, with_sp};
use crate::a64::exec::memory::{Form, Width};
use crate::a64::features::Features;
use crate::a64::op::{Indexing, Kind, Op};
use crate::a64::regs::SP;
use crate::a64::simd;

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let vector = bit(word, 26);
    match bits(word, 29, 28) {
        0b00 if vector => simd::decode_memory(word, features),
        0b00 if !bit(word, 24) => exclusive(word, features),
        0b01 if !bit(word, 24) => literal(word, vector),
        0b01 if !vector => ordered_unscaled(word, features),
        0b10 => pair(word, vector),
        0b11 if bit(word, 24) => unsigned_offset(word, vector),
        0b11 => match (bit(word, 21), bits(word, 11, 10)) {
            (false, 0b00) => single(word, vector, signed(word, 20, 12)),
            (false, 0b01) => indexed(word, vector, Indexing::Post),
            (false, 0b11) => indexed(word, vector, Indexing::Pre),
            (false, _) if !vector => unprivileged(word),
            (true, 0b00) if !vector => atomic(word, features),
            (true, 0b10) => register_offset(word, vector),
            _ => None,
        },
        _ => None,
    }
}

fn memory(form: Form) -> Op {
    Op { form: form as u16, ..Op::new(Kind::Memory) }
}

/// A transfer of a general register, by the executor that is fastest for its form and width.
fn transfer_of(form: Form, width: Width) -> Op {
    let kind = match (form, width) {
        (Form::LoadIndexed, Width::X) => Kind::LdrIndexed64,
        (Form::LoadIndexed, Width::W) => Kind::LdrIndexed32,
        (Form::LoadIndexed, Width::B) => Kind::LdrIndexed8,
        (Form::StoreIndexed, Width::X) => Kind::StrIndexed64,
        (Form::StoreIndexed, Width::W) => Kind::StrIndexed32,
        (Form::StoreIndexed, Width::B) => Kind::StrIndexed8,
        (Form::LoadOrdered, Width::X) => Kind::Ldar64,
        (Form::LoadOrdered, Width::W) => Kind::Ldar32,
        (Form::LoadOrdered, Width::B) => Kind::Ldar8,
        (Form::StoreOrdered, Width::X) => Kind::Stlr64,
        (Form::StoreOrdered, Width::W) => Kind::Stlr32,
        (Form::StoreOrdered, Width::B) => Kind::Stlr8,
        _ => Kind::Memory,
    };
    Op { kind, ..memory(form).a(width as u8) }
}

/// What `size:opc` of a general register transfers.
enum Transfer {
    Load(Width),
    Store(Width),
    Prefetch,
}

fn transfer(word: u32) -> Option<Transfer> {
    Some(match (bits(word, 31, 30), bits(word, 23, 22)) {
        (0, 0) => Transfer::Store(Width::B),
        (1, 0) => Transfer::Store(Width::H),
        (2, 0) => Transfer::Store(Width::W),
        (3, 0) => Transfer::Store(Width::X),
        (0, 1) => Transfer::Load(Width::B),
        (1, 1) => Transfer::Load(Width::H),
        (2, 1) => Transfer::Load(Width::W),
        (3, 1) => Transfer::Load(Width::X),
        (0, 2) => Transfer::Load(Width::SbX),
        (0, 3) => Transfer::Load(Width::SbW),
        (1, 2) => Transfer::Load(Width::ShX),
        (1, 3) => Transfer::Load(Width::ShW),
        (2, 2) => Transfer::Load(Width::Sw),
        (3, 2) => Transfer::Prefetch,
        _ => return None,
    })
}

/// Log2 of the bytes of a vector register transfer, and whether it is a load.
fn vector_transfer(word: u32) -> Option<(u8, bool)> {
    let load = bit(word, 22);
    match (bits(word, 31, 30), bit(word, 23)) {
        (0, true) => Some((4, load)),
        (_, true) => None,
        // Two bits.
        (size, false) => Some((size as u8, load)),
    }
}

fn base(word: u32) -> u8 {
    with_sp(word >> 5)
}

/// A transfer at base plus `offset`, without writeback.
fn single(word: u32, vector: bool, offset: u64) -> Option<Op> {
    if vector {
        let (size, load) = vector_transfer(word)?;
        let op = memory(if load { Form::LoadVector } else { Form::StoreVector });
        // Five bits.
        return Some(op.regs(bits(word, 4, 0) as u8, base(word), 0).a(size).imm(offset));
    }
    if base(word) == SP {
        return stack(word, offset);
    }
    let (kind, rt) = match transfer(word)? {
        Transfer::Prefetch => return Some(Op::new(Kind::Nop)),
        Transfer::Store(width) => (
            match width {
                Width::X => Kind::Str64,
                Width::W => Kind::Str32,
                Width::H => Kind::Str16,
                _ => Kind::Str8,
            },
            source(word),
        ),
        Transfer::Load(width) => (
            match width {
                Width::X => Kind::Ldr64,
                Width::W => Kind::Ldr32,
                Width::H => Kind::Ldr16,
                Width::B => Kind::Ldr8,
                Width::Sw => Kind::Ldrs32To64,
                Width::ShX => Kind::Ldrs16To64,
                Width::ShW => Kind::Ldrs16To32,
                Width::SbX => Kind::Ldrs8To64,
                Width::SbW => Kind::Ldrs8To32,
            },
            target(word),
        ),
    };
    Some(Op::new(kind).regs(rt, base(word), 0).imm(offset))
}

/// The same with SP as base: its alignment is to be checked.
fn stack(word: u32, offset: u64) -> Option<Op> {
    let (op, rt) = match transfer(word)? {
        Transfer::Prefetch => return Some(Op::new(Kind::Nop)),
        Transfer::Load(Width::X) => (Op::new(Kind::LdrSp64), target(word)),
        Transfer::Store(Width::X) => (Op::new(Kind::StrSp64), source(word)),
        Transfer::Load(width) => (transfer_of(Form::LoadIndexed, width), target(word)),
        Transfer::Store(width) => (transfer_of(Form::StoreIndexed, width), source(word)),
    };
    Some(op.regs(rt, SP, 0).b(Indexing::Offset as u8).imm(offset))
}

fn unsigned_offset(word: u32, vector: bool) -> Option<Op> {
    let scale = if vector { u32::from(vector_transfer(word)?.0) } else { bits(word, 31, 30) };
    single(word, vector, u64::from(bits(word, 21, 10)) << scale)
}

fn indexed(word: u32, vector: bool, indexing: Indexing) -> Option<Op> {
    let offset = signed(word, 20, 12);
    if vector {
        return Some(single(word, true, offset)?.b(indexing as u8));
    }
    let (form, width, rt) = match transfer(word)? {
        Transfer::Prefetch => return None,
        Transfer::Load(width) => (Form::LoadIndexed, width, target(word)),
        Transfer::Store(width) => (Form::StoreIndexed, width, source(word)),
    };
    Some(transfer_of(form, width).regs(rt, base(word), 0).b(indexing as u8).imm(offset))
}

fn unprivileged(word: u32) -> Option<Op> {
    let (form, width, rt) = match transfer(word)? {
        Transfer::Prefetch => return None,
        Transfer::Load(width) => (Form::LoadUnprivileged, width, target(word)),
        Transfer::Store(width) => (Form::StoreUnprivileged, width, source(word)),
    };
    Some(memory(form).regs(rt, base(word), 0).a(width as u8).imm(signed(word, 20, 12)))
}

fn register_offset(word: u32, vector: bool) -> Option<Op> {
    let (back, mask) = match bits(word, 15, 13) {
        0b010 => (0, 0xffff_ffff),
        0b011 | 0b111 => (0, !0),
        0b110 => (32, !0),
        _ => return None,
    };
    let rm = source(word >> 16);
    if vector {
        let (size, load) = vector_transfer(word)?;
        let op = memory(if load { Form::LoadVectorRegister } else { Form::StoreVectorRegister });
        let op = Op { form: op.form | u16::from(size) << 8, ..op };
        let amount = if bit(word, 12) { size } else { 0 };
        // Five bits.
        return Some(op.regs(bits(word, 4, 0) as u8, base(word), rm).a(back).b(amount).imm(mask));
    }
    // Two bits.
    let amount = if bit(word, 12) { bits(word, 31, 30) as u8 } else { 0 };
    let address = |op: Op, rt: u8| op.regs(rt, base(word), rm).a(back).b(amount).imm(mask);
    let transfer = transfer(word)?;
    if base(word) == SP {
        let (form, width, rt) = match transfer {
            Transfer::Prefetch => return Some(Op::new(Kind::Nop)),
            Transfer::Load(width) => (Form::LoadRegister, width, target(word)),
            Transfer::Store(width) => (Form::StoreRegister, width, source(word)),
        };
        let op = memory(form);
        return Some(address(Op { form: op.form | (width as u16) << 8, ..op }, rt));
    }
    let (kind, rt) = match transfer {
        Transfer::Prefetch => return Some(Op::new(Kind::Nop)),
        Transfer::Store(width) => (
            match width {
                Width::X => Kind::StrR64,
                Width::W => Kind::StrR32,
                Width::H => Kind::StrR16,
                _ => Kind::StrR8,
            },
            source(word),
        ),
        Transfer::Load(width) => (
            match width {
                Width::X => Kind::LdrR64,
                Width::W => Kind::LdrR32,
                Width::H => Kind::LdrR16,
                Width::B => Kind::LdrR8,
                Width::Sw => Kind::LdrsR32To64,
                Width::ShX => Kind::LdrsR16To64,
                Width::ShW => Kind::LdrsR16To32,
                Width::SbX => Kind::LdrsR8To64,
                Width::SbW => Kind::LdrsR8To32,
            },
            target(word),
        ),
    };
    Some(address(Op::new(kind), rt))
}

fn literal(word: u32, vector: bool) -> Option<Op> {
    let offset = signed(word, 23, 5) << 2;
    let size = bits(word, 31, 30);
    if vector {
        // Five bits, two bits.
        let op = memory(Form::LoadVectorLiteral).regs(bits(word, 4, 0) as u8, 0, 0);
        return (size != 3).then(|| op.a(size as u8 + 2).imm(offset));
    }
    let width = match size {
        0 => Width::W,
        1 => Width::X,
        2 => Width::Sw,
        _ => return Some(Op::new(Kind::Nop)),
    };
    Some(memory(Form::LoadLiteral).regs(target(word), 0, 0).a(width as u8).imm(offset))
}

fn pair(word: u32, vector: bool) -> Option<Op> {
    let (opc, load) = (bits(word, 31, 30), bit(word, 22));
    let indexing = match bits(word, 24, 23) {
        0b01 => Indexing::Post,
        0b11 => Indexing::Pre,
        _ => Indexing::Offset,
    };
    let offset = signed(word, 21, 15);
    if vector {
        if opc == 3 {
            return None;
        }
        let op = memory(if load { Form::LoadVectorPair } else { Form::StoreVectorPair });
        // Five bits each, and two.
        let op = op.regs(bits(word, 4, 0) as u8, base(word), bits(word, 14, 10) as u8);
        return Some(op.a(opc as u8 + 2).b(indexing as u8).imm(offset << (opc + 2)));
    }
    let (kind, scale) = match (opc, load) {
        (0, true) => (Kind::Ldp32, 2),
        (0, false) => (Kind::Stp32, 2),
        (1, true) if bits(word, 24, 23) != 0 => (Kind::Ldpsw, 2),
        (2, true) if base(word) == SP => (Kind::LdpSp64, 3),
        (2, false) if base(word) == SP => (Kind::StpSp64, 3),
        (2, true) => (Kind::Ldp64, 3),
        (2, false) => (Kind::Stp64, 3),
        _ => return None,
    };
    let slot = if load { target } else { source };
    let op = Op::new(kind).regs(slot(word), base(word), slot(word >> 10));
    Some(op.a(indexing as u8).imm(offset << scale))
}

/// Exclusives, ordered accesses and compare-and-swap. `form` bit 8 is acquire, `a` the size.
fn exclusive(word: u32, features: &Features) -> Option<Op> {
    // Two bits.
    let size = bits(word, 31, 30) as u8;
    let load = bit(word, 22);
    let pair = bit(word, 21);
    let ordered = bit(word, 15);
    let (rs, rt2) = (word >> 16, word >> 10);
    match (bit(word, 23), pair) {
        (false, false) if load => Some(memory(Form::LoadExclusive).regs(target(word), base(word), 0).a(size)),
        (false, false) => {
            Some(memory(Form::StoreExclusive).regs(source(word), base(word), target(rs)).a(size))
        }
        (false, true) if size >= 2 && load => {
            Some(memory(Form::LoadExclusivePair).regs(target(word), base(word), target(rt2)).a(size))
        }
        (false, true) if size >= 2 => {
            let op = memory(Form::StoreExclusivePair).regs(source(word), base(word), target(rs));
            Some(op.a(size).b(source(rt2)))
        }
        (false, true) => {
            let even = word & 1 == 0 && rs & 1 == 0;
            let allowed = features.lse && bits(word, 14, 10) == 31 && even;
            // Five bits each: CASP names register pairs.
            let op = memory(Form::CompareAndSwapPair).regs(
                bits(word, 4, 0) as u8,
                base(word),
                bits(word, 20, 16) as u8,
            );
            allowed.then(|| op.a(size + 2))
        }
        (true, false) if ordered || features.lor => {
            let form = if load { Form::LoadOrdered } else { Form::StoreOrdered };
            let rt = if load { target(word) } else { source(word) };
            let width = [Width::B, Width::H, Width::W, Width::X][usize::from(size)];
            Some(transfer_of(form, width).regs(rt, base(word), 0))
        }
        (true, true) if features.lse && bits(word, 14, 10) == 31 => {
            // rm is compared and replaced: read through its source slot, written unless it is XZR.
            let op = memory(Form::CompareAndSwap).regs(source(word), base(word), source(rs));
            Some(op.a(size).b(target(rs)))
        }
        _ => None,
    }
}

/// LDAPUR and STLUR.
fn ordered_unscaled(word: u32, features: &Features) -> Option<Op> {
    if !features.lrcpc2 || bit(word, 21) || bits(word, 11, 10) != 0 {
        return None;
    }
    let (form, width, rt) = match transfer(word)? {
        Transfer::Prefetch => return None,
        Transfer::Load(width) => (Form::LoadOrdered, width, target(word)),
        Transfer::Store(width) => (Form::StoreOrdered, width, source(word)),
    };
    Some(transfer_of(form, width).regs(rt, base(word), 0).imm(signed(word, 20, 12)))
}

/// LSE atomics and LDAPR.
fn atomic(word: u32, features: &Features) -> Option<Op> {
    // Two bits.
    let size = bits(word, 31, 30) as u8;
    let opcode = bits(word, 15, 12);
    if opcode == 0b1100 {
        let width = [Width::B, Width::H, Width::W, Width::X][usize::from(size)];
        let allowed = features.lrcpc && bits(word, 23, 22) == 0b10 && bits(word, 20, 16) == 31;
        return allowed.then(|| transfer_of(Form::LoadOrdered, width).regs(target(word), base(word), 0));
    }
    if !features.lse || opcode > 8 {
        return None;
    }
    let kind = if size >= 2 { Kind::Atomic } else { Kind::Memory };
    let op = Op { kind, ..memory(Form::Atomic) };
    let op = op.regs(target(word), base(word), source(word >> 16));
    // Four bits.
    Some(op.a(size).b(opcode as u8))
}
