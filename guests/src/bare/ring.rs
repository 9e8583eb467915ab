//! Interrupts that arrived and were not taken yet.
//!
//! One CPU takes interrupts, and its handler runs only where the program opens a window for it, so
//! relaxed accesses are enough.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

static RING: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];
static HEAD: AtomicUsize = AtomicUsize::new(0);
static TAIL: AtomicUsize = AtomicUsize::new(0);

/// Appends an interrupt; the handler calls it. A ring that is full drops the newest: the program that
/// let it come to this has failed anyway.
pub fn push(number: u32) {
    let tail = TAIL.load(Ordering::Relaxed);
    if tail.wrapping_sub(HEAD.load(Ordering::Relaxed)) < RING.len() {
        RING[tail % RING.len()].store(number, Ordering::Relaxed);
        TAIL.store(tail.wrapping_add(1), Ordering::Relaxed);
    }
}

/// Removes the oldest.
pub fn pop() -> Option<u32> {
    if is_empty() {
        return None;
    }
    let head = HEAD.load(Ordering::Relaxed);
    HEAD.store(head.wrapping_add(1), Ordering::Relaxed);
    Some(RING[head % RING.len()].load(Ordering::Relaxed))
}

pub fn is_empty() -> bool {
    HEAD.load(Ordering::Relaxed) == TAIL.load(Ordering::Relaxed)
}
