//! Refusals as text.

use std::fmt;

use super::{Cause, Refused, Region};

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { outcome, cause: Some(cause), .. } => write!(f, "{outcome}: {cause}"),
            Self { outcome, cause: None, protected: None } => write!(f, "{outcome}; no fault is recorded"),
            Self { outcome, cause: None, protected: Some(region) } => {
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
