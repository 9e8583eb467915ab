//! The machine as a KVM processor meets it.

use devices::events::Time;
use vm_memory::GuestMemoryMmap;

use super::{Interrupt, Machine};
use crate::kvm::Platform;

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

    fn take_console(&mut self) -> Vec<u8> {
        self.take_console()
    }

    fn exit_request(&self) -> Option<u32> {
        self.exit_request()
    }
}
