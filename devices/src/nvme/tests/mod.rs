use super::medium::{Medium, MediumError, MediumState, Memory};
use super::{Config, Nvme};
use crate::addr::{Pa, SourceId};
use crate::fabric::Direct;
use crate::fabric::Translate;
use crate::pci::testing::Rig;
use std::sync::Arc;

mod admin;
mod bounds;
mod data;
mod events;
mod faults;
mod features;
mod identify;
mod interrupts;
mod io;
mod layout;
mod queues;
mod random;
mod registers;
mod state;

const BAR: u64 = 0xe000_0000;
/// Where queue `id` has its entries: submission queue, then completion queue.
const fn rings(id: u16) -> (u64, u64) {
    (0x1_0000 + 0x2000 * id as u64, 0x1_1000 + 0x2000 * id as u64)
}
/// The first of the pages that tests move data from and to.
const DATA: u64 = 0x4_0000;
/// Blocks of the namespace: 4 MiB.
const BLOCKS: u64 = 0x2000;
const ADMIN_ENTRIES: u32 = 32;

/// Opcodes of I/O commands.
const FLUSH: u32 = 0x00;
const WRITE: u32 = 0x01;
const READ: u32 = 0x02;
const COMPARE: u32 = 0x05;
const WRITE_ZEROES: u32 = 0x08;
const DATASET_MANAGEMENT: u32 = 0x09;

/// A command as software writes it; what is not said is 0.
#[derive(Clone, Copy, Default)]
struct C {
    /// Opcode in 7:0, FUSE in 9:8, PSDT in 15:14.
    opcode: u32,
    nsid: u32,
    prp1: u64,
    prp2: u64,
    d10: u32,
    d11: u32,
    d12: u32,
    d13: u32,
}

impl C {
    /// A command for `blocks` blocks from `slba` on, with its data at [`DATA`] and the pages after it.
    fn io(opcode: u32, slba: u64, blocks: u32) -> Self {
        let (d10, d11) = (slba as u32, (slba >> 32) as u32);
        Self { opcode, nsid: 1, prp1: DATA, prp2: DATA + 0x1000, d10, d11, d12: blocks - 1, d13: 0 }
    }

    fn bytes(self, cid: u16) -> [u8; 64] {
        let Self { opcode, nsid, prp1, prp2, d10, d11, d12, d13 } = self;
        let words = [opcode | u32::from(cid) << 16, nsid, 0, 0, 0, 0, prp1 as u32, (prp1 >> 32) as u32];
        let rest = [prp2 as u32, (prp2 >> 32) as u32, d10, d11, d12, d13, 0, 0];
        let mut bytes = [0; 64];
        for (at, word) in words.into_iter().chain(rest).enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// A completion as software reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Done {
    dw0: u32,
    sqhd: u16,
    sqid: u16,
    cid: u16,
    /// Bits 15:1 of the last two bytes: Do Not Retry, More, SCT and SC.
    status: u16,
}

impl Done {
    /// SCT and SC.
    fn code(self) -> u16 {
        self.status & 0x7ff
    }
}

/// What software knows of a pair of queues.
#[derive(Clone, Copy, Default)]
struct Pair {
    entries: u32,
    tail: u32,
    head: u32,
    phase: bool,
}

/// A driver of one controller at 00:03.0.
struct Driver {
    rig: Rig,
    source: SourceId,
    pairs: [Pair; 9],
    cid: u16,
}

impl Driver {
    /// A controller that is disabled, on `medium`.
    fn off(iommu: Arc<dyn Translate>, medium: Box<dyn Medium>, latency: u32) -> Self {
        let mut rig = Rig::behind(iommu);
        let config = Config { serial: "test-0".to_owned(), latency };
        let source = rig.add(3, 0, Box::new(Nvme::new(config, medium)));
        rig.config32(source, 0x10, BAR as u32);
        rig.config16(source, 0x04, 6);
        Self { rig, source, pairs: [Pair::default(); 9], cid: 0 }
    }

    /// An enabled controller with the admin queue, behind `iommu`.
    fn behind(iommu: Arc<dyn Translate>, medium: Box<dyn Medium>, latency: u32) -> Self {
        let mut driver = Self::off(iommu, medium, latency);
        driver.enable();
        driver
    }

    /// An enabled controller with a pair of I/O queues of 16 entries, that does everything at once.
    fn new() -> Self {
        Self::with(Box::new(Memory::new(BLOCKS * 512)), 0)
    }

    fn with(medium: Box<dyn Medium>, latency: u32) -> Self {
        let mut driver = Self::behind(Arc::new(Direct), medium, latency);
        driver.create(1, 16);
        driver
    }

    fn enable(&mut self) {
        let (sq, cq) = rings(0);
        self.rig.write32(BAR + 0x24, (ADMIN_ENTRIES - 1) << 16 | (ADMIN_ENTRIES - 1));
        self.rig.write64(BAR + 0x28, sq);
        self.rig.write64(BAR + 0x30, cq);
        self.rig.mem.write(Pa(cq), &[0; 16 * ADMIN_ENTRIES as usize]).unwrap();
        self.rig.write32(BAR + 0x14, 0x0046_0001);
        self.pairs[0] = Pair { entries: ADMIN_ENTRIES, phase: true, ..Pair::default() };
    }

    /// Creates pair `id` of I/O queues, whose completions raise vector `id`.
    fn create(&mut self, id: u16, entries: u32) {
        let (sq, cq) = rings(id);
        let d10 = (entries - 1) << 16 | u32::from(id);
        self.rig.mem.write(Pa(cq), &vec![0; 16 * entries as usize]).unwrap();
        let cq = C { opcode: 5, prp1: cq, d10, d11: u32::from(id) << 16 | 0b11, ..C::default() };
        assert_eq!(self.admin(cq).status, 0);
        let sq = C { opcode: 1, prp1: sq, d10, d11: u32::from(id) << 16 | 0b01, ..C::default() };
        assert_eq!(self.admin(sq).status, 0);
        self.pairs[usize::from(id)] = Pair { entries, phase: true, ..Pair::default() };
    }

    /// Puts a command into a queue and returns its identifier.
    fn put(&mut self, id: u16, command: C) -> u16 {
        self.cid = self.cid.wrapping_add(1);
        self.put_as(id, command, self.cid);
        self.cid
    }

    fn put_as(&mut self, id: u16, command: C, cid: u16) {
        let pair = &mut self.pairs[usize::from(id)];
        let at = rings(id).0 + 64 * u64::from(pair.tail);
        self.rig.mem.write(Pa(at), &command.bytes(cid)).unwrap();
        pair.tail = (pair.tail + 1) % pair.entries;
    }

    /// Tells the controller of the commands.
    fn ring(&mut self, id: u16) {
        let tail = self.pairs[usize::from(id)].tail;
        self.rig.write32(BAR + 0x1000 + 8 * u64::from(id), tail);
    }

    /// The next completion, which is taken.
    fn reap(&mut self, id: u16) -> Option<Done> {
        let done = self.peek(id)?;
        let pair = &mut self.pairs[usize::from(id)];
        pair.head += 1;
        if pair.head == pair.entries {
            (pair.head, pair.phase) = (0, !pair.phase);
        }
        let head = pair.head;
        self.rig.write32(BAR + 0x1004 + 8 * u64::from(id), head);
        Some(done)
    }

    /// The next completion, which stays.
    fn peek(&mut self, id: u16) -> Option<Done> {
        let Pair { head, phase, .. } = self.pairs[usize::from(id)];
        let bytes = self.rig.ram(rings(id).1 + 16 * u64::from(head), 16);
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let done = Done {
            dw0: u32::from(half(0)) | u32::from(half(2)) << 16,
            sqhd: half(8),
            sqid: half(10),
            cid: half(12),
            status: half(14) >> 1,
        };
        (half(14) & 1 == u16::from(phase)).then_some(done)
    }

    /// Puts a command, rings, lets everything happen and takes its completion.
    fn run(&mut self, id: u16, command: C) -> Done {
        let cid = self.put(id, command);
        self.ring(id);
        while self.rig.step() {}
        let done = self.reap(id).expect("the command completes");
        assert_eq!((done.cid, done.sqid), (cid, id));
        done
    }

    fn admin(&mut self, command: C) -> Done {
        self.run(0, command)
    }

    fn io(&mut self, command: C) -> Done {
        self.run(1, command)
    }

    fn csts(&mut self) -> u32 {
        self.rig.read32(BAR + 0x1c)
    }

    /// Writes `len` bytes that follow from `seed` at `at` and returns them.
    fn fill(&mut self, at: u64, len: usize, seed: u32) -> Vec<u8> {
        let bytes = pattern(len, seed);
        self.rig.mem.write(Pa(at), &bytes).unwrap();
        bytes
    }

    /// Stores `blocks` blocks of a pattern from `slba` on and returns them.
    fn store(&mut self, slba: u64, blocks: u32, seed: u32) -> Vec<u8> {
        let mut all = Vec::new();
        for block in 0..blocks {
            all.extend(self.fill(DATA, 512, seed + block));
            assert_eq!(self.io(C::io(WRITE, slba + u64::from(block), 1)).status, 0);
        }
        all
    }

    /// Reads `blocks` blocks from `slba` on.
    fn load(&mut self, slba: u64, blocks: u32) -> Vec<u8> {
        let mut all = Vec::new();
        for block in 0..blocks {
            assert_eq!(self.io(C::io(READ, slba + u64::from(block), 1)).status, 0);
            all.extend(self.rig.ram(DATA, 512));
        }
        all
    }

    /// Writes qwords at `at`.
    fn words(&mut self, at: u64, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.rig.mem.write(Pa(at), &bytes).unwrap();
    }
}

fn pattern(len: usize, seed: u32) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2_654_435_769) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A medium that fails as it is told.
struct Failing {
    below: Memory,
    read: bool,
    write: bool,
    flush: bool,
    read_only: bool,
    /// Counts calls of `flush`.
    flushes: Arc<std::sync::atomic::AtomicU32>,
}

impl Failing {
    fn new() -> Self {
        let below = Memory::new(BLOCKS * 512);
        Self { below, read: false, write: false, flush: false, read_only: false, flushes: Arc::default() }
    }
}

impl Medium for Failing {
    fn bytes(&self) -> u64 {
        self.below.bytes()
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn read(&mut self, at: u64, data: &mut [u8]) -> Result<(), MediumError> {
        if self.read { Err(MediumError) } else { self.below.read(at, data) }
    }
    fn write(&mut self, at: u64, data: &[u8]) -> Result<(), MediumError> {
        if self.write { Err(MediumError) } else { self.below.write(at, data) }
    }
    fn deallocate(&mut self, at: u64, bytes: u64) {
        self.below.deallocate(at, bytes);
    }
    fn flush(&mut self) -> Result<(), MediumError> {
        self.flushes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.flush { Err(MediumError) } else { Ok(()) }
    }
    fn save(&self) -> MediumState {
        self.below.save()
    }
    fn restore(&mut self, state: MediumState) -> Result<(), &'static str> {
        self.below.restore(state)
    }
}
