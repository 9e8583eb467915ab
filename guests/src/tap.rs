//! Reports in the Test Anything Protocol, version 13.
//!
//! One line per check, numbered from 1; the plan comes last, because a program finds out on the way
//! what the hardware lets it check. Lines that start with `#` are for people.

use core::fmt::{self, Write};

use crate::hw::Hw;

/// The state of a report.
#[derive(Debug, Default)]
pub struct Tap {
    checks: u32,
    failed: u32,
}

impl Tap {
    /// Starts a report.
    pub fn start<H: Hw>(hw: &mut H) -> Self {
        line(hw, format_args!("TAP version 13"));
        Self::default()
    }

    /// Reports a check and returns whether it held.
    pub fn check<H: Hw>(&mut self, hw: &mut H, held: bool, what: fmt::Arguments<'_>) -> bool {
        self.checks += 1;
        self.failed += u32::from(!held);
        let verdict = if held { "ok" } else { "not ok" };
        line(hw, format_args!("{verdict} {} - {what}", self.checks));
        held
    }

    /// Reports a check that this machine cannot be asked for, and why.
    pub fn skip<H: Hw>(&mut self, hw: &mut H, what: &str, why: &str) {
        self.checks += 1;
        line(hw, format_args!("ok {} - {what} # SKIP {why}", self.checks));
    }

    /// Writes a line for people.
    pub fn note<H: Hw>(&self, hw: &mut H, text: fmt::Arguments<'_>) {
        line(hw, format_args!("# {text}"));
    }

    /// Ends a report that cannot go on: it has failed, and has no plan.
    pub fn bail_out<H: Hw>(self, hw: &mut H, why: fmt::Arguments<'_>) {
        line(hw, format_args!("Bail out! {why}"));
    }

    /// Writes the plan; returns whether every check held and there was at least one.
    pub fn finish<H: Hw>(self, hw: &mut H) -> bool {
        line(hw, format_args!("1..{}", self.checks));
        self.failed == 0 && self.checks > 0
    }
}

/// Collects a line, so that the console is called once per line and not once per fragment.
struct Line<'h, H> {
    hw: &'h mut H,
    text: [u8; 160],
    len: usize,
}

impl<H: Hw> Line<'_, H> {
    fn flush(&mut self) {
        self.hw.console(&self.text[..self.len]);
        self.len = 0;
    }
}

impl<H: Hw> Write for Line<'_, H> {
    fn write_str(&mut self, fragment: &str) -> fmt::Result {
        for &byte in fragment.as_bytes() {
            if self.len == self.text.len() {
                self.flush();
            }
            self.text[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

fn line<H: Hw>(hw: &mut H, text: fmt::Arguments<'_>) {
    let mut line = Line { hw, text: [0; 160], len: 0 };
    // Writing to the console cannot fail, and the values printed here do not refuse to be printed.
    let _ = line.write_fmt(text);
    let _ = line.write_str("\n");
    line.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn a_report_reads_as_the_protocol_says() {
        let hw = &mut Fake::new();
        let mut tap = Tap::start(hw);
        assert!(tap.check(hw, true, format_args!("one plus {} is two", 1)));
        assert!(!tap.check(hw, false, format_args!("one is two")));
        tap.skip(hw, "edu raises its interrupt", "no edu in this machine");
        tap.note(hw, format_args!("found {:#x}", 16));
        assert!(!tap.finish(hw));
        assert_eq!(
            hw.text,
            "TAP version 13\n\
             ok 1 - one plus 1 is two\n\
             not ok 2 - one is two\n\
             ok 3 - edu raises its interrupt # SKIP no edu in this machine\n\
             # found 0x10\n\
             1..3\n"
        );
    }

    #[test]
    fn what_makes_a_report_fail() {
        type Row = (&'static str, fn(&mut Tap, &mut Fake), bool);
        let reports: [Row; 4] = [
            ("nothing checked", |_, _| {}, false),
            (
                "all held",
                |tap, hw| {
                    tap.check(hw, true, format_args!("a"));
                },
                true,
            ),
            ("a skip is no failure", |tap, hw| tap.skip(hw, "a", "b"), true),
            (
                "one of two failed",
                |tap, hw| {
                    tap.check(hw, false, format_args!("a"));
                    tap.check(hw, true, format_args!("b"));
                },
                false,
            ),
        ];
        for (name, report, expected) in reports {
            let hw = &mut Fake::new();
            let mut tap = Tap::start(hw);
            report(&mut tap, hw);
            assert_eq!(tap.finish(hw), expected, "{name}");
        }
    }

    #[test]
    fn a_report_that_ends_early_has_no_plan() {
        let hw = &mut Fake::new();
        Tap::start(hw).bail_out(hw, format_args!("no unit"));
        assert_eq!(hw.text, "TAP version 13\nBail out! no unit\n");
    }

    #[test]
    fn a_line_longer_than_the_buffer_arrives_whole() {
        let hw = &mut Fake::new();
        line(hw, format_args!("{:0>400}", 7));
        assert_eq!(hw.text.len(), 401);
        assert!(hw.text.ends_with("0007\n"));
    }
}
