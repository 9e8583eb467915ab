//! What can be wrong with the start of an AArch64 guest.

use thiserror::Error;

use crate::image::ImageError;

/// The guest cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Aarch64Error {
    /// The image is refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// There is no RAM at all.
    #[error("the machine has no RAM; give it some")]
    NoMemory,
    /// The device tree does not fit the place that it has.
    #[error(
        "the device tree has {0} bytes, and RAM has no 2 MiB for it and an image; give the machine more memory"
    )]
    Tree(usize),
    /// An initial RAM disk does not fit.
    #[error(
        "an initial RAM disk of {0} bytes is empty, or RAM has no room for it; give the machine more memory"
    )]
    Initrd(u64),
    /// A Linux image does not fit.
    #[error("the image needs {size} bytes of memory between {first:#x} and {last:#x}; give the machine more")]
    Room {
        /// Bytes.
        size: u64,
        /// First byte there is for it.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// A segment lies outside RAM, or over the device tree.
    #[error(
        "the segment {first:#x} to {last:#x} lies outside {free_first:#x} to {free_last:#x}, which is the RAM \
         behind the device tree; link the image there or give the machine more memory"
    )]
    Segment {
        /// First byte of the segment.
        first: u64,
        /// Last byte of the segment.
        last: u64,
        /// First byte there is for it.
        free_first: u64,
        /// Last byte.
        free_last: u64,
    },
}
