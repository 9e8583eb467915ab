//! The zero page (`struct boot_params`) and its memory map.
//!
//! Fields that a kernel entered at its 64-bit entry point reads, at the offsets that
//! Documentation/arch/x86/zero-page.rst and boot.rst give; all others are zero.

use crate::memory_map::Entry;

use super::{BootError, COMMAND_LINE, COMMAND_LINE_SIZE};

/// Entries that the zero page has room for.
const E820_MAX: u8 = 128;

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
        put(offset + 8, &entry.size().to_le_bytes());
        put(offset + 16, &(entry.kind as u32).to_le_bytes());
    }
    Ok(page)
}
