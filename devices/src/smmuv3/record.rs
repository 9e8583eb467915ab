//! Event records as they lie in the queue [SMMUv3 7.3].

use super::event::{Class, FaultKind, Reason, Report, Stage, Subject, TranslationFault};
use crate::addr::{Ipa, Pa};
use crate::register;

register! {
    /// Every kind of record; each uses some of the fields. FetchAddr takes the place of the IPA.
    struct Record: [u64; 4] {
        255:248 Reserved _r8,
        /// Bits 55:12 of the IPA, or of FetchAddr.
        247:204 Field ipa: u64,
        /// Bits 11:3 of FetchAddr.
        203:195 Field fetch_low: u16,
        194:192 Reserved _r7,
        191:128 Field address: u64,
        127:109 Reserved _r6,
        /// TTRnW.
        108:108 Field ttrnw: bool,
        107:106 Reserved _r5,
        105:104 Field class: u8,
        103:103 Field s2: bool,
        102:100 Reserved _r4,
        99:99   Field rnw: bool,
        98:98   Field ind: bool,
        97:97   Field pnu: bool,
        96:96   Reserved _r3,
        95:95   Field stall: bool,
        94:80   Reserved _r2,
        79:64   Field stag: u16,
        63:32   Field stream: u32,
        31:12   Field substream: u32,
        11:11   Field ssv: bool,
        10:8    Reserved _r0,
        7:0     Field kind: u8,
    }
}

impl Reason {
    /// The record's type [SMMUv3 7.3].
    pub const fn code(self) -> u8 {
        match self {
            Self::UnsupportedTransaction => 0x01,
            Self::BadStreamId => 0x02,
            Self::SteFetch(_) => 0x03,
            Self::BadSte => 0x04,
            Self::StreamDisabled => 0x06,
            Self::TranslationForbidden => 0x07,
            Self::BadSubstreamId => 0x08,
            Self::CdFetch(_) => 0x09,
            Self::BadCd => 0x0a,
            Self::WalkAbort { .. } => 0x0b,
            Self::Fault(TranslationFault { kind, .. }) => match kind {
                FaultKind::Translation => 0x10,
                FaultKind::AddressSize => 0x11,
                FaultKind::Access => 0x12,
                FaultKind::Permission => 0x13,
            },
        }
    }

    /// The specification's name of the record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnsupportedTransaction => "F_UUT",
            Self::BadStreamId => "C_BAD_STREAMID",
            Self::SteFetch(_) => "F_STE_FETCH",
            Self::BadSte => "C_BAD_STE",
            Self::StreamDisabled => "F_STREAM_DISABLED",
            Self::TranslationForbidden => "F_TRANSL_FORBIDDEN",
            Self::BadSubstreamId => "C_BAD_SUBSTREAMID",
            Self::CdFetch(_) => "F_CD_FETCH",
            Self::BadCd => "C_BAD_CD",
            Self::WalkAbort { .. } => "F_WALK_EABT",
            Self::Fault(TranslationFault { kind, .. }) => match kind {
                FaultKind::Translation => "F_TRANSLATION",
                FaultKind::AddressSize => "F_ADDR_SIZE",
                FaultKind::Access => "F_ACCESS",
                FaultKind::Permission => "F_PERMISSION",
            },
        }
    }
}

impl Report {
    /// The record, low word first. Reason fields, which are the implementation's own, are zero.
    pub fn record(&self) -> [u64; 4] {
        let Self { reason, subject, stall, merge: _ } = *self;
        let record = Record::ZERO.with_kind(reason.code()).with_stream(subject.stream.0);
        match reason {
            Reason::UnsupportedTransaction => record.of(subject).asked(subject),
            Reason::BadStreamId | Reason::BadSte | Reason::BadCd => record.of(subject),
            Reason::SteFetch(at) | Reason::CdFetch(at) => record.of(subject).fetched(at),
            Reason::StreamDisabled => record,
            Reason::TranslationForbidden => record.with_rnw(subject.read).with_address(subject.address.0),
            // SSV is reserved here: there always is a SubstreamID, that of the CD table's first entry where
            // the transaction had none.
            Reason::BadSubstreamId => record.of(subject).with_ssv(false),
            Reason::WalkAbort { stage, class, at } => {
                record.of(subject).asked(subject).found(stage, class).fetched(at)
            }
            Reason::Fault(fault) => {
                let written_for_walk = fault.kind == FaultKind::Permission && fault.class == Class::Tt;
                record
                    .of(subject)
                    .asked(subject)
                    .found(fault.stage, fault.class)
                    .with_ipa(fault.ipa.map_or(0, |Ipa(ipa)| ipa >> 12))
                    .with_ttrnw(written_for_walk && fault.descriptor_read)
                    .with_stag(stall.unwrap_or(0))
                    .with_stall(stall.is_some())
            }
        }
        .raw()
    }
}

impl Record {
    /// SSV and SubstreamID.
    fn of(self, subject: Subject) -> Self {
        let substream = subject.substream;
        self.with_ssv(substream.is_some()).with_substream(substream.map_or(0, |id| id.get()))
    }

    /// The access that was asked for. Only reads are of instructions.
    fn asked(self, subject: Subject) -> Self {
        self.with_rnw(subject.read)
            .with_ind(subject.instruction && subject.read)
            .with_pnu(subject.privileged)
            .with_address(subject.address.0)
    }

    /// Who failed, and what for.
    fn found(self, stage: Stage, class: Class) -> Self {
        self.with_s2(stage == Stage::Two).with_class(class as u8)
    }

    /// FetchAddr.
    fn fetched(self, Pa(at): Pa) -> Self {
        // Nine bits.
        self.with_ipa(at >> 12).with_fetch_low((at >> 3 & 0x1ff) as u16)
    }
}
