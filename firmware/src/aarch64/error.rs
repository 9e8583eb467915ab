//! What can be wrong with the start of an AArch64 guest.

use thiserror::Error;

use crate::efi::EfiError;
use crate::image::ImageError;

/// The guest cannot be started.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Aarch64Error {
    /// The image is refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The machine cannot be handed over with ACPI tables.
    #[error(transparent)]
    Efi(#[from] EfiError),
    /// A zboot image is not one.
    #[error("the image has an EFI zboot header, but {0}; copy or build it again")]
    Zboot(&'static str),
    /// A zboot image of another architecture, by its PE machine type.
    #[error(
        "the image is an EFI zboot image for PE machine {0:#06x}, and AArch64 is 0xaa64; build it for arm64"
    )]
    ZbootMachine(u16),
    /// A zboot image with a compression that is not known here.
    #[error(
        "the image is an EFI zboot image compressed with '{0}'; gzip, zstd, xzkern and lzma are known: unpack it \
         yourself, or give the plain Image"
    )]
    Compression(String),
    /// Compressed data are damaged.
    #[error("the image's {method} data cannot be unpacked ({why}); copy or build it again")]
    Packed {
        /// The compression.
        method: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A compressed image has more inside than any kernel.
    #[error("the image unpacks to more than 512 MiB, which no kernel has; give another")]
    Unpacked,
    /// There is no RAM at all.
    #[error("the machine has no RAM; give it some")]
    NoMemory,
    /// RAM is too small for the tables, or the device tree too large for their place.
    #[error(
        "RAM has no 2 MiB for tables and room for an image behind them, or the device tree, of {0} bytes, is larger \
         than that; give the machine more memory"
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
    /// A segment lies outside RAM, or over the tables.
    #[error(
        "the segment {first:#x} to {last:#x} lies outside {free_first:#x} to {free_last:#x}, which is the RAM \
         behind the tables; link the image there or give the machine more memory"
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
