//! What a virtual processor needs of the machine around it.

use devices::events::Time;
use devices::ioapic::LevelRoute;
use vm_memory::GuestMemoryMmap;

use crate::machine::{Interrupt, Machine};

/// The machine as a KVM processor meets it: passive, as [`Machine`] is.
pub trait Platform: Send + 'static {
    /// RAM, which the processor reaches without an exit.
    fn memory(&self) -> &GuestMemoryMmap;
    /// Reads `data.len()` bytes at a physical address that is not RAM.
    fn read(&mut self, address: u64, data: &mut [u8]);
    /// Writes `data` to a physical address that is not RAM.
    fn write(&mut self, address: u64, data: &[u8]);
    /// Reads an I/O port; the length is the access size, 1, 2 or 4.
    fn io_read(&mut self, port: u16, data: &mut [u8]);
    /// Writes an I/O port; the length is the access size, 1, 2 or 4.
    fn io_write(&mut self, port: u16, data: &[u8]);
    /// Machine time.
    fn now(&self) -> Time;
    /// Lets machine time pass and does what is due; it may stop short of `until`.
    fn advance(&mut self, until: Time);
    /// When something is due next.
    fn next_event(&self) -> Option<Time>;
    /// Removes and returns the interrupts that have arisen.
    fn take_interrupts(&mut self) -> Vec<Interrupt>;
    /// The level-triggered interrupts whose end the platform waits for, if they are others than at
    /// the last call. A platform without an I/O APIC waits for none.
    fn take_level_routes(&mut self) -> Option<Vec<LevelRoute>> {
        None
    }
    /// The processor has ended the interrupt `vector`, which is one of those.
    fn end_of_interrupt(&mut self, _vector: u8) {}
    /// Removes and returns what the guest has printed.
    fn take_console(&mut self) -> Vec<u8>;
    /// The value with which the guest asked to end, once it has.
    fn exit_request(&self) -> Option<u32>;
}

impl Platform for Machine {
    fn memory(&self) -> &GuestMemoryMmap {
        self.memory()
    }

    fn read(&mut self, address: u64, data: &mut [u8]) {
        self.read(address, data);
    }

    fn write(&mut self, address: u64, data: &[u8]) {
        self.write(address, data);
    }

    fn io_read(&mut self, port: u16, data: &mut [u8]) {
        self.io_read(port, data);
    }

    fn io_write(&mut self, port: u16, data: &[u8]) {
        self.io_write(port, data);
    }

    fn now(&self) -> Time {
        self.now()
    }

    fn advance(&mut self, until: Time) {
        self.advance(until);
    }

    fn next_event(&self) -> Option<Time> {
        self.next_event()
    }

    fn take_interrupts(&mut self) -> Vec<Interrupt> {
        self.take_interrupts()
    }

    fn take_level_routes(&mut self) -> Option<Vec<LevelRoute>> {
        self.take_level_routes()
    }

    fn end_of_interrupt(&mut self, vector: u8) {
        self.end_of_interrupt(vector);
    }

    fn take_console(&mut self) -> Vec<u8> {
        self.take_console()
    }

    fn exit_request(&self) -> Option<u32> {
        self.exit_request()
    }
}
