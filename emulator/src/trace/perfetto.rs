//! Traces for the Perfetto UI, in Chrome's trace-event JSON, which that UI opens.
//!
//! Tracks: the processor (accesses to registers and BARs, and the interrupts it gets), each device
//! (DMA), each IOMMU (translations with their table reads, faults or events, invalidations) and its
//! invalidation or command queue. What one IOMMU does follows from nothing that another did. Arrows lead from the access that set a device off to its DMA, on to the device's next DMA,
//! from a DMA to its translations, from a doorbell to the queue entries, and from what caused an
//! interrupt to the interrupt.
//!
//! A machine does much at one instant of its time. To be seen, what happens at one instant is spread
//! over the nanoseconds after it, a few for each event, in order. So a slice may stand late against
//! machine time, but never before one that it follows; the exact time is in its `machine_time_ns`.
//!
//! An arrow is two flow events with an id of their own. Its start is written when its end is known,
//! with the earlier time stamp, which the format permits: readers sort. So every start has its end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Write};

use devices::addr::SourceId;
use devices::events::Time;
use devices::fabric::{Access, Outcome, is_message};
use devices::iommu::{Stale, UnitId, UnitKind};
use devices::trace::TraceEvent;
use devices::vtd::names::SUPPRESSED;
use serde_json::{Value, json};

use super::Sink;

/// The one process of the trace: the machine.
const VTD: UnitId = UnitId::only(UnitKind::Vtd);
const PID: u32 = 1;
/// Nanoseconds of display for an event: its arrows touch it in the middle.
const EVENT: u64 = 2;
/// Steps of translations that wait for their DMA at most; more are shown without it.
const MAX_STEPS: usize = 4096;
/// Interrupt messages of devices on their way to the processor at most.
const MAX_MESSAGES: usize = 1024;

/// A row of the display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Track {
    Processor,
    Iommu(UnitId),
    Queue(UnitId),
    Device(SourceId),
}

impl Track {
    /// The thread id that stands for it.
    fn id(self) -> u32 {
        match self {
            Self::Processor => 1,
            // Two for each of at most 8.
            Self::Iommu(unit) => 2 + 2 * unit.index() as u32,
            Self::Queue(unit) => 3 + 2 * unit.index() as u32,
            Self::Device(source) => 0x1_0000 + u32::from(source.0),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Processor => "vCPU".to_owned(),
            Self::Iommu(VTD) => "IOMMU".to_owned(),
            Self::Queue(VTD) => "invalidation queue".to_owned(),
            Self::Iommu(unit) => format!("IOMMU {}", unit.name()),
            Self::Queue(unit) if unit.kind() == UnitKind::Smmuv3 => {
                format!("command queue of {}", unit.name())
            }
            Self::Queue(unit) => format!("invalidation queue of {}", unit.name()),
            Self::Device(source) => format!("device {source}"),
        }
    }
}

/// Where an arrow can touch a slice.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    track: Track,
    at: u64,
}

impl Anchor {
    /// On the slice that starts at `start`, before any slice inside it.
    fn of(track: Track, start: u64) -> Self {
        Self { track, at: start + EVENT / 2 }
    }
}

/// What the IOMMU did for a DMA that is not over.
#[derive(Debug)]
struct Walk {
    unit: UnitId,
    start: u64,
    /// Table reads: start, table, details.
    fetches: Vec<(u64, &'static str, Value)>,
    /// How it ended, if it has: end, name, details.
    end: Option<(u64, String, Value)>,
}

/// A trace for the Perfetto UI, written to a file or stream.
#[derive(Debug)]
pub struct Perfetto<W> {
    out: W,
    error: Option<io::Error>,
    begun: bool,
    now: Time,
    /// The next free nanosecond of the display.
    clock: u64,
    flows: u64,
    tracks: BTreeSet<Track>,
    /// The IOMMUs heard of.
    units: BTreeSet<UnitId>,
    /// Start of the DMA under way, which is told of at its end.
    dma: Option<u64>,
    walks: Vec<Walk>,
    /// Steps in `walks`.
    steps: usize,
    /// What the next DMA of each device follows from.
    devices: BTreeMap<SourceId, Anchor>,
    /// What the next queue entry of each IOMMU follows from.
    queues: BTreeMap<UnitId, Anchor>,
    /// What an invalidation or an event interrupt of each IOMMU follows from.
    causes: BTreeMap<UnitId, Anchor>,
    /// Messages of devices that have not reached the processor.
    messages: VecDeque<Anchor>,
    /// What an interrupt of another origin follows from.
    cause: Option<Anchor>,
    /// The DMA that an event of an SMMU is of.
    last_dma: Option<Anchor>,
}

impl<W: Write> Perfetto<W> {
    /// A trace on `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self {
            out,
            error: None,
            begun: false,
            now: Time::default(),
            clock: 0,
            flows: 0,
            tracks: BTreeSet::new(),
            units: BTreeSet::new(),
            dma: None,
            walks: Vec::new(),
            steps: 0,
            devices: BTreeMap::new(),
            queues: BTreeMap::new(),
            causes: BTreeMap::new(),
            messages: VecDeque::new(),
            cause: None,
            last_dma: None,
        }
    }

    /// The IOMMU of this name, if it is one.
    fn unit(&mut self, name: &str) -> Option<UnitId> {
        let unit = UnitId::named(name)?;
        self.units.insert(unit);
        Some(unit)
    }

    /// Takes the next place of the display.
    fn place(&mut self) -> u64 {
        let start = self.clock.max(self.now.0);
        self.clock = start + EVENT;
        start
    }

    fn write(&mut self, event: &Value) {
        if self.error.is_some() {
            return;
        }
        let before = if std::mem::replace(&mut self.begun, true) { ",\n" } else { "{\"traceEvents\":[\n" };
        self.error = write!(self.out, "{before}{event}").err();
    }

    fn name_track(&mut self, track: Track) {
        if !self.tracks.insert(track) {
            return;
        }
        if self.tracks.len() == 1 {
            let args = json!({ "name": "machine" });
            self.write(&json!({ "ph": "M", "pid": PID, "name": "process_name", "args": args }));
        }
        let args = json!({ "name": track.name() });
        let tid = track.id();
        self.write(&json!({ "ph": "M", "pid": PID, "tid": tid, "name": "thread_name", "args": args }));
        let args = json!({ "sort_index": tid });
        self.write(&json!({ "ph": "M", "pid": PID, "tid": tid, "name": "thread_sort_index", "args": args }));
    }

    fn slice(&mut self, track: Track, start: u64, end: u64, name: &str, mut args: Value) -> Anchor {
        self.name_track(track);
        args["machine_time_ns"] = self.now.0.into();
        self.write(&json!({
            "ph": "X", "pid": PID, "tid": track.id(), "ts": microseconds(start),
            "dur": microseconds(end - start), "name": name, "cat": "iommulator", "args": args,
        }));
        Anchor::of(track, start)
    }

    /// A slice of its own.
    fn event(&mut self, track: Track, name: &str, args: Value) -> Anchor {
        let start = self.place();
        self.slice(track, start, start + EVENT, name, args)
    }

    fn arrow(&mut self, from: Option<Anchor>, to: Anchor) {
        let Some(from) = from else { return };
        self.flows += 1;
        let end = |ph: &str, Anchor { track, at }| {
            json!({
                "ph": ph, "pid": PID, "tid": track.id(), "ts": microseconds(at),
                "name": "causes", "cat": "iommulator", "id": self.flows,
            })
        };
        let (start, mut end) = (end("s", from), end("f", to));
        // The end belongs to the slice that it lies in, not to the next one.
        end["bp"] = "e".into();
        self.write(&start);
        self.write(&end);
    }

    /// The walk under way. A request meets one IOMMU, so what another did is no part of it.
    fn walk(&mut self, unit: &'static str) -> &mut Walk {
        let unit = self.unit(unit).unwrap_or(VTD);
        if self.steps >= MAX_STEPS || self.walks.last().is_some_and(|walk| walk.unit != unit) {
            self.flush();
        }
        if self.dma.is_none() {
            self.dma = Some(self.place());
        }
        if self.walks.last().is_none_or(|walk| walk.end.is_some()) {
            let start = self.place();
            self.walks.push(Walk { unit, start, fetches: Vec::new(), end: None });
        }
        self.steps += 1;
        let last = self.walks.len() - 1;
        &mut self.walks[last]
    }

    fn fetch(&mut self, unit: &'static str, table: &'static str, args: Value) {
        self.walk(unit);
        let at = self.place();
        if let Some(walk) = self.walks.last_mut() {
            walk.fetches.push((at, table, args));
        }
    }

    fn end_walk(&mut self, unit: &'static str, name: String, args: Value) {
        self.walk(unit);
        let end = self.place();
        if let Some(walk) = self.walks.last_mut() {
            walk.end = Some((end, name, args));
        }
    }

    /// Writes the walks of a DMA, if it is known, or of something that was none.
    fn write_walks(&mut self, dma: Option<Anchor>) -> Option<Anchor> {
        self.steps = 0;
        let mut last = None;
        for Walk { unit, start, fetches, end } in std::mem::take(&mut self.walks) {
            let after = fetches.last().map_or(start + EVENT, |(at, ..)| at + EVENT);
            let (end, name, args) = end.unwrap_or((after, "table reads".to_owned(), json!({})));
            let anchor = self.slice(Track::Iommu(unit), start, end.max(after), &name, args);
            for (at, table, args) in fetches {
                self.slice(Track::Iommu(unit), at, at + EVENT, table, args);
            }
            self.arrow(dma, anchor);
            last = Some(anchor);
        }
        last
    }

    /// Gives up waiting for a DMA.
    fn flush(&mut self) {
        self.dma = None;
        if let Some(last) = self.write_walks(None) {
            self.cause = Some(last);
        }
    }

    fn finish_dma(&mut self, source: SourceId, name: &str, args: Value, message: bool) {
        let start = self.dma.take().unwrap_or_else(|| self.place());
        // After its last walk.
        let end = if self.walks.is_empty() { start + EVENT } else { self.place() };
        let anchor = self.slice(Track::Device(source), start, end, name, args);
        let before = self.devices.insert(source, anchor);
        self.arrow(before, anchor);
        self.last_dma = Some(anchor);
        let remapped = self.write_walks(Some(anchor));
        self.cause = Some(anchor);
        if message && self.messages.len() < MAX_MESSAGES {
            self.messages.push_back(remapped.unwrap_or(anchor));
        }
    }

    fn other(&mut self, event: &TraceEvent) {
        let text = event.to_string();
        match event {
            TraceEvent::RegisterRead { register, value, .. } => {
                let args = json!({ "value": hex((*value).into()), "text": text });
                self.event(Track::Processor, &format!("read {register}"), args);
            }
            TraceEvent::RegisterWrite { unit, register, value, .. } => {
                let args = json!({ "value": hex((*value).into()), "text": text });
                let anchor = self.event(Track::Processor, &format!("write {register}"), args);
                if let Some(unit) = self.unit(unit) {
                    self.causes.insert(unit, anchor);
                    if matches!(*register, "IQT_REG" | "SMMU_CMDQ_PROD") {
                        self.queues.insert(unit, anchor);
                    }
                }
                self.cause = Some(anchor);
            }
            TraceEvent::Bar { source, model, offset, value, write, .. } => {
                let name = format!("{} {model}+{offset:#x}", if *write { "write" } else { "read" });
                let args = json!({ "value": hex(*value), "text": text });
                let anchor = self.event(Track::Processor, &name, args);
                if *write {
                    self.devices.insert(*source, anchor);
                    self.cause = Some(anchor);
                }
            }
            TraceEvent::QueueEntry { unit, kind, words: [low, high], .. } => {
                let unit = self.unit(unit).unwrap_or(VTD);
                let args = json!({ "words": [hex(*low), hex(*high)], "text": text });
                let anchor = self.event(Track::Queue(unit), kind, args);
                let before = self.queues.insert(unit, anchor);
                self.arrow(before, anchor);
                self.causes.insert(unit, anchor);
                self.cause = Some(anchor);
            }
            TraceEvent::Invalidation { unit, .. } => {
                let unit = self.unit(unit).unwrap_or(VTD);
                let anchor = self.event(Track::Iommu(unit), "invalidate", json!({ "text": text }));
                self.arrow(self.causes.get(&unit).copied(), anchor);
            }
            TraceEvent::Fault { unit, source, reason, .. } => {
                let unit = self.unit(unit).unwrap_or(VTD);
                let name = format!("fault {reason:02x}h");
                let anchor = self.event(Track::Iommu(unit), &name, json!({ "text": text }));
                self.arrow(self.devices.get(source).copied(), anchor);
                self.causes.insert(unit, anchor);
                self.cause = Some(anchor);
            }
            TraceEvent::Event { unit, what, words, .. } => {
                let unit = self.unit(unit).unwrap_or(VTD);
                let args = json!({ "record": words.map(hex), "text": text });
                let anchor = self.event(Track::Iommu(unit), what, args);
                // StreamIDs are not the numbers by which devices are known here, but an event comes right
                // after its DMA.
                let dma = self.last_dma.take();
                self.arrow(dma, anchor);
                self.causes.insert(unit, anchor);
                self.cause = Some(anchor);
            }
            TraceEvent::Stale { unit, stale } => {
                let unit = self.unit(unit).unwrap_or(VTD);
                let anchor = self.event(Track::Iommu(unit), "stale entry used", json!({ "text": text }));
                // StreamIDs are not the numbers by which devices are known here.
                if let Stale::Vtd(stale) = stale {
                    self.arrow(self.devices.get(&stale.source).copied(), anchor);
                }
            }
            TraceEvent::Interrupt { unit, address, data } => {
                let name = format!("interrupt, vector {:#x}", data & 0xff);
                let args = json!({ "address": hex(*address), "data": hex((*data).into()) });
                let anchor = self.event(Track::Processor, &name, args);
                let from = match unit {
                    Some(unit) => self.unit(unit).and_then(|unit| self.causes.get(&unit).copied()),
                    None => self.messages.pop_front().or(self.cause),
                };
                self.arrow(from, anchor);
            }
            TraceEvent::Line { .. } => {
                let anchor = self.event(Track::Processor, &text, json!({}));
                self.arrow(self.cause, anchor);
            }
            TraceEvent::Unclaimed { .. } => {
                self.event(Track::Processor, "nobody there", json!({ "text": text }));
            }
            TraceEvent::ItsCommand { command, .. } => {
                let anchor = self.event(Track::Processor, command, json!({ "text": text }));
                self.cause = Some(anchor);
            }
            TraceEvent::Message { .. } | TraceEvent::Acknowledged { .. } => {
                let anchor = self.event(Track::Processor, &text, json!({}));
                self.arrow(self.cause, anchor);
            }
            // They are told of with their DMA.
            TraceEvent::Fetch { .. }
            | TraceEvent::Translation { .. }
            | TraceEvent::Protected { .. }
            | TraceEvent::Dma { .. } => {}
        }
    }
}

impl<W: Write + Send> Sink for Perfetto<W> {
    fn record(&mut self, time: Time, event: &TraceEvent) {
        self.now = time;
        match event {
            // Other models with tables have no track.
            TraceEvent::Fetch { unit, table, address, words: [low, high] }
                if UnitId::named(unit).is_some() =>
            {
                self.fetch(
                    unit,
                    table,
                    json!({ "address": hex(address.0), "words": [hex(*low), hex(*high)] }),
                );
            }
            TraceEvent::Translation { unit, iova, pa, cached, .. } => {
                let smmu = UnitId::named(unit).is_some_and(|unit| unit.kind() == UnitKind::Smmuv3);
                let name = match (cached, smmu) {
                    (false, _) => "translate",
                    (true, false) => "IOTLB hit",
                    (true, true) => "TLB hit",
                };
                self.end_walk(unit, name.to_owned(), json!({ "iova": hex(iova.0), "pa": hex(pa.0) }));
            }
            // A fault comes after its DMA, unless it is suppressed, which the walker says at once.
            TraceEvent::Protected { unit, .. } => {
                self.end_walk(unit, "protected region".to_owned(), json!({ "text": event.to_string() }));
            }
            TraceEvent::Fault { unit, fate, .. } if *fate == SUPPRESSED => {
                self.end_walk(unit, "fault, suppressed".to_owned(), json!({ "text": event.to_string() }));
            }
            TraceEvent::Dma { initiator, address, len, access, outcome, done } => {
                let what = match access {
                    Access::Read => "read",
                    Access::Write => "write",
                    Access::Atomic => "atomic",
                };
                let name = format!("{what} {len} bytes");
                let text = outcome.to_string();
                let args = json!({ "iova": hex(address.0), "outcome": text, "done": done });
                let message = is_message(address.0) && *access == Access::Write && *outcome == Outcome::Done;
                self.finish_dma(initiator.source(), &name, args, message);
            }
            _ => {
                self.flush();
                self.other(event);
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush();
        self.name_track(Track::Processor);
        if self.units.is_empty() {
            self.units.insert(VTD);
        }
        for unit in self.units.clone() {
            self.name_track(Track::Iommu(unit));
            self.name_track(Track::Queue(unit));
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.write_all(b"\n]}\n").and_then(|()| self.out.flush()),
        }
    }
}

/// The unit of time stamps, with nanoseconds as decimals: exact up to 104 days.
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

/// A number as people read it, and in full: readers of JSON keep only 53 bits of one.
fn hex(value: u64) -> String {
    format!("{value:#x}")
}
