//! Explanations as text.

use std::fmt;

use super::{Answer, Cached, Explanation, FieldView, Place, RequestView, Step};
use crate::fabric::{Access, Kind};

impl<R: fmt::Display> fmt::Display for Explanation<R> {
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
        let Self { source, stream, address, len, access, kind, pasid, privileged, instruction, data } = self;
        let what = match access {
            Access::Read => "reads",
            Access::Write => "writes",
            Access::Atomic => "updates",
        };
        write!(f, "{source}")?;
        if let Some(stream) = stream {
            write!(f, ", StreamID {stream},")?;
        }
        write!(f, " {what} {len} bytes at {address}")?;
        if let Some(data) = data {
            write!(f, ", data {data}")?;
        }
        if let Some(pasid) = pasid {
            let what = if stream.is_some() { "SubstreamID" } else { "PASID" };
            write!(f, ", {what} {pasid:#x}")?;
        }
        for (_, what) in
            [(privileged, "privileged"), (instruction, "instruction")].iter().filter(|(on, _)| **on)
        {
            write!(f, ", {what}")?;
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
            Place::Request | Place::Walk => {}
        }
        if !words.is_empty() {
            write!(f, " =")?;
        }
        // Of a long entry, no words of zeros before the others.
        let zeros =
            if words.len() > 2 { words.iter().rev().take_while(|word| word.0 == 0).count() } else { 0 };
        for word in words.iter().rev().skip(zeros.min(words.len().saturating_sub(1))) {
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
        let Self { cache, holds, used, stale, starts } = self;
        let Some(holds) = holds else { return write!(f, "{cache}: no entry") };
        let used = match (used, starts) {
            (true, true) => "the walk starts there",
            (true, false) => "it answers",
            (false, _) => "not asked",
        };
        write!(f, "{cache}: {holds}; {used}")?;
        if *stale { write!(f, "; STALE, memory says something else now") } else { Ok(()) }
    }
}

impl<R: fmt::Display> fmt::Display for Answer<R> {
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
            Self::Refused(refused) => refused.fmt(f),
        }
    }
}

/// What is permitted.
pub(crate) fn rights_text(read: bool, write: bool) -> &'static str {
    match (read, write) {
        (true, true) => "reads and writes",
        (true, false) => "reads",
        (false, true) => "writes",
        (false, false) => "nothing",
    }
}

/// A size of a page for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes.trailing_zeros() {
        40.. => format!("{} TiB", bytes >> 40),
        30..40 => format!("{} GiB", bytes >> 30),
        20..30 => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    }
}
