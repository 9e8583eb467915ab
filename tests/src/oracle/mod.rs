//! A second VT-d unit, deliberately naive, to compare the fast one with.
//!
//! Written from the specification alone: bit numbers are literals as the specification prints them,
//! reasons are numbers, addresses are plain integers, nothing is cached and nothing is shared with
//! the model it judges. [`legacy`] decides about one request, [`log`] keeps the fault records.
//!
//! What is absent: registers, queues, interrupts, scalable mode.

pub mod legacy;
pub mod log;
