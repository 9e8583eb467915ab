//! What the system tests and benchmarks share.

pub mod domain;
pub mod fuzz;
pub mod oracle;
