//! Held transactions: their records, and how they end.

use super::*;
use crate::fabric::{Abort, Outcome};

const ABORTED: Resumption = Resumption::End(Outcome::Abort(Abort::Ur));
/// CMD_SYNC, and CMD_TLBI_NSNH_ALL before it.
const SYNC: [u64; 2] = [0x46, 0];
const FLUSH: [u64; 2] = [0x30, 0];

/// Words 0 and 1 of the record of stream 7 under `stag`.
fn stalled(stag: u64) -> [u64; 4] {
    [0x7_0000_0010, 0x208_8000_0000 | stag, 0x1_2345_6789, 0]
}

/// The queue is full of four records.
fn full() -> Rig {
    let mut rig = Rig::running(config());
    for _ in 0..4 {
        rig.report(fault());
    }
    rig
}

#[test]
fn a_recorded_stall_ends_as_software_says() {
    for (command, expected) in [
        ([7 << 32 | 0x1044, 9], vec![(100, Resumption::Retry)]),
        ([7 << 32 | 0x2044, 9], vec![(100, ABORTED)]),
        ([7 << 32 | 0x0044, 9], vec![(100, Resumption::End(Outcome::Raz))]),
        ([7 << 32 | 0x45, 0], vec![(100, ABORTED)]),
        // Unknown ones have no effect, and are no error.
        ([7 << 32 | 0x1044, 8], vec![]),
        ([8 << 32 | 0x1044, 9], vec![]),
        ([8 << 32 | 0x45, 0], vec![]),
    ] {
        let mut rig = Rig::running(config());
        rig.hold(100, 9);
        assert_eq!((rig.record(0), rig.r32(EVENTQ_PROD)), (stalled(9), 1));
        // Invalidations leave a recorded one alone.
        rig.submit(&[FLUSH, SYNC]);
        assert_eq!(rig.resumed, []);
        rig.submit(&[command]);
        assert_eq!((rig.resumed.clone(), rig.r32(GERROR)), (expected.clone(), 0), "{command:#x?}");
        // A STAG is good once.
        rig.submit(&[command]);
        assert_eq!(rig.resumed, expected, "{command:#x?}");
    }
}

#[test]
fn the_record_of_a_stall_waits_for_room() {
    let mut rig = full();
    rig.hold(100, 1);
    rig.hold(101, 2);
    assert_eq!((rig.r32(EVENTQ_PROD), rig.fate()), (4, "waiting for the queue"));
    assert_eq!(rig.r32(EVENTQ_PROD), 4, "and is no overflow");
    rig.w32(EVENTQ_CONS, 1);
    assert_eq!((rig.r32(EVENTQ_PROD), rig.record(0)), (5, stalled(1)));
    rig.hold(102, 3);
    rig.w32(EVENTQ_CONS, 4);
    assert_eq!((rig.r32(EVENTQ_PROD), rig.record(1), rig.record(2)), (7, stalled(2), stalled(3)), "in order");
    assert_eq!(rig.resumed, []);
}

#[test]
fn records_wait_until_the_queue_can_be_written() {
    // Off.
    let mut rig = Rig::running(config());
    rig.w32(CR0, SMMUEN | CMDQEN);
    rig.hold(100, 1);
    assert_eq!(rig.r32(EVENTQ_PROD), 0);
    rig.w32(CR0, SMMUEN | CMDQEN | EVENTQEN);
    assert_eq!((rig.r32(EVENTQ_PROD), rig.record(0), rig.pulses.clone()), (1, stalled(1), vec![74]));
    // A write that was aborted: the record of the held transaction is not lost with it.
    let mut rig = Rig::new(config());
    rig.w64(EVENTQ_BASE, 0x10_0000 | EVENTS_LOG2);
    rig.w32(CR0, SMMUEN | EVENTQEN);
    rig.hold(100, 1);
    assert_eq!((rig.r32(EVENTQ_PROD), rig.r32(GERROR)), (0, 4));
    rig.w32(CR0, SMMUEN);
    rig.w64(EVENTQ_BASE, EVENTS | EVENTS_LOG2);
    rig.w32(CR0, SMMUEN | EVENTQEN);
    assert_eq!(rig.r32(EVENTQ_PROD), 0);
    rig.w32(GERRORN, 4);
    assert_eq!((rig.r32(EVENTQ_PROD), rig.record(0)), (1, stalled(1)));
}

#[test]
fn an_unwritten_stall_is_retried_when_an_invalidation_is_complete() {
    // CMD_TLBI_NSNH_ALL, CMD_CFGI_STE of another stream.
    for invalidation in [FLUSH, [0x99_0000_0003, 0]] {
        let mut rig = full();
        rig.hold(100, 1);
        rig.submit(&[SYNC]);
        assert_eq!(rig.resumed, [], "nothing was invalidated");
        rig.submit(&[invalidation]);
        assert_eq!(rig.resumed, [], "not complete");
        // This one came after.
        rig.hold(101, 2);
        rig.submit(&[SYNC]);
        assert_eq!(rig.resumed, [(100, Resumption::Retry)]);
        // The stale record never appears, the other does.
        rig.w32(EVENTQ_CONS, 4);
        assert_eq!((rig.r32(EVENTQ_PROD), rig.record(0)), (5, stalled(2)));
        rig.submit(&[SYNC]);
        assert_eq!(rig.resumed.len(), 1);
    }
    // Written between the two commands: software knows of it, so it stays.
    let mut rig = full();
    rig.hold(100, 1);
    rig.hold(101, 2);
    rig.submit(&[FLUSH]);
    rig.w32(EVENTQ_CONS, 1);
    rig.submit(&[SYNC]);
    assert_eq!((rig.resumed.clone(), rig.record(0)), (vec![(101, Resumption::Retry)], stalled(1)));
    // And one that came after it has not taken its place.
    let mut rig = full();
    rig.hold(100, 1);
    rig.submit(&[FLUSH]);
    rig.w32(EVENTQ_CONS, 1);
    rig.hold(101, 2);
    rig.submit(&[SYNC]);
    assert_eq!(rig.resumed, []);
}

#[test]
fn a_released_stall_leaves_no_record() {
    // (command, transactions resumed, records left)
    for (command, resumed, left) in [
        // Software cannot know the tag, but may guess it.
        ([7 << 32 | 0x1044, 1], vec![(100, Resumption::Retry)], 1),
        ([7 << 32 | 0x45, 0], vec![(100, ABORTED), (101, ABORTED)], 0),
        ([7 << 32 | 0x1044, 3], vec![], 2),
        ([8 << 32 | 0x45, 0], vec![], 2),
    ] {
        let mut rig = full();
        rig.hold(100, 1);
        rig.hold(101, 2);
        rig.submit(&[FLUSH, command]);
        assert_eq!(rig.resumed, resumed, "{command:#x?}");
        rig.w32(EVENTQ_CONS, 4);
        assert_eq!(rig.r32(EVENTQ_PROD), 4 + left, "{command:#x?}");
        // What was invalidated before is what is retried.
        rig.submit(&[SYNC]);
        assert_eq!(rig.resumed, resumed);
    }
}

#[test]
fn the_count_of_outdated_records_follows_those_that_leave() {
    let mut rig = full();
    rig.hold(100, 1);
    rig.hold(101, 2);
    rig.submit(&[FLUSH]);
    rig.hold(102, 3);
    // The first leaves; of the two left, the second came after the invalidation.
    rig.submit(&[[7 << 32 | 0x1044, 1], SYNC]);
    assert_eq!(rig.resumed, [(100, Resumption::Retry), (101, Resumption::Retry)]);
    rig.w32(EVENTQ_CONS, 4);
    assert_eq!((rig.r32(EVENTQ_PROD), rig.record(0)), (5, stalled(3)));
}

#[test]
fn translation_off_ends_all_and_records_none() {
    let mut rig = full();
    rig.hold(100, 1);
    rig.hold(101, 2);
    rig.calls();
    rig.w32(CR0, EVENTQEN | CMDQEN);
    assert_eq!(rig.resumed, [(100, ABORTED), (101, ABORTED)]);
    let calls = rig.calls();
    assert!(matches!(
        calls[..],
        [Call::Global(Global { enabled: false, .. }), Call::Release(Release::All, _)]
    ));
    rig.w32(EVENTQ_CONS, 4);
    assert_eq!(rig.r32(EVENTQ_PROD), 4);
    // What was on its way is not recorded either.
    rig.report(Report { stall: Some(3), ..fault() });
    rig.w32(CR0, SMMUEN | EVENTQEN | CMDQEN);
    assert_eq!(rig.r32(EVENTQ_PROD), 4);
}

#[test]
fn a_long_wait_is_written_in_steps() {
    let mut rig = Rig::new(Config {
        idr1: Idr1::from_raw(IDR1 & !0x1f_0000 | 10 << 16),
        idr5: Idr5::from_raw(0xffff_0074),
        ..config()
    });
    rig.w64(EVENTQ_BASE, EVENTS | 10);
    rig.w32(CR0, SMMUEN);
    for stag in 0..600 {
        rig.report(Report { stall: Some(stag), ..fault() });
    }
    rig.control.write(CR0, &(SMMUEN | EVENTQEN).to_le_bytes(), &mut rig.fx);
    assert_eq!((rig.r32(EVENTQ_PROD), rig.fx.take().len()), (256, 1));
    // A late one waits its turn.
    rig.report(Report { stall: Some(600), ..fault() });
    assert_eq!(rig.r32(EVENTQ_PROD), 256);
    rig.control.event(crate::events::DeviceEvent::Work, &mut rig.fx);
    rig.deliver();
    assert_eq!((rig.r32(EVENTQ_PROD), rig.record(599), rig.record(600)), (601, stalled(599), stalled(600)));
}
