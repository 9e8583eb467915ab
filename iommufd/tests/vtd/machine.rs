//! A machine with a VT-d unit, wired as a chipset does it: the driver under test has the unit's
//! registers and RAM, exercisers have a port each behind the unit.
//!
//! What the unit does beside answering (faults, interrupt messages) is delivered after each access, as
//! the devices' fabric wants it. The sanitizer is on, and what it sees is kept.

use std::sync::{Arc, Mutex, OnceLock};

use devices::addr::{Pa, SourceId};
use devices::events::{DeviceId, EventQueue, Time};
use devices::exerciser::Exerciser;
use devices::fabric::{DmaPort, Effect, Effects, Translate, posted_write};
use devices::iommu::Stale;
use devices::mem::PhysMem;
use devices::pci::{Bus, Host, Placement};
use devices::vtd::{Config, StaleUse, Unit};
use iommufd::driver::vtd::{FaultMessage, Mmio, Scope, Setup, VtdDriver};
use iommufd::span::Span;

/// RAM, from 0 on.
pub const RAM: u64 = 64 << 20;
/// The part of it that is the driver's.
pub const TABLES: Span = Span { start: 32 << 20, last: RAM - 1 };
/// The unit's fault event interrupt.
pub const FAULT_VECTOR: u8 = 0x51;
/// Where BARs are.
const BARS: u64 = 0xc000_0000;

/// The machine.
pub struct Machine {
    /// RAM, and what is plugged in.
    pub mem: PhysMem,
    translator: Arc<dyn Translate>,
    parts: Mutex<Parts>,
    driver: OnceLock<Arc<VtdDriver>>,
}

struct Parts {
    unit: Unit,
    pci: Host,
    queue: EventQueue,
    /// Vectors of interrupt messages that have not been delivered.
    vectors: Vec<u8>,
    stale: Vec<StaleUse>,
    devices: u32,
}

/// The bus to the unit's registers.
struct Registers(std::sync::Weak<Machine>);

impl Mmio for Registers {
    fn read(&self, offset: u64, size: u32) -> u64 {
        let machine = self.0.upgrade().unwrap();
        let mut data = [0; 8];
        let mut fx = Effects::default();
        let mut parts = machine.parts.lock().unwrap();
        parts.unit.read(offset, &mut data[..size as usize], &mut fx);
        parts.deliver(&machine.mem, &mut fx);
        u64::from_le_bytes(data)
    }

    fn write(&self, offset: u64, size: u32, value: u64) {
        let machine = self.0.upgrade().unwrap();
        let mut fx = Effects::default();
        let mut parts = machine.parts.lock().unwrap();
        parts.unit.write(offset, &value.to_le_bytes()[..size as usize], &mut fx);
        parts.deliver(&machine.mem, &mut fx);
    }
}

impl Parts {
    fn deliver(&mut self, mem: &PhysMem, fx: &mut Effects) {
        loop {
            let effects = fx.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Fault { fault, .. } => self.unit.fault(fault, fx),
                    Effect::PostedWrite { address, data, .. } => {
                        if posted_write(mem, address, data) {
                            self.vectors.push(data as u8);
                        }
                    }
                    Effect::Stale { stale: Stale::Vtd(stale), .. } => self.stale.push(stale),
                    Effect::Schedule { device, time, event } => self.queue.push(time, device, event),
                    Effect::Interrupt { .. } | Effect::Line { .. } => {}
                    other => panic!("{other:?} of a VT-d unit"),
                }
            }
        }
    }
}

impl Machine {
    /// A machine with a unit as `config` says, sanitized, and no driver.
    pub fn new(config: Config) -> Arc<Self> {
        let mem = PhysMem::anonymous(&[(Pa(0), RAM)]).unwrap();
        let unit = Unit::new(Config { sanitize: true, ..config }, mem.clone());
        let translator = unit.translator();
        let parts = Parts {
            unit,
            pci: Host::new(),
            queue: EventQueue::default(),
            vectors: Vec::new(),
            stale: Vec::new(),
            devices: 0,
        };
        Arc::new(Self { mem, translator, parts: Mutex::new(parts), driver: OnceLock::new() })
    }

    /// Interrupts go to `driver` from now on.
    pub fn set_driver(&self, driver: &Arc<VtdDriver>) {
        assert!(self.driver.set(Arc::clone(driver)).is_ok());
    }

    /// What firmware tells the driver.
    pub fn setup(&self) -> Setup {
        Setup {
            memory: self.mem.clone(),
            tables: TABLES,
            host_address_width: 48,
            ram: vec![Span { start: 0, last: RAM - 1 }],
            direct: Vec::new(),
            scope: Scope::Rest,
            fault_message: FaultMessage { vector: FAULT_VECTOR, destination: 0 },
        }
    }

    /// The unit's registers on the bus.
    pub fn registers(self: &Arc<Self>) -> Arc<dyn Mmio> {
        Arc::new(Registers(Arc::downgrade(self)))
    }

    /// Puts an exerciser at 00:`device`.0, decoding and mastering.
    pub fn add_exerciser(self: &Arc<Self>, device: u8) -> SourceId {
        let source = SourceId::new(0, device, 0);
        let mut parts = self.parts.lock().unwrap();
        let id = DeviceId(parts.devices);
        parts.devices += 1;
        let port = DmaPort::new(source, self.mem.clone(), Arc::clone(&self.translator));
        let place = Placement { bus: Bus::Root, device, function: 0 };
        parts.pci.add_endpoint(place, id, port, Box::new(Exerciser::new(0))).unwrap();
        let mut fx = Effects::default();
        let bar = bar_of(source) as u32;
        parts.pci.write_config(source, 0x10, &bar.to_le_bytes(), &mut fx);
        parts.pci.write_config(source, 0x04, &6u16.to_le_bytes(), &mut fx);
        source
    }

    /// Writes `data` to BAR 0 of an exerciser, and lets the machine run until nothing is due.
    pub fn write_bar(&self, source: SourceId, offset: u64, data: &[u8]) {
        let mut fx = Effects::default();
        let mut parts = self.parts.lock().unwrap();
        assert!(parts.pci.mmio_write(bar_of(source) + offset, data, &mut fx));
        parts.deliver(&self.mem, &mut fx);
        while let Some(entry) = parts.queue.pop_due(Time::MAX) {
            fx.set_now(entry.time);
            parts.pci.event(entry.device, entry.event, &mut fx);
            parts.deliver(&self.mem, &mut fx);
        }
        drop(parts);
        self.interrupt();
    }

    /// Reads a dword of BAR 0 of an exerciser.
    pub fn read_bar(&self, source: SourceId, offset: u64) -> u32 {
        let mut data = [0; 4];
        let mut fx = Effects::default();
        assert!(self.parts.lock().unwrap().pci.mmio_read(bar_of(source) + offset, &mut data, &mut fx));
        u32::from_le_bytes(data)
    }

    /// A port of its own behind the unit, for a bus master on another thread.
    pub fn port(&self, source: SourceId) -> DmaPort {
        let mut port = DmaPort::new(source, self.mem.clone(), Arc::clone(&self.translator));
        port.set_enabled(true);
        port
    }

    /// Delivers what the DMA of a [`Self::port`] led to.
    pub fn absorb(&self, fx: &mut Effects) {
        self.parts.lock().unwrap().deliver(&self.mem, fx);
        self.interrupt();
    }

    /// Delivers interrupt messages to the driver.
    fn interrupt(&self) {
        let vectors = std::mem::take(&mut self.parts.lock().unwrap().vectors);
        if let Some(driver) = self.driver.get() {
            vectors.into_iter().for_each(|vector| while driver.interrupt(vector) {});
        }
    }

    /// Uses of cached entries that memory did not bear out any more.
    pub fn take_stale(&self) -> Vec<StaleUse> {
        std::mem::take(&mut self.parts.lock().unwrap().stale)
    }

    /// Runs `access` on the unit beside the driver, as a test may.
    pub fn with_unit<R>(&self, access: impl FnOnce(&mut Unit, &mut Effects) -> R) -> R {
        let mut fx = Effects::default();
        let mut parts = self.parts.lock().unwrap();
        let result = access(&mut parts.unit, &mut fx);
        parts.deliver(&self.mem, &mut fx);
        result
    }

    /// Reads a qword of the unit's registers.
    pub fn register(&self, offset: u64) -> u64 {
        self.with_unit(|unit, fx| {
            let mut data = [0; 8];
            unit.read(offset, &mut data, fx);
            u64::from_le_bytes(data)
        })
    }
}

fn bar_of(source: SourceId) -> u64 {
    BARS + u64::from(source.device()) * 0x8000
}
