//! Hearing what happens, and keeping what a report needs.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use devices::events::Time;
use devices::iommu::Stale;
use devices::smmuv3::names::EventName;
use devices::trace::TraceEvent;

use super::faults::{Faults, Rules, SeenFault};
use super::{MAX_CHECKS, MAX_CONSOLE, MAX_STALE, Master};
use crate::story::lines::Lines;
use crate::story::tap::{Failure, Line, Outcome, Report};
use crate::trace::Sink;

/// What came of a check of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// It held.
    Held,
    /// It did not.
    Failed,
    /// It was not made, or its failure is known; with the guest's words.
    Skipped(String),
}

/// A check of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its number in the guest's report.
    pub number: u32,
    /// What was checked.
    pub name: String,
    /// What came of it.
    pub outcome: CheckOutcome,
}

/// What was seen of a run.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its faults.
    pub faults: Faults,
    /// The first checks of the guest.
    pub checks: Vec<Check>,
    /// Checks that are not in the list.
    pub more_checks: u64,
    /// What the guest's report comes to.
    pub report: Report,
    /// The end of what the guest printed.
    pub console: Vec<u8>,
    /// The first uses of stale entries, as the sanitizer tells of them.
    pub stale: Vec<(Time, Stale)>,
    /// Uses that are not in the list.
    pub more_stale: u64,
    /// The last events.
    pub events: VecDeque<(Time, TraceEvent)>,
    lines: Lines,
    /// Events kept at most.
    keep: usize,
}

/// Sees a run: its events as a [`Sink`], its console by [`Watch::console`]. Clones see the same.
#[derive(Clone, Debug)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
}

impl Watch {
    /// Holds what it sees against `rules` and keeps the last `keep` events.
    pub fn new(rules: Rules, keep: usize) -> Self {
        let seen = Seen { faults: Faults::new(rules), keep, ..Seen::default() };
        Self { seen: Arc::new(Mutex::new(seen)) }
    }

    /// The guest printed `bytes`.
    pub fn console(&self, bytes: &[u8]) {
        self.lock().print(bytes);
    }

    /// The guest printed `bytes`, which are no report of checks.
    pub fn text(&self, bytes: &[u8]) {
        self.lock().keep_text(bytes);
    }

    /// What was seen; the watch starts afresh, without rules.
    pub fn take(&self) -> Seen {
        let mut seen = std::mem::take(&mut *self.lock());
        if let Some(rest) = seen.lines.rest() {
            seen.line(&rest);
        }
        if seen.console.len() > MAX_CONSOLE {
            seen.console.drain(..seen.console.len() - MAX_CONSOLE);
        }
        seen
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Whatever interrupted a record, those before it stand.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// The reason why the guest's report is a failure: a check that did not hold, or a bail-out. A
    /// guest that reports nothing, or only part of its output in this form, is none.
    pub fn guest_failure(&self) -> Option<Failure> {
        let fails = |failure: &Failure| matches!(failure, Failure::BailedOut(_) | Failure::Checks { .. });
        self.report.verdict().err().filter(fails)
    }

    /// A sentence for each thing that should not have been.
    pub fn broken(&self) -> impl Iterator<Item = String> {
        let stale = self.stale.iter().map(|(time, stale)| format!("{stale}, at time {time}"));
        let more = (self.more_stale > 0).then(|| format!("{} more stale uses", self.more_stale));
        self.faults.broken().chain(stale).chain(more)
    }

    fn print(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| self.line(line));
        self.lines = lines;
        self.keep_text(bytes);
    }

    fn keep_text(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(MAX_CONSOLE) {
            // Cut at twice the limit, not at each print.
            if self.console.len() + part.len() > 2 * MAX_CONSOLE {
                self.console.drain(..self.console.len() - MAX_CONSOLE);
            }
            self.console.extend_from_slice(part);
        }
    }

    fn line(&mut self, text: &str) {
        let line = Line::parse(text);
        self.report.add(line);
        if let Line::Check { outcome, number, name } = line {
            if self.checks.len() == MAX_CHECKS {
                self.more_checks += 1;
                return;
            }
            let outcome = match outcome {
                Outcome::Held => CheckOutcome::Held,
                Outcome::Failed => CheckOutcome::Failed,
                Outcome::Skipped(why) => CheckOutcome::Skipped(why.to_owned()),
            };
            self.checks.push(Check { number, name: name.to_owned(), outcome });
        }
    }
}

impl Sink for Watch {
    fn record(&mut self, time: Time, event: &TraceEvent) {
        let mut seen = self.lock();
        if let TraceEvent::Fault { unit, source, reason, what, address, fate } = *event {
            let (master, record, expected) = (Master::Function(source), None, false);
            seen.faults.add(SeenFault { time, unit, master, reason, what, address, record, fate, expected });
        }
        if let TraceEvent::Event { unit, stream, kind, what, address, words, fate } = *event {
            let (master, record, expected) = (Master::Stream(stream), Some(words), false);
            let what = EventName::of_code(kind).map_or(what, |event| event.what);
            let (reason, address) = (kind, address.0);
            seen.faults.add(SeenFault { time, unit, master, reason, what, address, record, fate, expected });
        }
        if let TraceEvent::Stale { stale, .. } = event {
            if seen.stale.len() < MAX_STALE {
                seen.stale.push((time, stale.clone()));
            } else {
                seen.more_stale += 1;
            }
        }
        if seen.keep == 0 {
            return;
        }
        if seen.events.len() == seen.keep {
            seen.events.pop_front();
        }
        seen.events.push_back((time, event.clone()));
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
