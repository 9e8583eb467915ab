//! The ring and the descriptor in progress.

use serde::{Deserialize, Serialize};

use super::descriptor::{Descriptor, Operation};
use super::{BUFFER_SIZE, VECTORS};
use crate::addr::{Iova, PAGE_SIZE};
use crate::fabric::{Abort, DmaResult, Outcome, Request};
use crate::pci::{Context, Timer};

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

/// Status codes of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Done = 1,
    Raz = 2,
    Ur = 3,
    Ca = 4,
    Malformed = 5,
}

impl From<Outcome> for Code {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Raz => Self::Raz,
            Outcome::Abort(Abort::Ur) => Self::Ur,
            Outcome::Abort(Abort::Ca) => Self::Ca,
        }
    }
}

/// The descriptor in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Work {
    descriptor: Descriptor,
    /// Bytes moved so far.
    moved: u32,
}

/// How a descriptor ended.
struct Completion {
    code: Code,
    moved: u32,
    result: u64,
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
        }
    }

    /// Whether the indices fit the ring.
    pub(super) fn is_valid(&self) -> bool {
        match self.ring_size {
            0 => self.head == 0 && self.tail == 0 && !self.enabled,
            MIN_RING..=MAX_RING => self.head < self.ring_size && self.tail < self.ring_size,
            _ => false,
        }
    }

    pub(super) fn busy(&self) -> bool {
        self.enabled && (self.work.is_some() || self.head != self.tail)
    }

    /// CONTROL was written.
    pub(super) fn control(
        &mut self,
        enable: bool,
        reset: bool,
        buffer: &mut [u8; BUFFER_SIZE],
        cx: &mut Context<'_>,
    ) {
        if reset {
            self.stop(cx);
            let Self { ring_base, ring_size, latency, .. } = *self;
            *self = Self { ring_base, ring_size, ..Self::reset(latency) };
        }
        if !enable {
            self.stop(cx);
        } else if !self.enabled && self.ring_size != 0 {
            self.enabled = true;
            self.step(buffer, cx);
        }
    }

    /// RING_SIZE was written. With a ring of size 0 the device cannot be enabled.
    pub(super) fn set_ring_size(&mut self, size: u32, cx: &mut Context<'_>) {
        if self.busy() {
            return;
        }
        self.ring_size = if (MIN_RING..=MAX_RING).contains(&size) { size } else { 0 };
        if self.head >= self.ring_size || self.tail >= self.ring_size {
            (self.head, self.tail) = (0, 0);
        }
        if self.ring_size == 0 {
            self.stop(cx);
        }
    }

    /// TAIL was written.
    pub(super) fn doorbell(&mut self, tail: u32, buffer: &mut [u8; BUFFER_SIZE], cx: &mut Context<'_>) {
        if tail >= self.ring_size {
            return;
        }
        self.tail = tail;
        if !self.waiting {
            self.step(buffer, cx);
        }
    }

    /// The timer is due.
    pub(super) fn resume(&mut self, buffer: &mut [u8; BUFFER_SIZE], cx: &mut Context<'_>) {
        self.waiting = false;
        self.step(buffer, cx);
    }

    fn stop(&mut self, cx: &mut Context<'_>) {
        self.enabled = false;
        self.work = None;
        self.waiting = false;
        cx.clear_timer(Timer::Main);
    }

    fn wait(&mut self, ns: u64, cx: &mut Context<'_>) {
        self.waiting = true;
        cx.set_timer(Timer::Main, ns);
    }

    fn step(&mut self, buffer: &mut [u8; BUFFER_SIZE], cx: &mut Context<'_>) {
        let (mut descriptors, mut pages) = (STEP_DESCRIPTORS, STEP_PAGES);
        while self.busy() {
            let Some(work) = self.work else {
                let Some(descriptor) = self.fetch(cx) else { return self.ring_fault(cx) };
                self.work = Some(Work { descriptor, moved: 0 });
                if self.latency > 0 {
                    return self.wait(self.latency.into(), cx);
                }
                continue;
            };
            if descriptors == 0 || pages == 0 {
                return self.wait(0, cx);
            }
            match perform(work, buffer, &mut pages, cx) {
                Ok(completion) => {
                    descriptors -= 1;
                    if !self.complete(work.descriptor, &completion, cx) {
                        return self.ring_fault(cx);
                    }
                }
                Err(moved) => self.work = Some(Work { moved, ..work }),
            }
        }
    }

    fn fetch(&self, cx: &mut Context<'_>) -> Option<Descriptor> {
        let mut bytes = [0; DESCRIPTOR_SIZE as usize];
        let result = cx.dma_read(Request::at(self.entry()?), &mut bytes);
        (result.outcome == Outcome::Done).then(|| Descriptor::from_bytes(&bytes))
    }

    /// Writes the status, moves on and interrupts; `false` if the status write was refused.
    fn complete(&mut self, descriptor: Descriptor, completion: &Completion, cx: &mut Context<'_>) -> bool {
        let Completion { code, moved, result } = *completion;
        self.bad_descriptor |= code == Code::Malformed;
        let mut bytes = [0; 16];
        bytes[0..4].copy_from_slice(&(STATUS_DONE | code as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&moved.to_le_bytes());
        bytes[8..16].copy_from_slice(&result.to_le_bytes());
        let address = self.entry().and_then(|entry| entry.checked_add(WRITTEN));
        let written = address.map(|address| cx.dma_write(Request::at(address), &bytes).outcome);
        if written != Some(Outcome::Done) {
            return false;
        }
        self.work = None;
        self.head = if self.head + 1 >= self.ring_size { 0 } else { self.head + 1 };
        self.completed = self.completed.wrapping_add(1);
        if descriptor.interrupt() && descriptor.vector() < VECTORS {
            cx.interrupt(descriptor.vector());
        }
        true
    }

    fn ring_fault(&mut self, cx: &mut Context<'_>) {
        self.ring_fault = true;
        self.stop(cx);
    }

    /// IOVA of the descriptor at HEAD; `None` past the top of the address space.
    fn entry(&self) -> Option<u64> {
        self.ring_base.checked_add(DESCRIPTOR_SIZE * u64::from(self.head))
    }
}

/// Does what is left of `work`, as far as `pages` allow. If that is not all, how many bytes have
/// been moved in total.
fn perform(
    work: Work,
    buffer: &mut [u8; BUFFER_SIZE],
    pages: &mut u32,
    cx: &mut Context<'_>,
) -> Result<Completion, u32> {
    let Work { descriptor, moved } = work;
    let from = Iova(descriptor.address());
    let ended = |code, moved, result| Ok(Completion { code, moved, result });
    let Ok(operation) = descriptor.operation() else { return ended(Code::Malformed, 0, 0) };
    match operation {
        Operation::Nop => ended(Code::Done, 0, 0),
        Operation::ZeroLengthRead => {
            let outcome = cx.dma_read(descriptor.request(from), &mut []).outcome;
            ended(outcome.into(), 0, 0)
        }
        Operation::Atomic(op) => match cx.dma_atomic(descriptor.request(from), op) {
            // An operand has 4 or 8 bytes.
            Ok(old) => ended(Code::Done, op.size() as u32, old),
            Err(outcome) => ended(outcome.into(), 0, 0),
        },
        Operation::Read { length, buffer: start } => transfer(moved, length, pages, |moved, left| {
            let at = (start + moved) % BUFFER_SIZE;
            let address = from.checked_add(moved as u64)?;
            let len = left.min(rest_of_page(address)).min(BUFFER_SIZE - at);
            let piece = &mut buffer[at..at + len];
            let result = cx.dma_read(descriptor.request(address), piece);
            if result.outcome == Outcome::Raz {
                piece.fill(0);
            }
            Some(result)
        }),
        Operation::Write { length, buffer: start } => transfer(moved, length, pages, |moved, left| {
            let at = (start + moved) % BUFFER_SIZE;
            let address = from.checked_add(moved as u64)?;
            let len = left.min(rest_of_page(address)).min(BUFFER_SIZE - at);
            Some(cx.dma_write(descriptor.request(address), &buffer[at..at + len]))
        }),
        Operation::Copy { length, to } => {
            let mut scratch = [0; PAGE_SIZE as usize];
            // A piece is read and written, so it counts twice.
            let mut pairs = pages.div_ceil(2);
            let result = transfer(moved, length, &mut pairs, |moved, left| {
                let (from, to) = (from.checked_add(moved as u64)?, to.checked_add(moved as u64)?);
                let piece = &mut scratch[..left.min(rest_of_page(from)).min(rest_of_page(to))];
                let read = cx.dma_read(descriptor.request(from), piece);
                if read.outcome != Outcome::Done {
                    return Some(DmaResult { done: 0, ..read });
                }
                Some(cx.dma_write(descriptor.request(to), piece))
            });
            *pages = pairs * 2;
            result
        }
    }
}

/// Moves `length` bytes, of which `moved` are done, piece by piece. `piece` is given the bytes moved
/// and the bytes left, and returns `None` where its address has passed the top of the address space.
fn transfer(
    mut moved: u32,
    length: u32,
    pages: &mut u32,
    mut piece: impl FnMut(usize, usize) -> Option<DmaResult>,
) -> Result<Completion, u32> {
    let mut code = Code::Done;
    while moved < length && code == Code::Done {
        if *pages == 0 {
            return Err(moved);
        }
        *pages -= 1;
        let result = piece(moved as usize, (length - moved) as usize);
        let result = result.unwrap_or(DmaResult { done: 0, outcome: Outcome::Abort(Abort::Ur) });
        // A piece is at most a page.
        moved += result.done as u32;
        code = result.outcome.into();
    }
    Ok(Completion { code, moved, result: 0 })
}

/// Bytes from `address` to the end of its page.
fn rest_of_page(address: Iova) -> usize {
    // At most a page.
    (PAGE_SIZE - address.page_offset()) as usize
}
