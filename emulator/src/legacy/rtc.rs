//! The real-time clock and CMOS memory of a PC (MC146818).

use devices::events::Time;
use devices::fabric::Effects;
use serde::{Deserialize, Serialize};

use super::calendar::{DateTime, from_seconds, to_seconds};

const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const DAY_OF_WEEK: u8 = 0x06;
const DAY_OF_MONTH: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const STATUS_D: u8 = 0x0d;
/// Where a PC keeps the century.
const CENTURY: u8 = 0x32;

/// The registers that make up the time, in the order of [`Rtc::stopped`].
const CLOCK: [u8; 8] = [SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY_OF_MONTH, MONTH, YEAR, CENTURY];

/// Status A: update in progress.
const UIP: u8 = 0x80;
/// Status A at reset: the 32.768-kHz time base runs, rate 1024 Hz.
const STATUS_A_RESET: u8 = 0x26;
/// Status B: the time is stopped to be set.
const SET: u8 = 0x80;
/// Status B: binary, not BCD.
const DM: u8 = 0x04;
/// Status B: 24-hour, not 12-hour.
const H24: u8 = 0x02;
/// Hours in 12-hour mode: afternoon.
const PM: u8 = 0x80;
/// Status D: the battery is good.
const VRT: u8 = 0x80;

const NS_PER_SECOND: u64 = 1_000_000_000;
/// How long before the update of the time UIP is set.
const UIP_NS: u64 = 244_000;

/// The clock at ports 0x70 (index, write only) and 0x71 (data), and 128 bytes of CMOS memory.
///
/// The time of day is [`EPOCH`](Self::EPOCH) plus machine time, so that runs repeat; a guest can set
/// it. Registers are BCD or binary, hours 12 or 24, as status B says.
///
/// DEVIATION: the day of the week follows from the date, and a date that does not exist is not taken
/// over. There are no alarm, periodic and update interrupts: their enables in status B stay zero and
/// status C reads zero.
#[derive(Clone, Debug)]
pub struct Rtc {
    index: u8,
    status_a: u8,
    status_b: u8,
    /// Seconds from machine time to the time of day.
    offset: i64,
    /// While SET: the clock registers as software left them.
    stopped: Option<[u8; CLOCK.len()]>,
    /// 128 bytes; those of the registers above are unused.
    memory: [[u8; 32]; 4],
}

/// A saved [`Rtc`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    index: u8,
    status_a: u8,
    status_b: u8,
    offset: i64,
    stopped: Option<[u8; CLOCK.len()]>,
    memory: [[u8; 32]; 4],
}

impl Rtc {
    /// Where it is found.
    pub const PORT: u16 = 0x70;
    /// Ports it occupies.
    pub const PORTS: u16 = 2;
    /// The time of day at machine time 0, in seconds since 1970: 2026-01-01T00:00:00Z.
    pub const EPOCH: i64 = 1_767_225_600;

    /// A clock whose CMOS memory describes `low` bytes of RAM from address 0 (less than 4 GiB) and
    /// `high` bytes from 4 GiB.
    pub fn new(low: u64, high: u64) -> Self {
        let mut clock = Self {
            index: 0,
            status_a: STATUS_A_RESET,
            status_b: H24,
            offset: Self::EPOCH,
            stopped: None,
            memory: [[0; 32]; 4],
        };
        let (above_1m, above_16m) = (low.saturating_sub(1 << 20), low.saturating_sub(16 << 20));
        // KiB below and above 1 MiB; 64-KiB blocks above 16 MiB and above 4 GiB.
        clock.describe(0x15, 2, (low >> 10).min(640));
        clock.describe(0x17, 2, above_1m >> 10);
        clock.describe(0x30, 2, above_1m >> 10);
        clock.describe(0x34, 2, above_16m >> 16);
        clock.describe(0x5b, 3, high >> 16);
        clock
    }

    /// Writes a little-endian number of `len` bytes, or the greatest that fits.
    fn describe(&mut self, at: u8, len: u8, value: u64) {
        let bytes = value.min((1 << (8 * len)) - 1).to_le_bytes();
        for (register, byte) in (at..at + len).zip(bytes) {
            *self.cell(register) = byte;
        }
    }

    /// Reads `data.len()` ports from `offset`.
    pub fn read(&mut self, offset: u16, data: &mut [u8], fx: &mut Effects) {
        for (port, byte) in (usize::from(offset)..).zip(data) {
            *byte = if port == 1 { self.register(fx.now()) } else { 0xff };
        }
    }

    /// Writes `data.len()` ports from `offset`.
    pub fn write(&mut self, offset: u16, data: &[u8], fx: &mut Effects) {
        for (port, &byte) in (usize::from(offset)..).zip(data) {
            match port {
                // Bit 7 masks NMI, of which there is none.
                0 => self.index = byte & 0x7f,
                1 => self.set_register(byte, fx.now()),
                _ => {}
            }
        }
    }

    fn register(&mut self, now: Time) -> u8 {
        match self.index {
            STATUS_A => self.status_a | self.update_in_progress(now),
            STATUS_B => self.status_b,
            STATUS_C => 0,
            STATUS_D => VRT,
            index => match CLOCK.iter().position(|&register| register == index) {
                Some(place) => self.clock(now)[place],
                None => *self.cell(index),
            },
        }
    }

    fn set_register(&mut self, value: u8, now: Time) {
        match self.index {
            STATUS_A => self.status_a = value & !UIP,
            STATUS_B => {
                let before = self.status_b;
                let clock = self.clock(now);
                self.status_b = value & (SET | DM | H24);
                match (before & SET != 0, value & SET != 0) {
                    (false, true) => self.stopped = Some(clock),
                    (true, false) => {
                        self.stopped = None;
                        self.set_clock(clock, now);
                    }
                    _ => {}
                }
            }
            STATUS_C | STATUS_D => {}
            index => match CLOCK.iter().position(|&register| register == index) {
                Some(place) => {
                    let mut clock = self.clock(now);
                    clock[place] = value;
                    match &mut self.stopped {
                        Some(stopped) => *stopped = clock,
                        None => self.set_clock(clock, now),
                    }
                }
                None => *self.cell(index) = value,
            },
        }
    }

    fn update_in_progress(&self, now: Time) -> u8 {
        let soon = now.0 % NS_PER_SECOND >= NS_PER_SECOND - UIP_NS;
        if soon && self.stopped.is_none() { UIP } else { 0 }
    }

    /// The clock registers as software reads them.
    fn clock(&self, now: Time) -> [u8; CLOCK.len()] {
        if let Some(stopped) = self.stopped {
            return stopped;
        }
        let date = from_seconds(seconds(now).saturating_add(self.offset));
        let hour = match (self.status_b & H24 != 0, date.hour) {
            (true, hour) => self.encode(hour),
            (false, hour @ 0..12) => self.encode(if hour == 0 { 12 } else { hour }),
            (false, hour) => self.encode(if hour == 12 { 12 } else { hour - 12 }) | PM,
        };
        // The remainders are below 100.
        let year = date.year.rem_euclid(100) as u8;
        let century = date.year.div_euclid(100).rem_euclid(100) as u8;
        [
            self.encode(date.second),
            self.encode(date.minute),
            hour,
            self.encode(date.weekday),
            self.encode(date.day),
            self.encode(date.month),
            self.encode(year),
            self.encode(century),
        ]
    }

    /// Makes the clock registers the time of now, if they are one.
    fn set_clock(&mut self, clock: [u8; CLOCK.len()], now: Time) {
        if let Some(date) = self.date(clock)
            && let Some(set) = to_seconds(&date)
        {
            self.offset = set - seconds(now);
        }
    }

    fn date(&self, clock: [u8; CLOCK.len()]) -> Option<DateTime> {
        let [second, minute, hour, _, day, month, year, century] = clock;
        let hour = if self.status_b & H24 != 0 {
            self.decode(hour)?
        } else {
            let hour12 = self.decode(hour & !PM).filter(|hour| (1..=12).contains(hour))?;
            hour12 % 12 + if hour & PM != 0 { 12 } else { 0 }
        };
        Some(DateTime {
            year: i64::from(self.decode(century)?) * 100 + i64::from(self.decode(year)?),
            month: self.decode(month)?,
            day: self.decode(day)?,
            weekday: 1,
            hour,
            minute: self.decode(minute)?,
            second: self.decode(second)?,
        })
    }

    /// A number below 100 as a register holds it.
    fn encode(&self, value: u8) -> u8 {
        if self.status_b & DM != 0 { value } else { ((value / 10) << 4) + value % 10 }
    }

    /// The reverse; `None` if the register holds no number below 100.
    fn decode(&self, raw: u8) -> Option<u8> {
        if self.status_b & DM != 0 {
            return (raw < 100).then_some(raw);
        }
        (raw >> 4 < 10 && raw & 0xf < 10).then_some((raw >> 4) * 10 + (raw & 0xf))
    }

    /// A byte of CMOS memory; bit 7 of its number does not count.
    fn cell(&mut self, index: u8) -> &mut u8 {
        let index = usize::from(index & 0x7f);
        &mut self.memory[index / 32][index % 32]
    }

    /// The clock as data.
    pub fn save(&self) -> State {
        let Self { index, status_a, status_b, offset, stopped, memory } = self.clone();
        State { index, status_a, status_b, offset, stopped, memory }
    }

    /// Replaces the clock by what was saved.
    pub fn restore(&mut self, state: State) {
        let State { index, status_a, status_b, offset, stopped, memory } = state;
        *self = Self { index, status_a, status_b, offset, stopped, memory };
    }
}

/// Whole seconds of machine time, which has at most 2^34 of them.
fn seconds(now: Time) -> i64 {
    (now.0 / NS_PER_SECOND) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench(Rtc, u64);

    impl Bench {
        fn new() -> Self {
            Self(Rtc::new(0x8000_0000, 0x1_8000_0000), 0)
        }

        fn get(&mut self, index: u8) -> u8 {
            let mut fx = Effects::new(Time(self.1), false);
            self.0.write(0, &[index], &mut fx);
            let mut data = [0];
            self.0.read(1, &mut data, &mut fx);
            data[0]
        }

        fn set(&mut self, index: u8, value: u8) {
            self.0.write(0, &[index, value], &mut Effects::new(Time(self.1), false));
        }

        fn all<const N: usize>(&mut self, indices: [u8; N]) -> [u8; N] {
            indices.map(|index| self.get(index))
        }
    }

    const SECOND: u64 = 1_000_000_000;
    const DATE: [u8; 5] = [0x32, 9, 8, 7, 6];
    const TIME: [u8; 3] = [4, 2, 0];

    #[test]
    fn starts_at_the_epoch_in_bcd_and_24_hours_and_follows_machine_time() {
        let mut rtc = Bench::new();
        assert_eq!(rtc.all(DATE), [0x20, 0x26, 0x01, 0x01, 0x05]);
        assert_eq!(rtc.all(TIME), [0, 0, 0]);
        rtc.1 = (((31 + 27) * 24 + 23) * 3600 + 59 * 60 + 58) * SECOND + 999_999_999;
        assert_eq!((rtc.all(DATE), rtc.all(TIME)), ([0x20, 0x26, 0x02, 0x28, 0x07], [0x23, 0x59, 0x58]));
        rtc.1 += SECOND + 1;
        assert_eq!((rtc.all(DATE), rtc.all(TIME)), ([0x20, 0x26, 0x03, 0x01, 0x01], [0, 0, 0]));
    }

    #[test]
    fn status_b_chooses_the_form_of_numbers_and_hours() {
        let mut rtc = Bench::new();
        for (hour, status_b, raw) in [
            (0, 0x06, 0),
            (0, 0x00, 0x12),
            (9, 0x04, 9),
            (12, 0x04, 0x8c),
            (12, 0x00, 0x92),
            (23, 0x00, 0x91),
            (23, 0x02, 0x23),
            (23, 0x06, 23),
            (23, 0x04, 0x8b),
        ] {
            rtc.1 = hour * 3600 * SECOND;
            rtc.set(0x0b, status_b);
            assert_eq!((rtc.get(0x0b), rtc.get(4)), (status_b, raw), "{hour} {status_b:#x}");
            rtc.set(4, raw);
            assert_eq!(rtc.get(4), raw, "set to what it is");
        }
        assert_eq!(rtc.all(DATE), [20, 26, 1, 1, 5]);
    }

    #[test]
    fn set_stops_the_clock_until_a_whole_time_is_written() {
        let mut rtc = Bench::new();
        rtc.set(0x0b, 0x82);
        for (index, value) in [(0, 0x50), (2, 0x59), (4, 0x23), (7, 0x29), (8, 0x02), (9, 0x24)] {
            rtc.set(index, value);
            rtc.1 += SECOND;
        }
        assert_eq!(rtc.all(TIME), [0x23, 0x59, 0x50]);
        let saved = serde_json::to_string(&rtc.0.save()).unwrap();
        rtc.0 = Rtc::new(0, 0);
        rtc.0.restore(serde_json::from_str(&saved).unwrap());
        rtc.set(0x0b, 0x02);
        rtc.1 += 10 * SECOND;
        assert_eq!((rtc.all(DATE), rtc.all(TIME)), ([0x20, 0x24, 0x03, 0x01, 0x06], [0, 0, 0]));
        rtc.set(8, 0x1a);
        rtc.set(7, 0x32);
        assert_eq!(rtc.all(DATE), [0x20, 0x24, 0x03, 0x01, 0x06], "no such date");
    }

    #[test]
    fn status_registers() {
        let mut rtc = Bench::new();
        assert_eq!(rtc.all([0x0a, 0x0b, 0x0c, 0x0d]), [0x26, 0x02, 0x00, 0x80]);
        for (ns, status_a) in [(999_755_999, 0x26), (999_756_000, 0xa6), (999_999_999, 0xa6), (SECOND, 0x26)]
        {
            rtc.1 = ns;
            assert_eq!(rtc.get(0x0a), status_a, "{ns}");
        }
        for index in 0x0a..=0x0d {
            rtc.set(index, 0xff);
        }
        assert_eq!(rtc.all([0x0a, 0x0b, 0x0c, 0x0d]), [0x7f, 0x86, 0x00, 0x80]);
        rtc.1 = SECOND - 1;
        assert_eq!(rtc.get(0x0a), 0x7f, "no update while the clock is stopped");
    }

    #[test]
    fn memory_sizes_lie_where_firmware_looks() {
        const SIZES: [u8; 11] = [0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x5b, 0x5c, 0x5d];
        let mut rtc = Bench::new();
        assert_eq!(rtc.all(SIZES), [0x80, 2, 0xff, 0xff, 0xff, 0xff, 0, 0x7f, 0, 0x80, 1]);
        rtc.0 = Rtc::new(0x200_0000, 0);
        assert_eq!(rtc.all(SIZES), [0x80, 2, 0, 0x7c, 0, 0x7c, 0, 1, 0, 0, 0]);
        rtc.0 = Rtc::new(0x1_0000, u64::MAX);
        assert_eq!(rtc.all(SIZES), [0x40, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn the_rest_is_memory_and_every_size_at_every_offset_is_harmless() {
        let mut rtc = Bench::new();
        rtc.set(0x0f, 0x0a);
        rtc.set(0xff, 0x5a);
        assert_eq!(rtc.all([0x0f, 0x7f]), [0x0a, 0x5a]);
        let mut fx = Effects::new(Time(0), false);
        for offset in [0, 1, 2, 0xffff] {
            for len in 0..=8 {
                let mut data = [0; 8];
                rtc.0.write(offset, &data[..len], &mut fx);
                rtc.0.read(offset, &mut data[..len], &mut fx);
            }
        }
        rtc.0.write(0, &[0x7f], &mut fx);
        let mut data = [0; 4];
        rtc.0.read(0, &mut data, &mut fx);
        assert_eq!(data, [0xff, 0x5a, 0xff, 0xff]);
    }
}
