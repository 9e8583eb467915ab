//! What lock-free parts are built from.
//!
//! They take it from here so that `tests/protocol` can compile the same files against a model
//! checker's atomics instead.

pub use std::hint::spin_loop;
pub use std::sync::Mutex;
pub use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
pub use std::thread::yield_now;

/// A sequentially consistent fence, directly after a read-modify-write with [`Ordering::SeqCst`].
#[inline]
pub fn fence_after_rmw() {
    if cfg!(target_arch = "x86_64") {
        // The read-modify-write is a locked instruction, which is a full fence already; an `mfence`
        // behind it would cost as much again.
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}
