//! What a request comes to, and under which name the specification has it.

use serde::Serialize;

use super::run::Run;
use crate::addr::Pa;
use crate::fabric::{Outcome, Verdict};
use crate::iommu::explain::{self, Hex, Step};
use crate::iommu::walk::Rights;
use crate::mem::PhysMem;
use crate::vtd::Reason;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// How, as the device sees it.
    pub outcome: Outcome,
    /// Why; `None` where the unit has no fault for it.
    pub cause: Option<Cause>,
    /// The protected region that keeps it out, which is no fault [VT-d 11.4.8].
    pub protected: Option<Region>,
}

/// What a request comes to.
pub type Answer = explain::Answer<Refused>;

/// A protected memory region, as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// Which.
    pub name: &'static str,
    /// Physical address that the request would have gone to.
    pub address: Hex,
    /// First byte.
    pub first: Hex,
    /// Last byte.
    pub last: Hex,
}

/// A fault, as the specification has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The reason code, as in FRCD.FR.
    pub code: Hex,
    /// The code in words.
    pub what: &'static str,
    /// The specification's name of the condition; faults of interrupts have none.
    pub condition: Option<&'static str>,
    /// Where the specification says so.
    pub clause: &'static str,
    /// Whether FPD = 1 would keep it from being recorded.
    pub qualified: bool,
    /// Whether FPD does.
    pub suppressed: bool,
}

impl Answer {
    pub(super) fn new(run: &Run, steps: &[Step], protected: Option<Region>, mem: &PhysMem) -> Self {
        match (run.verdict, run.message) {
            (Verdict::Memory { pa, .. }, _) => {
                let page = run.page();
                let rights = page.map_or(Rights::BOTH, |(_, rights)| rights);
                Self::Memory {
                    address: Hex(pa.0),
                    ram: is_ram(mem, pa),
                    page_bytes: page.map(|(bytes, _)| bytes),
                    read: rights.grants(Rights::READ),
                    write: rights.grants(Rights::WRITE),
                }
            }
            (Verdict::Interrupt, Some((address, data))) => {
                Self::Interrupt { address: Hex(address), data: Hex(data.into()) }
            }
            (Verdict::Interrupt | Verdict::Nothing, _) => Self::Nothing,
            (Verdict::Refused(outcome), _) => {
                let cause = run.reason.map(|(reason, suppressed)| Cause {
                    code: Hex(reason.code().into()),
                    what: reason.describe(),
                    condition: condition(reason, steps),
                    clause: clause(reason),
                    qualified: reason.qualified(),
                    suppressed,
                });
                Self::Refused(Refused { outcome, cause, protected })
            }
        }
    }

    /// Why it is refused, if it is and the unit has a fault for it.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Refused(refused) => refused.cause.as_ref(),
            Self::Memory { .. } | Self::Interrupt { .. } | Self::Nothing => None,
        }
    }

    /// Whether both let the request do the same: the size of the page makes no difference to it.
    pub(super) fn decides_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory { address, .. }, Self::Memory { address: there, .. }) => address == there,
            (Self::Refused(one), Self::Refused(two)) => {
                let essence = |refused: &Refused| refused.cause.as_ref().map(|c| (c.code, c.suppressed));
                one.outcome == two.outcome && essence(one) == essence(two) && one.protected == two.protected
            }
            _ => self == other,
        }
    }
}

fn is_ram(mem: &PhysMem, pa: Pa) -> bool {
    mem.resolve(pa).is_some()
}

/// The name in the table of [VT-d 7.1.3], with its last part where the steps tell which it is.
fn condition(reason: Reason, steps: &[Step]) -> Option<&'static str> {
    let last = steps.iter().rev().find(|step| step.decides);
    let decided = |field: &str| last.is_some_and(|step| step.decided_by(field));
    let part = match reason {
        Reason::ContextInvalid if decided("aw") => Some("LCT.4.1"),
        Reason::ContextInvalid if decided("tt") => Some("LCT.4.2"),
        Reason::ContextInvalid if decided("ssptptr") => Some("LCT.4.3"),
        Reason::AddressBeyondWidth if decided("aw") => Some("LGN.1.1"),
        Reason::AddressBeyondWidth if decided("tt") => Some("LGN.1.3"),
        Reason::TableMode => match last.and_then(|step| step.value_of("ttm")) {
            Some(3) => Some("RTA.1.1"),
            Some(2) => Some("RTA.1.2"),
            Some(1) => Some("RTA.1.3"),
            _ => None,
        },
        _ => None,
    };
    part.or(reason.condition())
}

/// Where the specification lists the reason.
fn clause(reason: Reason) -> &'static str {
    match reason {
        Reason::InterruptRangeAccess => "VT-d 3.15",
        Reason::InterruptReserved
        | Reason::InterruptIndex
        | Reason::InterruptNotPresent
        | Reason::InterruptTableAccess
        | Reason::InterruptEntryReserved
        | Reason::InterruptCompatibility
        | Reason::InterruptSource => "VT-d 5.1.4.1",
        _ => "VT-d 7.1.3",
    }
}
