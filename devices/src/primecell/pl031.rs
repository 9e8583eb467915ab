//! PL031 real-time clock [DDI 0224].
//!
//! | offset | register | |
//! |---|---|---|
//! | 0x00 | RTCDR | RO, seconds |
//! | 0x04 | RTCMR | match: RTCDR becoming equal to it is the interrupt |
//! | 0x08 | RTCLR | load: a write sets RTCDR |
//! | 0x0c | RTCCR | bit 0: the clock runs; once set it stays |
//! | 0x10 | RTCIMSC | bit 0: the interrupt is passed on |
//! | 0x14, 0x18 | RTCRIS, RTCMIS | RO, the interrupt before and after that |
//! | 0x1c | RTCICR | WO, a 1 clears it |
//!
//! Seconds are those of machine time, so runs repeat. Firmware has started the clock, as on every
//! board that is handed over to an operating system: RTCCR reads 1 from the start.

use serde::{Deserialize, Serialize};

use super::id;
use crate::alarm::{Alarm, Fired};
use crate::events::{DeviceEvent, Time};
use crate::fabric::{Effect, Effects};
use crate::register::block::{self, DwordSpace, Rules};

const NS_PER_SECOND: u64 = 1_000_000_000;
/// RTCPeriphID0 to 3: part 031h, designer 41h, revision 0 [DDI 0224 3.3.9].
const PERIPHERAL: [u8; 4] = [0x31, 0x10, 0x04, 0x00];

/// The clock.
#[derive(Clone, Debug)]
pub struct Pl031 {
    line: u32,
    asserted: bool,
    /// RTCDR less the seconds of machine time, modulo 2^32.
    offset: u32,
    load: u32,
    matches: u32,
    masked_in: bool,
    raw: bool,
    alarm: Alarm,
}

/// A saved [`Pl031`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    asserted: bool,
    offset: u32,
    load: u32,
    matches: u32,
    masked_in: bool,
    raw: bool,
    alarm: Alarm,
}

impl Pl031 {
    /// A clock that shows `seconds` (since 1970, by custom) at machine time 0 and interrupts on `line`.
    pub fn new(seconds: u32, line: u32) -> Self {
        Self {
            line,
            asserted: false,
            offset: seconds,
            load: 0,
            matches: 0,
            masked_in: false,
            raw: false,
            alarm: Alarm::default(),
        }
    }

    /// Software reads `data.len()` bytes at `offset`. The caller has told `fx` the clock's number.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        block::read(&mut Registers { clock: self, fx }, Rules::ByteLanes, offset, data);
    }

    /// Software writes `data` at `offset`.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        block::write(&mut Registers { clock: self, fx }, Rules::ByteLanes, offset, data);
    }

    /// Delivers an event that the clock asked for.
    pub fn event(&mut self, _: DeviceEvent, fx: &mut Effects) {
        match self.alarm.fire(fx.now()) {
            Fired::Due => {
                self.raw = true;
                self.update_line(fx);
                // The same second comes again after 2^32 others.
                self.arm(fx);
            }
            Fired::Early(Some(at)) => schedule(at, fx),
            Fired::Early(None) => {}
        }
    }

    /// The clock as data.
    pub fn save(&self) -> State {
        let Self { line: _, asserted, offset, load, matches, masked_in, raw, alarm } = self;
        State {
            asserted: *asserted,
            offset: *offset,
            load: *load,
            matches: *matches,
            masked_in: *masked_in,
            raw: *raw,
            alarm: alarm.clone(),
        }
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        let State { asserted, offset, load, matches, masked_in, raw, alarm } = state;
        *self = Self { line: self.line, asserted, offset, load, matches, masked_in, raw, alarm };
    }

    fn seconds(&self, now: Time) -> u32 {
        // The counter has 32 bits and wraps.
        self.offset.wrapping_add((now.0 / NS_PER_SECOND) as u32)
    }

    /// Asks to be called when the counter next becomes equal to the match register.
    fn arm(&mut self, fx: &mut Effects) {
        let left = match self.matches.wrapping_sub(self.seconds(fx.now())) {
            0 => 1 << 32,
            left => u64::from(left),
        };
        let second = fx.now().0 / NS_PER_SECOND;
        // The end of time is 584 years away; what would come later never does.
        match second.checked_add(left).and_then(|second| second.checked_mul(NS_PER_SECOND)) {
            Some(at) => {
                if let Some(at) = self.alarm.set(Time(at)) {
                    schedule(at, fx);
                }
            }
            None => self.alarm.clear(),
        }
    }

    /// The counter or what it is compared with was written.
    fn compare(&mut self, fx: &mut Effects) {
        self.raw |= self.seconds(fx.now()) == self.matches;
        self.arm(fx);
    }

    fn update_line(&mut self, fx: &mut Effects) {
        let asserted = self.raw && self.masked_in;
        if std::mem::replace(&mut self.asserted, asserted) != asserted {
            fx.push(Effect::Line { line: self.line, asserted });
        }
    }
}

fn schedule(at: Time, fx: &mut Effects) {
    fx.schedule_after(at.0.saturating_sub(fx.now().0), DeviceEvent::Timer(0));
}

/// The clock while software accesses it.
struct Registers<'a> {
    clock: &'a mut Pl031,
    fx: &'a mut Effects,
}

impl DwordSpace for Registers<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let Self { clock, fx } = self;
        match offset {
            0x00 => clock.seconds(fx.now()),
            0x04 => clock.matches,
            0x08 => clock.load,
            0x0c => 1,
            0x10 => clock.masked_in.into(),
            0x14 => clock.raw.into(),
            0x18 => (clock.raw && clock.masked_in).into(),
            _ => id::read(PERIPHERAL, offset).unwrap_or(0),
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        let Self { clock, fx } = self;
        let merged = |old: u32| old & !lanes | value;
        match offset {
            0x04 => {
                clock.matches = merged(clock.matches);
                clock.compare(fx);
            }
            0x08 => {
                clock.load = merged(clock.load);
                let elapsed = clock.seconds(fx.now()).wrapping_sub(clock.offset);
                clock.offset = clock.load.wrapping_sub(elapsed);
                clock.compare(fx);
            }
            0x10 => clock.masked_in = merged(clock.masked_in.into()) & 1 != 0,
            0x1c => clock.raw &= value & 1 == 0,
            // RTCDR, RTCRIS and RTCMIS are read only, and the clock cannot be stopped.
            _ => {}
        }
        clock.update_line(fx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    struct Rig {
        clock: Pl031,
        now: u64,
        lines: Vec<bool>,
        due: Vec<u64>,
    }

    impl Rig {
        fn new() -> Self {
            Self { clock: Pl031::new(1000, 2), now: 0, lines: Vec::new(), due: Vec::new() }
        }

        fn call(&mut self, f: impl FnOnce(&mut Pl031, &mut Effects)) {
            let mut fx = Effects::new(Time(self.now), false);
            f(&mut self.clock, &mut fx);
            for effect in fx.take() {
                match effect {
                    Effect::Line { line: 2, asserted } => self.lines.push(asserted),
                    Effect::Schedule { time, .. } => self.due.push(time.0),
                    other => panic!("{other:?}"),
                }
            }
            self.due.sort_unstable();
        }

        fn read(&mut self, offset: u64) -> u32 {
            let mut data = [0; 4];
            self.call(|clock, fx| clock.read(offset, &mut data, fx));
            u32::from_le_bytes(data)
        }

        fn write(&mut self, offset: u64, value: u32) {
            self.call(|clock, fx| clock.write(offset, &value.to_le_bytes(), fx));
        }

        fn advance(&mut self, to: u64) {
            while let Some(due) = self.due.first().copied().filter(|due| *due <= to) {
                self.due.remove(0);
                self.now = due;
                self.call(|clock, fx| clock.event(DeviceEvent::Timer(0), fx));
            }
            self.now = to;
        }
    }

    #[test]
    fn it_says_what_it_is() {
        let mut rig = Rig::new();
        let ids = (0xfe0..0x1000).step_by(4).map(|offset| rig.read(offset)).collect::<Vec<_>>();
        assert_eq!(ids, [0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1]);
        assert_eq!(rig.read(0x0c), 1);
        rig.write(0x0c, 0);
        assert_eq!(rig.read(0x0c), 1, "it cannot be stopped");
    }

    #[test]
    fn it_counts_machine_seconds_from_where_it_is_set() {
        let mut rig = Rig::new();
        assert_eq!(rig.read(0), 1000);
        rig.advance(2 * SECOND - 1);
        assert_eq!(rig.read(0), 1001);
        rig.write(8, 0xffff_ffff);
        assert_eq!((rig.read(0), rig.read(8)), (0xffff_ffff, 0xffff_ffff));
        rig.advance(2 * SECOND);
        assert_eq!(rig.read(0), 0, "it wraps");
    }

    #[test]
    fn a_match_asserts_the_line_until_it_is_cleared() {
        let mut rig = Rig::new();
        rig.write(0x04, 1003);
        rig.write(0x10, 1);
        rig.advance(3 * SECOND - 1);
        assert_eq!((rig.read(0x14), rig.lines.as_slice()), (0, &[][..]));
        rig.advance(3 * SECOND);
        assert_eq!((rig.read(0x14), rig.read(0x18)), (1, 1));
        assert_eq!(rig.lines, [true]);
        rig.write(0x1c, 1);
        assert_eq!((rig.read(0x14), rig.lines.as_slice()), (0, &[true, false][..]));
        // It is not masked in: raised, not passed on.
        rig.write(0x10, 0);
        rig.write(0x04, 1003);
        assert_eq!((rig.read(0x14), rig.read(0x18), rig.lines.len()), (1, 0, 2));
        rig.write(0x10, 1);
        assert_eq!(rig.lines, [true, false, true]);
    }

    #[test]
    fn setting_the_clock_moves_the_alarm() {
        let mut rig = Rig::new();
        rig.write(0x10, 1);
        rig.write(0x04, 2000);
        rig.write(0x08, 1999);
        rig.advance(SECOND);
        assert_eq!(rig.lines, [true]);
        for value in 0..1000 {
            rig.write(0x04, value);
        }
        assert!(rig.due.len() <= 8, "events in the queue are bounded");
    }

    #[test]
    fn a_saved_clock_goes_on() {
        let mut one = Rig::new();
        one.write(0x04, 1002);
        one.write(0x10, 1);
        let state = one.clock.save();
        let text = serde_json::to_string(&state).unwrap();
        let mut two = Rig { due: one.due.clone(), ..Rig::new() };
        two.clock.restore(serde_json::from_str(&text).unwrap());
        assert_eq!(two.clock.save(), state);
        two.advance(2 * SECOND);
        assert_eq!((two.read(0), two.lines.as_slice()), (1002, &[true][..]));
    }
}
