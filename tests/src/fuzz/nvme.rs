//! An NVMe controller: registers, doorbells, commands of both kinds, their data in PRPs and SGLs, time,
//! save and restore.
//!
//! The controller of a whole machine without an IOMMU is driven by commands of the qtest protocol, so an
//! input is a script. It begins by enabling it, with one pair of I/O queues. Beside "no panic" these hold for any
//! input:
//! - CSTS has only bits that are defined, and a controller reset clears all of them.
//! - After a reset the controller works again.
//! - Only a clock step takes time, and interrupts of one command are bounded.
//! - A save and restore changes nothing.

use std::cell::RefCell;

use emulator::config::MachineConfig;
use emulator::machine::Interrupt;

use super::board::{Board, MEMORY, Q35};
use super::digest::Digest;
use super::pci::Op;
use super::record::{Input, Record};
use super::step::Step;

/// Interrupts of one command at most: a vector for each queue, in each of the events that a clock step runs.
const MAX_INTERRUPTS: usize = 1 << 20;
/// Where the machine has the function and its BAR 0.
const SOURCE: u16 = 0x0018;
const BAR: u64 = 0xc000_0000;
/// Controller Configuration and Status.
const CC: u64 = BAR + 0x14;
const CSTS: u64 = BAR + 0x1c;
const ENABLED: u32 = 0x0046_0001;
/// Bits of CSTS: RDY, CFS, SHST.
const CSTS_BITS: u64 = 0b1111;
/// The admin queue, and the pair of I/O queues: submission queue, then completion queue.
const RINGS: [(u64, u64); 2] = [(0x1000, 0x2000), (0x3000, 0x4000)];
const ENTRIES: u64 = 16;
/// A page for lists.
const LISTS: u64 = 0x5000;

/// Latencies in nanoseconds, by the first byte of an input.
const LATENCIES: [u32; 2] = [0, 1000];

/// Opcodes of admin commands and of NVM commands; the last of each are not there.
const ADMIN: [u8; 12] = [0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a, 0x0c, 0x18, 0x80];
const NVM: [u8; 8] = [0x00, 0x01, 0x02, 0x05, 0x08, 0x09, 0x04, 0x0d];

/// Feeds `data` to a controller.
///
/// # Panics
/// If what the module says does not hold.
pub fn nvme(data: &[u8]) {
    let (latency, ops) = plan(data);
    with_board(latency, |board| {
        let digest = run(board, &ops);
        if ops.contains(&Op::Snapshot) {
            let without: Vec<_> = ops.iter().filter(|op| **op != Op::Snapshot).cloned().collect();
            assert_eq!(digest, run(board, &without), "save and restore changed the run");
        }
    });
}

/// The options of the machine.
pub fn options(latency: u32) -> String {
    format!("iommulator qtest --stdio --memory {MEMORY} --device {}", device(latency))
}

fn device(latency: u32) -> String {
    format!("nvme,addr=03.0,size=1M,latency={latency}")
}

fn with_board<T>(latency: u32, action: impl FnOnce(&mut Board) -> T) -> T {
    thread_local! {
        static BOARDS: RefCell<Vec<(u32, Board)>> = const { RefCell::new(Vec::new()) };
    }
    let make = || -> anyhow::Result<Board> {
        let devices = vec![device(latency).parse()?];
        let config = MachineConfig { memory: MEMORY.parse()?, devices, ..MachineConfig::default() };
        Board::of(&config, &prologue())
    };
    BOARDS.with_borrow_mut(|boards| {
        let known = boards.iter().position(|(other, _)| *other == latency);
        let index = known.unwrap_or_else(|| {
            // The options are constants, so only memory can be missing.
            boards.push((latency, make().expect("the host has 4 MiB for a machine")));
            boards.len() - 1
        });
        action(&mut boards[index].1)
    })
}

/// What gives the machine's BAR its address.
pub fn prologue() -> Vec<Step> {
    vec![
        Step::write32(Q35.config(SOURCE, 0x10), BAR as u32),
        Step::Write { address: Q35.config(SOURCE, 0x04), size: 2, value: 6 },
    ]
}

/// The latency and the operations that `data` means.
pub fn plan(data: &[u8]) -> (u32, Vec<Op>) {
    let Input { config, records } = Input::parse(data);
    let mut driver = Driver::default();
    let mut begin = Vec::new();
    driver.start(&mut begin);
    let mut ops: Vec<_> = begin.into_iter().map(Op::Step).collect();
    for record in records {
        let mut steps = Vec::new();
        if record.kind % 16 == 15 && record.place < 128 {
            ops.push(Op::Snapshot);
        } else {
            driver.plan(record, &mut steps);
        }
        ops.extend(steps.into_iter().map(Op::Step));
    }
    (LATENCIES[usize::from(config) % 2], ops)
}

fn run(board: &mut Board, ops: &[Op]) -> Digest {
    board.reset();
    let mut digest = Digest::default();
    for op in ops {
        match op {
            Op::Step(step) => {
                let before = board.machine.now();
                digest.number(step.run(&mut board.machine));
                let now = board.machine.now();
                assert!(now == before || matches!(step, Step::Clock(_)), "{step} took time");
                assert!(now >= before, "time ran back");
            }
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
                Interrupt::Line { line, asserted } => {
                    digest.number(u64::from(line) * 2 + u64::from(asserted))
                }
                Interrupt::Pulse { line } => unreachable!("an edge on line {line} of a PC"),
                Interrupt::Event => unreachable!("an event for the processors of a PC"),
            }
        }
    }
    finish(board, &mut digest);
    digest
}

/// Resets the controller, whatever has become of it and of its place, and sees that it works.
fn finish(board: &mut Board, digest: &mut Digest) {
    let mut run = |step: Step| step.run(&mut board.machine);
    run(Step::Write { address: Q35.config(SOURCE, 0x04), size: 2, value: 6 });
    let csts = run(Step::Read { address: CSTS, size: 4 });
    assert_eq!(csts & !CSTS_BITS, 0, "CSTS {csts:#x}");
    digest.number(csts);
    run(Step::write32(CC, ENABLED));
    run(Step::write32(CC, 0));
    assert_eq!(run(Step::Read { address: CSTS, size: 4 }), 0, "CSTS after a reset");
    let mut steps = Vec::new();
    let mut driver = Driver::default();
    driver.enable(&mut steps);
    // Get Features, Volatile Write Cache.
    driver.put(0, [0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0], &mut steps);
    steps.push(Step::Clock(u64::from(LATENCIES[1]) + 1));
    for step in steps {
        run(step);
    }
    let completion = [0, 8, 12].map(|at| run(Step::Read { address: RINGS[0].1 + at, size: 4 }));
    assert_eq!(completion, [1, 1, 0x0001_0001], "it works after a reset");
}

/// Software, as far as it knows what it does.
#[derive(Default)]
struct Driver {
    tails: [u64; 2],
    heads: [u64; 2],
    cid: u32,
}

impl Driver {
    /// Enables a controller that is off.
    fn enable(&mut self, steps: &mut Vec<Step>) {
        let last = ENTRIES as u32 - 1;
        steps.push(Step::write32(BAR + 0x24, last << 16 | last));
        steps.push(Step::write64(BAR + 0x28, RINGS[0].0));
        steps.push(Step::write64(BAR + 0x30, RINGS[0].1));
        steps.push(Step::write32(CC, ENABLED));
        *self = Self::default();
    }

    /// Enables the controller and creates the pair of I/O queues.
    fn start(&mut self, steps: &mut Vec<Step>) {
        self.enable(steps);
        let (submission, completion) = RINGS[1];
        let d10 = (ENTRIES as u32 - 1) << 16 | 1;
        self.put(0, [0x05, 0, 0, 0, 0, 0, completion as u32, 0, 0, 0, d10, 0x1_0003, 0, 0, 0, 0], steps);
        self.put(0, [0x01, 0, 0, 0, 0, 0, submission as u32, 0, 0, 0, d10, 0x1_0001, 0, 0, 0, 0], steps);
        steps.push(Step::Clock(2 * u64::from(LATENCIES[1])));
        self.heads[0] = 2;
        steps.push(Step::write32(BAR + 0x1004, 2));
    }

    /// Puts a command into a queue and rings.
    fn put(&mut self, queue: usize, mut command: [u32; 16], steps: &mut Vec<Step>) {
        self.cid = self.cid.wrapping_add(1) & 0xffff;
        command[0] |= self.cid << 16;
        let address = RINGS[queue].0 + 64 * self.tails[queue];
        for (at, pair) in (address..).step_by(8).zip(command.as_chunks::<2>().0) {
            steps.push(Step::write64(at, u64::from(pair[1]) << 32 | u64::from(pair[0])));
        }
        self.tails[queue] = (self.tails[queue] + 1) % ENTRIES;
        steps.push(Step::write32(BAR + 0x1000 + 8 * queue as u64, self.tails[queue] as u32));
    }

    fn plan(&mut self, record: Record, steps: &mut Vec<Step>) {
        let Record { kind, place, shape, value } = record;
        let size = [4, 4, 8, 2, 1, 4, 8, 4][usize::from(shape & 7)];
        match kind % 16 {
            0 if place < 128 => {
                steps.push(Step::write32(CC, 0));
                self.start(steps);
            }
            0 => steps.push(Step::write32(CC, ENABLED ^ value as u32)),
            1 => steps.push(Step::Read { address: BAR + u64::from(place & 0x7f), size }),
            2 => {
                let address = BAR + u64::from(place & 0x3c);
                steps.push(Step::Write { address, size, value });
            }
            3 => steps.push(Step::write32(BAR + 0x1000 + 4 * u64::from(place % 20), u32::from(shape))),
            4..=6 => self.admin(place, shape, value, steps),
            7..=10 => self.nvm(place, shape, value, steps),
            11 => {
                // Completions are taken.
                let queue = usize::from(place & 1);
                self.heads[queue] = (self.heads[queue] + u64::from(shape % 4)) % ENTRIES;
                let address = BAR + 0x1004 + 8 * queue as u64;
                steps.push(Step::write32(address, self.heads[queue] as u32));
            }
            12 => steps.push(Step::Clock(u64::from(shape) + 1)),
            13 => {
                // A PRP entry, or an SGL descriptor of which the place is the type.
                let at = LISTS + 16 * u64::from(shape & 0xff);
                steps.push(Step::write64(at, address(value)));
                let length = value >> 24 & 0x3fff;
                steps.push(Step::write64(
                    at + 8,
                    if place < 128 {
                        address(value >> 24)
                    } else {
                        length | u64::from(place & 0x7f) << 60 | u64::from(place & 0x70) << 52
                    },
                ));
            }
            14 => steps.push(Step::write64(address(value) & !7, value.rotate_left(24))),
            _ => steps.push(Step::Write {
                address: Q35.config(SOURCE, 0x04),
                size: 2,
                value: u64::from(shape & 1) << 2 | 2,
            }),
        }
    }

    fn admin(&mut self, place: u8, shape: u16, value: u64, steps: &mut Vec<Step>) {
        let opcode = u32::from(ADMIN[usize::from(place & 0x7f) % ADMIN.len()]);
        let nsid = [0, 1, u32::MAX, 2][usize::from(shape & 3)];
        let (prp1, prp2) = pointers(value);
        // Identifiers are small, and so are most values.
        let (d10, d11) =
            (u32::from(shape >> 2 & 0x1f) | (value >> 44) as u32 & 0x3ff << 16, (value >> 54) as u32);
        let d11 = if opcode <= 5 { (d11 >> 2 & 0xf) << 16 | d11 & 3 } else { d11 };
        let prp = [prp1 as u32, (prp1 >> 32) as u32, prp2 as u32, (prp2 >> 32) as u32];
        let [a, b, c, d] = prp;
        self.put(
            0,
            [opcode, nsid, 0, 0, 0, 0, a, b, c, d, d10, d11, u32::from(shape >> 8) & 0xfc, 0, 0, 0],
            steps,
        );
    }

    fn nvm(&mut self, place: u8, shape: u16, value: u64, steps: &mut Vec<Step>) {
        let opcode = u32::from(NVM[usize::from(place & 7)]);
        let nsid = if shape & 0xf == 0xf { u32::from(shape) } else { 1 };
        let (prp1, mut prp2) = pointers(value);
        let sgl = u32::from(place >> 3 & 1);
        if sgl != 0 {
            // A length, and the type of a data block, a bit bucket, a segment or the last.
            prp2 = u64::from(place >> 4 & 3) << 60 | value >> 24 & 0x3ff0;
        }
        // Blocks and the first of them; the namespace has 2048.
        let (blocks, slba) = (u32::from(shape >> 4 & 0x7ff), (value >> 44) as u32 & 0xfff);
        let fua = u32::from(place >> 7) << 30;
        let [a, b, c, d] = [prp1 as u32, (prp1 >> 32) as u32, prp2 as u32, (prp2 >> 32) as u32];
        self.put(
            1,
            [opcode | sgl << 14, nsid, 0, 0, 0, 0, a, b, c, d, slba, 0x4, blocks | fua, 0, 0, 0],
            steps,
        );
    }
}

/// An address in RAM, or one at the top of the address space.
fn address(bits: u64) -> u64 {
    if bits & 0x80_0000 != 0 { bits | !0x3f_ffff } else { bits & 0x3f_ffff }
}

/// Two addresses, often of the page of lists, often of the beginning of a page.
fn pointers(value: u64) -> (u64, u64) {
    let of = |bits: u64| match bits >> 20 & 0b11 {
        0b00 => address(bits & 0xff_f000),
        0b01 => LISTS + (bits & 0xff0),
        _ => address(bits),
    };
    (of(value & 0xff_ffff), of(value >> 22 & 0xff_ffff))
}
