//! TLB maintenance.

use serde::{Deserialize, Serialize};

/// What a TLBI invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) enum Scope {
    /// Everything.
    All,
}
