//! A machine with its control socket, as a KVM processor meets it.

use std::ops::ControlFlow;

use devices::events::Time;
use devices::ioapic::LevelRoute;
use vm_memory::GuestMemoryMmap;

use super::Server;
use crate::kvm::Platform;
use crate::machine::{Interrupt, Machine};

/// Nanoseconds after which commands are looked for where the guest does not come by.
const POLL: u64 = 10_000_000;

/// A machine whose control socket is served whenever its time passes, which is under its lock.
#[derive(Debug)]
pub struct Controlled {
    machine: Machine,
    server: Server,
    /// When to look for commands next.
    poll: Time,
}

impl Controlled {
    /// Joins the two.
    pub fn new(machine: Machine, server: Server) -> Self {
        let poll = machine.now().after(POLL);
        Self { machine, server, poll }
    }

    /// Parts them again.
    pub fn into_parts(self) -> (Machine, Server) {
        (self.machine, self.server)
    }
}

impl Platform for Controlled {
    fn memory(&self) -> &GuestMemoryMmap {
        self.machine.memory()
    }

    fn read(&mut self, address: u64, data: &mut [u8]) {
        self.machine.read(address, data);
    }

    fn write(&mut self, address: u64, data: &[u8]) {
        self.machine.write(address, data);
    }

    fn io_read(&mut self, port: u16, data: &mut [u8]) {
        self.machine.io_read(port, data);
    }

    fn io_write(&mut self, port: u16, data: &[u8]) {
        self.machine.io_write(port, data);
    }

    fn now(&self) -> Time {
        self.machine.now()
    }

    fn advance(&mut self, until: Time) {
        let now = self.machine.advance(until);
        if now >= self.poll {
            self.poll = now.after(POLL);
        }
        // What breaks is seen in `exit_request`.
        let (ControlFlow::Continue(()) | ControlFlow::Break(())) = self.server.serve(&mut self.machine);
    }

    fn next_event(&self) -> Option<Time> {
        Some(self.machine.next_event().map_or(self.poll, |due| due.min(self.poll)))
    }

    fn take_interrupts(&mut self) -> Vec<Interrupt> {
        self.machine.take_interrupts()
    }

    fn take_level_routes(&mut self) -> Option<Vec<LevelRoute>> {
        self.machine.take_level_routes()
    }

    fn end_of_interrupt(&mut self, vector: u8) {
        self.machine.end_of_interrupt(vector);
    }

    fn take_console(&mut self) -> Vec<u8> {
        self.machine.take_console()
    }

    fn exit_request(&self) -> Option<u32> {
        self.machine.exit_request().or(self.server.has_quit().then_some(0))
    }
}
