#![allow(clippy::unwrap_used)]

use vm_memory::{Bytes, GuestAddress};

use super::*;

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
    let state = load(&memory, &Aarch64Config { image: &image, tree: TREE, initrd: None }).unwrap();
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
        let state =
            load(&memory(16 << 20), &Aarch64Config { image: &image, tree: TREE, initrd: None }).unwrap();
        assert_eq!(state.entry, entry, "{text_offset:#x}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let fails = |image: &[u8], bytes: usize| {
        load(&memory(bytes), &Aarch64Config { image, tree: TREE, initrd: None }).unwrap_err().to_string()
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
    let refused =
        load(&memory(16 << 20), &Aarch64Config { image: &elf(0x4020_0000), tree: &tree, initrd: None });
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
        let result = load(&memory, &Aarch64Config { image, tree: TREE, initrd: Some((at, b"disk")) });
        let mut disk = [0; 4];
        memory.read_slice(&mut disk, GuestAddress(0x40ff_f000)).unwrap();
        result.map(|_| disk)
    };
    let image = linux(0, 0x1000);
    assert_eq!(load_at(&image, 0x40ff_f000), Ok(*b"disk"));
    for at in [0x40ff_fffd, 0x4000_1000, u64::MAX] {
        assert_eq!(load_at(&image, at), Err(Aarch64Error::Initrd(4)), "{at:#x}");
    }
    let large = linux(0, 0xdf_f001);
    assert!(matches!(load_at(&large, 0x40ff_f000), Err(Aarch64Error::Room { last: 0x40ff_efff, .. })));
    assert!(matches!(load_at(&elf(0x40ff_eff8), 0x40ff_f000), Err(Aarch64Error::Segment { .. })));
}
