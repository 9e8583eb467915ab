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

pub use stale::Stale;
pub use unit_id::{UNITS_MAX, UnitId, UnitKind};
