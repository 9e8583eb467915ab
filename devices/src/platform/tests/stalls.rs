//! DMA that the IOMMU holds.

use expect_test::expect;

use super::*;

/// How a descriptor ends by what becomes of its held DMA: status, bytes and result; `None` where the ring
/// stops.
type End = Option<(u32, u32, u64)>;

/// What is held, a descriptor for which it is, and how that ends by a retry, by RAZ and by an abort.
type Row = (&'static str, (u64, bool), D, [End; 3]);

/// Memory at 3ff0 is 10 to 2f before each.
const OLD: u64 = 0x1716_1514_1312_1110;
pub(super) const ROWS: [Row; 9] = [
    ("fetch", (RING, false), [0; 6], [Some((DONE, 0, 0)), None, None]),
    ("status write", (RING, true), [0; 6], [Some((DONE, 0, 0)), None, None]),
    (
        "read",
        (0x4000, false),
        [1 | 0x20 << 32, 0x3ff0, 0, 0, 0, 0],
        [Some((DONE, 0x20, 0)), Some((0x8000_0002, 0x10, 0)), Some((0x8000_0003, 0x10, 0))],
    ),
    (
        "write",
        (0x6000, true),
        [2 | 0x20 << 32, 0x5ff0, 0, 0, 0, 0],
        [Some((DONE, 0x20, 0)), Some((0x8000_0002, 0x10, 0)), Some((0x8000_0003, 0x10, 0))],
    ),
    (
        "read of a copy",
        (0x4000, false),
        [3 | 0x20 << 32, 0x3ff0, 0x5000, 0, 0, 0],
        [Some((DONE, 0x20, 0)), Some((0x8000_0002, 0x10, 0)), Some((0x8000_0003, 0x10, 0))],
    ),
    (
        "write of a copy",
        (0x6000, true),
        [3 | 0x20 << 32, 0x3ff0, 0x5fe8, 0, 0, 0],
        [Some((DONE, 0x20, 0)), Some((0x8000_0002, 0x18, 0)), Some((0x8000_0003, 0x18, 0))],
    ),
    (
        "atomic",
        (0x3000, true),
        [4 | 1 << 14, 0x3ff0, 0, 1, 0, 0],
        [Some((DONE, 8, OLD)), Some((0x8000_0002, 0, 0)), Some((0x8000_0003, 0, 0))],
    ),
    (
        "zero-length read",
        (0x3000, false),
        [7, 0x3ff0, 0, 0, 0, 0],
        [Some((DONE, 0, 0)), Some((0x8000_0002, 0, 0)), Some((0x8000_0003, 0, 0))],
    ),
    (
        "first page of a long copy",
        (0x3000, false),
        [3 | 0x2_0000 << 32, 0x3ff0, 0x8_0000, 0, 0, 0],
        [Some((DONE, 0x2_0000, 0)), Some((0x8000_0002, 0, 0)), Some((0x8000_0003, 0, 0))],
    ),
];

/// A device whose first descriptor is held at a DMA.
pub(super) fn parked((what, (page, write), descriptor, _): &Row) -> Rig {
    let mut rig = Rig::new();
    let old: Vec<u8> = (0x10..0x30).collect();
    rig.mem.write(Pa(0x3ff0), &old).unwrap();
    rig.put(0, *descriptor);
    rig.put(1, [0; 6]);
    rig.take_away(*page, *write);
    rig.write(TAIL, 1);
    assert_eq!([STATUS, HEAD, COMPLETED].map(|at| rig.read(at)), [9, 0, 0], "{what}: BUSY and HELD");
    assert_eq!((rig.stalls(), rig.written(0).0), (1, 0), "{what}");
    rig
}

/// Checks how the first descriptor ended.
pub(super) fn check_end(rig: &mut Rig, what: &str, end: End) {
    rig.mend();
    rig.run_until(1_000_000);
    match end {
        Some(written) => {
            assert_eq!(rig.written(0), written, "{what}");
            assert_eq!([CONTROL, STATUS, HEAD, COMPLETED].map(|at| rig.read(at)), [1, 0, 1, 1], "{what}");
            // And so does the next.
            rig.write(TAIL, 2);
            assert_eq!(rig.written(1), (DONE, 0, 0), "{what}");
        }
        None => {
            // RING_FAULT, and off.
            assert_eq!([CONTROL, STATUS, HEAD, COMPLETED].map(|at| rig.read(at)), [0, 2, 0, 0], "{what}");
            assert_eq!(rig.written(0).0, 0, "{what}");
        }
    }
}

#[test]
fn each_dma_is_held_and_goes_on_or_ends() {
    for row in &ROWS {
        let (what, _, _, [retried, zero, aborted]) = row;
        for (how, end) in [(RETRY, retried), (RAZ, zero), (UR, aborted)] {
            let what = format!("{what} {how:?}");
            let mut rig = parked(row);
            assert!(!rig.resume(1, how) && !rig.resume(u32::MAX, how), "{what}: not its tag");
            assert_eq!(rig.read(STATUS), 9, "{what}");
            rig.mend();
            assert!(rig.resume(0, how), "{what}");
            assert!(!rig.resume(0, how), "{what}: a tag is good once");
            check_end(&mut rig, &what, *end);
            assert_eq!(rig.stalls(), 1, "{what}");
        }
    }
}

#[test]
fn a_completer_abort_has_its_own_code() {
    let mut rig = parked(&ROWS[2]);
    rig.resume(0, CA);
    assert_eq!(rig.written(0), (0x8000_0004, 0x10, 0));
}

#[test]
fn a_retry_that_faults_again_is_held_again() {
    for row in &ROWS {
        let (what, .., [retried, _, _]) = row;
        let mut rig = parked(row);
        for round in 0..3 {
            assert!(rig.resume(round, RETRY), "{what}");
            assert_eq!((rig.read(STATUS), rig.stalls()), (9, round + 2), "{what}");
        }
        rig.mend();
        assert!(rig.resume(3, RETRY), "{what}");
        check_end(&mut rig, what, *retried);
    }
}

#[test]
fn what_moved_before_stays_and_what_reads_as_zero_is_zero() {
    let mut rig = parked(&ROWS[2]);
    rig.write(BUFFER + 0x1c, 0xeeee_eeee);
    rig.write(BUFFER + 0x20, 0xeeee_eeee);
    rig.resume(0, RAZ);
    let old: Vec<u8> = (0x10..0x20).chain([0; 16]).chain([0xee; 4]).collect();
    assert_eq!(rig.buffer(0x24), old);
    let mut rig = parked(&ROWS[2]);
    rig.write(BUFFER + 0x1c, 0xeeee_eeee);
    rig.resume(0, UR);
    let old: Vec<u8> = (0x10..0x20).chain([0; 12]).chain([0xee; 4]).collect();
    assert_eq!(rig.buffer(0x20), old, "an aborted read leaves the buffer alone");
    // A write that is ignored.
    let mut rig = parked(&ROWS[3]);
    rig.mem.write(Pa(0x6000), &[0x55; 16]).unwrap();
    rig.mend();
    rig.resume(0, RAZ);
    assert_eq!(rig.ram(0x6000, 16), [0x55; 16]);
}

#[test]
fn a_copy_whose_write_is_held_does_not_read_again() {
    let mut rig = parked(&ROWS[5]);
    let old: Vec<u8> = (0x10..0x30).collect();
    rig.mem.write(Pa(0x3ff0), &[0xee; 0x20]).unwrap();
    // Not even if the source has gone.
    rig.mend();
    rig.take_away(0x3000, false);
    rig.take_away(0x4000, false);
    rig.resume(0, RETRY);
    // The piece that was held is up to the end of the source's page; it was read before.
    let moved = rig.written(0);
    assert_eq!(moved, (DONE, 0x20, 0), "{moved:x?}");
    assert_eq!(rig.ram(0x5fe8, 0x20), old);
}

#[test]
fn a_held_dma_is_dropped_by_reset_and_by_disabling() {
    for row in &ROWS {
        let what = row.0;
        // CONTROL written, and CONTROL, STATUS, TAIL, HEAD, COMPLETED after it.
        for (control, after) in [(2, [0, 0, 0, 0, 0]), (3, [1, 0, 0, 0, 0]), (0, [0, 0, 1, 0, 0])] {
            let mut rig = parked(row);
            rig.mend();
            rig.write(CONTROL, control);
            let registers = [CONTROL, STATUS, TAIL, HEAD, COMPLETED];
            assert_eq!(registers.map(|at| rig.read(at)), after, "{what} {control}");
            for how in [RETRY, RAZ, UR] {
                assert!(!rig.resume(0, how), "{what} {control}");
            }
            assert_eq!(registers.map(|at| rig.read(at)), after, "{what} {control}");
            assert_eq!(rig.written(0), (0, 0, 0), "{what} {control}");
        }
    }
}

#[test]
fn the_ring_waits_for_a_held_dma() {
    for row in &ROWS {
        let what = row.0;
        let mut rig = parked(row);
        rig.mend();
        rig.write(TAIL, 2);
        rig.write(CONTROL, 1);
        // Locked while BUSY.
        rig.write(0x18, 2);
        assert_eq!([STATUS, HEAD, 0x18].map(|at| rig.read(at)), [9, 0, 4], "{what}");
        rig.resume(0, RETRY);
        rig.run_until(1_000_000);
        assert_eq!([STATUS, HEAD, COMPLETED].map(|at| rig.read(at)), [0, 2, 2], "{what}");
    }
}

#[test]
fn a_doorbell_that_is_taken_back_leaves_nothing_to_do() {
    let mut rig = parked(&ROWS[0]);
    rig.write(TAIL, 0);
    assert_eq!(rig.read(STATUS), 9, "the fetch is under way");
    rig.mend();
    assert!(rig.resume(0, UR));
    assert_eq!([CONTROL, STATUS, HEAD].map(|at| rig.read(at)), [1, 0, 0], "nobody wants its result");
}

#[test]
fn latency_is_not_waited_for_twice() {
    let mut rig = Rig::with(1000, 20);
    rig.put(0, [1 | 4 << 32, 0x3000, 0, 0, 0, 0]);
    rig.take_away(0x3000, false);
    rig.write(TAIL, 1);
    rig.run_until(1000);
    assert_eq!(rig.read(STATUS), 9);
    rig.mend();
    rig.resume(0, RETRY);
    assert_eq!([STATUS, HEAD].map(|at| rig.read(at)), [0, 1]);
    // A held fetch has it still to come.
    rig.take_away(RING, false);
    rig.write(TAIL, 2);
    rig.mend();
    rig.resume(1, RETRY);
    assert_eq!([STATUS, HEAD].map(|at| rig.read(at)), [1, 1]);
    rig.run_until(2000);
    assert_eq!([STATUS, HEAD].map(|at| rig.read(at)), [0, 2]);
}

#[test]
fn a_held_message_holds_back_those_of_its_vector_only() {
    let mut rig = Rig::new();
    rig.message(2);
    rig.message(5);
    rig.take_away(DOORBELL & !0xfff, true);
    rig.raise(2);
    rig.raise(2);
    rig.raise(5);
    assert_eq!((rig.stalls(), rig.read(STATUS), rig.read(COMPLETED)), (2, 0, 3), "the ring goes on");
    assert_eq!((rig.read(INTERRUPT_STATUS), rig.read(PENDING)), (1 << 10 | 1 << 13, 1 << 2));
    assert_eq!(rig.messages, []);
    rig.mend();
    // Of another vector, in any order.
    assert!(rig.resume(1, RETRY));
    assert_eq!(rig.messages, [(DOORBELL, 5)]);
    assert_eq!(rig.read(INTERRUPT_STATUS), 1 << 10);
    // The one that was held, then the one that was pending.
    assert!(rig.resume(0, RETRY));
    assert_eq!(rig.messages, [(DOORBELL, 5), (DOORBELL, 2), (DOORBELL, 2)]);
    assert_eq!((rig.read(INTERRUPT_STATUS), rig.read(PENDING)), (0, 0));
    assert!(!rig.resume(0, RETRY));
}

#[test]
fn a_held_message_that_ends_is_lost() {
    for how in [RAZ, UR] {
        let mut rig = Rig::new();
        rig.message(7);
        rig.take_away(DOORBELL & !0xfff, true);
        rig.raise(7);
        rig.mend();
        assert!(rig.resume(0, how));
        assert_eq!((rig.messages.len(), rig.read(INTERRUPT_STATUS), rig.read(PENDING)), (0, 0, 0));
        rig.raise(7);
        assert_eq!(rig.messages, [(DOORBELL, 7)]);
    }
    // RESET does not drop it: it has left the engine.
    let mut rig = Rig::new();
    rig.message(0);
    rig.take_away(DOORBELL & !0xfff, true);
    rig.raise(0);
    rig.mend();
    rig.write(CONTROL, 3);
    assert!(rig.resume(0, RETRY));
    assert_eq!(rig.messages, [(DOORBELL, 0)]);
}

#[test]
fn nine_are_held_at_most() {
    let mut rig = Rig::new();
    (0..8).for_each(|vector| rig.message(vector));
    rig.take_away(DOORBELL & !0xfff, true);
    (0..8).for_each(|vector| rig.raise(vector));
    (0..8).for_each(|vector| rig.raise(vector));
    rig.take_away(RING, false);
    rig.raise(0);
    rig.raise(1);
    assert_eq!((rig.stalls(), rig.read(INTERRUPT_STATUS), rig.read(PENDING)), (9, 0xff00, 0xff));
    rig.mend();
    (0..9).for_each(|number| assert!(rig.resume(number, RETRY), "{number}"));
    assert_eq!((rig.messages.len(), rig.read(INTERRUPT_STATUS), rig.read(PENDING)), (18, 0, 0));
}

#[test]
fn the_trace_says_that_it_was_held_and_how_it_ended() {
    let run = |how| {
        let mut rig = parked(&ROWS[2]);
        rig.mend();
        rig.resume(0, how);
        rig.dma().join("\n")
    };
    expect![[r#"
        dma: stream 0x10000 reads 64 bytes at 0x10000: done
        dma: stream 0x10000 reads 16 bytes at 0x3ff0: done
        dma: stream 0x10000 reads 16 bytes at 0x4000: stalled
        dma: stream 0x10000 reads 16 bytes at 0x4000: aborted (UR)
        dma: stream 0x10000 writes 16 bytes at 0x10030: done"#]]
    .assert_eq(&run(UR));
    expect![[r#"
        dma: stream 0x10000 reads 64 bytes at 0x10000: done
        dma: stream 0x10000 reads 16 bytes at 0x3ff0: done
        dma: stream 0x10000 reads 16 bytes at 0x4000: stalled
        dma: stream 0x10000 reads 16 bytes at 0x4000: done
        dma: stream 0x10000 writes 16 bytes at 0x10030: done"#]]
    .assert_eq(&run(RETRY));
    let mut rig = Rig::new();
    rig.message(3);
    rig.take_away(DOORBELL & !0xfff, true);
    rig.raise(3);
    rig.resume(0, UR);
    expect!["dma: stream 0x10000 writes 4 bytes at 0x200040: aborted (UR)"]
        .assert_eq(rig.dma().last().unwrap());
}
