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

/// A range that was to be reserved is empty, or RAM only in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    pub first: u64,
    pub last: u64,
}

/// RAM as the machine has it, less the legacy area and what is reserved of it, and all that is
/// reserved; sorted.
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
        let outside = |&(ram_first, ram_last): &(u64, u64)| last < ram_first || ram_last < first;
        let inside = |&(ram_first, ram_last): &(u64, u64)| ram_first <= first && last <= ram_last;
        if first > last || !(ram.iter().all(outside) || ram.iter().any(inside)) {
            return Err(Contradiction { first, last });
        }
        map = map.into_iter().flat_map(|entry| without(entry, first, last)).collect();
        map.push(Entry { first, last, kind: Kind::Reserved });
    }
    map.sort_by_key(|entry| entry.first);
    Ok(map)
}

/// What is left of an entry of RAM before and after `first..=last`; any other stays.
fn without(entry: Entry, first: u64, last: u64) -> impl Iterator<Item = Entry> {
    let overlaps = entry.kind == Kind::Ram && entry.first <= last && first <= entry.last;
    let parts = if overlaps {
        let before = first.checked_sub(1).map(|last| Entry { last, ..entry });
        let after = last.checked_add(1).map(|first| Entry { first, ..entry });
        [before, after]
    } else {
        [Some(entry), None]
    };
    parts.into_iter().flatten().filter(|part| part.first <= part.last)
}

#[cfg(test)]
mod tests {
    use vm_memory::GuestAddress;

    use super::*;

    #[test]
    fn what_is_reserved_of_ram_is_taken_out_of_it() {
        let ranges = [(GuestAddress(0), 0x40_0000), (GuestAddress(1 << 32), 0x10_0000)];
        let memory = GuestMemoryMmap::from_ranges(&ranges).unwrap();
        let low = (0, 0x9_fbff, 1);
        let legacy = (0x9_fc00, 0xf_ffff, 2);
        let high = (0x1_0000_0000, 0x1_000f_ffff, 1);
        for (reserved, expected) in [
            (vec![], Some(vec![low, legacy, (0x10_0000, 0x3f_ffff, 1), high])),
            (
                vec![0x20_0000..=0x2f_ffff],
                Some(vec![
                    low,
                    legacy,
                    (0x10_0000, 0x1f_ffff, 1),
                    (0x20_0000, 0x2f_ffff, 2),
                    (0x30_0000, 0x3f_ffff, 1),
                    high,
                ]),
            ),
            (
                vec![0x10_0000..=0x1f_ffff, 0x30_0000..=0x3f_ffff, 0xb000_0000..=0xbfff_ffff],
                Some(vec![
                    low,
                    legacy,
                    (0x10_0000, 0x1f_ffff, 2),
                    (0x20_0000, 0x2f_ffff, 1),
                    (0x30_0000, 0x3f_ffff, 2),
                    (0xb000_0000, 0xbfff_ffff, 2),
                    high,
                ]),
            ),
            (vec![0x3f_f000..=0x40_0fff], None),
            (vec![0x50_0000..=0x1_0000_0fff], None),
            #[allow(clippy::reversed_empty_ranges, reason = "the range under test")]
            (vec![0x30_0000..=0x2f_ffff], None),
        ] {
            let map = memory_map(&memory, &reserved).ok();
            let map = map.map(|map| map.iter().map(|e| (e.first, e.last, e.kind as u32)).collect::<Vec<_>>());
            assert_eq!(map, expected, "{reserved:x?}");
        }
    }
}
