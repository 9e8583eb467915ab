//! The ring and the descriptor in progress.

use serde::{Deserialize, Serialize};

use super::bus::{Bus, Code, Stop};
use super::descriptor::Descriptor;
use super::work::{Completion, Work};
use super::{Attachment, BUFFER_SIZE, VECTORS};
use crate::fabric::{Outcome, Request, Resumption, StallTag};

const MIN_RING: u32 = 2;
const MAX_RING: u32 = 4096;
const DESCRIPTOR_SIZE: u64 = 64;
/// Offset of what the device writes into a descriptor.
const WRITTEN: u64 = 48;
const STATUS_DONE: u32 = 1 << 31;

/// Most descriptors of one step.
const STEP_DESCRIPTORS: u32 = 256;
/// Most pieces of DMA, each at most a page, of one step.
const STEP_PAGES: u32 = 256;

/// What is left to do in a step.
struct Budget {
    descriptors: u32,
    pages: u32,
}

/// The registers and the work in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Engine {
    pub(super) enabled: bool,
    pub(super) ring_fault: bool,
    pub(super) bad_descriptor: bool,
    pub(super) ring_base: u64,
    pub(super) ring_size: u32,
    pub(super) tail: u32,
    pub(super) head: u32,
    pub(super) completed: u32,
    pub(super) latency: u32,
    work: Option<Work>,
    /// A timer is set, for the end of the latency or for the next step.
    waiting: bool,
    /// The IOMMU holds the next DMA: of the fetch if there is no work yet.
    held: Option<StallTag>,
}

impl Engine {
    pub(super) const fn reset(latency: u32) -> Self {
        Self {
            enabled: false,
            ring_fault: false,
            bad_descriptor: false,
            ring_base: 0,
            ring_size: 0,
            tail: 0,
            head: 0,
            completed: 0,
            latency,
            work: None,
            waiting: false,
            held: None,
        }
    }

    /// Whether the indices fit the ring, and only a device that runs has a DMA under way.
    pub(super) fn is_valid(&self) -> bool {
        let fit = match self.ring_size {
            0 => self.head == 0 && self.tail == 0 && !self.enabled,
            MIN_RING..=MAX_RING => self.head < self.ring_size && self.tail < self.ring_size,
            _ => false,
        };
        fit && (self.enabled || self.held.is_none())
    }

    pub(super) fn busy(&self) -> bool {
        self.enabled && (self.work.is_some() || self.held.is_some() || self.head != self.tail)
    }

    /// Whether the IOMMU holds a DMA.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// CONTROL was written.
    pub(super) fn control(
        &mut self,
        enable: bool,
        reset: bool,
        buffer: &mut [u8; BUFFER_SIZE],
        at: &mut dyn Attachment,
    ) {
        if reset {
            self.stop(at);
            let Self { ring_base, ring_size, latency, .. } = *self;
            *self = Self { ring_base, ring_size, ..Self::reset(latency) };
        }
        if !enable {
            self.stop(at);
        } else if !self.enabled && self.ring_size != 0 {
            self.enabled = true;
            self.step(None, buffer, at);
        }
    }

    /// RING_SIZE was written. With a ring of size 0 the device cannot be enabled.
    pub(super) fn set_ring_size(&mut self, size: u32, at: &mut dyn Attachment) {
        if self.busy() {
            return;
        }
        self.ring_size = if (MIN_RING..=MAX_RING).contains(&size) { size } else { 0 };
        if self.head >= self.ring_size || self.tail >= self.ring_size {
            (self.head, self.tail) = (0, 0);
        }
        if self.ring_size == 0 {
            self.stop(at);
        }
    }

    /// TAIL was written.
    pub(super) fn doorbell(&mut self, tail: u32, buffer: &mut [u8; BUFFER_SIZE], at: &mut dyn Attachment) {
        if tail >= self.ring_size {
            return;
        }
        self.tail = tail;
        if !self.waiting {
            self.step(None, buffer, at);
        }
    }

    /// The timer is due.
    pub(super) fn due(&mut self, buffer: &mut [u8; BUFFER_SIZE], at: &mut dyn Attachment) {
        self.waiting = false;
        self.step(None, buffer, at);
    }

    /// A held DMA goes on, or ends. Returns whether it was this device's.
    pub(super) fn resume(
        &mut self,
        tag: StallTag,
        how: Resumption,
        buffer: &mut [u8; BUFFER_SIZE],
        at: &mut dyn Attachment,
    ) -> bool {
        if self.held != Some(tag) {
            return false;
        }
        self.held = None;
        let answer = match how {
            Resumption::End(outcome @ (Outcome::Raz | Outcome::Abort(_))) => Some(outcome),
            // No IOMMU ends a transaction like that.
            Resumption::End(Outcome::Done | Outcome::Stalled(_)) | Resumption::Retry => None,
        };
        self.step(answer, buffer, at);
        true
    }

    fn stop(&mut self, at: &mut dyn Attachment) {
        self.enabled = false;
        self.work = None;
        self.waiting = false;
        self.held = None;
        at.clear_timer();
    }

    /// Goes on as far as the bounds of a step allow; `answer` is how the DMA ended that was held.
    fn step(&mut self, answer: Option<Outcome>, buffer: &mut [u8; BUFFER_SIZE], at: &mut dyn Attachment) {
        if self.held.is_some() {
            return;
        }
        let mut bus = Bus { at, answer };
        let mut budget = Budget { descriptors: STEP_DESCRIPTORS, pages: STEP_PAGES };
        while self.busy() {
            match self.advance(&mut budget, buffer, &mut bus) {
                Ok(()) => {}
                Err(Stop::Later(ns)) => {
                    self.waiting = true;
                    return bus.at.set_timer(ns);
                }
                Err(Stop::Held(tag)) => {
                    self.held = Some(tag);
                    return;
                }
                Err(Stop::RingFault) => {
                    self.ring_fault = true;
                    return self.stop(bus.at);
                }
            }
        }
    }

    /// Fetches a descriptor, or does what is left of the one in progress.
    fn advance(
        &mut self,
        budget: &mut Budget,
        buffer: &mut [u8; BUFFER_SIZE],
        bus: &mut Bus<'_>,
    ) -> Result<(), Stop> {
        let entry = self.entry();
        let Some(work) = &mut self.work else {
            self.work = Some(Work::new(fetch(entry, bus)?));
            return if self.latency > 0 { Err(Stop::Later(self.latency.into())) } else { Ok(()) };
        };
        if budget.descriptors == 0 || budget.pages == 0 {
            return Err(Stop::Later(0));
        }
        let completion = work.finish(buffer, &mut budget.pages, bus)?;
        budget.descriptors -= 1;
        self.bad_descriptor |= completion.code == Code::Malformed;
        write_status(entry, completion, bus)?;
        let descriptor = work.descriptor();
        self.work = None;
        self.head = if self.head + 1 >= self.ring_size { 0 } else { self.head + 1 };
        self.completed = self.completed.wrapping_add(1);
        if descriptor.interrupt() && descriptor.vector() < VECTORS {
            bus.at.interrupt(descriptor.vector());
        }
        Ok(())
    }

    /// IOVA of the descriptor at HEAD; `None` past the top of the address space.
    fn entry(&self) -> Option<u64> {
        self.ring_base.checked_add(DESCRIPTOR_SIZE * u64::from(self.head))
    }
}

fn fetch(entry: Option<u64>, bus: &mut Bus<'_>) -> Result<Descriptor, Stop> {
    let mut bytes = [0; DESCRIPTOR_SIZE as usize];
    match bus.read(Request::at(entry.ok_or(Stop::RingFault)?), &mut bytes)? {
        Code::Done => Ok(Descriptor::from_bytes(&bytes)),
        _ => Err(Stop::RingFault),
    }
}

fn write_status(entry: Option<u64>, completion: Completion, bus: &mut Bus<'_>) -> Result<(), Stop> {
    let Completion { code, moved, result } = completion;
    let mut bytes = [0; 16];
    bytes[0..4].copy_from_slice(&(STATUS_DONE | code as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&moved.to_le_bytes());
    bytes[8..16].copy_from_slice(&result.to_le_bytes());
    let address = entry.and_then(|entry| entry.checked_add(WRITTEN)).ok_or(Stop::RingFault)?;
    match bus.write(Request::at(address), &bytes)? {
        Code::Done => Ok(()),
        _ => Err(Stop::RingFault),
    }
}
