//! Names of event records, for options and reports.

use super::event::Reason;

/// What traces say of an event that CR2.RECINVSID or CR0.SMMUEN keeps from being recorded
/// [SMMUv3 6.3.12]. Software is not told of it.
pub const UNWANTED: &str = "not to be recorded";

/// What an event record is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventName {
    /// Type in the record [SMMUv3 7.3].
    pub code: u8,
    /// The specification's name.
    pub name: &'static str,
    /// In words.
    pub what: &'static str,
    /// Where the specification has it.
    pub clause: &'static str,
}

/// The events that a unit has, by their codes.
pub const EVENTS: [EventName; 14] = [
    row(0x01, "F_UUT", "a transaction that the unit does not support", "SMMUv3 7.3.2"),
    row(0x02, "C_BAD_STREAMID", "the stream table has no entry for the StreamID", "SMMUv3 7.3.3"),
    row(0x03, "F_STE_FETCH", "the STE cannot be read", "SMMUv3 7.3.4"),
    row(0x04, "C_BAD_STE", "the STE is illegal", "SMMUv3 7.3.5"),
    row(0x06, "F_STREAM_DISABLED", "the stream serves no such SubstreamID, or none without", "SMMUv3 7.3.7"),
    row(0x07, "F_TRANSL_FORBIDDEN", "a translated transaction where there is no ATS", "SMMUv3 7.3.8"),
    row(0x08, "C_BAD_SUBSTREAMID", "the CD table has no entry for the SubstreamID", "SMMUv3 7.3.9"),
    row(0x09, "F_CD_FETCH", "the CD cannot be read", "SMMUv3 7.3.10"),
    row(0x0a, "C_BAD_CD", "the CD is illegal", "SMMUv3 7.3.11"),
    row(0x0b, "F_WALK_EABT", "a descriptor cannot be read or written", "SMMUv3 7.3.12"),
    row(0x10, "F_TRANSLATION", "nothing is mapped", "SMMUv3 7.3.13"),
    row(0x11, "F_ADDR_SIZE", "an address beyond the output size", "SMMUv3 7.3.14"),
    row(0x12, "F_ACCESS", "the access flag is clear", "SMMUv3 7.3.15"),
    row(0x13, "F_PERMISSION", "no permission", "SMMUv3 7.3.16"),
];

const fn row(code: u8, name: &'static str, what: &'static str, clause: &'static str) -> EventName {
    EventName { code, name, what, clause }
}

impl EventName {
    /// The event with this code.
    pub fn of_code(code: u8) -> Option<Self> {
        EVENTS.into_iter().find(|event| event.code == code)
    }

    /// The event with this name, in capitals or not.
    pub fn of_name(name: &str) -> Option<Self> {
        EVENTS.into_iter().find(|event| event.name.eq_ignore_ascii_case(name))
    }
}

impl Reason {
    /// What went wrong, in words.
    pub fn describe(self) -> &'static str {
        // Every code is in the table.
        EventName::of_code(self.code()).map_or("", |event| event.what)
    }

    /// Where the specification has the record.
    pub fn clause(self) -> &'static str {
        EventName::of_code(self.code()).map_or("", |event| event.clause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Pa;
    use crate::smmuv3::event::{Class, FaultKind, Stage, TranslationFault};

    #[test]
    fn every_reason_has_its_row() {
        let fault = |kind| {
            let (stage, class) = (Stage::One, Class::In);
            Reason::Fault(TranslationFault { kind, stage, class, ipa: None, descriptor_read: false })
        };
        let reasons = [
            Reason::UnsupportedTransaction,
            Reason::BadStreamId,
            Reason::SteFetch(Pa(0)),
            Reason::BadSte,
            Reason::StreamDisabled,
            Reason::TranslationForbidden,
            Reason::BadSubstreamId,
            Reason::CdFetch(Pa(0)),
            Reason::BadCd,
            Reason::WalkAbort { stage: Stage::One, class: Class::Tt, at: Pa(0) },
            fault(FaultKind::Translation),
            fault(FaultKind::AddressSize),
            fault(FaultKind::Access),
            fault(FaultKind::Permission),
        ];
        assert_eq!(reasons.len(), EVENTS.len());
        for (reason, event) in reasons.into_iter().zip(EVENTS) {
            assert_eq!((reason.code(), reason.name()), (event.code, event.name));
            assert_eq!((reason.describe(), reason.clause()), (event.what, event.clause));
            assert_eq!(EventName::of_name(&event.name.to_lowercase()), Some(event));
        }
        assert_eq!([0x05, 0x00, 0xff].map(EventName::of_code), [None; 3]);
    }
}
