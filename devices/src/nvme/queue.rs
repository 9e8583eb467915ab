//! Submission and completion queues [NVMe 4.1].

use serde::{Deserialize, Serialize};

use super::QUEUES;

/// A circular queue in contiguous memory. It is empty where head and tail are equal, so one entry is
/// never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ring {
    base: u64,
    /// Entries, 2 to 4096.
    size: u32,
    head: u32,
    tail: u32,
}

impl Ring {
    /// An empty queue of `size` entries.
    pub(super) const fn new(base: u64, size: u32) -> Self {
        Self { base, size, head: 0, tail: 0 }
    }

    /// Whether the indices are in the ring.
    fn is_valid(&self) -> bool {
        (2..=4096).contains(&self.size) && self.head < self.size && self.tail < self.size
    }

    /// Entries from `from` up to `to`.
    fn distance(&self, from: u32, to: u32) -> u32 {
        if to >= from { to - from } else { self.size - from + to }
    }

    fn after(&self, index: u32) -> u32 {
        if index + 1 >= self.size { 0 } else { index + 1 }
    }

    /// Entries between head and tail.
    pub(super) fn used(&self) -> u32 {
        self.distance(self.head, self.tail)
    }

    /// Entries that can still be added.
    pub(super) fn free(&self) -> u32 {
        self.size - 1 - self.used()
    }

    /// Address of the entry `index`; `None` past the top of the address space.
    fn entry(&self, index: u32, bytes: u64) -> Option<u64> {
        self.base.checked_add(bytes * u64::from(index))
    }
}

/// A value that software cannot write to that doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadValue;

/// A submission queue: software moves the tail, the controller the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SubmissionQueue {
    ring: Ring,
    /// The completion queue that its commands complete on.
    pub(super) completion: u16,
}

impl SubmissionQueue {
    /// Bytes of an entry.
    pub(super) const ENTRY: u64 = 64;

    pub(super) const fn new(base: u64, size: u32, completion: u16) -> Self {
        Self { ring: Ring::new(base, size), completion }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ring.head == self.ring.tail
    }

    /// Index of the next entry that the controller takes.
    pub(super) fn head(&self) -> u16 {
        // Below 4096.
        self.ring.head as u16
    }

    /// The tail doorbell was written. A value outside the queue, or one that would add more entries than
    /// are free, changes nothing.
    pub(super) fn set_tail(&mut self, value: u32) -> Result<(), BadValue> {
        let ring = &mut self.ring;
        if value >= ring.size || ring.distance(ring.tail, value) > ring.free() {
            return Err(BadValue);
        }
        ring.tail = value;
        Ok(())
    }

    /// Address of the entry at the head.
    pub(super) fn next(&self) -> Option<u64> {
        self.ring.entry(self.ring.head, Self::ENTRY)
    }

    /// The entry at the head was taken.
    pub(super) fn take(&mut self) {
        self.ring.head = self.ring.after(self.ring.head);
    }

    pub(super) fn is_valid(&self) -> bool {
        self.ring.is_valid() && self.completion < QUEUES
    }
}

/// A completion queue: the controller moves the tail, software the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CompletionQueue {
    ring: Ring,
    /// The phase tag of the next entry; it changes each time the tail comes round [NVMe 4.6].
    phase: bool,
    /// The interrupt vector, if entries raise one.
    pub(super) vector: Option<u16>,
}

impl CompletionQueue {
    /// Bytes of an entry.
    pub(super) const ENTRY: u64 = 16;

    pub(super) const fn new(base: u64, size: u32, vector: Option<u16>) -> Self {
        Self { ring: Ring::new(base, size), phase: true, vector }
    }

    /// Entries that software has not taken.
    pub(super) fn used(&self) -> u32 {
        self.ring.used()
    }

    /// Entries that can still be posted.
    pub(super) fn free(&self) -> u32 {
        self.ring.free()
    }

    /// The head doorbell was written. A value outside the queue, or one past what was posted, changes
    /// nothing.
    pub(super) fn set_head(&mut self, value: u32) -> Result<(), BadValue> {
        let ring = &mut self.ring;
        if value >= ring.size || ring.distance(ring.head, value) > ring.used() {
            return Err(BadValue);
        }
        ring.head = value;
        Ok(())
    }

    /// Address and phase tag of the next entry.
    pub(super) fn next(&self) -> (Option<u64>, bool) {
        (self.ring.entry(self.ring.tail, Self::ENTRY), self.phase)
    }

    /// The next entry was posted.
    pub(super) fn post(&mut self) {
        self.ring.tail = self.ring.after(self.ring.tail);
        self.phase ^= self.ring.tail == 0;
    }

    pub(super) fn is_valid(&self) -> bool {
        self.ring.is_valid() && self.vector.is_none_or(|vector| vector < super::VECTORS)
    }
}
