//! A small machine around a [`Host`], for tests.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::*;
use crate::addr::{Pa, SourceId};
use crate::events::{DeviceId, EventQueue, Time};
use crate::fabric::{Direct, DmaPort, Effect, Effects, Outcome, Transaction, Translate, Verdict};
use crate::mem::PhysMem;
use crate::trace::TraceEvent;

/// RAM from 0 on.
pub(crate) const RAM: u64 = 1 << 20;

/// No IOMMU, except that it answers requests to some addresses by itself.
pub(crate) struct Refuse(pub RangeInclusive<u64>, pub Outcome);

impl Translate for Refuse {
    fn translate(&self, transaction: &Transaction, fx: &mut Effects) -> Verdict {
        match self {
            Self(range, outcome) if range.contains(&transaction.address.0) => Verdict::Refused(*outcome),
            _ => Direct.translate(transaction, fx),
        }
    }
}

pub(crate) struct Rig {
    pub host: Host,
    pub mem: PhysMem,
    pub fx: Effects,
    pub queue: EventQueue,
    iommu: Arc<dyn Translate>,
    /// Message interrupts: sender, address, data.
    pub messages: Vec<(SourceId, u64, u32)>,
    /// Changes of interrupt lines.
    pub lines: Vec<(u32, bool)>,
    devices: u32,
}

impl Rig {
    pub fn new() -> Self {
        Self::behind(Arc::new(Direct))
    }

    pub fn behind(iommu: Arc<dyn Translate>) -> Self {
        Self {
            host: Host::new(),
            mem: PhysMem::anonymous(&[(Pa(0), RAM)]).unwrap(),
            fx: Effects::new(Time(0), true),
            queue: EventQueue::default(),
            iommu,
            messages: Vec::new(),
            lines: Vec::new(),
            devices: 0,
        }
    }

    pub fn try_add(&mut self, at: Placement<'_>, model: Box<dyn Endpoint>) -> Result<DeviceId, AddError> {
        let id = DeviceId(self.devices);
        let port = DmaPort::new(SourceId(0xffff), self.mem.clone(), self.iommu.clone());
        self.host.add_endpoint(at, id, port, model)?;
        self.devices += 1;
        Ok(id)
    }

    /// Adds a function to bus 0.
    pub fn add(&mut self, device: u8, function: u8, model: Box<dyn Endpoint>) -> SourceId {
        self.try_add(Placement { bus: Bus::Root, device, function }, model).unwrap();
        SourceId::new(0, device, function)
    }

    /// Adds device 0 behind a root port.
    pub fn add_behind(&mut self, port: &str, function: u8, model: Box<dyn Endpoint>) -> DeviceId {
        self.try_add(Placement { bus: Bus::Behind(port), device: 0, function }, model).unwrap()
    }

    pub fn config8(&mut self, source: SourceId, offset: u64, value: u8) {
        self.host.write_config(source, offset, &[value], &mut self.fx);
        self.deliver();
    }

    pub fn config16(&mut self, source: SourceId, offset: u64, value: u16) {
        self.host.write_config(source, offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    pub fn config32(&mut self, source: SourceId, offset: u64, value: u32) {
        self.host.write_config(source, offset, &value.to_le_bytes(), &mut self.fx);
        self.deliver();
    }

    pub fn read_config32(&mut self, source: SourceId, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.host.read_config(source, offset, &mut data);
        u32::from_le_bytes(data)
    }

    pub fn read_config16(&mut self, source: SourceId, offset: u64) -> u16 {
        let mut data = [0; 2];
        self.host.read_config(source, offset, &mut data);
        u16::from_le_bytes(data)
    }

    /// The first 64 dwords of a configuration space that are not zero.
    pub fn dump(&mut self, source: SourceId) -> Vec<(u64, u32)> {
        (0..0x100)
            .step_by(4)
            .map(|at| (at, self.read_config32(source, at)))
            .filter(|(_, v)| *v != 0)
            .collect()
    }

    pub fn write(&mut self, address: u64, data: &[u8]) -> bool {
        let claimed = self.host.mmio_write(address, data, &mut self.fx);
        self.deliver();
        claimed
    }

    pub fn write32(&mut self, address: u64, value: u32) {
        assert!(self.write(address, &value.to_le_bytes()), "{address:#x} is not decoded");
    }

    pub fn write64(&mut self, address: u64, value: u64) {
        assert!(self.write(address, &value.to_le_bytes()), "{address:#x} is not decoded");
    }

    pub fn read32(&mut self, address: u64) -> u32 {
        let mut data = [0; 4];
        assert!(self.host.mmio_read(address, &mut data, &mut self.fx), "{address:#x} is not decoded");
        self.deliver();
        u32::from_le_bytes(data)
    }

    pub fn decodes(&mut self, address: u64) -> bool {
        self.host.mmio_read(address, &mut [0], &mut self.fx)
    }

    pub fn ram(&self, at: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.mem.read(Pa(at), &mut data).unwrap();
        data
    }

    /// Runs what is due up to `until`; returns how many events came.
    pub fn run_until(&mut self, until: u64) -> usize {
        let mut events = 0;
        while let Some(entry) = self.queue.pop_due(Time(until)) {
            self.fx.set_now(entry.time);
            self.host.event(entry.device, entry.event, &mut self.fx);
            self.deliver();
            events += 1;
        }
        self.fx.set_now(Time(until));
        events
    }

    /// Delivers one event, whenever it is due; `false` if there is none.
    pub fn step(&mut self) -> bool {
        let Some(entry) = self.queue.pop_due(Time::MAX) else { return false };
        self.fx.set_now(entry.time);
        self.host.event(entry.device, entry.event, &mut self.fx);
        self.deliver();
        true
    }

    pub fn deliver(&mut self) {
        for effect in self.fx.take() {
            match effect {
                Effect::Interrupt { initiator, address, data } => {
                    let source = initiator.source();
                    self.messages.push((source, address, data));
                }
                Effect::Line { line, asserted } => self.lines.push((line, asserted)),
                Effect::Schedule { device, time, event } => self.queue.push(time, device, event),
                Effect::PostedWrite { .. }
                | Effect::Fault { .. }
                | Effect::Stale { .. }
                | Effect::Event { .. }
                | Effect::Resume { .. }
                | Effect::Pulse { .. }
                | Effect::SendEvent { .. } => {
                    panic!("{effect:?} from a PCI function")
                }
            }
        }
    }

    /// Requester ids of the DMA since the last call.
    pub fn requesters(&mut self) -> Vec<SourceId> {
        let requester = |event| match event {
            TraceEvent::Dma { initiator, .. } => Some(initiator.source()),
            _ => None,
        };
        self.fx.take_trace().into_iter().filter_map(requester).collect()
    }
}

/// A model of no use but to be poked: writes of 4 bytes to BAR 0 at 0 raise a vector, at 4 set INTx,
/// at 8 write four bytes by DMA to that address; reads return how often it was reset, in each byte.
pub(crate) struct Poke {
    pub description: &'static Description,
    pub resets: u8,
}

impl Poke {
    pub fn boxed(description: &'static Description) -> Box<Self> {
        Box::new(Self { description, resets: 0 })
    }
}

impl Endpoint for Poke {
    fn describe(&self) -> &'static Description {
        self.description
    }

    fn read(&mut self, _: u8, _: u64, data: &mut [u8], _: &mut Context<'_>) {
        data.fill(self.resets);
    }

    fn write(&mut self, _: u8, offset: u64, data: &[u8], cx: &mut Context<'_>) {
        let value = u32::from_le_bytes(data.try_into().unwrap());
        match offset {
            0 => cx.interrupt(value.try_into().unwrap()),
            4 => cx.set_intx(value != 0),
            8 => drop(cx.dma_write(crate::fabric::Request::at(value.into()), &[0x5a; 4])),
            _ => {}
        }
    }

    fn timer(&mut self, _: Timer, _: &mut Context<'_>) {}

    fn reset(&mut self) {
        self.resets += 1;
    }

    fn save(&self) -> EndpointState {
        panic!("tests save real models")
    }

    fn restore(&mut self, _: EndpointState) -> Result<(), StateError> {
        panic!("tests restore real models")
    }
}

/// What a [`Poke`] is unless a test says otherwise.
pub(crate) const PLAIN: Description = Description {
    model: "poke",
    vendor: 0x1234,
    device: 0x5678,
    revision: 0,
    class: 0xff_0000,
    subsystem_vendor: 0,
    subsystem: 0,
    bars: &[BarSpec::new(0, BarKind::Memory32, 0x1000)],
    pin: Some(Pin::A),
    msi: None,
    msix: None,
    express: true,
    mastering: Mastering::Gated,
};
