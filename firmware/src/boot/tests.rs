use vm_memory::{Bytes, GuestAddress};

use crate::image::ImageError;

use super::*;

const MIB: usize = 1 << 20;

fn ram(ranges: &[(u64, usize)]) -> GuestMemoryMmap {
    let ranges: Vec<_> = ranges.iter().map(|&(first, len)| (GuestAddress(first), len)).collect();
    GuestMemoryMmap::from_ranges(&ranges).unwrap()
}

/// An executable of one segment: a file header, one program header, then "code".
fn image() -> Vec<u8> {
    let mut image = vec![
        0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, // e_ident
        2, 0, 62, 0, 1, 0, 0, 0, // ET_EXEC, EM_X86_64, version
        0x02, 0x00, 0x10, 0, 0, 0, 0, 0, // e_entry 0x100002
        64, 0, 0, 0, 0, 0, 0, 0, // e_phoff
        0, 0, 0, 0, 0, 0, 0, 0, // e_shoff
        0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0, // flags, sizes, one program header
        1, 0, 0, 0, 7, 0, 0, 0, // PT_LOAD, RWX
        120, 0, 0, 0, 0, 0, 0, 0, // p_offset
        0, 0, 0x10, 0x80, 0xff, 0xff, 0xff, 0xff, // p_vaddr: not what counts
        0, 0, 0x10, 0, 0, 0, 0, 0, // p_paddr 0x100000
        4, 0, 0, 0, 0, 0, 0, 0, // p_filesz
        8, 0, 0, 0, 0, 0, 0, 0, // p_memsz
        0, 0x10, 0, 0, 0, 0, 0, 0, // p_align
    ];
    image.extend([0x90, 0x90, 0xeb, 0xfe]);
    image
}

fn boot(memory: &GuestMemoryMmap, image: &[u8]) -> Result<BootState, BootError> {
    load(memory, &BootConfig { image, command_line: "console=ttyS0", reserved: &[] })
}

fn read<const N: usize>(memory: &GuestMemoryMmap, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

#[test]
fn registers_are_those_of_the_protocol() {
    let state = boot(&ram(&[(0, 2 * MIB)]), &image()).unwrap();
    assert_eq!(
        state,
        BootState {
            rip: 0x10_0002,
            rax: 0,
            rbx: 0,
            rsi: 0x7000,
            rsp: 0x8ff0,
            rflags: 2,
            cr0: 0x8005_0033,
            cr3: 0x9000,
            cr4: 0x620,
            efer: 0x500,
            code: Segment { selector: 0x10, descriptor: 0x00af_9b00_0000_ffff },
            data: Segment { selector: 0x18, descriptor: 0x00cf_9300_0000_ffff },
            gdt_base: 0x500,
            gdt_limit: 31,
        }
    );
}

#[test]
fn the_segment_lies_at_its_physical_address_with_its_tail_zeroed() {
    let memory = ram(&[(0, 2 * MIB)]);
    memory.write_slice(&[0xaa; 16], GuestAddress(0x10_0000)).unwrap();
    boot(&memory, &image()).unwrap();
    let expected = [0x90, 0x90, 0xeb, 0xfe, 0, 0, 0, 0, 0xaa, 0xaa];
    assert_eq!(read(&memory, 0x10_0000), expected);
}

#[test]
fn gdt_and_page_tables_read_as_a_processor_reads_them() {
    let memory = ram(&[(0, 2 * MIB)]);
    boot(&memory, &image()).unwrap();
    for (address, word) in [
        (0x500, 0_u64),
        (0x508, 0),
        (0x510, 0x00af_9b00_0000_ffff),
        (0x518, 0x00cf_9300_0000_ffff),
        (0x9000, 0xa003),
        (0x9008, 0),
        (0xa000, 0xb003),
        (0xa018, 0xe003),
        (0xa020, 0),
        (0xb000, 0x83),
        (0xb008, 0x20_0083),
        (0xbff8, 0x3fe0_0083),
        (0xc000, 0x4000_0083),
        (0xeff8, 0xffe0_0083),
    ] {
        assert_eq!(u64::from_le_bytes(read(&memory, address)), word, "{address:#x}");
    }
}

#[test]
fn the_zero_page_gives_memory_map_and_command_line() {
    let memory = ram(&[(0, 2 * MIB), (1 << 32, MIB)]);
    let image = image();
    let command_line = "console=ttyS0";
    let reserved = [0xb000_0000..=0xbfff_ffff];
    load(&memory, &BootConfig { image: &image, command_line, reserved: &reserved }).unwrap();

    let header: [u8; 18] = read(&memory, 0x71fe);
    assert_eq!(header, [0x55, 0xaa, 0, 0, b'H', b'd', b'r', b'S', 0x0f, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&memory, 0x7210), [0xff]);
    assert_eq!(read(&memory, 0x7228), [0x00, 0xf0, 0, 0]);
    assert_eq!(read(&memory, 0x7238), [0xff, 0x07, 0, 0]);
    assert_eq!(read(&memory, 0xf000), *b"console=ttyS0\0");

    assert_eq!(read(&memory, 0x71e8), [5]);
    let entries: [[u8; 20]; 6] = std::array::from_fn(|index| read(&memory, 0x72d0 + 20 * index as u64));
    let entry = |address: u64, size: u64, kind: u32| -> [u8; 20] {
        [&address.to_le_bytes()[..], &size.to_le_bytes(), &kind.to_le_bytes()].concat().try_into().unwrap()
    };
    assert_eq!(
        entries,
        [
            entry(0, 0x9_fc00, 1),
            entry(0x9_fc00, 0x6_0400, 2),
            entry(0x10_0000, 0x10_0000, 1),
            entry(0xb000_0000, 0x1000_0000, 2),
            entry(0x1_0000_0000, 0x10_0000, 1),
            [0; 20],
        ]
    );
}

#[test]
fn bad_images_are_refused_and_leave_memory_alone() {
    let rows: &[(&str, usize, &[u8], ImageError)] = &[
        ("magic", 0, &[0x7e], ImageError::NotElf { len: 124 }),
        ("32-bit", 4, &[1], ImageError::NotX86_64 { class: 1, data: 1, machine: 62 }),
        ("big-endian", 5, &[2], ImageError::NotX86_64 { class: 2, data: 2, machine: 62 }),
        ("aarch64", 18, &[183], ImageError::NotX86_64 { class: 2, data: 1, machine: 183 }),
        ("PIE", 16, &[3], ImageError::NotExecutable(3)),
        (
            "phentsize",
            54,
            &[55],
            ImageError::Damaged { what: "e_phentsize is not that of its class", offset: 54 },
        ),
        (
            "phnum",
            56,
            &[2],
            ImageError::Damaged { what: "the program header table leaves the file", offset: 64 },
        ),
        (
            "phoff at the top",
            32,
            &[0xff; 8],
            ImageError::Damaged { what: "the program header table leaves the file", offset: u64::MAX },
        ),
        ("no headers", 56, &[0], ImageError::Empty),
        ("nothing to load", 64, &[4], ImageError::Empty),
        ("entry before", 24, &[0xff, 0xff, 0xf], ImageError::Entry(0xf_ffff)),
        ("entry after", 24, &[8], ImageError::Entry(0x10_0008)),
        ("offset", 72, &[121], ImageError::Damaged { what: "a segment leaves the file", offset: 121 }),
        ("filesz", 96, &[5], ImageError::Damaged { what: "a segment leaves the file", offset: 120 }),
        (
            "filesz over memsz",
            96,
            &[9],
            ImageError::Damaged { what: "a segment is larger in the file than in memory", offset: 120 },
        ),
        (
            "memsz wraps",
            104,
            &[0xff; 8],
            ImageError::Damaged { what: "a segment wraps around the address space", offset: 120 },
        ),
        ("memsz over RAM", 104, &[1, 0, 0x10], ImageError::OutsideRam { first: 0x10_0000, last: 0x20_0000 }),
        (
            "above 4 GiB",
            104,
            &[1, 0, 0xf0, 0xff],
            ImageError::NotMapped { first: 0x10_0000, last: 0x1_0000_0000 },
        ),
    ];
    let memory = ram(&[(0, 2 * MIB)]);
    for (name, offset, bytes, error) in rows {
        let mut image = image();
        image[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        assert_eq!(boot(&memory, &image), Err(error.clone().into()), "{name}");
    }
    for page in (0..2 * MIB as u64).step_by(4096) {
        assert_eq!(read(&memory, page), [0; 4096], "{page:#x}");
    }
}

#[test]
fn segments_keep_clear_of_our_tables_and_the_legacy_area() {
    let memory = ram(&[(0, 2 * MIB)]);
    let at = |address: u32| {
        let mut image = image();
        image[88..92].copy_from_slice(&address.to_le_bytes());
        image[24..28].copy_from_slice(&address.to_le_bytes());
        boot(&memory, &image)
    };
    for (address, expected) in [
        (0, Err(ImageError::OverBootTables { first: 0 })),
        (0xffff, Err(ImageError::OverBootTables { first: 0xffff })),
        (0x1_0000, Ok(0x1_0000)),
        (0x9_fbf8, Ok(0x9_fbf8)),
        (0x9_fbf9, Err(ImageError::OverLegacyHole { first: 0x9_fbf9, last: 0x9_fc00 })),
        (0xf_ffff, Err(ImageError::OverLegacyHole { first: 0xf_ffff, last: 0x10_0006 })),
        (0x1f_fff8, Ok(0x1f_fff8)),
        (0x1f_fff9, Err(ImageError::OutsideRam { first: 0x1f_fff9, last: 0x20_0000 })),
    ] {
        assert_eq!(at(address).map(|state| state.rip), expected.map_err(BootError::from), "{address:#x}");
    }
}

#[test]
fn every_truncation_and_every_byte_changed_ends_in_an_answer() {
    let memory = ram(&[(0, 2 * MIB)]);
    let whole = image();
    for len in 0..whole.len() {
        assert!(boot(&memory, &whole[..len]).is_err(), "{len} bytes");
    }
    for at in 0..whole.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut image = whole.clone();
            image[at] = byte;
            if let Ok(state) = boot(&memory, &image) {
                assert!((0x1_0000..0x20_0000).contains(&state.rip), "byte {at} = {byte:#x}");
            }
        }
    }
}

#[test]
fn command_line_ranges_and_memory_have_their_limits() {
    let (memory, image) = (ram(&[(0, 2 * MIB)]), image());
    let long = "x".repeat(2048);
    let load = |memory: &GuestMemoryMmap, command_line: &str, reserved: &[RangeInclusive<u64>]| {
        load(memory, &BootConfig { image: &image, command_line, reserved }).err()
    };
    assert_eq!(load(&memory, &long[1..], &[]), None);
    assert_eq!(read(&memory, 0xf7fe), [b'x', 0]);
    assert_eq!(load(&memory, &long, &[]), Some(BootError::CommandLine { len: 2048, max: 2047 }));
    assert_eq!(load(&memory, "a\0b", &[]), Some(BootError::CommandLine { len: 3, max: 2047 }));
    let (first, last) = (0x1f_ffff, 0x20_0000);
    assert_eq!(load(&memory, "", &[first..=last]), Some(BootError::Reserved { first, last }));
    assert_eq!(load(&memory, "", &[last..=last]), None);
    let many: Vec<_> = (0..126).map(|page| (1 << 32) + page * 4096).map(|page| page..=page).collect();
    assert_eq!(load(&memory, "", &many[1..]), None);
    assert_eq!(load(&memory, "", &many), Some(BootError::MemoryMap(129)));
    assert_eq!(load(&ram(&[(0x10_0000, MIB)]), "", &[]), Some(BootError::NoLowMemory));
}
