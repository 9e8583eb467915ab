//! ELF executables for x86 and AArch64, decoded [System V ABI, chapters 4 and 5; its i386, AMD64 and
//! AArch64 supplements].
//!
//! Decoding is pure and believes nothing: every offset and size is checked against the file before
//! it is used.

use super::{Executable, ImageError, LoadSegment};

const PT_LOAD: u32 = 1;
const ET_EXEC: u16 = 2;
const LITTLE_ENDIAN: u8 = 1;

/// A target, and where its class of ELF file keeps what is read here.
#[derive(Debug)]
pub struct Target {
    class: u8,
    machine: u16,
    /// The error for an image of another target.
    wrong: fn(u8, u8, u16) -> ImageError,
    /// Size of the file header.
    header: usize,
    entry: Field,
    phoff: Field,
    phentsize: usize,
    phnum: usize,
    /// Size of a program header.
    program_header: usize,
    p_offset: Field,
    p_paddr: Field,
    p_filesz: Field,
    p_memsz: Field,
}

/// A field that is as wide as an address of its class.
#[derive(Clone, Copy, Debug)]
enum Field {
    U32(usize),
    U64(usize),
}

/// ELF64 for x86-64.
pub const X86_64: Target = Target {
    class: 2,
    machine: 62,
    wrong: |class, data, machine| ImageError::NotX86_64 { class, data, machine },
    header: 64,
    entry: Field::U64(24),
    phoff: Field::U64(32),
    phentsize: 54,
    phnum: 56,
    program_header: 56,
    p_offset: Field::U64(8),
    p_paddr: Field::U64(24),
    p_filesz: Field::U64(32),
    p_memsz: Field::U64(40),
};

/// ELF64 for AArch64, little-endian.
pub const AARCH64: Target = Target {
    machine: 183,
    wrong: |class, data, machine| ImageError::NotAarch64 { class, data, machine },
    ..X86_64
};

/// ELF32 for i386.
pub const I386: Target = Target {
    class: 1,
    machine: 3,
    wrong: |class, data, machine| ImageError::NotI386 { class, data, machine },
    header: 52,
    entry: Field::U32(24),
    phoff: Field::U32(28),
    phentsize: 42,
    phnum: 44,
    program_header: 32,
    p_offset: Field::U32(4),
    p_paddr: Field::U32(12),
    p_filesz: Field::U32(16),
    p_memsz: Field::U32(20),
};

/// Decodes `image`.
pub fn decode<'a>(image: &'a [u8], target: &Target) -> Result<Executable<'a>, ImageError> {
    let not_elf = || ImageError::NotElf { len: image.len() };
    let ident = image.get(..20).filter(|ident| ident.starts_with(b"\x7fELF")).ok_or_else(not_elf)?;
    let (class, data, machine) = (ident[4], ident[5], u16_at(ident, 18));
    if (class, data, machine) != (target.class, LITTLE_ENDIAN, target.machine) {
        return Err((target.wrong)(class, data, machine));
    }
    let header = image.get(..target.header).ok_or_else(not_elf)?;
    let kind = u16_at(header, 16);
    if kind != ET_EXEC {
        return Err(ImageError::NotExecutable(kind));
    }
    let entry = target.entry.of(header);
    let offset = target.phoff.of(header);
    if usize::from(u16_at(header, target.phentsize)) != target.program_header {
        let what = "e_phentsize is not that of its class";
        return Err(ImageError::Damaged { what, offset: target.phentsize as u64 });
    }
    let entries = u64::from(u16_at(header, target.phnum));
    let table = slice(image, offset, entries * target.program_header as u64)
        .ok_or(ImageError::Damaged { what: "the program header table leaves the file", offset })?;
    let mut segments = Vec::new();
    for header in table.chunks_exact(target.program_header) {
        segments.extend(segment(image, header, target)?);
    }
    if segments.is_empty() {
        return Err(ImageError::Empty);
    }
    if !segments.iter().any(|segment| (segment.address..segment.end()).contains(&entry)) {
        return Err(ImageError::Entry(entry));
    }
    Ok(Executable { entry, segments })
}

/// One program header; `None` if it occupies no memory.
fn segment<'a>(
    image: &'a [u8],
    header: &[u8],
    target: &Target,
) -> Result<Option<LoadSegment<'a>>, ImageError> {
    let (offset, address) = (target.p_offset.of(header), target.p_paddr.of(header));
    let (file_size, size) = (target.p_filesz.of(header), target.p_memsz.of(header));
    if u32_at(header, 0) != PT_LOAD || size == 0 && file_size == 0 {
        return Ok(None);
    }
    let damaged = |what| ImageError::Damaged { what, offset };
    if size < file_size {
        return Err(damaged("a segment is larger in the file than in memory"));
    }
    address.checked_add(size).ok_or_else(|| damaged("a segment wraps around the address space"))?;
    let bytes = slice(image, offset, file_size).ok_or_else(|| damaged("a segment leaves the file"))?;
    Ok(Some(LoadSegment { address, bytes, size }))
}

fn slice(image: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let first = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(len)?).ok()?;
    image.get(first..end)
}

impl Field {
    fn of(self, header: &[u8]) -> u64 {
        match self {
            Self::U32(at) => u64::from(u32_at(header, at)),
            Self::U64(at) => u64::from(u32_at(header, at)) | u64::from(u32_at(header, at + 4)) << 32,
        }
    }
}

fn u16_at(header: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([header[at], header[at + 1]])
}

fn u32_at(header: &[u8], at: usize) -> u32 {
    u32::from(u16_at(header, at)) | u32::from(u16_at(header, at + 2)) << 16
}
