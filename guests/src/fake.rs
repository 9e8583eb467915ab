//! Hardware for unit tests: memory, and registers that keep what was written to them.

extern crate std;

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use crate::hw::{Hw, Pc, Q35_ECAM, Range};

/// RAM of one megabyte and sparse registers of 32 bits above it.
pub struct Fake {
    ram: Vec<u8>,
    /// Registers by address; what is absent reads 0.
    pub registers: BTreeMap<u64, u32>,
    /// Every register write, in order.
    pub writes: Vec<(u64, u32)>,
    /// Text written to the console.
    pub text: String,
    /// Interrupts to arrive, the next one last.
    pub interrupts: Vec<u32>,
    /// Calls of `idle`.
    pub idled: u32,
}

impl Fake {
    pub fn new() -> Self {
        Self {
            ram: std::vec![0; 1 << 20],
            registers: BTreeMap::new(),
            writes: Vec::new(),
            text: String::new(),
            interrupts: Vec::new(),
            idled: 0,
        }
    }
}

impl Hw for Fake {
    fn mmio_read32(&mut self, address: u64) -> u32 {
        assert_eq!(address % 4, 0, "misaligned register read");
        self.registers.get(&address).copied().unwrap_or(0)
    }

    fn mmio_write32(&mut self, address: u64, value: u32) {
        assert_eq!(address % 4, 0, "misaligned register write");
        self.writes.push((address, value));
        self.registers.insert(address, value);
    }

    fn mmio_read64(&mut self, address: u64) -> u64 {
        assert_eq!(address % 8, 0, "misaligned register read");
        u64::from(self.mmio_read32(address)) | u64::from(self.mmio_read32(address + 4)) << 32
    }

    fn mmio_write64(&mut self, address: u64, value: u64) {
        assert_eq!(address % 8, 0, "misaligned register write");
        self.mmio_write32(address, value as u32);
        self.mmio_write32(address + 4, (value >> 32) as u32);
    }

    fn mem_read(&mut self, address: u64, data: &mut [u8]) {
        let at = address as usize;
        data.copy_from_slice(&self.ram[at..at + data.len()]);
    }

    fn mem_write(&mut self, address: u64, data: &[u8]) {
        let at = address as usize;
        self.ram[at..at + data.len()].copy_from_slice(data);
    }

    fn mem_read32(&mut self, address: u64) -> u32 {
        let mut bytes = [0; 4];
        self.mem_read(address, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn mem_write32(&mut self, address: u64, value: u32) {
        self.mem_write(address, &value.to_le_bytes());
    }

    fn mem_read64(&mut self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.mem_read(address, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn mem_write64(&mut self, address: u64, value: u64) {
        self.mem_write(address, &value.to_le_bytes());
    }

    fn console(&mut self, text: &[u8]) {
        self.text.push_str(std::str::from_utf8(text).unwrap());
    }

    fn take_interrupt(&mut self) -> Option<u32> {
        self.interrupts.pop()
    }

    fn idle(&mut self) {
        self.idled += 1;
    }

    fn ram(&self) -> Range {
        Range { start: 0x1000, last: 0xf_ffff }
    }

    fn command_line(&self) -> &str {
        ""
    }

    fn ecam(&self) -> u64 {
        Q35_ECAM
    }

    fn exit(&mut self, _: u32) {}
}

impl Pc for Fake {
    fn port_read8(&mut self, _: u16) -> u8 {
        0xff
    }

    fn port_write8(&mut self, _: u16, _: u8) {}

    fn port_read32(&mut self, _: u16) -> u32 {
        u32::MAX
    }

    fn port_write32(&mut self, _: u16, _: u32) {}

    fn apic_id(&self) -> u8 {
        0
    }
}
