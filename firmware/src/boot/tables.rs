//! The GDT and the identity page tables.

use vm_memory::GuestMemoryMmap;

use crate::entry::Segment;
use crate::image::{ImageError, put};

use super::{GDT, PAGE_TABLES};

/// Flat 64-bit code, execute/read, accessed, DPL 0.
pub(super) const CODE: Segment = Segment { selector: 0x10, descriptor: 0x00af_9b00_0000_ffff };
/// Flat data, read/write, accessed, DPL 0.
pub(super) const DATA: Segment = Segment { selector: 0x18, descriptor: 0x00cf_9300_0000_ffff };
const DESCRIPTORS: [u64; 4] = [0, 0, CODE.descriptor, DATA.descriptor];
/// Offset of the GDT's last byte.
pub(super) const GDT_LIMIT: u16 = (DESCRIPTORS.len() * 8 - 1) as u16;

/// Present, writable.
const TABLE: u64 = 0x3;
/// Present, writable, page size.
const PAGE_2M: u64 = 0x83;
/// Page directories: one per GiB.
const DIRECTORIES: u64 = 4;

/// Writes both.
pub(super) fn write(memory: &GuestMemoryMmap) -> Result<(), ImageError> {
    put(memory, GDT, &bytes(DESCRIPTORS.into_iter()))?;
    let (pdpt, directory) = (PAGE_TABLES + 0x1000, |index| PAGE_TABLES + 0x2000 + index * 0x1000);
    put(memory, PAGE_TABLES, &bytes(page([pdpt | TABLE].into_iter())))?;
    put(memory, pdpt, &bytes(page((0..DIRECTORIES).map(|index| directory(index) | TABLE))))?;
    put(memory, directory(0), &bytes((0..DIRECTORIES * 512).map(|page| page << 21 | PAGE_2M)))
}

/// Entries filled up with zeros to a whole table.
fn page(entries: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
    entries.chain(std::iter::repeat(0)).take(512)
}

fn bytes(words: impl Iterator<Item = u64>) -> Vec<u8> {
    words.flat_map(u64::to_le_bytes).collect()
}
