//! An interrupt controller under registers, ITS commands, tables in memory, messages, input lines and
//! the system registers of its processors.
//!
//! Beside "no panic" these hold for any input:
//! - A read changes nothing, but for an acknowledgement.
//! - A processor is signalled exactly when an acknowledgement of that group gives an interrupt, which is
//!   one that exists. A sleeping one, or one with the group off, is not.
//! - The command queue's read pointer stays inside the queue, and work comes to rest in a bounded number
//!   of steps.
//! - A message is dropped, or becomes an LPI of a processor that there is; with the ITS off it is dropped.
//! - After a reset nobody is signalled. What was before it does not matter, nor a save and restore, and the
//!   same input does the same again.

use std::cell::RefCell;
use std::sync::Arc;

use devices::addr::{PAGE_SIZE, Pa};
use devices::events::{DeviceEvent, Time};
use devices::fabric::{Effect, Effects};
use devices::gic::{Config, Gic, PROCESSORS_MAX, REDISTRIBUTOR_SIZE, is_lpi};
use devices::mem::PhysMem;

use super::digest::Digest;
use super::journal::Journal;
use super::record::{Input, Record};
use super::step::Step;

/// First byte of memory, and its size.
const BASE: u64 = 0x4000_0000;
const MEMORY: u64 = 0x4_0000;
/// 128 commands.
const QUEUE: u64 = BASE + 0x1_0000;
/// Flat tables of one page.
const DEVICES: u64 = BASE + 0x2_0000;
const COLLECTIONS: u64 = BASE + 0x2_1000;
/// Interrupt translation tables, 0x100 bytes each.
const TRANSLATIONS: u64 = BASE + 0x2_2000;
/// LPI configuration, and pending tables of 64 KiB alignment that all processors share.
const CONFIGURATION: u64 = BASE + 0x3_0000;
const PENDING: u64 = BASE;

/// Where a virt has the frames.
const VIRT: [u64; 3] = [0x0800_0000, 0x080a_0000, 0x0808_0000];

/// Shared interrupts; the first INTID after them.
const SPIS: u16 = 64;
const END_OF_SPIS: u64 = 32 + SPIS as u64;
/// Steps to work off the largest queue: 2^15 commands, 256 a step, and the step that ends it.
const MAX_STEPS: u32 = 130;
/// Nothing to acknowledge.
const SPURIOUS: u64 = 1023;

const GITS_CTLR: u64 = 0x00;
const GITS_CBASER: u64 = 0x80;
const GITS_CWRITER: u64 = 0x88;
const GITS_CREADR: u64 = 0x90;

/// System registers as op0:op1:CRn:CRm:op2 [GICv3 12.2]: those that are there in order, and one that is not.
const PMR: u16 = 0xc230;
const IAR0: u16 = 0xc640;
const EOIR0: u16 = 0xc641;
const DIR: u16 = 0xc659;
const IAR1: u16 = 0xc660;
const EOIR1: u16 = 0xc661;
const IGRPEN0: u16 = 0xc666;
const IGRPEN1: u16 = 0xc667;
const SYSTEM: [u16; 19] = [
    PMR, EOIR0, 0xc642, 0xc643, 0xc644, 0xc648, DIR, 0xc65b, 0xc65d, 0xc65e, 0xc65f, EOIR1, 0xc662, 0xc663,
    0xc664, 0xc665, IGRPEN0, IGRPEN1, 0xc645,
];

/// Offsets worth an access: of the distributor, a redistributor and the ITS.
const DISTRIBUTOR: [u64; 20] = [
    0x00, 0x04, 0x08, 0x80, 0x84, 0x100, 0x104, 0x180, 0x184, 0x204, 0x284, 0x304, 0x384, 0x420, 0x438,
    0xc08, 0xc0c, 0x6100, 0x6108, 0xffe8,
];
const REDISTRIBUTOR: [u64; 18] = [
    0x00, 0x08, 0x0c, 0x14, 0x70, 0x74, 0x78, 0x7c, 0x1_0080, 0x1_0100, 0x1_0180, 0x1_0200, 0x1_0280,
    0x1_0300, 0x1_0380, 0x1_0400, 0x1_0418, 0x1_0c04,
];
const ITS: [u64; 14] =
    [0x00, 0x04, 0x08, 0x0c, 0x80, 0x84, 0x88, 0x88, 0x90, 0x100, 0x104, 0x108, 0x10c, 0x110];

/// A frame of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// GICD.
    Distributor,
    /// GICR, of all processors.
    Redistributors,
    /// GITS.
    Its,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read `size` bytes.
    Read(Frame, u64, usize),
    /// Write the low `size` bytes of a value.
    Write(Frame, u64, usize, u64),
    /// Write 8 bytes of memory.
    Memory(u64, u64),
    /// A device writes to GITS_TRANSLATER: DeviceID and EventID.
    Message(u32, u32),
    /// A shared interrupt's input.
    Spi(u32, bool),
    /// A private interrupt's input of a processor.
    Ppi(usize, u32, bool),
    /// A processor reads a system register.
    ReadSystem(usize, u16),
    /// A processor writes a system register.
    WriteSystem(usize, u16, u64),
    /// A processor takes an interrupt of group 1, or 0, and ends it, or not.
    Take(usize, bool, bool),
    /// What a machine without processors does.
    TakeLpis,
    /// What is due runs.
    Time,
    /// Reset, and memory zeroed.
    Reset,
    /// Continue on another controller, to which the state was brought by save and restore.
    Snapshot,
}

/// Feeds `data` to a controller.
///
/// # Panics
/// If what the module says does not hold.
pub fn gic(data: &[u8]) {
    let (variant, ops) = plan(data);
    check(variant, &ops);
}

/// Which of the controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Number of processors.
    pub processors: u8,
    /// Every input is run twice.
    pub twice: bool,
}

impl Variant {
    fn of(config: u8) -> Self {
        Self { processors: 1 + config % PROCESSORS_MAX, twice: config & 0x80 != 0 }
    }
}

/// The variant and the operations that `data` means.
pub fn plan(data: &[u8]) -> (Variant, Vec<Op>) {
    let Input { config, records } = Input::parse(data);
    let variant = Variant::of(config);
    let mut planner = Planner { tail: 0, processors: variant.processors.into(), ops: Vec::new() };
    records.into_iter().for_each(|record| planner.plan(record));
    (variant, planner.ops)
}

/// Commands of the qtest protocol for what they can say: registers, memory and time. Messages, lines and
/// system registers have none.
pub fn lower(ops: &[Op]) -> Vec<Step> {
    let first = ops.iter().rposition(|op| *op == Op::Reset).map_or(0, |at| at + 1);
    let address = |frame, offset| VIRT[frame as usize] + offset;
    let step = |op: &Op| match *op {
        Op::Read(frame, offset, size) => Some(Step::Read { address: address(frame, offset), size }),
        Op::Write(frame, offset, size, value) => {
            Some(Step::Write { address: address(frame, offset), size, value })
        }
        Op::Memory(address, value) => Some(Step::write64(address, value)),
        Op::Time => Some(Step::Clock(1)),
        Op::Message(..)
        | Op::Spi(..)
        | Op::Ppi(..)
        | Op::ReadSystem(..)
        | Op::WriteSystem(..)
        | Op::Take(..)
        | Op::TakeLpis
        | Op::Reset
        | Op::Snapshot => None,
    };
    ops[first..].iter().filter_map(step).collect()
}

/// Makes operations of records.
struct Planner {
    /// Where the next command goes, in bytes.
    tail: u64,
    processors: usize,
    ops: Vec<Op>,
}

impl Planner {
    fn plan(&mut self, record: Record) {
        let Record { kind, place, shape, value } = record;
        // Now and then one that is not there.
        let processor = usize::from(place) % (self.processors + usize::from(place >= 0xf0));
        let size = [4, 8, 4, 8, 4, 1, 2, 4][usize::from(shape & 7)];
        match kind % 16 {
            0 | 1 => {
                let (frame, offset) = self.register(place, shape);
                self.ops.push(match kind & 1 {
                    0 => Op::Read(frame, offset, size),
                    _ => Op::Write(frame, offset, size, value),
                });
            }
            2 => {
                let (frame, offset) = self.register(place, shape);
                // A bit of it.
                self.ops.push(Op::Write(frame, offset, size, 1 << (value & 0x3f)));
            }
            3 => self.ops.push(Op::Memory(entry(place, shape), value)),
            4 => self.enable(place),
            5..=8 => self.command(place, shape, value),
            9 => self.ops.push(Op::Message(u32::from(shape & 3), u32::from(place & 7))),
            10 => self.ops.push(match place & 1 {
                // The numbers of inputs are small.
                0 => Op::Spi((value & 0x7f) as u32, shape & 1 != 0),
                _ => Op::Ppi(processor, (value & 0x1f) as u32, shape & 1 != 0),
            }),
            11 => {
                let register = SYSTEM[usize::from(shape >> 3) % SYSTEM.len()];
                let op = if shape & 1 == 0 {
                    Op::WriteSystem(processor, register, value)
                } else {
                    Op::ReadSystem(processor, register)
                };
                self.ops.push(op);
            }
            12 | 13 => self.ops.push(Op::Take(processor, shape & 3 != 0, shape & 4 == 0)),
            14 => self.ops.push(match place {
                0..0x20 => Op::Reset,
                0x20..0x60 => Op::Snapshot,
                0x60..0xa0 => Op::TakeLpis,
                // A message like any device may make.
                _ => Op::Message(value as u32, (value >> 32) as u32),
            }),
            _ => self.ops.push(Op::Time),
        }
    }

    fn register(&self, place: u8, shape: u16) -> (Frame, u64) {
        let at = usize::from(place & 0x3f);
        let other = u64::from(shape >> 3) & !3;
        match place >> 6 {
            0 => (Frame::Distributor, DISTRIBUTOR[at % DISTRIBUTOR.len()]),
            1 => {
                let frame = u64::from(shape >> 3) % (self.processors as u64 + 1) * REDISTRIBUTOR_SIZE;
                (Frame::Redistributors, frame + REDISTRIBUTOR[at % REDISTRIBUTOR.len()])
            }
            2 => (Frame::Its, ITS[at % ITS.len()]),
            _ => match at % 3 {
                0 => (Frame::Distributor, other),
                1 => (Frame::Redistributors, other << (shape & 3)),
                _ => (Frame::Its, other),
            },
        }
    }

    /// The usual bring-up, more or less of it.
    fn enable(&mut self, place: u8) {
        let ops = &mut self.ops;
        if place & 1 == 0 {
            self.tail = 0;
            for word in 0..8 {
                ops.push(Op::Memory(CONFIGURATION + word * 8, 0x8181_8181_8181_8181));
            }
            for n in 0..self.processors as u64 {
                let mut write = |offset, size, value| {
                    ops.push(Op::Write(Frame::Redistributors, n * REDISTRIBUTOR_SIZE + offset, size, value));
                };
                write(0x00, 4, 0);
                write(0x70, 8, CONFIGURATION | 15);
                write(0x78, 8, 1 << 62 | PENDING);
                write(0x00, 4, 1);
            }
            let mut write = |offset, size, value| ops.push(Op::Write(Frame::Its, offset, size, value));
            write(GITS_CTLR, 4, 0);
            write(0x100, 8, 1 << 63 | DEVICES);
            write(0x108, 8, 1 << 63 | COLLECTIONS);
            // One page, or now and then more than there is memory.
            write(GITS_CBASER, 8, 1 << 63 | QUEUE | if place >= 0xf8 { 0xff } else { 0 });
            write(GITS_CWRITER, 8, 0);
            write(GITS_CTLR, 4, 1);
        }
        if place & 2 == 0 {
            ops.push(Op::Write(Frame::Distributor, 0x00, 4, 0x13));
            for n in 0..self.processors {
                ops.push(Op::Write(Frame::Redistributors, n as u64 * REDISTRIBUTOR_SIZE + 0x14, 4, 0));
                ops.push(Op::WriteSystem(n, PMR, 0xf0));
                ops.push(Op::WriteSystem(n, IGRPEN0, 1));
                ops.push(Op::WriteSystem(n, IGRPEN1, 1));
            }
        }
        if place & 4 == 0 {
            // SGIs, PPIs and the first SPIs of group 1, enabled.
            for offset in [0x1_0080, 0x1_0100] {
                for n in 0..self.processors as u64 {
                    let offset = n * REDISTRIBUTOR_SIZE + offset;
                    ops.push(Op::Write(Frame::Redistributors, offset, 4, 0xffff_ffff));
                }
            }
            ops.push(Op::Write(Frame::Distributor, 0x84, 4, 0xffff_ffff));
            ops.push(Op::Write(Frame::Distributor, 0x104, 4, 0xffff_ffff));
        }
    }

    /// A command at the tail, and the doorbell.
    fn command(&mut self, place: u8, shape: u16, value: u64) {
        let device = u64::from(shape & 3);
        let event = u64::from(shape >> 2 & 7);
        let collection = u64::from(shape >> 5 & 3);
        let target = (u64::from(shape >> 7 & 7) % (self.processors as u64 + 1)) << 16;
        let valid = u64::from(shape >> 15 == 0) << 63;
        let intid = (8192 + (value & 0xf)) << 32;
        let words = match place >> 4 {
            // MAPD with 8 events, MAPC, MAPTI, MAPI.
            0 | 1 => [0x08 | device << 32, 2, valid | (TRANSLATIONS + device * 0x100), 0],
            2 | 3 => [0x09, 0, valid | target | collection, 0],
            4..=6 => [0x0a | device << 32, event | intid, collection, 0],
            7 => [0x0b | device << 32, 8192 + event, collection, 0],
            // INT, CLEAR, DISCARD, INV, MOVI, INVALL, MOVALL, SYNC.
            8 | 9 => [0x03 | device << 32, event, 0, 0],
            10 => [0x04 | device << 32, event, 0, 0],
            11 => [0x0f | device << 32, event, 0, 0],
            12 => [0x0c | device << 32, event, 0, 0],
            13 => [0x01 | device << 32, event, collection, 0],
            14 => match shape >> 10 & 3 {
                0 => [0x0d, 0, collection, 0],
                1 => [0x0e, 0, target, u64::from(shape & 7) << 16],
                _ => [0x05, 0, target, 0],
            },
            _ => [value, value.rotate_left(u32::from(shape)), value.rotate_left(17), value.rotate_left(40)],
        };
        for (address, word) in (QUEUE + self.tail..).step_by(8).zip(words) {
            self.ops.push(Op::Memory(address, word));
        }
        self.tail = (self.tail + 32) % 0x1000;
        self.ops.push(Op::Write(Frame::Its, GITS_CWRITER, 8, self.tail));
    }
}

/// A place where an entry may matter.
fn entry(place: u8, shape: u16) -> u64 {
    let at = u64::from(shape);
    match place >> 5 {
        0 => DEVICES + at % 8 * 8,
        1 => COLLECTIONS + at % 8 * 8,
        2 => TRANSLATIONS + at % 0x80 * 8,
        3 | 4 => CONFIGURATION + at % 8 * 8,
        5 => QUEUE + at % 0x200 * 8,
        6 => PENDING + 0x400 + at % 8 * 8,
        _ => BASE + (((at << 2) % MEMORY) & !7),
    }
}

thread_local! {
    static RIG: RefCell<Option<Rig>> = const { RefCell::new(None) };
}

/// Does `ops`, on memory that the thread keeps, and checks what the module says.
///
/// # Panics
/// If it does not hold.
pub fn check(variant: Variant, ops: &[Op]) {
    RIG.with_borrow_mut(|rig| {
        let rig = rig.get_or_insert_with(Rig::new);
        let digest = rig.run(variant, ops);
        if variant.twice {
            assert_eq!(digest, rig.run(variant, ops), "the same input does something else");
        }
        if ops.contains(&Op::Snapshot) {
            let without: Vec<_> = ops.iter().copied().filter(|op| *op != Op::Snapshot).collect();
            assert_eq!(digest, rig.run(variant, &without), "save and restore changed the run");
        }
        if let Some(reset) = ops.iter().rposition(|op| *op == Op::Reset) {
            let after = rig.run(variant, &ops[reset + 1..]);
            assert_eq!(digest, after, "the run depends on what was before the reset");
        }
    });
}

/// What runs came by, for tests that say what inputs reach.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// Messages that became LPIs.
    pub messages: u32,
    /// Interrupts that processors took: private, shared, LPIs.
    pub taken: [u32; 3],
}

/// What `ops` come by.
#[cfg(test)]
pub(super) fn reached(variant: Variant, ops: &[Op]) -> Reached {
    check(variant, ops);
    RIG.with_borrow_mut(|rig| std::mem::take(&mut rig.as_mut().unwrap().reached))
}

/// What is kept from input to input.
struct Rig {
    mem: PhysMem,
    journal: Arc<Journal>,
    #[cfg(test)]
    reached: Reached,
}

impl Rig {
    fn new() -> Self {
        // 256 KiB; a host that cannot map them cannot fuzz.
        let mem = PhysMem::anonymous(&[(Pa(BASE), MEMORY)]).expect("the host has memory for the rig");
        Self {
            journal: Journal::from(&mem, Pa(BASE), MEMORY),
            mem,
            #[cfg(test)]
            reached: Reached::default(),
        }
    }

    /// Runs `ops` and returns what was visible after the last reset.
    fn run(&mut self, variant: Variant, ops: &[Op]) -> Digest {
        self.journal.clear(&self.mem);
        let config = Config { processors: variant.processors, spis: SPIS, device_bits: 16 };
        let mut run = Run {
            config,
            gic: Gic::new(config, self.mem.clone()),
            rig: self,
            fx: Effects::new(Time(0), false),
            due: 0,
            digest: Digest::default(),
        };
        ops.iter().for_each(|op| run.op(*op));
        run.finish();
        run.digest
    }
}

/// One run of an input.
struct Run<'a> {
    config: Config,
    gic: Gic,
    rig: &'a mut Rig,
    fx: Effects,
    /// Events that the controller asked for.
    due: u32,
    digest: Digest,
}

impl Run<'_> {
    fn op(&mut self, op: Op) {
        match op {
            Op::Read(frame, offset, size) => {
                let value = self.read(frame, offset, size);
                assert_eq!(value, self.read(frame, offset, size), "reading {frame:?} {offset:#x} changed it");
                self.digest.number(value);
            }
            Op::Write(frame, offset, size, value) => {
                let data = &value.to_le_bytes()[..size];
                match frame {
                    Frame::Distributor => self.gic.write_distributor(offset, data, &mut self.fx),
                    Frame::Redistributors => self.gic.write_redistributors(offset, data, &mut self.fx),
                    Frame::Its => self.gic.write_its(offset, data, &mut self.fx),
                }
            }
            Op::Memory(address, value) => {
                // What lies beyond memory is lost, as on a bus.
                let _ = self.rig.mem.write(Pa(address), &value.to_le_bytes());
                return;
            }
            Op::Message(device, event) => self.message(device, event),
            Op::Spi(spi, asserted) => self.gic.set_spi(spi, asserted),
            Op::Ppi(processor, ppi, asserted) => self.gic.set_ppi(processor, ppi, asserted),
            Op::ReadSystem(processor, register) => {
                let value = self.gic.read_register(processor, register, &mut self.fx);
                let again = self.gic.read_register(processor, register, &mut self.fx);
                assert_eq!(value, again, "reading {register:#x} changed it");
                self.digest.number(value.unwrap_or(u64::MAX));
            }
            Op::WriteSystem(processor, register, value) => {
                let known = self.gic.write_register(processor, register, value);
                assert!(known.is_none() || processor < self.gic.processors(), "processor {processor}");
            }
            Op::Take(processor, one, end) => self.take(processor, one, end),
            Op::TakeLpis => {
                for lpi in self.gic.take_lpis() {
                    assert!(is_lpi(lpi.intid) && usize::from(lpi.target) < self.gic.processors(), "{lpi:?}");
                    self.digest.number(lpi.intid.into());
                }
            }
            Op::Time => self.settle(),
            Op::Reset => {
                self.gic.reset();
                self.rig.journal.clear(&self.rig.mem);
                let _ = self.fx.take();
                (self.due, self.digest) = (0, Digest::default());
                assert!(self.lines().all(|(irq, fiq)| !irq && !fiq), "signalled after a reset");
                return;
            }
            Op::Snapshot => {
                let state = self.gic.save();
                let lines: Vec<_> = self.lines().collect();
                self.gic = Gic::new(self.config, self.rig.mem.clone());
                self.gic.restore(state.clone());
                assert_eq!(self.gic.save(), state, "a restored controller is another");
                assert!(self.lines().eq(lines), "a restored controller signals others");
                return;
            }
        }
        self.deliver();
        self.check();
    }

    fn read(&mut self, frame: Frame, offset: u64, size: usize) -> u64 {
        let mut data = [0; 8];
        let part = &mut data[..size];
        match frame {
            Frame::Distributor => self.gic.read_distributor(offset, part, &mut self.fx),
            Frame::Redistributors => self.gic.read_redistributors(offset, part, &mut self.fx),
            Frame::Its => self.gic.read_its(offset, part, &mut self.fx),
        }
        u64::from_le_bytes(data)
    }

    fn lines(&self) -> impl Iterator<Item = (bool, bool)> {
        (0..self.gic.processors()).map(|n| self.gic.lines(n)).map(|lines| (lines.irq, lines.fiq))
    }

    fn message(&mut self, device: u32, event: u32) {
        let enabled = self.read(Frame::Its, GITS_CTLR, 4) & 1 != 0;
        let lpi = self.gic.message(device, event, &mut self.fx);
        if let Some(lpi) = lpi {
            assert!(enabled, "{device:#x} and {event:#x} are translated while the ITS is off");
            assert!(is_lpi(lpi.intid) && usize::from(lpi.target) < self.gic.processors(), "{lpi:?}");
            #[cfg(test)]
            {
                self.rig.reached.messages += 1;
            }
        }
        self.digest.number(lpi.map_or(0, |lpi| u64::from(lpi.target) << 32 | u64::from(lpi.intid)));
    }

    fn take(&mut self, processor: usize, one: bool, end: bool) {
        let lines = self.gic.lines(processor);
        let (iar, eoir, signalled) = if one { (IAR1, EOIR1, lines.irq) } else { (IAR0, EOIR0, lines.fiq) };
        let Some(intid) = self.gic.read_register(processor, iar, &mut self.fx) else {
            assert!(processor >= self.gic.processors(), "processor {processor} has no {iar:#x}");
            return;
        };
        assert_eq!(intid != SPURIOUS, signalled, "INTID {intid} acknowledged with {lines:?}");
        self.digest.number(intid);
        if intid == SPURIOUS {
            return;
        }
        let lpi = u32::try_from(intid).is_ok_and(is_lpi);
        assert!(intid < END_OF_SPIS || lpi, "INTID {intid} does not exist");
        #[cfg(test)]
        {
            let kind = if intid < 32 { 0 } else { 1 + usize::from(lpi) };
            self.rig.reached.taken[kind] += 1;
        }
        if end {
            let _ = self.gic.write_register(processor, eoir, intid);
            let _ = self.gic.write_register(processor, DIR, intid);
        }
    }

    /// What the controller wants done: nothing but to be called again.
    fn deliver(&mut self) {
        for effect in self.fx.take() {
            let Effect::Schedule { event: DeviceEvent::Work, .. } = effect else {
                panic!("{effect:?} of an interrupt controller");
            };
            self.due += 1;
        }
        assert!(self.due <= 1, "{} events are due to continue one queue", self.due);
    }

    /// Lets everything happen that is due.
    fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            if self.due == 0 {
                return;
            }
            self.due -= 1;
            self.gic.event(DeviceEvent::Work, &mut self.fx);
            self.deliver();
        }
        panic!("the ITS does not come to rest");
    }

    fn check(&mut self) {
        let commands = ((self.read(Frame::Its, GITS_CBASER, 8) & 0xff) + 1) * 128;
        let creadr = self.read(Frame::Its, GITS_CREADR, 8);
        assert_eq!(creadr & !0xf_ffe1, 0, "GITS_CREADR {creadr:#x}");
        assert!(creadr >> 5 < commands, "GITS_CREADR {creadr:#x} leaves a queue of {commands}");
        let groups = self.read(Frame::Distributor, 0x00, 4) & 3;
        for n in 0..self.gic.processors() {
            let lines = self.gic.lines(n);
            let mut on = |register| self.gic.read_register(n, register, &mut self.fx).unwrap_or(0) & 1 != 0;
            assert!(!lines.fiq || groups & 1 != 0 && on(IGRPEN0), "{n} is signalled group 0, which is off");
            assert!(!lines.irq || groups & 2 != 0 && on(IGRPEN1), "{n} is signalled group 1, which is off");
            self.digest.number(u64::from(lines.irq) << 1 | u64::from(lines.fiq));
        }
    }

    fn finish(&mut self) {
        self.settle();
        self.check();
        let mut page = [0; PAGE_SIZE as usize];
        for pa in self.rig.journal.pages() {
            let read = self.rig.mem.read(pa, &mut page);
            assert!(read.is_ok(), "{pa} was written, so it is RAM");
            // Zero pages are left out: a reset may have cleared them.
            if page.iter().any(|byte| *byte != 0) {
                self.digest.number(pa.0);
                self.digest.bytes(&page);
            }
        }
    }
}
