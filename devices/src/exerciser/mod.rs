//! The exerciser: a bus master that does on request what IOMMU tests need. It is our own; no
//! hardware like it exists.
//!
//! It is a PCI function, 1234:1077, class 0x088000, revision 1, whose BAR 0 is 32 KiB of 64-bit memory,
//! or a device on the platform bus with the same registers and a few more; see
//! [`platform`](crate::platform).
//!
//! | offset | |
//! |---|---|
//! | 0x0000 | registers, 4 KiB; accesses of any size and alignment |
//! | 0x1000 | the buffer, 4 KiB of RAM |
//! | 0x4000 | MSI-X table, 8 vectors |
//! | 0x6000 | MSI-X pending bits |
//!
//! | offset | bits | register | |
//! |---|---|---|---|
//! | 0x00 | 32 | ID | RO, 0x494f4d55 |
//! | 0x04 | 32 | VERSION | RO, 1 |
//! | 0x08 | 32 | CONTROL | bit 0 ENABLE; bit 1 RESET reads as 0: writing 1 stops the device, clears ENABLE, HEAD, TAIL, COMPLETED and STATUS and drops the descriptor in progress, before bit 0 of the same write takes effect. Clearing ENABLE stops before the next descriptor and drops the one in progress |
//! | 0x0c | 32 | STATUS | bit 0 BUSY, RO; bit 1 RING_FAULT, RW1C: a descriptor fetch or a status write was refused, ENABLE is cleared, HEAD stays at the descriptor; bit 2 BAD_DESCRIPTOR, RW1C: a malformed descriptor completed with code 5; bit 3 HELD, RO: the IOMMU holds the DMA in progress, 0 on PCI |
//! | 0x10 | 64 | RING_BASE | IOVA of the ring, bits 5:0 read as 0; ignored while BUSY |
//! | 0x18 | 32 | RING_SIZE | descriptors in the ring, 2 to 4096; any other value becomes 0, with which ENABLE stays 0; ignored while BUSY. A size that HEAD or TAIL does not fit sets both to 0 |
//! | 0x1c | 32 | TAIL | the doorbell: one past the last ready descriptor; a value not below RING_SIZE is ignored |
//! | 0x20 | 32 | HEAD | RO, the next descriptor to take |
//! | 0x24 | 32 | COMPLETED | RO, descriptors completed since RESET, wraps |
//! | 0x28 | 32 | LATENCY | nanoseconds from the fetch of a descriptor to its DMA |
//!
//! A descriptor has 64 bytes; see [`Descriptor`] for its bits. The opcodes:
//!
//! | code | | |
//! |---|---|---|
//! | 0 | nop | |
//! | 1 | read | `length` bytes of memory at `address` to the buffer |
//! | 2 | write | the buffer to memory at `address` |
//! | 3 | copy | memory at `address` to memory at `address2` |
//! | 4 | fetch-add | `operand` to the number at `address` |
//! | 5 | swap | `operand` with the number at `address` |
//! | 6 | compare-and-swap | `operand` to `address` if `compare` is there |
//! | 7 | zero-length read | of `address` |
//!
//! Transfers start at `buffer_offset` in the buffer and wrap around in it. When a descriptor is
//! done, the device writes its last 16 bytes: at byte 48 the status (bit 31 DONE; 7:0 code: 1 done,
//! 2 read as zero, 3 Unsupported Request, 4 Completer Abort, 5 malformed), at 52 the bytes moved, at
//! 56 the old value of an atomic, else 0. Fetch and status write are DMA without PASID. The order is
//! fetch, latency, DMA, status write, HEAD and COMPLETED, MSI-X message.
//!
//! Work is bounded: after 256 descriptors or 256 pages of DMA the device goes on in an event.
//!
//! A DMA that the IOMMU holds waits in the device, at the piece of at most a page where it stopped, and
//! so do all descriptors behind it: the engine has one DMA under way at a time. When the IOMMU has that
//! piece retried, or ended, the device goes on from there; what a copy has read before its write was
//! held is not read again. RESET, and clearing ENABLE, drop a held DMA, and nothing comes of it any more.

mod attachment;
mod bus;
mod descriptor;
mod engine;
mod function;
mod registers;
#[cfg(test)]
mod tests;
mod work;

use serde::{Deserialize, Serialize};

pub(crate) use attachment::Attachment;
pub use descriptor::{Descriptor, Malformed, Operation};
use engine::Engine;
pub use function::DESCRIPTION;
pub(crate) use registers::Registers;

use crate::fabric::{Resumption, StallTag};
use crate::pci::MsixSpec;

const VECTORS: u16 = 8;
const BUFFER_FIRST: u64 = 0x1000;
const BUFFER_SIZE: usize = 0x1000;

/// Where its vectors lie; on the platform bus too.
pub(crate) const MSIX: MsixSpec = MsixSpec { vectors: VECTORS, bar: 0, table: 0x4000, pending: 0x6000 };

/// Reset value of LATENCY where no other is asked for, in nanoseconds.
pub const DEFAULT_LATENCY: u32 = 1000;

/// One exerciser, wherever it is attached.
pub struct Exerciser {
    /// Reset value of LATENCY.
    latency: u32,
    engine: Engine,
    buffer: Box<[u8; BUFFER_SIZE]>,
}

/// A saved [`Exerciser`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    engine: Engine,
    buffer: Vec<u8>,
}

impl State {
    /// Says what is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let Self { engine, buffer } = self;
        if buffer.len() != BUFFER_SIZE {
            return Err("the length of its buffer");
        }
        if engine.is_valid() { Ok(()) } else { Err("its ring indices") }
    }
}

impl Exerciser {
    /// An exerciser whose LATENCY register has the reset value `latency`, in nanoseconds.
    pub fn new(latency: u32) -> Self {
        Self { latency, engine: Engine::reset(latency), buffer: Box::new([0; BUFFER_SIZE]) }
    }

    /// The registers and the buffer, during an access.
    pub(crate) fn registers<'a>(&'a mut self, at: &'a mut (dyn Attachment + 'a)) -> Registers<'a> {
        Registers { device: self, at }
    }

    /// The timer is due.
    pub(crate) fn due(&mut self, at: &mut dyn Attachment) {
        self.engine.due(&mut self.buffer, at);
    }

    /// The IOMMU lets a held DMA go on, or ends it. Returns whether it was this device's.
    pub(crate) fn resume(&mut self, tag: StallTag, how: Resumption, at: &mut dyn Attachment) -> bool {
        self.engine.resume(tag, how, &mut self.buffer, at)
    }

    /// Everything back to its reset value.
    pub(crate) fn clear(&mut self) {
        let Self { latency, engine, buffer } = self;
        *engine = Engine::reset(*latency);
        buffer.fill(0);
    }

    pub(crate) fn to_state(&self) -> State {
        let Self { latency: _, engine, buffer } = self;
        State { engine: engine.clone(), buffer: buffer.to_vec() }
    }

    /// Takes over what was saved, or says what is wrong with it; nothing has changed then.
    pub(crate) fn take_state(&mut self, state: State) -> Result<(), &'static str> {
        state.check()?;
        let State { engine, buffer } = state;
        self.buffer = buffer.try_into().map_err(|_| "the length of its buffer")?;
        self.engine = engine;
        Ok(())
    }
}
