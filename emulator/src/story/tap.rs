//! Reading a report in the Test Anything Protocol, version 13.

use thiserror::Error;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It held.
    Held,
    /// It did not hold.
    Failed,
    /// It was skipped, or did not hold and was marked as work to do; neither is a failure.
    Skipped(&'a str),
}

/// One line of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A check and whether it held.
    Check {
        /// What came of it.
        outcome: Outcome<'a>,
        /// Its number, which must count up from 1.
        number: u32,
        /// What was checked, or "".
        name: &'a str,
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
        let check = |ok, rest: &'a str| {
            let (digits, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let (name, directive) = rest.split_once('#').unwrap_or((rest, ""));
            let name = name.trim_start_matches([' ', '-']).trim_end();
            Some(Self::Check { outcome: outcome(ok, directive.trim()), number: digits.parse().ok()?, name })
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

/// The directives are SKIP and TODO, in any case.
fn outcome(ok: bool, directive: &str) -> Outcome<'_> {
    let is = |word: &str| directive.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(word));
    match ok {
        true if is("skip") => Outcome::Skipped(directive),
        true => Outcome::Held,
        false if is("todo") => Outcome::Skipped(directive),
        false => Outcome::Failed,
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
            Line::Check { outcome, number, .. } => {
                self.checks = self.checks.saturating_add(1);
                self.failed = self.failed.saturating_add(u32::from(outcome == Outcome::Failed));
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
    fn checks_have_names_and_outcomes() {
        for (line, number, name, outcome) in [
            ("ok 1 - a b", 1, "a b", Outcome::Held),
            ("not ok 22 c", 22, "c", Outcome::Failed),
            ("ok 3", 3, "", Outcome::Held),
            ("ok 4 - d # SKIP no e", 4, "d", Outcome::Skipped("SKIP no e")),
            ("ok 5 # skip", 5, "", Outcome::Skipped("skip")),
            ("not ok 6 - f #TODO g", 6, "f", Outcome::Skipped("TODO g")),
            ("not ok 7 - f # é", 7, "f", Outcome::Failed),
        ] {
            assert_eq!(Line::parse(line), Line::Check { outcome, number, name }, "{line}");
        }
    }

    #[test]
    fn verdicts() {
        for (report, expected) in [
            ("TAP version 13\nok 1 - a\n# b\nok 2 - c # SKIP d\n1..2", Ok(2)),
            ("1..1\nok 1", Ok(1)),
            ("ok 1 - a\nnot ok 2 - b\n1..2", Err(Failure::Checks { failed: 1, checks: 2 })),
            ("not ok 1 - a # TODO b\nok 2 # todo c\n1..2", Ok(2)),
            ("not ok 1 - a # SKIP b\n1..1", Err(Failure::Checks { failed: 1, checks: 1 })),
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
