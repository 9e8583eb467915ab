use super::*;

/// A page that is no data page, for lists.
const LIST: u64 = 0x8_0000;
const NEXT: u64 = 0x8_1000;

/// Runs a read of `blocks` blocks of a pattern and returns its status and the bytes at `places`.
fn read(driver: &mut Driver, command: C, places: &[(u64, usize)]) -> (u16, Vec<u8>) {
    driver.rig.mem.write(Pa(DATA), &[0xee; 0x2_0000]).unwrap();
    let done = driver.io(command);
    (done.code(), places.iter().flat_map(|(at, len)| driver.rig.ram(*at, *len)).collect())
}

/// A driver whose first blocks hold a pattern, and the pattern.
fn stored(blocks: u32) -> (Driver, Vec<u8>) {
    let mut driver = Driver::new();
    let data = driver.store(0, blocks, 1);
    (driver, data)
}

#[test]
fn prps() {
    let (mut driver, data) = stored(32);
    let page = |n: u64| DATA + 0x1000 * n;
    driver.words(LIST + 0xff0, &[page(4), page(2)]);
    driver.words(LIST + 0x100, &[page(6), page(1), page(9)]);
    // The last entry of a page of a list leads to the next list if more than one page is left.
    driver.words(LIST + 0x1000 - 16, &[page(4), NEXT]);
    driver.words(NEXT, &[page(7), page(3)]);
    for (blocks, prp1, prp2, places) in [
        // Inside of a page, whatever PRP 2 is.
        (1, page(0), 0x7777, vec![(page(0), 512)]),
        (1, page(0) + 0xe00, 0x7777, vec![(page(0) + 0xe00, 512)]),
        (8, page(5), 0x7777, vec![(page(5), 4096)]),
        // Two pages.
        (1, page(0) + 0xf04, page(3), vec![(page(0) + 0xf04, 252), (page(3), 260)]),
        (16, page(5), page(2), vec![(page(5), 4096), (page(2), 4096)]),
        // A list.
        (16, page(0) + 0x800, LIST + 0x100, vec![(page(0) + 0x800, 2048), (page(6), 4096), (page(1), 2048)]),
        (32, page(0), LIST + 0x100, vec![(page(0), 4096), (page(6), 4096), (page(1), 4096), (page(9), 4096)]),
        // A list that ends with its page, and one that goes on in another.
        (32, page(0), LIST + 0xff0, vec![(page(0), 4096), (page(4), 4096), (page(7), 4096), (page(3), 4096)]),
    ] {
        let command = C { prp1, prp2, ..C::io(READ, 0, blocks) };
        let (status, read) = read(&mut driver, command, &places);
        assert_eq!(status, 0, "{prp1:#x} {prp2:#x}");
        assert!(read == data[..512 * blocks as usize], "{blocks} blocks at {prp1:#x} {prp2:#x}");
    }
    // A list of two entries of which the last is data: one page is left by then.
    driver.words(LIST + 0x1000 - 16, &[page(4), page(8)]);
    let command = C { prp1: page(0), prp2: LIST + 0xff0, ..C::io(READ, 0, 24) };
    let places = [(page(0), 4096), (page(4), 4096), (page(8), 4096)];
    assert!(read(&mut driver, command, &places) == (0, data[..0x3000].to_vec()));
}

#[test]
fn prps_move_data_to_the_controller() {
    let mut driver = Driver::new();
    let data = [driver.fill(DATA + 0x804, 0x7fc, 1), driver.fill(DATA + 0x5000, 0x804, 2)].concat();
    let command = C { prp1: DATA + 0x804, prp2: DATA + 0x5000, ..C::io(WRITE, 7, 8) };
    assert_eq!(driver.io(command).status, 0);
    assert!(driver.load(7, 8) == data);
}

#[test]
fn malformed_prps() {
    let (mut driver, _) = stored(1);
    driver.words(LIST, &[DATA + 0x1000, DATA + 0x2004, DATA]);
    // The second entry of this one is the pointer to the next list.
    driver.words(LIST + 0xff0, &[DATA + 0x1000, NEXT + 8]);
    for (blocks, prp1, prp2) in [
        (1, DATA + 1, 0),
        (1, DATA + 2, 0),
        // Two pages, of which the second has an offset.
        (16, DATA, DATA + 0x1004),
        (8, DATA + 0x800, DATA + 0x1800),
        // A list that is not at a qword, one with an offset in an entry, one chained with an offset.
        (32, DATA, LIST + 4),
        (32, DATA, LIST),
        (32, DATA, LIST + 0xff0),
    ] {
        let command = C { prp1, prp2, ..C::io(READ, 0, blocks) };
        assert_eq!(driver.io(command).status, 0x6013, "{blocks} blocks at {prp1:#x} {prp2:#x}");
    }
}

#[test]
fn prps_of_large_pages() {
    let mut driver = Driver::off(Arc::new(Direct), Box::new(Memory::new(BLOCKS * 512)), 0);
    driver.enable();
    driver.rig.write32(BAR + 0x14, 0);
    // Pages of 64 KiB.
    driver.rig.write32(BAR + 0x14, 0x0046_0201);
    let (sq, cq) = (0x1_0000, 0x2_0000);
    driver.rig.write32(BAR + 0x14, 0);
    driver.rig.write64(BAR + 0x28, sq);
    driver.rig.write64(BAR + 0x30, cq);
    driver.rig.write32(BAR + 0x14, 0x0046_0201);
    assert_eq!(driver.csts(), 1);
    // Identify to the middle of a large page: PRP 2 is not looked at.
    let command = C { opcode: 0x06, prp1: DATA + 0x1800, prp2: 0x7777, d10: 1, ..C::default() };
    driver.rig.mem.write(Pa(sq), &command.bytes(1)).unwrap();
    driver.rig.write32(BAR + 0x1000, 1);
    assert_eq!(driver.rig.ram(cq + 14, 2), [1, 0]);
    assert_eq!(driver.rig.ram(DATA + 0x1800 + 24, 10), *b"Iommulator");
}

/// SGL descriptors: the low word is the address, the high one the length and the type.
const fn data(address: u64, len: u64) -> [u64; 2] {
    [address, len]
}
const fn bucket(len: u64) -> [u64; 2] {
    [0, len | 0x10 << 56]
}
const fn segment(address: u64, len: u64) -> [u64; 2] {
    [address, len | 0x20 << 56]
}
const fn last(address: u64, len: u64) -> [u64; 2] {
    [address, len | 0x30 << 56]
}

/// A command with an SGL.
fn sgl(opcode: u32, blocks: u32, first: [u64; 2]) -> C {
    C { prp1: first[0], prp2: first[1], ..C::io(opcode | 1 << 14, 0, blocks) }
}

#[test]
fn sgls() {
    let (mut driver, bytes) = stored(8);
    let all = bytes.as_slice();
    driver.words(LIST, &[data(DATA + 0x1001, 1000), data(DATA + 0x3000, 24)].concat());
    driver.words(LIST + 0x100, &[data(DATA, 512), data(0, 0), segment(NEXT, 48)].concat());
    driver.words(NEXT, &[data(DATA + 0x2000, 1), data(DATA + 0x5000, 511), last(NEXT + 0x100, 16)].concat());
    driver.words(NEXT + 0x100, &data(DATA + 0x7ff0, 0x10_0000));
    driver.words(LIST + 0x200, &[data(DATA, 100), bucket(412), data(DATA + 100, 512)].concat());
    // A descriptor that crosses a page.
    driver.words(LIST + 0x1ff8, &data(DATA + 0x40, 512));
    // More descriptors than are read at once.
    let many: Vec<u64> = (0..64).flat_map(|at| data(DATA + 0x1000 * (at % 8) + 8 * at, 8)).collect();
    driver.words(LIST + 0x3f00, &many);
    let spread: Vec<(u64, usize)> = (0..64).map(|at| (DATA + 0x1000 * (at % 8) + 8 * at, 8)).collect();
    for (what, blocks, first, places, expected) in [
        ("a data block", 2, data(DATA + 3, 1024), vec![(DATA + 3, 1024)], &all[..1024]),
        ("one that crosses a page", 8, data(DATA + 0x801, 4096), vec![(DATA + 0x801, 4096)], all),
        ("one that is too long", 1, data(DATA, 0xffff_ffff), vec![(DATA, 512)], &all[..512]),
        ("a last segment", 2, last(LIST, 32), vec![(DATA + 0x1001, 1000), (DATA + 0x3000, 24)], &all[..1024]),
        (
            "a segment that is the last",
            2,
            segment(LIST, 32),
            vec![(DATA + 0x1001, 1000), (DATA + 0x3000, 24)],
            &all[..1024],
        ),
        (
            "a chain",
            3,
            segment(LIST + 0x100, 48),
            vec![(DATA, 512), (DATA + 0x2000, 1), (DATA + 0x5000, 511), (DATA + 0x7ff0, 512)],
            &all[..1536],
        ),
        ("a bit bucket", 2, last(LIST + 0x200, 48), vec![(DATA, 100)], &all[..100]),
        ("what follows a bit bucket", 2, last(LIST + 0x200, 48), vec![(DATA + 100, 512)], &all[512..1024]),
        ("a descriptor across pages", 1, last(LIST + 0x1ff8, 16), vec![(DATA + 0x40, 512)], &all[..512]),
        ("many descriptors", 1, last(LIST + 0x3f00, 1024), spread, &all[..512]),
    ] {
        let (status, read) = read(&mut driver, sgl(READ, blocks, first), &places);
        assert_eq!(status, 0, "{what}");
        assert!(read == expected, "{what}");
    }
}

#[test]
fn bit_buckets_hold_nothing_for_the_controller() {
    let mut driver = Driver::new();
    let bytes = driver.fill(DATA, 512, 1);
    driver.words(LIST, &[data(DATA, 100), bucket(1000), data(DATA + 100, 412)].concat());
    assert_eq!(driver.io(sgl(WRITE, 1, last(LIST, 48))).status, 0);
    assert_eq!(driver.load(0, 1), bytes);
}

#[test]
fn malformed_sgls() {
    let (mut driver, _) = stored(1);
    driver.words(LIST, &[data(DATA, 100), last(NEXT, 16), data(DATA, 412)].concat());
    driver.words(LIST + 0x100, &[data(DATA, 100), segment(NEXT, 16)].concat());
    driver.words(LIST + 0x200, &[data(DATA, 100), [DATA, 412 | 0x01 << 56]].concat());
    driver.words(NEXT, &data(DATA, 412));
    for (what, first, code) in [
        ("too short a block", data(DATA, 511), 0x00f),
        ("no data at all", data(DATA, 0), 0x00f),
        ("too short a list", last(NEXT, 16), 0x00f),
        ("a segment descriptor that is not the last", segment(LIST, 48), 0x00e),
        ("a segment after the last", last(LIST + 0x100, 32), 0x00d),
        ("an empty segment", segment(LIST, 0), 0x00d),
        ("a part of a descriptor", segment(LIST, 24), 0x00d),
        ("an empty last segment", last(LIST, 0), 0x00d),
        ("an offset", [DATA, 512 | 0x01 << 56], 0x011),
        ("an offset in a list", last(LIST + 0x200, 32), 0x011),
        ("a keyed block", [DATA, 512 | 0x40 << 56], 0x011),
        ("a transport block", [DATA, 512 | 0x5a << 56], 0x011),
        ("a vendor's block", [DATA, 512 | 0xf0 << 56], 0x011),
        ("data past the top of the address space", data(u64::MAX - 100, 512), 0x004),
        ("a list past the top of the address space", last(u64::MAX - 7, 16), 0x004),
    ] {
        assert_eq!(driver.io(sgl(READ, 1, first)).code(), code, "{what}");
    }
    for psdt in [2, 3] {
        let command = C { opcode: READ | psdt << 14, ..sgl(READ, 1, data(DATA, 512)) };
        assert_eq!(driver.io(command).code(), 0x002, "PSDT {psdt}");
    }
}

#[test]
fn a_list_in_a_circle_ends() {
    let (mut driver, _) = stored(1);
    driver.words(LIST, &[data(DATA, 0), segment(LIST, 32)].concat());
    driver.put(1, sgl(READ, 1, segment(LIST, 32)));
    driver.ring(1);
    driver.rig.requesters();
    let mut steps = 0;
    while driver.rig.step() {
        steps += 1;
        assert!(driver.rig.requesters().len() <= 300, "bounded");
    }
    assert_eq!(driver.reap(1).map(|done| done.code()), Some(0x00e));
    assert!((100..200).contains(&steps), "{steps}: 65536 descriptors, 2 at a request, 256 requests a step");
}
