use super::*;

#[test]
fn blocks_are_stored_and_loaded() {
    let mut driver = Driver::new();
    let stored = driver.store(3, 4, 1);
    assert_eq!(driver.load(3, 4), stored);
    assert_eq!(driver.load(2, 1), [0; 512]);
    let last = driver.store(BLOCKS - 1, 1, 9);
    assert_eq!(driver.load(BLOCKS - 1, 1), last);
    // One command for all of them.
    assert_eq!(driver.io(C::io(READ, 3, 4)).status, 0);
    assert_eq!(driver.rig.ram(DATA, 2048), stored);
}

#[test]
fn opcodes_namespaces_and_ranges() {
    let mut driver = Driver::new();
    for opcode in (0..=0xff).filter(|opcode| ![0, 1, 2, 5, 8, 9].contains(opcode)) {
        assert_eq!(driver.io(C::io(opcode, 0, 1)).status, 0x6001, "{opcode:#x}");
    }
    for opcode in [FLUSH, WRITE, READ, COMPARE, WRITE_ZEROES, DATASET_MANAGEMENT] {
        for nsid in [0, 2, u32::MAX] {
            let expected = if opcode == FLUSH && nsid == u32::MAX { 0 } else { 0x00b };
            let done = driver.io(C { nsid, ..C::io(opcode, 0, 1) });
            assert_eq!(done.code(), expected, "{opcode:#x} of {nsid:#x}");
        }
    }
    for opcode in [WRITE, READ, COMPARE, WRITE_ZEROES] {
        for (slba, blocks, code) in [
            (BLOCKS - 1, 1, 0),
            (BLOCKS - 2, 2, 0),
            (BLOCKS, 1, 0x080),
            (BLOCKS - 1, 2, 0x080),
            (u64::MAX, 1, 0x080),
            (1 << 55, 1, 0x080),
            (u64::MAX - 1, 2, 0x080),
        ] {
            let done = driver.io(C::io(opcode, slba, blocks));
            assert_eq!(done.code(), code, "{opcode:#x} of {blocks} from {slba:#x} on");
            assert_eq!(done.status & 0x4000 != 0, code != 0, "it is not to be tried again");
        }
    }
}

#[test]
fn transfers_are_at_most_mdts() {
    let mut driver = Driver::new();
    // One page again and again, so that the data fits.
    let list: Vec<u64> = (0..511).map(|_| DATA + 0x1000).collect();
    driver.words(DATA + 0x2000, &list);
    for opcode in [READ, COMPARE, WRITE] {
        for (blocks, code) in [(2048, 0), (2049, 0x002), (0x1_0000, 0x080)] {
            let command = C { prp2: DATA + 0x2000, ..C::io(opcode, 0, blocks) };
            assert_eq!(driver.io(command).code(), code, "{opcode:#x} of {blocks}");
        }
    }
}

#[test]
fn compare() {
    let mut driver = Driver::new();
    let stored = driver.store(0, 2, 1);
    driver.rig.mem.write(Pa(DATA), &stored).unwrap();
    assert_eq!(driver.io(C::io(COMPARE, 0, 2)).status, 0);
    for at in [0, 511, 512, 1023] {
        let mut other = stored.clone();
        other[at] ^= 1;
        driver.rig.mem.write(Pa(DATA), &other).unwrap();
        assert_eq!(driver.io(C::io(COMPARE, 0, 2)).code(), 0x285, "byte {at}");
    }
    assert_eq!(driver.load(0, 2), stored);
}

#[test]
fn write_zeroes() {
    let mut driver = Driver::new();
    let stored = driver.store(0, 4, 1);
    assert_eq!(driver.io(C::io(WRITE_ZEROES, 1, 2)).status, 0);
    let loaded = driver.load(0, 4);
    assert_eq!(
        (&loaded[..512], &loaded[512..1536], &loaded[1536..]),
        (&stored[..512], &[0; 1024][..], &stored[1536..])
    );
    // All of the namespace, which is more than a transfer may have.
    assert_eq!(driver.io(C::io(WRITE_ZEROES, 0, BLOCKS as u32)).status, 0);
    assert_eq!(driver.load(0, 4), [0; 2048]);
}

#[test]
fn dataset_management() {
    let mut driver = Driver::new();
    let stored = driver.store(127, 2, 1);
    let range = |first: u64, len: u64| [len << 32, first];
    for (d10, d11, ranges, code, kept) in [
        // Hints that change nothing.
        (0, 0b011, vec![range(0, 256)], 0, true),
        // One that leaves the namespace, after one that does not.
        (1, 0b100, vec![range(0, 256), range(BLOCKS, 1)], 0x080, true),
        (1, 0b100, vec![range(0, 256), range(u64::MAX, 1)], 0x080, true),
        // Only whole blocks of 64 KiB are forgotten.
        (0, 0b100, vec![range(1, 127)], 0, true),
        (1, 0b100, vec![range(0, 128), range(128, 128)], 0, false),
    ] {
        driver.words(DATA, &ranges.concat());
        let done = driver.io(C { d10, d11, ..C::io(DATASET_MANAGEMENT, 0, 1) });
        assert_eq!(done.code(), code, "{ranges:x?}");
        let loaded = driver.load(127, 2);
        assert_eq!((loaded == stored, loaded == [0; 1024]), (kept, !kept), "{ranges:x?}");
    }
    // 256 ranges.
    driver.rig.mem.write(Pa(DATA), &[0; 4096]).unwrap();
    assert_eq!(driver.io(C { d10: 0xff, d11: 4, ..C::io(DATASET_MANAGEMENT, 0, 1) }).status, 0);
}

#[test]
fn a_namespace_that_cannot_be_written() {
    let mut driver = Driver::with(Box::new(Failing { read_only: true, ..Failing::new() }), 0);
    for (opcode, code) in [
        (WRITE, 0x020),
        (WRITE_ZEROES, 0x020),
        (DATASET_MANAGEMENT, 0x020),
        (READ, 0),
        (COMPARE, 0x285),
        (FLUSH, 0),
    ] {
        driver.fill(DATA, 512, 1);
        assert_eq!(driver.io(C::io(opcode, 0, 1)).code(), code, "{opcode:#x}");
    }
}

#[test]
fn failures_of_the_medium() {
    for (read, write, flush, opcode, status) in [
        (true, false, false, READ, 0x2281),
        (true, false, false, COMPARE, 0x2281),
        (false, true, false, WRITE, 0x2280),
        (false, true, false, WRITE_ZEROES, 0x2280),
        (false, false, true, FLUSH, 0x2280),
    ] {
        let mut driver = Driver::with(Box::new(Failing { read, write, flush, ..Failing::new() }), 0);
        driver.rig.mem.write(Pa(DATA), &[0xee; 512]).unwrap();
        assert_eq!(driver.io(C::io(opcode, 0, 1)).status, status, "{opcode:#x}");
        assert_eq!(driver.rig.ram(DATA, 512), [0xee; 512]);
        let d10 = 127 << 16 | 2;
        driver.admin(C { opcode: 2, nsid: u32::MAX, prp1: DATA, d10, ..C::default() });
        assert_eq!(driver.rig.ram(DATA + 160, 1), [1], "media errors");
    }
    // Force Unit Access, where the medium takes the write and cannot keep it.
    let mut driver = Driver::with(Box::new(Failing { flush: true, ..Failing::new() }), 0);
    assert_eq!(driver.io(C { d12: 1 << 30, ..C::io(WRITE, 0, 1) }).status, 0x2280);
}
