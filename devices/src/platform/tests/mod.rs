mod device;
mod stalls;
mod state;

use std::sync::{Arc, Mutex};

use super::*;
use crate::addr::{Pa, StreamId};
use crate::events::{EventQueue, Time};
use crate::fabric::{
    Abort, Access, Doorbell, Effect, Outcome, Transaction, Translate, Untranslated, Verdict,
};
use crate::iommu::{UnitId, UnitKind};
use crate::mem::PhysMem;
use crate::trace::TraceEvent;

const RAM: u64 = 1 << 20;
/// Where messages go.
const DOORBELL: u64 = 0x20_0040;
const RING: u64 = 0x1_0000;
const LINE: u32 = 144;
const MASTER: Initiator = Initiator::Platform { stream: StreamId(0x1_0000), can_stall: true };

const CONTROL: u64 = 0x08;
const STATUS: u64 = 0x0c;
const TAIL: u64 = 0x1c;
const HEAD: u64 = 0x20;
const COMPLETED: u64 = 0x24;
const INTERRUPT_CONTROL: u64 = 0x2c;
const INTERRUPT_STATUS: u64 = 0x30;
const TABLE: u64 = 0x4000;
const PENDING: u64 = 0x6000;
const BUFFER: u64 = 0x1000;

/// Status of a descriptor that is done.
const DONE: u32 = 0x8000_0001;

const RETRY: Resumption = Resumption::Retry;
const RAZ: Resumption = Resumption::End(Outcome::Raz);
const UR: Resumption = Resumption::End(Outcome::Abort(Abort::Ur));
const CA: Resumption = Resumption::End(Outcome::Abort(Abort::Ca));

const fn tag(number: u32) -> StallTag {
    StallTag { unit: UnitId::only(UnitKind::Smmuv3), number }
}

/// An IOMMU that translates nothing and holds accesses to absent pages.
#[derive(Default)]
struct Holding(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// Page and whether writes to it are held, or else reads; atomics count as writes.
    absent: Vec<(u64, bool)>,
    /// The number of the next tag.
    next: u32,
}

impl Translate for Holding {
    fn translate(&self, transaction: &Transaction, fx: &mut Effects) -> Verdict {
        let mut held = self.0.lock().unwrap();
        let access = (transaction.address.page().0, transaction.access != Access::Read);
        if !held.absent.contains(&access) {
            return Untranslated.translate(transaction, fx);
        }
        held.next += 1;
        Verdict::Refused(Outcome::Stalled(tag(held.next - 1)))
    }
}

/// A descriptor as qwords: command and length, address, address2, operand, compare, offset and PASID.
type D = [u64; 6];

struct Rig {
    device: Device,
    iommu: Arc<Holding>,
    mem: PhysMem,
    fx: Effects,
    queue: EventQueue,
    messages: Vec<(u64, u32)>,
    lines: Vec<bool>,
}

impl Rig {
    /// A device with a ring of 4 descriptors, enabled, without latency.
    fn new() -> Self {
        Self::with(0, 20)
    }

    fn with(latency: u32, pasid_bits: u8) -> Self {
        let mem = PhysMem::anonymous(&[(Pa(0), RAM)]).unwrap();
        let iommu = Arc::new(Holding::default());
        let port = DmaPort::of(MASTER, mem.clone(), iommu.clone())
            .with_doorbell(Doorbell { first: Pa(DOORBELL), last: Pa(DOORBELL + 3) });
        let device = Device::new(DeviceId(7), LINE, pasid_bits, port, Exerciser::new(latency));
        let mut rig = Self {
            device,
            iommu,
            mem,
            fx: Effects::new(Time(0), true),
            queue: EventQueue::default(),
            messages: Vec::new(),
            lines: Vec::new(),
        };
        rig.write(0x10, RING as u32);
        rig.write(0x18, 4);
        rig.write(CONTROL, 1);
        rig
    }

    fn read(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.device.read(offset, &mut data, &mut self.fx);
        u32::from_le_bytes(data)
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.device.write(offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    fn resume(&mut self, number: u32, how: Resumption) -> bool {
        let known = self.device.resume(tag(number), how, &mut self.fx);
        self.deliver();
        known
    }

    fn deliver(&mut self) {
        for effect in self.fx.take() {
            match effect {
                Effect::Interrupt { initiator, address, data } => {
                    assert_eq!(initiator, MASTER);
                    self.messages.push((address, data));
                }
                Effect::Line { line, asserted } => {
                    assert_eq!(line, LINE);
                    self.lines.push(asserted);
                }
                Effect::Schedule { device, time, event } => {
                    assert_eq!(device, DeviceId(7));
                    self.queue.push(time, device, event);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Runs what is due up to `until`.
    fn run_until(&mut self, until: u64) {
        while let Some(entry) = self.queue.pop_due(Time(until)) {
            self.fx.set_now(entry.time);
            self.device.event(entry.event, &mut self.fx);
            self.deliver();
        }
        self.fx.set_now(Time(until));
    }

    /// Has reads of a page held, or writes to it.
    fn take_away(&self, page: u64, write: bool) {
        self.iommu.0.lock().unwrap().absent.push((page, write));
    }

    /// Holds nothing from now on.
    fn mend(&self) {
        self.iommu.0.lock().unwrap().absent.clear();
    }

    /// How many transactions have been held so far.
    fn stalls(&self) -> u32 {
        self.iommu.0.lock().unwrap().next
    }

    fn put(&self, index: u64, descriptor: D) {
        for (at, word) in (0..).zip(descriptor) {
            self.mem.write(Pa(RING + 64 * index + 8 * at), &word.to_le_bytes()).unwrap();
        }
    }

    fn ram(&self, at: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.mem.read(Pa(at), &mut data).unwrap();
        data
    }

    fn buffer(&mut self, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.device.read(BUFFER, &mut data, &mut self.fx);
        data
    }

    /// Status, bytes and result that the device wrote.
    fn written(&self, index: u64) -> (u32, u32, u64) {
        let words = [6, 7].map(|word| self.mem.load64(Pa(RING + 64 * index + 8 * word)).unwrap());
        (words[0] as u32, (words[0] >> 32) as u32, words[1])
    }

    /// What was told of DMA since the last call.
    fn dma(&mut self) -> Vec<String> {
        let dma = |event: &TraceEvent| matches!(event, TraceEvent::Dma { .. });
        self.fx.take_trace().iter().filter(|event| dma(event)).map(ToString::to_string).collect()
    }

    /// Gives vector `vector` a message of its number, and has events be messages.
    fn message(&mut self, vector: u64) {
        self.write(TABLE + 16 * vector, DOORBELL as u32);
        self.write(TABLE + 16 * vector + 8, vector as u32);
        self.write(TABLE + 16 * vector + 12, 0);
        self.write(INTERRUPT_CONTROL, 1);
    }

    /// Runs a descriptor that does nothing but raise `vector`.
    fn raise(&mut self, vector: u64) {
        let at = self.read(TAIL);
        self.put(at.into(), [1 << 8 | vector << 16, 0, 0, 0, 0, 0]);
        self.write(TAIL, (at + 1) % 4);
    }
}
