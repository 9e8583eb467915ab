//! A driver for an SMMUv3: the Non-secure interface, VMSAv8-64 tables.
//!
//! The modules are named as the specification names things. What is pure (STEs, CDs, descriptors,
//! commands, records) is a function from values to raw words; what touches hardware takes a
//! [`Hw`](crate::hw::Hw). The driver never caches what the unit keeps, so a program may change
//! registers and tables behind its back to see what the unit makes of it.
//!
//! Layouts are written out here from the specification and shared with nobody: a guest that took its
//! bit numbers from the emulator's model could not find a mistake in them.
//!
//! Absent: ATS and page requests, EL2 contexts, Secure state, hardware updates of descriptors.

pub mod cd;
pub mod command;
pub mod event;
pub mod regs;
pub mod ste;
pub mod stream_table;
pub mod tables;
mod unit;

pub use cd::{Cd, ContextFormat, ContextTable, OnFault};
pub use command::{Command, CommandQueue, Signal};
pub use event::{EventQueue, Record};
pub use ste::{Stage2, Ste};
pub use stream_table::StreamTable;
pub use tables::{Granule, Tables};
pub use unit::{BASE, DEVICE_ID, FIRST_INTID, Smmu, Unit};
