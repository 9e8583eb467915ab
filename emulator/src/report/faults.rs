//! Faults held against rules.

use std::collections::BTreeMap;
use std::fmt;

use devices::events::Time;
use devices::smmuv3::names::{EventName, UNWANTED};
use devices::vtd::Reason;
use devices::vtd::names::SUPPRESSED;

use super::{Expectation, MAX_FAULTS, Master};

/// Kinds of faults that a sentence lists.
const MAX_KINDS: usize = 5;

/// Which faults must, may and must not come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Each of them must come at least once.
    pub expect: Vec<Expectation>,
    /// No other may come.
    pub deny_others: bool,
}

/// A fault as a trace tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFault {
    /// When it was found.
    pub time: Time,
    /// Which model found it.
    pub unit: &'static str,
    /// The master.
    pub master: Master,
    /// The reason code; of an SMMU, the type of the event.
    pub reason: u8,
    /// The reason in words.
    pub what: &'static str,
    /// The address that faulted; of an interrupt request, its index in bits 63:48.
    pub address: u64,
    /// The event record; VT-d has none in memory.
    pub record: Option<[u64; 4]>,
    /// What became of it.
    pub fate: &'static str,
    /// Whether an expectation names it.
    pub expected: bool,
}

impl SeenFault {
    /// Whether software is not told of it.
    pub fn suppressed(&self) -> bool {
        self.fate == SUPPRESSED || self.fate == UNWANTED
    }

    /// The names that its reason has, as far as it has any.
    pub(super) fn names(&self) -> (Option<&'static str>, Option<&'static str>) {
        match self.master {
            Master::Function(_) => {
                let reason = Reason::from_code(self.reason);
                (reason.map(Reason::name), reason.and_then(Reason::condition))
            }
            Master::Stream(_) => (EventName::of_code(self.reason).map(|event| event.name), None),
        }
    }
}

impl fmt::Display for SeenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, master, reason, what, address, fate, .. } = self;
        write!(f, "{reason:#04x} ({what}) by {master} at {address:#x}, {fate}, at time {time}")
    }
}

/// The faults of a run.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Rules,
    /// How often each expectation was met.
    met: Vec<u64>,
    total: u64,
    suppressed: u64,
    unexpected: u64,
    first_unexpected: Option<SeenFault>,
    list: Vec<SeenFault>,
}

impl Faults {
    /// None yet.
    pub fn new(rules: Rules) -> Self {
        Self { met: vec![0; rules.expect.len()], rules, ..Self::default() }
    }

    /// What they are held against.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Expectations and how many faults met them.
    pub fn expectations(&self) -> impl Iterator<Item = (&Expectation, u64)> {
        self.rules.expect.iter().zip(self.met.iter().copied())
    }

    /// All faults, suppressed ones included.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Faults that software was not told of.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Reported faults that no expectation names.
    pub fn unexpected(&self) -> u64 {
        self.unexpected
    }

    /// The first [`MAX_FAULTS`] of them.
    pub fn list(&self) -> &[SeenFault] {
        &self.list
    }

    /// Takes note of a fault; `expected` is found out here.
    pub(super) fn add(&mut self, mut fault: SeenFault) {
        self.total += 1;
        if fault.suppressed() {
            self.suppressed += 1;
        } else {
            for (expectation, met) in self.rules.expect.iter().zip(&mut self.met) {
                if expectation.matches(fault.master, fault.reason, fault.address) {
                    *met += 1;
                    fault.expected = true;
                }
            }
            if !fault.expected {
                self.unexpected += 1;
                self.first_unexpected.get_or_insert_with(|| fault.clone());
            }
        }
        if self.list.len() < MAX_FAULTS {
            self.list.push(fault);
        }
    }

    /// Why an expectation that was met `met` times is broken, if it is.
    pub fn missing(&self, expectation: &Expectation, met: u64) -> Option<String> {
        let (code, what) = (expectation.code(), expectation.describe());
        let seen = self.kinds(code);
        (met == 0).then(|| format!("expected {expectation} ({code:#04x}, {what}) was not seen; {seen}"))
    }

    /// Why the ban of other faults is broken, if it is.
    pub fn denied(&self) -> Option<String> {
        let fault = self.first_unexpected.as_ref().filter(|_| self.rules.deny_others)?;
        let SeenFault { reason, master, .. } = fault;
        let rule = match (master, fault.names()) {
            (Master::Function(source), _) => format!("fault:{reason:#04x}@{source}"),
            (Master::Stream(stream), (Some(name), _)) => format!("event={name},stream={:#x}", stream.0),
            (Master::Stream(stream), _) => format!("event={reason:#04x},stream={:#x}", stream.0),
        };
        let more = match self.unexpected {
            1 => String::new(),
            all => format!(" (the first of {all})"),
        };
        Some(format!("unexpected fault {fault}{more}; if it is right, allow it with --expect {rule}"))
    }

    /// Every broken rule, as a sentence.
    pub fn broken(&self) -> impl Iterator<Item = String> {
        self.expectations()
            .filter_map(|(expectation, met)| self.missing(expectation, met))
            .chain(self.denied())
    }

    /// What there was, in short, for somebody who looked for `wanted`: that first, because most often
    /// it came from another function than was thought.
    fn kinds(&self, wanted: u8) -> String {
        let mut kinds = BTreeMap::<_, u32>::new();
        for fault in &self.list {
            let SeenFault { reason, master, .. } = *fault;
            *kinds.entry((reason != wanted, reason, master, fault.suppressed())).or_default() += 1;
        }
        if kinds.is_empty() {
            return "no fault was".to_owned();
        }
        let kind = |((_, reason, master, suppressed), count): (&(bool, u8, Master, bool), &u32)| {
            let fate = match (suppressed, master) {
                (false, _) => "",
                (true, Master::Function(_)) => " suppressed by FPD",
                (true, Master::Stream(_)) => " not to be recorded",
            };
            let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
            format!("{reason:#04x}@{master}{fate}{times}")
        };
        let mut words: Vec<String> = kinds.iter().take(MAX_KINDS).map(kind).collect();
        if kinds.len() > MAX_KINDS {
            words.push(format!("{} other kinds", kinds.len() - MAX_KINDS));
        }
        format!("seen: {}", words.join(", "))
    }
}
