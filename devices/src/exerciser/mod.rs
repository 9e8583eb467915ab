//! The exerciser: a bus master that does on request what IOMMU tests need. It is our own; no
//! hardware like it exists.
//!
//! PCI 1234:1077, class 0x088000, revision 1. BAR 0 is 32 KiB of 64-bit memory:
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
//! | 0x0c | 32 | STATUS | bit 0 BUSY, RO; bit 1 RING_FAULT, RW1C: a descriptor fetch or a status write was refused, ENABLE is cleared, HEAD stays at the descriptor; bit 2 BAD_DESCRIPTOR, RW1C: a malformed descriptor completed with code 5 |
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

mod descriptor;
mod engine;
mod registers;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use descriptor::{Descriptor, Malformed, Operation};
use engine::Engine;

use crate::pci::{
    BarKind, BarSpec, Context, Description, Endpoint, EndpointState, Mastering, MsixSpec, StateError, Timer,
};
use crate::register::block::{self, Rules};

const VECTORS: u16 = 8;
const BUFFER_FIRST: u64 = 0x1000;
const BUFFER_SIZE: usize = 0x1000;

/// What the exerciser is to configuration software.
pub const DESCRIPTION: Description = Description {
    model: "exerciser",
    vendor: 0x1234,
    device: 0x1077,
    revision: 1,
    class: 0x08_8000,
    subsystem_vendor: 0x1234,
    subsystem: 0x1077,
    bars: &[BarSpec::new(0, BarKind::Memory64 { prefetchable: false }, 0x8000)],
    pin: None,
    msi: None,
    msix: Some(MsixSpec { vectors: VECTORS, bar: 0, table: 0x4000, pending: 0x6000 }),
    express: true,
    mastering: Mastering::Gated,
};

/// Reset value of LATENCY where no other is asked for, in nanoseconds.
pub const DEFAULT_LATENCY: u32 = 1000;

/// One function of the exerciser.
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

impl Exerciser {
    /// A function whose LATENCY register has the reset value `latency`, in nanoseconds.
    pub fn new(latency: u32) -> Self {
        Self { latency, engine: Engine::reset(latency), buffer: Box::new([0; BUFFER_SIZE]) }
    }
}

impl Endpoint for Exerciser {
    fn describe(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn read(&mut self, _: u8, offset: u64, data: &mut [u8], cx: &mut Context<'_>) {
        block::read(&mut registers::View { device: self, cx }, Rules::ByteLanes, offset, data);
    }

    fn write(&mut self, _: u8, offset: u64, data: &[u8], cx: &mut Context<'_>) {
        block::write(&mut registers::View { device: self, cx }, Rules::ByteLanes, offset, data);
    }

    fn timer(&mut self, _: Timer, cx: &mut Context<'_>) {
        self.engine.resume(&mut self.buffer, cx);
    }

    fn reset(&mut self) {
        let Self { latency, engine, buffer } = self;
        *engine = Engine::reset(*latency);
        buffer.fill(0);
    }

    fn save(&self) -> EndpointState {
        let Self { latency: _, engine, buffer } = self;
        EndpointState::Exerciser(Box::new(State { engine: engine.clone(), buffer: buffer.to_vec() }))
    }

    fn restore(&mut self, state: EndpointState) -> Result<(), StateError> {
        let EndpointState::Exerciser(state) = state else {
            return Err(StateError::Model { expected: DESCRIPTION.model, found: state.model() });
        };
        let State { engine, buffer } = *state;
        let invalid = |what| StateError::Invalid { model: DESCRIPTION.model, what };
        let buffer = buffer.try_into().map_err(|_| invalid("the length of its buffer"))?;
        if !engine.is_valid() {
            return Err(invalid("its ring indices"));
        }
        *self.buffer = buffer;
        self.engine = engine;
        Ok(())
    }
}
