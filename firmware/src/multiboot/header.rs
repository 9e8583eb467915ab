//! The multiboot header, decoded [Multiboot 3.1].
//!
//! Decoding is pure and believes nothing, as that of ELF files.

use super::MultibootError;
use crate::image::{self, Executable, LoadSegment};

const MAGIC: u32 = 0x1bad_b002;
/// The header lies within so many bytes from the start of the image.
const SEARCHED: usize = 8192;
/// Flags 15:0 must be understood. These are: page-aligned modules and memory information, which are
/// always given, and a video mode, which is a wish that a machine without video cannot grant.
const KNOWN: u32 = 0x7;
const REQUIRED: u32 = 0xffff;
/// The address fields are valid and count, whatever else the image is.
const ADDRESSES: u32 = 1 << 16;

/// What the image asks for.
pub(super) fn decode(image: &[u8]) -> Result<Executable<'_>, MultibootError> {
    let (offset, flags) = find(image).ok_or(MultibootError::NoHeader { len: image.len() })?;
    if flags & REQUIRED & !KNOWN != 0 {
        return Err(MultibootError::Flags(flags & REQUIRED & !KNOWN));
    }
    if flags & ADDRESSES != 0 { by_addresses(image, offset) } else { Ok(image::decode(image, &image::I386)?) }
}

/// Offset and flags of the first header whose checksum is right.
pub(super) fn find(image: &[u8]) -> Option<(usize, u32)> {
    let searched = &image[..image.len().min(SEARCHED)];
    (0..searched.len()).step_by(4).find_map(|offset| {
        let [magic, flags, checksum] = words(searched, offset)?;
        let valid = magic == MAGIC && magic.wrapping_add(flags).wrapping_add(checksum) == 0;
        valid.then_some((offset, flags))
    })
}

/// Follows the address fields of the header at `offset` [Multiboot 3.1.3].
fn by_addresses(image: &[u8], offset: usize) -> Result<Executable<'_>, MultibootError> {
    let wrong = |what, value| MultibootError::Addresses { what, value };
    let [header, load, load_end, bss_end, entry] =
        words(image, offset + 12).ok_or_else(|| wrong("they leave the file", 0))?;
    let before = header.checked_sub(load).ok_or_else(|| wrong("load_addr is above header_addr", load))?;
    // A header offset is below 8192 and a u32 fits every host's usize.
    let first = offset
        .checked_sub(before as usize)
        .ok_or_else(|| wrong("load_addr is that of a byte before the file's first", load))?;
    let loaded = &image[first..];
    let bytes = match load_end {
        0 => loaded,
        end => {
            let len = end.checked_sub(load).ok_or_else(|| wrong("load_end_addr is below load_addr", end))?;
            loaded
                .get(..len as usize)
                .ok_or_else(|| wrong("load_end_addr is that of no byte of the file", end))?
        }
    };
    let (address, len) = (u64::from(load), bytes.len() as u64);
    let size = match bss_end {
        0 => len,
        end => u64::from(end)
            .checked_sub(address)
            .filter(|&size| size >= len)
            .ok_or_else(|| wrong("bss_end_addr is below the end of what is loaded", end))?,
    };
    if !(address..address + size).contains(&u64::from(entry)) {
        return Err(wrong("entry_addr lies outside of what is loaded", entry));
    }
    Ok(Executable { entry: u64::from(entry), segments: vec![LoadSegment { address, bytes, size }] })
}

/// `N` successive little-endian words.
fn words<const N: usize>(image: &[u8], offset: usize) -> Option<[u32; N]> {
    let (words, _) = image.get(offset..)?.as_chunks::<4>();
    words.first_chunk::<N>().map(|words| words.map(u32::from_le_bytes))
}
