//! A driver for a VT-d unit in legacy mode.
//!
//! The modules are named as the specification names things. What is pure (table entries,
//! descriptors, fault records) is a function from values to raw words; what touches hardware takes
//! a [`Hw`](crate::hw::Hw). The driver never caches what the unit keeps, so a program may change
//! registers and tables behind its back to see what the unit makes of it.
//!
//! Absent: scalable mode, interrupt remapping, device TLBs.

mod fault;
mod queue;
mod register_invalidation;
pub mod regs;
mod scope;
mod second_stage;
mod tables;
mod unit;

pub use fault::{Event, FaultRecord};
pub use queue::{Descriptor, Queue};
pub use scope::{ContextScope, IotlbScope};
pub use second_stage::{READ, SecondStage, Size, WRITE, entry};
pub use tables::{Context, RootTable, root_entry};
pub use unit::{BASE, Unit};
