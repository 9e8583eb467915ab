//! What a user's driver of an exerciser does: a ring and buffers in memory that it has mapped, and the
//! device's BAR.

use std::sync::Arc;

use devices::addr::SourceId;

use crate::machine::Machine;

/// How the device says a descriptor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Done, with the bytes moved.
    Done(u32),
    /// Unsupported Request, after so many bytes.
    Refused(u32),
    /// The ring itself could not be reached.
    RingFault,
}

/// The user's memory, as its driver of the device accesses it: offset in it, bytes.
pub trait UserView {
    /// Reads at an offset.
    fn read(&self, offset: u64, data: &mut [u8]);
    /// Writes at an offset.
    fn write(&self, offset: u64, data: &[u8]);
}

/// Descriptors in a ring.
const RING: u32 = 16;
/// Opcode: memory to the device's buffer.
const READ: u8 = 1;
/// Opcode: the device's buffer to memory.
const WRITE: u8 = 2;

/// A device in the hands of a user.
pub struct Driver<V> {
    machine: Arc<Machine>,
    source: SourceId,
    view: V,
    /// Offset of the ring in the user's memory.
    ring: u64,
    next: u32,
}

impl<V: UserView> Driver<V> {
    /// Takes the device over. Its ring is at `ring` in the user's memory and at `ring_iova` for the
    /// device.
    pub fn new(machine: &Arc<Machine>, source: SourceId, view: V, ring: u64, ring_iova: u64) -> Self {
        let device = Self { machine: Arc::clone(machine), source, view, ring, next: 0 };
        machine.write_bar(source, 0x08, &2u32.to_le_bytes());
        machine.write_bar(source, 0x10, &ring_iova.to_le_bytes());
        machine.write_bar(source, 0x18, &RING.to_le_bytes());
        machine.write_bar(source, 0x08, &1u32.to_le_bytes());
        device
    }

    /// The device writes `data`, of at most 4 KiB, to `iova`.
    pub fn dma_write(&mut self, iova: u64, data: &[u8]) -> Ended {
        self.machine.write_bar(self.source, 0x1000, data);
        self.run(WRITE, iova, data.len())
    }

    /// The device reads `data.len()` bytes, at most 4 KiB, from `iova`.
    pub fn dma_read(&mut self, iova: u64, data: &mut [u8]) -> Ended {
        let ended = self.run(READ, iova, data.len());
        for (at, bytes) in data.chunks_mut(4).enumerate() {
            let word = self.machine.read_bar(self.source, 0x1000 + at as u64 * 4).to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
        }
        ended
    }

    fn run(&mut self, opcode: u8, iova: u64, length: usize) -> Ended {
        let mut descriptor = [0; 64];
        descriptor[0] = opcode;
        descriptor[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        descriptor[8..16].copy_from_slice(&iova.to_le_bytes());
        let at = self.ring + u64::from(self.next) * 64;
        self.view.write(at, &descriptor);
        let tail = (self.next + 1) % RING;
        self.machine.write_bar(self.source, 0x1c, &tail.to_le_bytes());
        if self.machine.read_bar(self.source, 0x0c) & 2 != 0 {
            // Clear the fault, go on at the same descriptor when asked again.
            self.machine.write_bar(self.source, 0x08, &2u32.to_le_bytes());
            self.machine.write_bar(self.source, 0x0c, &2u32.to_le_bytes());
            self.machine.write_bar(self.source, 0x08, &1u32.to_le_bytes());
            self.next = 0;
            return Ended::RingFault;
        }
        self.next = tail;
        let mut written = [0; 8];
        self.view.read(at + 48, &mut written);
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| written[at + byte]));
        match word(0) {
            0x8000_0001 => Ended::Done(word(4)),
            0x8000_0003 => Ended::Refused(word(4)),
            other => panic!("status {other:#x}"),
        }
    }
}
