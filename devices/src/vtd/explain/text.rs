//! Explanations as text.

use std::fmt;

use super::steps::size;
use super::{Answer, Cached, Cause, Explanation, FieldView, Place, Region, RequestView, STRUCTURES, Step};
use crate::fabric::{Access, Kind};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, steps, caches, through_caches, answer, fresh } = self;
        writeln!(f, "{request}")?;
        for step in steps {
            write!(f, "\n{step}")?;
        }
        if !caches.is_empty() {
            writeln!(f, "\ncaches")?;
        }
        for cached in caches {
            writeln!(f, "  {cached}")?;
        }
        if !through_caches.is_empty() {
            writeln!(f, "\nby way of the caches")?;
        }
        for step in through_caches {
            write!(f, "\n{step}")?;
        }
        write!(f, "\nresult: {answer}")?;
        match fresh {
            Some(fresh) => write!(f, "\nwith empty caches: {fresh}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RequestView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, address, len, access, kind, pasid, data } = self;
        let what = match access {
            Access::Read => "reads",
            Access::Write => "writes",
            Access::Atomic => "updates",
        };
        write!(f, "{source} {what} {len} bytes at {address}")?;
        if let Some(data) = data {
            write!(f, ", data {data}")?;
        }
        if let Some(pasid) = pasid {
            write!(f, ", PASID {pasid:#x}")?;
        }
        match kind {
            Kind::Untranslated => Ok(()),
            Kind::Translated => write!(f, ", as a translated address"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, place, words, fields, must_be_zero, meaning, decides } = self;
        write!(f, "{table}")?;
        match place {
            Place::Register(offset) => write!(f, " (register {offset})")?,
            Place::Latch => write!(f, " (as latched)")?,
            Place::Memory(address) => write!(f, " at {address}")?,
            Place::Cache => write!(f, " (cached)")?,
            Place::Request => {}
        }
        if !words.is_empty() {
            write!(f, " =")?;
        }
        for word in words.iter().rev() {
            // The registers shown by offset have 32 bits.
            let digits = if matches!(place, Place::Register(_)) { 10 } else { 18 };
            write!(f, " {:#0digits$x}", word.0)?;
        }
        writeln!(f)?;
        for field in fields {
            writeln!(f, "{field}")?;
        }
        if !must_be_zero.is_empty() {
            let bits: Vec<_> = must_be_zero.iter().map(u32::to_string).collect();
            writeln!(f, "  must be zero, but set: bits {}", bits.join(", "))?;
        }
        writeln!(f, "  {} {meaning}", if *decides { "=>" } else { "->" })
    }
}

impl fmt::Display for FieldView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, hi, lo, value, decides } = self;
        let bits = if hi == lo { hi.to_string() } else { format!("{hi}:{lo}") };
        write!(f, "  {bits:>7}  {name:<10} {value}{}", if *decides { "   <== decides" } else { "" })
    }
}

impl fmt::Display for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, holds, used, stale } = self;
        let Some(holds) = holds else { return write!(f, "{cache}: no entry") };
        let used = match (*used, *cache) {
            (true, STRUCTURES) => "the walk starts there",
            (true, _) => "it answers",
            (false, _) => "not asked",
        };
        write!(f, "{cache}: {holds}; {used}")?;
        if *stale { write!(f, "; STALE, memory says something else now") } else { Ok(()) }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { address, ram, page_bytes, read, write } => {
                write!(f, "physical address {address}")?;
                if let Some(bytes) = page_bytes {
                    let rights = rights_text(*read, *write);
                    write!(f, ", in a page of {} that permits {rights}", size(*bytes))?;
                }
                if *ram { Ok(()) } else { write!(f, "; no RAM is there, so the device sees aborted (UR)") }
            }
            Self::Interrupt { address, data } => write!(f, "interrupt message, {data} to {address}"),
            Self::Nothing => write!(f, "completes without touching memory"),
            Self::Refused { outcome, cause: Some(cause), .. } => write!(f, "{outcome}: {cause}"),
            Self::Refused { outcome, cause: None, protected: None } => {
                write!(f, "{outcome}; no fault is recorded")
            }
            Self::Refused { outcome, cause: None, protected: Some(region) } => {
                write!(f, "{outcome}: {region}; no fault is recorded")
            }
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, first, last } = self;
        write!(f, "physical address {address} is in the {name}, {first} to {last} [VT-d 11.4.8]")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, what, condition, clause, qualified, suppressed } = self;
        write!(f, "fault {:02x}h", code.0)?;
        if let Some(condition) = condition {
            write!(f, ", {condition}")?;
        }
        write!(f, ", {what} [{clause}]; ")?;
        f.write_str(match (suppressed, qualified) {
            (true, _) => "not recorded, because FPD = 1",
            (false, true) => "recorded; FPD = 1 would suppress it",
            (false, false) => "recorded; FPD does not count",
        })
    }
}

/// What is permitted.
pub(super) fn rights_text(read: bool, write: bool) -> &'static str {
    match (read, write) {
        (true, true) => "reads and writes",
        (true, false) => "reads",
        (false, true) => "writes",
        (false, false) => "nothing",
    }
}
