//! Entry, and what the loader tells.

use core::arch::global_asm;

use super::cpu;
use crate::hw::{Q35_RAM_FIRST, Range};

// The loader may leave what lies beyond the file's bytes as it was, so .bss is cleared here; the
// stack is not part of it.
global_asm!(
    ".section .text.start, \"ax\", @progbits",
    ".global _start",
    "_start:",
    "cli",
    "cld",
    "mov r12, rsi",
    "lea rsp, [rip + __stack_top]",
    "lea rdi, [rip + __bss_start]",
    "lea rcx, [rip + __bss_end]",
    "sub rcx, rdi",
    "xor eax, eax",
    "rep stosb",
    "mov rdi, r12",
    "xor ebp, ebp",
    "call guest_main",
    "ud2",
);

unsafe extern "C" {
    static __image_end: u8;
}

/// Offsets in `boot_params`.
const E820_ENTRIES: u64 = 0x1e8;
const CMD_LINE_PTR: u64 = 0x228;
const E820_TABLE: u64 = 0x2d0;
/// Entries that fit the table.
const E820_MAX: u64 = 128;
/// Bytes of an entry: address, length, type.
const E820_ENTRY: u64 = 20;
const E820_RAM: u32 = 1;
/// First address that the identity map does not cover.
const MAPPED: u64 = 1 << 32;
/// Bytes of the command line that are looked at.
const COMMAND_LINE: usize = 256;

/// What the program wants to know of it.
pub struct Information {
    pub ram: Range,
    pub command_line: &'static str,
}

impl Information {
    /// Reads `boot_params`.
    ///
    /// # Panics
    /// Where there is no RAM behind the image, or the image reaches into it: nothing can run then.
    pub fn read(boot_params: u64) -> Self {
        let image_end = (&raw const __image_end) as u64;
        assert!(image_end <= Q35_RAM_FIRST, "the image ends at {image_end:#x}, inside the program's RAM");
        let [entries] = bytes(boot_params + E820_ENTRIES);
        let ram = (0..u64::from(entries).min(E820_MAX)).find_map(|index| {
            let at = boot_params + E820_TABLE + index * E820_ENTRY;
            let start = u64::from_le_bytes(bytes(at));
            let end = start.saturating_add(u64::from_le_bytes(bytes(at + 8))).min(MAPPED);
            let is_ram = u32::from_le_bytes(bytes(at + 16)) == E820_RAM;
            (is_ram && start <= Q35_RAM_FIRST && Q35_RAM_FIRST < end)
                .then(|| Range { start: Q35_RAM_FIRST, last: end - 1 })
        });
        let Some(ram) = ram else {
            panic!("the e820 map has no RAM at {Q35_RAM_FIRST:#x}");
        };
        Self { ram, command_line: command_line(boot_params) }
    }
}

/// The command line up to its NUL; empty where it is no text.
fn command_line(boot_params: u64) -> &'static str {
    static mut BUFFER: [u8; COMMAND_LINE] = [0; COMMAND_LINE];
    let at = u32::from_le_bytes(bytes(boot_params + CMD_LINE_PTR));
    if at == 0 {
        return "";
    }
    let buffer = &raw mut BUFFER;
    // SAFETY: called once, by `read`, before anything else runs; the reference given out is shared
    // from then on.
    let buffer = unsafe { &mut *buffer };
    cpu::copy_in(u64::from(at), buffer);
    let buffer: &'static [u8] = buffer;
    let text = buffer.split(|byte| *byte == 0).next().unwrap_or_default();
    core::str::from_utf8(text).unwrap_or_default()
}

fn bytes<const N: usize>(address: u64) -> [u8; N] {
    let mut data = [0; N];
    cpu::copy_in(address, &mut data);
    data
}
