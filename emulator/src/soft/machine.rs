//! A machine of the board `virt` as software CPUs meet it.

use std::sync::Arc;

use cpu::interp::{BusError, Lines};
use devices::events::Time;
use devices::mem::WriteWatch;
use vm_memory::GuestMemoryMmap;

use super::Board;
use crate::config::MachineSpec;
use crate::machine::{Interrupt, Machine};

/// INTID of PPI 0.
const FIRST_PPI: u32 = 16;

/// What no model claims reads as all ones and swallows writes: nothing here ends in an external abort.
impl Board for Machine {
    fn memory(&self) -> &GuestMemoryMmap {
        self.memory()
    }

    fn watch(&self, watch: Arc<dyn WriteWatch>) {
        self.phys().watch(watch);
    }

    fn read(&mut self, address: u64, data: &mut [u8]) -> Result<(), BusError> {
        self.read(address, data);
        Ok(())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        self.write(address, data);
        Ok(())
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

    fn lines(&mut self, cpu: usize) -> Lines {
        let devices::gic::Lines { irq, fiq } = self.interrupt_inputs(cpu);
        Lines { irq, fiq, serror: None }
    }

    /// Lines end at the GIC: nobody here listens to them besides.
    fn take_event(&mut self) -> bool {
        self.take_interrupts().contains(&Interrupt::Event)
    }

    fn private_line(&mut self, cpu: usize, intid: u32, level: bool) {
        if let Some(ppi) = intid.checked_sub(FIRST_PPI) {
            self.set_private_interrupt(cpu, ppi, level);
        }
    }

    fn has_gic(&self) -> bool {
        matches!(self.config().machine, MachineSpec::Virt(_))
    }

    fn gic_read(&mut self, cpu: usize, register: u16) -> Option<u64> {
        self.read_gic_register(cpu, register)
    }

    fn gic_write(&mut self, cpu: usize, register: u16, value: u64) -> Option<()> {
        self.write_gic_register(cpu, register, value)
    }

    fn take_console(&mut self) -> Vec<u8> {
        self.take_console()
    }

    fn exit_request(&self) -> Option<u32> {
        self.exit_request()
    }
}
