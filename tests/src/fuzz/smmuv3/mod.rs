//! An SMMU under registers, memory, commands and DMA.
//!
//! Beside "no panic" these hold for any input:
//! - What acknowledges is what was asked for; registers have no bit that the specification does not
//!   define, and a read changes nothing.
//! - Indexes that the unit moves are ones of the queue, by no more than there was to do or room for.
//! - After everything cached that may be outdated was dropped and a CMD_SYNC has completed, and always with caches off, a DMA
//!   ends, goes where, and is reported as a new unit would have it: as long as what was walked for it does
//!   not change.
//! - A refused DMA changes no data; one that is done changes as many bytes as it says.
//! - Transactions are held only for the master that can wait, under tags of their own, until each is
//!   resumed once; none while translation is off.
//! - Effects of one action end, and work comes to rest in a bounded number of steps.
//! - What was before a reset does not matter, nor a save and restore; the same input does the same again.

mod oracle;
pub mod plan;

use std::cell::RefCell;
use std::sync::Arc;

use devices::addr::{Iova, PAGE_SIZE, Pa, Pasid, SourceId, StreamId};
use devices::events::{DeviceEvent, Time};
use devices::fabric::{
    Access, Attrs, DmaPort, DmaResult, Doorbell, Effect, Effects, Initiator, Kind, Outcome, Request,
    Resumption, posted_write,
};
use devices::iommu::cache::Policy;
use devices::mem::PhysMem;
use devices::smmuv3::capability::Wires;
use devices::smmuv3::stream_map::{RequesterRange, StreamMap};
use devices::smmuv3::{Config, State, Unit};

use super::action::{Action, Dma, DmaOp, MEMORY, SOURCES};
use super::digest::Digest;
use super::journal::Journal;
use super::record::Input;
use oracle::{Expected, Oracle};
use plan::{BASE, COMMANDS, COMMANDS_LOG2, Op, Planner};

const BUFFER: usize = 4096;
/// Effects of one action at most: a message, a wire and an event to the CPUs for each command of a step,
/// and every transaction that can be held.
const MAX_EFFECTS: usize = 3 * 256 + 1024;
/// Steps to work off the largest queue: 2^19 commands, 256 a step, and the step that ends it.
const MAX_STEPS: u32 = 2050;
/// Resumed transactions that are tried again after one action.
const MAX_RETRIES: u32 = 1024;

/// What CR0, IRQ_CTRL and GERROR define for a unit without PRI and ATS [SMMUv3 6.3.9, 6.3.17, 6.3.19].
const CR0_BITS: u64 = 0x1cd;
const IRQ_BITS: u64 = 0x5;
const GERROR_BITS: u64 = 0xb5;
const SMMUEN: u64 = 1;

/// Feeds `data` to a unit.
///
/// # Panics
/// If what the module says does not hold.
pub fn smmuv3(data: &[u8]) {
    let (variant, ops) = plan(data);
    check(variant, &ops);
}

/// The variant and the operations that `data` means.
pub fn plan(data: &[u8]) -> (Variant, Vec<Op>) {
    let Input { config, records } = Input::parse(data);
    let mut ops = Vec::with_capacity(records.len() * 8);
    let mut planner = Planner::default();
    records.into_iter().for_each(|record| planner.plan(record, &mut ops));
    (Variant::of(config), ops)
}

/// Does `ops`, on a rig that the thread keeps, and checks what the module says.
///
/// # Panics
/// If it does not hold.
pub fn check(variant: Variant, ops: &[Op]) {
    RIG.with_borrow_mut(|rig| {
        let rig = rig.get_or_insert_with(Rig::new);
        let is = |wanted: Action| move |op: &Op| *op == Op::Do(wanted);
        let snapshot = ops.iter().any(is(Action::Snapshot));
        let reset = ops.iter().rposition(is(Action::Reset));
        rig.compared = snapshot || reset.is_some() || variant.full;
        let digest = rig.run(variant, ops, Units::Kept);
        if snapshot {
            let without: Vec<_> = ops.iter().copied().filter(|op| !is(Action::Snapshot)(op)).collect();
            assert_eq!(digest, rig.run(variant, &without, Units::Kept), "save and restore changed the run");
        } else if variant.full {
            assert_eq!(digest, rig.run(variant, ops, Units::New), "the same input does something else");
        }
        if let Some(reset) = reset
            && variant.cache == Policy::Off
        {
            let after = rig.run(variant, &ops[reset + 1..], Units::New);
            assert_eq!(digest, after, "the run depends on what was before the reset");
        }
    });
}

thread_local! {
    static RIG: RefCell<Option<Rig>> = const { RefCell::new(None) };
}

/// What a run came by, for tests that say what inputs reach.
#[cfg(test)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// Codes of events that were reported.
    pub events: std::collections::BTreeSet<u8>,
    /// CMDQ_CONS.ERR.
    pub errors: std::collections::BTreeSet<u64>,
    /// DMAs that were compared with the second unit's.
    pub compared: u32,
    /// Transactions that were held and then resumed.
    pub resumed: u32,
}

/// What `ops` come by.
#[cfg(test)]
pub(super) fn reached(variant: Variant, ops: &[Op]) -> Reached {
    check(variant, ops);
    RIG.with_borrow_mut(|rig| std::mem::take(&mut rig.as_mut().unwrap().reached))
}

/// The dwords of both pages of the register file that have registers, after `ops`.
#[cfg(test)]
pub(super) fn registers_after(variant: Variant, ops: &[Op]) -> Vec<u64> {
    check(variant, ops);
    RIG.with_borrow_mut(|rig| {
        let complex = rig.as_mut().and_then(|rig| rig.kept[variant.index()].as_mut()).unwrap();
        registers().map(|offset| complex.read(offset, 4)).collect()
    })
}

/// Offsets of all dwords that exist.
pub(super) fn registers() -> impl Iterator<Item = u64> {
    (0..0x100).step_by(4).chain([0x1_00a8, 0x1_00ac])
}

/// Which of the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The caches.
    pub cache: Policy,
    /// Index of the preset.
    pub preset: usize,
    /// The sanitizer looks, and every input is run twice.
    pub full: bool,
}

impl Variant {
    const COUNT: usize = Policy::ALL.len() * Config::PRESETS.len() * 2;

    /// From the first byte of an input.
    pub fn of(config: u8) -> Self {
        let cache = match config >> 2 & 0x1f {
            0..8 => Policy::Off,
            8..16 => Policy::Tiny,
            16..26 => Policy::Retain,
            _ => Policy::Adversarial,
        };
        Self { cache, preset: usize::from(config & 3) % Config::PRESETS.len(), full: config & 0x80 != 0 }
    }

    fn index(self) -> usize {
        let cache = Policy::ALL.iter().position(|(_, policy)| *policy == self.cache).unwrap_or_default();
        (cache * Config::PRESETS.len() + self.preset) * 2 + usize::from(self.full)
    }

    /// Whether it has EL2 contexts.
    pub fn has_el2(self) -> bool {
        self.config().idr0.hyp()
    }

    /// The value of `--iommu`.
    pub fn options(self) -> String {
        let Self { cache, preset, full: _ } = self;
        let cache = Policy::ALL.iter().find(|(_, policy)| *policy == cache).map_or("off", |(name, _)| name);
        format!("{},cache={cache}", Config::PRESETS[preset])
    }

    fn config(self) -> Config {
        let Self { cache, preset, full } = self;
        let preset = Config::preset(Config::PRESETS[preset]);
        // The names are those of the presets.
        let preset = preset.expect("a preset is known by its name");
        let streams = RequesterRange { segment: 0, first: 0, last: 0xffff, stream: StreamId(0) };
        Config {
            streams: StreamMap::new(vec![streams]),
            wires: Some(Wires { eventq: 74, priq: 75, cmd_sync: 76, gerror: 77 }),
            doorbell: Some(DOORBELL),
            tlb_entries: 64,
            sanitize: full,
            cache,
            ..preset
        }
    }
}

/// GITS_TRANSLATER of a virt.
const DOORBELL: Doorbell = Doorbell { first: Pa(0x0809_0040), last: Pa(0x0809_0043) };

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
    oracle: Oracle,
    reset: State,
}

impl Complex {
    fn new(config: Config, mem: &PhysMem) -> Self {
        let oracle = Oracle::new(&config, mem);
        let unit = Unit::new(config, mem.clone());
        let reset = unit.save();
        Self { ports: ports(&unit, mem), oracle, reset, unit }
    }

    fn read(&mut self, offset: u64, size: usize) -> u64 {
        read(&mut self.unit, offset, size)
    }
}

fn read(unit: &mut Unit, offset: u64, size: usize) -> u64 {
    let (mut data, mut fx) = ([0; 8], Effects::new(Time(0), false));
    unit.read(offset, &mut data[..size], &mut fx);
    assert!(fx.take().is_empty(), "reading {offset:#x} does something");
    u64::from_le_bytes(data)
}

/// The third is on the platform bus and can wait; the others are PCI functions.
fn initiator(index: usize) -> Initiator {
    let source = SOURCES[index];
    match index {
        2 => Initiator::Platform { stream: StreamId(source.into()), can_stall: true },
        _ => Initiator::Pci { segment: 0, source: SourceId(source) },
    }
}

fn ports(unit: &Unit, mem: &PhysMem) -> [DmaPort; SOURCES.len()] {
    std::array::from_fn(|index| {
        let mut port = DmaPort::of(initiator(index), mem.clone(), unit.translator()).with_doorbell(DOORBELL);
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
    #[cfg(test)]
    reached: Reached,
}

impl Rig {
    fn new() -> Self {
        // 4 MiB; a host that cannot map them cannot fuzz.
        let mem = PhysMem::anonymous(&[(Pa(BASE), MEMORY)]).expect("the host has memory for the rig");
        let journal = Journal::from(&mem, Pa(BASE), MEMORY);
        let buffers = SOURCES.map(|_| Buffer { bytes: Box::new([0; BUFFER]), used: 0 });
        Self {
            journal,
            mem,
            kept: [const { None }; Variant::COUNT],
            buffers,
            compared: false,
            #[cfg(test)]
            reached: Reached::default(),
        }
    }

    /// Runs `ops` from reset and returns what was visible after the last reset.
    fn run(&mut self, variant: Variant, ops: &[Op], units: Units) -> Digest {
        let mut complex = self.kept[variant.index()]
            .take()
            .filter(|_| units == Units::Kept)
            .unwrap_or_else(|| Complex::new(variant.config(), &self.mem));
        complex.unit.restore(complex.reset.clone());
        let mut run = Run {
            variant,
            config: variant.config(),
            mem: &self.mem,
            journal: &self.journal,
            buffers: &mut self.buffers,
            complex: &mut complex,
            fx: Effects::new(Time(0), false),
            compared: self.compared,
            due: 0,
            held: Vec::new(),
            retries: Vec::new(),
            transfers: 0,
            digest: Digest::default(),
            #[cfg(test)]
            reached: &mut self.reached,
        };
        run.clear();
        ops.iter().for_each(|op| run.op(*op));
        run.finish();
        let digest = run.digest;
        self.kept[variant.index()] = Some(complex);
        digest
    }
}

/// One run of an input.
struct Run<'a> {
    variant: Variant,
    config: Config,
    mem: &'a PhysMem,
    journal: &'a Journal,
    buffers: &'a mut [Buffer; SOURCES.len()],
    complex: &'a mut Complex,
    fx: Effects,
    compared: bool,
    /// Events that the unit asked for.
    due: u32,
    /// Transactions that wait, by their tags.
    held: Vec<(u32, Dma)>,
    /// Those that may be tried again.
    retries: Vec<Dma>,
    /// DMAs so far.
    transfers: u64,
    digest: Digest,
    #[cfg(test)]
    reached: &'a mut Reached,
}

impl Run<'_> {
    fn clear(&mut self) {
        self.journal.clear(self.mem);
        for Buffer { bytes, used } in &mut *self.buffers {
            bytes[..std::mem::take(used)].fill(0);
        }
        let _ = self.fx.take();
        self.held.clear();
        self.retries.clear();
        self.complex.oracle.dropped(self.journal);
        self.complex.oracle.registers_changed(false);
        (self.due, self.digest) = (0, Digest::default());
    }

    fn op(&mut self, op: Op) {
        match op {
            Op::Do(action) => self.action(action),
            Op::Flush { tail, configuration } => self.flush(tail, configuration),
        }
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
            Action::Write { offset, size, value } => self.write(offset, size, value),
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

    fn write(&mut self, offset: u64, size: usize, value: u64) {
        match offset {
            // CR2, STRTAB_BASE and STRTAB_BASE_CFG: what is cached does not follow them.
            0x28..0x30 | 0x80..0x90 => self.complex.oracle.registers_changed(true),
            0x20..0x28 | 0x40..0x48 => self.complex.oracle.registers_changed(false),
            _ => {}
        }
        let before = self.queues();
        self.complex.unit.write(offset, &value.to_le_bytes()[..size], &mut self.fx);
        self.check_queues(before, Some(offset));
        self.deliver();
    }

    /// What a driver does to have nothing cached.
    fn flush(&mut self, tail: u64, configuration: bool) {
        self.settle();
        let ready = self.read(0x24, 4) & 8 != 0
            && (self.read(0x60, 4) ^ self.read(0x64, 4)) & 1 == 0
            && self.read(0x90, 8) & 0x00ff_ffff_ffff_ffff == COMMANDS | COMMANDS_LOG2
            && [0x98, 0x9c].iter().all(|index| self.read(*index, 4) & 0x1ff == tail);
        let transfers = self.transfers;
        let (actions, tail) = plan::flush(tail, configuration, self.config.idr0.hyp());
        actions.into_iter().for_each(|action| self.action(action));
        self.settle();
        if ready {
            let cons = self.read(0x9c, 4);
            assert_eq!(cons & 0xf_ffff, tail, "legal commands are not consumed: CMDQ_CONS {cons:#x}");
            assert_eq!((self.read(0x60, 4) ^ self.read(0x64, 4)) & 1, 0, "legal commands are an error");
            // A CMD_SYNC may have others tried again, by which something is cached.
            match configuration {
                _ if self.transfers != transfers => {}
                true => self.complex.oracle.dropped(self.journal),
                false => self.complex.oracle.translations_dropped(self.journal),
            }
        }
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
        #[cfg(test)]
        {
            let error = self.read(0x9c, 4) >> 24 & 0x7f;
            self.reached.errors.insert(error);
        }
        if !self.compared {
            return;
        }
        for offset in registers() {
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
        self.complex.read(offset, size)
    }

    /// log2 of the entries, the producer's and the consumer's index of both queues.
    fn queues(&mut self) -> [(u32, u64, u64); 2] {
        let limits = [self.config.idr1.cmdqs(), self.config.idr1.eventqs()];
        let registers = [(0x90, 0x98, 0x9c), (0xa0, 0x1_00a8, 0x1_00ac)];
        std::array::from_fn(|queue| {
            let (base, producer, consumer) = registers[queue];
            let log2 = (self.read(base, 8) & 0x1f).min(limits[queue].into());
            // At most 31.
            (log2 as u32, self.read(producer, 4) & 0xf_ffff, self.read(consumer, 4) & 0xf_ffff)
        })
    }

    /// The unit moved its indexes as far as it may; `written` is the register that software wrote.
    fn check_queues(&mut self, before: [(u32, u64, u64); 2], written: Option<u64>) {
        let after = self.queues();
        let [(_, _, old), _] = before;
        let [(log2, prod, cons), (events, event_prod, event_cons)] = after;
        let index = |log2: u32| (2 << log2) - 1;
        let between = |log2: u32, prod: u64, cons: u64| prod.wrapping_sub(cons) & index(log2);
        if old != cons && written.is_none_or(|offset| !(0x98..0xa0).contains(&offset) || offset == 0x98) {
            assert_eq!(cons & !index(log2), 0, "CMDQ_CONS {cons:#x} leaves a queue of 2^{log2}");
            let (todo, done) = (between(log2, prod, old), between(log2, cons, old));
            assert!(done <= todo && todo <= 1 << log2, "{done} of {todo} commands in a queue of 2^{log2}");
        }
        let [_, (_, old, _)] = before;
        if old != event_prod && written.is_none_or(|offset| !(0xa0..0xb0).contains(&(offset & 0xffff))) {
            assert_eq!(
                event_prod & !index(events),
                0,
                "EVENTQ_PROD {event_prod:#x} leaves a queue of 2^{events}"
            );
            let filled = between(events, event_prod, event_cons);
            assert!(filled <= 1 << events, "{filled} records in a queue of 2^{events}");
        }
    }

    fn check_registers(&mut self) {
        let vmw = if self.config.idr0.vmw() { 0 } else { 0x1c0 };
        let cr0 = self.read(0x20, 4);
        assert_eq!(
            (self.read(0x24, 4), cr0 & !(CR0_BITS & !vmw & !0x2)),
            (cr0, 0),
            "CR0 and its acknowledgement"
        );
        let irq = self.read(0x50, 4);
        assert_eq!((self.read(0x54, 4), irq & !IRQ_BITS), (irq, 0), "IRQ_CTRL and its acknowledgement");
        assert_eq!(self.read(0x44, 4) >> 31, 0, "GBPA.Update is not done");
        let gerror = self.read(0x60, 4);
        assert_eq!(gerror & !GERROR_BITS, 0, "GERROR {gerror:#x}");
        assert!(self.due <= 1, "{} events are due to continue one unit", self.due);
        assert!(cr0 & SMMUEN != 0 || self.held.is_empty(), "held while translation is off: {:?}", self.held);
    }

    /// Delivers effects as a machine does.
    fn deliver(&mut self) {
        let mut retried = 0;
        loop {
            self.deliver_effects();
            let Some(dma) = self.retries.pop() else { return };
            retried += 1;
            assert!(retried <= MAX_RETRIES, "transactions are resumed without end");
            self.transfer(dma);
        }
    }

    fn deliver_effects(&mut self) {
        // An event may raise an interrupt; nothing follows from that.
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
                    Effect::Event { report, .. } => {
                        #[cfg(test)]
                        self.reached.events.insert(report.reason.code());
                        let before = self.queues();
                        self.complex.unit.report(report, &mut self.fx);
                        self.check_queues(before, None);
                    }
                    Effect::PostedWrite { address, data, .. } => {
                        posted_write(self.mem, address, data);
                    }
                    Effect::Schedule { .. } => self.due += 1,
                    Effect::Resume { tag, how } => self.resume(tag.number, how),
                    Effect::Interrupt { .. }
                    | Effect::Stale { .. }
                    | Effect::Pulse { .. }
                    | Effect::SendEvent { .. } => {}
                    Effect::Line { .. } | Effect::Fault { .. } => panic!("{effect:?} of an SMMU"),
                }
            }
        }
    }

    fn resume(&mut self, number: u32, how: Resumption) {
        let at = self.held.iter().position(|(held, _)| *held == number);
        let Some(at) = at else { panic!("{number} is resumed, which is not held: {:?}", self.held) };
        let (_, dma) = self.held.remove(at);
        #[cfg(test)]
        {
            self.reached.resumed += 1;
        }
        match how {
            Resumption::Retry => self.retries.push(dma),
            Resumption::End(outcome) => self.digest.outcome(outcome),
        }
    }

    /// Lets everything happen that is due.
    fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            if self.due == 0 {
                return;
            }
            self.due -= 1;
            let before = self.queues();
            self.complex.unit.event(DeviceEvent::Work, &mut self.fx);
            self.check_queues(before, None);
            self.deliver();
        }
        panic!("the unit does not come to rest");
    }

    fn dma(&mut self, dma: Dma) {
        self.transfer(dma);
        self.deliver();
    }

    /// A DMA; its effects are to be delivered.
    fn transfer(&mut self, dma: Dma) {
        self.transfers += 1;
        let Dma { source, address, op, pasid, translated, privileged, execute } = dma;
        let request = Request {
            address: Iova(address),
            pasid: pasid.and_then(Pasid::new),
            attrs: Attrs { privileged, execute, ..Attrs::default() },
            kind: if translated { Kind::Translated } else { Kind::Untranslated },
        };
        let index = SOURCES.iter().position(|known| *known == source).unwrap_or_default();
        let (length, access) = match op {
            DmaOp::Read(length) => (u64::from(length), Access::Read),
            DmaOp::Write(length) => (length.into(), Access::Write),
            DmaOp::Atomic(op) => (op.size(), Access::Atomic),
        };
        let Complex { unit, ports, oracle, .. } = &mut *self.complex;
        let expected =
            oracle.expect(initiator(index), request, (length, access), self.journal, |offset, size| {
                read(unit, offset, size)
            });
        // What is known of a unit with caches.
        let expected = expected.filter(|_| oracle.is_clean() || self.variant.cache == Policy::Off);
        let (port, buffer, fx) = (&ports[index], &mut self.buffers[index].bytes, &mut self.fx);
        let kept = fx.take();
        // At most a page.
        let size = length as usize;
        let (result, written) = match op {
            DmaOp::Read(_) => self.journal.during(|| port.read(request, &mut buffer[..size], fx)),
            DmaOp::Write(_) => self.journal.during(|| port.write(request, &buffer[..size], fx)),
            DmaOp::Atomic(op) => {
                let digest = &mut self.digest;
                let atomic = || match port.atomic(request, op, fx) {
                    Ok(old) => {
                        digest.number(old);
                        DmaResult { done: op.size(), outcome: Outcome::Done }
                    }
                    Err(outcome) => DmaResult { done: 0, outcome },
                };
                self.journal.during(atomic)
            }
        };
        if access == Access::Read {
            self.buffers[index].used = self.buffers[index].used.max(size);
        }
        let effects = self.fx.take();
        self.check_dma(dma, length, access, result, &written, &effects);
        if let Some(expected) = &expected {
            self.compare(dma, access, result, &written, &effects, expected);
        }
        self.digest.outcome(result.outcome);
        self.digest.number(result.done);
        if self.compared {
            self.digest.bytes(&self.buffers[index].bytes[..size]);
        }
        if let Outcome::Stalled(tag) = result.outcome {
            assert_eq!(index, 2, "{dma:?} cannot wait");
            assert!(self.held.iter().all(|(held, _)| *held != tag.number), "{tag:?} is taken");
            self.held.push((tag.number, dma));
        }
        kept.into_iter().chain(effects).for_each(|effect| self.fx.push(effect));
    }

    /// What holds of any DMA.
    fn check_dma(
        &mut self,
        dma: Dma,
        length: u64,
        access: Access,
        result: DmaResult,
        written: &[(u64, u64)],
        effects: &[Effect],
    ) {
        let DmaResult { done, outcome } = result;
        assert!(done <= length && (outcome != Outcome::Done || done == length), "{dma:?}: {result:?}");
        let pages = (dma.address % PAGE_SIZE + length.max(1)).div_ceil(PAGE_SIZE);
        let stale = effects.iter().filter(|effect| matches!(effect, Effect::Stale { .. })).count();
        assert!((effects.len() - stale) as u64 <= pages, "{dma:?} over {pages} pages: {effects:?}");
        let events = effects.iter().filter(|effect| matches!(effect, Effect::Event { .. })).count();
        assert!(events == 0 || outcome != Outcome::Done, "{dma:?} was reported and done");
        // Descriptors are updated by some.
        if self.config.idr0.httu() == 0 {
            let bytes: u64 = written.iter().map(|(first, last)| last - first + 1).sum();
            let messages = effects.iter().filter(|effect| matches!(effect, Effect::Interrupt { .. })).count();
            let stored = if access == Access::Read { 0 } else { done };
            // A message has 2 or 4 bytes.
            let exact = messages == 0 && bytes == stored;
            assert!(exact || messages > 0 && bytes < stored, "{dma:?}: {result:?}, but wrote {written:?}");
        }
    }

    /// A DMA against what the second unit says of it.
    fn compare(
        &mut self,
        dma: Dma,
        access: Access,
        result: DmaResult,
        written: &[(u64, u64)],
        effects: &[Effect],
        expected: &Expected,
    ) {
        #[cfg(test)]
        {
            self.reached.compared += 1;
        }
        let untagged = |outcome: Outcome| match outcome {
            Outcome::Stalled(_) => None,
            outcome => Some(outcome),
        };
        let Expected { pieces, outcome, events } = expected;
        assert_eq!(Some(untagged(result.outcome)), outcome.map(untagged), "{dma:?}, to be {expected:x?}");
        if access == Access::Read {
            assert_eq!(written, [], "{dma:?} writes");
            let mut read = Vec::new();
            for (first, last) in pieces {
                // At most a page.
                let mut piece = vec![0; (last - first + 1) as usize];
                assert!(self.mem.read(Pa(*first), &mut piece).is_ok(), "{first:#x} is RAM");
                read.extend(piece);
            }
            let index = SOURCES.iter().position(|known| *known == dma.source).unwrap_or_default();
            let buffer = &self.buffers[index].bytes[..read.len()];
            assert!(result.done == read.len() as u64 && read == buffer, "{dma:?} is not from {pieces:x?}");
        } else {
            assert_eq!(written, pieces, "{dma:?} wrote elsewhere");
        }
        if untagged(result.outcome).is_some() {
            let reported = effects.iter().filter_map(|effect| match effect {
                Effect::Event { report, .. } => Some((report.reason, report.subject)),
                _ => None,
            });
            assert_eq!(reported.collect::<Vec<_>>(), *events, "{dma:?} is reported otherwise");
        }
        let stale = effects.iter().find(|effect| matches!(effect, Effect::Stale { .. }));
        assert_eq!(stale, None, "{dma:?} uses nothing that changed");
    }
}
