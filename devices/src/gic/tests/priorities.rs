use super::*;

/// Interrupts 40, 41, 42 … pending by software.
fn pend(rig: &mut Rig, intid: u64) {
    rig.set_gicd(ISPENDR + 4 * (intid / 32), 1 << (intid % 32));
}

#[test]
fn the_most_urgent_comes_first_then_the_lowest_number() {
    let mut rig = Rig::started(1);
    for (intid, priority) in [(40, 0x90), (41, 0x80), (42, 0x80), (200, 0x10)] {
        rig.set_priority(intid, priority);
        pend(&mut rig, intid);
    }
    rig.set_gicr(0, SGI + ISPENDR, 1 << 5);
    let mut taken = Vec::new();
    for _ in 0..6 {
        let intid = rig.iar(0);
        taken.push((intid, rig.get(0, RPR)));
        rig.eoi(0, intid);
    }
    assert_eq!(taken, [(200, 0x10), (41, 0x80), (42, 0x80), (40, 0x90), (5, 0xa0), (1023, 0xff)]);
}

#[test]
fn only_what_is_more_urgent_than_the_mask_is_signalled() {
    let mut rig = Rig::started(1);
    pend(&mut rig, 40);
    for (mask, lines) in [(0xa0, NONE), (0xa8, IRQ), (0x00, NONE), (0xff, IRQ), (0xa7, NONE)] {
        rig.set(0, PMR, mask);
        assert_eq!(rig.lines(0), lines, "{mask:#x}");
        assert_eq!(rig.get(0, HPPIR1), 40, "the mask does not count here");
    }
    assert_eq!(rig.iar(0), 1023);
    // The lowest urgency passes no mask.
    rig.set_priority(40, 0xff);
    rig.set(0, PMR, 0xff);
    assert_eq!((rig.lines(0), rig.get(0, PMR)), (NONE, 0xf8));
}

#[test]
fn an_urgent_interrupt_preempts() {
    let mut rig = Rig::started(1);
    pend(&mut rig, 40);
    assert_eq!((rig.iar(0), rig.get(0, RPR), rig.get(0, AP1R0)), (40, 0xa0, 1 << 20));
    pend(&mut rig, 41);
    assert_eq!(rig.lines(0), NONE, "the same priority waits");
    rig.set_priority(42, 0x98);
    pend(&mut rig, 42);
    assert_eq!((rig.lines(0), rig.iar(0), rig.get(0, RPR)), (IRQ, 42, 0x98));
    assert_eq!(rig.get(0, AP1R0), 1 << 20 | 1 << 19);
    assert_eq!(rig.lines(0), NONE);
    rig.eoi(0, 42);
    assert_eq!((rig.get(0, RPR), rig.lines(0)), (0xa0, NONE));
    rig.eoi(0, 40);
    assert_eq!((rig.get(0, RPR), rig.lines(0), rig.iar(0)), (0xff, IRQ, 41));
}

#[test]
fn the_binary_point_hides_low_bits_from_preemption() {
    // (ICC_BPR1, whether 98h preempts A0h, whether 20h does, the bit of A0h in ICC_AP1R0)
    for (point, near, far, bit) in [
        (3, true, true, 20),
        (4, true, true, 20),
        (5, true, true, 20),
        (6, false, true, 16),
        (7, false, true, 16),
    ] {
        let mut rig = Rig::started(1);
        rig.set(0, BPR1, point);
        pend(&mut rig, 40);
        rig.iar(0);
        assert_eq!(rig.get(0, AP1R0), 1 << bit, "{point}");
        for (intid, priority, expected) in [(41, 0x98, near), (42, 0x20, far)] {
            rig.set_priority(intid, priority);
            pend(&mut rig, intid);
            assert_eq!(rig.lines(0).irq, expected, "{point} {priority:#x}");
        }
    }
}

#[test]
fn within_a_group_priority_nothing_preempts() {
    let mut rig = Rig::started(1);
    // Group priority is bits 7:5.
    rig.set(0, BPR1, 5);
    rig.set_priority(40, 0xb8);
    rig.set_priority(41, 0xa0);
    rig.set_priority(42, 0x98);
    pend(&mut rig, 40);
    assert_eq!((rig.iar(0), rig.get(0, RPR)), (40, 0xa0));
    pend(&mut rig, 41);
    assert_eq!(rig.lines(0), NONE);
    pend(&mut rig, 42);
    assert_eq!((rig.lines(0), rig.iar(0), rig.get(0, RPR)), (IRQ, 42, 0x80));
    rig.eoi(0, 42);
    rig.eoi(0, 40);
    assert_eq!(rig.iar(0), 41);
    // With ICC_BPR0 for both and no group priority at all, nothing preempts anything.
    let mut rig = Rig::started(1);
    rig.set(0, CTLR, 1);
    rig.set(0, BPR0, 7);
    pend(&mut rig, 40);
    assert_eq!((rig.iar(0), rig.get(0, RPR), rig.get(0, AP1R0)), (40, 0, 1));
    rig.set_priority(41, 0);
    pend(&mut rig, 41);
    assert_eq!(rig.lines(0), NONE);
}

#[test]
fn a_binary_point_that_moves_counts_for_what_runs_already() {
    let mut rig = Rig::started(1);
    rig.set_priority(40, 0xa8);
    pend(&mut rig, 40);
    rig.iar(0);
    rig.set_priority(41, 0x88);
    pend(&mut rig, 41);
    assert_eq!(rig.lines(0), IRQ);
    rig.set(0, BPR1, 7);
    assert_eq!(rig.lines(0), NONE, "both are in the lower half");
}

#[test]
fn with_eoimode_an_interrupt_stays_active_until_it_is_deactivated() {
    let mut rig = Rig::started(1);
    rig.set(0, CTLR, 0b10);
    rig.gic.set_spi(8, true);
    assert_eq!(rig.iar(0), 40);
    rig.eoi(0, 40);
    assert_eq!((rig.get(0, RPR), rig.gicd(ISACTIVER + 4), rig.lines(0)), (0xff, 1 << 8, NONE));
    // Others can be taken meanwhile.
    pend(&mut rig, 41);
    assert_eq!(rig.iar(0), 41);
    rig.eoi(0, 41);
    rig.set(0, DIR, 40);
    assert_eq!((rig.gicd(ISACTIVER + 4), rig.lines(0)), (1 << 9, IRQ));
    rig.set(0, DIR, 41);
    for intid in [0, 8192, 300, 1023, 0xff_ffff] {
        rig.set(0, DIR, intid);
    }
    assert_eq!(rig.gicd(ISACTIVER + 4), 0);
}

#[test]
fn without_eoimode_dir_does_nothing() {
    let mut rig = Rig::started(1);
    pend(&mut rig, 40);
    rig.iar(0);
    rig.set(0, DIR, 40);
    assert_eq!(rig.gicd(ISACTIVER + 4), 1 << 8);
    rig.eoi(0, 40);
    assert_eq!(rig.gicd(ISACTIVER + 4), 0);
}

#[test]
fn the_end_of_something_else_is_ignored() {
    let mut rig = Rig::started(1);
    pend(&mut rig, 40);
    rig.iar(0);
    for intid in [1020, 1023, 288, 8191, 0x1_0000, 0xff_ffff] {
        rig.eoi(0, intid);
        assert_eq!((rig.get(0, RPR), rig.gicd(ISACTIVER + 4)), (0xa0, 1 << 8), "{intid}");
    }
    rig.set(0, EOIR0, 40);
    assert_eq!(rig.get(0, RPR), 0xa0, "of the other group");
    rig.eoi(0, 40);
    rig.eoi(0, 40);
    assert_eq!(rig.get(0, RPR), 0xff);
}

#[test]
fn group_0_is_fiq() {
    let mut rig = Rig::started(1);
    rig.set_gicd(IGROUPR + 4, !(1 << 8));
    rig.set_priority(40, 0x80);
    pend(&mut rig, 40);
    pend(&mut rig, 41);
    assert_eq!(rig.lines(0), FIQ);
    assert_eq!([HPPIR0, HPPIR1, IAR1].map(|register| rig.get(0, register)), [40, 1023, 1023]);
    assert_eq!((rig.get(0, IAR0), rig.get(0, AP0R0), rig.get(0, AP1R0)), (40, 1 << 16, 0));
    assert_eq!(rig.lines(0), NONE, "a less urgent one of group 1 waits");
    rig.eoi(0, 40);
    assert_eq!(rig.get(0, RPR), 0x80);
    rig.set(0, EOIR0, 40);
    assert_eq!((rig.lines(0), rig.get(0, IAR0), rig.iar(0)), (IRQ, 1023, 41));
    // More urgent than what runs, of the other group.
    pend(&mut rig, 40);
    assert_eq!((rig.lines(0), rig.get(0, IAR0)), (FIQ, 40));
    assert_eq!((rig.get(0, AP0R0), rig.get(0, AP1R0)), (1 << 16, 1 << 20));
    rig.set(0, EOIR0, 40);
    rig.eoi(0, 41);
    assert_eq!(rig.get(0, RPR), 0xff);
}

#[test]
fn a_disabled_group_does_not_hide_the_other() {
    let mut rig = Rig::started(1);
    rig.set_gicd(IGROUPR + 4, !(1 << 8));
    rig.set_priority(40, 0);
    pend(&mut rig, 40);
    pend(&mut rig, 41);
    assert_eq!(rig.lines(0), FIQ);
    rig.set(0, IGRPEN0, 0);
    assert_eq!((rig.lines(0), rig.get(0, HPPIR0), rig.get(0, HPPIR1)), (IRQ, 1023, 41));
    rig.set(0, IGRPEN0, 1);
    rig.set_gicd(GICD_CTLR, 0x12);
    assert_eq!((rig.lines(0), rig.iar(0)), (IRQ, 41));
}
