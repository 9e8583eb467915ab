//! What every IOMMU model is built from: one walker engine and one kind of cache.
//!
//! Formats and tags are the models' own; here is only what does not depend on an architecture.

pub mod cache;
pub(crate) mod changes;
pub mod explain;
mod stale;
#[cfg(test)]
mod tests;
mod unit_id;
pub mod walk;

use std::sync::atomic::{AtomicU32, Ordering};

pub use stale::Stale;
pub use unit_id::{UNITS_MAX, UnitId, UnitKind};

/// The set of a cache for a page, by its number: neighbours in different sets, large strides spread.
#[inline]
pub(crate) const fn page_place(page: u64) -> u64 {
    page ^ (page >> 10) ^ (page >> 20)
}

/// Replaces the bits of `word` that `mask` selects.
pub(crate) fn replace_bits(word: &AtomicU32, mask: u32, bits: u32) {
    let replace = |old| Some((old & !mask) | (bits & mask));
    // The update always succeeds; the old value does not matter.
    let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, replace);
}
