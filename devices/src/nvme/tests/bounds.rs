use super::*;
use crate::fabric::{Effects, Transaction, Verdict};

/// Every page from 1 MiB on is one of the pages from [`DATA`] on.
struct Fold;

impl Translate for Fold {
    fn translate(&self, transaction: &Transaction, _: &mut Effects) -> Verdict {
        let address = transaction.address.0;
        let pa = if address < 1 << 20 { address } else { DATA | address & 0x3_ffff };
        Verdict::Memory { pa: Pa(pa), handle: None }
    }
}

#[test]
fn long_transfers_take_several_steps() {
    let medium = Box::new(Memory::new(BLOCKS * 512));
    let mut driver = Driver::behind(Arc::new(Fold), medium, 0);
    driver.create(1, 16);
    driver.create(2, 16);
    let list: Vec<u64> = (1..=256u64).map(|page| 1 << 30 | page << 12).collect();
    driver.words(0x8_0000, &list);
    for opcode in [READ, WRITE, COMPARE] {
        let command = C { prp1: 1 << 30, prp2: 0x8_0000, ..C::io(opcode, 0, 2048) };
        for _ in 0..4 {
            driver.put(1, command);
        }
        driver.rig.requesters();
        driver.ring(1);
        let mut steps = 1;
        assert!(driver.rig.requesters().len() <= 300);
        while driver.rig.step() {
            steps += 1;
            assert!(driver.rig.requesters().len() <= 300, "bounded");
        }
        // What is read from the medium counts like a transfer of it.
        let most = if opcode == WRITE { 6 } else { 10 };
        assert!((4..=most).contains(&steps), "{steps} steps for 1024 pages and their lists");
        let codes: Vec<_> = std::iter::from_fn(|| driver.reap(1)).map(|done| done.code()).collect();
        assert_eq!(codes.len(), 4);
        assert!(codes.iter().all(|code| *code == 0 || opcode == COMPARE), "{codes:x?}");
    }
}

#[test]
fn what_is_read_for_nobody_counts() {
    // A list where no memory is: next to no DMA for 1 MiB of the medium.
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 0);
    for _ in 0..8 {
        driver.put(1, C { prp1: DATA, prp2: 1 << 40, ..C::io(READ, 0, 2048) });
    }
    driver.ring(1);
    let mut steps = 1;
    while driver.rig.step() {
        steps += 1;
    }
    assert_eq!(std::iter::from_fn(|| driver.reap(1)).count(), 8);
    assert!((8..=9).contains(&steps), "{steps} steps of at most 1 MiB");
}

#[test]
fn zeroes_take_several_steps() {
    let mut driver = Driver::with(Box::new(Memory::new(32 << 20)), 0);
    driver.store(0xffff, 1, 1);
    driver.put(1, C::io(WRITE_ZEROES, 0, 0x1_0000));
    driver.ring(1);
    let mut steps = 1;
    while driver.rig.step() {
        steps += 1;
    }
    assert_eq!(driver.reap(1).map(|done| done.status), Some(0));
    assert!((32..=34).contains(&steps), "{steps} steps of at most 1 MiB");
    assert_eq!(driver.load(0xffff, 1), [0; 512]);
}

#[test]
fn few_commands_of_a_queue_are_under_way() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1000);
    driver.create(2, 60);
    for _ in 0..50 {
        driver.put(2, C::io(FLUSH, 0, 1));
    }
    driver.rig.requesters();
    driver.ring(2);
    assert_eq!(driver.rig.requesters().len(), 32, "fetched");
    while driver.rig.step() {}
    assert_eq!(std::iter::from_fn(|| driver.reap(2)).count(), 50);
}

#[test]
fn a_guest_cannot_fill_the_event_queue() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1_000_000);
    for _ in 0..1000 {
        driver.put(1, C::io(FLUSH, 0, 1));
        driver.ring(1);
        driver.rig.write32(BAR + 0x14, 0x0046_0000);
        driver.enable();
        driver.pairs[1].tail = 0;
    }
    assert!(driver.rig.queue.len() <= 16, "{} events", driver.rig.queue.len());
}
