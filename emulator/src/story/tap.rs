//! Reading a report in the Test Anything Protocol, version 13.

use thiserror::Error;

/// One line of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A check and whether it held.
    Check {
        /// Whether it held; a skipped one counts as held.
        ok: bool,
        /// Its number, which must count up from 1.
        number: u32,
    },
    /// How many checks there are.
    Plan(u32),
    /// The program gave up.
    BailOut(&'a str),
    /// Anything else: version, comments, output of another kind.
    Other,
}

impl<'a> Line<'a> {
    /// Reads a line without its newline.
    pub fn parse(text: &'a str) -> Self {
        let check = |ok, rest: &str| {
            let digits = rest.split_ascii_whitespace().next()?;
            Some(Self::Check { ok, number: digits.parse().ok()? })
        };
        if let Some(why) = text.strip_prefix("Bail out!") {
            return Self::BailOut(why.trim());
        }
        let line = if let Some(rest) = text.strip_prefix("ok ") {
            check(true, rest)
        } else if let Some(rest) = text.strip_prefix("not ok ") {
            check(false, rest)
        } else {
            text.strip_prefix("1..").and_then(|last| Some(Self::Plan(last.trim().parse().ok()?)))
        };
        line.unwrap_or(Self::Other)
    }
}

/// What a report comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    checks: u32,
    failed: u32,
    plan: Option<u32>,
    bailed_out: Option<String>,
    misnumbered: Option<u32>,
}

/// Why a report is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The program stopped early.
    #[error("the guest gave up: {0}")]
    BailedOut(String),
    /// Checks did not hold.
    #[error("{failed} of {checks} checks did not hold; see the lines 'not ok'")]
    Checks {
        /// How many did not hold.
        failed: u32,
        /// How many there were.
        checks: u32,
    },
    /// Checks are missing, or the report was cut off.
    #[error("the guest's report is incomplete: {checks} checks, plan {plan}")]
    Incomplete {
        /// How many there were.
        checks: u32,
        /// How many there should be, or "missing".
        plan: String,
    },
    /// The numbers do not count up.
    #[error("check number {0} of the guest's report is out of order; its console lost lines")]
    Misnumbered(u32),
}

impl Report {
    /// Takes note of a line.
    pub fn add(&mut self, line: Line<'_>) {
        match line {
            Line::Check { ok, number } => {
                self.checks = self.checks.saturating_add(1);
                self.failed = self.failed.saturating_add(u32::from(!ok));
                if number != self.checks {
                    self.misnumbered.get_or_insert(number);
                }
            }
            Line::Plan(plan) => self.plan = Some(plan),
            Line::BailOut(why) => self.bailed_out = Some(why.to_owned()),
            Line::Other => {}
        }
    }

    /// The number of checks, if all held and none is missing.
    ///
    /// # Errors
    /// The first reason why this is no success.
    pub fn verdict(&self) -> Result<u32, Failure> {
        let Self { checks, failed, plan, bailed_out, misnumbered } = self;
        if let Some(why) = bailed_out {
            return Err(Failure::BailedOut(why.clone()));
        }
        if *failed > 0 {
            return Err(Failure::Checks { failed: *failed, checks: *checks });
        }
        if let Some(number) = misnumbered {
            return Err(Failure::Misnumbered(*number));
        }
        if *plan != Some(*checks) || *checks == 0 {
            let plan = plan.map_or_else(|| "missing".to_owned(), |plan| plan.to_string());
            return Err(Failure::Incomplete { checks: *checks, plan });
        }
        Ok(*checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        for (report, expected) in [
            ("TAP version 13\nok 1 - a\n# b\nok 2 - c # SKIP d\n1..2", Ok(2)),
            ("1..1\nok 1", Ok(1)),
            ("ok 1 - a\nnot ok 2 - b\n1..2", Err(Failure::Checks { failed: 1, checks: 2 })),
            ("ok 1 - a", Err(Failure::Incomplete { checks: 1, plan: "missing".into() })),
            ("ok 1 - a\n1..2", Err(Failure::Incomplete { checks: 1, plan: "2".into() })),
            ("1..0", Err(Failure::Incomplete { checks: 0, plan: "0".into() })),
            ("", Err(Failure::Incomplete { checks: 0, plan: "missing".into() })),
            ("ok 1 - a\nok 3 - b\n1..2", Err(Failure::Misnumbered(3))),
            ("ok 1 - a\nBail out! no unit\n1..1", Err(Failure::BailedOut("no unit".into()))),
            ("ok x\nokay 1\n1..x\nok", Err(Failure::Incomplete { checks: 0, plan: "missing".into() })),
        ] {
            let mut sum = Report::default();
            report.lines().for_each(|line| sum.add(Line::parse(line)));
            assert_eq!(sum.verdict(), expected, "{report}");
        }
    }
}
