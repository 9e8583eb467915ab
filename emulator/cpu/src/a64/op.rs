//! Decoded operations.
//!
//! An [`Op`] is 16 bytes. What it means for its fields is said at its [`Kind`]; `rd`, `rn`, `rm` are
//! slots of the register file (see [`super::regs`]), so whether register 31 is SP, reads as zero or
//! discards was settled when it was decoded.

use std::cell::Cell;

use super::features::Features;
use crate::interp::{CodePage, Frame, Ram};

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(in crate::a64) struct Op {
    pub(in crate::a64) kind: Kind,
    pub(in crate::a64) rd: u8,
    pub(in crate::a64) rn: u8,
    pub(in crate::a64) rm: u8,
    pub(in crate::a64) a: u8,
    pub(in crate::a64) b: u8,
    /// A second-level kind, or 16 bits of the instruction.
    pub(in crate::a64) form: u16,
    pub(in crate::a64) imm: u64,
}

impl Op {
    /// An operation of `kind` with all fields zero.
    pub(in crate::a64) const fn new(kind: Kind) -> Self {
        Self { kind, rd: 0, rn: 0, rm: 0, a: 0, b: 0, form: 0, imm: 0 }
    }

    pub(in crate::a64) const fn regs(self, rd: u8, rn: u8, rm: u8) -> Self {
        Self { rd, rn, rm, ..self }
    }

    pub(in crate::a64) const fn imm(self, imm: u64) -> Self {
        Self { imm, ..self }
    }

    pub(in crate::a64) const fn a(self, a: u8) -> Self {
        Self { a, ..self }
    }

    pub(in crate::a64) const fn b(self, b: u8) -> Self {
        Self { b, ..self }
    }

    /// An operation of a group that has an executor of its own: `form` is the group's own kind,
    /// `imm` the instruction word.
    pub(in crate::a64) const fn group(kind: Kind, form: u16, word: u32) -> Self {
        Self { form, imm: word as u64, ..Self::new(kind) }
    }
}

const _: () = assert!(size_of::<Op>() == 16);

/// What an operation does.
///
/// Names end in the operand size (`64`, `32`) where it matters; `I` is an immediate in `imm`, `R` a
/// register, `S` a register shifted by `b` of type `a`, `X` a register extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::a64) enum Kind {
    /// Not decoded yet.
    Undecoded,
    /// A debugger may have a breakpoint here.
    Stop,
    /// Unallocated, or of a feature that is not implemented.
    Undefined,
    Nop,

    // Data processing, immediate.
    /// rd = pc + imm; once in its page, rd = start of the page + imm
    Adr,
    /// rd = page of pc + imm
    Adrp,
    AddI64,
    AddI32,
    AddsI64,
    AddsI32,
    SubsI64,
    SubsI32,
    /// Also for 32 bits.
    AndI,
    OrrI64,
    OrrI32,
    EorI64,
    EorI32,
    AndsI64,
    AndsI32,
    /// rd = imm
    MovI,
    /// rd = rd with the 16 bits at `a` replaced; `imm` is in place
    Movk64,
    Movk32,
    /// rd = (rn >> a) & imm
    Ubfx,
    /// rd = (rn & imm) << a
    Ubfiz,
    /// rd = (rn << a) >> b, arithmetic
    Sbf64,
    Sbf32,
    /// Field `imm` (in place) of rd = rn << a; W form in `b`
    Bfi,
    /// Field `imm` of rd = rn >> a; W form in `b`
    Bfxil,
    Extr64,
    Extr32,

    // Branches, exceptions, system.
    /// pc += imm; once in its page, pc = start of the page + imm, as in all that follow
    B,
    Bl,
    /// If the condition whose truth table is `form` holds.
    BCond,
    Cbz64,
    Cbz32,
    Cbnz64,
    Cbnz32,
    /// Bit `a` of rd
    Tbz,
    Tbnz,
    Br,
    Blr,
    Ret,
    /// Everything else that changes control or system state: `form` is a
    /// [`super::exec::system::Form`].
    System,
    /// rd = TPIDR_EL0
    MrsTpidrEl0,
    /// rd = TPIDR_EL1, at EL1
    MrsTpidrEl1,
    /// rd = SP_EL0, at EL1
    MrsSpEl0,

    // Loads and stores. Address: rn + imm, where rn is not SP.
    Ldr64,
    Ldr32,
    Ldr16,
    Ldr8,
    Ldrs32To64,
    Ldrs16To64,
    Ldrs16To32,
    Ldrs8To64,
    Ldrs8To32,
    Str64,
    Str32,
    Str16,
    Str8,
    // Address: SP + imm, after the check of SP's alignment.
    LdrSp64,
    StrSp64,
    // Address: rn + (extended rm << b), where rn is not SP; `a` and `imm` extend: shifted left and back, then masked.
    LdrR64,
    LdrR32,
    LdrR16,
    LdrR8,
    LdrsR32To64,
    LdrsR16To64,
    LdrsR16To32,
    LdrsR8To64,
    LdrsR8To32,
    StrR64,
    StrR32,
    StrR16,
    StrR8,
    /// Pairs: rd and rm at rn + imm; `a` is an [`Indexing`]. For 64 bits rn is not SP.
    Ldp64,
    Ldp32,
    Ldpsw,
    Stp64,
    Stp32,
    /// The same with SP as base.
    LdpSp64,
    StpSp64,
    /// Other loads and stores: `form` is a [`super::exec::memory::Form`].
    Memory,
    // Those of them that the loop does itself where the TLB has a fast entry, with all fields as for
    // `Memory`. Base plus offset, perhaps with writeback (an [`Indexing`] in `b`):
    LdrIndexed64,
    LdrIndexed32,
    LdrIndexed8,
    StrIndexed64,
    StrIndexed32,
    StrIndexed8,
    // Load-acquire and store-release:
    Ldar64,
    Ldar32,
    Ldar8,
    Stlr64,
    Stlr32,
    Stlr8,
    /// Atomic read-modify-write of 4 or 8 bytes
    Atomic,

    // Data processing, register.
    AddR64,
    AddR32,
    SubR64,
    SubR32,
    AddsR64,
    AddsR32,
    SubsR64,
    SubsR32,
    AddS64,
    AddS32,
    SubS64,
    SubS32,
    AddsS64,
    AddsS32,
    SubsS64,
    SubsS32,
    /// Extended register: type `a`, shift `b`; `form` bit 0 subtracts, bit 1 sets flags.
    AddX64,
    AddX32,
    /// Logical: the second operand is exclusive-ored with `imm`.
    AndR64,
    AndR32,
    OrrR64,
    OrrR32,
    EorR64,
    EorR32,
    AndsR64,
    AndsR32,
    AndS64,
    AndS32,
    OrrS64,
    OrrS32,
    EorS64,
    EorS32,
    AndsS64,
    AndsS32,
    Mov64,
    Mov32,
    /// `a`: subtract; `b`: set flags
    Adc64,
    Adc32,
    /// Conditional compare: flags = rn - operand if `form` holds, else `a`; the operand is rm or,
    /// with `b` bit 0, `imm`; `b` bit 1 adds instead.
    Ccmp64,
    Ccmp32,
    /// rd = rn if `form` holds, else rm
    Csel64,
    Csel32,
    /// else rm + 1
    Csinc64,
    Csinc32,
    /// else !rm
    Csinv64,
    Csinv32,
    /// else -rm
    Csneg64,
    Csneg32,
    Lslv64,
    Lslv32,
    Lsrv64,
    Lsrv32,
    Asrv64,
    Asrv32,
    Rorv64,
    Rorv32,
    Udiv64,
    Udiv32,
    Sdiv64,
    Sdiv32,
    /// rd = ra + rn * rm, ra in `a`
    Madd64,
    Madd32,
    Msub64,
    Msub32,
    Smaddl,
    Smsubl,
    Umaddl,
    Umsubl,
    Smulh,
    Umulh,
    Rbit64,
    Rbit32,
    Rev16,
    Rev16W,
    Rev32,
    Rev64,
    RevW,
    Clz64,
    Clz32,
    Cls64,
    Cls32,
    /// CRC of `a` bytes of rm; `b`: the Castagnoli polynomial
    Crc32,
    /// Flag manipulation: `form` is a [`super::exec::arith::FlagOp`]
    Flags,

    // Floating point and Advanced SIMD: `form` is the group's, `imm` the word.
    /// Scalar floating point, data processing [`super::fp`].
    Fp,
    /// Advanced SIMD, data processing [`super::simd`].
    Simd,
    /// Advanced SIMD load/store structures [`super::simd`].
    SimdMemory,
}

/// Declares an enum whose variants are numbered in order, and `of`, which takes the number from the
/// low byte of an operation's `form`.
macro_rules! forms {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        $vis enum $name { $($(#[$doc])* $variant),+ }
        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The variant of this number; the first one for a number that names none.
            #[inline(always)]
            $vis fn of(form: u16) -> Self {
                *Self::ALL.get(usize::from(form & 0xff)).unwrap_or(&Self::ALL[0])
            }
        }
    };
}
pub(in crate::a64) use forms;

forms! {
    /// How an address is formed from base and offset.
    pub(in crate::a64) enum Indexing {
        /// Base plus offset; the base stays.
        Offset,
        /// Base plus offset, which the base becomes.
        Pre,
        /// Base, which then becomes base plus offset.
        Post,
    }
}

/// A place for an operation in a decoded page.
///
/// Its fields are cells of their own so that the loop reads just those it needs, straight from the
/// page; copying the whole operation first costs more than most operations do.
pub(in crate::a64) struct Slot {
    kind: Cell<Kind>,
    rd: Cell<u8>,
    rn: Cell<u8>,
    rm: Cell<u8>,
    a: Cell<u8>,
    b: Cell<u8>,
    form: Cell<u16>,
    imm: Cell<u64>,
}

macro_rules! fields {
    ($($field:ident: $type:ty),*) => {
        $(
            #[inline(always)]
            pub(in crate::a64) fn $field(&self) -> $type {
                self.$field.get()
            }
        )*
        /// The whole operation.
        pub(in crate::a64) fn get(&self) -> Op {
            Op { $($field: self.$field.get()),* }
        }
        pub(in crate::a64) fn set(&self, op: Op) {
            $(self.$field.set(op.$field);)*
        }
    };
}

impl Slot {
    fields!(kind: Kind, rd: u8, rn: u8, rm: u8, a: u8, b: u8, form: u16, imm: u64);

    pub(in crate::a64) const fn new(kind: Kind) -> Self {
        Self {
            kind: Cell::new(kind),
            rd: Cell::new(0),
            rn: Cell::new(0),
            rm: Cell::new(0),
            a: Cell::new(0),
            b: Cell::new(0),
            form: Cell::new(0),
            imm: Cell::new(0),
        }
    }
}

const _: () = assert!(size_of::<Slot>() == 16);

/// One page of operations.
pub(in crate::a64) struct Page {
    frame: Frame,
    slots: [Slot; Page::OPS],
}

impl Page {
    /// Instructions in a page.
    pub(in crate::a64) const OPS: usize = 1024;

    /// The operations from an index on; none for one outside the page.
    #[inline(always)]
    pub(in crate::a64) fn from(&self, index: usize) -> std::slice::Iter<'_, Slot> {
        self.slots.get(index..).unwrap_or_default().iter()
    }

    /// Decodes the instruction at an index. What is relative to PC becomes relative to the page.
    pub(in crate::a64) fn decode(&self, index: usize, ram: &Ram, features: &Features) -> Op {
        let offset = (index % Self::OPS * 4) as u64;
        let op = super::decode::decode(ram.load(self.frame, offset), features);
        match op.kind {
            Kind::Adr
            | Kind::B
            | Kind::Bl
            | Kind::BCond
            | Kind::Cbz64
            | Kind::Cbz32
            | Kind::Cbnz64
            | Kind::Cbnz32
            | Kind::Tbz
            | Kind::Tbnz => Op { imm: op.imm.wrapping_add(offset), ..op },
            _ => op,
        }
    }
}

impl CodePage for Page {
    fn new(frame: Frame) -> Self {
        Self { frame, slots: [const { Slot::new(Kind::Undecoded) }; Self::OPS] }
    }

    fn forget(&self, first: u16, last: u16) {
        for slot in &self.slots[usize::from(first / 4)..=usize::from(last / 4).min(Self::OPS - 1)] {
            slot.set(Op::new(Kind::Undecoded));
        }
    }
}
