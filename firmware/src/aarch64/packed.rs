//! Compressed kernels: what is inside them, within bounds.
//!
//! AArch64 kernels do not unpack themselves; whoever starts them does. There are two wrappings:
//!
//! - a compressed file, `Image.gz` and its likes, known by its first bytes;
//! - an EFI zboot image: a PE executable around compressed data, which an EFI firmware would run
//!   [Linux drivers/firmware/efi/libstub/zboot-header.S]. Its program is not needed here.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::StreamingDecoder;

use super::Aarch64Error;

/// The largest kernel that is unpacked, in bytes: with every option of Linux there is, one stays below.
pub const UNPACKED_MAX: u64 = 512 << 20;
/// Memory that unpacking may take besides, in bytes; the best compression of zstd asks for half of it.
const WINDOW_MAX: u32 = 256 << 20;

/// What a zboot image begins with.
const DOS_MAGIC: &[u8] = b"MZ";
/// `zimg` of a zboot header, and where it stands.
const ZBOOT_MAGIC: &[u8] = b"zimg";
const ZBOOT_MAGIC_AT: usize = 4;
/// Where it says where the compressed data are, and how many bytes they have.
const PAYLOAD_AT: usize = 8;
const PAYLOAD_SIZE_AT: usize = 12;
/// The name of the compression, padded with NUL.
const METHOD: std::ops::Range<usize> = 24..56;
/// Where a PE executable says where its header is.
const PE_HEADER_AT: usize = 60;
const PE_MAGIC: &[u8] = b"PE\0\0";
/// `Machine` of AArch64 [PE/COFF 3.3.1].
const MACHINE_ARM64: u16 = 0xaa64;

/// A way of compressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Gzip,
    Zstd,
    Xz,
    Lzma,
}

impl Method {
    /// By the bytes that a file begins with; that of lzma alone has none of its own.
    const MAGIC: [(&'static [u8], Self); 3] =
        [(b"\x1f\x8b", Self::Gzip), (b"\x28\xb5\x2f\xfd", Self::Zstd), (b"\xfd7zXZ\0", Self::Xz)];

    /// By the name in a zboot header, where Linux 6 has said how hard zstd tried.
    fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" => Some(Self::Gzip),
            "zstd" | "zstd22" => Some(Self::Zstd),
            "xzkern" => Some(Self::Xz),
            "lzma" => Some(Self::Lzma),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
        }
    }
}

/// A compressed image.
#[derive(Clone, Copy, Debug)]
struct Packed<'a> {
    method: Method,
    data: &'a [u8],
}

impl<'a> Packed<'a> {
    /// What `image` is if it is compressed.
    fn of(image: &'a [u8]) -> Result<Option<Self>, Aarch64Error> {
        if is_zboot(image) {
            return zboot(image).map(Some);
        }
        let known = Method::MAGIC.into_iter().find(|(magic, _)| image.starts_with(magic));
        Ok(known.map(|(_, method)| Self { method, data: image }))
    }

    /// At most `max` bytes of what is inside.
    fn read(self, max: u64) -> Result<Vec<u8>, Aarch64Error> {
        let mut bytes = Vec::new();
        let read = self.reader().and_then(|reader| reader.take(max).read_to_end(&mut bytes));
        let damaged =
            |error: io::Error| Aarch64Error::Packed { method: self.method.name(), why: error.to_string() };
        read.map(|_| bytes).map_err(damaged)
    }

    fn reader(self) -> io::Result<Box<dyn Read + 'a>> {
        let Self { method, data } = self;
        Ok(match method {
            Method::Gzip => Box::new(GzDecoder::new(data)),
            Method::Zstd => {
                let decoder = StreamingDecoder::new_with_max_window_size(data, WINDOW_MAX.into());
                Box::new(decoder.map_err(io::Error::other)?)
            }
            Method::Xz => Box::new(XzReader::new_mem_limit(data, false, WINDOW_MAX >> 10)),
            Method::Lzma => Box::new(LzmaReader::new_mem_limit(data, WINDOW_MAX >> 10, None)?),
        })
    }
}

/// The image itself, or what is inside it if it is compressed.
///
/// # Errors
/// [`Aarch64Error::Compression`], [`Aarch64Error::Packed`], [`Aarch64Error::Zboot`],
/// [`Aarch64Error::ZbootMachine`], [`Aarch64Error::Unpacked`].
pub fn unpack(image: &[u8]) -> Result<Cow<'_, [u8]>, Aarch64Error> {
    let Some(packed) = Packed::of(image)? else { return Ok(Cow::Borrowed(image)) };
    let bytes = packed.read(UNPACKED_MAX + 1)?;
    if bytes.len() as u64 > UNPACKED_MAX {
        return Err(Aarch64Error::Unpacked);
    }
    Ok(Cow::Owned(bytes))
}

/// The first bytes of the image, or of what is inside it: as many as there are, up to `max`.
pub fn beginning(image: &[u8], max: u64) -> Cow<'_, [u8]> {
    match Packed::of(image) {
        Ok(Some(packed)) => packed.read(max).map(Cow::Owned).unwrap_or_default(),
        Ok(None) | Err(_) => Cow::Borrowed(image),
    }
}

/// Is it a zboot image for AArch64, whatever its compression?
pub fn is_zboot_arm64(image: &[u8]) -> bool {
    is_zboot(image) && machine(image) == Some(MACHINE_ARM64)
}

fn is_zboot(image: &[u8]) -> bool {
    let magic = image.get(ZBOOT_MAGIC_AT..).is_some_and(|rest| rest.starts_with(ZBOOT_MAGIC));
    magic && image.starts_with(DOS_MAGIC)
}

fn zboot(image: &[u8]) -> Result<Packed<'_>, Aarch64Error> {
    let machine = machine(image).ok_or(Aarch64Error::Zboot("it has no PE header"))?;
    if machine != MACHINE_ARM64 {
        return Err(Aarch64Error::ZbootMachine(machine));
    }
    let leaves = || Aarch64Error::Zboot("its compressed data leave the file");
    let range = u32_at(image, PAYLOAD_AT).zip(u32_at(image, PAYLOAD_SIZE_AT)).and_then(|(first, size)| {
        let first = usize::try_from(first).ok()?;
        Some(first..first.checked_add(usize::try_from(size).ok()?)?)
    });
    let data = range.and_then(|range| image.get(range)).ok_or_else(leaves)?;
    let name = image.get(METHOD).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    match Method::named(&name) {
        Some(method) => Ok(Packed { method, data }),
        None => Err(Aarch64Error::Compression(name.escape_default().to_string())),
    }
}

/// `Machine` of a PE executable.
fn machine(image: &[u8]) -> Option<u16> {
    let header = image.get(usize::try_from(u32_at(image, PE_HEADER_AT)?).ok()?..)?;
    let machine = header.strip_prefix(PE_MAGIC)?.get(..2)?;
    Some(u16::from_le_bytes([machine[0], machine[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
