use super::*;

/// What each of four processors acknowledges in group 1.
fn taken(rig: &mut Rig) -> [u64; 4] {
    [0, 1, 2, 3].map(|n| {
        let intid = rig.iar(n);
        rig.eoi(n, intid);
        intid
    })
}

#[test]
fn sgis_reach_the_processors_of_the_list() {
    for (value, expected) in [
        // SGI 5 to processors 1 and 3.
        (5 << 24 | 0b1010, [1023, 5, 1023, 5]),
        // To oneself.
        (15 << 24 | 0b0001, [15, 1023, 1023, 1023]),
        // To all others; the list does not count.
        (1 << 40 | 3 << 24 | 0b0001, [1023, 3, 3, 3]),
        // Affinities that nobody has.
        (7 << 24 | 1 << 16 | 0xffff, [1023; 4]),
        (7 << 24 | 1 << 32 | 0xffff, [1023; 4]),
        (7 << 24 | 1 << 48 | 0xffff, [1023; 4]),
        // Processors that do not exist; a range selector, which is reserved.
        (7 << 24 | 0xfff0, [1023; 4]),
        (7 << 24 | 1 << 44 | 0b0100, [1023, 1023, 7, 1023]),
    ] {
        let mut rig = Rig::started(4);
        rig.set(0, SGI1R, value);
        assert_eq!(taken(&mut rig), expected, "{value:#x}");
        assert_eq!(taken(&mut rig), [1023; 4]);
    }
}

#[test]
fn an_sgi_arrives_only_in_its_group() {
    let mut rig = Rig::started(2);
    rig.set_gicr(1, SGI + IGROUPR, !(1 << 4));
    rig.set(0, SGI1R, 4 << 24 | 0b11);
    assert_eq!([0, 1].map(|n| rig.gicr(n, SGI + ISPENDR)), [1 << 4, 0]);
    rig.set(0, SGI0R, 4 << 24 | 0b11);
    assert_eq!([0, 1].map(|n| rig.gicr(n, SGI + ISPENDR)), [1 << 4, 1 << 4]);
    assert_eq!((rig.lines(0), rig.lines(1)), (IRQ, FIQ));
    assert_eq!(rig.get(1, IAR0), 4);
    rig.set(0, ASGI1R, 6 << 24 | 0b11);
    assert_eq!([0, 1].map(|n| rig.gicr(n, SGI + ISPENDR)), [1 << 4, 0], "there is no other Security state");
}

#[test]
fn an_sgi_that_is_active_can_be_pending_again() {
    let mut rig = Rig::started(1);
    rig.set(0, SGI1R, 1 << 24 | 1);
    assert_eq!(rig.iar(0), 1);
    rig.set(0, SGI1R, 1 << 24 | 1);
    rig.set(0, SGI1R, 1 << 24 | 1);
    assert_eq!((rig.lines(0), rig.gicr(0, SGI + ISACTIVER)), (NONE, 2));
    rig.eoi(0, 1);
    assert_eq!(rig.iar(0), 1);
    rig.eoi(0, 1);
    assert_eq!(rig.iar(0), 1023);
}
