use super::*;

#[test]
fn registers_after_reset() {
    let mut rig = Rig::new(1);
    for (register, value) in [
        (PMR, 0),
        (BPR0, 2),
        (BPR1, 3),
        (AP0R0, 0),
        (AP1R0, 0),
        // Aff3, 5 bits of priority, 16 bits of INTID.
        (CTLR, 0x8400),
        (SRE, 7),
        (IGRPEN0, 0),
        (IGRPEN1, 0),
        (RPR, 0xff),
        (HPPIR0, 1023),
        (HPPIR1, 1023),
        (IAR0, 1023),
        (IAR1, 1023),
    ] {
        assert_eq!(rig.get(0, register), value, "{register:#x}");
    }
}

#[test]
fn only_implemented_bits_stick() {
    let mut rig = Rig::new(1);
    for (register, value, read) in [
        (PMR, u64::MAX, 0xf8),
        // How Linux asks whether it may use group 0.
        (PMR, 8, 8),
        (BPR0, 0, 2),
        (BPR0, 5, 5),
        (BPR0, u64::MAX, 7),
        (BPR1, 0, 3),
        (BPR1, 5, 5),
        (BPR1, u64::MAX, 7),
        (AP0R0, u64::MAX, 0xffff_ffff),
        (AP0R0, 0, 0),
        (AP1R0, u64::MAX, 0xffff_ffff),
        (CTLR, u64::MAX, 0x8403),
        (CTLR, 0, 0x8400),
        (SRE, 0, 7),
        (IGRPEN0, u64::MAX, 1),
        (IGRPEN0, 2, 0),
        (IGRPEN1, u64::MAX, 1),
        (IGRPEN1, 0, 0),
    ] {
        rig.set(0, register, value);
        assert_eq!(rig.get(0, register), read, "{register:#x} {value:#x}");
    }
}

#[test]
fn with_cbpr_one_binary_point_serves_both_groups() {
    let mut rig = Rig::new(1);
    rig.set(0, BPR1, 4);
    rig.set(0, CTLR, 1);
    for (point, shown) in [(2, 3), (5, 6), (7, 7)] {
        rig.set(0, BPR0, point);
        rig.set(0, BPR1, 6);
        assert_eq!(rig.get(0, BPR1), shown);
    }
    rig.set(0, CTLR, 0);
    assert_eq!(rig.get(0, BPR1), 4);
}

#[test]
fn the_rest_is_undefined() {
    let mut rig = Rig::new(2);
    let read_only = [IAR0, IAR1, HPPIR0, HPPIR1, RPR];
    let write_only = [EOIR0, EOIR1, DIR, SGI0R, SGI1R, ASGI1R];
    let both = [PMR, BPR0, BPR1, AP0R0, AP1R0, CTLR, SRE, IGRPEN0, IGRPEN1];
    for encoding in 0..=u16::MAX {
        let readable = rig.gic.read_register(1, encoding, &mut rig.fx).is_some();
        let writable = rig.gic.write_register(1, encoding, 0).is_some();
        assert_eq!(readable, read_only.contains(&encoding) || both.contains(&encoding), "{encoding:#x}");
        assert_eq!(writable, write_only.contains(&encoding) || both.contains(&encoding), "{encoding:#x}");
    }
    assert_eq!(rig.gic.read_register(2, PMR, &mut rig.fx), None);
    assert_eq!(rig.gic.write_register(2, PMR, 0), None);
    assert_eq!(rig.lines(2), NONE);
}

#[test]
fn interrupts_taken_are_traced() {
    let mut rig = Rig::started(2);
    rig.gic.set_ppi(1, 11, true);
    rig.fx.take_trace();
    rig.iar(1);
    let lines: Vec<String> = rig.fx.take_trace().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["gic: processor 1 takes interrupt 27, priority 0xa0"]);
}
