//! What instruction sets share: memory, software TLB, decoded pages, the bus.

mod bus;
mod code;
mod mem;
#[cfg(test)]
mod tests;
mod wide;

pub use bus::{At, Bus, BusError, CallOutcome, Conduit, Lines};
pub use code::{CodePage, CodePages, CodeWatch, PageId};
pub use mem::{Frame, Mapping, PAGE_SHIFT, PAGE_SIZE, Ram, RamError, Scalar, Tlb};
