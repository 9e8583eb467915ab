use super::*;

const EVENT: C = C { opcode: 0x0c, nsid: 0, prp1: 0, prp2: 0, d10: 0, d11: 0, d12: 0, d13: 0 };

fn log(lid: u32, retain: bool) -> C {
    let d10 = 3 << 16 | u32::from(retain) << 15 | lid;
    C { opcode: 0x02, nsid: u32::MAX, prp1: DATA, d10, ..C::default() }
}

/// Leaves a request for an event with the controller; returns its identifier.
fn ask(driver: &mut Driver) -> u16 {
    let cid = driver.put(0, EVENT);
    driver.ring(0);
    cid
}

#[test]
fn doorbells_written_wrongly() {
    // Type in 2:0, information in 15:8, log page in 23:16.
    for (what, offset, value, dw0) in [
        ("the tail of a queue that is not there", 0x1010, 1, Some(0x01_00_00)),
        ("the head of one", 0x1014, 1, Some(0x01_00_00)),
        ("the tail of one that cannot be", 0x1048, 1, Some(0x01_00_00)),
        ("a tail outside the queue", 0x1008, 16, Some(0x01_01_00)),
        ("a tail far outside", 0x1008, 0xffff, Some(0x01_01_00)),
        ("a head past what was posted", 0x100c, 1, Some(0x01_01_00)),
        ("a head outside the queue", 0x100c, 16, Some(0x01_01_00)),
        ("the value that is there", 0x1008, 0, None),
        ("the reserved half", 0x1008, 0xffff_0000, None),
    ] {
        let mut driver = Driver::new();
        let cid = ask(&mut driver);
        driver.rig.write32(BAR + offset, value);
        let seen = driver.reap(0).map(|done| (done.cid, done.status, done.dw0));
        assert_eq!(seen, dw0.map(|dw0| (cid, 0, dw0)), "{what}");
        driver.admin(log(0x01, false));
        assert_eq!(
            driver.rig.ram(DATA, 12),
            if dw0.is_some() { [1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255] } else { [0; 12] }
        );
        assert_eq!(driver.io(C::io(READ, 0, 1)).status, 0, "{what}: the queue works as before");
    }
}

#[test]
fn a_tail_that_overtakes_the_head() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1000);
    // 40 entries, of which 32 are fetched.
    driver.create(2, 41);
    for _ in 0..40 {
        driver.put(2, C::io(FLUSH, 0, 1));
    }
    driver.ring(2);
    ask(&mut driver);
    // 8 are left from index 32 on; the tail may come up to 31.
    driver.rig.write32(BAR + 0x1010, 32);
    let done = |driver: &mut Driver| driver.reap(0).map(|done| done.dw0);
    while driver.rig.step() {}
    assert_eq!(done(&mut driver), Some(0x01_01_00));
}

#[test]
fn a_type_is_masked_until_its_log_is_read() {
    let mut driver = Driver::new();
    let cids = [ask(&mut driver), ask(&mut driver)];
    driver.rig.write32(BAR + 0x1008, 99);
    assert_eq!(driver.reap(0).map(|done| done.cid), Some(cids[0]));
    driver.rig.write32(BAR + 0x1010, 0);
    assert_eq!(driver.peek(0), None, "masked");
    // A log page of another type, and one that is retained.
    assert_eq!(driver.admin(log(0x02, false)).status, 0);
    assert_eq!(driver.admin(log(0x01, true)).status, 0);
    assert_eq!(driver.peek(0), None);
    let read = driver.put(0, log(0x01, false));
    driver.ring(0);
    assert_eq!(driver.reap(0).map(|done| done.cid), Some(read));
    assert_eq!(driver.reap(0).map(|done| (done.cid, done.dw0)), Some((cids[1], 0x01_00_00)));
}

#[test]
fn an_event_waits_for_a_request() {
    let mut driver = Driver::new();
    for _ in 0..1000 {
        driver.rig.write32(BAR + 0x1008, 99);
    }
    let cid = ask(&mut driver);
    assert_eq!(driver.reap(0).map(|done| (done.cid, done.dw0)), Some((cid, 0x01_01_00)));
    ask(&mut driver);
    driver.admin(log(0x01, false));
    assert_eq!(driver.peek(0), None, "the same event a thousand times is one");
}

#[test]
fn requests_have_a_limit_and_can_be_aborted() {
    let mut driver = Driver::new();
    let cids = [0; 4].map(|_| ask(&mut driver));
    assert_eq!(driver.peek(0), None);
    assert_eq!(driver.admin(EVENT).code(), 0x105);
    // The identifier of one that is held is in use.
    driver.put_as(0, EVENT, cids[2]);
    driver.ring(0);
    assert_eq!(driver.reap(0).map(|done| done.code()), Some(0x003));
    let abort = driver.put(0, C { opcode: 0x08, d10: u32::from(cids[1]) << 16, ..C::default() });
    driver.ring(0);
    let done =
        [driver.reap(0).unwrap(), driver.reap(0).unwrap()].map(|done| (done.cid, done.code(), done.dw0));
    assert_eq!(done, [(cids[1], 0x007, 0), (abort, 0, 0)]);
    ask(&mut driver);
    assert_eq!(driver.peek(0), None, "there is room for another");
}

#[test]
fn temperature_thresholds() {
    let set = |fid, value| C { opcode: 0x09, d10: fid, d11: value, ..C::default() };
    // What is set, and whether it is 310 K or less for over, or more for under.
    for (value, hot) in
        [(310, true), (311, false), (0, true), (0x0010_0000 | 310, true), (0x0010_0000 | 309, false)]
    {
        for reported in [false, true] {
            let mut driver = Driver::new();
            let cid = ask(&mut driver);
            assert_eq!(driver.admin(set(0x0b, u32::from(reported) << 1)).status, 0);
            driver.put(0, set(0x04, value));
            driver.ring(0);
            assert_eq!(driver.reap(0).map(|done| done.status), Some(0));
            let event = driver.reap(0).map(|done| (done.cid, done.dw0));
            assert_eq!(event, (hot && reported).then_some((cid, 0x02_01_01)), "{value:#x}");
            driver.admin(log(0x02, false));
            assert_eq!(driver.rig.ram(DATA, 1), [u8::from(hot) << 1], "Critical Warning");
        }
    }
}
