//! Intel VT-d, register by register [VT-d 11], in legacy mode.

/// A DMA fault as it is found, before it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;
