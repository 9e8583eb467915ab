//! What can be wrong with a boot.

use thiserror::Error;

use crate::image::ImageError;
use crate::memory_map::Contradiction;

/// The guest cannot be booted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BootError {
    /// The image is refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The first 64 KiB are not RAM.
    #[error("the first 64 KiB of the address space are not RAM; the boot protocol's tables need them")]
    NoLowMemory,
    /// The command line is too long or contains a NUL.
    #[error("the command line has {len} bytes or contains a NUL; at most {max} bytes without NUL fit")]
    CommandLine {
        /// Bytes given.
        len: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// A reserved range is empty, or RAM only in part.
    #[error(
        "the reserved range {first:#x} to {last:#x} is RAM only in part, or empty; reserve RAM or what is none"
    )]
    Reserved {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// The memory map does not fit the zero page.
    #[error("the memory map has {0} entries; the zero page holds 128: use fewer memory regions")]
    MemoryMap(usize),
}

impl From<Contradiction> for BootError {
    fn from(Contradiction { first, last }: Contradiction) -> Self {
        Self::Reserved { first, last }
    }
}
