use super::*;

/// Create I/O Completion Queue, then Create I/O Submission Queue, of 16 entries.
const CQ: C = C { opcode: 5, nsid: 0, prp1: DATA, prp2: 0, d10: 0xf_0002, d11: 0x2_0003, d12: 0, d13: 0 };
const SQ: C = C { opcode: 1, nsid: 0, prp1: DATA, prp2: 0, d10: 0xf_0002, d11: 0x1_0001, d12: 0, d13: 0 };

#[test]
fn creation() {
    for (command, code) in [
        (CQ, 0),
        (C { d10: 0xf_0008, ..CQ }, 0),
        (C { d10: 0xf_0000, ..CQ }, 0x101),
        (C { d10: 0xf_0001, ..CQ }, 0x101),
        (C { d10: 0xf_0009, ..CQ }, 0x101),
        (C { d10: 0xf_ffff, ..CQ }, 0x101),
        (C { d10: 0x0000_0002, ..CQ }, 0x102),
        (C { d10: 0x0001_0002, ..CQ }, 0),
        (C { d10: 0x03ff_0002, ..CQ }, 0),
        (C { d10: 0x0400_0002, ..CQ }, 0x102),
        (C { d10: 0xffff_0002, ..CQ }, 0x102),
        (C { d11: 0x2_0002, ..CQ }, 0x002),
        (C { d11: 0x8_0003, ..CQ }, 0),
        (C { d11: 0x9_0003, ..CQ }, 0x108),
        (C { d11: 0xffff_0003, ..CQ }, 0x108),
        (C { prp1: DATA + 0x800, ..CQ }, 0x013),
        (SQ, 0),
        (C { d10: 0xf_0000, ..SQ }, 0x101),
        (C { d10: 0xf_0001, ..SQ }, 0x101),
        (C { d10: 0xf_0009, ..SQ }, 0x101),
        (C { d10: 0x0000_0002, ..SQ }, 0x102),
        (C { d10: 0x0400_0002, ..SQ }, 0x102),
        (C { d11: 0x1_0000, ..SQ }, 0x002),
        // Completion queues: the admin queue's, one that is not there, one that cannot be.
        (C { d11: 0x0_0001, ..SQ }, 0x101),
        (C { d11: 0x3_0001, ..SQ }, 0x100),
        (C { d11: 0x9_0001, ..SQ }, 0x101),
        (C { prp1: DATA + 0x800, ..SQ }, 0x013),
    ] {
        let done = Driver::new().admin(command);
        assert_eq!(done.code(), code, "{} {:#x} {:#x}", command.opcode, command.d10, command.d11);
    }
}

#[test]
fn entry_sizes() {
    for (cc, cq, sq) in
        [(0x0046_0001, 0, 0), (0x0036_0001, 0x102, 0), (0x0047_0001, 0, 0x102), (1, 0x102, 0x102)]
    {
        let mut driver = Driver::new();
        driver.rig.write32(BAR + 0x14, cc);
        assert_eq!((driver.admin(CQ).code(), driver.admin(SQ).code()), (cq, sq), "{cc:#x}");
    }
}

#[test]
fn deletion() {
    let mut driver = Driver::new();
    let delete = |opcode, id| C { opcode, d10: id, ..C::default() };
    for (command, code) in [
        (delete(0, 0), 0x101),
        (delete(0, 2), 0x101),
        (delete(0, 0xffff), 0x101),
        (delete(4, 0), 0x101),
        (delete(4, 2), 0x101),
        (delete(4, 0xffff), 0x101),
        // A submission queue still uses it.
        (delete(4, 1), 0x10c),
        (delete(0, 1), 0),
        (delete(0, 1), 0x101),
        (delete(4, 1), 0),
        (delete(4, 1), 0x101),
    ] {
        assert_eq!(driver.admin(command).code(), code, "{} {:#x}", command.opcode, command.d10);
    }
    driver.create(1, 4);
    assert_eq!(driver.io(C::io(READ, 0, 1)).status, 0);
}

#[test]
fn deletion_aborts_what_was_fetched() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1000);
    driver.put(0, C { opcode: 0, d10: 1, ..C::default() });
    driver.ring(0);
    for _ in 0..3 {
        driver.put(1, C::io(READ, 0, 1));
    }
    driver.ring(1);
    while driver.rig.step() {}
    let codes: Vec<_> = std::iter::from_fn(|| driver.reap(1)).map(|done| done.status).collect();
    assert_eq!(codes, [0x2008; 3], "Command Aborted due to SQ Deletion");
    assert_eq!(driver.reap(0).map(|done| done.status), Some(0));
}

#[test]
fn queues_wrap_and_phases_turn() {
    for entries in [2, 3, 4, 7] {
        let mut driver = Driver::behind(Arc::new(Direct), Box::new(Memory::new(BLOCKS * 512)), 0);
        driver.create(1, entries);
        for round in 1..=5 * entries {
            let done = driver.io(C::io(READ, 0, 1));
            assert_eq!((done.status, u32::from(done.sqhd)), (0, round % entries), "{entries} entries");
        }
        // The admin queue has wrapped too.
        for _ in 0..3 * ADMIN_ENTRIES {
            assert_eq!(driver.admin(C { opcode: 0x0a, d10: 6, ..C::default() }).status, 0);
        }
    }
}

#[test]
fn a_full_completion_queue_stops_its_submission_queues_alone() {
    let mut driver = Driver::behind(Arc::new(Direct), Box::new(Memory::new(BLOCKS * 512)), 0);
    driver.create(1, 4);
    driver.create(2, 4);
    for _ in 0..3 {
        driver.put(1, C::io(READ, 0, 1));
    }
    driver.ring(1);
    while driver.rig.step() {}
    // Three completions fill four entries. Two more commands wait.
    for _ in 0..2 {
        driver.put(1, C::io(READ, 0, 1));
    }
    driver.ring(1);
    while driver.rig.step() {}
    assert_eq!(driver.run(2, C::io(READ, 0, 1)).status, 0);
    assert_eq!(driver.rig.ram(rings(1).1 + 48, 16), [0; 16], "the fourth entry stays free");
    let heads: Vec<_> = std::iter::from_fn(|| driver.reap(1)).map(|done| done.sqhd).collect();
    assert_eq!(heads, [3, 3, 3, 0, 1], "each entry that is taken lets one more come");
}

#[test]
fn an_identifier_in_use_is_refused() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1000);
    driver.create(2, 4);
    for (queue, cid) in [(1, 7), (1, 7), (1, 8), (2, 7)] {
        driver.put_as(queue, C::io(READ, 0, 1), cid);
    }
    driver.ring(1);
    driver.ring(2);
    while driver.rig.step() {}
    let codes: Vec<_> = std::iter::from_fn(|| driver.reap(1)).map(|done| done.code()).collect();
    assert_eq!(codes, [0, 3, 0], "Command ID Conflict");
    assert_eq!(driver.reap(2).map(|done| done.code()), Some(0));
}

#[test]
fn commands_wait_for_their_latency() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1000);
    let start = driver.rig.fx.now().0;
    for _ in 0..3 {
        driver.put(1, C::io(READ, 0, 1));
    }
    driver.ring(1);
    driver.rig.run_until(start + 999);
    assert_eq!(driver.peek(1), None);
    driver.rig.run_until(start + 1000);
    assert_eq!(std::iter::from_fn(|| driver.reap(1)).count(), 3, "they wait side by side");
}
