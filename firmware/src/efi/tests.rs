#![allow(clippy::unwrap_used)]

use super::*;
use crate::acpi::AcpiError;
use crate::arm::samples::{rich, virt};

const AREA: RangeInclusive<u64> = 0x4000_0000..=0x401f_ffff;
const IMAGE: RangeInclusive<u64> = 0x4020_0000..=0x4123_4567;

fn part(handover: &Handover, address: u64) -> &[u8] {
    &handover.iter().find(|part| part.address == address).unwrap().bytes
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Memory descriptors as (type, first byte, pages).
fn descriptors(map: &[u8]) -> Vec<(u64, u64, u64)> {
    let rows = map.chunks_exact(48).map(|row| {
        assert_eq!(
            (u64_at(row, 16), u64_at(row, 32), u64_at(row, 40)),
            (0, 0xf, 0),
            "no virtual address; cached"
        );
        (u64_at(row, 0), u64_at(row, 8), u64_at(row, 24))
    });
    rows.collect()
}

/// A property of /chosen, found in the blob by the offset of its name among the strings [DTSpec 5.4].
fn chosen(tree: &[u8], name: &str) -> Option<Vec<u8>> {
    let field = |at: usize| u32::from_be_bytes(tree[at..at + 4].try_into().unwrap()) as usize;
    let (structure, strings) = (field(8), field(12));
    let name = [&[0], name.as_bytes(), &[0]].concat();
    let found = tree[strings - 1..].windows(name.len()).position(|window| window == name)?;
    let mut at = structure;
    loop {
        // FDT_PROP, its length, the offset of its name.
        if field(at) == 3 && field(at + 8) == found {
            return Some(tree[at + 12..at + 12 + field(at + 4)].to_vec());
        }
        at += 4;
    }
}

#[test]
fn the_tree_leads_to_the_tables() {
    let mut machine = virt();
    machine.chosen.command_line = "root=/dev/vda".into();
    machine.chosen.initrd = Some(0x7f00_0000..=0x7fff_efff);
    let handover = build(&machine, &AREA, &IMAGE).unwrap();
    let tree = part(&handover, 0x4000_0000);
    assert_eq!(handover.iter().next().unwrap().bytes, tree);
    let rows: &[(&str, Option<&[u8]>)] = &[
        ("bootargs", Some(b"root=/dev/vda\0")),
        ("linux,initrd-start", Some(&[0, 0, 0, 0, 0x7f, 0, 0, 0])),
        ("linux,initrd-end", Some(&[0, 0, 0, 0, 0x7f, 0xff, 0xf0, 0])),
        ("linux,uefi-system-table", Some(&[0, 0, 0, 0, 0x40, 1, 0, 0])),
        ("linux,uefi-mmap-start", Some(&[0, 0, 0, 0, 0x40, 2, 0, 0])),
        ("linux,uefi-mmap-size", Some(&[0, 0, 1, 0xb0])),
        ("linux,uefi-mmap-desc-size", Some(&[0, 0, 0, 48])),
        ("linux,uefi-mmap-desc-ver", Some(&[0, 0, 0, 1])),
        ("linux,uefi-secure-boot", Some(&[0, 0, 0, 2])),
        // A word of hardware, and Linux would believe the tree.
        ("stdout-path", None),
        ("reg", None),
        ("compatible", None),
    ];
    for (name, expected) in rows {
        assert_eq!(chosen(tree, name).as_deref(), *expected, "{name}");
    }
}

#[test]
fn the_system_table_leads_to_acpi_and_to_no_services() {
    let handover = build(&virt(), &AREA, &IMAGE).unwrap();
    let system = part(&handover, 0x4001_0000);
    let mut expected = b"IBI SYST\x64\0\x02\0\x78\0\0\0".to_vec();
    expected.extend(&system[16..20]); // the checksum, for now
    expected.extend([0; 4]);
    expected.extend([0x40, 1, 1, 0x40, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]); // vendor
    expected.extend([0; 64]); // consoles, runtime and boot services
    expected.extend([3, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 1, 0x40, 0, 0, 0, 0]); // tables
    assert_eq!(system[..120], expected);
    let mut plain = system[..120].to_vec();
    plain[16..20].fill(0);
    assert_eq!(u32::from_le_bytes(system[16..20].try_into().unwrap()), crc32(&plain));

    let vendor: Vec<u8> = "Iommulator\0".bytes().flat_map(|byte| [byte, 0]).collect();
    assert_eq!(system[0x140..], vendor);
    // 8868e871-e4f1-11d3-bc22-0080c73c8881: the first three numbers little-endian.
    let acpi = [0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0, 0x80, 0xc7, 0x3c, 0x88, 0x81];
    assert_eq!(system[0x80..0x98], [&acpi[..], &[0, 0, 3, 0x40, 0, 0, 0, 0]].concat());
    assert_eq!(part(&handover, u64_at(system, 0x90))[..8], *b"RSD PTR ");
    let services =
        [0x8a, 0x91, 0x66, 0xeb, 0xef, 0x7e, 0x2a, 0x40, 0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9];
    assert_eq!(system[0x98..0xb0], [&services[..], &[0, 1, 1, 0x40, 0, 0, 0, 0]].concat());
    let reserve =
        [0xc6, 0xb0, 0x8e, 0x88, 0xde, 0x8e, 0xf5, 0x4f, 0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2];
    assert_eq!(system[0xb0..0xc8], [&reserve[..], &[0x20, 1, 1, 0x40, 0, 0, 0, 0]].concat());
    assert_eq!(system[0x120..0x130], [0; 16]);
    assert_eq!(system[0x100..0x108], [1, 0, 8, 0, 0, 0, 0, 0], "version 1, 8 bytes, nothing supported");
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn the_memory_map_says_what_is_free() {
    let mut machine = virt();
    machine.chosen.initrd = Some(0x7fff_f000..=0x7fff_f003);
    let handover = build(&machine, &AREA, &IMAGE).unwrap();
    let expected = [
        (2, 0x4000_0000, 16),                                 // tree: loader data
        (0, 0x4001_0000, 16),                                 // system table: reserved
        (2, 0x4002_0000, 16),                                 // this map
        (9, 0x4003_0000, 16),                                 // ACPI tables, to be kept
        (7, 0x4004_0000, (0x4020_0000 - 0x4004_0000) / 4096), // free
        (1, 0x4020_0000, 0x1035),                             // image
        (7, 0x4123_5000, (0x7fff_f000 - 0x4123_5000) / 4096),
        (2, 0x7fff_f000, 1), // RAM disk, to the end
    ];
    assert_eq!(descriptors(part(&handover, 0x4002_0000)), expected);

    // Two ranges of RAM; of what is reserved, that which is RAM.
    machine = rich();
    let handover = build(&machine, &AREA, &IMAGE).unwrap();
    let found = descriptors(part(&handover, 0x4002_0000));
    let expected = [
        (7, 0x4123_5000, (0x4800_0000 - 0x4123_5000) / 4096),
        (2, 0x4800_0000, 0x100),
        (7, 0x4810_0000, (0x7f00_0000 - 0x4810_0000) / 4096),
        (0, 0x7f00_0000, 0x100),
        (7, 0x7f10_0000, 0xf00),
        (7, 0x1_0000_0000, 0x4_0000),
    ];
    assert_eq!(found[6..], expected);
}

#[test]
fn a_map_stands_whatever_it_is_made_of() {
    let used = |kind, range| Use { kind, range };
    let row = |kind: Kind, first: u64, pages: u64| (kind as u64, first, pages);
    let (free, code, data) = (Kind::Conventional, Kind::LoaderCode, Kind::LoaderData);
    // RAM, uses, map.
    type Row = (Vec<RangeInclusive<u64>>, Vec<Use>, Vec<(u64, u64, u64)>);
    let rows: Vec<Row> = vec![
        (vec![], vec![used(code, 0..=1)], vec![]),
        (vec![0..=0xffff], vec![], vec![row(free, 0, 16)]),
        // Outside RAM, over its end, over its start.
        (
            vec![0x1_0000..=0x1_ffff],
            vec![used(code, 0x2_0000..=0x2_ffff), used(data, 0x1_f800..=0x2_0fff), used(code, 0..=0x1_0000)],
            vec![row(code, 0x1_0000, 1), row(free, 0x1_1000, 14), row(data, 0x1_f000, 1)],
        ),
        // In one page, and inside one another.
        (
            vec![0..=0xffff],
            vec![used(code, 0..=0x17ff), used(data, 0x1800..=0x2fff), used(code, 0x2000..=0x2000)],
            vec![row(code, 0, 2), row(data, 0x2000, 1), row(free, 0x3000, 13)],
        ),
        // The last page of the address space.
        (
            vec![u64::MAX - 0x1fff..=u64::MAX],
            vec![used(code, u64::MAX - 0xfff..=u64::MAX), used(data, u64::MAX..=u64::MAX)],
            vec![row(free, u64::MAX - 0x1fff, 1), row(code, u64::MAX - 0xfff, 1)],
        ),
    ];
    for (ram, uses, map) in rows {
        assert_eq!(descriptors(&memory_map::build(&ram, &uses)), map, "{ram:x?} {uses:x?}");
    }
}

#[test]
fn what_has_no_room_is_refused() {
    for area in [
        0x4000_1000..=0x401f_ffff,
        0x4000_0000..=0x4002_ffff,
        0x3fff_0000..=0x401f_ffff,
        0x7fff_0000..=0x8010_ffff,
        u64::MAX - 0xffff..=u64::MAX,
    ] {
        let (first, last) = (*area.start(), *area.end());
        assert_eq!(build(&virt(), &area, &IMAGE), Err(EfiError::Area { first, last }));
    }
    let small = build(&virt(), &(0x4000_0000..=0x4003_07ff), &IMAGE);
    assert!(matches!(small, Err(EfiError::Acpi(AcpiError::TooLarge { max: 0x800, .. }))));
    let mut machine = virt();
    machine.ram.extend((0..1400).map(|index| 0x1_0000_0000 + index * 0x2000).map(|at| at..=at + 0xfff));
    let error = EfiError::TooLarge { what: "memory map", size: 48 * 1407 };
    assert_eq!(build(&machine, &AREA, &IMAGE), Err(error));
    machine = virt();
    machine.cpus.clear();
    assert!(matches!(build(&machine, &AREA, &IMAGE), Err(EfiError::Description(_))));
}

/// RAM of four pages and all pairs of uses in steps of half a page: each page has one descriptor, and none that
/// is used is called free.
#[test]
fn each_page_is_told_of_once() {
    const HALF: u64 = 0x800;
    let ram = 0x1000..=0x4fff_u64;
    let ranges =
        (0..12).flat_map(|first| (first..12).map(move |last| first * HALF..=last * HALF + (HALF - 1)));
    let ranges: Vec<_> = ranges.collect();
    for (one, other) in ranges.iter().flat_map(|one| ranges.iter().map(move |other| (one, other))) {
        let uses = [(Kind::LoaderCode, one), (Kind::Reserved, other)];
        let uses = uses.map(|(kind, range)| Use { kind, range: range.clone() });
        let map = descriptors(&memory_map::build(std::slice::from_ref(&ram), &uses));
        let mut next = *ram.start();
        for (kind, first, pages) in map {
            let last = first + pages * 0x1000 - 1;
            assert!(first == next && pages > 0, "{uses:x?}");
            let used = |used: &Use| *used.range.start() <= last && *used.range.end() >= first;
            assert_eq!(kind == Kind::Conventional as u64, !uses.iter().any(used), "{uses:x?}");
            next = last + 1;
        }
        assert_eq!(next, ram.end() + 1, "{uses:x?}");
    }
}
