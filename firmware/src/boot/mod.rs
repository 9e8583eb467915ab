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
//!
//! An own ELF reader stands here, not linux-loader's: that one exists only where the *host* is x86,
//! does not look at `p_memsz`, and rejects an image for a malformed note that this protocol never
//! uses.

mod elf;
mod error;
mod tables;
#[cfg(test)]
mod tests;
mod zero_page;

use std::ops::RangeInclusive;

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

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
/// First byte that an image may use.
const IMAGE_FIRST: u64 = 0x1_0000;
/// First byte above the identity map.
const MAPPED_END: u64 = 1 << 32;

/// What to boot.
#[derive(Clone, Copy, Debug)]
pub struct BootConfig<'a> {
    /// An ELF64 x86-64 executable, whole.
    pub image: &'a [u8],
    /// The command line without a NUL, at most 2047 bytes.
    pub command_line: &'a str,
    /// Address ranges that the memory map shall call reserved, such as the ECAM window. None may
    /// overlap RAM.
    pub reserved: &'a [RangeInclusive<u64>],
}

/// A code or data segment: its selector and the descriptor that the GDT holds for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Byte offset in the GDT, privilege level 0.
    pub selector: u16,
    /// The 8-byte descriptor [SDM 3.4.5].
    pub descriptor: u64,
}

/// The registers of the boot processor at the guest's first instruction. Those not named are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootState {
    /// Entry point.
    pub rip: u64,
    /// Physical address of the zero page.
    pub rsi: u64,
    /// Top of a stack of nearly 4 KiB.
    pub rsp: u64,
    /// Only bit 1, which is always set: interrupts are off.
    pub rflags: u64,
    /// PG, AM, WP, NE, ET, MP, PE.
    pub cr0: u64,
    /// Physical address of the PML4.
    pub cr3: u64,
    /// PAE, OSFXSR, OSXMMEXCPT.
    pub cr4: u64,
    /// LME and LMA.
    pub efer: u64,
    /// CS.
    pub code: Segment,
    /// DS, ES, FS, GS and SS.
    pub data: Segment,
    /// GDTR base.
    pub gdt_base: u64,
    /// GDTR limit: the offset of the table's last byte. The IDT is empty.
    pub gdt_limit: u16,
}

/// Loads the image, writes the boot environment and says in what state the guest starts.
///
/// # Errors
/// [`BootError`]: the image, the command line or the ranges are refused, or there is no RAM where the
/// image or the protocol needs it. Nothing has been written then.
pub fn load(memory: &GuestMemoryMmap, config: &BootConfig<'_>) -> Result<BootState, BootError> {
    let BootConfig { image, command_line, reserved } = *config;
    if !GuestMemoryBackend::check_range(memory, GuestAddress(0), IMAGE_FIRST as usize) {
        return Err(BootError::NoLowMemory);
    }
    let executable = elf::decode(image)?;
    let zero_page = zero_page::build(&zero_page::memory_map(memory, reserved)?)?;
    for segment in &executable.segments {
        check(segment, memory)?;
    }
    let command_line_at_most = COMMAND_LINE_SIZE - 1;
    if command_line.len() > command_line_at_most || command_line.contains('\0') {
        return Err(BootError::CommandLine { len: command_line.len(), max: command_line_at_most });
    }
    for segment in &executable.segments {
        put(memory, segment.address, segment.bytes)?;
        clear(memory, segment.address + segment.bytes.len() as u64, segment.end())?;
    }
    tables::write(memory)?;
    clear(memory, COMMAND_LINE, COMMAND_LINE + COMMAND_LINE_SIZE as u64)?;
    put(memory, COMMAND_LINE, command_line.as_bytes())?;
    put(memory, ZERO_PAGE, &zero_page)?;
    Ok(BootState {
        rip: executable.entry,
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

/// Whether a segment lies where the memory map will say RAM, clear of what this module writes.
fn check(segment: &elf::Segment<'_>, memory: &GuestMemoryMmap) -> Result<(), BootError> {
    let (first, end) = (segment.address, segment.end());
    if first < IMAGE_FIRST {
        return Err(BootError::OverBootTables { first });
    }
    if end > MAPPED_END {
        return Err(BootError::NotMapped { first, last: end - 1 });
    }
    if first <= zero_page::LEGACY_LAST && end > zero_page::LEGACY_FIRST {
        return Err(BootError::OverLegacyHole { first, last: end - 1 });
    }
    // The length is below 4 GiB, which fits every host that can map such a guest.
    if !GuestMemoryBackend::check_range(memory, GuestAddress(first), (end - first) as usize) {
        return Err(BootError::OutsideRam { first, last: end - 1 });
    }
    Ok(())
}

fn put(memory: &GuestMemoryMmap, address: u64, bytes: &[u8]) -> Result<(), BootError> {
    memory.write_slice(bytes, GuestAddress(address)).map_err(|_| BootError::OutsideRam {
        first: address,
        last: address.saturating_add(bytes.len() as u64),
    })
}

/// Zeroes `first..end`: memory need not be fresh.
fn clear(memory: &GuestMemoryMmap, first: u64, end: u64) -> Result<(), BootError> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut at = first;
    while at < end {
        let len = (end - at).min(ZEROS.len() as u64);
        // At most 4096.
        put(memory, at, &ZEROS[..len as usize])?;
        at += len;
    }
    Ok(())
}
