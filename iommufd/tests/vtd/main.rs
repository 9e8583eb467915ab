//! The VT-d host driver on a modelled unit: registers and tables in memory are all that is between them.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod bring_up;
mod concurrent;
mod dma;
mod exerciser;
mod failures;
mod machine;
mod model;
mod rig;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod user;
