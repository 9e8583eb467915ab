//! HWPTs through their ioctls.

mod alloc;
mod bitmap;
mod dirty;
mod invalidate;
