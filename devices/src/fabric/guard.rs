//! Guards: how an invalidation knows that no DMA is under way any more.
//!
//! A port enters its [`Slot`] before it translates and leaves it when the data has moved. Whoever
//! has dropped translations waits with [`Guards::wait`] for those that were inside. One word per
//! port, no lock; a machine that runs all its bus masters on one thread gives out no slots.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The slots of all ports before one IOMMU.
#[derive(Debug, Default)]
pub struct Guards {
    slots: Mutex<Vec<Weak<AtomicU64>>>,
}

/// A port's place to say that it is busy. It belongs to one thread at a time: not `Sync`.
#[derive(Debug)]
pub struct Slot {
    /// Odd while the port is inside.
    word: Arc<AtomicU64>,
    _one_thread: PhantomData<std::cell::Cell<()>>,
}

/// A port is inside as long as this lives.
#[derive(Debug)]
pub struct Guard<'a>(&'a AtomicU64);

impl Guards {
    /// A slot for one more port.
    pub fn slot(&self) -> Slot {
        let word = Arc::new(AtomicU64::new(0));
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(&word));
        Slot { word, _one_thread: PhantomData }
    }

    /// Waits until every port that is inside now has left. A port may not wait for itself.
    pub fn wait(&self) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.iter().filter_map(Weak::upgrade) {
            let seen = slot.load(Ordering::SeqCst);
            if seen.is_multiple_of(2) {
                continue;
            }
            while slot.load(Ordering::Acquire) == seen {
                std::thread::yield_now();
            }
        }
    }
}

impl Slot {
    /// Enters. What the invalidating side dropped before it looked at the slot, the port sees as
    /// dropped after this.
    pub fn enter(&self) -> Guard<'_> {
        self.word.fetch_add(1, Ordering::SeqCst);
        Guard(&self.word)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // Only this thread writes the word.
        let inside = self.0.load(Ordering::Relaxed);
        self.0.store(inside.wrapping_add(1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn wait_returns_when_those_inside_have_left_and_not_before() {
        let guards = Guards::default();
        guards.wait();
        let (slot, other) = (guards.slot(), guards.slot());
        drop(other);
        let left = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (entered, wait_entered) = std::sync::mpsc::channel();
            let left = &left;
            scope.spawn(move || {
                let guard = slot.enter();
                entered.send(()).unwrap();
                (0..1000).for_each(|_| std::thread::yield_now());
                left.store(true, Ordering::SeqCst);
                drop(guard);
                // Coming back is no reason to wait on.
                let _again = slot.enter();
                (0..1000).for_each(|_| std::thread::yield_now());
            });
            wait_entered.recv().unwrap();
            guards.wait();
            assert!(left.load(Ordering::SeqCst));
        });
    }
}
