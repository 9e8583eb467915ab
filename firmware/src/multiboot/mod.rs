//! Multiboot, version 1: what test kernels use that bring their own way into long mode
//! [Multiboot 0.6.96].
//!
//! [`load`] finds the header, copies the image to its physical addresses and builds what the
//! specification promises at the entry point:
//!
//! - 32-bit protected mode, paging off, interrupts off; A20 is a line that the machine lacks;
//! - EAX = 0x2BADB002, EBX = the physical address of the boot information;
//! - CS = 0x8 (flat 32-bit code), DS = ES = FS = GS = SS = 0x10 (flat data), and a GDT that holds both.
//!
//! The image is an ELF32 executable for i386, or, where bit 16 of its header says so, any file that
//! its address fields describe. ELF64 without address fields is refused, as other loaders do:
//! existing 64-bit kernels are converted by `objcopy -O elf32-i386`, which leaves their code as it is.
//!
//! The boot information gives memory sizes, the memory map, the command line, modules and the
//! loader's name. A video mode that the image wishes for is not set, and no field says that one was.
//!
//! | address | what |
//! |---|---|
//! | 0x500 | GDT |
//! | 0x8000..0x9000 | stack, growing down from 0x8ff0, more than the specification asks for |
//! | 0x9000..0x10000 | boot information: structure, memory map, module list, strings |
//! | after the image | modules, each on a page of its own, not below 1 MiB |
//!
//! The memory map calls all of that RAM, as it is free once the guest has taken what it needs.

mod error;
mod header;
mod info;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use vm_memory::GuestMemoryMmap;

use crate::entry::{BootState, Segment};
use crate::image::{self, LoadSegment, put};
use crate::memory_map::memory_map;

pub use error::MultibootError;
use info::PlacedModule;

/// Where the GDT lies.
const GDT: u64 = 0x500;
/// Flat 32-bit code, execute/read, accessed, DPL 0.
const CODE: Segment = Segment { selector: 0x8, descriptor: 0x00cf_9b00_0000_ffff };
/// Flat data, read/write, accessed, DPL 0.
const DATA: Segment = Segment { selector: 0x10, descriptor: 0x00cf_9300_0000_ffff };
const DESCRIPTORS: [u64; 3] = [0, CODE.descriptor, DATA.descriptor];
/// Initial stack pointer.
const STACK: u64 = 0x8ff0;
/// Where the boot information lies.
const INFO: u64 = 0x9000;
/// Room for it.
const INFO_SIZE: usize = (image::IMAGE_FIRST - INFO) as usize;
/// What EAX holds at entry.
const BOOT_MAGIC: u64 = 0x2bad_b002;
/// Modules lie above the legacy area.
const MODULES_FIRST: u64 = 0x10_0000;
const PAGE: u64 = 0x1000;

/// What to boot.
#[derive(Clone, Copy, Debug)]
pub struct MultibootConfig<'a> {
    /// The image, whole.
    pub image: &'a [u8],
    /// The command line without a NUL. Its first word is by custom the image's name, and programs
    /// take the second for their first argument.
    pub command_line: &'a str,
    /// Files that the guest finds in memory.
    pub modules: &'a [Module<'a>],
    /// Address ranges that the memory map shall call reserved, such as the ECAM window. Each is wholly
    /// RAM, which the guest is then not told of, or wholly not.
    pub reserved: &'a [RangeInclusive<u64>],
}

/// A file that the guest finds in memory.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Its contents.
    pub bytes: &'a [u8],
    /// The string that the guest is given with it, without a NUL.
    pub command_line: &'a str,
}

/// Whether an image asks for this protocol: it has a header, where one may be, whose checksum is right.
pub fn has_header(image: &[u8]) -> bool {
    header::find(image).is_some()
}

/// Loads the image, writes the boot information and says in what state the guest starts.
///
/// # Errors
/// [`MultibootError`]: image, modules, strings or ranges are refused, or there is no RAM where they
/// need it. Nothing has been written then.
pub fn load(memory: &GuestMemoryMmap, config: &MultibootConfig<'_>) -> Result<BootState, MultibootError> {
    let MultibootConfig { image, command_line, modules, reserved } = *config;
    if !image::has_low_memory(memory) {
        return Err(MultibootError::NoLowMemory);
    }
    let executable = header::decode(image)?;
    for segment in &executable.segments {
        image::check(segment, memory, reserved)?;
    }
    let end = executable.segments.iter().map(LoadSegment::end).max().unwrap_or(0);
    let modules = place(memory, modules, reserved, end)?;
    let info = info::build(&memory_map(memory, reserved)?, command_line, &modules)?;
    for segment in &executable.segments {
        image::load(segment, memory)?;
    }
    for module in &modules {
        put(memory, module.first, module.bytes)?;
    }
    put(memory, INFO, &info)?;
    put(memory, GDT, &DESCRIPTORS.map(u64::to_le_bytes).concat())?;
    Ok(BootState {
        rip: executable.entry,
        rax: BOOT_MAGIC,
        rbx: INFO,
        rsi: 0,
        rsp: STACK,
        rflags: 0x2,
        cr0: 0x11,
        cr3: 0,
        cr4: 0,
        efer: 0,
        code: CODE,
        data: DATA,
        gdt_base: GDT,
        gdt_limit: (size_of_val(&DESCRIPTORS) - 1) as u16,
    })
}

/// Finds RAM for the modules after the image's `end`.
fn place<'a>(
    memory: &GuestMemoryMmap,
    modules: &[Module<'a>],
    reserved: &[RangeInclusive<u64>],
    end: u64,
) -> Result<Vec<PlacedModule<'a>>, MultibootError> {
    let mut end = end.max(MODULES_FIRST);
    let mut placed = Vec::with_capacity(modules.len());
    for (index, &Module { bytes, command_line }) in modules.iter().enumerate() {
        // The end is at most 4 GiB plus a page.
        let first = end.next_multiple_of(PAGE);
        let segment = LoadSegment { address: first, bytes, size: bytes.len() as u64 };
        end = segment.end();
        // The list has 32 bits for the end, too.
        if image::check(&segment, memory, reserved).is_err() || u32::try_from(end).is_err() {
            return Err(MultibootError::Module { index, first, last: end.saturating_sub(1) });
        }
        placed.push(PlacedModule { first, end, bytes, command_line });
    }
    Ok(placed)
}
