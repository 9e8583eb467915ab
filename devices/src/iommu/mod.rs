//! What every IOMMU model is built from: one walker engine and one kind of cache.
//!
//! Formats and tags are the models' own; here is only what does not depend on an architecture.

pub mod cache;
#[cfg(test)]
mod tests;
pub mod walk;
