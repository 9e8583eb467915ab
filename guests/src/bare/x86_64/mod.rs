//! An x86-64 PC.
//!
//! COM1 takes the console, the local APIC runs in x2APIC mode, and a dword written to port f4h ends
//! the run.
//!
//! Only integer instructions of the base instruction set are used: the image must run where a
//! para-virtual KVM emulates every instruction.

mod apic;
mod boot;
mod cpu;
mod interrupts;
mod serial;

use crate::hw::{Hw, Pc, Q35_ECAM, Range};
pub(super) use serial::Port as Console;

/// Port that ends the run.
const EXIT_PORT: u16 = 0xf4;

/// The machine, once it is set up.
#[derive(Debug)]
pub struct Machine {
    ram: Range,
    command_line: &'static str,
    apic_id: u8,
}

/// Sets the machine up and runs `program` on it; its result ends the run.
///
/// An image calls this from its `guest_main`.
pub fn run(boot_params: u64, program: fn(&mut Machine) -> u32) -> ! {
    serial::init();
    interrupts::init();
    let apic_id = apic::init();
    let boot = boot::Information::read(boot_params);
    let mut machine = Machine { ram: boot.ram, command_line: boot.command_line, apic_id };
    let code = program(&mut machine);
    exit(code)
}

pub(super) fn exit(code: u32) -> ! {
    cpu::out32(EXIT_PORT, code);
    loop {
        cpu::halt();
    }
}

impl Hw for Machine {
    fn mmio_read32(&mut self, address: u64) -> u32 {
        cpu::load32(address)
    }

    fn mmio_write32(&mut self, address: u64, value: u32) {
        cpu::store32(address, value);
    }

    fn mmio_read64(&mut self, address: u64) -> u64 {
        cpu::load64(address)
    }

    fn mmio_write64(&mut self, address: u64, value: u64) {
        cpu::store64(address, value);
    }

    fn mem_read(&mut self, address: u64, data: &mut [u8]) {
        cpu::copy_in(address, data);
    }

    fn mem_write(&mut self, address: u64, data: &[u8]) {
        cpu::copy_out(address, data);
    }

    fn mem_read32(&mut self, address: u64) -> u32 {
        cpu::load32(address)
    }

    fn mem_write32(&mut self, address: u64, value: u32) {
        cpu::store32(address, value);
    }

    fn mem_read64(&mut self, address: u64) -> u64 {
        cpu::load64(address)
    }

    fn mem_write64(&mut self, address: u64, value: u64) {
        cpu::store64(address, value);
    }

    fn console(&mut self, text: &[u8]) {
        serial::write(text);
    }

    fn take_interrupt(&mut self) -> Option<u32> {
        interrupts::take()
    }

    fn idle(&mut self) {
        interrupts::idle();
    }

    fn ram(&self) -> Range {
        self.ram
    }

    fn command_line(&self) -> &str {
        self.command_line
    }

    fn ecam(&self) -> u64 {
        Q35_ECAM
    }

    fn exit(&mut self, code: u32) {
        exit(code)
    }
}

impl Pc for Machine {
    fn port_read8(&mut self, port: u16) -> u8 {
        cpu::in8(port)
    }

    fn port_write8(&mut self, port: u16, value: u8) {
        cpu::out8(port, value);
    }

    fn port_read32(&mut self, port: u16) -> u32 {
        cpu::in32(port)
    }

    fn port_write32(&mut self, port: u16, value: u32) {
        cpu::out32(port, value);
    }

    fn apic_id(&self) -> u8 {
        self.apic_id
    }
}
