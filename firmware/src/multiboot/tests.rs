use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::image::ImageError;

const MIB: usize = 1 << 20;

fn ram(ranges: &[(u64, usize)]) -> GuestMemoryMmap {
    let ranges: Vec<_> = ranges.iter().map(|&(first, len)| (GuestAddress(first), len)).collect();
    GuestMemoryMmap::from_ranges(&ranges).unwrap()
}

/// An executable of one segment: file header, one program header; in the segment the multiboot
/// header, then "code".
fn elf() -> Vec<u8> {
    vec![
        0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, // e_ident
        2, 0, 3, 0, 1, 0, 0, 0, // ET_EXEC, EM_386, version
        0x0c, 0, 0x10, 0, // e_entry 0x10000c
        52, 0, 0, 0, // e_phoff
        0, 0, 0, 0, 0, 0, 0, 0, // e_shoff, flags
        52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0, // sizes, one program header
        1, 0, 0, 0, // PT_LOAD
        84, 0, 0, 0, // p_offset
        0, 0, 0x10, 0xc0, // p_vaddr: not what counts
        0, 0, 0x10, 0, // p_paddr 0x100000
        16, 0, 0, 0, // p_filesz
        24, 0, 0, 0, // p_memsz
        7, 0, 0, 0, 0, 0x10, 0, 0, // flags, align
        0x02, 0xb0, 0xad, 0x1b, 3, 0, 0, 0, 0xfb, 0x4f, 0x52, 0xe4, // magic, flags, checksum
        0x90, 0x90, 0xeb, 0xfe,
    ]
}

/// A flat file: 4 bytes of something, then a header with address fields, then "code".
fn flat() -> Vec<u8> {
    vec![
        0xaa, 0xaa, 0xaa, 0xaa, //
        0x02, 0xb0, 0xad, 0x1b, 0, 0, 1, 0, 0xfe, 0x4f, 0x51, 0xe4, // magic, flags bit 16, checksum
        0x00, 0x00, 0x20, 0, // header_addr 0x200000
        0x00, 0x00, 0x20, 0, // load_addr: the first byte of the file is not loaded
        0x24, 0x00, 0x20, 0, // load_end_addr: header and 4 bytes
        0x30, 0x00, 0x20, 0, // bss_end_addr
        0x20, 0x00, 0x20, 0, // entry_addr
        0x90, 0x90, 0xeb, 0xfe, 0xcc, 0xcc, 0xcc, 0xcc,
    ]
}

fn boot(memory: &GuestMemoryMmap, image: &[u8]) -> Result<BootState, MultibootError> {
    load(memory, &MultibootConfig { image, command_line: "test.flat a", modules: &[], reserved: &[] })
}

fn read<const N: usize>(memory: &GuestMemoryMmap, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

fn read_u32(memory: &GuestMemoryMmap, address: u64) -> u32 {
    u32::from_le_bytes(read(memory, address))
}

#[test]
fn registers_are_those_of_the_specification() {
    let memory = ram(&[(0, 4 * MIB)]);
    let state = boot(&memory, &elf()).unwrap();
    assert_eq!(
        state,
        BootState {
            rip: 0x10_000c,
            rax: 0x2bad_b002,
            rbx: 0x9000,
            rsi: 0,
            rsp: 0x8ff0,
            rflags: 2,
            cr0: 0x11,
            cr3: 0,
            cr4: 0,
            efer: 0,
            code: Segment { selector: 8, descriptor: 0x00cf_9b00_0000_ffff },
            data: Segment { selector: 16, descriptor: 0x00cf_9300_0000_ffff },
            gdt_base: 0x500,
            gdt_limit: 23,
        }
    );
    for (address, word) in [(0x500, 0_u64), (0x508, 0x00cf_9b00_0000_ffff), (0x510, 0x00cf_9300_0000_ffff)] {
        assert_eq!(u64::from_le_bytes(read(&memory, address)), word, "{address:#x}");
    }
}

#[test]
fn an_elf_segment_lies_at_its_physical_address_with_its_tail_zeroed() {
    let memory = ram(&[(0, 4 * MIB)]);
    memory.write_slice(&[0xaa; 32], GuestAddress(0x10_0000)).unwrap();
    boot(&memory, &elf()).unwrap();
    let expected = [0x90, 0x90, 0xeb, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xaa];
    assert_eq!(read(&memory, 0x10_000c), expected);
}

#[test]
fn address_fields_say_what_is_loaded_where() {
    let word = |at: usize, value: u32, image: &mut Vec<u8>| {
        image[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let load = |change: &dyn Fn(&mut Vec<u8>)| {
        let memory = ram(&[(0, 4 * MIB)]);
        memory.write_slice(&[0x55; 128], GuestAddress(0x1f_fff0)).unwrap();
        let mut image = flat();
        change(&mut image);
        let entry = boot(&memory, &image)?.rip;
        Ok::<_, MultibootError>((entry, read::<4>(&memory, 0x1f_fffc), read::<20>(&memory, 0x20_0020)))
    };
    let mut tail = [0x55; 20];
    tail[..16].copy_from_slice(&[0x90, 0x90, 0xeb, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(load(&|_| ()).unwrap(), (0x20_0020, [0x55; 4], tail), "as given");
    tail[4..].fill(0x55);
    assert_eq!(load(&|image| word(28, 0, image)).unwrap().2, tail, "no bss");
    tail[4..8].fill(0xcc);
    let to_the_end = |image: &mut Vec<u8>| {
        word(24, 0, image);
        word(28, 0, image);
    };
    assert_eq!(load(&to_the_end).unwrap().2, tail, "no load_end_addr: the whole file");
    let from_the_start = load(&|image| word(20, 0x1f_fffc, image)).unwrap();
    assert_eq!(from_the_start.1, [0xaa; 4], "the file's first bytes too");

    let wrong = |what, value| Err(MultibootError::Addresses { what, value });
    for (at, value, error) in [
        (16, 0x1f_ffff, wrong("load_addr is above header_addr", 0x20_0000)),
        (16, 0x20_0005, wrong("load_addr is that of a byte before the file's first", 0x20_0000)),
        (20, 0x20_0001, wrong("load_addr is above header_addr", 0x20_0001)),
        (20, 0, wrong("load_addr is that of a byte before the file's first", 0)),
        (24, 0x1f_ffff, wrong("load_end_addr is below load_addr", 0x1f_ffff)),
        (24, 0x20_0029, wrong("load_end_addr is that of no byte of the file", 0x20_0029)),
        (24, u32::MAX, wrong("load_end_addr is that of no byte of the file", u32::MAX)),
        (24, 0x20_0000, wrong("entry_addr lies outside of what is loaded", 0x20_0020)),
        (28, 0x20_0023, wrong("bss_end_addr is below the end of what is loaded", 0x20_0023)),
        (28, 0x1f_ffff, wrong("bss_end_addr is below the end of what is loaded", 0x1f_ffff)),
        (32, 0x1f_ffff, wrong("entry_addr lies outside of what is loaded", 0x1f_ffff)),
        (32, 0x20_0030, wrong("entry_addr lies outside of what is loaded", 0x20_0030)),
    ] {
        let mut image = flat();
        word(at, value, &mut image);
        // With no bss, which else would hide a wrong entry point.
        if at == 24 {
            word(28, 0, &mut image);
        }
        assert_eq!(boot(&ram(&[(0, 4 * MIB)]), &image), error, "offset {at} = {value:#x}");
    }
    let truncated = boot(&ram(&[(0, 4 * MIB)]), &flat()[..35]);
    assert_eq!(truncated, wrong("they leave the file", 0));
    let mut image = flat();
    word(28, 0x40_0001, &mut image);
    let outside = ImageError::OutsideRam { first: 0x20_0000, last: 0x40_0000 };
    assert_eq!(boot(&ram(&[(0, 4 * MIB)]), &image), Err(outside.into()));
}

#[test]
fn the_header_is_searched_at_multiples_of_4_in_the_first_8192_bytes() {
    let memory = ram(&[(0, 4 * MIB)]);
    let none = |len| Err(MultibootError::NoHeader { len });
    let at = |offset: usize| {
        // ELF64, so that only an error tells what became of it.
        let mut image = vec![0; offset];
        image.extend([0x02, 0xb0, 0xad, 0x1b, 0, 0, 0, 0, 0xfe, 0x4f, 0x52, 0xe4]);
        boot(&memory, &image)
    };
    let found = |len| Err(ImageError::NotElf { len }.into());
    assert_eq!(at(0), found(12));
    assert_eq!(at(4), found(16));
    assert_eq!(at(5), none(17));
    assert_eq!(at(6), none(18));
    assert_eq!(at(8180), found(8192));
    assert_eq!(at(8184), none(8196));
    for (name, offset, bytes) in [
        ("magic", 84, [0x03, 0xb0, 0xad, 0x1b]),
        ("flags without the checksum", 88, [2, 0, 0, 0]),
        ("checksum", 92, [0xfb, 0x4f, 0x52, 0xe5]),
    ] {
        let mut image = elf();
        image[offset..offset + 4].copy_from_slice(&bytes);
        assert_eq!(boot(&memory, &image), none(100), "{name}");
    }
}

#[test]
fn required_features_are_known_or_an_error_and_optional_ones_are_ignored() {
    let memory = ram(&[(0, 4 * MIB)]);
    let with = |flags: u32| {
        let mut image = elf();
        image[88..92].copy_from_slice(&flags.to_le_bytes());
        image[92..96].copy_from_slice(&0xe452_4ffe_u32.wrapping_sub(flags).to_le_bytes());
        boot(&memory, &image).map(|state| state.rip)
    };
    for bit in 0..32 {
        let expected = match bit {
            0..=2 | 17..=31 => Ok(0x10_000c),
            3..=15 => Err(MultibootError::Flags(1 << bit)),
            _ => Err(MultibootError::Addresses { what: "they leave the file", value: 0 }),
        };
        assert_eq!(with(1 << bit), expected, "bit {bit}");
    }
}

#[test]
fn elf_files_of_other_targets_and_damaged_ones_are_refused_and_leave_memory_alone() {
    let rows: &[(&str, usize, &[u8], ImageError)] = &[
        ("magic", 0, &[0x7e], ImageError::NotElf { len: 100 }),
        ("64-bit", 4, &[2], ImageError::NotI386 { class: 2, data: 1, machine: 3 }),
        ("x86-64", 18, &[62], ImageError::NotI386 { class: 1, data: 1, machine: 62 }),
        ("big-endian", 5, &[2], ImageError::NotI386 { class: 1, data: 2, machine: 3 }),
        ("PIE", 16, &[3], ImageError::NotExecutable(3)),
        (
            "phentsize",
            42,
            &[56],
            ImageError::Damaged { what: "e_phentsize is not that of its class", offset: 42 },
        ),
        (
            "phoff",
            28,
            &[0xff; 4],
            ImageError::Damaged { what: "the program header table leaves the file", offset: 0xffff_ffff },
        ),
        ("entry is virtual", 27, &[0xc0], ImageError::Entry(0xc010_000c)),
        ("offset", 56, &[85], ImageError::Damaged { what: "a segment leaves the file", offset: 85 }),
        ("physical address 0", 66, &[0], ImageError::Entry(0x10_000c)),
        (
            "no memory there",
            72,
            &[0, 0, 0x30, 0x01],
            ImageError::OutsideRam { first: 0x10_0000, last: 0x13f_ffff },
        ),
        ("above 4 GiB", 72, &[0xff; 4], ImageError::NotMapped { first: 0x10_0000, last: 0x1_000f_fffe }),
    ];
    let memory = ram(&[(0, 4 * MIB)]);
    for (name, offset, bytes, error) in rows {
        let mut image = elf();
        image[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        assert_eq!(boot(&memory, &image), Err(error.clone().into()), "{name}");
    }
    for page in (0..4 * MIB as u64).step_by(4096) {
        assert_eq!(read(&memory, page), [0; 4096], "{page:#x}");
    }
}

#[test]
fn the_boot_information_gives_memory_command_line_and_loader() {
    let memory = ram(&[(0, 4 * MIB), (1 << 32, MIB)]);
    let (image, command_line) = (elf(), "test.flat a");
    let reserved = [0xb000_0000..=0xbfff_ffff];
    load(&memory, &MultibootConfig { image: &image, command_line, modules: &[], reserved: &reserved })
        .unwrap();
    // Memory sizes, command line, modules, memory map, name of the loader.
    assert_eq!(read_u32(&memory, 0x9000), 0x24d);
    assert_eq!(read_u32(&memory, 0x9004), 639);
    assert_eq!(read_u32(&memory, 0x9008), 3072);
    assert_eq!(read(&memory, u64::from(read_u32(&memory, 0x9010))), *b"test.flat a\0");
    assert_eq!(read_u32(&memory, 0x9014), 0);
    assert_eq!(read(&memory, u64::from(read_u32(&memory, 0x9040))), *b"iommulator\0");
    // Fields whose flag is clear.
    for offset in [0x0c, 0x1c, 0x20, 0x24, 0x28, 0x34, 0x38, 0x3c, 0x44, 0x48, 0x4c, 0x58, 0x5c] {
        assert_eq!(read_u32(&memory, 0x9000 + offset), 0, "{offset:#x}");
    }
    assert_eq!(read_u32(&memory, 0x902c), 5 * 24);
    let map = u64::from(read_u32(&memory, 0x9030));
    assert_eq!(map % 4, 0);
    let entries: [[u8; 24]; 5] = std::array::from_fn(|index| read(&memory, map + 24 * index as u64));
    let entry = |address: u64, size: u64, kind: u32| -> [u8; 24] {
        [&[20, 0, 0, 0][..], &address.to_le_bytes(), &size.to_le_bytes(), &kind.to_le_bytes()]
            .concat()
            .try_into()
            .unwrap()
    };
    assert_eq!(
        entries,
        [
            entry(0, 0x9_fc00, 1),
            entry(0x9_fc00, 0x6_0400, 2),
            entry(0x10_0000, 0x30_0000, 1),
            entry(0xb000_0000, 0x1000_0000, 2),
            entry(0x1_0000_0000, 0x10_0000, 1),
        ]
    );
}

#[test]
fn modules_lie_on_pages_after_the_image() {
    let memory = ram(&[(0, 4 * MIB)]);
    let image = elf();
    let modules = [
        Module { bytes: &[7; 4097], command_line: "environment x=1" },
        Module { bytes: &[], command_line: "" },
        Module { bytes: &[9], command_line: "last" },
    ];
    let config = MultibootConfig { image: &image, command_line: "", modules: &modules, reserved: &[] };
    load(&memory, &config).unwrap();
    assert_eq!(read_u32(&memory, 0x9014), 3);
    let list = u64::from(read_u32(&memory, 0x9018));
    let entry = |index: u64| -> [u32; 4] {
        std::array::from_fn(|word| read_u32(&memory, list + 16 * index + 4 * word as u64))
    };
    let entries = [0, 1, 2].map(entry);
    let addresses = entries.map(|[first, end, _, reserved]| (first, end, reserved));
    assert_eq!(addresses, [(0x10_1000, 0x10_2001, 0), (0x10_3000, 0x10_3000, 0), (0x10_3000, 0x10_3001, 0)]);
    assert_eq!(read(&memory, u64::from(entries[0][2])), *b"environment x=1\0");
    assert_eq!(read(&memory, u64::from(entries[1][2])), [0]);
    assert_eq!(read(&memory, u64::from(entries[2][2])), *b"last\0");
    assert_eq!(read(&memory, 0x10_1000), [7; 4097]);
    assert_eq!(read(&memory, 0x10_3000), [9, 0]);

    let large = vec![1; 3 * MIB - 0x1000 + 1];
    let fits = [Module { bytes: &large[1..], command_line: "" }];
    load(&memory, &MultibootConfig { modules: &fits, ..config }).unwrap();
    let too_large = [Module { bytes: &large, command_line: "" }];
    let error = load(&memory, &MultibootConfig { modules: &too_large, ..config });
    assert_eq!(error, Err(MultibootError::Module { index: 0, first: 0x10_1000, last: 0x40_0000 }));
}

#[test]
fn strings_ranges_and_memory_have_their_limits() {
    let (memory, image) = (ram(&[(0, 4 * MIB)]), elf());
    let load = |memory: &GuestMemoryMmap, command_line: &str, reserved: &[RangeInclusive<u64>]| {
        load(memory, &MultibootConfig { image: &image, command_line, modules: &[], reserved }).err()
    };
    // The structure, three entries of the memory map, the command line's NUL, the loader's name.
    let room = 0x7000 - 120 - 3 * 24 - 1 - 11;
    let long = "x".repeat(room + 1);
    assert_eq!(load(&memory, &long[1..], &[]), None);
    assert_eq!(load(&memory, &long, &[]), Some(MultibootError::Info { size: 0x7001, max: 0x7000 }));
    assert_eq!(load(&memory, "a\0b", &[]), Some(MultibootError::Nul("a\0b".into())));
    let (first, last) = (0x3f_ffff, 0x40_0000);
    assert_eq!(load(&memory, "", &[first..=last]), Some(MultibootError::Reserved { first, last }));
    assert_eq!(load(&memory, "", &[last..=last]), None);
    assert_eq!(load(&ram(&[(0x10_0000, MIB)]), "", &[]), Some(MultibootError::NoLowMemory));
}

#[test]
fn a_header_is_found_by_magic_and_checksum() {
    let mut wrong_sum = flat();
    wrong_sum[12] ^= 1;
    for (image, found) in [(elf(), true), (flat(), true), (wrong_sum, false), (Vec::new(), false)] {
        assert_eq!(has_header(&image), found, "{:x?}", &image[..image.len().min(16)]);
    }
}

#[test]
fn every_truncation_and_every_byte_changed_ends_in_an_answer() {
    let memory = ram(&[(0, 4 * MIB)]);
    for whole in [elf(), flat()] {
        // What the flat file holds after load_end_addr may be missing.
        let needed = if whole.starts_with(b"\x7fELF") { whole.len() } else { whole.len() - 4 };
        for len in 0..needed {
            assert!(boot(&memory, &whole[..len]).is_err(), "{len} bytes");
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut image = whole.clone();
                image[at] = byte;
                if let Ok(state) = boot(&memory, &image) {
                    assert!((0x1_0000..0x40_0000).contains(&state.rip), "byte {at} = {byte:#x}");
                }
            }
        }
    }
}
