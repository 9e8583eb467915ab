//! Data processing, immediate [Arm C4.1, "Data Processing -- Immediate"].

use super::{bit, bits, sized, source, target, with_sp};
use crate::a64::op::{Kind, Op};

pub(super) fn decode(word: u32) -> Option<Op> {
    match bits(word, 25, 23) {
        0b000 | 0b001 => Some(pc_relative(word)),
        0b010 => Some(add_subtract(word)),
        0b100 => logical(word),
        0b101 => move_wide(word),
        0b110 => bitfield(word),
        0b111 => extract(word),
        _ => None,
    }
}

fn pc_relative(word: u32) -> Op {
    let imm = super::signed(word, 23, 5) << 2 | u64::from(bits(word, 30, 29));
    if bit(word, 31) {
        Op::new(Kind::Adrp).regs(target(word), 0, 0).imm(imm << 12)
    } else {
        Op::new(Kind::Adr).regs(target(word), 0, 0).imm(imm)
    }
}

fn add_subtract(word: u32) -> Op {
    let (subtract, flags) = (bit(word, 30), bit(word, 29));
    let imm = u64::from(bits(word, 21, 10)) << if bit(word, 22) { 12 } else { 0 };
    let op = match (subtract, flags) {
        (_, false) => sized(word, Kind::AddI64, Kind::AddI32),
        (false, true) => sized(word, Kind::AddsI64, Kind::AddsI32),
        (true, true) => sized(word, Kind::SubsI64, Kind::SubsI32),
    };
    let imm = if subtract && !flags { imm.wrapping_neg() } else { imm };
    let rd = if flags { target(word) } else { with_sp(word) };
    op.regs(rd, with_sp(word >> 5), 0).imm(imm)
}

/// Bitmask immediates: the value for N:immr:imms, `None` where it is reserved
/// [Arm J1.1.3, DecodeBitMasks].
pub(super) fn bitmask(wide: bool, n: u32, immr: u32, imms: u32) -> Option<u64> {
    let length = (n << 6 | !imms & 0x3f).checked_ilog2()?;
    if length == 0 || (!wide && n != 0) {
        return None;
    }
    let size = 1u32 << length;
    let (s, r) = (imms & (size - 1), immr & (size - 1));
    if s == size - 1 {
        return None;
    }
    let ones = (1u64 << (s + 1)) - 1;
    let element = if r == 0 { ones } else { ones >> r | ones << (size - r) };
    let element = if size == 64 { element } else { element & ((1 << size) - 1) };
    let mut value = element;
    let mut filled = size;
    while filled < 64 {
        value |= value << filled;
        filled *= 2;
    }
    Some(if wide { value } else { value & 0xffff_ffff })
}

fn logical(word: u32) -> Option<Op> {
    let imm = bitmask(bit(word, 31), bits(word, 22, 22), bits(word, 21, 16), bits(word, 15, 10))?;
    let (op, rd) = match bits(word, 30, 29) {
        // The immediate clears the upper half of a W register by itself.
        0b00 => (Op::new(Kind::AndI), with_sp(word)),
        0b01 => (sized(word, Kind::OrrI64, Kind::OrrI32), with_sp(word)),
        0b10 => (sized(word, Kind::EorI64, Kind::EorI32), with_sp(word)),
        _ => (sized(word, Kind::AndsI64, Kind::AndsI32), target(word)),
    };
    Some(op.regs(rd, source(word >> 5), 0).imm(imm))
}

fn move_wide(word: u32) -> Option<Op> {
    let wide = bit(word, 31);
    let shift = bits(word, 22, 21) * 16;
    if !wide && shift >= 32 {
        return None;
    }
    let imm = u64::from(bits(word, 20, 5)) << shift;
    let rd = target(word);
    Some(match bits(word, 30, 29) {
        0b00 => Op::new(Kind::MovI).regs(rd, 0, 0).imm(if wide { !imm } else { !imm & 0xffff_ffff }),
        0b10 => Op::new(Kind::MovI).regs(rd, 0, 0).imm(imm),
        // A shift is below 64.
        0b11 => sized(word, Kind::Movk64, Kind::Movk32).regs(rd, source(word), 0).a(shift as u8).imm(imm),
        _ => return None,
    })
}

fn bitfield(word: u32) -> Option<Op> {
    let (n, immr, imms) = (bits(word, 22, 22), bits(word, 21, 16), bits(word, 15, 10));
    let wide = bit(word, 31);
    let size = if wide { 64 } else { 32 };
    if (n != 0) != wide || immr >= size || imms >= size {
        return None;
    }
    let regs = |op: Op| op.regs(target(word), source(word >> 5), 0);
    // Either the field imms:immr moves down to bit 0, or the low imms+1 bits move up.
    let down = imms >= immr;
    let width = if down { imms - immr + 1 } else { imms + 1 };
    let up = if down { 0 } else { size - immr };
    let field = !0u64 >> (64 - width);
    // All shifts and widths are at most 64.
    Some(regs(match bits(word, 30, 29) {
        0b00 => {
            let kind = if wide { Kind::Sbf64 } else { Kind::Sbf32 };
            let left = size - 1 - imms;
            let right = if down { left + immr } else { left - up };
            Op::new(kind).a(left as u8).b(right as u8)
        }
        0b01 => {
            // BFXIL keeps rd above the field: rd is a source as well.
            let op = Op::new(if down { Kind::Bfxil } else { Kind::Bfi }).b(u8::from(!wide));
            if down { op.a(immr as u8).imm(field) } else { op.a(up as u8).imm(field << up) }
        }
        0b10 if down => Op::new(Kind::Ubfx).a(immr as u8).imm(field),
        0b10 => Op::new(Kind::Ubfiz).a(up as u8).imm(field),
        _ => return None,
    }))
}

fn extract(word: u32) -> Option<Op> {
    let wide = bit(word, 31);
    let lsb = bits(word, 15, 10);
    if bits(word, 30, 29) != 0 || bit(word, 21) || bit(word, 22) != wide || (!wide && lsb >= 32) {
        return None;
    }
    // A shift is below 64.
    Some(super::rd_rn_rm(sized(word, Kind::Extr64, Kind::Extr32), word).a(lsb as u8))
}
