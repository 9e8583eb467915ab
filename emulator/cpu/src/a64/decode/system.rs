//! System instructions: hints, barriers, PSTATE, system registers and operations [Arm C5].

use super::{bit, bits, source, target};
use crate::a64::exec::arith::FlagOp;
use crate::a64::exec::system::{Form, Immediate};
use crate::a64::features::Features;
use crate::a64::op::{Kind, Op};
use crate::a64::sysreg::{Key, key};

pub(super) fn decode(word: u32, features: &Features) -> Option<Op> {
    let read = bit(word, 21);
    match bits(word, 20, 19) {
        0b00 if !read => instruction(word, features),
        0b00 => None,
        0b01 => Some(access(if read { Form::Sysl } else { Form::Sys }, word)),
        _ if read => Some(match Key((word >> 5) as u16) {
            key::TPIDR_EL0 => Op::new(Kind::MrsTpidrEl0).regs(target(word), 0, 0).imm(operand(word)),
            key::TPIDR_EL1 => Op::new(Kind::MrsTpidrEl1).regs(target(word), 0, 0).imm(operand(word)),
            key::SP_EL0 => Op::new(Kind::MrsSpEl0).regs(target(word), 0, 0).imm(operand(word)),
            _ => access(Form::Mrs, word),
        }),
        _ => Some(access(Form::Msr, word)),
    }
}

/// The encoding `op0:op1:CRn:CRm:op2`, 16 bits.
fn operand(word: u32) -> u64 {
    u64::from(bits(word, 20, 5))
}

/// `rd` is the slot to write, `rn` the slot to read, `a` the register's number.
fn access(form: Form, word: u32) -> Op {
    // A register number has 5 bits.
    let op = Op { form: form as u16, ..Op::new(Kind::System) };
    op.regs(target(word), source(word), 0).a(bits(word, 4, 0) as u8).imm(operand(word))
}

fn instruction(word: u32, features: &Features) -> Option<Op> {
    let (op1, crm, op2) = (bits(word, 18, 16), bits(word, 11, 8), bits(word, 7, 5));
    let plain = |form: Form| Op { form: form as u16, ..Op::new(Kind::System) };
    if bits(word, 4, 0) != 31 {
        return None;
    }
    match bits(word, 15, 12) {
        0b0010 if op1 == 3 => Some(match (crm, op2) {
            (0, 1) => plain(Form::Yield),
            (0, 2) => plain(Form::Wfe),
            (0, 3) => plain(Form::Wfi),
            (0, 4) => plain(Form::Sev),
            (0, 5) => plain(Form::Sevl),
            // The rest of the hint space does nothing where its feature is absent.
            _ => Op::new(Kind::Nop),
        }),
        0b0011 if op1 == 3 => match op2 {
            0b010 => Some(plain(Form::Clrex)),
            // Memory is in order: barriers have nothing to wait for.
            0b100 | 0b101 => Some(Op::new(Kind::Nop)),
            0b110 => Some(plain(Form::Isb)),
            0b111 if crm == 0 && features.sb => Some(Op::new(Kind::Nop)),
            _ => None,
        },
        0b0100 => {
            let set = |which: Immediate| Some(plain(Form::MsrImmediate).a(which as u8).imm(u64::from(crm)));
            let flags = |which: FlagOp| Some(Op { form: which as u16, ..Op::new(Kind::Flags) });
            match (op1, op2) {
                (0, 0) if features.flagm && crm == 0 => flags(FlagOp::Cfinv),
                (0, 1) if features.flagm2 && crm == 0 => flags(FlagOp::Xaflag),
                (0, 2) if features.flagm2 && crm == 0 => flags(FlagOp::Axflag),
                (0, 3) if features.uao => set(Immediate::Uao),
                (0, 4) if features.pan => set(Immediate::Pan),
                (0, 5) => set(Immediate::SpSel),
                (3, 1) if features.ssbs => set(Immediate::Ssbs),
                (3, 2) if features.dit => set(Immediate::Dit),
                (3, 6) => set(Immediate::DaifSet),
                (3, 7) => set(Immediate::DaifClr),
                _ => None,
            }
        }
        _ => None,
    }
}
