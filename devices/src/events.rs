//! Machine time and the queue of what is due when.
//!
//! There is one queue per machine. Its entries are data, ordered by (time, sequence), so a run is
//! repeatable and a snapshot can hold them. Nothing is ever cancelled: a device that no longer
//! expects an event ignores it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Machine time in nanoseconds since reset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// The last representable instant, about 584 years after reset.
    pub const MAX: Self = Self(u64::MAX);

    /// This time and `ns` nanoseconds, or [`Self::MAX`].
    #[must_use]
    pub const fn after(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} us", self.0 / 1000, self.0 % 1000)
    }
}

/// Whom an event is for: a number the machine gives each model that it owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub u32);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DeviceEvent {
    /// Continue work that was cut off at the bound of one step.
    Work,
    /// A timer; the number means something only to the device that asked for it.
    Timer(u32),
}

/// One entry of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scheduled {
    /// When it is due.
    pub time: Time,
    /// Order among equals, given by the queue.
    pub sequence: u64,
    /// Whom to tell.
    pub device: DeviceId,
    /// What to tell.
    pub event: DeviceEvent,
}

/// The queue of all events of one machine.
#[derive(Debug, Default)]
pub struct EventQueue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
}

/// A saved [`EventQueue`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    entries: Vec<Scheduled>,
    sequence: u64,
}

impl EventQueue {
    /// Adds an event. Events of the same time are delivered in the order they were added.
    pub fn push(&mut self, time: Time, device: DeviceId, event: DeviceEvent) {
        self.heap.push(Reverse(Scheduled { time, sequence: self.sequence, device, event }));
        self.sequence += 1;
    }

    /// When the next event is due.
    pub fn next_time(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse(entry)| entry.time)
    }

    /// Removes and returns the next event if it is due at `now` or before.
    pub fn pop_due(&mut self, now: Time) -> Option<Scheduled> {
        if self.next_time()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Number of events waiting.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The queue as data, entries in order of delivery.
    pub fn save(&self) -> State {
        let Self { heap, sequence } = self;
        let mut entries: Vec<_> = heap.iter().map(|Reverse(entry)| *entry).collect();
        entries.sort_unstable();
        State { entries, sequence: *sequence }
    }

    /// Replaces the contents by what was saved. Entries that claim a sequence number which was not
    /// given out yet come last.
    pub fn restore(&mut self, state: State) {
        let State { entries, sequence } = state;
        self.heap = entries.into_iter().map(Reverse).collect();
        // A machine gives out far fewer; more are a damaged state.
        self.sequence = sequence.min(u64::MAX / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_sequence_does_not_overflow() {
        let mut queue = EventQueue::default();
        queue.restore(State { entries: Vec::new(), sequence: u64::MAX });
        for device in 0..2 {
            queue.push(Time(1), DeviceId(device), DeviceEvent::Work);
        }
        assert_eq!(queue.pop_due(Time(1)).unwrap().device, DeviceId(0));
    }

    #[test]
    fn due_events_come_by_time_then_by_order_of_arrival_even_after_a_restore() {
        let mut queue = EventQueue::default();
        for (time, device) in [(20, 1), (10, 2), (20, 3), (10, 4)] {
            queue.push(Time(time), DeviceId(device), DeviceEvent::Work);
        }
        let state = queue.save();
        let mut restored = EventQueue::default();
        restored.restore(state.clone());
        for queue in [&mut queue, &mut restored] {
            let early: Vec<_> = std::iter::from_fn(|| queue.pop_due(Time(19))).map(|e| e.device.0).collect();
            assert_eq!(early, [2, 4]);
            assert_eq!(queue.next_time(), Some(Time(20)));
            let late: Vec<_> = std::iter::from_fn(|| queue.pop_due(Time::MAX)).map(|e| e.device.0).collect();
            assert_eq!(late, [1, 3]);
        }
        assert_eq!(serde_json::from_str::<State>(&serde_json::to_string(&state).unwrap()).unwrap(), state);
    }
}
