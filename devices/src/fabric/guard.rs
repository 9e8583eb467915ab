//! Guards: how an invalidation knows that no DMA is under way any more.
//!
//! A port enters its [`Slot`] before it translates and leaves it when the data has moved. Whoever
//! has dropped translations waits with [`Guards::wait`] for those that were inside. One word per
//! port, no lock; a machine that runs all its bus masters on one thread gives out no slots.

use std::marker::PhantomData;
use std::sync::{Arc, PoisonError};

use crate::sync::{AtomicU64, Mutex, Ordering, fence, fence_after_rmw, yield_now};

/// The slots of all ports before one IOMMU.
#[derive(Debug, Default)]
pub struct Guards {
    slots: Mutex<Vec<Arc<AtomicU64>>>,
}

/// A port's place to say that it is busy. It belongs to one thread at a time: not `Sync`.
#[derive(Debug)]
pub struct Slot {
    /// Odd while the port is inside, [`GONE`] when there is no port any more.
    word: Arc<AtomicU64>,
    _one_thread: PhantomData<std::cell::Cell<()>>,
}

/// The word of a slot that was dropped. Its port is not inside; no count comes this far.
const GONE: u64 = u64::MAX - 1;

/// A port is inside as long as this lives.
#[derive(Debug)]
pub struct Guard<'a>(&'a AtomicU64);

impl Guards {
    /// A slot for one more port.
    pub fn slot(&self) -> Slot {
        let word = Arc::new(AtomicU64::new(0));
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever sees that a port is gone must also see what it did last, which the reference count of
        // its word would not say.
        slots.retain(|slot| slot.load(Ordering::Acquire) != GONE);
        slots.push(Arc::clone(&word));
        Slot { word, _one_thread: PhantomData }
    }

    /// Waits until every port that is inside now has left. A port may not wait for itself.
    pub fn wait(&self) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Pairs with the fence of `Slot::enter`: either the port is seen inside, or it sees all that was
        // dropped before.
        fence(Ordering::SeqCst);
        for slot in slots.iter() {
            let seen = slot.load(Ordering::Acquire);
            if seen.is_multiple_of(2) {
                continue;
            }
            while slot.load(Ordering::Acquire) == seen {
                yield_now();
            }
        }
    }
}

impl Slot {
    /// Enters. What the invalidating side dropped before it looked at the slot, the port sees as
    /// dropped after this.
    ///
    /// A plain store here with `membarrier` in [`Guards::wait`] would save this side 2 ns and cost the
    /// other at least 400: no gain below 200 DMAs for each invalidation that completes, and software
    /// that maps for each transfer does one or two.
    pub fn enter(&self) -> Guard<'_> {
        self.word.fetch_add(1, Ordering::SeqCst);
        // Pairs with the fence of `Guards::wait`.
        fence_after_rmw();
        Guard(&self.word)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.word.store(GONE, Ordering::Release);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // Only this thread writes the word.
        let inside = self.0.load(Ordering::Relaxed);
        self.0.store(inside.wrapping_add(1), Ordering::Release);
    }
}
