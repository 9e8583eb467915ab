//! The Linux/x86 64-bit boot protocol for ELF images [Linux Documentation/arch/x86/boot.rst].
//!
//! [`load`] copies the `PT_LOAD` segments of an ELF64 executable to their *physical* addresses and
//! builds what the protocol promises its 64-bit entry point:
//!
//! - long mode, paging on, interrupts off, the first 4 GiB mapped to themselves;
//! - CS = 0x10 (flat 64-bit code), DS = ES = SS = 0x18 (flat data), and a GDT that holds both;
//! - RSI = the physical address of the *zero page* (`struct boot_params`) with the memory map (e820)
//!   and the address of the command line.
//!
//! The image is entered at `e_entry`, which is therefore a physical address too, as it is in a Linux
//! `vmlinux`. A small stack is given beyond what the protocol asks for. All of it lies below 64 KiB:
//!
//! | address | what |
//! |---|---|
//! | 0x500 | GDT |
//! | 0x7000 | zero page |
//! | 0x8000..0x9000 | stack, growing down from 0x8ff0 |
//! | 0x9000 | page tables: PML4, PDPT, four page directories of 2-MiB pages |
//! | 0xf000 | command line, at most 2047 bytes and a NUL |
//!
//! The memory map calls that space RAM, as it is free once the guest has taken what it needs.
mod error;
mod tables;
#[cfg(test)]
mod tests;
mod zero_page;

use std::ops::RangeInclusive;

use vm_memory::GuestMemoryMmap;

use crate::image::{self, clear, put};
use crate::memory_map::memory_map;

pub use crate::entry::{BootState, Segment};
pub use error::BootError;

/// Where the GDT lies.
const GDT: u64 = 0x500;
/// Where the zero page lies.
const ZERO_PAGE: u64 = 0x7000;
/// Initial stack pointer: 16-byte aligned, with one slot spare above it.
const STACK: u64 = 0x8ff0;
/// Where the PML4 lies; the other tables follow.
const PAGE_TABLES: u64 = 0x9000;
/// Where the command line lies.
const COMMAND_LINE: u64 = 0xf000;
/// Longest command line with its NUL: `COMMAND_LINE_SIZE` of Linux on x86.
const COMMAND_LINE_SIZE: usize = 2048;
/// What to boot.
#[derive(Clone, Copy, Debug)]
pub struct BootConfig<'a> {
    /// An ELF64 x86-64 executable, whole.
    pub image: &'a [u8],
    /// The command line without a NUL, at most 2047 bytes.
    pub command_line: &'a str,
    /// Address ranges that the memory map shall call reserved, such as the ECAM window. Each is wholly
    /// RAM, which the guest is then not told of, or wholly not.
    pub reserved: &'a [RangeInclusive<u64>],
}

/// Loads the image, writes the boot environment and says in what state the guest starts.
///
/// # Errors
/// [`BootError`]: the image, the command line or the ranges are refused, or there is no RAM where the
/// image or the protocol needs it. Nothing has been written then.
pub fn load(memory: &GuestMemoryMmap, config: &BootConfig<'_>) -> Result<BootState, BootError> {
    let BootConfig { image, command_line, reserved } = *config;
    if !image::has_low_memory(memory) {
        return Err(BootError::NoLowMemory);
    }
    let executable = image::decode(image, &image::X86_64)?;
    let zero_page = zero_page::build(&memory_map(memory, reserved)?)?;
    for segment in &executable.segments {
        image::check(segment, memory, reserved)?;
    }
    let command_line_at_most = COMMAND_LINE_SIZE - 1;
    if command_line.len() > command_line_at_most || command_line.contains('\0') {
        return Err(BootError::CommandLine { len: command_line.len(), max: command_line_at_most });
    }
    for segment in &executable.segments {
        image::load(segment, memory)?;
    }
    tables::write(memory)?;
    clear(memory, COMMAND_LINE, COMMAND_LINE + COMMAND_LINE_SIZE as u64)?;
    put(memory, COMMAND_LINE, command_line.as_bytes())?;
    put(memory, ZERO_PAGE, &zero_page)?;
    Ok(BootState {
        rip: executable.entry,
        rax: 0,
        rbx: 0,
        rsi: ZERO_PAGE,
        rsp: STACK,
        rflags: 0x2,
        cr0: 0x8005_0033,
        cr3: PAGE_TABLES,
        cr4: 0x620,
        efer: 0x500,
        code: tables::CODE,
        data: tables::DATA,
        gdt_base: GDT,
        gdt_limit: tables::GDT_LIMIT,
    })
}
