//! How long the host rests while the guest waits.

/// Nanoseconds that are too short for the host to sleep: machine time jumps over them, and they are slept
/// later.
const SHORTEST: u64 = 1_000_000;
/// Nanoseconds after which somebody else, such as a client of the control socket, gets a look at the
/// machine.
const LONGEST: u64 = 20_000_000;

/// Machine time against the host's, where the guest waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Nanoseconds by which machine time is ahead: it has jumped, and the host has not slept.
    ahead: u64,
    /// Nanoseconds by which it is behind: the host has slept too long.
    behind: u64,
}

/// What there is to do for a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Nothing: so many nanoseconds of machine time are over.
    Over(u64),
    /// To sleep for so many nanoseconds, and then to say how many it were.
    For(u64),
}

impl Pace {
    /// The guest waits for so many nanoseconds, or for good.
    pub fn begin(&mut self, wait: Option<u64>) -> Sleep {
        let wait = bounded(wait);
        let sleep = (wait + self.ahead).saturating_sub(self.behind);
        if sleep >= SHORTEST {
            return Sleep::For(sleep);
        }
        self.ahead = sleep;
        self.behind = self.behind.saturating_sub(wait);
        Sleep::Over(wait)
    }

    /// The host has slept for `slept` nanoseconds, more or less than it was told to: how much machine
    /// time has passed, at most the wait.
    pub fn end(&mut self, wait: Option<u64>, slept: u64) -> u64 {
        let due = slept.saturating_add(self.behind);
        let passed = due.saturating_sub(self.ahead).min(bounded(wait));
        let owed = self.ahead + passed;
        self.ahead = owed.saturating_sub(due);
        // A host that was suspended does not make time jump for long.
        self.behind = due.saturating_sub(owed).min(LONGEST);
        passed
    }
}

fn bounded(wait: Option<u64>) -> u64 {
    wait.unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A wait; how long the host is told to sleep and does, if it is to; what passes.
    type Row = (Option<u64>, Option<(u64, u64)>, u64);

    #[track_caller]
    fn check(rows: &[Row]) {
        let mut pace = Pace::default();
        for (index, &(wait, slept, passed)) in rows.iter().enumerate() {
            let found = match (pace.begin(wait), slept) {
                (Sleep::Over(passed), None) => passed,
                (Sleep::For(told), Some((expected, slept))) => {
                    assert_eq!(told, expected, "row {index}");
                    pace.end(wait, slept)
                }
                (sleep, _) => panic!("row {index}: {sleep:?}"),
            };
            assert_eq!(found, passed, "row {index}");
        }
    }

    #[test]
    fn a_wait_takes_as_long_on_both_sides() {
        check(&[(Some(4 * MS), Some((4 * MS, 4 * MS)), 4 * MS), (Some(MS), Some((MS, MS)), MS)]);
    }

    #[test]
    fn a_long_wait_is_cut_so_that_others_have_their_turn() {
        check(&[
            (None, Some((20 * MS, 20 * MS)), 20 * MS),
            (Some(u64::MAX), Some((20 * MS, 20 * MS)), 20 * MS),
        ]);
    }

    #[test]
    fn short_waits_are_slept_together() {
        check(&[
            (Some(MS / 2), None, MS / 2),
            (Some(MS / 4), None, MS / 4),
            (Some(MS / 2), Some((5 * MS / 4, 5 * MS / 4)), MS / 2),
            (Some(MS / 2), None, MS / 2),
        ]);
    }

    #[test]
    fn input_ends_a_wait_early_and_too_long_a_sleep_is_made_up_for() {
        check(&[
            // Input after 1 of 5 ms.
            (Some(5 * MS), Some((5 * MS, MS)), MS),
            // 3 ms too long: the next wait of 2 is over at once, and one more of the one after it.
            (Some(2 * MS), Some((2 * MS, 5 * MS)), 2 * MS),
            (Some(2 * MS), None, 2 * MS),
            (Some(4 * MS), Some((3 * MS, 3 * MS)), 4 * MS),
            // Input at once while machine time is ahead: nothing passes, and it stays ahead.
            (Some(MS / 2), None, MS / 2),
            (Some(MS), Some((3 * MS / 2, MS / 4)), 0),
            (Some(MS), Some((5 * MS / 4, 5 * MS / 4)), MS),
        ]);
    }

    #[test]
    fn a_suspended_host_is_made_up_for_a_moment_only() {
        check(&[
            (Some(MS), Some((MS, u64::MAX)), MS),
            (Some(20 * MS), None, 20 * MS),
            (Some(2 * MS), Some((2 * MS, 2 * MS)), 2 * MS),
        ]);
    }
}
