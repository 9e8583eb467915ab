//! Seconds and dates: the proleptic Gregorian calendar in UTC.

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime {
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 1 (Sunday) to 7.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// Days from 1 March 0000 to 1 January 1970.
const EPOCH_DAYS: i64 = 719_468;
/// Days in 400 years.
const ERA: i64 = 146_097;

/// Days from 1 March to the first of the month that comes `index` months later.
const fn month_start(index: i64) -> i64 {
    (153 * index + 2) / 5
}

/// The date `seconds` after 1970-01-01T00:00:00.
pub(super) fn from_seconds(seconds: i64) -> DateTime {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years start in March here, so that the leap day is the last of its year.
    let shifted = days.saturating_add(EPOCH_DAYS);
    let (era, day) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - month_start(month) + 1;
    let january_or_february = month >= 10;
    // Each value below is bounded by its remainder or month, so no cast loses bits.
    DateTime {
        year: year + era * 400 + i64::from(january_or_february),
        month: (if january_or_february { month - 9 } else { month + 3 }) as u8,
        day: day as u8,
        weekday: ((days.rem_euclid(7) + 4) % 7 + 1) as u8,
        hour: (second / 3600) as u8,
        minute: (second / 60 % 60) as u8,
        second: (second % 60) as u8,
    }
}

/// The reverse; the weekday is not looked at. `None` if there is no such date or time of day.
pub(super) fn to_seconds(date: &DateTime) -> Option<i64> {
    let DateTime { year, month, day, weekday: _, hour, minute, second } = *date;
    if !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (year_from_march, index) =
        if month > 2 { (year, i64::from(month) - 3) } else { (year - 1, i64::from(month) + 9) };
    let (era, year_of_era) = (year_from_march.div_euclid(400), year_from_march.rem_euclid(400));
    let days = month_start(index) + i64::from(day) - 1;
    let days = era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + days - EPOCH_DAYS;
    let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    // A day past the end of its month names another date.
    (from_seconds(seconds).day == day).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        for (seconds, year, month, day, weekday, hour, minute, second) in [
            (0, 1970, 1, 1, 5, 0, 0, 0),
            (-1, 1969, 12, 31, 4, 23, 59, 59),
            (951_782_400, 2000, 2, 29, 3, 0, 0, 0),
            (1_234_567_890, 2009, 2, 13, 6, 23, 31, 30),
            (1_767_225_600, 2026, 1, 1, 5, 0, 0, 0),
            (4_107_542_400, 2100, 3, 1, 2, 0, 0, 0),
            (253_402_300_799, 9999, 12, 31, 6, 23, 59, 59),
        ] {
            let date = DateTime { year, month, day, weekday, hour, minute, second };
            assert_eq!(from_seconds(seconds), date);
            assert_eq!(to_seconds(&date), Some(seconds));
        }
    }

    #[test]
    fn dates_that_do_not_exist() {
        let date = DateTime { year: 2026, month: 1, day: 1, weekday: 1, hour: 0, minute: 0, second: 0 };
        for wrong in [
            DateTime { month: 0, ..date },
            DateTime { month: 13, ..date },
            DateTime { day: 0, ..date },
            DateTime { day: 32, ..date },
            DateTime { month: 2, day: 29, ..date },
            DateTime { year: 2100, month: 2, day: 29, ..date },
            DateTime { hour: 24, ..date },
            DateTime { minute: 60, ..date },
            DateTime { second: 60, ..date },
        ] {
            assert_eq!(to_seconds(&wrong), None, "{wrong:?}");
        }
        from_seconds(i64::MIN);
        from_seconds(i64::MAX);
    }
}
