//! What a sanitizer saw.

use std::fmt;

use serde::Serialize;

use crate::{smmuv3, vtd};

/// A cached entry was used although memory had changed, in the words of the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Stale {
    /// By a VT-d unit.
    Vtd(vtd::StaleUse),
    /// By an SMMUv3.
    Smmuv3(smmuv3::StaleUse),
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vtd(stale) => stale.fmt(f),
            Self::Smmuv3(stale) => stale.fmt(f),
        }
    }
}
