use super::*;
use crate::fabric::{Abort, Outcome};
use crate::pci::testing::Refuse;

const UR: Outcome = Outcome::Abort(Abort::Ur);
const CA: Outcome = Outcome::Abort(Abort::Ca);

fn refusing(first: u64, last: u64, outcome: Outcome) -> Driver {
    let medium = Box::new(Memory::new(BLOCKS * 512));
    let mut driver = Driver::behind(Arc::new(Refuse(first..=last, outcome)), medium, 0);
    driver.create(1, 16);
    driver
}

#[test]
fn data_that_cannot_be_moved() {
    for outcome in [UR, CA] {
        for (opcode, prp1, prp2, blocks) in [
            (READ, DATA + 0x1_0000, 0, 1),
            (WRITE, DATA + 0x1_0000, 0, 1),
            (COMPARE, DATA + 0x1_0000, 0, 1),
            // The second page, a list, a page of a list.
            (READ, DATA, DATA + 0x1_0000, 16),
            (READ, DATA, DATA + 0x1_0000, 32),
            (READ, DATA, DATA + 0x2000, 32),
            // An SGL, and a segment of one.
            (READ | 1 << 14, DATA + 0x1_0000, 512, 1),
            (READ | 1 << 14, DATA + 0x1_0000, 0x30 << 56 | 32, 1),
        ] {
            let mut driver = refusing(DATA + 0x1_0000, DATA + 0x1_ffff, outcome);
            driver.words(DATA + 0x2000, &[DATA + 0x1000, DATA + 0x1_0000, DATA]);
            let done = driver.io(C { prp1, prp2, ..C::io(opcode, 0, blocks) });
            assert_eq!(done.status, 0x2004, "{opcode:#x} {prp1:#x} {prp2:#x}: Data Transfer Error");
            assert_eq!(driver.csts(), 1);
            assert_eq!(driver.io(C::io(READ, 0, 1)).status, 0);
        }
        let mut driver = refusing(DATA, DATA + 0xfff, outcome);
        assert_eq!(driver.admin(C { opcode: 0x06, prp1: DATA, d10: 1, ..C::default() }).status, 0x2004);
    }
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let mut driver = refusing(DATA + 0x1_0000, DATA + 0x1_ffff, UR);
    let stored = driver.store(0, 16, 1);
    driver.fill(DATA, 4096, 99);
    let done = driver.io(C { prp2: DATA + 0x1_0000, ..C::io(WRITE, 0, 16) });
    assert_eq!(done.code(), 0x004);
    assert!(driver.load(0, 16) == stored, "its first page is not written either");
}

#[test]
fn what_reads_as_zero_is_zero() {
    let mut driver = refusing(DATA + 0x1_0000, DATA + 0x1_ffff, Outcome::Raz);
    driver.store(0, 1, 1);
    assert_eq!(driver.io(C { prp1: DATA + 0x1_0000, ..C::io(WRITE, 0, 1) }).status, 0);
    assert_eq!(driver.load(0, 1), [0; 512]);
    assert_eq!(driver.io(C { prp1: DATA + 0x1_0000, ..C::io(READ, 0, 1) }).status, 0);
}

#[test]
fn queues_that_cannot_be_reached_are_fatal() {
    let (sq, cq) = rings(1);
    for (first, last) in [(sq, sq + 63), (cq, cq + 15)] {
        let mut driver = refusing(first, last, UR);
        driver.put(1, C::io(READ, 0, 1));
        driver.ring(1);
        assert_eq!(driver.csts(), 0b11, "CFS");
        driver.put(0, C { opcode: 0x0a, d10: 6, ..C::default() });
        driver.ring(0);
        while driver.rig.step() {}
        assert_eq!(driver.peek(0), None, "nothing goes on");
        driver.rig.write32(BAR + 0x14, 0x0046_0000);
        assert_eq!(driver.csts(), 0);
        driver.enable();
        assert_eq!(driver.admin(C { opcode: 0x0a, d10: 6, ..C::default() }).dw0, 1, "until it is reset");
    }
}

#[test]
fn a_queue_at_the_top_of_the_address_space() {
    let mut driver = Driver::new();
    let d10 = 0x03ff_0000;
    let top = 0xffff_ffff_ffff_f000;
    let cq = C { opcode: 5, prp1: top, d10: d10 | 2, d11: 3, ..C::default() };
    let sq = C { opcode: 1, prp1: top, d10: d10 | 2, d11: 0x2_0001, ..C::default() };
    assert_eq!([driver.admin(cq).status, driver.admin(sq).status], [0, 0]);
    driver.rig.write32(BAR + 0x1010, 1000);
    assert_eq!(driver.csts(), 0b11);
}

#[test]
fn without_bus_master_enable_nothing_is_reached() {
    let mut driver = Driver::new();
    driver.put(1, C::io(READ, 0, 1));
    driver.rig.config16(driver.source, 0x04, 2);
    driver.ring(1);
    assert_eq!(driver.csts(), 0b11);
}
