use super::*;

/// Turns MSI-X on; vector n writes n to 0xfee00000 + 0x1000 n.
fn messages(driver: &mut Driver) {
    for vector in 0..9u64 {
        let entry = BAR + 0x2000 + 16 * vector;
        driver.rig.write32(entry, 0xfee0_0000 + 0x1000 * vector as u32);
        driver.rig.write32(entry + 8, vector as u32);
        driver.rig.write32(entry + 12, 0);
    }
    let mut at = u64::from(driver.rig.read_config32(driver.source, 0x34) & 0xff);
    while driver.rig.read_config32(driver.source, at) & 0xff != 0x11 {
        at = u64::from(driver.rig.read_config32(driver.source, at) >> 8 & 0xff);
        assert_ne!(at, 0, "it has MSI-X");
    }
    assert_eq!(driver.rig.read_config32(driver.source, at) >> 16 & 0x7ff, 8, "nine vectors");
    driver.rig.config16(driver.source, at + 2, 0x8000);
    driver.rig.messages.clear();
}

fn sent(driver: &mut Driver) -> Vec<u32> {
    driver.rig.messages.drain(..).map(|(_, _, data)| data).collect()
}

#[test]
fn each_queue_raises_its_vector_once_a_step() {
    let mut driver = Driver::new();
    driver.create(2, 16);
    messages(&mut driver);
    for _ in 0..5 {
        driver.put(1, C::io(FLUSH, 0, 1));
    }
    driver.ring(1);
    assert_eq!(sent(&mut driver), [1]);
    driver.run(2, C::io(FLUSH, 0, 1));
    assert_eq!(sent(&mut driver), [2]);
    driver.admin(C { opcode: 0x0a, d10: 6, ..C::default() });
    assert_eq!(sent(&mut driver), [0]);
    // A queue without interrupts.
    let cq = C { opcode: 5, prp1: rings(3).1, d10: 0xf_0003, d11: 0x3_0001, ..C::default() };
    let sq = C { opcode: 1, prp1: rings(3).0, d10: 0xf_0003, d11: 0x3_0001, ..C::default() };
    assert_eq!([driver.admin(cq).status, driver.admin(sq).status], [0, 0]);
    driver.pairs[3] = Pair { entries: 16, phase: true, ..Pair::default() };
    sent(&mut driver);
    driver.run(3, C::io(FLUSH, 0, 1));
    assert_eq!(sent(&mut driver), [0; 0]);
}

#[test]
fn completions_are_there_before_the_message() {
    let mut driver = Driver::new();
    messages(&mut driver);
    driver.rig.fx.take_trace();
    driver.put(1, C::io(FLUSH, 0, 1));
    driver.ring(1);
    let addresses: Vec<_> = driver
        .rig
        .fx
        .take_trace()
        .into_iter()
        .filter_map(|event| match event {
            crate::trace::TraceEvent::Dma { address, .. } => Some(address.0),
            _ => None,
        })
        .collect();
    assert_eq!(addresses, [rings(1).0, rings(1).1, 0xfee0_1000]);
}

#[test]
fn coalescing() {
    // Threshold of 3 completions (one less is written), 200 us.
    let set = |fid, value| C { opcode: 0x09, d10: fid, d11: value, ..C::default() };
    let mut driver = Driver::new();
    driver.create(2, 16);
    messages(&mut driver);
    driver.admin(set(0x08, 0x0202));
    driver.admin(set(0x09, 0x1_0002));
    sent(&mut driver);
    let one = |driver: &mut Driver, queue| {
        driver.put(queue, C::io(FLUSH, 0, 1));
        driver.ring(queue);
        sent(driver)
    };
    let start = driver.rig.fx.now().0;
    assert_eq!([one(&mut driver, 1), one(&mut driver, 1), one(&mut driver, 1)], [vec![], vec![], vec![1]]);
    assert_eq!(one(&mut driver, 2), [2], "it is off for this vector");
    driver.rig.run_until(start + 1000);
    assert_eq!(one(&mut driver, 1), [0; 0]);
    driver.rig.run_until(start + 1000 + 199_999);
    assert_eq!(sent(&mut driver), [0; 0]);
    driver.rig.run_until(start + 1000 + 200_000);
    assert_eq!(sent(&mut driver), [1], "the time is over");
    driver.put(0, C { opcode: 0x0a, d10: 6, ..C::default() });
    driver.ring(0);
    assert_eq!(sent(&mut driver), [0], "the admin queue does not wait");
    driver.reap(0);
    // Either of 0 is no waiting.
    for value in [0x0002, 0x0200] {
        driver.admin(set(0x08, value));
        sent(&mut driver);
        assert_eq!(one(&mut driver, 1), [1], "{value:#x}");
    }
}

#[test]
fn the_pin_is_high_while_completions_are_not_taken() {
    let mut driver = Driver::new();
    let levels =
        |driver: &mut Driver| -> Vec<bool> { driver.rig.lines.drain(..).map(|(_, level)| level).collect() };
    levels(&mut driver);
    driver.put(1, C::io(FLUSH, 0, 1));
    driver.ring(1);
    assert_eq!(levels(&mut driver), [true]);
    // The vector of the queue is 1; the mask of another changes nothing.
    driver.rig.write32(BAR + 0x0c, 1);
    assert_eq!(levels(&mut driver), [true; 0]);
    driver.rig.write32(BAR + 0x0c, 2);
    assert_eq!((levels(&mut driver), driver.rig.read32(BAR + 0x10)), (vec![false], 3));
    driver.rig.write32(BAR + 0x10, 2);
    assert_eq!((levels(&mut driver), driver.rig.read32(BAR + 0x0c)), (vec![true], 1));
    driver.reap(1);
    assert_eq!(levels(&mut driver), [false]);
}
