//! The machine: models, memory and time joined at fixed addresses.
//!
//! A [`Machine`] is passive. It runs nothing by itself: its driver reads and writes addresses and
//! ports, lets time pass with [`Machine::advance`] and takes the interrupts. What no model claims
//! reads as all ones and swallows writes, as on a PC.
//!
//! What is absent: processors and their interrupt controllers, threads, host time.

mod bus;
mod deliver;
pub mod layout;
mod state;
#[cfg(test)]
mod tests;
mod time;

use devices::events::{EventQueue, Time};
use devices::mem::{MemError, PhysMem};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::config::{ConfigError, MachineConfig};
use crate::trace::Sink;
pub use deliver::Interrupt;
pub use state::{MachineState, RestoreError};

/// A machine at rest between two calls of its driver.
pub struct Machine {
    config: MachineConfig,
    memory: GuestMemoryMmap,
    phys: PhysMem,
    now: Time,
    events: EventQueue,
    interrupts: Vec<Interrupt>,
    sink: Option<Box<dyn Sink>>,
}

impl Machine {
    /// A machine in its reset state: RAM is zero, no BAR is assigned.
    ///
    /// # Errors
    /// Where the description contradicts itself or the host lacks the memory.
    pub fn new(config: &MachineConfig) -> Result<Self, ConfigError> {
        let memory = allocate(config)?;
        let phys = PhysMem::from_guest_memory(&memory)?;
        Ok(Self {
            config: config.clone(),
            memory,
            phys,
            now: Time::default(),
            events: EventQueue::default(),
            interrupts: Vec::new(),
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

fn allocate(config: &MachineConfig) -> Result<GuestMemoryMmap, MemError> {
    let ranges = layout::ram(config.memory.bytes())
        .into_iter()
        .map(|(start, bytes)| usize::try_from(bytes).map(|bytes| (GuestAddress(start.0), bytes)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| MemError::Map(e.to_string()))?;
    GuestMemoryMmap::from_ranges(&ranges).map_err(|e| MemError::Map(e.to_string()))
}
