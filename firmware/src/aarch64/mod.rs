//! Starting an AArch64 guest: by Linux's boot protocol, or as an ELF executable in its manner
//! [Linux Documentation/arch/arm64/booting.rst].
//!
//! [`load`] puts what tells of the machine ([`Tables`]) into the first 2 MiB of RAM and the image behind it:
//!
//! - a Linux `Image` (with its 64-byte header) at 2 MiB plus its `text_offset`;
//! - an ELF64 executable at its physical addresses;
//! - either of them from a file compressed with gzip, zstd or xz, or from an EFI zboot image, which can be
//!   compressed with lzma too.
//!
//! An initial RAM disk lies at the end of RAM ([`place_initrd`]).
//!
//! The guest is entered at EL1 with the MMU off, interrupts masked, the address of a device tree in X0 and X1
//! to X3 zero. The tree is the whole story, or leads to UEFI's and ACPI's tables.

mod error;
mod packed;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use crate::arm::Description;
use crate::efi;
use crate::image::{self, Executable, LoadSegment, put};

pub use error::Aarch64Error;

/// Bytes at the start of RAM that the tables have for themselves; also the largest size of a device tree.
const TABLES_SIZE: u64 = 2 << 20;
/// `magic` of the Linux header, "ARM\x64", and where it stands.
const LINUX_MAGIC: [u8; 4] = *b"ARM\x64";
const LINUX_MAGIC_AT: usize = 56;
/// Bytes of that header, which are more than are needed to know an ELF file.
const HEADER: u64 = 64;

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct Aarch64Config<'a> {
    /// A Linux `Image` or an ELF64 executable for AArch64, whole; it may be compressed.
    pub image: &'a [u8],
    /// What tells of the machine.
    pub tables: Tables<'a>,
    /// An initial RAM disk and its address, of which the tables tell: see [`place_initrd`].
    pub initrd: Option<(u64, &'a [u8])>,
}

/// How a guest learns of the machine.
#[derive(Clone, Copy, Debug)]
pub enum Tables<'a> {
    /// By a device tree, as [`crate::fdt::build`] makes it.
    Tree(&'a [u8]),
    /// By the ACPI tables of this machine, which it finds as UEFI leaves them: see [`crate::efi`].
    Acpi(&'a Description),
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
    match first.flatten().filter(|first| *first >= start + TABLES_SIZE) {
        Some(first) => Ok(first..=first + (bytes - 1)),
        None => Err(Aarch64Error::Initrd(bytes)),
    }
}

/// Loads the image and the tables into the first region of RAM.
///
/// # Errors
/// [`Aarch64Error`]: the image is refused, or image and tables do not fit the memory. Nothing has been
/// written then.
pub fn load(memory: &GuestMemoryMmap, config: &Aarch64Config<'_>) -> Result<Aarch64State, Aarch64Error> {
    let Aarch64Config { image, tables, initrd } = *config;
    let region = memory.iter().next().ok_or(Aarch64Error::NoMemory)?;
    let start = region.start_addr().raw_value();
    // The last byte: a region has at least one.
    let last = start + (region.len() - 1);
    let tree_size = if let Tables::Tree(tree) = tables { tree.len() } else { 0 };
    if tree_size as u64 > TABLES_SIZE || last - start < TABLES_SIZE {
        return Err(Aarch64Error::Tree(tree_size));
    }
    // What the RAM disk takes is not free.
    let last = match initrd {
        None => last,
        Some((at, bytes)) => {
            // It begins above 2 MiB: no end of it is 0.
            let end = at.checked_add(bytes.len() as u64).filter(|_| at > start + TABLES_SIZE);
            end.filter(|end| *end - 1 <= last).ok_or(Aarch64Error::Initrd(bytes.len() as u64))?;
            at - 1
        }
    };
    let free = start + TABLES_SIZE..=last;
    let image = packed::unpack(image)?;
    let executable = match linux_header(&image) {
        Some(header) => linux(&image, &header, &free)?,
        None => elf(&image, &free)?,
    };
    let handover = match tables {
        Tables::Tree(_) => None,
        Tables::Acpi(machine) => {
            let area = start..=start + (TABLES_SIZE - 1);
            Some(efi::build(machine, &area, &extent(&executable))?)
        }
    };
    for segment in &executable.segments {
        image::load(segment, memory)?;
    }
    if let Tables::Tree(tree) = tables {
        put(memory, start, tree)?;
    }
    for part in handover.iter().flat_map(efi::Handover::iter) {
        put(memory, part.address, &part.bytes)?;
    }
    if let Some((at, bytes)) = initrd {
        put(memory, at, bytes)?;
    }
    Ok(Aarch64State { entry: executable.entry, tree: start })
}

/// A Linux image, at the start of what is free.
fn linux<'a>(
    image: &'a [u8],
    header: &LinuxHeader,
    free: &RangeInclusive<u64>,
) -> Result<Executable<'a>, Aarch64Error> {
    let (first, last) = (*free.start(), *free.end());
    let size = header.image_size.max(image.len() as u64);
    let address = first.checked_add(header.text_offset);
    let end = address.and_then(|address| address.checked_add(size));
    let (Some(address), Some(_)) = (address, end.filter(|end| *end - 1 <= last)) else {
        return Err(Aarch64Error::Room { size, first, last });
    };
    Ok(Executable { entry: address, segments: vec![LoadSegment { address, bytes: image, size }] })
}

/// An ELF executable, all of which lies in what is free.
fn elf<'a>(image: &'a [u8], free: &RangeInclusive<u64>) -> Result<Executable<'a>, Aarch64Error> {
    let executable = image::decode(image, &image::AARCH64)?;
    for segment in &executable.segments {
        let (first, end) = (segment.address, segment.end());
        if end > first && !(free.contains(&first) && free.contains(&(end - 1))) {
            let (free_first, free_last) = (*free.start(), *free.end());
            return Err(Aarch64Error::Segment { first, last: end - 1, free_first, free_last });
        }
    }
    Ok(executable)
}

/// From the first byte of an executable to the last.
fn extent(executable: &Executable<'_>) -> RangeInclusive<u64> {
    let occupied = || executable.segments.iter().filter(|segment| segment.size > 0);
    let first = occupied().map(|segment| segment.address).min();
    let last = occupied().map(|segment| segment.end() - 1).max();
    // The entry point lies in a segment, so there is one.
    first.unwrap_or(executable.entry)..=last.unwrap_or(executable.entry)
}

/// Is it an image that [`load`] takes, by its first bytes? One of a compression that is not known is one
/// too: [`load`] says so.
pub fn is_image(image: &[u8]) -> bool {
    let first = packed::beginning(image, HEADER);
    // e_machine of an ELF64 file that is little-endian.
    let elf =
        first.get(..20).is_some_and(|ident| ident.starts_with(b"\x7fELF\x02\x01") && ident[18..] == [183, 0]);
    elf || linux_header(&first).is_some() || packed::is_zboot_arm64(image)
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
