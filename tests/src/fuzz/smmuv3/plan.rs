//! How records become registers, tables, commands and DMA of an SMMU.
//!
//! As for VT-d, all is drawn from a small world: three streams with tables of their own, in memory that
//! begins where a virt has its RAM.

use devices::fabric::AtomicOp;

use crate::fuzz::action::{Action, Dma, DmaOp, MEMORY, SOURCES, atomic, size};
use crate::fuzz::record::Record;

/// First byte of memory.
pub const BASE: u64 = 0x4000_0000;
/// 64 STEs.
pub const STREAMS: u64 = BASE + 0x1000;
/// One level-1 stream table descriptor.
const STREAM_DESCRIPTORS: u64 = BASE + 0x2000;
/// Command queue, 256 commands.
pub const COMMANDS: u64 = BASE + 0x4000;
/// log2 of its entries.
pub const COMMANDS_LOG2: u64 = 8;
/// Event queue, 128 records.
const EVENTS: u64 = BASE + 0x5000;
/// Where message interrupts go that have no doorbell.
const MAILBOX: u64 = BASE + 0x6000;
/// CDs of the streams, 64 each.
const CONTEXTS: u64 = BASE + 0x8000;
/// Level-1 CD descriptors of the streams.
const CONTEXT_DESCRIPTORS: u64 = BASE + 0xc000;
/// Pages that tables lead to.
const DATA: u64 = BASE + 0x4_0000;
const DATA_PAGES: u64 = 64;
/// Room for scripts, which no record means.
pub const RING: u64 = BASE + 0x9_0000;
/// Tables of stage 1 and stage 2 of the first stream, 64 KiB for each level; those of the others follow.
const STAGE_1: u64 = BASE + 0x10_0000;
const STAGE_2: u64 = BASE + 0x28_0000;
const TREE: u64 = 0x8_0000;

const CR0: u64 = 0x20;
const CR2: u64 = 0x2c;
const GBPA: u64 = 0x44;
const IRQ_CTRL: u64 = 0x50;
const GERRORN: u64 = 0x64;
const STRTAB_BASE: u64 = 0x80;
const STRTAB_BASE_CFG: u64 = 0x88;
const CMDQ_BASE: u64 = 0x90;
/// Producer's index of the command queue.
pub const CMDQ_PROD: u64 = 0x98;
const CMDQ_CONS: u64 = 0x9c;
const EVENTQ_BASE: u64 = 0xa0;
const EVENTQ_IRQ_CFG0: u64 = 0xb0;
const EVENTQ_PROD: u64 = 0x1_00a8;
const EVENTQ_CONS: u64 = 0x1_00ac;

/// Offsets of registers [SMMUv3 6.2], and some that are not there.
const REGISTERS: [u64; 40] = [
    0x00, 0x04, 0x0c, 0x14, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x44, 0x44, 0x50, 0x54, 0x60, 0x64, 0x68, 0x6c,
    0x70, 0x74, 0x80, 0x84, 0x88, 0x90, 0x94, 0x98, 0x98, 0x9c, 0xa0, 0xa4, 0xa8, 0xb0, 0xb4, 0xb8, 0xbc,
    0xc0, 0x100, 0x1_00a8, 0x1_00ac, 0x1_00c8, 0xfe0,
];

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// As for any unit.
    Do(Action),
    /// Software drops everything cached and waits, with commands from this index on.
    Flush {
        /// CMDQ_PROD before.
        tail: u64,
        /// Cached STEs and CDs as well, and not translations only.
        configuration: bool,
    },
}

/// What [`Op::Flush`] is for a client of a machine, in four commands: CMD_CFGI_ALL where configuration is
/// meant, CMD_TLBI_NSNH_ALL, with EL2 contexts CMD_TLBI_EL2_ALL, and CMD_SYNC.
pub fn flush(tail: u64, configuration: bool, el2: bool) -> (Vec<Action>, u64) {
    let commands = [
        if configuration { [0x04, 0x1f] } else { [0x30, 0] },
        [0x30, 0],
        [if el2 { 0x20 } else { 0x30 }, 0],
        [0x46, 0],
    ];
    let mut actions = Vec::with_capacity(9);
    let mut tail = tail;
    for words in commands {
        command(&mut tail, words, &mut actions);
    }
    actions.push(Action::Write { offset: CMDQ_PROD, size: 4, value: tail });
    (actions, tail)
}

/// Operations as actions of any unit.
pub fn actions(ops: &[Op], el2: bool) -> Vec<Action> {
    let mut actions = Vec::with_capacity(ops.len());
    for op in ops {
        match *op {
            Op::Do(action) => actions.push(action),
            Op::Flush { tail, configuration } => actions.extend(flush(tail, configuration, el2).0),
        }
    }
    actions
}

/// A command at the tail, which moves on.
fn command(tail: &mut u64, words: [u64; 2], actions: &mut Vec<Action>) {
    let at = COMMANDS + (*tail & 0xff) * 16;
    actions.push(Action::Memory { address: at, value: words[0] });
    actions.push(Action::Memory { address: at + 8, value: words[1] });
    *tail = (*tail + 1) & 0x1ff;
}

/// Size of pages and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Granule {
    K4,
    K16,
    K64,
}

impl Granule {
    fn of(choice: u16) -> Self {
        [Self::K4, Self::K16, Self::K64, Self::K4][usize::from(choice & 3)]
    }

    const fn bits(self) -> u32 {
        match self {
            Self::K4 => 12,
            Self::K16 => 14,
            Self::K64 => 16,
        }
    }

    /// TG0 and S2TG.
    const fn tg0(self) -> u64 {
        match self {
            Self::K4 => 0,
            Self::K16 => 2,
            Self::K64 => 1,
        }
    }

    const fn tg1(self) -> u64 {
        match self {
            Self::K4 => 2,
            Self::K16 => 1,
            Self::K64 => 3,
        }
    }

    /// S2T0SZ for which S2SL0 = 1 needs no concatenated tables.
    const fn s2t0sz(self) -> u64 {
        match self {
            Self::K4 => 25,
            Self::K16 => 28,
            Self::K64 => 24,
        }
    }
}

/// A tree of tables as records describe it.
#[derive(Clone, Copy, Debug)]
struct Tree {
    /// Where level -1 would be.
    base: u64,
    granule: Granule,
    /// Bits of the input address.
    bits: u32,
}

impl Tree {
    /// log2 of what an entry of a level covers.
    const fn shift(self, level: u32) -> u32 {
        self.granule.bits() + (self.granule.bits() - 3) * (3 - level)
    }

    const fn table(self, level: u32) -> u64 {
        self.base + (level as u64 + 1) * 0x1_0000
    }

    /// The level of the first table: the lowest that covers the input.
    fn start(self) -> u32 {
        (0..=3).rev().find(|level| self.shift(*level) + self.granule.bits() - 3 >= self.bits).unwrap_or(0)
    }

    const fn entry(self, level: u32, input: u64) -> u64 {
        let index =
            (input & ((1 << self.bits) - 1)) >> self.shift(level) & ((1 << (self.granule.bits() - 3)) - 1);
        self.table(level) + index * 8
    }

    /// Entries from the first table to a leaf at `level`, which leads to `output`.
    fn map(self, input: u64, level: u32, output: u64, attributes: u64, actions: &mut Vec<Action>) {
        let start = self.start();
        let leaf = level.max(start);
        for level in start..=leaf {
            let value = if level == leaf {
                let block = (1_u64 << self.shift(level)) - 1;
                output & !block | attributes | if level == 3 { 3 } else { 1 }
            } else {
                self.table(level + 1) | 3
            };
            actions.push(Action::Memory { address: self.entry(level, input), value });
        }
    }
}

/// Makes operations of records.
#[derive(Debug)]
pub struct Planner {
    /// Where the next command goes.
    tail: u64,
    /// Granules of both stages and bits of the input address of stage 1, of each stream.
    streams: [(Granule, Granule, u32); SOURCES.len()],
}

impl Default for Planner {
    fn default() -> Self {
        Self { tail: 0, streams: [(Granule::K4, Granule::K4, 48); SOURCES.len()] }
    }
}

impl Planner {
    /// Adds what `record` means to `ops`.
    pub fn plan(&mut self, record: Record, ops: &mut Vec<Op>) {
        let Record { kind, place, shape, value } = record;
        let mut actions = Vec::new();
        match kind % 16 {
            0 => actions.push(Action::Read { offset: register(place, shape), size: size(shape) }),
            1 => actions.push(Action::Write { offset: register(place, shape), size: size(shape), value }),
            2 => {
                // Mostly with everything on, less a bit.
                let value = if place < 0x80 { 0xd ^ value & 0x1c5 } else { value };
                actions.push(Action::Write { offset: CR0, size: 4, value });
            }
            3 => usual(place, value, &mut actions),
            4 => {
                let value = if shape & 0x8000 != 0 { value } else { pointer(value) };
                actions.push(Action::Memory { address: self.entry(place, shape), value });
            }
            5 => self.map_1(place, shape, value, &mut actions),
            6 => self.map_2(place, shape, value, &mut actions),
            7 => self.enable(place, &mut actions),
            8 | 9 => self.describe(place, shape, value, &mut actions),
            10..=12 => actions.push(Action::Dma(dma(place, shape, value))),
            13 => actions.push(Action::Time),
            14 => match place {
                0..0x10 => actions.push(Action::Reset),
                0x10..0x20 => actions.push(Action::Snapshot),
                _ => {
                    ops.push(Op::Flush { tail: self.tail, configuration: place & 1 == 0 });
                    self.tail = (self.tail + 4) & 0x1ff;
                }
            },
            _ => self.stream(place, shape, value, &mut actions),
        }
        ops.extend(actions.into_iter().map(Op::Do));
    }

    /// The usual bring-up, more or less of it.
    fn enable(&mut self, place: u8, actions: &mut Vec<Action>) {
        self.tail = 0;
        let two_levels = place & 1 != 0;
        if two_levels {
            // Span 7: 64 STEs.
            actions.push(Action::Memory { address: STREAM_DESCRIPTORS, value: STREAMS | 7 });
        }
        let mut write = |offset, size, value| actions.push(Action::Write { offset, size, value });
        write(CR0, 4, 0);
        write(STRTAB_BASE, 8, if two_levels { STREAM_DESCRIPTORS } else { STREAMS });
        write(STRTAB_BASE_CFG, 4, if two_levels { 1 << 16 | 6 << 6 | 6 } else { 6 });
        write(CR2, 4, 2 | u64::from(place >> 5 & 1));
        write(CMDQ_BASE, 8, COMMANDS | COMMANDS_LOG2);
        write(CMDQ_PROD, 4, 0);
        write(CMDQ_CONS, 4, 0);
        write(EVENTQ_BASE, 8, EVENTS | if place & 0x10 != 0 { 1 } else { 7 });
        write(EVENTQ_PROD, 4, 0);
        write(EVENTQ_CONS, 4, 0);
        write(IRQ_CTRL, 4, 0);
        if place & 8 != 0 {
            write(EVENTQ_IRQ_CFG0, 8, if place & 0x80 != 0 { 0x0809_0040 } else { MAILBOX });
            write(IRQ_CTRL, 4, 5);
        }
        let off = u64::from(place >> 1 & 1) << 2 | u64::from(place >> 2 & 1);
        write(CR0, 4, 0xd & !off);
    }

    /// The STE of a stream, and its first CDs.
    fn stream(&mut self, place: u8, shape: u16, value: u64, actions: &mut Vec<Action>) {
        let first = actions.len();
        let n = usize::from(place) % 3;
        let source = u64::from(SOURCES[n]);
        let number = n as u64;
        let (granule, granule_2) = (Granule::of(shape >> 2), Granule::of(shape >> 4));
        let bits = if place & 0x40 != 0 { 39 } else { 48 };
        self.streams[n] = (granule, granule_2, bits);
        let bit = |at: u32| u64::from(shape >> at & 1);
        let (vmid, asid) = (u64::from(place >> 2 & 3), u64::from(place >> 4 & 3));
        let contexts = CONTEXTS + number * 0x1000;
        let descriptors = CONTEXT_DESCRIPTORS + number * 0x1000;
        let (table, format, count) = match shape >> 6 & 3 {
            0 => (contexts, 0, 0),
            1 => (contexts, 0, 2),
            2 => (contexts, 0, 6),
            _ => (descriptors, 1, 7),
        };
        let world = if shape >> 10 & 3 == 3 { 0b10 } else { 0 };
        let overrides = if value >> 40 & 0xf == 1 { value >> 44 & 0xf } else { 0 };
        let (stall, quiet, ha, hd) = (bit(12), bit(13), bit(14), bit(15) & bit(14));
        let stage_2 = self.stage_2(n);
        let words = [
            1 | (4 | u64::from(shape & 3)) << 1 | format << 4 | table | count << 59,
            u64::from(shape >> 8 & 3) | world << 30 | overrides << 48,
            vmid | (granule_2.s2t0sz()
                | 1 << 6
                | granule_2.tg0() << 14
                | 5 << 16
                | 1 << 19
                | hd << 23
                | ha << 24
                | stall << 25
                | (1 - quiet) << 26)
                << 32,
            stage_2.table(stage_2.start()),
        ];
        store(STREAMS + source * 64, &words, actions);
        actions.push(Action::Memory { address: descriptors, value: contexts | 1 });
        let tree = self.stage_1(n);
        let size = u64::from(64 - bits);
        for index in 0..2 {
            let words = [
                size | granule.tg0() << 6
                    | size << 16
                    | granule.tg1() << 22
                    | 1 << 31
                    | 5 << 32
                    | 1 << 41
                    | hd << 42
                    | ha << 43
                    | stall << 44
                    | (1 - quiet) << 45
                    | 1 << 46
                    | (asid + index) << 48,
                tree.table(tree.start()),
                tree.table(tree.start()),
                0xff,
            ];
            store(contexts + index * 64, &words, actions);
        }
        // All of memory is where it is for stage 2.
        let step = 1 << stage_2.shift(2);
        for ipa in (BASE..BASE + MEMORY).step_by(step) {
            stage_2.map(ipa, 2, ipa, 0x7fc, actions);
        }
        wrong(value, &mut actions[first..]);
    }

    fn stage_1(&self, n: usize) -> Tree {
        let (granule, _, bits) = self.streams[n];
        Tree { base: STAGE_1 + n as u64 * TREE, granule, bits }
    }

    fn stage_2(&self, n: usize) -> Tree {
        let (_, granule, _) = self.streams[n];
        // At most 28.
        Tree { base: STAGE_2 + n as u64 * TREE, granule, bits: 64 - granule.s2t0sz() as u32 }
    }

    fn map_1(&self, place: u8, shape: u16, value: u64, actions: &mut Vec<Action>) {
        let first = actions.len();
        let bit = |at: u32| u64::from(shape >> at & 1);
        // AF, inner shareable; AP, nG, DBM and execute-never as the shape says.
        let attributes = (1 - bit(3)) << 10
            | 3 << 8
            | (1 - bit(4)) << 6
            | bit(5) << 7
            | (1 - bit(6)) << 11
            | bit(7) << 51
            | bit(8) << 53
            | bit(9) << 54;
        let output = if bit(10) == 0 { data(value >> 20) } else { iova(value >> 20) & 0x3fff_ffff };
        self.stage_1(usize::from(place) % 3).map(iova(value), leaf(shape), output, attributes, actions);
        wrong(value, &mut actions[first..]);
    }

    fn map_2(&self, place: u8, shape: u16, value: u64, actions: &mut Vec<Action>) {
        let first = actions.len();
        let bit = |at: u32| u64::from(shape >> at & 1);
        let attributes = (1 - bit(3)) << 10
            | 3 << 8
            | (1 - bit(4)) << 6
            | (1 - bit(5)) << 7
            | if bit(6) == 0 { 0x3c } else { 0 }
            | bit(7) << 51
            | bit(8) << 53
            | bit(9) << 54;
        let ipa = if bit(10) == 0 { iova(value) & 0x3fff_ffff } else { BASE | value & 0x3f_ffff };
        self.stage_2(usize::from(place) % 3).map(ipa, leaf(shape), data(value >> 20), attributes, actions);
        wrong(value, &mut actions[first..]);
    }

    /// A command at the tail, and the doorbell.
    fn describe(&mut self, place: u8, shape: u16, value: u64, actions: &mut Vec<Action>) {
        let stream = u64::from(SOURCES[usize::from(place) % 3]) << 32;
        let (vmid, asid) = (u64::from(shape & 3) << 32, u64::from(shape >> 2 & 3) << 48);
        // Leaf only, TTL, granule, and the range's length and scale.
        let address = iova(value) & !0xfff
            | u64::from(shape >> 4 & 1)
            | u64::from(shape >> 5 & 3) << 8
            | u64::from(shape >> 7 & 3) << 10;
        let range = u64::from(shape >> 9 & 3) << 12 | u64::from(shape >> 11 & 7) << 20;
        let words = match place >> 4 {
            0 => [0x03 | stream, u64::from(shape >> 4 & 1)],
            1 => [0x04 | stream, u64::from(shape & 0x1f)],
            2 => [0x05 | stream | u64::from(shape & 3) << 12, u64::from(shape >> 4 & 1)],
            3 => [0x06 | stream, 0],
            4 | 5 => [0x12 | vmid | asid | range, address],
            6 => [0x13 | vmid | range, address],
            7 => [if shape & 0x100 == 0 { 0x11 } else { 0x10 } | vmid | asid, 0],
            8 => [0x28 | vmid, 0],
            9 => [0x2a | vmid | range, address & 0xf_ffff_ffff_ffff],
            10 => [0x20 | u64::from(shape >> 8 & 3) | asid | range, address],
            11 => [0x30, 0],
            12 => [0x44 | stream | u64::from(shape & 3) << 12, value & 7],
            13 => [0x45 | stream, 0],
            14 => {
                let message = if shape & 4 != 0 { MAILBOX | value & 0xffc } else { pointer(value) & !3 };
                [0x46 | u64::from(shape & 3) << 12 | value << 32, message]
            }
            _ => [value, value.rotate_left(u32::from(shape))],
        };
        command(&mut self.tail, words, actions);
        actions.push(Action::Write { offset: CMDQ_PROD, size: 4, value: self.tail });
    }

    /// A place where an entry may matter.
    fn entry(&self, place: u8, shape: u16) -> u64 {
        let n = usize::from(shape) % 3;
        let index = u64::from(shape >> 2) & 0x1fff;
        match place >> 4 {
            0..3 => STREAMS + u64::from(SOURCES[n]) * 64 + index % 4 * 8,
            3 | 4 => CONTEXTS + n as u64 * 0x1000 + index % 16 * 8,
            5 => CONTEXT_DESCRIPTORS + n as u64 * 0x1000,
            6 => STREAM_DESCRIPTORS,
            7..10 => self.stage_1(n).table(u32::from(place & 3)) + index % 0x200 * 8,
            10..13 => self.stage_2(n).table(u32::from(place & 3)) + index % 0x200 * 8,
            13 => COMMANDS + index % 0x200 * 8,
            _ => BASE + (((u64::from(place) << 16 | u64::from(shape)) % MEMORY) & !7),
        }
    }
}

/// Flips a bit of one of the entries, now and then.
fn wrong(value: u64, entries: &mut [Action]) {
    if value >> 54 & 7 == 1 && !entries.is_empty() {
        // Four bits make a small index.
        let at = (value >> 57 & 0xf) as usize % entries.len();
        if let Action::Memory { value: entry, .. } = &mut entries[at] {
            *entry ^= 1 << (value >> 48 & 0x3f);
        }
    }
}

fn store(at: u64, words: &[u64], actions: &mut Vec<Action>) {
    for (address, value) in (at..).step_by(8).zip(words) {
        actions.push(Action::Memory { address, value: *value });
    }
}

/// Register writes that a driver makes.
fn usual(place: u8, value: u64, actions: &mut Vec<Action>) {
    let mut write = |offset, size, value| actions.push(Action::Write { offset, size, value });
    match place % 6 {
        0 => write(GERRORN, 4, value & 0x1ff),
        1 => write(EVENTQ_CONS, 4, value & 0x8000_01ff),
        2 => write(GBPA, 4, 1 << 31 | value),
        3 => write(IRQ_CTRL, 4, value & 7),
        4 => {
            write(CR0, 4, 0xc);
            write(CR2, 4, value & 0xf);
            write(CR0, 4, 0xd);
        }
        _ => {
            write(IRQ_CTRL, 4, 0);
            write(EVENTQ_IRQ_CFG0, 8, pointer(value) & !3);
            write(IRQ_CTRL, 4, 5);
        }
    }
}

/// Mostly the last level.
fn leaf(shape: u16) -> u32 {
    3 - u32::from(shape & 7).saturating_sub(5)
}

/// A page that tables lead to.
fn data(value: u64) -> u64 {
    DATA + (value >> 12) % DATA_PAGES * 0x1000
}

/// An address that names a page of memory, or the first behind it.
fn pointer(value: u64) -> u64 {
    (BASE + (value >> 12) % (MEMORY / 0x1000 + 1) * 0x1000) | value & 0xfff
}

/// One of 64 pages in places far apart, or now and then any address.
fn iova(value: u64) -> u64 {
    const BASES: [u64; 6] = [0, 0x20_0000, 0x40_0000_0000, 0x7f_ffff_0000, 0xffff_ffff_fff0_0000, DATA];
    match value >> 61 {
        at @ 0..6 => BASES[at as usize] + (value & 0xf_ffff) % 0x4_0000,
        6 => 0xab00_0000_0000_0000 | value & 0x3_ffff,
        _ => value & !(7 << 61),
    }
}

fn register(place: u8, shape: u16) -> u64 {
    match usize::from(place) {
        known @ 0..0xc0 => REGISTERS[known % REGISTERS.len()],
        _ => u64::from(shape >> 4) | u64::from(shape >> 3 & 1) << 16,
    }
}

fn dma(place: u8, shape: u16, value: u64) -> Dma {
    let address = match place >> 6 {
        3 => pointer(value),
        _ => iova(value),
    };
    let length = shape >> 3;
    // Mostly a few bytes.
    let length = if shape & 4 == 0 { length % 65 } else { length % 4097 };
    let op = match shape & 3 {
        0 => DmaOp::Read(length),
        3 if place & 0x20 != 0 => DmaOp::Atomic(atomic(length, value)),
        _ => DmaOp::Write(length.max(1)),
    };
    if place & 0x20 == 0 {
        return Dma::plain(place.into(), address, op);
    }
    Dma {
        source: SOURCES[usize::from(place >> 4 & 1) * 2],
        address: if let DmaOp::Atomic(op) = op { address & !(AtomicOp::size(op) - 1) } else { address },
        op,
        pasid: (place & 1 != 0).then_some((value >> 44 & 3) as u32 | u32::from(place & 2) << 3),
        translated: place & 0xe == 0xe,
        privileged: place & 4 != 0,
        execute: place & 8 != 0,
    }
}
