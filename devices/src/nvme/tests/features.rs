use super::*;

fn set(fid: u32, value: u32) -> C {
    C { opcode: 0x09, d10: fid, d11: value, ..C::default() }
}

fn get(fid: u32, value: u32) -> C {
    C { opcode: 0x0a, d10: fid, d11: value, ..C::default() }
}

#[test]
fn values_and_their_defaults() {
    // Identifier, dword 11 of Get Features, default, what is set, what is read back.
    for (fid, select, default, value, kept) in [
        (0x01, 0, 0x0000_0003, 0x0102_03ff, 0x0102_0307),
        (0x02, 0, 0, 0xffff_ffe0, 0xe0),
        (0x04, 0x0000_0000, 343, 0x0000_0200, 0x200),
        (0x04, 0x0010_0000, 0, 0x0010_0100, 0x100),
        (0x04, 0x000f_0000, 343, 0x000f_0200, 0x200),
        (0x05, 0, 0, 0x0000_1234, 0x1234),
        (0x06, 0, 1, 0xffff_fffe, 0),
        (0x08, 0, 0, 0xffff_0a03, 0x0a03),
        (0x09, 3, 0x0000_0003, 0x0001_0003, 0x0001_0003),
        (0x0a, 0, 0, 0xffff_ffff, 1),
        (0x0b, 0, 0, 0x0000_00ff, 0xff),
    ] {
        let mut driver = Driver::new();
        assert_eq!(driver.admin(get(fid, select)).dw0, default, "{fid:#x}");
        assert_eq!(driver.admin(set(fid, value)).status, 0, "{fid:#x}");
        let done = driver.admin(get(fid, select));
        assert_eq!((done.status, done.dw0), (0, kept), "{fid:#x}");
    }
}

#[test]
fn what_is_refused() {
    let mut driver = Driver::new();
    for (command, code) in [
        // A power state that is not there.
        (set(0x02, 1), 0x002),
        // A temperature sensor, and a kind of threshold, that are not there.
        (set(0x04, 0x0001_0100), 0x002),
        (get(0x04, 0x0008_0000), 0x002),
        (set(0x04, 0x0020_0100), 0x002),
        // Errors of deallocated blocks.
        (set(0x05, 0x0001_0000), 0x002),
        (set(0x09, 9), 0x002),
        (get(0x09, 9), 0x002),
        // Notices of namespace changes.
        (set(0x0b, 0x100), 0x002),
        (set(0x07, 0x0000_ffff), 0x002),
        (set(0x07, 0xffff_0000), 0x002),
        // There are queues already.
        (set(0x07, 0x0003_0003), 0x00c),
        // Saved values and others than the current one.
        (set(0x8000_0006, 1), 0x10d),
        (get(0x0000_0106, 0), 0x002),
        (get(0x0000_0306, 0), 0x002),
        // Namespaces.
        (C { nsid: 1, ..set(0x06, 1) }, 0x10f),
        (C { nsid: 2, ..get(0x06, 1) }, 0x00b),
        (C { nsid: 2, ..set(0x05, 1) }, 0x00b),
        (C { nsid: 1, ..set(0x05, 1) }, 0),
        (C { nsid: u32::MAX, ..set(0x06, 1) }, 0),
    ] {
        let done = driver.admin(command);
        assert_eq!(done.code(), code, "{:#x} {:#x} {:#x}", command.opcode, command.d10, command.d11);
    }
    for fid in [0x00, 0x03, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x16, 0x78, 0x80, 0x81, 0x84, 0xc0] {
        assert_eq!(driver.admin(get(fid, 0)).code(), 0x002, "{fid:#x}");
        assert_eq!(driver.admin(set(fid, 0)).code(), 0x002, "{fid:#x}");
    }
}

#[test]
fn number_of_queues() {
    for (wanted, granted) in [
        (0x0000_0000, 0x0000_0000),
        (0x0003_0003, 0x0003_0003),
        (0x0001_0005, 0x0001_0005),
        (0x0007_0007, 0x0007_0007),
        (0xfffe_fffe, 0x0007_0007),
    ] {
        let mut driver = Driver::behind(Arc::new(Direct), Box::new(Memory::new(BLOCKS * 512)), 0);
        assert_eq!(driver.admin(get(0x07, 0)).dw0, 0x0007_0007);
        assert_eq!(driver.admin(set(0x07, wanted)).dw0, granted, "{wanted:#x}");
        assert_eq!(driver.admin(get(0x07, 0)).dw0, granted, "{wanted:#x}");
        // A queue past the last.
        let id = (granted >> 16) + 2;
        let cq = C { opcode: 5, prp1: DATA, d10: 0xf_0000 | id, d11: 1, ..C::default() };
        assert_eq!(driver.admin(cq).code(), 0x101);
        assert_eq!(driver.admin(C { d10: 0xf_0000 | (id - 1), ..cq }).code(), 0);
    }
}

#[test]
fn without_write_cache_or_with_fua_data_is_durable() {
    let flushed = |cache: u32, d12: u32, opcode: u32| {
        let medium = Failing::new();
        let flushes = medium.flushes.clone();
        let mut driver = Driver::with(Box::new(medium), 0);
        driver.admin(set(0x06, cache));
        let turned_off = u32::from(cache == 0);
        assert_eq!(flushes.swap(0, std::sync::atomic::Ordering::Relaxed), turned_off);
        driver.rig.mem.write(Pa(DATA), &[0; 512]).unwrap();
        assert_eq!(driver.io(C { d12, ..C::io(opcode, 0, 1) }).status, 0);
        flushes.load(std::sync::atomic::Ordering::Relaxed)
    };
    for (cache, d12, opcode, flushes) in [
        (1, 0, WRITE, 0),
        (0, 0, WRITE, 1),
        // Force Unit Access.
        (1, 0x4000_0000, WRITE, 1),
        (1, 0, WRITE_ZEROES, 0),
        (0, 0, WRITE_ZEROES, 1),
        (1, 0x4000_0000, WRITE_ZEROES, 1),
        (0, 0, READ, 0),
        (1, 0, READ, 0),
        (1, 0x4000_0000, READ, 1),
        (1, 0, COMPARE, 0),
        (1, 0x4000_0000, COMPARE, 1),
        (1, 0, FLUSH, 1),
    ] {
        assert_eq!(flushed(cache, d12, opcode), flushes, "cache {cache}, {opcode:#x} {d12:#x}");
    }
}

#[test]
fn arbitration_takes_turns() {
    // Burst as a power of 2, and in which order two queues of six commands are served.
    for (burst, order) in [(0, "121212121212"), (1, "112211221122"), (2, "111122221122"), (7, "111111222222")]
    {
        let mut driver = Driver::new();
        // Both queues complete on one completion queue, which is in the order of service.
        let sq = C { opcode: 1, prp1: rings(2).0, d10: 0xf_0002, d11: 0x1_0001, ..C::default() };
        assert_eq!(driver.admin(sq).status, 0);
        driver.pairs[2] = Pair { entries: 16, phase: true, ..Pair::default() };
        // While it is full nothing is fetched.
        for _ in 0..15 {
            driver.put(1, C::io(FLUSH, 0, 1));
        }
        driver.ring(1);
        for _ in 0..6 {
            driver.put(1, C::io(FLUSH, 0, 1));
            driver.put(2, C::io(FLUSH, 0, 1));
        }
        driver.ring(1);
        driver.ring(2);
        driver.admin(set(0x01, burst));
        driver.pairs[1].head = 15;
        driver.rig.write32(BAR + 0x100c, 15);
        while driver.rig.step() {}
        let served: String =
            std::iter::from_fn(|| driver.reap(1)).map(|done| done.sqid.to_string()).collect();
        assert_eq!(served, order, "burst {burst}");
    }
}
