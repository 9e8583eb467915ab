//! What the targets do to a remapping unit, and how records become that.
//!
//! Registers, tables and addresses are drawn from a small world, so that what one record sets up
//! the next one meets: two sources on bus 0, one root table, tables at fixed places, a few pages.
//! Values outside that world are drawn as well.

use devices::fabric::AtomicOp;

use super::record::Record;

/// Bytes of memory, from address 0 on: the least that a machine has.
pub const MEMORY: u64 = 4 << 20;
/// The part of it that tables and pages lie in.
pub const WORLD: u64 = 256 << 10;
/// Root table.
pub const ROOT: u64 = 0x1000;
/// Context table of bus 0.
pub const CONTEXT: u64 = 0x2000;
/// Interrupt remapping table, 256 entries.
pub const INTERRUPTS: u64 = 0x3000;
/// Invalidation queue, 256 descriptors.
pub const QUEUE: u64 = 0x4000;
/// First second-stage table; those of the levels below follow at 4-KiB steps.
const TABLES: u64 = 0x8000;
/// The bus masters: 00:03.0 and 00:05.0 make plain requests, 00:04.0 others.
pub const SOURCES: [u16; 3] = [0x18, 0x28, 0x20];
/// Longest DMA.
const MAX_LENGTH: u16 = 4096;

/// Offsets of registers [VT-d 11.4]: those of a legacy-mode unit, and some that it does not have.
const REGISTERS: [u64; 52] = [
    0x00, 0x08, 0x0c, 0x10, 0x18, 0x18, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x34, 0x34, 0x38, 0x3c, 0x40,
    0x44, 0x64, 0x64, 0x68, 0x6c, 0x70, 0x74, 0x78, 0x80, 0x84, 0x88, 0x88, 0x8c, 0x90, 0x90, 0x94, 0x9c,
    0xa0, 0xa4, 0xa8, 0xac, 0xb0, 0xb8, 0xbc, 0xc0, 0xd8, 0xf0, 0xf4, 0xf8, 0xfc, 0x220, 0x228, 0x22c, 0x298,
    0x29c,
];
const GCMD: u64 = 0x18;
const RTADDR: u64 = 0x20;
const IQT: u64 = 0x88;
const IQA: u64 = 0x90;
const IRTA: u64 = 0xb8;
/// Every bit that GCMD defines [VT-d 11.4.4.1].
const GCMD_BITS: u64 = 0xcf80_0000;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read `size` bytes at `offset` of the register file.
    Read {
        /// Offset.
        offset: u64,
        /// 1, 2, 4 or 8.
        size: usize,
    },
    /// Write the low `size` bytes of `value` at `offset` of the register file.
    Write {
        /// Offset.
        offset: u64,
        /// 1, 2, 4 or 8.
        size: usize,
        /// Data.
        value: u64,
    },
    /// Write 8 bytes of memory.
    Memory {
        /// Address.
        address: u64,
        /// Data.
        value: u64,
    },
    /// A DMA.
    Dma(Dma),
    /// Let time pass: what is due runs.
    Time,
    /// Power-good reset of the unit, and memory zeroed.
    Reset,
    /// Continue on another unit, to which the state was brought by save and restore.
    Snapshot,
}

/// A DMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dma {
    /// Requester id.
    pub source: u16,
    /// First byte.
    pub address: u64,
    /// What it does.
    pub op: DmaOp,
    /// PASID prefix, below 2^20.
    pub pasid: Option<u32>,
    /// Address type Translated.
    pub translated: bool,
    /// Privileged mode requested.
    pub privileged: bool,
    /// Execute requested.
    pub execute: bool,
}

/// What a DMA does. Reads fill the buffer of the device, writes send it, as real devices do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaOp {
    /// Memory to buffer; 0 bytes for a zero-length read.
    Read(u16),
    /// Buffer to memory.
    Write(u16),
    /// An AtomicOp.
    Atomic(AtomicOp),
}

impl Dma {
    /// A plain write of the first `length` bytes of the buffer.
    pub fn write(address: u64, length: u16) -> Self {
        Self::plain(0, address, DmaOp::Write(length))
    }

    /// A plain request of one of the first two [`SOURCES`].
    pub fn plain(source: usize, address: u64, op: DmaOp) -> Self {
        let source = SOURCES[source % 2];
        Self { source, address, op, pasid: None, translated: false, privileged: false, execute: false }
    }

    /// Whether it is of a master that makes plain requests, and needs no more than address, length and
    /// direction.
    pub fn is_plain(&self) -> bool {
        let Self { source, address: _, op, pasid, translated, privileged, execute } = *self;
        let special = pasid.is_some() || translated || privileged || execute;
        source != SOURCES[2] && !special && !matches!(op, DmaOp::Atomic(_))
    }
}

/// Makes actions of records.
#[derive(Debug, Default)]
pub struct Planner {
    /// Where the next descriptor goes, in units of 16 bytes.
    tail: u64,
    /// Descriptors have 256 bits.
    wide: bool,
}

impl Planner {
    /// Adds what `record` means to `actions`.
    pub fn plan(&mut self, record: Record, actions: &mut Vec<Action>) {
        let Record { kind, place, shape, value } = record;
        match kind % 16 {
            0 => actions.push(Action::Read { offset: register(place, shape), size: size(shape) }),
            1 | 2 => actions.push(Action::Write { offset: register(place, shape), size: size(shape), value }),
            3 => {
                let value = if place < 0x40 { value & GCMD_BITS } else { value | GCMD_BITS & !value >> 8 };
                actions.push(Action::Write { offset: GCMD, size: 4, value });
            }
            4 => {
                let value = if shape & 0x8000 != 0 { value } else { pointer(value) };
                actions.push(Action::Memory { address: entry(place, shape), value });
            }
            5 | 6 => map(place, shape, value, actions),
            7 => self.enable(place, actions),
            8 => self.describe(place, shape, value, actions),
            9..=12 => actions.push(Action::Dma(dma(place, shape, value))),
            13 => actions.push(Action::Time),
            14 => actions.push(match place {
                0..0x10 => Action::Reset,
                0x10..0x20 => Action::Snapshot,
                _ => Action::Dma(message(shape, value)),
            }),
            _ => {
                // Mostly one of the first entries, which messages name most.
                let at = INTERRUPTS + u64::from(if place & 0x80 == 0 { place & 3 } else { place }) * 16;
                // Source validation for a source that exists, where the shape says so.
                let high = match shape & 3 {
                    0 => 0,
                    1 => 1 << 18 | u64::from(SOURCES[0]),
                    2 => u64::from(shape) << 16,
                    _ => u64::from(shape >> 4),
                };
                set128(at, [value | u64::from(shape >> 15), high], actions);
            }
        }
    }

    /// The usual bring-up, more or less of it.
    fn enable(&mut self, place: u8, actions: &mut Vec<Action>) {
        let mut write = |offset, size, value| actions.push(Action::Write { offset, size, value });
        write(RTADDR, 8, ROOT);
        write(GCMD, 4, 0x4000_0000);
        let mut enabled = 0;
        if place & 1 != 0 {
            (self.tail, self.wide) = (0, place & 0xe0 == 0xe0);
            write(IQT, 8, 0);
            write(IQA, 8, QUEUE | u64::from(self.wide) << 11);
            enabled |= 0x0400_0000;
        }
        if place & 2 != 0 {
            // 256 entries, here or behind memory; extended mode by bit 11.
            let table = if place & 0xe0 == 0x20 { MEMORY } else { INTERRUPTS };
            write(IRTA, 8, table | 7 | u64::from(place & 8) << 8);
            write(GCMD, 4, enabled | 0x0100_0000);
            enabled |= 0x0200_0000;
        }
        if place & 4 == 0 {
            enabled |= 0x8000_0000;
        }
        write(GCMD, 4, enabled);
        if place & 0x10 != 0 {
            // Unmask both events, with messages that nobody remaps.
            for control in [0x38, 0xa0] {
                write(control + 8, 4, 0xfee0_0000);
                write(control + 4, 4, 0x40);
                write(control, 4, 0);
            }
        }
    }

    /// A descriptor at the tail, and the doorbell.
    fn describe(&mut self, place: u8, shape: u16, value: u64, actions: &mut Vec<Action>) {
        let domain = u64::from(place & 7) << 16;
        let low = match place >> 4 {
            0..3 => 0x1 | u64::from(shape & 3) << 4 | domain | u64::from(SOURCES[0]) << 32,
            3..8 => 0x2 | u64::from(shape & 0xf) << 4 | domain,
            8 | 9 => 0x4 | u64::from(shape & 1) << 4 | u64::from(shape) << 27,
            10..14 => 0x5 | u64::from(shape & 7) << 4 | value << 32,
            _ => value,
        };
        let high = match place >> 4 {
            // 64 pages and masks up to the largest; rarely anything.
            3..8 => iova(value) & !0xfff | u64::from(shape >> 4 & 0x1f),
            10..14 => pointer(value) & !3,
            14 => value.rotate_left(17),
            _ => 0,
        };
        set128(QUEUE + self.tail * 16, [low, high], actions);
        self.tail = (self.tail + 1 + u64::from(self.wide)) % 256;
        actions.push(Action::Write { offset: IQT, size: 8, value: self.tail << 4 });
    }
}

/// Two words of memory.
pub fn set128(address: u64, words: [u64; 2], actions: &mut Vec<Action>) {
    actions.push(Action::Memory { address, value: words[0] });
    actions.push(Action::Memory { address: address + 8, value: words[1] });
}

/// The context entry of a source, and the root entry before it.
pub fn set_context(source: u16, words: [u64; 2], actions: &mut Vec<Action>) {
    set128(ROOT, [CONTEXT | 1, 0], actions);
    set128(CONTEXT + u64::from(source & 0xff) * 16, words, actions);
}

/// A write to the message window: half of them in the remappable format with a small handle.
fn message(shape: u16, value: u64) -> Dma {
    let format =
        if shape & 1 == 0 { value & 0xf_fffc } else { 0x10 | u64::from(shape & 0x3e) << 4 | value & 8 };
    let length = if shape >> 12 == 0 { 8 } else { 4 };
    Dma::plain(usize::from(shape >> 6), 0xfee0_0000 | format, DmaOp::Write(length))
}

/// Everything that maps one page for one source, with a leaf of any size, and sometimes with one
/// wrong bit.
fn map(place: u8, shape: u16, value: u64, actions: &mut Vec<Action>) {
    let first = actions.len();
    let source = SOURCES[usize::from(place) % 3];
    let width = [2, 2, 1, 3][usize::from(place >> 2 & 3)];
    let domain = u64::from(place >> 4 & 3) + 1;
    let pass_through = if place >> 6 == 3 { 0b1000 } else { 0 };
    let fpd = u64::from(shape >> 14 & 1) << 1;
    let top = width + 2;
    set_context(source, [table(top) | pass_through | fpd | 1, domain << 8 | width], actions);
    let (leaf, rights) = (1 + u64::from(shape & 7).saturating_sub(5).min(top - 1), u64::from(shape >> 3 & 3));
    let large = if leaf > 1 { 0x80 } else { 0 };
    for level in (leaf..=top).rev() {
        let address = table(level) + (iova(value) >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
        let value = match level == leaf {
            true => pointer(value >> 20) & !0xfff & !((1 << (12 + 9 * (level - 1))) - 1) | large | rights,
            false => table(level - 1) | 3,
        };
        actions.push(Action::Memory { address, value });
    }
    if value >> 54 & 7 == 1 {
        let entries = &mut actions[first..];
        // Four bits make a small index.
        let wrong = (value >> 57 & 0xf) as usize % entries.len();
        if let Action::Memory { value: entry, .. } = &mut entries[wrong] {
            *entry ^= 1 << (value >> 48 & 0x3f);
        }
    }
}

/// The table of a level, 1 to 5.
fn table(level: u64) -> u64 {
    TABLES + (5 - level) * 0x1000
}

/// One of 64 pages in four places far apart, or now and then any address.
fn iova(value: u64) -> u64 {
    const BASES: [u64; 4] = [0, 0x20_0000, 0x40_0000_0000, 0x7f_ffff_0000];
    match value >> 61 {
        7 => value & !(7 << 61),
        // Two bits make an index below 4.
        at => BASES[(at & 3) as usize] + (value & 0xf_ffff) % 0x1_0000,
    }
}

/// A value whose address bits name a page of the world, or the first two behind memory.
pub fn pointer(value: u64) -> u64 {
    let page = (value >> 12 & 0xff) % (WORLD / 4096 + 2);
    let page = if page < WORLD / 4096 { page } else { page + (MEMORY - WORLD) / 4096 };
    page << 12 | value & 0xfff
}

/// A place where an entry may matter.
fn entry(place: u8, shape: u16) -> u64 {
    let source = u64::from(SOURCES[usize::from(shape) % 3]);
    let index = u64::from(shape >> 2);
    match place >> 4 {
        0 | 1 => ROOT + index % 4 * 8,
        2..5 => CONTEXT + source * 16 + index % 2 * 8,
        5..10 => table(u64::from(place % 5) + 1) + index % 0x200 * 8,
        10..12 => QUEUE + index % 0x200 * 8,
        12 => INTERRUPTS + index % 0x200 * 8,
        _ => ((u64::from(place) << 16 | u64::from(shape)) % WORLD) & !7,
    }
}

fn register(place: u8, shape: u16) -> u64 {
    match usize::from(place) {
        known @ 0..0xc0 => REGISTERS[known % REGISTERS.len()],
        _ => u64::from(shape >> 4),
    }
}

pub(super) fn size(shape: u16) -> usize {
    [4, 8, 4, 8, 4, 8, 1, 2][usize::from(shape & 7)]
}

fn dma(place: u8, shape: u16, value: u64) -> Dma {
    let address = match place >> 6 {
        0 | 1 => iova(value),
        2 => pointer(value),
        _ => value,
    };
    let length = shape >> 3;
    // Mostly a few bytes.
    let length = if shape & 4 == 0 { length % 65 } else { length % (MAX_LENGTH + 1) };
    let op = match shape & 3 {
        0 => DmaOp::Read(length),
        1 => DmaOp::Write(length.max(1)),
        _ if place & 0x20 == 0 => return Dma::plain(place.into(), address, DmaOp::Write(length.max(1))),
        _ => DmaOp::Atomic(atomic(length, value)),
    };
    if place & 0x20 == 0 {
        return Dma::plain(place.into(), address, op);
    }
    Dma {
        source: SOURCES[2],
        address: if let DmaOp::Atomic(op) = op { address & !(op.size() - 1) } else { address },
        op,
        pasid: (place & 1 != 0).then_some((value >> 40 & 0xf_ffff) as u32),
        translated: place & 2 != 0,
        privileged: place & 4 != 0,
        execute: place & 8 != 0,
    }
}

pub(super) fn atomic(choice: u16, value: u64) -> AtomicOp {
    // Operands of 32 bits are the low halves.
    let (wide, narrow) = (value.rotate_left(32), value as u32);
    match choice % 6 {
        0 => AtomicOp::FetchAdd32(narrow),
        1 => AtomicOp::FetchAdd64(wide),
        2 => AtomicOp::Swap32(narrow),
        3 => AtomicOp::Swap64(wide),
        4 => AtomicOp::CompareSwap32 { compare: 0, swap: narrow },
        _ => AtomicOp::CompareSwap64 { compare: 0, swap: wide },
    }
}
