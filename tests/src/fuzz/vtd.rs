//! A remapping unit under registers, memory and DMA.
//!
//! Beside "no panic" these hold for any input:
//! - Status registers have no bit that the specification does not define; a read of a register
//!   changes nothing.
//! - The queue's head stays inside the largest queue that it was given since it was off.
//! - A DMA has at most one effect for each page it touches. What is refused changes no memory; what
//!   is done changes exactly as many bytes, at the same offsets in their pages.
//! - With translation off, addresses are physical.
//! - With caches off and the queue empty, a repeated read ends as the first.
//! - Work comes to rest in a bounded number of steps.
//! - What was before a reset does not matter (with caches off: which way is evicted next is no
//!   architected state), and neither does a save and restore.

use std::cell::RefCell;
use std::sync::Arc;

use devices::addr::{Iova, PAGE_SIZE, Pa, Pasid, SourceId};
use devices::events::{DeviceEvent, Time};
use devices::fabric::{Attrs, DmaPort, DmaResult, Effect, Effects, Kind, Outcome, Request, posted_write};
use devices::iommu::cache::Policy;
use devices::mem::PhysMem;
use devices::vtd::{AddressWidth, Config, State, Unit};

use super::action::{Action, Dma, DmaOp, MEMORY, Planner, SOURCES};
use super::digest::Digest;
use super::journal::Journal;
use super::record::Input;

const BUFFER: usize = 4096;
/// Effects of one register write at most: one for each descriptor of a step, and the events.
const MAX_EFFECTS: usize = 260;
/// Steps to work off the largest queue: 2^15 descriptors, 256 a step, and the step that ends it.
const MAX_STEPS: u32 = 130;

/// Bits that GSTS and FSTS define for a unit without device-TLBs [VT-d 11.4.4.2, 11.4.7.1].
const GSTS_BITS: u64 = 0xc780_0000;
const FSTS_BITS: u64 = 0x0000_ff13;
const QUEUE_ENABLED: u64 = 1 << 26;
const REMAPPING: u64 = 0x8200_0000;

/// Feeds `data` to a unit.
///
/// # Panics
/// If what the module says does not hold.
pub fn vtd(data: &[u8]) {
    let (variant, actions) = plan(data);
    check(variant, &actions);
}

/// The variant and the actions that `data` means.
pub fn plan(data: &[u8]) -> (Variant, Vec<Action>) {
    let Input { config, records } = Input::parse(data);
    let mut actions = Vec::with_capacity(records.len() * 4);
    let mut planner = Planner::default();
    records.into_iter().for_each(|record| planner.plan(record, &mut actions));
    (Variant::of(config), actions)
}

/// Does `actions`, on a rig that the thread keeps, and checks what the module says.
///
/// # Panics
/// If it does not hold.
pub fn check(variant: Variant, actions: &[Action]) {
    RIG.with_borrow_mut(|rig| {
        let rig = rig.get_or_insert_with(Rig::new);
        let snapshot = actions.contains(&Action::Snapshot);
        let reset = actions.iter().rposition(|a| *a == Action::Reset);
        rig.compared = snapshot || reset.is_some();
        let digest = rig.run(variant, actions, Units::Kept);
        if snapshot {
            let without: Vec<_> = actions.iter().copied().filter(|a| *a != Action::Snapshot).collect();
            assert_eq!(digest, rig.run(variant, &without, Units::Kept), "save and restore changed the run");
        }
        if let Some(reset) = reset
            && variant.cache == Policy::Off
        {
            let after = rig.run(variant, &actions[reset + 1..], Units::New);
            assert_eq!(digest, after, "the run depends on what was before the reset");
        }
    });
}

thread_local! {
    static RIG: RefCell<Option<Rig>> = const { RefCell::new(None) };
}

/// The dwords of the register file from 0 to 0x2a0, after `actions`.
#[cfg(test)]
pub(super) fn registers_after(variant: Variant, actions: &[Action]) -> Vec<u64> {
    check(variant, actions);
    RIG.with_borrow_mut(|rig| {
        let complex = rig.as_mut().and_then(|rig| rig.kept[variant.index()].as_mut()).unwrap();
        let mut fx = Effects::new(Time(0), false);
        let mut read = |offset| {
            let mut data = [0; 8];
            complex.unit.read(offset, &mut data[..4], &mut fx);
            u64::from_le_bytes(data)
        };
        (0..0x2a0).step_by(4).map(&mut read).collect()
    })
}

/// Which of the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The caches.
    pub cache: Policy,
    /// The widest tables.
    pub width: AddressWidth,
    /// Every option of the unit is on.
    pub full: bool,
}

impl Variant {
    const COUNT: usize = Policy::ALL.len() * AddressWidth::ALL.len() * 2;

    /// From the first byte of an input. Large caches are rare, because clearing them is slow.
    pub fn of(config: u8) -> Self {
        let cache = match config & 0x1f {
            0..15 => Policy::Off,
            15..30 => Policy::Tiny,
            30 => Policy::Retain,
            _ => Policy::Adversarial,
        };
        let width = AddressWidth::ALL[usize::from(config >> 5 & 3) % 3];
        Self { cache, width, full: config & 0x80 != 0 }
    }

    fn index(self) -> usize {
        let cache = Policy::ALL.iter().position(|(_, policy)| *policy == self.cache).unwrap_or_default();
        let width = AddressWidth::ALL.iter().position(|width| *width == self.width).unwrap_or_default();
        (cache * AddressWidth::ALL.len() + width) * 2 + usize::from(self.full)
    }

    /// The value of `--iommu`.
    pub fn options(self) -> String {
        let Self { cache, width, full } = self;
        let cache = Policy::ALL.iter().find(|(_, policy)| *policy == cache).map_or("off", |(name, _)| name);
        let more = if full {
            ",abort-dma=on,caching-mode=on,compress-faults=on,interrupt-set-invalidates=on,\
             protected-regions=on,root-set-invalidates=on,write-buffer-flush=on"
        } else {
            ""
        };
        format!("vtd-legacy,cache={cache},aw-bits={}{more}", width.bits())
    }

    fn config(self) -> Config {
        let preset = Config::preset(Config::PRESETS[0]);
        // The first of the presets exists.
        let preset = preset.expect("a preset is known by its name");
        let Self { cache, width, full } = self;
        Config {
            address_width: width,
            abort_dma: full,
            caching_mode: full,
            compress_faults: full,
            protected_regions: full,
            root_set_invalidates: full,
            interrupt_set_invalidates: full,
            write_buffer_flush: full,
            sanitize: full,
            cache,
            seed: 0,
            ..preset
        }
    }
}

/// Whether a run may use a unit that others used before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Units {
    Kept,
    New,
}

/// A unit with the ports of the bus masters behind it, and its state after reset.
struct Complex {
    unit: Unit,
    ports: [DmaPort; SOURCES.len()],
    reset: State,
}

impl Complex {
    fn new(config: Config, mem: &PhysMem) -> Self {
        let unit = Unit::new(config, mem.clone());
        let reset = unit.save();
        Self { ports: ports(&unit, mem), reset, unit }
    }
}

fn ports(unit: &Unit, mem: &PhysMem) -> [DmaPort; SOURCES.len()] {
    SOURCES.map(|source| {
        let mut port = DmaPort::new(SourceId(source), mem.clone(), unit.translator());
        port.set_enabled(true);
        port
    })
}

/// The buffer of a device.
struct Buffer {
    bytes: Box<[u8; BUFFER]>,
    /// What lies behind is zero.
    used: usize,
}

/// Everything that is kept from input to input.
struct Rig {
    mem: PhysMem,
    journal: Arc<Journal>,
    kept: [Option<Complex>; Variant::COUNT],
    buffers: [Buffer; SOURCES.len()],
    /// Whether somebody wants the digest.
    compared: bool,
}

impl Rig {
    fn new() -> Self {
        // 256 KiB; a host that cannot map them cannot fuzz.
        let mem = PhysMem::anonymous(&[(Pa(0), MEMORY)]).expect("the host has memory for the rig");
        let journal = Journal::new(&mem, MEMORY);
        let buffers = SOURCES.map(|_| Buffer { bytes: Box::new([0; BUFFER]), used: 0 });
        Self { journal, mem, kept: [const { None }; Variant::COUNT], buffers, compared: false }
    }

    /// Runs `actions` from reset and returns what was visible after the last reset.
    fn run(&mut self, variant: Variant, actions: &[Action], units: Units) -> Digest {
        let mut complex = self.kept[variant.index()]
            .take()
            .filter(|_| units == Units::Kept)
            .unwrap_or_else(|| Complex::new(variant.config(), &self.mem));
        complex.unit.restore(complex.reset.clone());
        let mut run = Run {
            variant,
            mem: &self.mem,
            journal: &self.journal,
            buffers: &mut self.buffers,
            complex: &mut complex,
            fx: Effects::new(Time(0), false),
            compared: self.compared,
            due: 0,
            largest_queue: 256,
            digest: Digest::default(),
        };
        run.clear();
        actions.iter().for_each(|action| run.action(*action));
        run.finish();
        let digest = run.digest;
        self.kept[variant.index()] = Some(complex);
        digest
    }
}

/// One run of an input.
struct Run<'a> {
    variant: Variant,
    mem: &'a PhysMem,
    journal: &'a Journal,
    buffers: &'a mut [Buffer; SOURCES.len()],
    complex: &'a mut Complex,
    fx: Effects,
    compared: bool,
    /// Events that the unit asked for.
    due: u32,
    /// Descriptors of the largest queue since the queue was off.
    largest_queue: u64,
    digest: Digest,
}

impl Run<'_> {
    fn clear(&mut self) {
        self.journal.clear(self.mem);
        for Buffer { bytes, used } in &mut *self.buffers {
            bytes[..std::mem::take(used)].fill(0);
        }
        let _ = self.fx.take();
        (self.due, self.largest_queue, self.digest) = (0, 256, Digest::default());
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Read { offset, size } => {
                let value = self.read(offset, size);
                assert_eq!(value, self.read(offset, size), "reading {offset:#x} changed it");
                let served = size >= 4 && offset.is_multiple_of(size as u64);
                assert!(served || value == 0, "{size} bytes at {offset:#x} read as {value:#x}");
                self.digest.number(value);
            }
            Action::Write { offset, size, value } => {
                self.complex.unit.write(offset, &value.to_le_bytes()[..size], &mut self.fx);
                self.deliver();
            }
            Action::Memory { address, value } => {
                // What lies beyond memory is lost, as on a bus.
                let _ = self.mem.write(Pa(address), &value.to_le_bytes());
                // No register can have noticed.
                return;
            }
            Action::Dma(dma) => {
                self.settle();
                self.dma(dma);
            }
            Action::Time => self.settle(),
            Action::Reset => {
                self.complex.unit.reset();
                self.clear();
            }
            Action::Snapshot => self.snapshot(),
        }
        self.check_registers();
    }

    /// Moves to another unit, of which only the state is the same.
    fn snapshot(&mut self) {
        let state = self.complex.unit.save();
        let mut unit = Unit::new(self.variant.config(), self.mem.clone());
        unit.restore(state.clone());
        assert_eq!(unit.save(), state, "a restored unit is another");
        self.complex.ports = ports(&unit, self.mem);
        self.complex.unit = unit;
    }

    fn finish(&mut self) {
        self.settle();
        self.check_registers();
        if !self.compared {
            return;
        }
        // Every dword that exists.
        for offset in (0..0x100).step_by(4).chain((0x220..0x2a0).step_by(4)) {
            let value = self.read(offset, 4);
            self.digest.number(value);
        }
        let mut page = [0; PAGE_SIZE as usize];
        for pa in self.journal.pages() {
            let read = self.mem.read(pa, &mut page);
            assert!(read.is_ok(), "{pa} was written, so it is RAM");
            // Zero pages are left out: a reset may have cleared them.
            if page.iter().any(|byte| *byte != 0) {
                self.digest.number(pa.0);
                self.digest.bytes(&page);
            }
        }
    }

    fn read(&mut self, offset: u64, size: usize) -> u64 {
        let mut data = [0; 8];
        self.complex.unit.read(offset, &mut data[..size], &mut self.fx);
        u64::from_le_bytes(data)
    }

    fn check_registers(&mut self) {
        let gsts = self.read(0x1c, 4);
        assert_eq!(gsts & !GSTS_BITS, 0, "GSTS {gsts:#x}");
        let fsts = self.read(0x34, 4);
        assert_eq!(fsts & !FSTS_BITS, 0, "FSTS {fsts:#x}");
        assert!(fsts >> 8 < 8, "FSTS.FRI names a record that is not there: {fsts:#x}");
        let size = 256 << (self.read(0x90, 8) & 7);
        let off = gsts & QUEUE_ENABLED == 0;
        self.largest_queue = if off { size } else { self.largest_queue.max(size) };
        let head = self.read(0x80, 8);
        assert!(head & 0xf == 0 && head >> 4 < self.largest_queue, "IQH {head:#x} leaves the queue");
        assert!(self.due <= 1, "{} events are due to continue one queue", self.due);
    }

    /// Delivers effects as a machine does.
    fn deliver(&mut self) {
        // A fault may raise an event, which is a write; nothing follows from that.
        for round in 0.. {
            let effects = self.fx.take();
            if effects.is_empty() {
                return;
            }
            assert!(round < 3, "effects do not end: {effects:?}");
            assert!(effects.len() <= MAX_EFFECTS, "{} effects of one action", effects.len());
            for effect in effects {
                self.digest.effect(&effect);
                match effect {
                    Effect::Fault { fault, .. } => self.complex.unit.fault(fault, &mut self.fx),
                    Effect::PostedWrite { address, data, .. } => {
                        posted_write(self.mem, address, data);
                    }
                    Effect::Schedule { .. } => self.due += 1,
                    Effect::Interrupt { .. } | Effect::Stale { .. } => {}
                    Effect::Line { .. }
                    | Effect::Pulse { .. }
                    | Effect::SendEvent { .. }
                    | Effect::Event { .. }
                    | Effect::Resume { .. } => {
                        panic!("{effect:?} of a VT-d unit")
                    }
                }
            }
        }
    }

    /// Lets everything happen that is due.
    fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            if self.due == 0 {
                return;
            }
            self.due -= 1;
            self.complex.unit.event(DeviceEvent::Work, &mut self.fx);
            self.deliver();
        }
        panic!("the unit does not come to rest");
    }

    fn dma(&mut self, dma: Dma) {
        let Dma { source, address, op, pasid, translated, privileged, execute } = dma;
        let request = Request {
            address: Iova(address),
            pasid: pasid.and_then(Pasid::new),
            attrs: Attrs { privileged, execute, ..Attrs::default() },
            kind: if translated { Kind::Translated } else { Kind::Untranslated },
        };
        let index = SOURCES.iter().position(|known| *known == source).unwrap_or_default();
        let (port, buffer, fx) = (&self.complex.ports[index], &mut self.buffers[index].bytes, &mut self.fx);
        let (length, writes, (result, written)) = match op {
            DmaOp::Read(length) => {
                let data = &mut buffer[..length.into()];
                (length, false, self.journal.during(|| port.read(request, data, fx)))
            }
            DmaOp::Write(length) => {
                let data = &buffer[..length.into()];
                (length, true, self.journal.during(|| port.write(request, data, fx)))
            }
            DmaOp::Atomic(op) => {
                let digest = &mut self.digest;
                // 4 or 8 bytes.
                let size = op.size() as u16;
                let atomic = || match port.atomic(request, op, fx) {
                    Ok(old) => {
                        digest.number(old);
                        DmaResult { done: op.size(), outcome: Outcome::Done }
                    }
                    Err(outcome) => DmaResult { done: 0, outcome },
                };
                (size, true, self.journal.during(atomic))
            }
        };
        if !writes {
            self.buffers[index].used = self.buffers[index].used.max(length.into());
        }
        let effects = self.fx.take();
        self.check_dma(dma, length.into(), writes, result, &written, &effects);
        if let DmaOp::Read(length) = op
            && self.variant.cache == Policy::Off
        {
            let (port, buffer) = (&self.complex.ports[index], &self.buffers[index].bytes);
            let (mut again, mut fx) = ([0; BUFFER], Effects::new(Time(0), false));
            let repeated = port.read(request, &mut again[..length.into()], &mut fx);
            assert_eq!((repeated, fx.take()), (result, effects.clone()), "the same read again");
            // What is done is at most what was asked for.
            let done = result.done as usize;
            assert_eq!(again[..done], buffer[..done], "the same read gives other data");
        }
        self.digest.outcome(result.outcome);
        self.digest.number(result.done);
        if self.compared {
            self.digest.bytes(&self.buffers[index].bytes[..length.into()]);
        }
        effects.into_iter().for_each(|effect| self.fx.push(effect));
        self.deliver();
    }

    fn check_dma(
        &mut self,
        dma: Dma,
        length: u64,
        writes: bool,
        result: DmaResult,
        written: &[(u64, u64)],
        effects: &[Effect],
    ) {
        let DmaResult { done, outcome } = result;
        let bytes: u64 = written.iter().map(|(first, last)| last - first + 1).sum();
        assert!(done <= length && (outcome != Outcome::Done || done == length), "{dma:?}: {result:?}");
        assert!(writes || bytes == 0, "{dma:?} wrote {written:?}");
        // Each message is 4 bytes that went elsewhere.
        let messages = effects.iter().filter(|effect| matches!(effect, Effect::Interrupt { .. })).count();
        let stored = if writes { done - 4 * messages as u64 } else { 0 };
        assert_eq!(bytes, stored, "{dma:?}: {result:?}, but wrote {written:?}");
        let pages = (dma.address % PAGE_SIZE + length.max(1)).div_ceil(PAGE_SIZE);
        let stale = effects.iter().filter(|effect| matches!(effect, Effect::Stale { .. })).count();
        assert!((effects.len() - stale) as u64 <= pages, "{dma:?} over {pages} pages: {effects:?}");
        let faults = effects.iter().filter(|effect| matches!(effect, Effect::Fault { .. })).count();
        assert!(faults == 0 || outcome != Outcome::Done, "{dma:?} faulted and was done");
        let mut offset = dma.address % PAGE_SIZE;
        for (first, last) in written {
            assert_eq!(first % PAGE_SIZE, offset % PAGE_SIZE, "{dma:?} moved in its page: {written:?}");
            offset += last - first + 1;
        }
        if self.read(0x1c, 4) & REMAPPING == 0 {
            assert!(written.first().is_none_or(|(first, _)| *first == dma.address), "{dma:?}: {written:?}");
        }
    }
}
