//! Data processing, register [Arm C4.1, "Data Processing -- Register"].

use super::{bit, bits, rd_rn_rm, sized, source, target, with_sp};
use crate::a64::exec::arith::FlagOp;
use crate::a64::features::Features;
use crate::a64::op::{Kind, Op};
use crate::a64::regs::{ZR, condition};

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    if !bit(word, 28) {
        return match (bit(word, 24), bit(word, 21)) {
            (false, _) => logical(word),
            (true, false) => add_subtract(word),
            (true, true) => add_subtract_extended(word),
        };
    }
    match bits(word, 24, 21) {
        0b0000 => carry_or_flags(word, features),
        0b0010 => conditional_compare(word),
        0b0100 => conditional_select(word),
        0b0110 if bit(word, 29) => None,
        0b0110 if bit(word, 30) => one_source(word),
        0b0110 => two_sources(word, features),
        0b1000..=0b1111 => three_sources(word),
        _ => None,
    }
}

/// Type and amount of a shifted register; `None` where the amount is too large.
fn shift(word: u32) -> Option<(u8, u8)> {
    let amount = bits(word, 15, 10);
    // Two and six bits.
    (bit(word, 31) || amount < 32).then_some((bits(word, 23, 22) as u8, amount as u8))
}

fn logical(word: u32) -> Option<Op> {
    let (kind, amount) = shift(word)?;
    let opcode = bits(word, 30, 29);
    if opcode == 1 && bits(word, 9, 5) == 31 && amount == 0 && !bit(word, 21) {
        return Some(rd_rn_rm(sized(word, Kind::Mov64, Kind::Mov32), word));
    }
    let op = match (opcode, amount) {
        (0, 0) => sized(word, Kind::AndR64, Kind::AndR32),
        (0, _) => sized(word, Kind::AndS64, Kind::AndS32),
        (1, 0) => sized(word, Kind::OrrR64, Kind::OrrR32),
        (1, _) => sized(word, Kind::OrrS64, Kind::OrrS32),
        (2, 0) => sized(word, Kind::EorR64, Kind::EorR32),
        (2, _) => sized(word, Kind::EorS64, Kind::EorS32),
        (_, 0) => sized(word, Kind::AndsR64, Kind::AndsR32),
        (_, _) => sized(word, Kind::AndsS64, Kind::AndsS32),
    };
    let invert = if bit(word, 21) { !0 } else { 0 };
    Some(rd_rn_rm(op, word).a(kind).b(amount).imm(invert))
}

fn add_subtract(word: u32) -> Option<Op> {
    let (kind, amount) = shift(word)?;
    if kind == 3 {
        return None;
    }
    let op = match (bit(word, 30), bit(word, 29), amount) {
        (false, false, 0) => sized(word, Kind::AddR64, Kind::AddR32),
        (false, false, _) => sized(word, Kind::AddS64, Kind::AddS32),
        (true, false, 0) => sized(word, Kind::SubR64, Kind::SubR32),
        (true, false, _) => sized(word, Kind::SubS64, Kind::SubS32),
        (false, true, 0) => sized(word, Kind::AddsR64, Kind::AddsR32),
        (false, true, _) => sized(word, Kind::AddsS64, Kind::AddsS32),
        (true, true, 0) => sized(word, Kind::SubsR64, Kind::SubsR32),
        (true, true, _) => sized(word, Kind::SubsS64, Kind::SubsS32),
    };
    Some(rd_rn_rm(op, word).a(kind).b(amount))
}

fn add_subtract_extended(word: u32) -> Option<Op> {
    let amount = bits(word, 12, 10);
    if bits(word, 23, 22) != 0 || amount > 4 {
        return None;
    }
    let flags = bit(word, 29);
    let rd = if flags { target(word) } else { with_sp(word) };
    let op = sized(word, Kind::AddX64, Kind::AddX32).regs(rd, with_sp(word >> 5), source(word >> 16));
    let form = u16::from(bit(word, 30)) | u16::from(flags) << 1;
    // Three bits each.
    Some(Op { form, ..op.a(bits(word, 15, 13) as u8).b(amount as u8) })
}

fn carry_or_flags(word: u32, features: &Features) -> Option<Op> {
    let flags =
        |which: FlagOp| Op { form: which as u16, ..Op::new(Kind::Flags) }.regs(0, source(word >> 5), 0);
    match (bits(word, 31, 29), bits(word, 15, 10)) {
        (_, 0) => {
            let op = rd_rn_rm(sized(word, Kind::Adc64, Kind::Adc32), word);
            Some(op.a(u8::from(bit(word, 30))).b(u8::from(bit(word, 29))))
        }
        // Six bits and four.
        (0b101, low) if low & 0x1f == 1 && !bit(word, 4) && features.flagm => {
            Some(flags(FlagOp::Rmif).a(bits(word, 20, 15) as u8).b(bits(word, 3, 0) as u8))
        }
        (0b001, 0b000010) if bits(word, 20, 16) == 0 && word & 0x1f == 0b01101 && features.flagm => {
            Some(flags(FlagOp::Setf8))
        }
        (0b001, 0b010010) if bits(word, 20, 16) == 0 && word & 0x1f == 0b01101 && features.flagm => {
            Some(flags(FlagOp::Setf16))
        }
        _ => None,
    }
}

fn conditional_compare(word: u32) -> Option<Op> {
    if !bit(word, 29) || bit(word, 10) || bit(word, 4) {
        return None;
    }
    let immediate = bit(word, 11);
    let rm = if immediate { ZR } else { source(word >> 16) };
    let op = sized(word, Kind::Ccmp64, Kind::Ccmp32).regs(0, source(word >> 5), rm);
    let op = Op { form: condition(bits(word, 15, 12)), ..op };
    let imm = if immediate { u64::from(bits(word, 20, 16)) } else { 0 };
    // Four bits of flags.
    Some(op.a(bits(word, 3, 0) as u8).b(u8::from(immediate) | u8::from(!bit(word, 30)) << 1).imm(imm))
}

fn conditional_select(word: u32) -> Option<Op> {
    if bit(word, 29) || bit(word, 11) {
        return None;
    }
    let op = match (bit(word, 30), bit(word, 10)) {
        (false, false) => sized(word, Kind::Csel64, Kind::Csel32),
        (false, true) => sized(word, Kind::Csinc64, Kind::Csinc32),
        (true, false) => sized(word, Kind::Csinv64, Kind::Csinv32),
        (true, true) => sized(word, Kind::Csneg64, Kind::Csneg32),
    };
    Some(Op { form: condition(bits(word, 15, 12)), ..rd_rn_rm(op, word) })
}

fn one_source(word: u32) -> Option<Op> {
    if bits(word, 20, 16) != 0 {
        return None;
    }
    let wide = bit(word, 31);
    let op = match bits(word, 15, 10) {
        0 => sized(word, Kind::Rbit64, Kind::Rbit32),
        1 => sized(word, Kind::Rev16, Kind::Rev16W),
        2 => sized(word, Kind::Rev32, Kind::RevW),
        3 if wide => Op::new(Kind::Rev64),
        4 => sized(word, Kind::Clz64, Kind::Clz32),
        5 => sized(word, Kind::Cls64, Kind::Cls32),
        _ => return None,
    };
    Some(rd_rn_rm(op, word))
}

fn two_sources(word: u32, features: &Features) -> Option<Op> {
    let wide = bit(word, 31);
    let opcode = bits(word, 15, 10);
    let op = match opcode {
        0b000010 => sized(word, Kind::Udiv64, Kind::Udiv32),
        0b000011 => sized(word, Kind::Sdiv64, Kind::Sdiv32),
        0b001000 => sized(word, Kind::Lslv64, Kind::Lslv32),
        0b001001 => sized(word, Kind::Lsrv64, Kind::Lsrv32),
        0b001010 => sized(word, Kind::Asrv64, Kind::Asrv32),
        0b001011 => sized(word, Kind::Rorv64, Kind::Rorv32),
        0b010000..=0b010111 if features.crc32 && wide == (opcode & 3 == 3) => {
            Op::new(Kind::Crc32).a(1 << (opcode & 3)).b(u8::from(opcode & 4 != 0))
        }
        _ => return None,
    };
    Some(rd_rn_rm(op, word))
}

fn three_sources(word: u32) -> Option<Op> {
    if bits(word, 30, 29) != 0 {
        return None;
    }
    let subtract = bit(word, 15);
    let wide = bit(word, 31);
    let op = match bits(word, 23, 21) {
        0b000 if subtract => sized(word, Kind::Msub64, Kind::Msub32),
        0b000 => sized(word, Kind::Madd64, Kind::Madd32),
        0b001 if wide => Op::new(if subtract { Kind::Smsubl } else { Kind::Smaddl }),
        0b010 if wide && !subtract => Op::new(Kind::Smulh),
        0b101 if wide => Op::new(if subtract { Kind::Umsubl } else { Kind::Umaddl }),
        0b110 if wide && !subtract => Op::new(Kind::Umulh),
        _ => return None,
    };
    Some(rd_rn_rm(op, word).a(source(word >> 10)))
}
