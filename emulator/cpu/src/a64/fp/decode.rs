//! Decoding of scalar floating point [Arm C4.1, "Data Processing -- Scalar Floating-Point and
//! Advanced SIMD"], one function per table.

use super::format::Format;
use crate::a64::decode::{bit, bits};
use crate::a64::features::Features;
use crate::a64::op::{Kind, Op, forms};

forms! {
    /// What a [`Kind::Fp`] does. `rd`, `rn` and `rm` are register numbers, `b` is log2 of the
    /// operands' bytes.
    pub(super) enum Form {
        Mov,
        Abs,
        Neg,
        Sqrt,
        /// To the format whose log2 of bytes is `a`.
        Convert,
        /// `a` is a [`Mode`].
        Round,
        /// `a` is a [`Mode`], `form` bit 8 chooses 64 bits.
        RoundTo,
        /// Flags of rn and rm; `a` bit 0 compares with zero, bit 1 signals quiet NaNs.
        Compare,
        /// The same if the condition of bits 15:12 holds, else the flags of bits 3:0.
        CompareIf,
        /// rn if the condition holds, else rm.
        Select,
        /// The immediate in bits 20:13.
        Immediate,
        Mul,
        Div,
        Add,
        Sub,
        Max,
        Min,
        MaxNum,
        MinNum,
        NegMul,
        /// With the addend's number in `a`.
        MulAdd,
        MulSub,
        NegMulAdd,
        NegMulSub,
        /// To general register rd: `a` is a [`Mode`]; fraction bits by bits 15:10 if bit 21 is clear.
        ToSigned,
        ToUnsigned,
        /// From general register rn.
        FromSigned,
        FromUnsigned,
        /// Bits to and from general registers.
        ToGeneral,
        FromGeneral,
        TopToGeneral,
        TopFromGeneral,
        ToJavaScript,
    }
}

forms! {
    /// A rounding mode of an instruction: the first four as in FPCR.RMode.
    pub(super) enum Mode {
        Nearest,
        PlusInfinity,
        MinusInfinity,
        Zero,
        Away,
        /// What FPCR says.
        Current,
        /// The same, and inexact is raised.
        Exact,
    }
}

/// Decodes a scalar floating-point instruction to [`Kind::Fp`], `None` where it is not one.
pub(in crate::a64) fn decode(word: u32, features: &Features) -> Option<Op> {
    // M, S and the group's fixed bits; conversions have sf in place of M.
    if bits(word, 30, 25) != 0b001111 {
        return None;
    }
    let size = match bits(word, 23, 22) {
        0b00 => 2,
        0b01 => 3,
        0b11 => 1,
        // Only for FMOV of a register's top half.
        _ => 0,
    };
    let op = if bit(word, 24) {
        (!bit(word, 31)).then(|| three_sources(word))
    } else if !bit(word, 21) {
        fixed(word)
    } else if bits(word, 15, 10) == 0 {
        integer(word, features)
    } else if bit(word, 31) {
        None
    } else {
        match bits(word, 11, 10) {
            0b01 => Some(Op::group(Kind::Fp, Form::CompareIf as u16, word).a(u8::from(bit(word, 4)) << 1)),
            0b11 => Some(form(word, Form::Select)),
            0b10 => two_sources(word),
            _ if bit(word, 12) => (bits(word, 9, 5) == 0).then(|| form(word, Form::Immediate)),
            _ if bit(word, 13) => compare(word),
            _ if bit(word, 14) => one_source(word, features),
            _ => None,
        }
    }?;
    let converts = matches!(Form::of(op.form), Form::Convert);
    let top = matches!(Form::of(op.form), Form::TopToGeneral | Form::TopFromGeneral);
    let allocated = match size {
        0 => top,
        1 => features.fp16 || converts,
        _ => !top,
    };
    // Five bits each.
    let op = op.regs(bits(word, 4, 0) as u8, bits(word, 9, 5) as u8, bits(word, 20, 16) as u8);
    allocated.then(|| op.b(size))
}

fn form(word: u32, form: Form) -> Op {
    Op::group(Kind::Fp, form as u16, word)
}

fn one_source(word: u32, features: &Features) -> Option<Op> {
    let round = |mode: Mode| Some(form(word, Form::Round).a(mode as u8));
    let round_to = |mode: Mode, wide: u16| {
        let allowed = features.frintts && !bit(word, 23);
        allowed.then(|| Op::group(Kind::Fp, Form::RoundTo as u16 | wide << 8, word).a(mode as u8))
    };
    match bits(word, 20, 15) {
        0b000000 => Some(form(word, Form::Mov)),
        0b000001 => Some(form(word, Form::Abs)),
        0b000010 => Some(form(word, Form::Neg)),
        0b000011 => Some(form(word, Form::Sqrt)),
        opcode @ (0b000100 | 0b000101 | 0b000111) => {
            let to = match opcode & 3 {
                0b00 => 2,
                0b01 => 3,
                _ => 1,
            };
            (opcode & 3 != bits(word, 23, 22)).then(|| form(word, Form::Convert).a(to))
        }
        0b001000 => round(Mode::Nearest),
        0b001001 => round(Mode::PlusInfinity),
        0b001010 => round(Mode::MinusInfinity),
        0b001011 => round(Mode::Zero),
        0b001100 => round(Mode::Away),
        0b001110 => round(Mode::Exact),
        0b001111 => round(Mode::Current),
        0b010000 => round_to(Mode::Zero, 0),
        0b010001 => round_to(Mode::Current, 0),
        0b010010 => round_to(Mode::Zero, 1),
        0b010011 => round_to(Mode::Current, 1),
        _ => None,
    }
}

fn compare(word: u32) -> Option<Op> {
    if bits(word, 15, 14) != 0 || bits(word, 2, 0) != 0 {
        return None;
    }
    // Bit 3 compares with zero, bit 4 signals.
    Some(form(word, Form::Compare).a(bits(word, 4, 3) as u8))
}

fn two_sources(word: u32) -> Option<Op> {
    Some(form(
        word,
        match bits(word, 15, 12) {
            0b0000 => Form::Mul,
            0b0001 => Form::Div,
            0b0010 => Form::Add,
            0b0011 => Form::Sub,
            0b0100 => Form::Max,
            0b0101 => Form::Min,
            0b0110 => Form::MaxNum,
            0b0111 => Form::MinNum,
            0b1000 => Form::NegMul,
            _ => return None,
        },
    ))
}

fn three_sources(word: u32) -> Op {
    let kind = match (bit(word, 21), bit(word, 15)) {
        (false, false) => Form::MulAdd,
        (false, true) => Form::MulSub,
        (true, false) => Form::NegMulAdd,
        (true, true) => Form::NegMulSub,
    };
    // Five bits.
    form(word, kind).a(bits(word, 14, 10) as u8)
}

fn fixed(word: u32) -> Option<Op> {
    // A W register has 32 fraction bits at most.
    if !bit(word, 31) && !bit(word, 15) {
        return None;
    }
    Some(match (bits(word, 20, 19), bits(word, 18, 16)) {
        (0b00, 0b010) => form(word, Form::FromSigned),
        (0b00, 0b011) => form(word, Form::FromUnsigned),
        (0b11, 0b000) => form(word, Form::ToSigned).a(Mode::Zero as u8),
        (0b11, 0b001) => form(word, Form::ToUnsigned).a(Mode::Zero as u8),
        _ => return None,
    })
}

fn integer(word: u32, features: &Features) -> Option<Op> {
    let (rmode, wide) = (bits(word, 20, 19), bit(word, 31));
    // FMOV takes registers of one width, but half precision of either.
    let same = match bits(word, 23, 22) {
        0b00 => !wide,
        0b01 => wide,
        kind => kind == 0b11,
    };
    // Two bits.
    let mode = rmode as u8;
    Some(match (rmode, bits(word, 18, 16)) {
        (_, 0b000) => form(word, Form::ToSigned).a(mode),
        (_, 0b001) => form(word, Form::ToUnsigned).a(mode),
        (0b00, 0b010) => form(word, Form::FromSigned),
        (0b00, 0b011) => form(word, Form::FromUnsigned),
        (0b00, 0b100) => form(word, Form::ToSigned).a(Mode::Away as u8),
        (0b00, 0b101) => form(word, Form::ToUnsigned).a(Mode::Away as u8),
        (0b00, 0b110) if same => form(word, Form::ToGeneral),
        (0b00, 0b111) if same => form(word, Form::FromGeneral),
        (0b01, 0b110) if wide && bits(word, 23, 22) == 0b10 => form(word, Form::TopToGeneral),
        (0b01, 0b111) if wide && bits(word, 23, 22) == 0b10 => form(word, Form::TopFromGeneral),
        (0b11, 0b110) if features.jscvt && !wide && bits(word, 23, 22) == 0b01 => {
            form(word, Form::ToJavaScript)
        }
        _ => return None,
    })
}

impl Mode {
    /// The rounding mode, under FPCR.
    pub(super) fn rounding(self, fp: &super::Fp) -> super::Rounding {
        use super::Rounding;
        match self {
            Self::Nearest => Rounding::NearestEven,
            Self::PlusInfinity => Rounding::PlusInfinity,
            Self::MinusInfinity => Rounding::MinusInfinity,
            Self::Zero => Rounding::Zero,
            Self::Away => Rounding::NearestAway,
            Self::Current | Self::Exact => fp.rounding,
        }
    }
}

/// The format of `b`, log2 of its bytes.
pub(super) fn format(size: u8) -> Format {
    Format::of_bits(8 << (size & 3))
}
