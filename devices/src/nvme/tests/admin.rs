use super::*;

#[test]
fn unknown_opcodes_and_forms() {
    let mut driver = Driver::new();
    for opcode in (0..=0xff).filter(|opcode| ![0, 1, 2, 4, 5, 6, 8, 9, 0xa, 0xc].contains(opcode)) {
        let done = driver.admin(C { opcode, ..C::default() });
        assert_eq!(done.status, 0x6001, "{opcode:#x}: Invalid Opcode, More, Do Not Retry");
    }
    for opcode in [0x06 | 1 << 8, 0x06 | 2 << 8, 0x06 | 1 << 14, 0x06 | 2 << 14, 0x06 | 3 << 14] {
        let done = driver.admin(C { opcode, prp1: DATA, d10: 1, ..C::default() });
        assert_eq!(done.status, 0x6002, "{opcode:#x}: no fused commands, no SGLs");
    }
}

/// Get Log Page of `len` bytes to [`DATA`].
fn log(lid: u32, len: u32) -> C {
    C {
        opcode: 0x02,
        nsid: u32::MAX,
        prp1: DATA,
        prp2: DATA + 0x1000,
        d10: (len / 4 - 1) << 16 | lid,
        ..C::default()
    }
}

#[test]
fn log_pages() {
    let mut driver = Driver::new();
    driver.store(0, 3, 1);
    driver.load(0, 1);
    assert_eq!(driver.admin(log(0x02, 512)).status, 0);
    let page = driver.rig.ram(DATA, 512);
    assert_eq!(page[..6], [0, 0x36, 0x01, 100, 10, 0], "310 K, all spare");
    let count = |at: usize| u128::from_le_bytes(page[at..at + 16].try_into().unwrap());
    let at = [32, 48, 64, 80, 96, 112, 128, 144, 160, 176];
    assert_eq!(at.map(count), [1, 1, 1, 3, 0, 1, 0, 0, 0, 0]);

    assert_eq!(driver.admin(log(0x03, 512)).status, 0);
    assert_eq!(driver.rig.ram(DATA, 16), *b"\x01\0\0\0\0\0\0\x001       ");

    assert_eq!(driver.admin(log(0x05, 4096)).status, 0);
    let page = driver.rig.ram(DATA, 4096);
    let entries: Vec<_> = (0..1024usize)
        .map(|at| (at, u32::from_le_bytes(page[4 * at..4 * at + 4].try_into().unwrap())))
        .filter(|(_, effects)| *effects != 0)
        .collect();
    let admin = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12].map(|opcode| (opcode, 1));
    let nvm = [(256, 1), (257, 3), (258, 1), (261, 1), (264, 3), (265, 3)];
    assert_eq!(entries, [&admin[..], &nvm].concat());
}

#[test]
fn the_error_log_says_what_failed() {
    let mut driver = Driver::new();
    driver.io(C { nsid: 7, ..C::io(READ, 0x1_2345_6789, 1) });
    let cid = driver.cid;
    driver.io(C::io(READ, BLOCKS, 1));
    assert_eq!(driver.admin(log(0x01, 256)).status, 0);
    let page = driver.rig.ram(DATA, 256);
    assert_eq!(page[..8], 2u64.to_le_bytes(), "the newest first");
    assert_eq!(page[12..16], [0x00, 0x01, 0xff, 0xff], "LBA Out of Range, at no byte in particular");
    let older = &page[64..128];
    assert_eq!(
        (&older[..8], &older[8..10], &older[10..12]),
        (&1u64.to_le_bytes()[..], &[1, 0][..], &cid.to_le_bytes()[..])
    );
    assert_eq!(older[12..14], [0x16, 0], "Invalid Namespace or Format");
    assert_eq!((&older[16..24], &older[24..28]), (&0x1_2345_6789u64.to_le_bytes()[..], &[7, 0, 0, 0][..]));
    assert_eq!(page[128..], [0; 128]);
    for _ in 0..20 {
        driver.io(C::io(READ, BLOCKS, 1));
    }
    driver.admin(log(0x01, 1024));
    let page = driver.rig.ram(DATA, 1024);
    let counts: Vec<_> = page.chunks(64).map(|entry| entry[0]).collect();
    assert_eq!(counts, (7..=22).rev().collect::<Vec<u8>>(), "the last 16");
}

#[test]
fn parts_of_log_pages() {
    for (command, code, written) in [
        (C { d12: 504, ..log(0x02, 4) }, 0, 4),
        // Beyond the end nothing is written.
        (C { d12: 508, ..log(0x02, 64) }, 0, 4),
        (C { d12: 512, ..log(0x02, 64) }, 0, 0),
        (C { d12: 516, ..log(0x02, 4) }, 0x002, 0),
        (C { d12: 2, ..log(0x02, 4) }, 0x002, 0),
        (C { d13: 1, ..log(0x02, 4) }, 0x002, 0),
        (C { d11: 4, ..log(0x02, 4) }, 0x002, 0),
        (C { nsid: 0, ..log(0x02, 512) }, 0, 512),
        (C { nsid: 1, ..log(0x02, 512) }, 0x002, 0),
        (C { nsid: 2, ..log(0x02, 512) }, 0x00b, 0),
        (log(0x00, 512), 0x109, 0),
        (log(0x04, 512), 0x109, 0),
        (log(0x06, 512), 0x109, 0),
        (log(0x80, 512), 0x109, 0),
        (C { prp1: DATA + 2, ..log(0x02, 512) }, 0x013, 0),
    ] {
        let mut driver = Driver::new();
        driver.rig.mem.write(Pa(DATA), &[0xee; 8192]).unwrap();
        let done = driver.admin(command);
        let seen = driver.rig.ram(DATA, 8192).iter().filter(|byte| **byte != 0xee).count();
        assert_eq!((done.code(), seen), (code, written), "{:#x} {:#x}", command.d10, command.d12);
    }
}

#[test]
fn abort_ends_what_is_not_begun() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1000);
    driver.rig.mem.write(Pa(DATA), &[0xee; 512]).unwrap();
    let abort = |queue: u32, cid: u16| C { opcode: 0x08, d10: u32::from(cid) << 16 | queue, ..C::default() };
    driver.put(0, abort(1, driver.cid + 3));
    driver.put(0, abort(1, 0x4444));
    driver.ring(0);
    let victim = driver.put(1, C::io(READ, 0, 1));
    driver.ring(1);
    while driver.rig.step() {}
    let done = driver.reap(1).unwrap();
    assert_eq!((done.cid, done.status), (victim, 0x2007), "Command Abort Requested, to be tried again");
    assert_eq!(driver.rig.ram(DATA, 512), [0xee; 512]);
    let results = [driver.reap(0).unwrap(), driver.reap(0).unwrap()].map(|done| (done.status, done.dw0));
    assert_eq!(results, [(0, 0), (0, 1)]);
}

#[test]
fn aborts_have_a_limit() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1000);
    for _ in 0..6 {
        driver.put(0, C { opcode: 0x08, d10: 0x4444_0001, ..C::default() });
    }
    driver.ring(0);
    while driver.rig.step() {}
    let codes: Vec<_> = std::iter::from_fn(|| driver.reap(0)).map(|done| done.code()).collect();
    assert_eq!(codes, [0x103, 0x103, 0, 0, 0, 0]);
}
