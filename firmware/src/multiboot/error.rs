//! What can be wrong with a multiboot boot.

use thiserror::Error;

use crate::image::ImageError;
use crate::memory_map::Contradiction;

/// The guest cannot be booted by multiboot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MultibootError {
    /// The image is refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// There is no multiboot header, or its checksum is wrong, or it lies too far back.
    #[error(
        "the image ({len} bytes) has no multiboot header in its first 8192 bytes; put magic 0x1badb002, flags and a \
         checksum there, 4-byte aligned"
    )]
    NoHeader {
        /// Bytes in the image.
        len: usize,
    },
    /// The header requires what no loader knows.
    #[error(
        "the multiboot header requires unknown features (flags {0:#06x}); clear what is not bit 0, 1 or 2 in bits 15:0"
    )]
    Flags(u32),
    /// The address fields of the header contradict each other or the file.
    #[error("the multiboot header's address fields are wrong: {what} ({value:#x}); correct the header")]
    Addresses {
        /// In which way.
        what: &'static str,
        /// The field's value.
        value: u32,
    },
    /// The first 64 KiB are not RAM.
    #[error("the first 64 KiB of the address space are not RAM; the boot information needs them")]
    NoLowMemory,
    /// A command line contains a NUL, which would end it.
    #[error("the command line {0:?} contains a NUL; remove it")]
    Nul(String),
    /// Memory map, module list and command lines do not fit below the image.
    #[error(
        "the boot information has {size} bytes and {max} fit; shorten command lines, or give fewer modules or memory \
         regions"
    )]
    Info {
        /// Bytes needed.
        size: usize,
        /// Bytes there are.
        max: usize,
    },
    /// A module does not fit into RAM after the image.
    #[error(
        "module {index} would lie at {first:#x} to {last:#x}, which is not all RAM below 4 GiB; give the machine \
         more memory"
    )]
    Module {
        /// Which one, from 0.
        index: usize,
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
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
}

impl From<Contradiction> for MultibootError {
    fn from(Contradiction { first, last }: Contradiction) -> Self {
        Self::Reserved { first, last }
    }
}
