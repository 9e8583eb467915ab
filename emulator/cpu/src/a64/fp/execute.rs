//! Execution of scalar floating point.

use super::arith::Order;
use super::control::Fp;
use super::convert::Integer;
use super::decode::{Form, Mode, format};
use crate::a64::core::Core;
use crate::a64::decode::{bit, bits};
use crate::a64::op::Op;
use crate::a64::regs::{Nzcv, condition};

/// Runs what [`super::decode`] made. Access has been checked.
pub(in crate::a64) fn execute(core: &mut Core, op: Op) {
    let form = Form::of(op.form);
    // The instruction.
    let word = op.imm as u32;
    let format = format(op.b);
    let mut fp = Fp::of(core);
    // Numbers of five bits; the pattern is in the low bits.
    let read = |core: &Core, number: u8| core.v[usize::from(number & 31)] as u64 & format.mask();
    let (n, m) = (read(core, op.rn), read(core, op.rm));
    let negated = |value: u64| value ^ format.sign();

    let result = match form {
        Form::Mov => n,
        Form::Abs => n & !format.sign(),
        Form::Neg => negated(n),
        Form::Sqrt => fp.sqrt(format, n),
        Form::Convert => fp.convert(format, super::decode::format(op.a), n),
        Form::Round => {
            let mode = Mode::of(op.a.into());
            let rounding = mode.rounding(&fp);
            fp.round_int(format, n, rounding, mode == Mode::Exact)
        }
        Form::RoundTo => {
            let rounding = Mode::of(op.a.into()).rounding(&fp);
            fp.round_int_n(format, n, rounding, if op.form >> 8 != 0 { 64 } else { 32 })
        }
        Form::Compare | Form::CompareIf => {
            core.nzcv = if form == Form::CompareIf && !core.nzcv.holds(condition(bits(word, 15, 12))) {
                // Four bits.
                Nzcv(bits(word, 3, 0) as u8)
            } else {
                let second = if op.a & 1 != 0 { 0 } else { m };
                match fp.compare(format, n, second, op.a & 2 != 0) {
                    Order::Less => Nzcv(0b1000),
                    Order::Equal => Nzcv(0b0110),
                    Order::Greater => Nzcv(0b0010),
                    Order::Unordered => Nzcv(0b0011),
                }
            };
            core.fpsr = fp.flags;
            return;
        }
        Form::Select => {
            if core.nzcv.holds(condition(bits(word, 15, 12))) {
                n
            } else {
                m
            }
        }
        Form::Immediate => format.expand(bits(word, 20, 13)),
        Form::Mul => fp.mul(format, n, m),
        Form::Div => fp.div(format, n, m),
        Form::Add => fp.add(format, n, m),
        Form::Sub => fp.sub(format, n, m),
        Form::Max => fp.max_min(format, n, m, true),
        Form::Min => fp.max_min(format, n, m, false),
        Form::MaxNum => fp.max_min_num(format, n, m, true),
        Form::MinNum => fp.max_min_num(format, n, m, false),
        Form::NegMul => negated(fp.mul(format, n, m)),
        Form::MulAdd => fp.mul_add(format, read(core, op.a), n, m),
        Form::MulSub => fp.mul_add(format, read(core, op.a), negated(n), m),
        Form::NegMulAdd => fp.mul_add(format, negated(read(core, op.a)), negated(n), m),
        Form::NegMulSub => fp.mul_add(format, negated(read(core, op.a)), n, m),
        Form::ToSigned | Form::ToUnsigned => {
            let integer = integer(word, form == Form::ToSigned);
            let rounding = Mode::of(op.a.into()).rounding(&fp);
            let value = fp.to_fixed(format, n, integer, fraction(word), rounding);
            core.set_gpr(op.rd.into(), value);
            core.fpsr = fp.flags;
            return;
        }
        Form::FromSigned | Form::FromUnsigned => {
            let value = core.gpr(op.rn.into());
            fp.from_fixed(format, value, integer(word, form == Form::FromSigned), fraction(word))
        }
        Form::ToGeneral => return core.set_gpr(op.rd.into(), n),
        Form::FromGeneral => core.gpr(op.rn.into()) & format.mask(),
        Form::TopToGeneral => {
            // The upper half.
            let top = (core.v[usize::from(op.rn & 31)] >> 64) as u64;
            return core.set_gpr(op.rd.into(), top);
        }
        Form::TopFromGeneral => {
            let value = core.gpr(op.rn.into());
            let register = &mut core.v[usize::from(op.rd & 31)];
            // The low half stays.
            *register = u128::from(value) << 64 | u128::from(*register as u64);
            return;
        }
        Form::ToJavaScript => {
            let (value, exact) = fp.to_javascript(n);
            core.set_gpr(op.rd.into(), value);
            core.nzcv = Nzcv::new(false, exact, false, false);
            core.fpsr = fp.flags;
            return;
        }
    };
    core.fpsr = fp.flags;
    core.v[usize::from(op.rd & 31)] = u128::from(result);
}

/// The general register's type.
fn integer(word: u32, signed: bool) -> Integer {
    Integer::new(if bit(word, 31) { 64 } else { 32 }, signed)
}

/// Bits of the fraction: none in the conversions to and from integers.
fn fraction(word: u32) -> u32 {
    if bit(word, 21) { 0 } else { 64 - bits(word, 15, 10) }
}
