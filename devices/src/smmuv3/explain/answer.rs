//! What a transaction comes to, and the record that software would find.

use std::fmt;

use serde::Serialize;

use super::run::Run;
use super::steps::Question;
use crate::fabric::{Access, Initiator, Outcome, Verdict};
use crate::iommu::explain::{self, Hex};
use crate::smmuv3::control::Control;
use crate::smmuv3::event::{Class, Reason, Stage, TranslationFault};
use crate::smmuv3::tables::cd::OnFault;
use crate::smmuv3::tables::ste::{self, Ste, Stream};
use crate::smmuv3::translate::{Refusal, wanted};
use crate::smmuv3::vmsa::Wanted;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// How, as the master sees it.
    pub outcome: Outcome,
    /// The event; `None` where the unit has none for it.
    pub event: Option<Event>,
}

/// An event, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Type in the record.
    pub code: Hex,
    /// The specification's name.
    pub name: &'static str,
    /// In words.
    pub what: &'static str,
    /// Where the specification says so.
    pub clause: &'static str,
    /// The stage that found it, 1 or 2, where one did.
    pub stage: Option<u8>,
    /// What was being translated, `CD`, `TT` or `IN`, likewise.
    pub class: Option<&'static str>,
    /// The address that stage 2 could not translate.
    pub ipa: Option<Hex>,
    /// The address that could not be read.
    pub fetch: Option<Hex>,
    /// The record, lowest word first; `None` where there is none.
    pub record: Option<[Hex; 4]>,
    /// What becomes of the record.
    pub fate: &'static str,
    /// The STAG that the transaction is held under.
    pub stag: Option<u16>,
    /// What there is to say of stalling.
    pub stall: Option<&'static str>,
}

/// What a transaction comes to.
pub type Answer = explain::Answer<Refused>;

impl Answer {
    pub(super) fn new(question: &Question<'_>, data: u32, run: &Run, control: &Control) -> Self {
        let Question { config, request, .. } = *question;
        let pa = match run.verdict {
            Verdict::Memory { pa, .. } => pa,
            // An SMMU has no message window.
            Verdict::Interrupt | Verdict::Nothing => return Self::Nothing,
            Verdict::Refused(outcome) => {
                let event = run.refusal().map(|refusal| {
                    let can_stall = matches!(request.initiator, Initiator::Platform { can_stall: true, .. });
                    Event::new(refusal, run, outcome, can_stall, control)
                });
                return Self::Refused(Refused { outcome, event });
            }
        };
        let (_, _, mem) = control.parts();
        let ram = mem.resolve(pa).is_some_and(|(_, left)| request.len <= left);
        let form = matches!(request.len, 2 | 4) && pa.0.is_multiple_of(request.len);
        if !ram
            && request.access == Access::Write
            && form
            && config.doorbell.is_some_and(|doorbell| doorbell.contains(pa))
        {
            let data = if request.len == 2 { data & 0xffff } else { data };
            return Self::Interrupt { address: Hex(pa.0), data: Hex(data.into()) };
        }
        let overrides = match (run.hit, run.ste()) {
            (Some(hit), _) => hit.overrides,
            (None, Some(words)) => match ste::decode(Ste::from_raw(words), config, question.global.cr2) {
                Ok(Stream::Serve(service)) => service.overrides,
                _ => Default::default(),
            },
            (None, None) => Default::default(),
        };
        let wanted = wanted(request, &overrides);
        let page = run.page();
        let permits = |read, write| {
            page.is_none_or(|(_, permissions)| permissions.grant(Wanted { read, write, ..wanted }))
        };
        Self::Memory {
            address: Hex(pa.0),
            ram,
            // At most 52.
            page_bytes: page.map(|(bits, _)| 1 << bits.min(63)),
            read: permits(true, false),
            write: permits(false, true),
        }
    }

    /// The event, if it is refused and the unit has one for it.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Refused(refused) => refused.event.as_ref(),
            Self::Memory { .. } | Self::Interrupt { .. } | Self::Nothing => None,
        }
    }

    /// Whether both let the transaction do the same: the size of the page makes no difference to it.
    pub(super) fn decides_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory { address, .. }, Self::Memory { address: there, .. }) => address == there,
            _ => self == other,
        }
    }
}

impl Event {
    fn new(refusal: &Refusal, run: &Run, outcome: Outcome, can_stall: bool, control: &Control) -> Self {
        let Refusal { reason, on_fault: OnFault { stall, .. }, .. } = *refusal;
        let (stage, class, ipa) = match reason {
            Reason::Fault(TranslationFault { stage, class, ipa, .. }) => (Some(stage), Some(class), ipa),
            Reason::WalkAbort { stage, class, .. } => (Some(stage), Some(class), None),
            _ => (None, None, None),
        };
        let held = matches!(outcome, Outcome::Stalled(_));
        Self {
            code: Hex(reason.code().into()),
            name: reason.name(),
            what: reason.describe(),
            clause: reason.clause(),
            stage: stage.map(|stage| match stage {
                Stage::One => 1,
                Stage::Two => 2,
            }),
            class: class.map(|class| match class {
                Class::Cd => "CD",
                Class::Tt => "TT",
                Class::In => "IN",
            }),
            ipa: ipa.map(|ipa| Hex(ipa.0)),
            fetch: match reason {
                Reason::SteFetch(at) | Reason::CdFetch(at) | Reason::WalkAbort { at, .. } => Some(Hex(at.0)),
                _ => None,
            },
            record: run.report.map(|report| report.record().map(Hex)),
            fate: match run.report {
                Some(report) => control.fate(&report),
                None if held => "waiting for a STAG",
                None if stage == Some(Stage::Two) => "not recorded, because STE.S2R = 0",
                None => "not recorded, because CD.R = 0",
            },
            stag: run.report.and_then(|report| report.stall),
            stall: match (held, stall) {
                (true, _) => Some("held until CMD_RESUME or CMD_STALL_TERM"),
                (false, true) if can_stall => Some("it should stall, but as many as can be are held"),
                (false, true) => Some("it should stall, but a PCI function must not be held"),
                (false, false) => None,
            },
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { outcome, event: Some(event) } => write!(f, "{outcome}: {event}"),
            Self { outcome, event: None } => write!(f, "{outcome}; there is no event for it"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, name, what, clause, stage, class, ipa, fetch, record, fate, stag, stall } = self;
        write!(f, "event {:02x}h, {name}, {what}", code.0)?;
        if let Some(stage) = stage {
            write!(f, ", found by stage {stage}")?;
        }
        if let Some(class) = class {
            write!(f, ", CLASS {class}")?;
        }
        if let Some(ipa) = ipa {
            write!(f, ", IPA {ipa}")?;
        }
        if let Some(fetch) = fetch {
            write!(f, ", at {fetch}")?;
        }
        write!(f, " [{clause}]; {fate}")?;
        if let Some(stall) = stall {
            write!(f, "; {stall}")?;
        }
        if let Some(stag) = stag {
            write!(f, ", STAG {stag:#x}")?;
        }
        let Some(record) = record else { return Ok(()) };
        write!(f, "\nrecord:")?;
        record.iter().rev().try_for_each(|word| write!(f, " {:#018x}", word.0))
    }
}
