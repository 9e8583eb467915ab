use super::*;

#[test]
fn a_level_is_pending_while_it_is_asserted() {
    let mut rig = Rig::started(1);
    rig.gic.set_spi(1, true);
    assert_eq!((rig.lines(0), rig.gicd(ISPENDR + 4)), (IRQ, 0b10));
    rig.set_gicd(ICPENDR + 4, 0b10);
    assert_eq!(rig.lines(0), IRQ, "software cannot take a level back");
    rig.gic.set_spi(1, false);
    assert_eq!((rig.lines(0), rig.gicd(ISPENDR + 4)), (NONE, 0));
    rig.gic.set_spi(1, true);
    assert_eq!(rig.iar(0), 33);
    // Active and pending.
    assert_eq!([ISPENDR, ISACTIVER].map(|at| rig.gicd(at + 4)), [0b10, 0b10]);
    assert_eq!((rig.lines(0), rig.iar(0)), (NONE, 1023));
    rig.eoi(0, 33);
    assert_eq!((rig.lines(0), rig.iar(0)), (IRQ, 33));
    rig.gic.set_spi(1, false);
    rig.eoi(0, 33);
    assert_eq!((rig.lines(0), rig.gicd(ISACTIVER + 4)), (NONE, 0));
}

#[test]
fn an_edge_is_pending_until_it_is_taken() {
    let mut rig = Rig::started(1);
    rig.set_edge(106);
    rig.gic.pulse_spi(74);
    assert_eq!((rig.lines(0), rig.gicd(ISPENDR + 12)), (IRQ, 1 << 10));
    assert_eq!(rig.iar(0), 106);
    assert_eq!((rig.gicd(ISPENDR + 12), rig.gicd(ISACTIVER + 12)), (0, 1 << 10));
    // Another edge meanwhile is remembered once.
    rig.gic.pulse_spi(74);
    rig.gic.pulse_spi(74);
    assert_eq!((rig.lines(0), rig.gicd(ISPENDR + 12)), (NONE, 1 << 10));
    rig.eoi(0, 106);
    assert_eq!(rig.iar(0), 106);
    rig.eoi(0, 106);
    assert_eq!(rig.iar(0), 1023);
    // A level that stays is one edge, and software can clear it.
    rig.gic.set_spi(74, true);
    assert_eq!(rig.lines(0), IRQ);
    rig.set_gicd(ICPENDR + 12, 1 << 10);
    rig.gic.set_spi(74, true);
    assert_eq!(rig.lines(0), NONE);
}

#[test]
fn a_pulse_is_lost_on_a_level_sensitive_input() {
    let mut rig = Rig::started(1);
    rig.gic.pulse_spi(74);
    assert_eq!((rig.lines(0), rig.gicd(ISPENDR + 12)), (NONE, 0));
    for spi in [256, 960, u32::MAX] {
        rig.gic.pulse_spi(spi);
    }
    assert_eq!(rig.lines(0), NONE);
}

#[test]
fn software_makes_interrupts_pending() {
    let mut rig = Rig::started(1);
    rig.set_gicd(ISPENDR + 4, 0b100);
    assert_eq!((rig.iar(0), rig.gicd(ISPENDR + 4)), (34, 0));
    rig.eoi(0, 34);
    rig.set_gicd(ISPENDR + 4, 0b100);
    rig.set_gicd(ICPENDR + 4, 0b100);
    assert_eq!(rig.iar(0), 1023);
}

#[test]
fn each_enable_counts() {
    let mut rig = Rig::started(1);
    rig.gic.set_spi(0, true);
    let toggles: [[fn(&mut Rig); 2]; 5] = [
        [|rig| rig.set_gicd(ICENABLER + 4, 1), |rig| rig.set_gicd(ISENABLER + 4, 1)],
        [|rig| rig.set_gicd(GICD_CTLR, 0x11), |rig| rig.set_gicd(GICD_CTLR, 0x12)],
        [|rig| rig.set(0, IGRPEN1, 0), |rig| rig.set(0, IGRPEN1, 1)],
        [|rig| rig.set_gicr(0, WAKER, 2), |rig| rig.set_gicr(0, WAKER, 0)],
        [|rig| rig.set_gicd(ISACTIVER + 4, 1), |rig| rig.set_gicd(ICACTIVER + 4, 1)],
    ];
    for (index, [off, on]) in toggles.into_iter().enumerate() {
        assert_eq!(rig.lines(0), IRQ, "{index}");
        off(&mut rig);
        assert_eq!((rig.lines(0), rig.iar(0), rig.get(0, HPPIR1)), (NONE, 1023, 1023), "{index}");
        on(&mut rig);
    }
    assert_eq!(rig.iar(0), 32);
}

#[test]
fn routes_name_a_processor() {
    let mut rig = Rig::started(4);
    rig.gic.set_spi(8, true);
    let irqs = |rig: &Rig| [0, 1, 2, 3].map(|n| rig.lines(n).irq);
    assert_eq!(irqs(&rig), [true, false, false, false]);
    for (route, expected) in [
        (2, [false, false, true, false]),
        (3, [false, false, false, true]),
        (4, [false; 4]),
        (0x100, [false; 4]),
        (0x1_0000, [false; 4]),
        (1 << 32, [false; 4]),
        (1 << 31 | 3, [true, false, false, false]),
    ] {
        rig.set_gicd64(IROUTER + 8 * 40, route);
        assert_eq!(irqs(&rig), expected, "{route:#x}");
    }
    // Any processor: the first that takes part.
    rig.set(0, IGRPEN1, 0);
    assert_eq!(irqs(&rig), [false, true, false, false]);
    rig.set_gicr(1, WAKER, 2);
    assert_eq!(irqs(&rig), [false, false, true, false]);
    assert_eq!((rig.iar(2), irqs(&rig)), (40, [false; 4]));
    rig.eoi(2, 40);
    for n in 2..4 {
        rig.set(n, IGRPEN1, 0);
    }
    assert_eq!(irqs(&rig), [false; 4]);
}
