//! A timer that keeps few events in the machine's queue.
//!
//! Events are never cancelled, so a guest that starts and resets a device in a loop would fill the
//! queue if every start added one. An alarm knows which of its events are still to come, asks for
//! a new one only where none of them comes early enough, and has at most [`Alarm::MAX_QUEUED`].

use serde::{Deserialize, Serialize};

use crate::events::Time;

/// One timer of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    due: Option<Time>,
    /// When events of this alarm will come, earliest first.
    queued: Vec<Time>,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fired {
    /// The alarm is due, and now off.
    Due,
    /// It is not; if there is a time, an event must be scheduled then.
    Early(Option<Time>),
}

impl Alarm {
    /// Beyond this many a new time is served by the earliest event to come, so it may be late.
    const MAX_QUEUED: usize = 8;

    /// Sets the alarm, instead of any earlier setting. If there is a time, an event must be
    /// scheduled then.
    pub(crate) fn set(&mut self, at: Time) -> Option<Time> {
        self.due = Some(at);
        self.request()
    }

    /// Turns the alarm off.
    pub(crate) fn clear(&mut self) {
        self.due = None;
    }

    /// An event of this alarm has come.
    pub(crate) fn fire(&mut self, now: Time) -> Fired {
        if self.queued.first().is_some_and(|first| *first <= now) {
            self.queued.remove(0);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            return Fired::Due;
        }
        Fired::Early(self.request())
    }

    fn request(&mut self) -> Option<Time> {
        let due = self.due?;
        let covered = self.queued.first().is_some_and(|first| *first <= due);
        if covered || self.queued.len() >= Self::MAX_QUEUED {
            return None;
        }
        self.queued.insert(0, due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_event_covers_a_later_time() {
        let mut alarm = Alarm::default();
        assert_eq!(alarm.set(Time(100)), Some(Time(100)));
        assert_eq!(alarm.set(Time(300)), None, "the event at 100 comes first and is moved on then");
        assert_eq!(alarm.fire(Time(100)), Fired::Early(Some(Time(300))));
        assert_eq!(alarm.set(Time(200)), Some(Time(200)));
        assert_eq!(alarm.fire(Time(200)), Fired::Due);
        assert_eq!(alarm.fire(Time(300)), Fired::Early(None), "nothing is due any more");
    }

    #[test]
    fn a_cleared_alarm_ignores_its_events() {
        let mut alarm = Alarm::default();
        alarm.set(Time(5));
        alarm.clear();
        assert_eq!(alarm.fire(Time(5)), Fired::Early(None));
    }

    #[test]
    fn the_number_of_events_to_come_is_bounded() {
        let mut alarm = Alarm::default();
        let asked = (0..1000).filter(|i| alarm.set(Time(2000 - i)).is_some()).count();
        assert_eq!(asked, 8);
        for at in 1993..=1999 {
            // The latest setting was 1001, so the first event that comes serves it, late.
            let expected = if at == 1993 { Fired::Due } else { Fired::Early(None) };
            assert_eq!(alarm.fire(Time(at)), expected, "{at}");
        }
    }
}
