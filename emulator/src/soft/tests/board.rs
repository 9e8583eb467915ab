//! A board that is RAM at 4000_0000h, a serial port, and a device that writes to RAM a while after it is
//! told to, and then raises the IRQ line of CPU 0.

use std::sync::Arc;

use cpu::interp::{BusError, Lines};
use devices::addr::Pa;
use devices::events::Time;
use devices::mem::{PhysMem, WriteWatch};
use vm_fdt::FdtWriter;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use crate::soft::{Board, VIRTUAL_TIMER};

pub const RAM: u64 = 0x4000_0000;
/// UARTDR and UARTFR [DDI 0183 3.3].
const UARTDR: u64 = 0x0900_0000;
const UARTFR: u64 = 0x0900_0018;
/// The device: a write stores its value at [`TestBoard::target`] after [`DELAY`]; a read lowers the line.
pub const DEVICE: u64 = 0x0a00_0000;
/// Nanoseconds.
pub const DELAY: u64 = 20_000;

pub struct TestBoard {
    memory: GuestMemoryMmap,
    phys: PhysMem,
    now: Time,
    console: Vec<u8>,
    /// Where the device writes.
    pub target: u64,
    due: Option<(Time, u32)>,
    irq: bool,
    /// When the device raised the line.
    pub raised: Vec<Time>,
    /// The virtual timer's output is the IRQ line.
    pub timer_is_irq: bool,
    timer: bool,
    /// Changes of private interrupts: CPU, INTID, level.
    pub private: Vec<(usize, u32, bool)>,
    pub exit: Option<u32>,
}

impl TestBoard {
    pub fn new(bytes: usize) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM), bytes)]).unwrap();
        let phys = PhysMem::from_guest_memory(&memory).unwrap();
        Self {
            memory,
            phys,
            now: Time(5),
            console: Vec::new(),
            target: RAM,
            due: None,
            irq: false,
            raised: Vec::new(),
            timer_is_irq: false,
            timer: false,
            private: Vec::new(),
            exit: None,
        }
    }

    /// It as a guest is told of it: a device tree without a GIC.
    pub fn tree(&self, cpus: usize) -> Vec<u8> {
        let mut fdt = FdtWriter::new().unwrap();
        let root = fdt.begin_node("").unwrap();
        let memory = fdt.begin_node("memory@40000000").unwrap();
        fdt.property_array_u64("reg", &[RAM, self.memory.iter().map(GuestMemoryRegion::len).sum()]).unwrap();
        fdt.end_node(memory).unwrap();
        let node = fdt.begin_node("cpus").unwrap();
        for cpu in (0..cpus).map(crate::soft::psci::affinity) {
            let node = fdt.begin_node(&format!("cpu@{cpu:x}")).unwrap();
            fdt.property_u64("reg", cpu).unwrap();
            fdt.end_node(node).unwrap();
        }
        fdt.end_node(node).unwrap();
        fdt.end_node(root).unwrap();
        fdt.finish().unwrap()
    }

    /// Puts instructions at an address.
    pub fn load(&self, address: u64, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.phys.write(Pa(address), &bytes).unwrap();
    }

    pub fn word(&self, address: u64) -> u64 {
        self.phys.load64(Pa(address)).unwrap()
    }
}

impl Board for TestBoard {
    fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    fn watch(&self, watch: Arc<dyn WriteWatch>) {
        self.phys.watch(watch);
    }

    fn read(&mut self, address: u64, data: &mut [u8]) -> Result<(), BusError> {
        data.fill(0);
        match address {
            UARTFR => Ok(()),
            DEVICE => {
                self.irq = false;
                Ok(())
            }
            _ => Err(BusError),
        }
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        match address {
            UARTDR => self.console.push(data[0]),
            0x0900_0004..=0x0900_0fff => {}
            DEVICE => {
                let value = u32::from_le_bytes(data.try_into().unwrap());
                self.due = Some((self.now.after(DELAY), value));
            }
            _ => return Err(BusError),
        }
        Ok(())
    }

    fn now(&self) -> Time {
        self.now
    }

    fn advance(&mut self, until: Time) {
        if let Some((due, value)) = self.due.filter(|(due, _)| *due <= until) {
            self.due = None;
            self.phys.write(Pa(self.target), &value.to_le_bytes()).unwrap();
            self.irq = true;
            self.raised.push(due);
        }
        self.now = self.now.max(until);
    }

    fn next_event(&self) -> Option<Time> {
        self.due.map(|(due, _)| due)
    }

    fn lines(&mut self, cpu: usize) -> Lines {
        let timer = self.timer_is_irq && self.timer;
        Lines { irq: (self.irq || timer) && cpu == 0, ..Lines::default() }
    }

    fn take_event(&mut self) -> bool {
        false
    }

    fn private_line(&mut self, cpu: usize, intid: u32, level: bool) {
        self.private.push((cpu, intid, level));
        if intid == VIRTUAL_TIMER {
            self.timer = level;
        }
    }

    fn has_gic(&self) -> bool {
        false
    }

    fn gic_read(&mut self, _: usize, _: u16) -> Option<u64> {
        None
    }

    fn gic_write(&mut self, _: usize, _: u16, _: u64) -> Option<()> {
        None
    }

    fn take_console(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.console)
    }

    fn exit_request(&self) -> Option<u32> {
        self.exit
    }
}
