//! ELF64 executables, decoded [System V ABI, chapters 4 and 5; AMD64 supplement].
//!
//! Decoding is pure and believes nothing: every offset and size is checked against the file before
//! it is used.

use super::BootError;

/// Size of the file header.
const EHDR: usize = 64;
/// Size of a program header.
const PHDR: usize = 56;
const PT_LOAD: u32 = 1;
const EM_X86_64: u16 = 62;
const ET_EXEC: u16 = 2;

/// A `PT_LOAD` segment that occupies memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    /// Physical address of the first byte.
    pub address: u64,
    /// What the file holds of it.
    pub bytes: &'a [u8],
    /// Bytes in memory: the rest is zero. `address + size` does not overflow.
    size: u64,
}

impl Segment<'_> {
    /// The address after the last byte.
    pub fn end(&self) -> u64 {
        self.address + self.size
    }
}

/// What an image asks for. It has at least one segment and the entry point lies in one of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Executable<'a> {
    /// Entry point, a physical address.
    pub entry: u64,
    /// In the order of the file.
    pub segments: Vec<Segment<'a>>,
}

/// Decodes `image`.
pub(super) fn decode(image: &[u8]) -> Result<Executable<'_>, BootError> {
    let Some(header) = image.first_chunk::<EHDR>().filter(|header| header.starts_with(b"\x7fELF")) else {
        return Err(BootError::NotElf { len: image.len() });
    };
    let (class, data, machine) = (header[4], header[5], u16_at(header, 18));
    if (class, data, machine) != (2, 1, EM_X86_64) {
        return Err(BootError::NotX86_64 { class, data, machine });
    }
    let kind = u16_at(header, 16);
    if kind != ET_EXEC {
        return Err(BootError::NotExecutable(kind));
    }
    let entry = u64_at(header, 24);
    let offset = u64_at(header, 32);
    let (entry_size, entries) = (u16_at(header, 54), u16_at(header, 56));
    if usize::from(entry_size) != PHDR {
        return Err(BootError::Damaged { what: "e_phentsize is not 56", offset: 54 });
    }
    let table = slice(image, offset, u64::from(entries) * PHDR as u64)
        .ok_or(BootError::Damaged { what: "the program header table leaves the file", offset })?;
    let mut segments = Vec::new();
    for header in table.as_chunks::<PHDR>().0 {
        segments.extend(segment(image, header)?);
    }
    if segments.is_empty() {
        return Err(BootError::Empty);
    }
    if !segments.iter().any(|segment| (segment.address..segment.end()).contains(&entry)) {
        return Err(BootError::Entry(entry));
    }
    Ok(Executable { entry, segments })
}

/// One program header; `None` if it occupies no memory.
fn segment<'a>(image: &'a [u8], header: &[u8; PHDR]) -> Result<Option<Segment<'a>>, BootError> {
    let (offset, address) = (u64_at(header, 8), u64_at(header, 24));
    let (file_size, size) = (u64_at(header, 32), u64_at(header, 40));
    if u32_at(header, 0) != PT_LOAD || size == 0 && file_size == 0 {
        return Ok(None);
    }
    let damaged = |what| BootError::Damaged { what, offset };
    if size < file_size {
        return Err(damaged("a segment is larger in the file than in memory"));
    }
    address.checked_add(size).ok_or_else(|| damaged("a segment wraps around the address space"))?;
    let bytes = slice(image, offset, file_size).ok_or_else(|| damaged("a segment leaves the file"))?;
    Ok(Some(Segment { address, bytes, size }))
}

fn slice(image: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let first = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(len)?).ok()?;
    image.get(first..end)
}

fn u16_at<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes([header[at], header[at + 1]])
}

fn u32_at<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from(u16_at(header, at)) | u32::from(u16_at(header, at + 2)) << 16
}

fn u64_at<const N: usize>(header: &[u8; N], at: usize) -> u64 {
    u64::from(u32_at(header, at)) | u64::from(u32_at(header, at + 4)) << 32
}
