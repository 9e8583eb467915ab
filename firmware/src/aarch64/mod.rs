//! Starting an AArch64 guest: by Linux's boot protocol, or as an ELF executable in its manner
//! [Linux Documentation/arch/arm64/booting.rst].
//!
//! [`load`] puts a device tree into the first 2 MiB of RAM and the image behind it:
//!
//! - a Linux `Image` (uncompressed, with its 64-byte header) at 2 MiB plus its `text_offset`;
//! - an ELF64 executable at its physical addresses.
//!
//! An initial RAM disk lies at the end of RAM ([`place_initrd`]).
//!
//! The guest is entered at EL1 with the MMU off, interrupts masked, the address of the tree in X0 and X1
//! to X3 zero.

mod error;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use crate::image::{self, put};

pub use error::Aarch64Error;

/// Bytes at the start of RAM that the device tree has for itself, and its largest size.
const TREE_SIZE: u64 = 2 << 20;
/// `magic` of the Linux header, "ARM\x64", and where it stands.
const LINUX_MAGIC: [u8; 4] = *b"ARM\x64";
const LINUX_MAGIC_AT: usize = 56;

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct Aarch64Config<'a> {
    /// A Linux `Image` or an ELF64 executable for AArch64, whole.
    pub image: &'a [u8],
    /// The device tree, as [`crate::fdt::build`] makes it.
    pub tree: &'a [u8],
    /// An initial RAM disk and its address, of which the tree tells: see [`place_initrd`].
    pub initrd: Option<(u64, &'a [u8])>,
}

/// How the first CPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aarch64State {
    /// Physical address of the first instruction.
    pub entry: u64,
    /// Physical address of the device tree, for X0.
    pub tree: u64,
}

/// Where an initial RAM disk of `bytes` lies: in whole pages at the end of the first region of RAM.
///
/// # Errors
/// [`Aarch64Error::Initrd`] where there is no room, or it is empty.
pub fn place_initrd(memory: &GuestMemoryMmap, bytes: u64) -> Result<RangeInclusive<u64>, Aarch64Error> {
    let region = memory.iter().next().ok_or(Aarch64Error::NoMemory)?;
    let start = region.start_addr().raw_value();
    let end = start + (region.len() - 1);
    let first =
        (bytes > 0).then(|| (end - 0xfff).checked_sub(bytes.checked_next_multiple_of(0x1000)? - 0x1000));
    match first.flatten().filter(|first| *first >= start + TREE_SIZE) {
        Some(first) => Ok(first..=first + (bytes - 1)),
        None => Err(Aarch64Error::Initrd(bytes)),
    }
}

/// Loads the image and the device tree into the first region of RAM.
///
/// # Errors
/// [`Aarch64Error`]: the image is refused, or image and tree do not fit the memory. Nothing has been
/// written then.
pub fn load(memory: &GuestMemoryMmap, config: &Aarch64Config<'_>) -> Result<Aarch64State, Aarch64Error> {
    let Aarch64Config { image, tree, initrd } = *config;
    let region = memory.iter().next().ok_or(Aarch64Error::NoMemory)?;
    let start = region.start_addr().raw_value();
    // The last byte: a region has at least one.
    let last = start + (region.len() - 1);
    if tree.len() as u64 > TREE_SIZE || last - start < TREE_SIZE {
        return Err(Aarch64Error::Tree(tree.len()));
    }
    // What the RAM disk takes is not free.
    let last = match initrd {
        None => last,
        Some((at, bytes)) => {
            let end =
                at.checked_add(bytes.len() as u64).filter(|end| *end - 1 <= last && at > start + TREE_SIZE);
            end.ok_or(Aarch64Error::Initrd(bytes.len() as u64))?;
            at - 1
        }
    };
    let free = start + TREE_SIZE..=last;
    let entry = match linux_header(image) {
        Some(header) => {
            let at = free.start().checked_add(header.text_offset);
            let size = header.image_size.max(image.len() as u64);
            let end = at.and_then(|at| at.checked_add(size));
            let (Some(at), Some(_)) = (at, end.filter(|end| *end - 1 <= last)) else {
                return Err(Aarch64Error::Room { size, first: *free.start(), last });
            };
            put(memory, at, image)?;
            image::clear(memory, at + image.len() as u64, at + size)?;
            at
        }
        None => {
            let executable = image::decode(image, &image::AARCH64)?;
            for segment in &executable.segments {
                let (first, end) = (segment.address, segment.end());
                if end > first && !(free.contains(&first) && free.contains(&(end - 1))) {
                    return Err(Aarch64Error::Segment {
                        first,
                        last: end - 1,
                        free_first: *free.start(),
                        free_last: last,
                    });
                }
            }
            for segment in &executable.segments {
                image::load(segment, memory)?;
            }
            executable.entry
        }
    };
    put(memory, start, tree)?;
    if let Some((at, bytes)) = initrd {
        put(memory, at, bytes)?;
    }
    Ok(Aarch64State { entry, tree: start })
}

/// Is it an image that [`load`] takes, by its first bytes?
pub fn is_image(image: &[u8]) -> bool {
    // e_machine of an ELF64 file that is little-endian.
    let elf =
        image.get(..20).is_some_and(|ident| ident.starts_with(b"\x7fELF\x02\x01") && ident[18..] == [183, 0]);
    elf || linux_header(image).is_some()
}

/// What the header of a Linux `Image` says.
struct LinuxHeader {
    /// Bytes from a 2-MiB aligned base.
    text_offset: u64,
    /// Bytes in memory, those after the file's included; 0 in images older than Linux 3.17.
    image_size: u64,
}

fn linux_header(image: &[u8]) -> Option<LinuxHeader> {
    if image.get(LINUX_MAGIC_AT..LINUX_MAGIC_AT + 4)? != LINUX_MAGIC {
        return None;
    }
    let qword = |at: usize| Some(u64::from_le_bytes(image.get(at..at + 8)?.try_into().ok()?));
    let image_size = qword(16)?;
    // Without a size the offset is not to be believed either: 512 KiB is what those kernels mean.
    let text_offset = if image_size == 0 { 0x8_0000 } else { qword(8)? };
    Some(LinuxHeader { text_offset, image_size })
}
