//! The memory map: who uses which RAM [UEFI 2.10 7.2.3].

use std::ops::RangeInclusive;

/// Bytes from descriptor to descriptor: more than a descriptor has, as a reader must expect.
pub const DESCRIPTOR_SIZE: usize = 48;
/// EFI_MEMORY_DESCRIPTOR_VERSION.
pub const DESCRIPTOR_VERSION: u32 = 1;
/// Bytes of a page, whatever the operating system's.
const PAGE: u64 = 0x1000;
/// Attributes of RAM: it can be uncached, write-combining, write-through and write-back.
const CACHEABILITY: u64 = 0xf;

/// Memory types, as they are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    Reserved = 0,
    LoaderCode = 1,
    LoaderData = 2,
    Conventional = 7,
    AcpiReclaim = 9,
}

/// A use that is made of some RAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub kind: Kind,
    pub range: RangeInclusive<u64>,
}

/// The map of `ram`: what `uses` does not name is free. Uses take whole pages; of two that share one, the lower
/// has it.
pub fn build(ram: &[RangeInclusive<u64>], uses: &[Use]) -> Vec<u8> {
    let mut uses: Vec<&Use> = uses.iter().collect();
    uses.sort_by_key(|used| *used.range.start());
    let mut ram: Vec<_> = ram.iter().map(|range| (*range.start(), *range.end())).collect();
    ram.sort_unstable();
    let mut map = Vec::new();
    for (start, end) in ram {
        // First byte that has no descriptor yet; none after the last of the address space.
        let mut next = Some(start);
        for used in uses.iter().filter(|used| *used.range.start() <= end && *used.range.end() >= start) {
            let Some(free) = next else { break };
            let first = (used.range.start() / PAGE * PAGE).max(free);
            let last = (used.range.end() | (PAGE - 1)).min(end);
            if first > last {
                continue;
            }
            if first > free {
                descriptor(&mut map, Kind::Conventional, free, first - 1);
            }
            descriptor(&mut map, used.kind, first, last);
            next = last.checked_add(1);
        }
        if let Some(free) = next.filter(|free| *free <= end) {
            descriptor(&mut map, Kind::Conventional, free, end);
        }
    }
    map
}

/// EFI_MEMORY_DESCRIPTOR; `first` to `last` are whole pages.
fn descriptor(map: &mut Vec<u8>, kind: Kind, first: u64, last: u64) {
    let end = map.len() + DESCRIPTOR_SIZE;
    let (padding, virtual_start, pages) = (0_u32, 0_u64, (last - first) / PAGE + 1);
    map.extend([kind as u32, padding].into_iter().flat_map(u32::to_le_bytes));
    map.extend([first, virtual_start, pages, CACHEABILITY].into_iter().flat_map(u64::to_le_bytes));
    map.resize(end, 0);
}
