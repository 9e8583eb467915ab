//! Transactions that are held, by masters that can be.

use super::*;
use crate::iommu::{UnitId, UnitKind};

const VA: u64 = 0x1000;
const ABORTED: Resumption = Resumption::End(UR);
/// Bit 95.
const STALL: u64 = 1 << 31;

/// A stream whose faults stall, and its tables.
fn stalling(config: Config) -> (Rig, u64) {
    let mut rig = Rig::of(config);
    let root = rig.stage1();
    rig.store(CONTEXTS, &[CD | CD_S | 7 << 48]);
    (rig, root)
}

fn full() -> Config {
    config("smmuv3.3-full")
}

/// Has a transaction of a stream held.
#[track_caller]
fn hold(rig: &mut Rig, stream: u32, address: u64) -> StallTag {
    let port = rig.platform(stream);
    match rig.read_by(&port, Request::at(address)) {
        Err(Outcome::Stalled(tag)) => tag,
        other => panic!("{other:?}"),
    }
}

/// The STAG of the oldest record, which is of a held transaction.
#[track_caller]
fn stag(rig: &mut Rig) -> u64 {
    let words = rig.event().unwrap();
    assert_ne!(words[1] & STALL, 0);
    words[1] & 0xffff
}

fn released(rig: &mut Rig) -> Vec<(StallTag, Resumption)> {
    std::mem::take(&mut rig.resumed)
}

/// CMD_RESUME: Ac is bit 12, Ab bit 13.
const RETRY: u64 = 0x44 | 1 << 12;
const TERMINATE_ABORT: u64 = 0x44 | 1 << 13;
const TERMINATE_RAZ: u64 = 0x44;

#[test]
fn a_held_transaction_is_recorded_and_goes_on_as_software_says() {
    for (command, how) in [
        (RETRY, Resumption::Retry),
        (RETRY | 1 << 13, Resumption::Retry),
        (TERMINATE_ABORT, ABORTED),
        (TERMINATE_RAZ, Resumption::End(Outcome::Raz)),
    ] {
        let (mut rig, root) = stalling(full());
        let tag = hold(&mut rig, STREAM, VA);
        assert_eq!(tag, StallTag { unit: UnitId::only(UnitKind::Smmuv3), number: 0 });
        assert_eq!(rig.event(), Some([0x10 | SID, RNW | CLASS_IN | STALL, VA, 0]));
        assert_eq!(rig.event(), None);
        rig.map(root, VA, DATA | PAGE);
        rig.commands(&[[command | SID, 0]]);
        assert_eq!(released(&mut rig), [(tag, how)]);
        // The tag is free, and an answer to nobody does nothing.
        rig.commands(&[[command | SID, 0]]);
        assert_eq!(released(&mut rig), []);
        let port = rig.platform(STREAM);
        assert_eq!(rig.read_by(&port, Request::at(VA)), Ok(DATA));
    }
}

#[test]
fn a_retry_may_fault_again() {
    let (mut rig, _) = stalling(full());
    let first = hold(&mut rig, STREAM, VA);
    let stag_of_first = stag(&mut rig);
    rig.commands(&[[RETRY | SID, stag_of_first]]);
    assert_eq!(released(&mut rig), [(first, Resumption::Retry)]);
    hold(&mut rig, STREAM, VA);
    stag(&mut rig);
}

#[test]
fn an_answer_names_stream_and_stag() {
    let (mut rig, _) = stalling(full());
    let tags = [VA, VA + 0x1000].map(|at| hold(&mut rig, STREAM, at));
    let stags = [stag(&mut rig), stag(&mut rig)];
    assert_ne!(stags[0], stags[1]);
    rig.commands(&[[RETRY | 0x119 << 32, stags[0]], [RETRY | SID, 77]]);
    assert_eq!(released(&mut rig), []);
    rig.commands(&[[TERMINATE_ABORT | SID, stags[1]]]);
    assert_eq!(released(&mut rig), [(tags[1], ABORTED)]);
    rig.commands(&[[RETRY | SID, stags[0]]]);
    assert_eq!(released(&mut rig), [(tags[0], Resumption::Retry)]);
}

#[test]
fn stall_term_ends_all_of_a_stream() {
    let (mut rig, _) = stalling(full());
    rig.ste(STREAM + 1, &[STAGE1 | CONTEXTS]);
    let tags = [STREAM, STREAM + 1, STREAM].map(|stream| hold(&mut rig, stream, VA));
    rig.commands(&[[0x45 | SID, 0]]);
    assert_eq!(released(&mut rig), [(tags[0], ABORTED), (tags[2], ABORTED)]);
    rig.commands(&[[0x45 | 0x119 << 32, 0]]);
    assert_eq!(released(&mut rig), [(tags[1], ABORTED)]);
}

#[test]
fn switching_translation_off_ends_all() {
    let (mut rig, _) = stalling(full());
    let tags = [hold(&mut rig, STREAM, VA), hold(&mut rig, STREAM, VA)];
    let records = [stag(&mut rig), stag(&mut rig)];
    assert_ne!(records[0], records[1]);
    rig.set_register(0x20, 0xc);
    assert_eq!(released(&mut rig), tags.map(|tag| (tag, ABORTED)));
    assert_eq!(rig.event(), None);
    rig.set_register(0x20, 0xd);
    rig.commands(&[[RETRY | SID, records[0]]]);
    assert_eq!(released(&mut rig), []);
}

#[test]
fn no_more_are_reported_than_stall_max() {
    let base = full();
    let (mut rig, root) = stalling(Config { idr5: base.idr5.with_stall_max(2), ..base });
    let tags = [0, 1, 2, 3].map(|page| hold(&mut rig, STREAM, VA + page * 0x1000));
    let first = stag(&mut rig);
    stag(&mut rig);
    assert_eq!(rig.event(), None, "held without a word");
    rig.map(root, VA + 0x2000, DATA | PAGE);
    rig.commands(&[[TERMINATE_RAZ | SID, first]]);
    // All that wait may try again: the first of them may not need the STAG that is free.
    let [ended, _, third, fourth] = tags;
    let retried = [third, fourth].map(|tag| (tag, Resumption::Retry));
    assert_eq!(released(&mut rig), [&[(ended, Resumption::End(Outcome::Raz))], &retried[..]].concat());
    let port = rig.platform(STREAM);
    assert_eq!(rig.read_by(&port, Request::at(VA + 0x2000)), Ok(DATA));
    hold(&mut rig, STREAM, VA + 0x3000);
    stag(&mut rig);
    rig.commands(&[[0x45 | SID, 0]]);
    assert_eq!(released(&mut rig).len(), 2);
}

#[test]
fn masters_that_cannot_be_held_are_aborted() {
    let (mut rig, _) = stalling(full());
    let record = [0x10 | SID, RNW | CLASS_IN, VA, 0];
    assert_eq!((rig.read(VA), rig.event()), (Err(UR), Some(record)));
    let initiator = Initiator::Platform { stream: StreamId(STREAM), can_stall: false };
    let mut port = DmaPort::of(initiator, rig.mem.clone(), rig.unit.translator());
    port.set_enabled(true);
    assert_eq!((rig.read_by(&port, Request::at(VA)), rig.event()), (Err(UR), Some(record)));
    rig.commands(&[[0x45 | SID, 0]]);
    assert_eq!(released(&mut rig), []);
}

#[test]
fn stage_2_holds_too() {
    let mut rig = Rig::new();
    let root = rig.stage2();
    // S2S.
    rig.ste(STREAM, &[STAGE2, 0, s2_config(9) | 1 << 57, root]);
    let tag = hold(&mut rig, STREAM, VA);
    assert_eq!(rig.event(), Some([0x10 | SID, RNW | S2 | CLASS_IN | STALL, VA, VA]));
    rig.map(root, VA, DATA | S2_PAGE);
    rig.commands(&[[RETRY | SID, 0]]);
    assert_eq!(released(&mut rig), [(tag, Resumption::Retry)]);
}

/// Fills the event queue with records of a function.
fn fill(rig: &mut Rig) {
    for _ in 0..128 {
        assert_eq!(rig.read(VA + 0x8000), Err(UR));
    }
}

#[test]
fn a_record_waits_for_room() {
    let (mut rig, _) = stalling(full());
    fill(&mut rig);
    hold(&mut rig, STREAM, VA);
    assert_eq!(rig.register(0x1_00a8) >> 31, 0, "no overflow");
    // Consuming one makes room.
    for _ in 0..128 {
        assert_eq!(rig.event().unwrap()[1] & STALL, 0);
    }
    stag(&mut rig);
    assert_eq!(rig.event(), None);
}

#[test]
fn a_waiting_record_does_not_outlive_an_invalidation() {
    let (mut rig, root) = stalling(full());
    fill(&mut rig);
    let tag = hold(&mut rig, STREAM, VA);
    rig.map(root, VA, DATA | PAGE);
    rig.commands(&[[0x12 | 7 << 48, VA]]);
    assert_eq!(released(&mut rig), [(tag, Resumption::Retry)]);
    let records = std::iter::from_fn(|| rig.event()).filter(|words| words[1] & STALL != 0);
    assert_eq!(records.count(), 0);
    let port = rig.platform(STREAM);
    assert_eq!(rig.read_by(&port, Request::at(VA)), Ok(DATA));
}

#[test]
fn an_invalidation_leaves_what_is_recorded() {
    let (mut rig, _) = stalling(full());
    let tag = hold(&mut rig, STREAM, VA);
    let stag = stag(&mut rig);
    rig.commands(&[[0x30, 0], [0x04, 31]]);
    assert_eq!(released(&mut rig), []);
    rig.commands(&[[RETRY | SID, stag]]);
    assert_eq!(released(&mut rig), [(tag, Resumption::Retry)]);
}

#[test]
fn held_transactions_outlive_their_unit() {
    let base = full();
    let two = Config { idr5: base.idr5.with_stall_max(2), ..base };
    let (mut rig, _) = stalling(two.clone());
    let tags = [0, 1, 2].map(|page| hold(&mut rig, STREAM, VA + page * 0x1000));
    let first = stag(&mut rig);
    rig.reborn(two);
    rig.commands(&[[RETRY | SID, first]]);
    assert_eq!(released(&mut rig), [(tags[0], Resumption::Retry), (tags[2], Resumption::Retry)]);
    let next = hold(&mut rig, STREAM, VA);
    assert_ne!(next, tags[1]);
    let stags = [stag(&mut rig), stag(&mut rig)];
    assert_ne!(stags[0], stags[1]);
}
