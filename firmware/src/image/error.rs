//! What can be wrong with an image.

use thiserror::Error;

/// The image cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The image is too short for an ELF header, or its first bytes are not those of one.
    #[error("the image is not an ELF file (it has {len} bytes); give a linked ELF executable")]
    NotElf {
        /// Bytes in the image.
        len: usize,
    },
    /// Not the class, byte order and machine that the 64-bit boot protocol takes.
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
    /// Not the class, byte order and machine of an AArch64 executable.
    #[error(
        "the image is ELF class {class}, data {data}, machine {machine}; AArch64 needs class 2 (64-bit), data 1 \
         (little-endian), machine 183: build it for aarch64"
    )]
    NotAarch64 {
        /// `EI_CLASS`.
        class: u8,
        /// `EI_DATA`.
        data: u8,
        /// `e_machine`.
        machine: u16,
    },
    /// Not the class, byte order and machine that multiboot takes.
    #[error(
        "the image is ELF class {class}, data {data}, machine {machine}; multiboot needs class 1 (32-bit), data 1 \
         (little-endian), machine 3 (i386): convert it with objcopy -O elf32-i386, or set bit 16 in its multiboot \
         header and give the address fields"
    )]
    NotI386 {
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
        "the entry point {0:#x} lies in no loaded segment; it must be a physical address (p_paddr, not p_vaddr)"
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
    /// A segment lies above what the guest can reach at entry.
    #[error(
        "the segment {first:#x} to {last:#x} lies above 4 GiB, which no guest can reach at entry; link it lower"
    )]
    NotMapped {
        /// First byte of the segment.
        first: u64,
        /// Last byte of the segment.
        last: u64,
    },
    /// A segment lies where memory is reserved for devices.
    #[error(
        "{first:#x} to {last:#x} overlaps reserved memory; reserve other memory or link the image elsewhere"
    )]
    OverReserved {
        /// First byte wanted.
        first: u64,
        /// Last byte wanted.
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
}
