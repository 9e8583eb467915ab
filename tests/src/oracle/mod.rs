//! Second units, deliberately naive, to compare the fast ones with.
//!
//! Written from the specifications alone: bit numbers are literals as the specification prints them,
//! reasons are numbers, addresses are plain integers, nothing is cached and nothing is shared with the
//! models they judge. For VT-d, [`legacy`] decides about one request and [`log`] keeps the fault records;
//! [`smmuv3`] decides about one transaction, its event record included.
//!
//! What is absent: registers, queues, interrupts; of VT-d, scalable mode.

pub mod legacy;
pub mod log;
pub mod smmuv3;
