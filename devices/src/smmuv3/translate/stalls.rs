//! Held transactions [SMMUv3 3.12.2].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::addr::StreamId;
use crate::fabric::{Resumption, StallTag};
use crate::iommu::UnitId;
use crate::smmuv3::invalidation::Release;

/// Transactions held at a time, reported or not. Masters hold a handful each; beyond this a fault
/// that should stall terminates.
const HELD_MAX: usize = 0x1_0000;

/// The transactions that a unit holds.
#[derive(Debug)]
pub(super) struct Stalls {
    unit: UnitId,
    /// IDR5.STALL_MAX: how many may have been reported and not answered.
    reported_max: usize,
    state: Mutex<State>,
}

/// The held transactions as data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By the number that their master knows them by.
    held: BTreeMap<u32, Held>,
    /// The number of the next, if it is free.
    next: u32,
    /// The STAG of the next, if it is free.
    next_stag: u16,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    stream: StreamId,
    /// What its record calls it; none where as many as there may be had been reported.
    stag: Option<u16>,
}

/// A transaction is held from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    /// For its master.
    pub tag: StallTag,
    /// For its record; without one there is no record yet.
    pub stag: Option<u16>,
}

impl Stalls {
    pub fn new(unit: UnitId, reported_max: u16) -> Self {
        Self { unit, reported_max: reported_max.into(), state: Mutex::default() }
    }

    /// Holds a transaction; `None` where too many are held already.
    pub fn hold(&self, stream: StreamId) -> Option<Stall> {
        let mut state = self.lock();
        let State { held, next, next_stag } = &mut *state;
        if held.len() >= HELD_MAX {
            return None;
        }
        // There are more numbers than transactions, so both searches end.
        while held.contains_key(next) {
            *next = next.wrapping_add(1);
        }
        // Fewer than STALL_MAX, which is 65,535 at most, leave one free.
        let taken = held.values().filter_map(|held| held.stag);
        let stag = (taken.clone().count() < self.reported_max).then(|| {
            let taken: BTreeSet<_> = taken.collect();
            while taken.contains(next_stag) {
                *next_stag = next_stag.wrapping_add(1);
            }
            let stag = *next_stag;
            *next_stag = stag.wrapping_add(1);
            stag
        });
        let number = *next;
        held.insert(number, Held { stream, stag });
        *next = number.wrapping_add(1);
        Some(Stall { tag: StallTag { unit: self.unit, number }, stag })
    }

    /// Forgets those that `which` means, and, where that leaves a STAG free, all that are unreported: they
    /// are to be retried, and reported if they fault again. All of them, because the master of any may
    /// have dropped it, and the STAG would then be nobody's.
    pub fn release(&self, which: Release, how: Resumption) -> Vec<(StallTag, Resumption)> {
        let mut state = self.lock();
        let meant = |held: &Held| match which {
            Release::One { stream, stag } => held.stream == stream && held.stag == Some(stag),
            Release::Stream(stream) => held.stream == stream,
            Release::All => true,
        };
        let released: Vec<_> = state.held.extract_if(.., |_, held| meant(held)).collect();
        let freed = released.iter().any(|(_, held)| held.stag.is_some());
        let waiting: Vec<_> = state.held.extract_if(.., |_, held| freed && held.stag.is_none()).collect();
        let tag = |number| StallTag { unit: self.unit, number };
        let released = released.into_iter().map(|(number, _)| (tag(number), how));
        released.chain(waiting.into_iter().map(|(number, _)| (tag(number), Resumption::Retry))).collect()
    }

    pub fn save(&self) -> State {
        self.lock().clone()
    }

    /// Continues from what was saved; more than can be held are dropped.
    pub fn restore(&self, state: &State) {
        let State { held, next, next_stag } = state;
        let held = held.iter().take(HELD_MAX - 1).map(|(number, held)| (*number, *held)).collect();
        *self.lock() = State { held, next: *next, next_stag: *next_stag };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fabric::{Abort, Outcome};
    use crate::iommu::UnitKind;

    const END: Resumption = Resumption::End(Outcome::Abort(Abort::Ur));

    fn stalls(reported: u16) -> Stalls {
        Stalls::new(UnitId::only(UnitKind::Smmuv3), reported)
    }

    #[test]
    fn tags_are_unique_until_released() {
        let stalls = stalls(4);
        let held: Vec<_> = (0..4).map(|_| stalls.hold(StreamId(1)).unwrap()).collect();
        let mut stags: Vec<_> = held.iter().map(|stall| stall.stag.unwrap()).collect();
        stags.sort_unstable();
        stags.dedup();
        assert_eq!(stags.len(), 4);
        let one = Release::One { stream: StreamId(1), stag: stags[2] };
        assert_eq!(stalls.release(one, END).len(), 1);
        assert_eq!(stalls.release(one, END), [], "its tag means nothing any more");
    }

    #[test]
    fn a_stag_of_another_stream_is_unknown() {
        let stalls = stalls(4);
        let stag = stalls.hold(StreamId(1)).unwrap().stag.unwrap();
        assert_eq!(stalls.release(Release::One { stream: StreamId(2), stag }, END), []);
    }

    #[test]
    fn what_could_not_be_reported_is_retried_when_a_tag_is_free() {
        let stalls = stalls(1);
        let first = stalls.hold(StreamId(1)).unwrap();
        let second = stalls.hold(StreamId(2)).unwrap();
        assert_eq!((first.stag.is_some(), second.stag), (true, None));
        let released = stalls.release(Release::Stream(StreamId(1)), END);
        assert_eq!(released, [(first.tag, END), (second.tag, Resumption::Retry)]);
        assert!(stalls.hold(StreamId(2)).unwrap().stag.is_some());
    }

    #[test]
    fn a_transaction_that_its_master_dropped_keeps_no_other_from_being_reported() {
        let stalls = stalls(1);
        let reported = stalls.hold(StreamId(1)).unwrap();
        // Nobody will answer for the first of these.
        let [dropped, other] = [2, 3].map(|stream| stalls.hold(StreamId(stream)).unwrap());
        let one = Release::One { stream: StreamId(1), stag: reported.stag.unwrap() };
        let retried = [dropped.tag, other.tag].map(|tag| (tag, Resumption::Retry));
        assert_eq!(stalls.release(one, END), [&[(reported.tag, END)], &retried[..]].concat());
        assert!(stalls.hold(StreamId(3)).unwrap().stag.is_some());
        // An unreported one frees nothing.
        let [first, second] = [4, 5].map(|stream| stalls.hold(StreamId(stream)).unwrap());
        assert_eq!(stalls.release(Release::Stream(StreamId(4)), END), [(first.tag, END)]);
        assert_eq!(stalls.release(Release::Stream(StreamId(5)), END), [(second.tag, END)]);
    }

    #[test]
    fn a_hostile_state_does_not_hang() {
        let stalls = stalls(u16::MAX);
        let held = (0..0x2_0000).map(|number| {
            // Every STAG there is.
            (number, Held { stream: StreamId(0), stag: Some(number as u16) })
        });
        stalls.restore(&State { held: held.collect(), next: 0, next_stag: 0 });
        assert_eq!(stalls.hold(StreamId(0)).unwrap().stag, None);
        assert_eq!(stalls.hold(StreamId(0)), None);
        assert_eq!(stalls.release(Release::All, END).len(), HELD_MAX);
    }
}
