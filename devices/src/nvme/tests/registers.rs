use super::*;

fn off() -> Driver {
    Driver::off(Arc::new(Direct), Box::new(Memory::new(BLOCKS * 512)), 0)
}

#[test]
fn reset_values_and_what_registers_keep() {
    let mut driver = off();
    for (offset, reset, kept) in [
        // CAP: 1024 entries, contiguous, 10 s, NVM command set, pages of 4 to 64 KiB.
        (0x00, 0x1401_03ff, 0x1401_03ff),
        (0x04, 0x0040_0020, 0x0040_0020),
        (0x08, 0x0001_0400, 0x0001_0400),
        // INTMS; INTMC comes after it and clears it.
        (0x0c, 0, 0xffff_ffff),
        (0x10, 0xffff_ffff, 0),
        (0x18, 0, 0),
        (0x1c, 0, 0),
        // NSSR is not there.
        (0x20, 0, 0),
        (0x24, 0, 0x0fff_0fff),
        (0x28, 0, 0xffff_f000),
        (0x2c, 0, 0xffff_ffff),
        (0x30, 0, 0xffff_f000),
        (0x34, 0, 0xffff_ffff),
        (0x38, 0, 0),
        (0x1000, 0, 0),
        (0x1044, 0, 0),
        (0x1ffc, 0, 0),
    ] {
        assert_eq!(driver.rig.read32(BAR + offset), reset, "{offset:#x}");
        driver.rig.write32(BAR + offset, 0xffff_ffff);
        assert_eq!(driver.rig.read32(BAR + offset), kept, "{offset:#x}");
    }
    driver.rig.write32(BAR + 0x14, 0xffff_fffe);
    assert_eq!(driver.rig.read32(BAR + 0x14), 0x00ff_fff0, "CC without its reserved bits");
}

#[test]
fn accesses_have_4_or_8_aligned_bytes() {
    let mut driver = off();
    driver.rig.write64(BAR + 0x28, 0x1234_5678_9abc_d000);
    assert_eq!((driver.rig.read32(BAR + 0x28), driver.rig.read32(BAR + 0x2c)), (0x9abc_d000, 0x1234_5678));
    for (at, data) in [(0x28, &[0xff; 1][..]), (0x28, &[0xff; 2]), (0x2a, &[0xff; 4]), (0x2c, &[0xff; 8])] {
        driver.rig.write(BAR + at, data);
    }
    assert_eq!((driver.rig.read32(BAR + 0x28), driver.rig.read32(BAR + 0x2c)), (0x9abc_d000, 0x1234_5678));
}

#[test]
fn enabling() {
    for (cc, aqa, asq, acq, csts) in [
        (0x0046_0001, 0x001f_001f, 0x1_0000u64, 0x1_1000u64, 1),
        // Entry sizes may be set later.
        (0x0000_0001, 0x0001_0001, 0x1_0000, 0x1_1000, 1),
        // A page size that CAP allows, and queues that begin on one.
        (0x0046_0201, 0x001f_001f, 0x2_0000, 0x3_0000, 1),
        (0x0046_0201, 0x001f_001f, 0x2_1000, 0x3_0000, 2),
        (0x0046_0201, 0x001f_001f, 0x2_0000, 0x3_1000, 2),
        // One that it does not, another command set, another arbitration.
        (0x0046_0281, 0x001f_001f, 0x1_0000, 0x1_1000, 2),
        (0x0046_0011, 0x001f_001f, 0x1_0000, 0x1_1000, 2),
        (0x0046_0071, 0x001f_001f, 0x1_0000, 0x1_1000, 2),
        (0x0046_0801, 0x001f_001f, 0x1_0000, 0x1_1000, 2),
        (0x0046_3801, 0x001f_001f, 0x1_0000, 0x1_1000, 2),
        // Queues of one entry.
        (0x0046_0001, 0x0000_001f, 0x1_0000, 0x1_1000, 2),
        (0x0046_0001, 0x001f_0000, 0x1_0000, 0x1_1000, 2),
    ] {
        let mut driver = off();
        driver.rig.write32(BAR + 0x24, aqa);
        driver.rig.write64(BAR + 0x28, asq);
        driver.rig.write64(BAR + 0x30, acq);
        driver.rig.write32(BAR + 0x14, cc);
        assert_eq!(driver.csts(), csts, "CC {cc:#x}, AQA {aqa:#x}, ASQ {asq:#x}, ACQ {acq:#x}");
        driver.rig.write32(BAR + 0x14, cc & !1);
        assert_eq!(driver.csts(), 0, "a controller reset clears RDY and CFS");
        assert_eq!(driver.rig.read32(BAR + 0x24), aqa, "and leaves the admin queue's registers");
        assert_eq!(u64::from(driver.rig.read32(BAR + 0x28)), asq);
    }
}

#[test]
fn an_enabled_controller_keeps_its_configuration() {
    let mut driver = Driver::new();
    driver.rig.write32(BAR + 0x14, 0x0046_3bf1);
    assert_eq!(driver.rig.read32(BAR + 0x14), 0x0046_0001);
    assert_eq!(driver.csts(), 1);
}

#[test]
fn a_controller_reset_forgets_queues_commands_and_features() {
    let mut driver = Driver::with(Box::new(Memory::new(BLOCKS * 512)), 1000);
    driver.admin(C { opcode: 0x09, d10: 0x01, d11: 7, ..C::default() });
    driver.put(1, C::io(READ, 0, 1));
    driver.ring(1);
    driver.rig.write32(BAR + 0x14, 0x0046_0000);
    assert_eq!((driver.csts(), driver.peek(1)), (0, None));
    driver.ring(1);
    driver.enable();
    while driver.rig.step() {}
    assert_eq!(driver.peek(1), None, "what was fetched is dropped");
    assert_eq!(driver.admin(C { opcode: 0x0a, d10: 0x01, ..C::default() }).dw0, 3, "the default burst");
    // Its identifier is free again.
    driver.create(1, 16);
    assert_eq!(driver.io(C::io(READ, 0, 1)).status, 0);
}

#[test]
fn function_level_reset() {
    let mut driver = Driver::new();
    let stored = driver.store(5, 1, 1);
    // Initiate Function Level Reset, in Device Control of the PCI Express capability.
    let mut express = u64::from(driver.rig.read_config32(driver.source, 0x34) & 0xff);
    while driver.rig.read_config32(driver.source, express) & 0xff != 0x10 {
        express = u64::from(driver.rig.read_config32(driver.source, express) >> 8 & 0xff);
        assert_ne!(express, 0, "it has the capability");
    }
    driver.rig.config16(driver.source, express + 8, 0x8000);
    driver.rig.config32(driver.source, 0x10, BAR as u32);
    driver.rig.config16(driver.source, 0x04, 6);
    for offset in [0x14, 0x1c, 0x24, 0x28, 0x30] {
        assert_eq!(driver.rig.read32(BAR + offset), 0, "{offset:#x}");
    }
    driver.enable();
    driver.create(1, 16);
    assert_eq!(driver.load(5, 1), stored, "the medium keeps what it has");
}

#[test]
fn shutdown() {
    for shn in [0x4000, 0x8000] {
        let medium = Failing::new();
        let flushes = medium.flushes.clone();
        let mut driver = Driver::with(Box::new(medium), 1000);
        driver.put(1, C::io(READ, 0, 1));
        driver.ring(1);
        driver.rig.write32(BAR + 0x14, 0x0046_0001 | shn);
        assert_eq!(driver.csts(), 0b0101, "shutdown occurring while a command is under way");
        while driver.rig.step() {}
        assert_eq!((driver.csts(), driver.reap(1).map(|done| done.status)), (0b1001, Some(0)));
        assert_eq!(flushes.load(std::sync::atomic::Ordering::Relaxed), 1);
        driver.put(1, C::io(READ, 0, 1));
        driver.ring(1);
        while driver.rig.step() {}
        assert_eq!(driver.peek(1), None, "no command is taken after a shutdown");
        driver.rig.write32(BAR + 0x14, 0x0046_0001);
        assert_eq!(driver.csts(), 0b1001, "only a reset ends it");
        driver.rig.write32(BAR + 0x14, 0x0046_0000);
        assert_eq!(driver.csts(), 0);
    }
}

#[test]
fn shutdown_of_a_controller_that_is_off() {
    let mut driver = off();
    driver.rig.write32(BAR + 0x14, 0x4000);
    assert_eq!(driver.csts(), 0b1000);
}
