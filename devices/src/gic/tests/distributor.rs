use super::*;

#[test]
fn type_control_and_identification() {
    let mut rig = Rig::new(1);
    // Affinity routing on, security disabled; INTIDs below 288, 16 bits, LPIs, Aff3.
    assert_eq!(rig.gicd(0x0000), 0x0000_0050);
    assert_eq!(rig.gicd(0x0004), 0x017a_0008);
    assert_eq!(rig.gicd(0x0008), 0x0000_043b);
    assert_eq!(rig.gicd(0x000c), 0);
    let found: Vec<u32> = (0..12).map(|index| rig.gicd(0xffd0 + 4 * index)).collect();
    assert_eq!(found, [0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1]);
    rig.set_gicd(0x0000, 0xffff_ffff);
    assert_eq!(rig.gicd(0x0000), 0x0000_0053);
    rig.set_gicd(0x0000, 0);
    assert_eq!(rig.gicd(0x0000), 0x0000_0050);
    rig.set_gicd(0x0004, 0);
    assert_eq!(rig.gicd(0x0004), 0x017a_0008);
}

#[test]
fn the_number_of_spis_is_kept_in_range() {
    for (spis, lines) in [(0, 1), (1, 1), (32, 1), (33, 2), (256, 8), (960, 30), (988, 30), (u16::MAX, 30)] {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x1000)]).unwrap();
        let mut gic = Gic::new(Config { spis, ..Config::default() }, mem);
        let mut data = [0; 4];
        gic.read_distributor(4, &mut data, &mut Effects::default());
        assert_eq!(data[0] & 0x1f, lines, "{spis}");
    }
}

#[test]
fn set_and_clear_registers_show_the_same_bits() {
    let mut rig = Rig::new(1);
    for (set, clear) in [(ISENABLER, ICENABLER), (ISPENDR, ICPENDR), (ISACTIVER, ICACTIVER)] {
        for bank in 1..9 {
            rig.set_gicd(set + 4 * bank, 0xf0f0_1234);
            rig.set_gicd(clear + 4 * bank, 0x0000_ff00);
            let bits = [set, clear].map(|offset| rig.gicd(offset + 4 * bank));
            assert_eq!(bits, [0xf0f0_0034; 2], "{set:#x} {bank}");
        }
        // The banks of private interrupts, and those that are not there.
        for bank in [0, 9, 31] {
            rig.set_gicd(set + 4 * bank, u32::MAX);
            assert_eq!(rig.gicd(set + 4 * bank), 0, "{set:#x} {bank}");
        }
    }
}

#[test]
fn groups_configuration_and_routes_are_kept() {
    let mut rig = Rig::new(1);
    rig.set_gicd(IGROUPR + 4, 0x1234_5678);
    assert_eq!(rig.gicd(IGROUPR + 4), 0x1234_5678);
    rig.set_gicd(ICFGR + 8, 0xffff_ffff);
    rig.set_gicd(ICFGR + 12, 0x8000_0002);
    assert_eq!([8, 12, 16].map(|at| rig.gicd(ICFGR + at)), [0xaaaa_aaaa, 0x8000_0002, 0]);
    rig.set_gicd(ICFGR, 0xffff_ffff);
    assert_eq!(rig.gicd(ICFGR), 0);
    rig.set_gicd64(IROUTER + 8 * 40, u64::MAX);
    assert_eq!((rig.gicd(IROUTER + 8 * 40), rig.gicd(IROUTER + 8 * 40 + 4)), (0x80ff_ffff, 0xff));
    rig.set_gicd(IROUTER + 8 * 40, 3);
    assert_eq!((rig.gicd(IROUTER + 8 * 40), rig.gicd(IROUTER + 8 * 40 + 4)), (3, 0xff));
    for intid in [0, 31, 288, 1019] {
        rig.set_gicd64(IROUTER + 8 * intid, u64::MAX);
        assert_eq!(rig.gicd(IROUTER + 8 * intid), 0, "{intid}");
    }
}

#[test]
fn priorities_take_bytes_and_have_five_bits() {
    let mut rig = Rig::new(1);
    rig.set_gicd(IPRIORITYR + 40, 0xffff_ffff);
    assert_eq!(rig.gicd(IPRIORITYR + 40), 0xf8f8_f8f8);
    rig.set_priority(41, 0x17);
    assert_eq!(rig.gicd(IPRIORITYR + 40), 0xf8f8_10f8);
    let mut byte = [0];
    rig.gic.read_distributor(IPRIORITYR + 41, &mut byte, &mut rig.fx);
    assert_eq!(byte, [0x10]);
    rig.set_priority(5, 0xa0);
    rig.set_priority(288, 0xa0);
    assert_eq!((rig.gicd(IPRIORITYR + 4), rig.gicd(IPRIORITYR + 288)), (0, 0));
}

#[test]
fn other_registers_do_not_take_bytes() {
    let mut rig = Rig::new(1);
    for len in [1, 2, 3, 16] {
        rig.gic.write_distributor(ISENABLER + 4, &vec![0xff; len], &mut rig.fx);
    }
    rig.gic.write_distributor(ISENABLER + 5, &[0xff; 4], &mut rig.fx);
    assert_eq!(rig.gicd(ISENABLER + 4), 0);
}

#[test]
fn what_is_not_advertised_reads_zero() {
    let mut rig = Rig::new(1);
    // SETSPI, CLRSPI, ITARGETSR, IGRPMODR, NSACR, SGIR, SPENDSGIR, IROUTERnE.
    for offset in [0x40, 0x48, 0x50, 0x58, 0x820, 0xd04, 0xe04, 0xf00, 0xf20, 0x8000, 0x1_0000, 0xffff_fff0] {
        rig.set_gicd(offset, u32::MAX);
        assert_eq!(rig.gicd(offset), 0, "{offset:#x}");
    }
    assert_eq!([1, 2, 8].map(|bank| rig.gicd(ISPENDR + 4 * bank)), [0; 3], "SETSPI makes nothing pending");
}
