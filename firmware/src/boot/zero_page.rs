//! The zero page (`struct boot_params`) and its memory map.
//!
//! Fields that a kernel entered at its 64-bit entry point reads, at the offsets that
//! Documentation/arch/x86/zero-page.rst and boot.rst give; all others are zero.

use std::ops::RangeInclusive;

use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use super::{BootError, COMMAND_LINE, COMMAND_LINE_SIZE};

/// First byte of what a PC keeps for its firmware below 1 MiB (EBDA, video memory, option ROMs).
pub(super) const LEGACY_FIRST: u64 = 0x9_fc00;
/// Last byte of it.
pub(super) const LEGACY_LAST: u64 = 0xf_ffff;

/// Entries that the zero page has room for.
const E820_MAX: u8 = 128;
const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;

/// One entry of the memory map; `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    first: u64,
    last: u64,
    kind: u32,
}

/// RAM as the machine has it, less the legacy area, then what is reserved; sorted.
pub(super) fn memory_map(
    memory: &GuestMemoryMmap,
    reserved: &[RangeInclusive<u64>],
) -> Result<Vec<Entry>, BootError> {
    let ram: Vec<_> = memory
        .iter()
        .map(|region| (region.start_addr().raw_value(), region.last_addr().raw_value()))
        .collect();
    let mut map = Vec::new();
    for &(first, last) in &ram {
        let parts = [
            (first, last.min(LEGACY_FIRST - 1), E820_RAM),
            (first.max(LEGACY_FIRST), last.min(LEGACY_LAST), E820_RESERVED),
            (first.max(LEGACY_LAST + 1), last, E820_RAM),
        ];
        let parts = parts.into_iter().map(|(first, last, kind)| Entry { first, last, kind });
        map.extend(parts.filter(|part| part.first <= part.last));
    }
    for range in reserved {
        let (&first, &last) = (range.start(), range.end());
        if first > last || ram.iter().any(|&(ram_first, ram_last)| first <= ram_last && ram_first <= last) {
            return Err(BootError::Reserved { first, last });
        }
        map.push(Entry { first, last, kind: E820_RESERVED });
    }
    map.sort_by_key(|entry| entry.first);
    Ok(map)
}

/// The zero page for `map`.
pub(super) fn build(map: &[Entry]) -> Result<[u8; 4096], BootError> {
    let mut page = [0; 4096];
    let entries = u8::try_from(map.len()).ok().filter(|&entries| entries <= E820_MAX);
    let entries = entries.ok_or(BootError::MemoryMap(map.len()))?;
    let mut put = |offset: usize, bytes: &[u8]| page[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0x1e8, &[entries]);
    // boot_flag, header "HdrS", version 2.15, type_of_loader "undefined".
    put(0x1fe, &0xaa55_u16.to_le_bytes());
    put(0x202, b"HdrS");
    put(0x206, &0x020f_u16.to_le_bytes());
    put(0x210, &[0xff]);
    // cmd_line_ptr and cmdline_size; the size leaves out the NUL.
    put(0x228, &(COMMAND_LINE as u32).to_le_bytes());
    put(0x238, &(COMMAND_LINE_SIZE as u32 - 1).to_le_bytes());
    for (offset, entry) in (0x2d0..).step_by(20).zip(map) {
        put(offset, &entry.first.to_le_bytes());
        // Only the whole 64-bit space would overflow, and no map can say that.
        put(offset + 8, &(entry.last - entry.first).saturating_add(1).to_le_bytes());
        put(offset + 16, &entry.kind.to_le_bytes());
    }
    Ok(page)
}
