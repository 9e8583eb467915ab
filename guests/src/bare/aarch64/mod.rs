//! An AArch64 machine of the `virt` kind, entered at EL1.
//!
//! The device tree tells RAM, CPUs, the GICv3 if there is one, the PCI configuration space and the
//! command line. The console is the PL011 at 0900_0000h. The MMU is on, with physical addresses mapped
//! to themselves. A run ends by a firmware call (`firmware`), which an emulator can tell a
//! program's verdict from.
//!
//! Programs for this architecture reach the CPU through the modules here; others need [`Hw`] alone.

mod boot;
pub mod cpu;
pub mod firmware;
pub mod interrupts;
pub mod mmu;
mod pl011;
pub mod processors;
pub mod vectors;

use core::arch::asm;

use crate::hw::{Hw, Range};
pub(super) use firmware::exit;
pub(super) use pl011::Port as Console;

/// The machine, once it is set up.
pub struct Machine {
    boot: boot::Information,
}

/// Sets the machine up and runs `program` on it; its result ends the run.
///
/// An image calls this from its `guest_main`.
pub fn run(device_tree: u64, program: fn(&mut Machine) -> u32) -> ! {
    pl011::init();
    let boot = boot::Information::read(device_tree);
    mmu::init(boot.memory, boot.ecam);
    interrupts::init(boot.gic);
    let mut machine = Machine { boot };
    let code = program(&mut machine);
    exit(code)
}

impl Machine {
    /// The affinities of the CPUs, as PSCI takes them, in the order of the device tree.
    pub fn processors(&self) -> impl Iterator<Item = u64> + use<> {
        self.boot.processors()
    }

    /// Makes the SPI with this INTID pending; no effect without a GIC.
    pub fn pend_spi(&mut self, intid: u32) {
        if let Some((distributor, _)) = self.boot.gic {
            interrupts::pend_spi(distributor, intid);
        }
    }

    /// Lets the SPI with this INTID in, triggered by its edge or its level; no effect without a GIC.
    pub fn enable_spi(&mut self, intid: u32, edge: bool) {
        if let Some((distributor, _)) = self.boot.gic {
            interrupts::enable_spi(distributor, intid, edge);
        }
    }
}

/// Orders what was stored to RAM before a store to a device that may look at it.
fn before_device_store() {
    // SAFETY: orders accesses.
    unsafe { asm!("dsb st", options(nostack, preserves_flags)) };
}

/// Orders a load from a device before loads of what it has written.
fn after_device_load() {
    // SAFETY: orders accesses.
    unsafe { asm!("dsb ld", options(nostack, preserves_flags)) };
}

impl Hw for Machine {
    fn mmio_read32(&mut self, address: u64) -> u32 {
        let value = cpu::load32(address);
        after_device_load();
        value
    }

    fn mmio_write32(&mut self, address: u64, value: u32) {
        before_device_store();
        cpu::store32(address, value);
    }

    fn mmio_read64(&mut self, address: u64) -> u64 {
        let value = cpu::load64(address);
        after_device_load();
        value
    }

    fn mmio_write64(&mut self, address: u64, value: u64) {
        before_device_store();
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
        pl011::write(text);
    }

    fn take_interrupt(&mut self) -> Option<u32> {
        interrupts::take()
    }

    fn idle(&mut self) {
        interrupts::idle();
    }

    fn ram(&self) -> Range {
        self.boot.ram
    }

    fn ecam(&self) -> u64 {
        let Some(ecam) = self.boot.ecam else {
            panic!("the device tree has no PCI host (pci-host-ecam-generic), and this program needs one");
        };
        ecam
    }

    fn command_line(&self) -> &str {
        self.boot.command_line
    }

    fn exit(&mut self, code: u32) {
        exit(code)
    }
}
