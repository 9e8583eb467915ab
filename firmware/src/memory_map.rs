//! The memory map that every boot protocol hands over in a form of its own.

use std::ops::RangeInclusive;

use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// First byte of what a PC keeps for its firmware below 1 MiB (EBDA, video memory, option ROMs).
pub const LEGACY_FIRST: u64 = 0x9_fc00;
/// Last byte of it.
pub const LEGACY_LAST: u64 = 0xf_ffff;

/// What a range is, as e820 and multiboot number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    Ram = 1,
    Reserved = 2,
}

/// One entry of the memory map; `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub first: u64,
    pub last: u64,
    pub kind: Kind,
}

impl Entry {
    /// Bytes: only the whole 64-bit space would overflow, and no map can say that.
    pub fn size(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// A range that was to be reserved is empty or overlaps RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    pub first: u64,
    pub last: u64,
}

/// RAM as the machine has it, less the legacy area, then what is reserved; sorted.
pub fn memory_map(
    memory: &GuestMemoryMmap,
    reserved: &[RangeInclusive<u64>],
) -> Result<Vec<Entry>, Contradiction> {
    let ram: Vec<_> = memory
        .iter()
        .map(|region| (region.start_addr().raw_value(), region.last_addr().raw_value()))
        .collect();
    let mut map = Vec::new();
    for &(first, last) in &ram {
        let parts = [
            (first, last.min(LEGACY_FIRST - 1), Kind::Ram),
            (first.max(LEGACY_FIRST), last.min(LEGACY_LAST), Kind::Reserved),
            (first.max(LEGACY_LAST + 1), last, Kind::Ram),
        ];
        let parts = parts.into_iter().map(|(first, last, kind)| Entry { first, last, kind });
        map.extend(parts.filter(|part| part.first <= part.last));
    }
    for range in reserved {
        let (&first, &last) = (range.start(), range.end());
        if first > last || ram.iter().any(|&(ram_first, ram_last)| first <= ram_last && ram_first <= last) {
            return Err(Contradiction { first, last });
        }
        map.push(Entry { first, last, kind: Kind::Reserved });
    }
    map.sort_by_key(|entry| entry.first);
    Ok(map)
}
