//! The machine: models, memory and time joined at fixed addresses.
//!
//! A [`Machine`] is passive. It runs nothing by itself: its driver reads and writes addresses and
//! ports, lets time pass with [`Machine::advance`] and takes the interrupts. What no model claims
//! reads as all ones and swallows writes, as on a PC.
//!
//! Interrupt lines end at the I/O APIC and the 8259 pair, and leave the machine as messages. A driver
//! sees the lines as well, for those who test devices without a processor.
//!
//! What is absent: processors and their local APICs, threads, host time.

mod assembly;
mod bus;
mod deliver;
mod description;
pub mod layout;
mod lines;
mod probe;
mod resources;
mod routes;
mod state;
#[cfg(test)]
mod tests;
mod time;

use devices::addr::Pa;
use devices::events::{DeviceId, EventQueue, Time};
use devices::ioapic::IoApic;
use devices::mem::{MemError, PhysMem};
use devices::pci::Host;
use devices::pic::Pic;
use devices::vtd;
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::config::{ConfigError, MachineConfig, UnitLayout, place};
use crate::legacy::{DebugExit, FwCfg, Rtc, Serial};
use crate::trace::Sink;
pub use deliver::Interrupt;
use lines::Lines;
pub use probe::{Explained, ProbeError};
use routes::Routes;
pub use state::{MachineState, RestoreError};

/// The first remapping unit's number in the event queue; the others follow.
const FIRST_UNIT: u32 = 1;
/// Processors that a machine is driven by, at most.
const PROCESSORS: u16 = 1;

/// A remapping unit in its place.
struct Remapper {
    /// First register.
    base: u64,
    /// Its number in the event queue.
    device: DeviceId,
    unit: vtd::Unit,
}

/// A machine at rest between two calls of its driver.
pub struct Machine {
    config: MachineConfig,
    memory: GuestMemoryMmap,
    phys: PhysMem,
    now: Time,
    events: EventQueue,
    interrupts: Vec<Interrupt>,
    units: Vec<Remapper>,
    /// Which unit serves whom.
    served: UnitLayout,
    pci: Host,
    ioapic: IoApic,
    pic: Pic,
    lines: Lines,
    routes: Routes,
    serial: Serial,
    rtc: Rtc,
    fw_cfg: FwCfg,
    debug_exit: DebugExit,
    sink: Option<Box<dyn Sink>>,
}

impl Machine {
    /// A machine in its reset state: RAM is zero, no BAR is assigned.
    ///
    /// # Errors
    /// Where the description contradicts itself or the host lacks the memory.
    pub fn new(config: &MachineConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let ranges = layout::ram(config.memory.bytes());
        let memory = allocate(&ranges)?;
        let phys = PhysMem::from_guest_memory(&memory)?;
        let placed = place(&config.devices)?;
        config.machine.check_ioapic(&placed)?;
        let served = UnitLayout::new(&config.iommus, &placed)?;
        let units = assembly::units(config, &served, &phys)?;
        let pci = assembly::build(&placed, &phys, &served, &units)?;
        let ioapic = IoApic::new(config.machine.ioapic(), assembly::translator(&units, served.ioapic()));
        Ok(Self {
            config: config.clone(),
            now: Time::default(),
            events: EventQueue::default(),
            interrupts: Vec::new(),
            units,
            served,
            pci,
            ioapic,
            pic: Pic::new(),
            lines: Lines::default(),
            routes: Routes::default(),
            serial: Serial::new(layout::SERIAL_LINE),
            rtc: Rtc::new(ranges[0].1, ranges.get(1).map_or(0, |(_, bytes)| *bytes)),
            fw_cfg: FwCfg::new(PROCESSORS, PROCESSORS, config.memory.bytes()),
            debug_exit: DebugExit::default(),
            memory,
            phys,
            sink: None,
        })
    }

    /// What it was made from.
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// RAM as mappings of this process, for memory slots of virtual CPUs.
    pub fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    /// RAM as the models see it.
    pub fn phys(&self) -> &PhysMem {
        &self.phys
    }

    /// What the program in the machine wrote to the exit port, once it did: it wants to end.
    pub fn exit_request(&self) -> Option<u32> {
        self.debug_exit.exit_request()
    }

    /// Removes and returns what the guest sent to its serial console.
    pub fn take_console(&mut self) -> Vec<u8> {
        self.serial.take_output()
    }

    /// Types `bytes` on the serial console; returns how many it took, the others come too early.
    pub fn type_console(&mut self, bytes: &[u8]) -> usize {
        let mut fx = self.effects();
        let taken = self.serial.push_input(bytes, &mut fx);
        self.deliver(fx);
        taken
    }

    /// Tells `sink` of everything from now on; `None` ends the trace.
    pub fn set_trace(&mut self, sink: Option<Box<dyn Sink>>) -> Option<Box<dyn Sink>> {
        std::mem::replace(&mut self.sink, sink)
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("config", &self.config)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

fn allocate(ranges: &[(Pa, u64)]) -> Result<GuestMemoryMmap, MemError> {
    let ranges = ranges
        .iter()
        .map(|(start, bytes)| usize::try_from(*bytes).map(|bytes| (GuestAddress(start.0), bytes)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| MemError::Map(e.to_string()))?;
    GuestMemoryMmap::from_ranges(&ranges).map_err(|e| MemError::Map(e.to_string()))
}
