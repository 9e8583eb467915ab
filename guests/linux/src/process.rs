//! A process as the hardware that drivers run on.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use guests::hw::{Hw, Range};

use crate::sys::{self, Mapping};
use crate::uapi::VECTORS;
use crate::vfio;

/// Bytes of memory for tables, rings and buffers.
pub const MEMORY: usize = 8 << 20;
/// Where they begin: low enough that guests have their addresses above it, and a multiple of 2 MiB, so that
/// blocks can map them.
pub const MEMORY_AT: u64 = 0x10_0000_0000;

/// Memory and register windows of a process, all at their virtual addresses, and the interrupts of one
/// device by their MSI-X vectors.
pub struct Process {
    /// What devices may be let reach.
    pub memory: Mapping,
    windows: Vec<Mapping>,
    eventfds: Option<[OwnedFd; VECTORS]>,
    arrived: VecDeque<u32>,
    command_line: String,
}

impl Process {
    /// A process with memory and no devices.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(command_line: String) -> io::Result<Self> {
        let memory = Mapping::memory(MEMORY_AT, MEMORY)?;
        Ok(Self { memory, windows: Vec::new(), eventfds: None, arrived: VecDeque::new(), command_line })
    }

    /// Adds a window; returns its address.
    pub fn add_window(&mut self, window: Mapping) -> u64 {
        let address = window.address();
        self.windows.push(window);
        address
    }

    /// Forgets all windows, which makes their addresses invalid.
    pub fn drop_windows(&mut self) {
        self.windows.clear();
    }

    /// Takes interrupts from these eventfds, by their order, or from none.
    pub fn take_interrupts_from(&mut self, eventfds: Option<[OwnedFd; VECTORS]>) {
        self.eventfds = eventfds;
        self.arrived.clear();
    }

    fn window(&self, address: u64, len: usize) -> &Mapping {
        let window = self.windows.iter().find(|window| window.holds(address, len));
        window.unwrap_or_else(|| panic!("{address:#x} is in no register window"))
    }
}

impl Hw for Process {
    fn mmio_read32(&mut self, address: u64) -> u32 {
        self.window(address, 4).read(address)
    }

    fn mmio_write32(&mut self, address: u64, value: u32) {
        self.window(address, 4).write(address, value);
    }

    fn mmio_read64(&mut self, address: u64) -> u64 {
        self.window(address, 8).read(address)
    }

    fn mmio_write64(&mut self, address: u64, value: u64) {
        self.window(address, 8).write(address, value);
    }

    fn mem_read(&mut self, address: u64, data: &mut [u8]) {
        for (at, byte) in (address..).zip(data) {
            *byte = self.memory.read(at);
        }
    }

    fn mem_write(&mut self, address: u64, data: &[u8]) {
        for (at, byte) in (address..).zip(data) {
            self.memory.write(at, *byte);
        }
    }

    fn mem_read32(&mut self, address: u64) -> u32 {
        self.memory.read(address)
    }

    fn mem_write32(&mut self, address: u64, value: u32) {
        self.memory.write(address, value);
    }

    fn mem_read64(&mut self, address: u64) -> u64 {
        self.memory.read(address)
    }

    fn mem_write64(&mut self, address: u64, value: u64) {
        self.memory.write(address, value);
    }

    fn console(&mut self, text: &[u8]) {
        let mut out = io::stdout().lock();
        // Nobody is left to tell where the console is gone.
        let _ = out.write_all(text).and_then(|()| out.flush());
    }

    /// By vector; of those that wait at the same time, the lowest first.
    fn take_interrupt(&mut self) -> Option<u32> {
        if let Some(eventfds) = self.eventfds.as_ref().filter(|_| self.arrived.is_empty()) {
            for (vector, eventfd) in (0..).zip(eventfds) {
                for _ in 0..vfio::signals(eventfd.as_fd()).unwrap_or(0) {
                    self.arrived.push_back(vector);
                }
            }
        }
        self.arrived.pop_front()
    }

    fn idle(&mut self) {
        let files: Vec<_> = self.eventfds.iter().flatten().map(AsFd::as_fd).collect();
        // Whether it failed or not, the caller looks for what it waits for.
        let _ = sys::wait_readable(&files, 1);
    }

    fn ram(&self) -> Range {
        let start = self.memory.address();
        Range { start, last: start + self.memory.len() as u64 - 1 }
    }

    /// None: a process reaches configuration space through VFIO alone. The address is in no window.
    fn ecam(&self) -> u64 {
        0
    }

    fn command_line(&self) -> &str {
        &self.command_line
    }

    fn exit(&mut self, code: u32) {
        std::process::exit(i32::from(code != 0));
    }
}
