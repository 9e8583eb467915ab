//! A whole machine: configuration space, BARs, the devices behind them and the remapping unit.
//!
//! Every operation is a command of the qtest protocol, so an input is a script. Beside "no panic"
//! these hold for any input:
//! - Time reaches what was asked for, or stops early with events still due; it never runs back.
//! - Interrupts and events of one command are bounded.
//! - Status registers of the remapping unit have no bit that the specification does not define.
//! - A read in configuration space changes nothing.
//! - A save and restore changes nothing, and afterwards the machine can be brought back to its
//!   start.

use std::cell::RefCell;

use emulator::machine::Interrupt;

use super::action::{Planner, WORLD, pointer};
use super::board::{Board, FUNCTIONS, Placed, Q35, ROOT_PORT};
use super::digest::Digest;
use super::record::{Input, Record};
use super::step::Step;

/// Interrupts of one command at most. A clock step runs up to 65,536 events, of which each is a step
/// of an exerciser: a ring of few descriptors is worked off by the first of them.
const MAX_INTERRUPTS: usize = 1 << 20;
/// Bits that GSTS defines [VT-d 11.4.4.2].
const GSTS_BITS: u64 = 0xc780_0000;
/// One input in so many is followed by a comparison of the whole machine, which looks at all memory.
const COMPARED: u64 = 1024;

/// One operation of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A command.
    Step(Step),
    /// Save, restore, go on.
    Snapshot,
}

/// The value of `--iommu` for the first byte of an input.
pub fn iommu(config: u8) -> &'static str {
    const KINDS: [&str; 4] = [
        "vtd-legacy,cache=off",
        "vtd-legacy,cache=tiny",
        "vtd-legacy,cache=tiny,aw-bits=57",
        "vtd-legacy,cache=off,aw-bits=39,abort-dma=on,protected-regions=on,compress-faults=on",
    ];
    KINDS[usize::from(config) % KINDS.len()]
}

/// Feeds `data` to a machine.
///
/// # Panics
/// If what the module says does not hold.
pub fn pci(data: &[u8]) {
    let (kind, ops) = plan(data);
    with_board(kind, |board| {
        let digest = run(board, &ops);
        if ops.contains(&Op::Snapshot) {
            let without: Vec<_> = ops.iter().filter(|op| **op != Op::Snapshot).cloned().collect();
            assert_eq!(digest, run(board, &without), "save and restore changed the run");
        }
        let mut fingerprint = Digest::default();
        fingerprint.bytes(data);
        if fingerprint.value().is_multiple_of(COMPARED) {
            board.reset();
            assert!(board.is_reset(), "something of the input is left after a reset");
        }
    });
}

/// Gives the thread's machine of `kind` to `action`.
pub fn with_board<T>(kind: &'static str, action: impl FnOnce(&mut Board) -> T) -> T {
    thread_local! {
        static BOARDS: RefCell<Vec<(&'static str, Board)>> = const { RefCell::new(Vec::new()) };
    }
    BOARDS.with_borrow_mut(|boards| {
        let known = boards.iter().position(|(name, _)| *name == kind);
        let index = known.unwrap_or_else(|| {
            // The options are constants, so only memory can be missing.
            boards.push((kind, Board::new(kind).expect("the host has 4 MiB for a machine")));
            boards.len() - 1
        });
        action(&mut boards[index].1)
    })
}

/// The kind of machine and the operations that `data` means.
pub fn plan(data: &[u8]) -> (&'static str, Vec<Op>) {
    let Input { config, records } = Input::parse(data);
    let (mut ops, mut planner) = (Vec::new(), Devices::default());
    records.into_iter().for_each(|record| planner.plan(record, &mut ops));
    (iommu(config), ops)
}

fn run(board: &mut Board, ops: &[Op]) -> Digest {
    board.reset();
    let mut digest = Digest::default();
    for op in ops {
        match op {
            Op::Step(step) => digest.number(command(board, step)),
            Op::Snapshot => {
                let saved = board.machine.save();
                let restored = board.machine.restore(saved.clone());
                assert!(restored.is_ok(), "a machine refuses its own state: {restored:?}");
                assert_eq!(board.machine.save(), saved, "a restored machine is another");
            }
        }
        let interrupts = board.machine.take_interrupts();
        assert!(interrupts.len() <= MAX_INTERRUPTS, "{} interrupts of {op:?}", interrupts.len());
        for interrupt in interrupts {
            match interrupt {
                Interrupt::Message { address, data } => digest.number(address ^ u64::from(data) << 32),
                Interrupt::Line { line, asserted } => digest.number(line as u64 * 2 + u64::from(asserted)),
                Interrupt::Pulse { line } => unreachable!("an edge on line {line} of a PC"),
                Interrupt::Event => unreachable!("an event for the processors of a PC"),
            }
        }
    }
    let gsts = Step::Read { address: Q35.unit + 0x1c, size: 4 }.run(&mut board.machine);
    assert_eq!(gsts & !GSTS_BITS, 0, "GSTS {gsts:#x}");
    digest.number(board.machine.now().0);
    digest
}

fn command(board: &mut Board, step: &Step) -> u64 {
    let before = board.machine.now();
    let value = step.run(&mut board.machine);
    let now = board.machine.now();
    match *step {
        Step::Clock(ns) => {
            assert!(now >= before, "time ran back from {before} to {now}");
            let due = board.machine.next_event().is_some_and(|due| due <= before.after(ns));
            assert!(now == before.after(ns) || due, "time stopped at {now} with nothing due");
        }
        Step::Read { address, .. } => {
            assert_eq!(now, before, "{step} took time");
            if (Q35.ecam..Q35.ecam + (256 << 20)).contains(&address) {
                assert_eq!(value, step.run(&mut board.machine), "{step} changed what it read");
            }
        }
        _ => assert_eq!(now, before, "{step} took time"),
    }
    value
}

/// Makes commands of records.
#[derive(Default)]
struct Devices {
    unit: Planner,
    /// Next descriptor of each exerciser's ring.
    tails: [u64; 3],
}

/// The exercisers among [`FUNCTIONS`].
const EXERCISERS: [usize; 3] = [1, 2, 5];
const RING_SIZE: u64 = 8;

impl Devices {
    fn plan(&mut self, record: Record, ops: &mut Vec<Op>) {
        let Record { kind, place, shape, value } = record;
        let mut push = |step| ops.push(Op::Step(step));
        if kind & 3 == 0 {
            let mut actions = Vec::new();
            self.unit.plan(Record { kind: kind >> 2, ..record }, &mut actions);
            Q35.lower(&actions).into_iter().for_each(push);
            return;
        }
        let size = [4, 4, 2, 1, 8, 4, 4, 8][usize::from(shape & 7)];
        let word = size.min(4);
        let function = FUNCTIONS[usize::from(place) % FUNCTIONS.len()];
        match kind >> 2 {
            0..4 => push(Step::Read { address: configuration(place, shape), size }),
            4..12 => push(Step::Write { address: configuration(place, shape), size, value }),
            12..18 => push(Step::Read { address: register(function, shape), size }),
            18..28 => push(Step::Write { address: register(function, shape), size, value }),
            28..34 => self.describe(place, shape, value, ops),
            34..38 => self.ring(place, shape, ops),
            38..42 => msix(place, shape, value, ops),
            42..46 => {
                for (offset, value) in [(0x80, pointer(value)), (0x88, 0x4_0000), (0x90, (shape % 65).into())]
                {
                    push(Step::write64(FUNCTIONS[0].bar + offset, value));
                }
                push(Step::write64(FUNCTIONS[0].bar + 0x98, u64::from(shape >> 8 & 7)));
            }
            46..50 => {
                let Placed { bar, .. } = FUNCTIONS[4];
                for (offset, value) in [(0x04, pointer(value)), (0x0c, (shape % 65).into()), (0x14, 1)] {
                    // Addresses of the world have 32 bits.
                    push(Step::write32(bar + offset, value as u32));
                }
                push(Step::Read { address: bar, size: 4 });
            }
            50..54 => push(Step::Clock(match shape & 3 {
                0 => 1,
                1 => u64::from(shape),
                2 => 100_000_000,
                _ => 0,
            })),
            54..56 => push(Step::Out { port: port(place, shape), size: word, value: value as u32 }),
            56 => push(Step::In { port: port(place, shape), size: word }),
            57..60 => push(Step::write64(pointer(value) & !7, value.rotate_left(24))),
            60 => push(Step::Write { address: value, size, value: shape.into() }),
            61 => push(Step::Read { address: value, size }),
            _ if place < 8 => ops.push(Op::Snapshot),
            _ => push(Step::Read { address: pointer(value), size }),
        }
    }

    /// A ring for an exerciser, in a page of its own.
    fn ring(&mut self, place: u8, shape: u16, ops: &mut Vec<Op>) {
        let index = usize::from(place) % 3;
        let bar = FUNCTIONS[EXERCISERS[index]].bar;
        self.tails[index] = 0;
        for (offset, value) in [
            (0x08, 2),
            (0x10, ring_page(index) as u32),
            (0x18, RING_SIZE as u32),
            // Latency, mostly none.
            (0x28, u32::from(shape >> 13) * 100),
            (0x08, 1),
        ] {
            ops.push(Op::Step(Step::write32(bar + offset, value)));
        }
    }

    /// A descriptor in the ring, and mostly the doorbell.
    fn describe(&mut self, place: u8, shape: u16, value: u64, ops: &mut Vec<Op>) {
        let index = usize::from(place) % 3;
        let tail = self.tails[index];
        let flags = u64::from(shape & 0x7f) << 8;
        let vector = u64::from(shape >> 7 & 7) << 16;
        let words = [
            u64::from(place >> 2 & 7) | flags | vector | (u64::from(shape >> 4) % 0x2001) << 32,
            pointer(value) & !7,
            pointer(value >> 20),
            value,
            0,
            u64::from(place >> 5) << 32 | value & 0xfff,
        ];
        let at = ring_page(index) + tail * 64;
        for (offset, word) in (0..).step_by(8).zip(words) {
            ops.push(Op::Step(Step::write64(at + offset, word)));
        }
        self.tails[index] = (tail + 1) % RING_SIZE;
        if place & 0xc0 != 0xc0 {
            // Below the size of the ring.
            let tail = self.tails[index] as u32;
            ops.push(Op::Step(Step::write32(FUNCTIONS[EXERCISERS[index]].bar + 0x1c, tail)));
        }
    }
}

fn ring_page(index: usize) -> u64 {
    WORLD - 0x3000 + index as u64 * 0x1000
}

/// A vector of an exerciser, MSI-X switched on.
fn msix(place: u8, shape: u16, value: u64, ops: &mut Vec<Op>) {
    let Placed { source, bar, .. } = FUNCTIONS[EXERCISERS[usize::from(place) % 3]];
    let entry = bar + 0x4000 + u64::from(shape & 7) * 16;
    let address = if shape & 0x100 != 0 { pointer(value) & !3 } else { 0xfee0_0000 | value & 0xf_fffc };
    ops.push(Op::Step(Step::write64(entry, address)));
    ops.push(Op::Step(Step::write64(entry + 8, value >> 32 & 0xffff | u64::from(shape & 0x200) << 23)));
    // Command, then every dword that may be the capability; most are read only.
    for offset in (0x40..0x80).step_by(4).filter(|offset| shape & 0x400 == 0 || *offset == 0x40) {
        ops.push(Op::Step(Step::write32(Q35.config(source, offset), 0x8000_0000)));
    }
}

fn configuration(place: u8, shape: u16) -> u64 {
    let source = match place {
        0..0x30 => ROOT_PORT,
        0x30..0x38 => 0,
        0x38..0xf0 => FUNCTIONS[usize::from(place) % FUNCTIONS.len()].source,
        _ => u16::from(place & 0xf) << 8 | shape >> 8,
    };
    let offset = u64::from(shape >> 3);
    // The header and the capabilities behind it, sometimes extended configuration space.
    Q35.config(source, if offset & 0x1800 == 0 { offset & 0xfff } else { offset & 0x7f })
}

fn register(function: Placed, shape: u16) -> u64 {
    let Placed { bar, registers, .. } = function;
    let offset = u64::from(shape >> 3);
    match offset & 7 {
        // Anywhere, unaligned too.
        0 => bar + (offset >> 3),
        // MSI-X, where it is.
        1 => bar + 0x4000 + (offset >> 3 & 0x1f) * 4,
        _ => bar + (offset >> 3) * 4 % registers,
    }
}

fn port(place: u8, shape: u16) -> u16 {
    match place {
        0..0x40 => 0xcf8,
        0x40..0xc0 => 0xcfc + u16::from(place & 3),
        0xc0..0xe0 => 0x3f8 + u16::from(place & 7),
        0xe0..0xf0 => 0x70 + u16::from(place & 1),
        _ => shape,
    }
}
