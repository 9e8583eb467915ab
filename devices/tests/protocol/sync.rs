//! Loom's stand-in for `devices::sync`.

pub use loom::hint::spin_loop;
pub use loom::sync::Mutex;
pub use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
pub use loom::thread::yield_now;

/// Loom takes sequentially consistent accesses for weaker than they are, so the fence is said here.
pub fn fence_after_rmw() {
    fence(Ordering::SeqCst);
}
