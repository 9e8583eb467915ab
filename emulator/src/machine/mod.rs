//! The machine: models, memory and time joined at fixed addresses.
//!
//! A [`Machine`] is passive. It runs nothing by itself: its driver reads and writes addresses and
//! ports, lets time pass with [`Machine::advance`] and takes the interrupts. What no model claims
//! reads as all ones and swallows writes, as on a PC.
//!
//! Memory, time, remapping units and PCI are shared by all boards. What a board has besides
//! (interrupt controllers, console, clock) is its own: `q35` is a PC, `virt` is for AArch64. Interrupt
//! lines end at the board's interrupt controllers. A driver sees the lines as well, for those who test
//! devices without a processor.
//!
//! What is absent: processors and their local APICs, threads, host time.

mod assembly;
mod board;
mod bus;
mod deliver;
pub mod layout;
mod media;
mod platform;
mod probe;
mod q35;
mod resources;
mod state;
#[cfg(test)]
mod tests;
mod time;
mod unit;
mod virt;

use devices::addr::Pa;
use devices::events::{EventQueue, Time};
use devices::mem::{MemError, PhysMem};
use devices::pci::Host;
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::config::{ConfigError, MachineConfig, MachineSpec, UnitLayout, place};
use crate::trace::Sink;
use board::Board;
pub use deliver::Interrupt;
use media::Files;
pub use media::OpenError;
use platform::Platform;
pub use probe::{Explained, ProbeError};
use q35::Q35;
pub use state::{MachineState, RestoreError};
use unit::Remapper;
use virt::Virt;

/// The first remapping unit's number in the event queue; the others follow.
const FIRST_UNIT: u32 = 1;

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
    platform: Platform,
    board: Board,
    sink: Option<Box<dyn Sink>>,
}

impl Machine {
    /// A machine in its reset state: RAM is zero, no BAR is assigned. Files that its devices name are opened,
    /// and locked as long as it is there.
    ///
    /// # Errors
    /// Where the description contradicts itself, the host lacks the memory, or a file cannot be used.
    pub fn new(config: &MachineConfig) -> Result<Self, ConfigError> {
        Self::build(config, Files::Opened)
    }

    /// As [`Self::new`], but files that its devices name are not looked at. For a saved machine that is to
    /// be explained: whoever saved it chose the names, and the files need not be there. Guests read errors.
    ///
    /// # Errors
    /// As [`Self::new`], but for files.
    pub fn without_files(config: &MachineConfig) -> Result<Self, ConfigError> {
        Self::build(config, Files::Absent)
    }

    fn build(config: &MachineConfig, files: Files) -> Result<Self, ConfigError> {
        config.check()?;
        let bytes = config.memory.bytes();
        let ranges = match config.machine {
            MachineSpec::Q35(_) => layout::q35::ram(bytes),
            MachineSpec::Virt(_) => layout::virt::ram(bytes),
        };
        let memory = allocate(&ranges)?;
        let phys = PhysMem::from_guest_memory(&memory)?;
        let placed = place(&config.devices)?;
        config.machine.check_places(&placed)?;
        let served = UnitLayout::new(&config.iommus, &placed, &config.devices)?;
        let units = assembly::units(config, &served, &phys)?;
        let pci = assembly::build(config, &placed, &phys, &served, &units, files)?;
        let platform = assembly::platform(config, &phys, &served, &units);
        let board = match config.machine {
            MachineSpec::Q35(spec) => {
                let translate = assembly::translator(&config.machine, &units, served.ioapic());
                Board::Q35(Box::new(Q35::new(spec, &ranges, translate)))
            }
            MachineSpec::Virt(spec) => Board::Virt(Box::new(Virt::new(spec, phys.clone()))),
        };
        Ok(Self {
            config: config.clone(),
            now: Time::default(),
            events: EventQueue::default(),
            interrupts: Vec::new(),
            units,
            served,
            pci,
            platform,
            board,
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
        self.board.exit_request()
    }

    /// Removes and returns what the guest sent to its serial console.
    pub fn take_console(&mut self) -> Vec<u8> {
        self.board.take_console()
    }

    /// Removes and returns what the guest sent to its auxiliary UART, which a virt has: there programs
    /// speak to this side without the kernel's messages in between.
    pub fn take_auxiliary(&mut self) -> Vec<u8> {
        self.board.take_auxiliary()
    }

    /// Types `bytes` on the serial console; returns how many it took, the others come too early.
    pub fn type_console(&mut self, bytes: &[u8]) -> usize {
        let mut fx = self.effects();
        let taken = self.board.type_console(bytes, &mut fx);
        self.deliver(fx);
        taken
    }

    /// Whether the guest waits for input on the serial console by interrupt: what is typed before may
    /// be lost to a driver that is yet to begin.
    pub fn is_console_listening(&self) -> bool {
        self.board.is_console_listening()
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
