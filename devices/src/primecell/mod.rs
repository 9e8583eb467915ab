//! Arm PrimeCells: small devices with 4 KiB of registers and, at the end of them, words that say
//! which one it is.
//!
//! Each is a passive register file of 32-bit registers. Accesses of 1, 2 and 4 bytes reach the byte
//! lanes of their register. What a device has to tell goes out as the level of one interrupt line.

mod id;
mod pl011;
mod pl031;

pub use pl011::{Pl011, State as Pl011State};
pub use pl031::{Pl031, State as Pl031State};

/// Bytes of registers of each device.
pub const REGISTERS_SIZE: u64 = 0x1000;
