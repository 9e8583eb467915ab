//! The control half through its front door: registers and queues in memory. Offsets, bits and codes are
//! literals from the specification, so that a wrong row in a layout fails here.

mod bring_up;
mod commands;
mod events;
mod interrupts;
mod queue;
mod records;
mod registers;
mod stalls;
mod state;

use std::sync::{Arc, Mutex};

use super::capability::{Config, Wires};
use super::control::Control;
use super::event::{FaultKind, Reason, Report, Stage, Subject, TranslationFault};
use super::invalidation::{BackEnd, ConfigScope, Global, Release, TlbScope};
use super::regs::{Idr0, Idr1, Idr3, Idr5};
use super::stream_map::StreamMap;
use crate::addr::{Iova, Pa, Pasid, StreamId};
use crate::events::Time;
use crate::fabric::{Doorbell, Effect, Effects, Resumption, StallTag};
use crate::iommu::cache::Policy;
use crate::iommu::{UnitId, UnitKind};
use crate::mem::PhysMem;
use crate::smmuv3::event::Class;
use crate::trace::TraceEvent;

const CR0: u64 = 0x20;
const CR0ACK: u64 = 0x24;
const CR2: u64 = 0x2c;
const IRQ_CTRL: u64 = 0x50;
const GERROR: u64 = 0x60;
const GERRORN: u64 = 0x64;
const CMDQ_BASE: u64 = 0x90;
const CMDQ_PROD: u64 = 0x98;
const CMDQ_CONS: u64 = 0x9c;
const EVENTQ_BASE: u64 = 0xa0;
const EVENTQ_PROD: u64 = 0x1_00a8;
const EVENTQ_CONS: u64 = 0x1_00ac;

const SMMUEN: u32 = 1 << 0;
const EVENTQEN: u32 = 1 << 2;
const CMDQEN: u32 = 1 << 3;

/// Where the tests keep things.
const COMMANDS: u64 = 0x1_0000;
const EVENTS: u64 = 0x2_0000;
const MAILBOX: u64 = 0x3_0000;
const DOORBELL: u64 = 0x0809_0040;
/// log2 of the queues' sizes.
const COMMANDS_LOG2: u64 = 4;
const EVENTS_LOG2: u64 = 2;

/// IDR0: both stages, two-level tables, 16-bit ASIDs and VMIDs, VMW, SEV, MSI, Hyp, stalls allowed.
const IDR0: u32 = 0x084e_721b;
/// IDR1: commands 2^10, events 2^7, 16-bit StreamIDs and SubstreamIDs, overrides.
const IDR1: u32 = 0x0d47_0410;
/// IDR3: RIL, BBML 2, FWB, XNX, HAD.
const IDR3: u32 = 0x1514;
/// IDR5: four stalls, all granules, 44-bit addresses.
const IDR5: u32 = 0x0004_0074;

fn config() -> Config {
    Config {
        unit: UnitId::only(UnitKind::Smmuv3),
        idr0: Idr0::from_raw(IDR0),
        idr1: Idr1::from_raw(IDR1),
        idr3: Idr3::from_raw(IDR3),
        idr5: Idr5::from_raw(IDR5),
        minor: 2,
        streams: StreamMap::default(),
        wires: Some(Wires { eventq: 74, priq: 75, cmd_sync: 76, gerror: 77 }),
        doorbell: Some(Doorbell { first: Pa(0x0809_0000), last: Pa(0x0809_ffff) }),
        cache: Policy::Retain,
        tlb_entries: 64,
        seed: 0,
        sanitize: false,
        concurrent: false,
    }
}

/// What the back end was told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Global(Global),
    Config(ConfigScope),
    Tlb(TlbScope),
    Release(Release, Resumption),
    Complete,
}

/// A back end that remembers what it is told, and which transactions it holds.
#[derive(Default)]
struct Recorder {
    calls: Mutex<Vec<Call>>,
    held: Mutex<Vec<(StreamId, u16, StallTag)>>,
}

impl Recorder {
    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }
}

impl BackEnd for Recorder {
    fn set_global(&self, global: Global) {
        self.note(Call::Global(global));
    }

    fn invalidate_config(&self, scope: ConfigScope) {
        self.note(Call::Config(scope));
    }

    fn invalidate_tlb(&self, scope: TlbScope) {
        self.note(Call::Tlb(scope));
    }

    fn release(&self, which: Release, how: Resumption) -> Vec<(StallTag, Resumption)> {
        self.note(Call::Release(which, how));
        let meant = |(held, tag, _): &mut (StreamId, u16, StallTag)| match which {
            Release::One { stream, stag } => *held == stream && *tag == stag,
            Release::Stream(stream) => *held == stream,
            Release::All => true,
        };
        self.held.lock().unwrap().extract_if(.., meant).map(|(.., tag)| (tag, how)).collect()
    }

    fn complete(&self) {
        self.note(Call::Complete);
    }
}

/// A control half, memory, and what came out.
struct Rig {
    control: Control,
    back_end: Arc<Recorder>,
    mem: PhysMem,
    fx: Effects,
    /// (address, data) of messages to the doorbell.
    messages: Vec<(u64, u32)>,
    pulses: Vec<u32>,
    /// Events to the CPUs.
    sent: u32,
    resumed: Vec<(u32, Resumption)>,
}

impl Rig {
    fn new(config: Config) -> Self {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x10_0000)]).unwrap();
        let back_end = Arc::new(Recorder::default());
        let control = Control::new(config, mem.clone(), back_end.clone());
        let fx = Effects::new(Time(0), true);
        let (messages, pulses, sent, resumed) = (Vec::new(), Vec::new(), 0, Vec::new());
        Self { control, back_end, mem, fx, messages, pulses, sent, resumed }
    }

    /// Both queues set up and on, all interrupts by wire, translation on.
    fn running(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.w64(CMDQ_BASE, COMMANDS | COMMANDS_LOG2);
        rig.w64(EVENTQ_BASE, EVENTS | EVENTS_LOG2);
        rig.w32(IRQ_CTRL, 5);
        rig.w32(CR0, SMMUEN | EVENTQEN | CMDQEN);
        rig.calls();
        rig
    }

    fn r32(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.control.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn r64(&mut self, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.control.read(offset, &mut data, &mut self.fx);
        u64::from_le_bytes(data)
    }

    fn w32(&mut self, offset: u64, value: u32) {
        self.control.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn w64(&mut self, offset: u64, value: u64) {
        self.control.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn set(&self, pa: u64, word: u64) {
        self.mem.write(Pa(pa), &word.to_le_bytes()).unwrap();
    }

    fn get(&self, pa: u64) -> u64 {
        self.mem.load64(Pa(pa)).unwrap()
    }

    /// Delivers effects as a machine does.
    fn deliver(&mut self) {
        loop {
            let effects = self.fx.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.deliver_one(effect);
            }
        }
    }

    fn deliver_one(&mut self, effect: Effect) {
        match effect {
            Effect::PostedWrite { address, data, .. } => self.messages.push((address, data)),
            Effect::Pulse { line } => self.pulses.push(line),
            Effect::SendEvent { .. } => self.sent += 1,
            Effect::Resume { tag, how } => self.resumed.push((tag.number, how)),
            Effect::Schedule { event, .. } => self.control.event(event, &mut self.fx),
            other => unreachable!("{other:?} of a control half"),
        }
    }

    /// What the back end was told since the last look, completions apart.
    fn calls(&mut self) -> Vec<Call> {
        let calls = std::mem::take(&mut *self.back_end.calls.lock().unwrap());
        calls.into_iter().filter(|call| *call != Call::Complete).collect()
    }

    /// Puts commands at the producer's index.
    fn place(&mut self, commands: &[[u64; 2]]) -> u32 {
        let mut prod = self.r32(CMDQ_PROD);
        for words in commands {
            let at = COMMANDS + u64::from(prod & 0xf) * 16;
            self.set(at, words[0]);
            self.set(at + 8, words[1]);
            prod = (prod + 1) & 0x1f;
        }
        prod
    }

    /// Puts commands at the producer's index, and moves it.
    fn submit(&mut self, commands: &[[u64; 2]]) {
        let prod = self.place(commands);
        self.w32(CMDQ_PROD, prod);
    }

    fn report(&mut self, report: Report) {
        self.control.report(report, &mut self.fx);
        self.deliver();
    }

    /// The record in this slot of the event queue.
    fn record(&self, slot: u64) -> [u64; 4] {
        std::array::from_fn(|word| self.get(EVENTS + slot * 32 + word as u64 * 8))
    }

    /// The transaction `number` of stream 7 is held under `stag`, and its event reported.
    fn hold(&mut self, number: u32, stag: u16) {
        let unit = UnitId::only(UnitKind::Smmuv3);
        self.back_end.held.lock().unwrap().push((StreamId(7), stag, StallTag { unit, number }));
        self.report(Report { stall: Some(stag), ..fault() });
    }

    /// What became of the last event.
    fn fate(&mut self) -> &'static str {
        let events = self.fx.take_trace().into_iter().rev();
        let mut fates = events.filter_map(|event| match event {
            TraceEvent::Event { fate, .. } => Some(fate),
            _ => None,
        });
        fates.next().unwrap()
    }
}

/// A read by stream 7, without a SubstreamID, that stage 1 did not translate.
fn fault() -> Report {
    let subject = Subject {
        stream: StreamId(7),
        substream: None,
        address: Iova(0x1_2345_6789),
        read: true,
        instruction: false,
        privileged: false,
    };
    let reason = Reason::Fault(TranslationFault {
        kind: FaultKind::Translation,
        stage: Stage::One,
        class: Class::In,
        ipa: None,
        descriptor_read: false,
    });
    Report { reason, subject, stall: None, merge: false }
}

/// Numbers that only look random.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}
