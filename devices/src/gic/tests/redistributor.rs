use super::*;

#[test]
fn frames_name_their_processors() {
    let mut rig = Rig::new(4);
    // Affinity and processor number, physical LPIs; Last with the fourth.
    let types = [0, 1, 2, 3].map(|n| rig.gicr64(n, 0x0008));
    assert_eq!(types, [0x0000_0001, 0x1_0000_0101, 0x2_0000_0201, 0x3_0000_0311]);
    assert_eq!((rig.gicr(1, 0x0008), rig.gicr(1, 0x000c)), (0x101, 1));
    for frame in [0, SGI] {
        let found: Vec<u32> = (0..12).map(|index| rig.gicr(2, frame + 0xffd0 + 4 * index)).collect();
        assert_eq!(found, [0x44, 0, 0, 0, 0x93, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1]);
    }
    assert_eq!(rig.gicr(0, 0x0004), 0x43b);
    // Behind the last.
    rig.set_gicr(4, WAKER, 0);
    assert_eq!((rig.gicr(4, 0x0008), rig.gicr(1000, 0xffe8)), (0, 0));
}

#[test]
fn the_number_of_processors_is_kept_in_range() {
    for (processors, count) in [(0, 1), (1, 1), (8, 8), (9, 8), (255, 8)] {
        let mut rig = Rig::new(processors);
        assert_eq!(rig.gic.processors(), count);
        assert_eq!(rig.gicr(count - 1, 0x0008) & 0x10, 0x10);
    }
}

#[test]
fn waking_is_immediate() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.gicr(0, WAKER), 0b110);
    rig.set_gicr(0, WAKER, 0);
    assert_eq!(rig.gicr(0, WAKER), 0);
    rig.set_gicr(0, WAKER, u32::MAX);
    assert_eq!(rig.gicr(0, WAKER), 0b110);
}

#[test]
fn table_registers_stick_until_lpis_are_enabled() {
    let mut rig = Rig::new(1);
    rig.set_gicr64(0, PROPBASER, u64::MAX);
    rig.set_gicr64(0, PENDBASER, u64::MAX);
    assert_eq!(rig.gicr64(0, PROPBASER), 0x070f_ffff_ffff_ff9f);
    assert_eq!(rig.gicr64(0, PENDBASER), 0x070f_ffff_ffff_0f80, "PTZ reads zero");
    rig.set_gicr(0, PROPBASER, 0x1234_578f);
    rig.set_gicr(0, PROPBASER + 4, 0x0700_0001);
    assert_eq!(rig.gicr64(0, PROPBASER), 0x0700_0001_1234_578f);
    assert_eq!(rig.gicr(0, GICR_CTLR), 0b10, "EnableLPIs can be cleared");
    rig.set_gicr(0, GICR_CTLR, u32::MAX);
    assert_eq!(rig.gicr(0, GICR_CTLR), 0b11);
    rig.set_gicr64(0, PROPBASER, 0);
    rig.set_gicr64(0, PENDBASER, 0);
    assert_eq!(rig.gicr64(0, PROPBASER), 0x0700_0001_1234_578f);
    assert_eq!(rig.gicr64(0, PENDBASER), 0x070f_ffff_ffff_0f80);
    rig.set_gicr(0, GICR_CTLR, 0);
    assert_eq!(rig.gicr(0, GICR_CTLR), 0b10);
    rig.set_gicr64(0, PENDBASER, 0);
    assert_eq!(rig.gicr64(0, PENDBASER), 0);
}

#[test]
fn the_sgi_frame_has_one_bank() {
    let mut rig = Rig::new(2);
    for (set, clear) in [(ISENABLER, ICENABLER), (ISPENDR, ICPENDR), (ISACTIVER, ICACTIVER)] {
        rig.set_gicr(1, SGI + set, 0xffff_0001);
        rig.set_gicr(1, SGI + clear, 0x8000_0000);
        assert_eq!([set, clear].map(|at| rig.gicr(1, SGI + at)), [0x7fff_0001; 2]);
        rig.set_gicr(1, SGI + set + 4, u32::MAX);
        assert_eq!((rig.gicr(0, SGI + set), rig.gicr(1, SGI + set + 4)), (0, 0));
    }
    rig.set_gicr(1, SGI + IGROUPR, 0x1234_5678);
    assert_eq!(rig.gicr(1, SGI + IGROUPR), 0x1234_5678);
    // SGIs are edge triggered for good, PPIs as software wants.
    rig.set_gicr(1, SGI + ICFGR, 0);
    rig.set_gicr(1, SGI + ICFGR + 4, 0xffff_ffff);
    assert_eq!((rig.gicr(1, SGI + ICFGR), rig.gicr(1, SGI + ICFGR + 4)), (0xaaaa_aaaa, 0xaaaa_aaaa));
    rig.gic.write_redistributors(0x2_0000 + SGI + IPRIORITYR + 30, &[0xff], &mut rig.fx);
    assert_eq!(rig.gicr(1, SGI + IPRIORITYR + 28), 0x00f8_0000);
    // IGRPMODR0 and NSACR.
    for offset in [0xd00, 0xe00, IPRIORITYR + 32] {
        rig.set_gicr(1, SGI + offset, u32::MAX);
        assert_eq!(rig.gicr(1, SGI + offset), 0, "{offset:#x}");
    }
}

#[test]
fn ppis_are_private() {
    let mut rig = Rig::started(2);
    // The virtual timer of processor 1: level sensitive.
    rig.gic.set_ppi(1, 11, true);
    assert_eq!((rig.lines(0), rig.lines(1)), (NONE, IRQ));
    assert_eq!(rig.iar(1), 27);
    assert_eq!(rig.lines(1), NONE);
    rig.eoi(1, 27);
    assert_eq!(rig.lines(1), IRQ, "the level is still asserted");
    rig.gic.set_ppi(1, 11, false);
    assert_eq!((rig.lines(1), rig.iar(1)), (NONE, 1023));
    rig.gic.set_ppi(2, 11, true);
    rig.gic.set_ppi(1, 16, true);
    rig.gic.set_ppi(1, u32::MAX, true);
    assert_eq!((rig.lines(0), rig.lines(1)), (NONE, NONE));
}
