//! Executable images: what they ask for, and putting it into guest memory.
//!
//! An own ELF reader stands here, not linux-loader's: that one exists only where the *host* is x86,
//! reads ELF64 only, does not look at `p_memsz`, and rejects an image for a malformed note that no
//! protocol here uses.

mod elf;
mod error;

use std::ops::RangeInclusive;

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::memory_map::{LEGACY_FIRST, LEGACY_LAST};

pub use elf::{AARCH64, I386, X86_64, decode};
pub use error::ImageError;

/// First byte that an image may use: below lies what the boot protocols write.
pub const IMAGE_FIRST: u64 = 0x1_0000;
/// First byte that no guest can reach at entry, whatever the protocol.
const REACH_END: u64 = 1 << 32;

/// A part of an image that occupies memory.
#[derive(Debug, PartialEq, Eq)]
pub struct LoadSegment<'a> {
    /// Physical address of the first byte.
    pub address: u64,
    /// What the file holds of it: at most `size` bytes.
    pub bytes: &'a [u8],
    /// Bytes in memory: the rest is zero. `address + size` does not overflow.
    pub size: u64,
}

impl LoadSegment<'_> {
    /// The address after the last byte.
    pub fn end(&self) -> u64 {
        self.address + self.size
    }
}

/// What an image asks for. It has at least one segment and the entry point lies in one of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Executable<'a> {
    /// Entry point, a physical address.
    pub entry: u64,
    /// In the order of the file.
    pub segments: Vec<LoadSegment<'a>>,
}

/// Whether there is RAM where the boot protocols write their tables.
pub fn has_low_memory(memory: &GuestMemoryMmap) -> bool {
    GuestMemoryBackend::check_range(memory, GuestAddress(0), IMAGE_FIRST as usize)
}

/// Whether a segment lies where the memory map will say RAM, clear of what the boot protocols write.
pub fn check(
    segment: &LoadSegment<'_>,
    memory: &GuestMemoryMmap,
    reserved: &[RangeInclusive<u64>],
) -> Result<(), ImageError> {
    let (first, end) = (segment.address, segment.end());
    if first < IMAGE_FIRST {
        return Err(ImageError::OverBootTables { first });
    }
    if end > REACH_END {
        return Err(ImageError::NotMapped { first, last: end - 1 });
    }
    if first <= LEGACY_LAST && end > LEGACY_FIRST {
        return Err(ImageError::OverLegacyHole { first, last: end - 1 });
    }
    if reserved.iter().any(|range| first <= *range.end() && *range.start() < end) {
        return Err(ImageError::OverReserved { first, last: end - 1 });
    }
    // The length is at most 4 GiB, which fits every host that can map such a guest.
    if !GuestMemoryBackend::check_range(memory, GuestAddress(first), (end - first) as usize) {
        return Err(ImageError::OutsideRam { first, last: end - 1 });
    }
    Ok(())
}

/// Writes a segment that [`check`] has passed.
pub fn load(segment: &LoadSegment<'_>, memory: &GuestMemoryMmap) -> Result<(), ImageError> {
    put(memory, segment.address, segment.bytes)?;
    clear(memory, segment.address + segment.bytes.len() as u64, segment.end())
}

/// Writes `bytes` at `address`.
pub fn put(memory: &GuestMemoryMmap, address: u64, bytes: &[u8]) -> Result<(), ImageError> {
    memory.write_slice(bytes, GuestAddress(address)).map_err(|_| ImageError::OutsideRam {
        first: address,
        last: address.saturating_add(bytes.len() as u64),
    })
}

/// Zeroes `first..end`: memory need not be fresh.
pub fn clear(memory: &GuestMemoryMmap, first: u64, end: u64) -> Result<(), ImageError> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut at = first;
    while at < end {
        let len = (end - at).min(ZEROS.len() as u64);
        // At most 4096.
        put(memory, at, &ZEROS[..len as usize])?;
        at += len;
    }
    Ok(())
}
