//! What the system tests and benchmarks share.

pub mod domain;
pub mod fuzz;
pub mod oracle;
pub mod stream;

// It belongs to the tests of iommufd, which cannot depend on this crate.
#[path = "../../iommufd/tests/support/mod.rs"]
#[allow(clippy::new_without_default, clippy::unwrap_used)]
pub mod simulated;
