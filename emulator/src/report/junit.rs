//! The report as JUnit XML, which CI services show test by test.
//!
//! There is no norm of this format. Written here is what its readers agree on: `testsuites` around
//! one `testsuite`, in it `properties`, a `testcase` for the run, for each check of the guest and
//! for each rule, and the console as `system-out`. Times are machine time.

use std::fmt::{self, Write};

use super::{CheckOutcome, Summary};
use crate::config::IommuSpec;
use crate::exit::Exit;

/// Faults that a property each tells of; the JSON report has more.
const MAX_FAULTS: usize = 100;

/// The report as a whole document.
pub fn to_junit(summary: &Summary<'_>) -> String {
    let cases = cases(summary);
    let count = |kind| cases.iter().filter(|case| case.verdict.kind() == Some(kind)).count();
    let counts = format!(
        r#"tests="{}" failures="{}" errors="{}" skipped="{}" time="{}""#,
        cases.len(),
        count("failure"),
        count("error"),
        count("skipped"),
        Seconds(summary.time.0),
    );
    let name = Escaped(summary.name);
    let mut xml = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(xml, r#"<?xml version="1.0" encoding="UTF-8"?>"#)
        .and_then(|()| writeln!(xml, r#"<testsuites name="iommulator" {counts}>"#))
        .and_then(|()| writeln!(xml, r#"  <testsuite name="{name}" {counts}>"#))
        .and_then(|()| write_properties(&mut xml, summary))
        .and_then(|()| cases.iter().try_for_each(|case| case.write(&mut xml, &name)))
        .and_then(|()| {
            let console = String::from_utf8_lossy(&summary.seen.console);
            writeln!(xml, "    <system-out>{}</system-out>", Escaped(&console))
        })
        .and_then(|()| writeln!(xml, "  </testsuite>\n</testsuites>"));
    xml
}

struct Case {
    class: &'static str,
    name: String,
    verdict: Verdict,
}

enum Verdict {
    Held,
    /// What the test checks does not hold.
    Failure(String),
    /// The test did not get to its end.
    Error(String),
    Skipped(String),
}

impl Verdict {
    fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Held => None,
            Self::Failure(_) => Some("failure"),
            Self::Error(_) => Some("error"),
            Self::Skipped(_) => Some("skipped"),
        }
    }
}

impl From<Option<String>> for Verdict {
    fn from(broken: Option<String>) -> Self {
        broken.map_or(Self::Held, Self::Failure)
    }
}

impl Case {
    fn write(&self, xml: &mut String, suite: &Escaped<'_>) -> fmt::Result {
        let Self { class, name, verdict } = self;
        write!(xml, r#"    <testcase classname="{suite}.{class}" name="{}""#, Escaped(name))?;
        match (verdict, verdict.kind()) {
            (Verdict::Failure(why) | Verdict::Error(why) | Verdict::Skipped(why), Some(kind)) => {
                writeln!(xml, r#"><{kind} message="{}"/></testcase>"#, Escaped(why))
            }
            _ => writeln!(xml, "/>"),
        }
    }
}

fn cases(summary: &Summary<'_>) -> Vec<Case> {
    let Summary { seen, failure, exit, machine, .. } = summary;
    let run = match (failure, exit) {
        (None, _) => Verdict::Held,
        (Some(why), Exit::GuestFailed) => Verdict::Failure((*why).to_owned()),
        (Some(why), _) => Verdict::Error(format!("{}: {why}", exit.word())),
    };
    let mut cases = vec![Case { class: "run", name: "the run succeeds".to_owned(), verdict: run }];
    cases.extend(seen.checks.iter().map(|check| {
        let verdict = match &check.outcome {
            CheckOutcome::Held => Verdict::Held,
            CheckOutcome::Failed => Verdict::Failure("the check did not hold".to_owned()),
            CheckOutcome::Skipped(why) => Verdict::Skipped(why.clone()),
        };
        Case { class: "guest", name: format!("{} - {}", check.number, check.name), verdict }
    }));
    let faults = &seen.faults;
    cases.extend(faults.expectations().map(|(expectation, met)| Case {
        class: "faults",
        name: format!("--expect {expectation}"),
        verdict: faults.missing(expectation, met).into(),
    }));
    if faults.rules().deny_others {
        let verdict = faults.denied().into();
        cases.push(Case { class: "faults", name: "--deny-faults".to_owned(), verdict });
    }
    if machine.iommus.iter().any(IommuSpec::sanitizes) {
        let first = seen.stale.first().map(|(_, stale)| stale.to_string());
        cases.push(Case { class: "sanitizer", name: "--sanitize".to_owned(), verdict: first.into() });
    }
    cases
}

fn write_properties(xml: &mut String, summary: &Summary<'_>) -> fmt::Result {
    let Summary { command, driver, machine, exit, seen, .. } = summary;
    // A configuration holds no map whose keys are not text, so it is always JSON.
    let machine = serde_json::to_string(machine).map_err(|_| fmt::Error)?;
    writeln!(xml, "    <properties>")?;
    property(xml, "command", &super::bundle::shell_words(command))?;
    property(xml, "driver", driver)?;
    property(xml, "exit", &exit.code().to_string())?;
    property(xml, "machine", &machine)?;
    property(xml, "faults", &seen.faults.total().to_string())?;
    for fault in seen.faults.list().iter().take(MAX_FAULTS) {
        property(xml, "fault", &fault.to_string())?;
    }
    writeln!(xml, "    </properties>")
}

fn property(xml: &mut String, name: &str, value: &str) -> fmt::Result {
    writeln!(xml, r#"      <property name="{name}" value="{}"/>"#, Escaped(value))
}

/// Nanoseconds, written as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// Text as XML 1.0 takes it, in elements and attributes. What it cannot hold at all becomes U+FFFD.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            // As plain characters, attributes would lose them and elements would lose CR.
            '\r' => f.write_str("&#13;"),
            '\t' | '\n' => f.write_char(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => f.write_char(char::REPLACEMENT_CHARACTER),
            _ => f.write_char(c),
        })
    }
}
