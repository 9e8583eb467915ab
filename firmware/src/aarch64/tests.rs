#![allow(clippy::unwrap_used)]

use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::arm::samples::virt;

const RAM: u64 = 0x4000_0000;

fn memory(bytes: usize) -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM), bytes)]).unwrap()
}

const TREE: &[u8] = b"tree";

/// An ELF64 file for machine 183 with one segment of 8 bytes, 16 in memory.
fn elf(address: u64) -> Vec<u8> {
    let mut image = vec![0; 128];
    image[..6].copy_from_slice(b"\x7fELF\x02\x01");
    image[16..20].copy_from_slice(&[2, 0, 183, 0]);
    image[24..32].copy_from_slice(&(address + 4).to_le_bytes());
    image[32] = 64;
    image[54] = 56;
    image[56] = 1;
    image[64] = 1;
    image[72] = 120;
    image[88..96].copy_from_slice(&address.to_le_bytes());
    image[96] = 8;
    image[104] = 16;
    image[120..].copy_from_slice(b"contents");
    image
}

fn linux(text_offset: u64, image_size: u64) -> Vec<u8> {
    let mut image = vec![0x11; 64];
    image[8..16].copy_from_slice(&text_offset.to_le_bytes());
    image[16..24].copy_from_slice(&image_size.to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    image
}

#[test]
fn an_elf_image_and_the_tree_are_loaded() {
    let memory = memory(16 << 20);
    let image = elf(0x4020_0000);
    memory.write_slice(&[0xff; 32], GuestAddress(0x4020_0000)).unwrap();
    let state =
        load(&memory, &Aarch64Config { image: &image, tables: Tables::Tree(TREE), initrd: None }).unwrap();
    assert_eq!(state, Aarch64State { entry: 0x4020_0004, tree: 0x4000_0000 });
    let mut loaded = [0; 17];
    memory.read_slice(&mut loaded, GuestAddress(0x4020_0000)).unwrap();
    assert_eq!(&loaded, b"contents\0\0\0\0\0\0\0\0\xff", "what the file does not hold is zero");
    let mut magic = [0; 4];
    memory.read_slice(&mut magic, GuestAddress(RAM)).unwrap();
    assert_eq!(magic, *b"tree");
}

#[test]
fn linux_images_go_where_their_header_says() {
    for (text_offset, image_size, entry) in
        [(0, 0x10_0000, 0x4020_0000), (0x8_0000, 0x1000, 0x4028_0000), (0x1234, 0, 0x4028_0000)]
    {
        let image = linux(text_offset, image_size);
        assert!(is_image(&image));
        let state = load(
            &memory(16 << 20),
            &Aarch64Config { image: &image, tables: Tables::Tree(TREE), initrd: None },
        )
        .unwrap();
        assert_eq!(state.entry, entry, "{text_offset:#x}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let fails = |image: &[u8], bytes: usize| {
        load(&memory(bytes), &Aarch64Config { image, tables: Tables::Tree(TREE), initrd: None })
            .unwrap_err()
            .to_string()
    };
    for address in [0x4000_0000, 0x401f_fff8, 0x40ff_fff8, 0x1000_0000] {
        assert!(fails(&elf(address), 16 << 20).contains("lies outside"), "{address:#x}");
    }
    for (offset, size) in [(0, 15 << 20), (u64::MAX, 0x1000), (0, u64::MAX), (14 << 20, 0x1000)] {
        assert!(
            fails(&linux(offset, size), 16 << 20).contains("give the machine more"),
            "{offset:#x} {size:#x}"
        );
    }
    assert!(fails(&elf(0x4020_0000), 2 << 20).contains("device tree"));
    assert!(fails(b"nothing", 16 << 20).contains("not an ELF file"));
    let mut x86 = elf(0x4020_0000);
    x86[18] = 62;
    assert!(!is_image(&x86));
    assert!(fails(&x86, 16 << 20).contains("machine 62"));
    let tree = vec![0; (2 << 20) + 1];
    let refused = load(
        &memory(16 << 20),
        &Aarch64Config { image: &elf(0x4020_0000), tables: Tables::Tree(&tree), initrd: None },
    );
    assert_eq!(refused, Err(Aarch64Error::Tree(0x20_0001)));
}

#[test]
fn a_ram_disk_lies_at_the_end_of_ram_and_nothing_over_it() {
    for (bytes, place) in [
        (1, Some(0x40ff_f000..=0x40ff_f000)),
        (0x1000, Some(0x40ff_f000..=0x40ff_ffff)),
        (0x1001, Some(0x40ff_e000..=0x40ff_f000)),
        (0xe0_0000, Some(0x4020_0000..=0x40ff_ffff)),
        (0xe0_0001, None),
        (u64::MAX, None),
        (0, None),
    ] {
        assert_eq!(place_initrd(&memory(16 << 20), bytes).ok(), place, "{bytes:#x}");
    }
    let load_at = |image: &[u8], at| {
        let memory = memory(16 << 20);
        let result =
            load(&memory, &Aarch64Config { image, tables: Tables::Tree(TREE), initrd: Some((at, b"disk")) });
        let mut disk = [0; 4];
        memory.read_slice(&mut disk, GuestAddress(0x40ff_f000)).unwrap();
        result.map(|_| disk)
    };
    let image = linux(0, 0x1000);
    assert_eq!(load_at(&image, 0x40ff_f000), Ok(*b"disk"));
    for at in [0x40ff_fffd, 0x4000_1000, u64::MAX] {
        assert_eq!(load_at(&image, at), Err(Aarch64Error::Initrd(4)), "{at:#x}");
    }
    let nowhere = Aarch64Config { image: &image, tables: Tables::Tree(TREE), initrd: Some((0, b"")) };
    assert_eq!(load(&memory(16 << 20), &nowhere), Err(Aarch64Error::Initrd(0)));
    let large = linux(0, 0xdf_f001);
    assert!(matches!(load_at(&large, 0x40ff_f000), Err(Aarch64Error::Room { last: 0x40ff_efff, .. })));
    assert!(matches!(load_at(&elf(0x40ff_eff8), 0x40ff_f000), Err(Aarch64Error::Segment { .. })));
}

#[test]
fn acpi_tables_take_the_place_of_the_tree() {
    let mut machine = virt();
    machine.ram = vec![RAM..=RAM + (16 << 20) - 1];
    machine.chosen.initrd = Some(0x40ff_f000..=0x40ff_f003);
    let initrd = Some((0x40ff_f000, &b"disk"[..]));
    // What is loaded, and the extent that the memory map gives it, in pages.
    for (image, at, pages) in [(linux(0, 0x5800), 0x4020_0000, 6), (elf(0x4030_0000), 0x4030_0000, 1)] {
        let memory = memory(16 << 20);
        let config = Aarch64Config { image: &image, tables: Tables::Acpi(&machine), initrd };
        assert_eq!(load(&memory, &config).unwrap().tree, RAM);
        let read = |at| {
            let mut bytes = [0; 8];
            memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
            bytes
        };
        assert_eq!(read(RAM)[..4], [0xd0, 0x0d, 0xfe, 0xed]);
        assert_eq!(&read(RAM + 0x1_0000), b"IBI SYST");
        assert_eq!(&read(RAM + 0x3_0000), b"RSD PTR ");
        assert_eq!(read(0x40ff_f000)[..4], *b"disk");
        let rows = (0..9).map(|row| RAM + 0x2_0000 + row * 48).map(|row| [row, row + 8, row + 24].map(read));
        let code = rows.map(|row| row.map(u64::from_le_bytes)).find(|row| row[0] == 1);
        assert_eq!(code, Some([1, at, pages]));
    }
    // Nothing is written where the tables cannot be made.
    let memory = memory(16 << 20);
    machine.cpus.clear();
    let image = linux(0, 0x1000);
    let config = Aarch64Config { image: &image, tables: Tables::Acpi(&machine), initrd };
    assert!(matches!(load(&memory, &config), Err(Aarch64Error::Efi(_))));
    let mut first = [0; 4];
    memory.read_slice(&mut first, GuestAddress(0x4020_0000)).unwrap();
    assert_eq!(first, [0; 4]);
}

#[test]
fn packed_images_are_loaded_as_what_is_inside() {
    let plain = linux(0, 0x1000);
    let mut packed = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::best());
    let mut image = Vec::new();
    std::io::Read::read_to_end(&mut packed, &mut image).unwrap();
    let memory = memory(16 << 20);
    let tables = Tables::Tree(TREE);
    let state = load(&memory, &Aarch64Config { image: &image, tables, initrd: None }).unwrap();
    assert_eq!(state.entry, 0x4020_0000);
    let mut magic = [0; 4];
    memory.read_slice(&mut magic, GuestAddress(0x4020_0038)).unwrap();
    assert_eq!(magic, *b"ARM\x64");
    image.truncate(20);
    let config = Aarch64Config { image: &image, tables, initrd: None };
    assert!(matches!(load(&memory, &config), Err(Aarch64Error::Packed { method: "gzip", .. })));
}
