//! Branches and exception generation [Arm C4.1, "Branches, Exception Generating and System
//! instructions"].

use super::{bit, bits, signed, sized, source};
use crate::a64::exec::system::Form;
use crate::a64::features::Features;
use crate::a64::op::{Kind, Op};
use crate::a64::regs::condition;

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    match bits(word, 31, 29) {
        0b000 | 0b100 => {
            let kind = if bit(word, 31) { Kind::Bl } else { Kind::B };
            Some(Op::new(kind).imm(signed(word, 25, 0) << 2))
        }
        0b001 | 0b101 if !bit(word, 25) => Some(compare_and_branch(word)),
        0b001 | 0b101 => Some(test_and_branch(word)),
        0b010 if bits(word, 25, 24) == 0 && !bit(word, 4) => {
            let op = Op { form: condition(word & 15), ..Op::new(Kind::BCond) };
            Some(op.imm(signed(word, 23, 5) << 2))
        }
        0b110 => match bits(word, 25, 24) {
            0b00 => exception(word),
            0b01 if bits(word, 23, 22) == 0 => super::system::decode(word, features),
            0b10 | 0b11 => to_register(word),
            _ => None,
        },
        _ => None,
    }
}

fn compare_and_branch(word: u32) -> Op {
    let op = if bit(word, 24) {
        sized(word, Kind::Cbnz64, Kind::Cbnz32)
    } else {
        sized(word, Kind::Cbz64, Kind::Cbz32)
    };
    op.regs(source(word), 0, 0).imm(signed(word, 23, 5) << 2)
}

fn test_and_branch(word: u32) -> Op {
    let kind = if bit(word, 24) { Kind::Tbnz } else { Kind::Tbz };
    // A bit number is below 64.
    let number = (bits(word, 31, 31) << 5 | bits(word, 23, 19)) as u8;
    Op::new(kind).regs(source(word), 0, 0).a(number).imm(signed(word, 18, 5) << 2)
}

fn exception(word: u32) -> Option<Op> {
    let form = match (bits(word, 23, 21), bits(word, 4, 0)) {
        (0b000, 0b00001) => Form::Svc,
        (0b000, 0b00010) => Form::Hvc,
        (0b000, 0b00011) => Form::Smc,
        (0b001, 0b00000) => Form::Brk,
        // HLT needs halting debug, DCPS debug state; neither exists here, and both are then
        // undefined.
        _ => return None,
    };
    Some(Op { form: form as u16, ..Op::new(Kind::System) }.imm(u64::from(bits(word, 20, 5))))
}

fn to_register(word: u32) -> Option<Op> {
    if bits(word, 20, 10) != 0b11111_000000 || bits(word, 4, 0) != 0 {
        return None;
    }
    let rn = source(word >> 5);
    let kind = match bits(word, 24, 21) {
        0b0000 => Kind::Br,
        0b0001 => Kind::Blr,
        0b0010 => Kind::Ret,
        0b0100 if bits(word, 9, 5) == 31 => {
            return Some(Op { form: Form::Eret as u16, ..Op::new(Kind::System) });
        }
        _ => return None,
    };
    Some(Op::new(kind).regs(0, rn, 0))
}
