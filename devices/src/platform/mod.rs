//! The platform bus: exercisers that are no PCI functions.
//!
//! A [`Device`] is the engine of [`exerciser`](crate::exerciser) with other surroundings: no
//! configuration space, always enabled to master the bus, known to its IOMMU by a StreamID, and, if its
//! machine says so, a master whose transactions may be held. Its 64 KiB of registers are those of BAR 0
//! of the PCI function, vector table and pending bits included, and two more:
//!
//! | offset | bits | register | |
//! |---|---|---|---|
//! | 0x2c | 32 | INTERRUPT_CONTROL | bit 0 MESSAGES: events of vectors are messages by the table at 0x4000, else they go to the line |
//! | 0x30 | 32 | INTERRUPT_STATUS | 7:0 EVENTS, RW1C: vectors whose events went to the line; 15:8 HELD, RO: vectors whose messages the IOMMU holds |
//!
//! The line is high while EVENTS is not 0 and MESSAGES is clear. A message is a DMA of 4 bytes without
//! SubstreamID, so it may be held as any other. The next event of its vector waits as a pending bit
//! until it has gone on; other vectors do not wait, nor does the ring. So nine DMAs can be held at a
//! time: that of the engine, and a message of each vector. A held message has left the engine: RESET
//! does not drop it.
//!
//! A descriptor's PASID is the SubstreamID. One that is wider than those of the device makes the
//! descriptor malformed.
//!
//! What is absent: other models; a way to tell software where the devices are, which is firmware's.

mod attachment;
mod interrupts;
mod registers;
mod state;
#[cfg(test)]
mod tests;

use crate::alarm::{Alarm, Fired};
use crate::events::{DeviceEvent, DeviceId};
use crate::exerciser::Exerciser;
use crate::fabric::{DmaPort, DmaResult, Effects, Initiator, Request, Resumption, StallTag};
use crate::register::block::{self, Rules};
use attachment::Context;
use interrupts::Interrupts;
use registers::Registers;
pub use state::{State, StateError};

/// Bytes of a device's registers.
pub const REGISTERS_SIZE: u64 = 0x1_0000;
/// The widest SubstreamID.
pub const PASID_BITS_MAX: u8 = 20;

/// The number of the only event that a device asks for.
const TIMER: DeviceEvent = DeviceEvent::Timer(0);

/// An exerciser on the platform bus.
pub struct Device {
    id: DeviceId,
    pasid_bits: u8,
    port: DmaPort,
    exerciser: Exerciser,
    interrupts: Interrupts,
    alarm: Alarm,
}

impl Device {
    /// A device that interrupts on `line` and masters the bus through `port`, with SubstreamIDs of
    /// `pasid_bits` bits, 0 (none) to 20. Events for `id` are then passed to [`Self::event`].
    pub fn new(id: DeviceId, line: u32, pasid_bits: u8, mut port: DmaPort, exerciser: Exerciser) -> Self {
        port.set_enabled(true);
        let interrupts = Interrupts::new(line);
        Self { id, pasid_bits, port, exerciser, interrupts, alarm: Alarm::default() }
    }

    /// The machine's number for it.
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// Who it is on the bus.
    pub fn initiator(&self) -> Initiator {
        self.port.initiator()
    }

    /// Software reads `data.len()` bytes at `offset` of the registers.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        let (exerciser, at) = self.parts(fx);
        block::read(&mut Registers { exerciser, at }, Rules::ByteLanes, offset, data);
    }

    /// Software writes `data` at `offset`.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        let (exerciser, at) = self.parts(fx);
        block::write(&mut Registers { exerciser, at }, Rules::ByteLanes, offset, data);
        self.interrupts.send_unmasked(&self.port, fx);
    }

    /// Delivers an event that the device asked for; it ignores others.
    pub fn event(&mut self, event: DeviceEvent, fx: &mut Effects) {
        if event != TIMER {
            return;
        }
        let (exerciser, mut at) = self.parts(fx);
        match at.alarm.fire(at.fx.now()) {
            Fired::Due => exerciser.due(&mut at),
            Fired::Early(Some(time)) => attachment::schedule(time, at.fx),
            Fired::Early(None) => {}
        }
    }

    /// The IOMMU lets a held transaction go on, or ends it. Returns whether it was one of this device;
    /// one that was dropped meanwhile is nobody's.
    pub fn resume(&mut self, tag: StallTag, how: Resumption, fx: &mut Effects) -> bool {
        let (exerciser, mut at) = self.parts(fx);
        let known = exerciser.resume(tag, how, &mut at) || at.interrupts.resume(tag, how, at.port, at.fx);
        self.interrupts.send_unmasked(&self.port, fx);
        known
    }

    /// Has the device read memory by DMA although its engine did not ask for it. Nobody waits for a
    /// request that is held: it is as good as dropped.
    pub fn dma_read(&mut self, request: Request, data: &mut [u8], fx: &mut Effects) -> DmaResult {
        self.port.read(request, data, fx)
    }

    /// Has the device write memory by DMA; see [`Self::dma_read`].
    pub fn dma_write(&mut self, request: Request, data: &[u8], fx: &mut Effects) -> DmaResult {
        self.port.write(request, data, fx)
    }

    /// The engine, and what surrounds it.
    fn parts<'a>(&'a mut self, fx: &'a mut Effects) -> (&'a mut Exerciser, Context<'a>) {
        let Self { id, pasid_bits, port, exerciser, interrupts, alarm } = self;
        fx.set_device(*id);
        (exerciser, Context { port, pasid_bits: *pasid_bits, interrupts, alarm, fx })
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("id", &self.id).field("port", &self.port).finish_non_exhaustive()
    }
}
