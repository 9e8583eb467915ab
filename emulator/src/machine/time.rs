//! Time: what is due is run, in order, and time always gets on.

use devices::events::{Scheduled, Time};

use super::{Machine, Remapper};

/// Events that one call of [`Machine::advance`] runs at most.
const EVENTS_PER_CALL: u32 = 1 << 16;
/// Events that run at one instant; what is due after them runs late.
const EVENTS_PER_INSTANT: u32 = 1 << 10;
/// How late, in nanoseconds.
const LATE: u64 = 1000;

impl Machine {
    /// Machine time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// When the next event is due; a time in the past for one that is late.
    pub fn next_event(&self) -> Option<Time> {
        self.events.next_time()
    }

    /// Lets time pass until `until`, running every event due on the way at its time, and returns
    /// the time reached. Time never runs backwards.
    ///
    /// A model that keeps asking to be called "now" delays its calls, not the machine: after 1024
    /// events at one instant the next ones run up to 1 us late. Where 65536 events were not enough
    /// the time reached is earlier than `until`, and another call continues.
    pub fn advance(&mut self, until: Time) -> Time {
        let mut at_this_instant = 0;
        for _ in 0..EVENTS_PER_CALL {
            let Some(due) = self.next_event().filter(|due| *due <= until) else {
                self.now = self.now.max(until);
                break;
            };
            if due > self.now {
                (self.now, at_this_instant) = (due, 0);
            } else if at_this_instant == EVENTS_PER_INSTANT {
                if self.now >= until {
                    break;
                }
                (self.now, at_this_instant) = (self.now.after(LATE).min(until), 0);
            }
            at_this_instant += 1;
            if let Some(entry) = self.events.pop_due(until) {
                self.dispatch(entry);
            }
        }
        self.now
    }

    fn dispatch(&mut self, entry: Scheduled) {
        let mut fx = self.effects();
        let Scheduled { device, event, .. } = entry;
        fx.set_device(device);
        match self.units.iter_mut().find(|remapper| remapper.device == device) {
            Some(Remapper { unit, .. }) => {
                unit.event(event, &mut fx);
                self.board.unit_changed();
            }
            None if self.board.event(device, event, &mut fx) => {}
            None if self.platform.event(device, event, &mut fx) => {}
            None => self.pci.event(device, event, &mut fx),
        }
        self.deliver(fx);
    }
}
