//! The event queue: what is recorded, overflow, aborted writes.

use super::*;

fn other(reason: Reason) -> Report {
    Report { reason, ..fault() }
}

#[test]
fn what_is_not_wanted_is_not_recorded() {
    let ste = Reason::SteFetch(Pa(0x1000));
    // (CR2, CR0, event, recorded)
    for (cr2, cr0, reason, recorded) in [
        (0, SMMUEN | EVENTQEN, Reason::BadStreamId, false),
        (2, SMMUEN | EVENTQEN, Reason::BadStreamId, true),
        (2, EVENTQEN, Reason::BadStreamId, false),
        (0, SMMUEN | EVENTQEN, ste, true),
        (0, EVENTQEN, ste, false),
        (0, EVENTQEN, fault().reason, false),
        // These two may appear with translation off.
        (0, EVENTQEN, Reason::UnsupportedTransaction, true),
        (0, EVENTQEN, Reason::TranslationForbidden, true),
        (0, SMMUEN, ste, false),
        (0, SMMUEN | CMDQEN, Reason::UnsupportedTransaction, false),
    ] {
        let mut rig = Rig::running(config());
        rig.w32(CR0, 0);
        rig.w32(CR2, cr2);
        rig.w32(CR0, cr0);
        rig.report(other(reason));
        let expected = (u32::from(recorded), 0);
        assert_eq!((rig.r32(EVENTQ_PROD), rig.r32(GERROR)), expected, "{reason:?}, {cr2:#x} {cr0:#x}");
    }
}

#[test]
fn a_full_queue_loses_records_and_says_so_once() {
    let mut rig = Rig::running(config());
    for n in 1..=4 {
        rig.report(fault());
        assert_eq!(rig.r32(EVENTQ_PROD), n);
    }
    let first = rig.record(0);
    rig.report(other(Reason::BadCd));
    assert_eq!((rig.r32(EVENTQ_PROD), rig.fate()), (0x8000_0004, "lost to overflow"));
    rig.report(other(Reason::BadCd));
    assert_eq!((rig.r32(EVENTQ_PROD), rig.record(0)), (0x8000_0004, first));
    // Room again, overflow not acknowledged: recording goes on.
    rig.w32(EVENTQ_CONS, 2);
    rig.report(other(Reason::BadCd));
    assert_eq!((rig.r32(EVENTQ_PROD), rig.record(0)[0] & 0xff), (0x8000_0005, 0x0a));
    rig.report(fault());
    rig.report(fault());
    assert_eq!(rig.r32(EVENTQ_PROD), 0x8000_0006, "told already");
    // Acknowledged: the next loss toggles it back.
    rig.w32(EVENTQ_CONS, 0x8000_0002);
    rig.report(fault());
    assert_eq!((rig.r32(EVENTQ_PROD), rig.r32(EVENTQ_CONS)), (0x6, 0x8000_0002));
    assert_eq!(rig.r32(GERROR), 0);
}

#[test]
fn what_a_full_queue_says_already_is_merged_and_not_lost() {
    let merged = "merged with the record before it";
    let lost = "lost to overflow";
    let at = |address| Report { subject: Subject { address: Iova(address), ..fault().subject }, ..fault() };
    let merge = |report| Report { merge: true, ..report };
    for (report, expected) in [
        (merge(fault()), merged),
        // Another offset in the page, another page, another kind, STE.MEV = 0.
        (merge(at(0x1_2345_6000)), merged),
        (merge(at(0x1_2345_5789)), lost),
        (merge(other(Reason::BadCd)), lost),
        (fault(), lost),
    ] {
        let mut rig = Rig::running(config());
        // While there is room nothing is merged.
        for n in 1..=4 {
            rig.report(merge(fault()));
            assert_eq!(rig.r32(EVENTQ_PROD), n);
        }
        let newest = rig.record(3);
        rig.report(report);
        assert_eq!((rig.fate(), rig.record(3)), (expected, newest), "{report:?}");
        let overflow = if expected == lost { 0x8000_0000 } else { 0 };
        assert_eq!((rig.r32(EVENTQ_PROD), rig.r32(GERROR)), (overflow | 4, 0), "{report:?}");
    }
    // The newest one is of a held transaction; software wrote over it; the indexes cannot be right.
    let mut rig = Rig::running(config());
    (0..3).for_each(|_| rig.report(fault()));
    rig.hold(100, 1);
    rig.report(merge(fault()));
    assert_eq!(rig.fate(), lost);
    let mut rig = Rig::running(config());
    (0..4).for_each(|_| rig.report(fault()));
    rig.set(EVENTS + 3 * 32, 0);
    rig.report(merge(fault()));
    assert_eq!(rig.fate(), lost);
    let mut rig = Rig::running(config());
    rig.report(fault());
    rig.w32(EVENTQ_CONS, 2);
    rig.report(merge(fault()));
    assert_eq!(rig.fate(), lost);
}

#[test]
fn the_queue_wraps_and_indexes_have_no_other_bits() {
    let mut rig = Rig::running(config());
    rig.w32(CR0, 0);
    rig.w32(EVENTQ_PROD, 0xf_fff8);
    rig.w32(EVENTQ_CONS, 0x7_0000);
    rig.w32(CR0, SMMUEN | EVENTQEN);
    for n in 0..40u32 {
        rig.report(fault());
        assert_eq!(rig.r32(EVENTQ_PROD), (n + 1) % 8, "{n}");
        assert_eq!(rig.record(u64::from(n % 4)), [0x7_0000_0010, 0x208_0000_0000, 0x1_2345_6789, 0]);
        rig.mem.write(Pa(EVENTS), &[0; 128]).unwrap();
        rig.w32(EVENTQ_CONS, ((n + 1) % 8) | 0x7_0000);
    }
}

#[test]
fn inconsistent_indexes_are_a_full_queue() {
    let mut rig = Rig::running(config());
    for cons in [1, 2, 3] {
        rig.w32(EVENTQ_CONS, cons);
        rig.report(fault());
        assert_eq!(rig.r32(EVENTQ_PROD) & 0xfffff, 0, "{cons}");
    }
    assert_eq!(rig.r32(EVENTQ_PROD), 0x8000_0000);
}

#[test]
fn a_queue_that_is_off_loses_records_without_a_word() {
    let mut rig = Rig::running(config());
    rig.report(fault());
    rig.w32(CR0, SMMUEN);
    for _ in 0..8 {
        rig.report(fault());
    }
    assert_eq!((rig.r32(EVENTQ_PROD), rig.fate()), (1, "lost: the queue is off"));
    rig.w32(CR0, SMMUEN | EVENTQEN);
    rig.report(fault());
    assert_eq!(rig.r32(EVENTQ_PROD), 2);
}

#[test]
fn a_record_that_cannot_be_written_stops_the_queue() {
    let mut rig = Rig::new(config());
    // Memory ends where this queue begins.
    rig.w64(EVENTQ_BASE, 0x10_0000 | EVENTS_LOG2);
    rig.w32(IRQ_CTRL, 5);
    rig.w32(CR0, SMMUEN | EVENTQEN);
    rig.report(fault());
    assert_eq!((rig.r32(EVENTQ_PROD), rig.r32(GERROR), rig.pulses.clone()), (0, 4, vec![77]));
    assert_eq!(rig.fate(), "lost: the write was aborted");
    rig.report(fault());
    assert_eq!((rig.r32(GERROR), rig.fate()), (4, "lost after a write that was aborted"));
    // Mended and acknowledged.
    rig.w32(CR0, SMMUEN);
    rig.w64(EVENTQ_BASE, EVENTS | EVENTS_LOG2);
    rig.w32(CR0, SMMUEN | EVENTQEN);
    rig.report(fault());
    assert_eq!(rig.r32(EVENTQ_PROD), 0, "not acknowledged yet");
    rig.w32(GERRORN, 4);
    rig.report(fault());
    assert_eq!((rig.r32(EVENTQ_PROD), rig.r32(GERROR), rig.pulses.clone()), (1, 4, vec![77, 74]));
}

#[test]
fn every_size_works_and_none_is_larger_than_reported() {
    // IDR1.EVENTQS is 7.
    for log2 in 0..=31u64 {
        let entries = 1u32 << log2.min(7);
        let mut rig = Rig::new(config());
        rig.w64(EVENTQ_BASE, EVENTS | log2);
        rig.w32(CR0, SMMUEN | EVENTQEN);
        for _ in 0..=entries {
            rig.report(fault());
        }
        assert_eq!(rig.r32(EVENTQ_PROD), 0x8000_0000 | entries, "{log2}");
        assert_eq!(rig.get(EVENTS + u64::from(entries) * 32), 0, "{log2}");
        assert_ne!(rig.get(EVENTS + u64::from(entries - 1) * 32), 0, "{log2}");
    }
}
