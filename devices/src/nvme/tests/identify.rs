use super::*;

fn identify(driver: &mut Driver, cns: u32, nsid: u32) -> Result<Vec<u8>, u16> {
    let done = driver.admin(C { opcode: 0x06, nsid, prp1: DATA, d10: cns, ..C::default() });
    if done.status == 0 { Ok(driver.rig.ram(DATA, 4096)) } else { Err(done.code()) }
}

#[test]
fn controller() {
    let page = identify(&mut Driver::new(), 1, 0).unwrap();
    assert_eq!(page[0..4], [0x34, 0x12, 0x34, 0x12]);
    assert_eq!(&page[4..24], b"test-0              ");
    assert_eq!(&page[24..64], b"Iommulator NVMe controller              ");
    assert_eq!(&page[64..72], b"1       ");
    for (what, at, bytes) in [
        ("RAB", 72, &[3][..]),
        ("MDTS", 77, &[8]),
        ("VER", 80, &[0, 4, 1, 0]),
        ("OAES", 92, &[0; 4]),
        ("CNTRLTYPE", 111, &[1]),
        ("OACS", 256, &[0, 0]),
        ("ACL, AERL, FRMW, LPA, ELPE, NPSS", 258, &[3, 3, 3, 6, 15, 0]),
        ("WCTEMP, CCTEMP", 266, &[0x57, 0x01, 0x61, 0x01]),
        ("SQES, CQES", 512, &[0x66, 0x44]),
        ("NN, ONCS, FUSES, FNA, VWC", 516, &[1, 0, 0, 0, 0x0d, 0, 0, 0, 0, 7]),
        ("AWUN, AWUPF, NVSCC, NWPC", 526, &[0xff, 0x07, 0, 0, 0, 0]),
        ("SGLS", 536, &[1, 0, 5, 0]),
        ("MP of power state 0", 2048, &[0xf4, 0x01]),
    ] {
        assert_eq!(&page[at..at + bytes.len()], bytes, "{what}");
    }
    assert_eq!(&page[768..800], b"nqn.2014-08.org.nvmexpress:uuid:");
    assert_eq!(
        [page[782], page[836], page[837]].map(|c| c != 0),
        [true, false, false],
        "27 + 5 + 36 characters"
    );
    assert_eq!(page[814], b'8', "the version of the UUID");
}

#[test]
fn namespace() {
    for read_only in [false, true] {
        let mut driver = Driver::with(Box::new(Failing { read_only, ..Failing::new() }), 0);
        let page = identify(&mut driver, 0, 1).unwrap();
        for at in [0, 8, 16] {
            assert_eq!(page[at..at + 8], 0x2000u64.to_le_bytes());
        }
        assert_eq!(page[24..32], [0; 8]);
        assert_eq!((page[99], &page[128..132]), (u8::from(read_only), &[0, 0, 9, 0][..]));
    }
}

#[test]
fn lists() {
    let mut driver = Driver::new();
    for (nsid, first) in [(0, 1), (1, 0), (7, 0), (0xffff_fffd, 0)] {
        let page = identify(&mut driver, 2, nsid).unwrap();
        assert_eq!((page[0], page[1..].iter().all(|byte| *byte == 0)), (first, true), "{nsid:#x}");
    }
    let page = identify(&mut driver, 3, 1).unwrap();
    assert_eq!(page[..4], [3, 16, 0, 0], "a UUID");
    assert_eq!((page[10] >> 4, page[12] >> 6), (8, 0b10), "its version and variant");
    assert_eq!(page[20..], [0; 4076]);
}

#[test]
fn what_is_not_there() {
    let mut driver = Driver::new();
    for (cns, nsid, code) in [
        (0x00, 0, 0x00b),
        (0x00, 2, 0x00b),
        (0x00, u32::MAX, 0x00b),
        (0x02, 0xffff_fffe, 0x00b),
        (0x02, 0xffff_ffff, 0x00b),
        (0x03, 0, 0x00b),
        (0x03, 2, 0x00b),
        (0x04, 0, 0x002),
        (0x05, 1, 0x002),
        (0x06, 0, 0x002),
        (0x10, 0, 0x002),
        (0x11, 1, 0x002),
        (0x13, 0, 0x002),
        (0x1c, 0, 0x002),
        (0xff, 0, 0x002),
    ] {
        assert_eq!(identify(&mut driver, cns, nsid), Err(code), "CNS {cns:#x} of {nsid:#x}");
    }
}

#[test]
fn names_follow_from_the_serial_number() {
    let names = |serial: &str| {
        let mut driver = Driver::new();
        let config = Config { serial: serial.to_owned(), latency: 0 };
        let source = driver.rig.add(4, 0, Box::new(Nvme::new(config, Box::new(Memory::new(512)))));
        driver.rig.config16(driver.source, 0x04, 0);
        driver.rig.config32(source, 0x10, BAR as u32);
        driver.rig.config16(source, 0x04, 6);
        driver.enable();
        let controller = identify(&mut driver, 1, 0).unwrap();
        (controller[768..1024].to_vec(), identify(&mut driver, 3, 1).unwrap())
    };
    let (first, second) = (names("a"), names("b"));
    assert_eq!(first, names("a"));
    assert!(first.0 != second.0 && first.1 != second.1);
    // A serial number that is too long is cut.
    names(&"x".repeat(100));
}
