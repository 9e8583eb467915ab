//! An NVM Express controller with one namespace: PCI 1234:1078, class 0x010802. Sections are those of the
//! base specification's revision 1.4.
//!
//! | offset of BAR 0 | |
//! |---|---|
//! | 0x0000 | controller registers [NVMe 3.1]; aligned accesses of 4 or 8 bytes |
//! | 0x1000 | doorbells of 9 pairs of queues, 4 bytes apart |
//! | 0x2000 | MSI-X table, 9 vectors |
//! | 0x3000 | MSI-X pending bits |
//!
//! There is the admin queue and 8 pairs of I/O queues of 2 to 1024 entries, served round robin. Data lies
//! in PRPs or SGLs; a command moves at most 1 MiB. The namespace has blocks of 512 bytes and no metadata,
//! and lies on a [`Medium`]. What Identify does not report is not there: commands for it are refused as
//! Invalid Opcode, fields and features as Invalid Field.
//!
//! The life of a command: its entry is fetched when the tail doorbell says so, if its queue has fewer than
//! 32 under way and the completion queue has room for all of them. A latency later it is its turn; commands
//! are performed one after the other, so all of them are atomic to each other. Its data is moved, the medium is
//! read or written, its completion posted. Vectors are raised when a step ends, once for all completions of
//! the step, or as interrupt coalescing has it.
//!
//! Work is bounded: after 256 requests to memory, each of at most a page, the controller goes on in an event.
//! A request that is refused ends its command with Data Transfer Error. Where a queue itself cannot be
//! read or written there is nobody to tell, so CSTS.CFS is set and all stops until the controller is reset.
//!
//! What is absent: namespaces other than 1, metadata, fused commands, firmware update, security, sanitize,
//! reservations, power states, the controller memory buffer, and time that a transfer of data takes.

mod admin;
mod asynchronous;
mod check;
mod command;
mod completion;
mod controller;
mod data;
mod engine;
mod error_log;
mod features;
mod function;
mod health;
mod interrupts;
mod io;
pub mod medium;
mod queue;
mod registers;
mod regs;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use controller::Controller;
pub use function::DESCRIPTION;
use medium::{Medium, MediumState};

/// Pairs of queues, the admin queue included.
const QUEUES: u16 = 9;
/// Interrupt vectors, so that each completion queue can have its own.
const VECTORS: u16 = QUEUES;
/// Entries of the largest I/O queue.
const QUEUE_ENTRIES_MAX: u16 = 1024;
/// Bytes of a logical block.
pub const LBA: u64 = 512;
/// Most bytes that a command moves: 2^8 pages of the smallest size.
const MAX_TRANSFER: usize = 1 << 20;
/// [`MAX_TRANSFER`] as Identify reports it, MDTS.
const MDTS: u8 = 8;

/// Nanoseconds from the fetch of a command to its turn where no other number is asked for.
pub const DEFAULT_LATENCY: u32 = 20_000;

/// Properties of a controller that never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Serial Number: at most 20 printable ASCII characters. Names of the subsystem and the namespace
    /// follow from it, so no two controllers of a machine may have the same.
    pub serial: String,
    /// Nanoseconds from the fetch of a command to its turn.
    pub latency: u32,
}

/// One controller.
pub struct Nvme {
    config: Config,
    controller: Controller,
    medium: Box<dyn Medium>,
}

/// A saved [`Nvme`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    controller: Controller,
    medium: MediumState,
}

impl Nvme {
    /// A controller whose namespace is `medium`. Bytes of it past the last whole block are not used.
    pub fn new(config: Config, medium: Box<dyn Medium>) -> Self {
        Self { config, controller: Controller::default(), medium }
    }
}
