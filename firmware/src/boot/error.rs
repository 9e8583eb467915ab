//! What can be wrong with a boot.

use thiserror::Error;

/// The guest cannot be booted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BootError {
    /// The image is too short for an ELF header, or its first bytes are not those of one.
    #[error("the image is not an ELF file (it has {len} bytes); give a linked ELF64 x86-64 executable")]
    NotElf {
        /// Bytes in the image.
        len: usize,
    },
    /// An ELF file of another class, byte order or machine.
    #[error(
        "the image is ELF class {class}, data {data}, machine {machine}; x86-64 needs class 2 (64-bit), data 1 \
         (little-endian), machine 62: build it for x86_64"
    )]
    NotX86_64 {
        /// `EI_CLASS`.
        class: u8,
        /// `EI_DATA`.
        data: u8,
        /// `e_machine`.
        machine: u16,
    },
    /// Not `ET_EXEC`: an object file, or position-independent code that nobody would relocate.
    #[error("the image has ELF type {0}, not 2 (executable); link it statically at fixed addresses (no PIE)")]
    NotExecutable(u16),
    /// A header or segment reaches past the end of the file, or contradicts itself.
    #[error("the image is damaged: {what} at file offset {offset:#x}; build or copy it again")]
    Damaged {
        /// Which part.
        what: &'static str,
        /// Where it should have been.
        offset: u64,
    },
    /// There is no `PT_LOAD` segment.
    #[error("the image has nothing to load; link it so that its program headers have PT_LOAD segments")]
    Empty,
    /// The entry point lies in no segment.
    #[error(
        "the entry point {0:#x} lies in no loaded segment; e_entry must be a physical address (p_paddr, not p_vaddr)"
    )]
    Entry(u64),
    /// A segment would overwrite the boot environment.
    #[error(
        "the segment at {first:#x} lies over the boot tables, which fill the first 64 KiB; link the image at \
         0x10000 or above"
    )]
    OverBootTables {
        /// First byte of the segment.
        first: u64,
    },
    /// A segment lies in what a PC reserves below 1 MiB.
    #[error(
        "the segment {first:#x} to {last:#x} lies over the legacy area 0x9fc00 to 0xfffff; link the image at \
         0x100000"
    )]
    OverLegacyHole {
        /// First byte of the segment.
        first: u64,
        /// Last byte of the segment.
        last: u64,
    },
    /// A segment lies above the identity map.
    #[error(
        "the segment {first:#x} to {last:#x} lies above 4 GiB, where nothing is mapped at entry; link it lower"
    )]
    NotMapped {
        /// First byte of the segment.
        first: u64,
        /// Last byte of the segment.
        last: u64,
    },
    /// A segment, or part of it, is not backed by RAM; also an image too large for the memory.
    #[error(
        "{first:#x} to {last:#x} is not all RAM; give the machine more memory or link the image elsewhere"
    )]
    OutsideRam {
        /// First byte wanted.
        first: u64,
        /// Last byte wanted.
        last: u64,
    },
    /// The first 64 KiB are not RAM.
    #[error("the first 64 KiB of the address space are not RAM; the boot protocol's tables need them")]
    NoLowMemory,
    /// The command line is too long or contains a NUL.
    #[error("the command line has {len} bytes or contains a NUL; at most {max} bytes without NUL fit")]
    CommandLine {
        /// Bytes given.
        len: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// A range is both RAM and reserved.
    #[error(
        "the reserved range {first:#x} to {last:#x} overlaps RAM or is empty; the memory map cannot say both"
    )]
    Reserved {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// The memory map does not fit the zero page.
    #[error("the memory map has {0} entries; the zero page holds 128: use fewer memory regions")]
    MemoryMap(usize),
}
