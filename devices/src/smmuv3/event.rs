//! Event records [SMMUv3 7.3] and what leads to them.

use serde::{Deserialize, Serialize};

use crate::addr::{Iova, Ipa, Pa, Pasid, StreamId};

/// What a translation was under way for when stage 2 failed [SMMUv3 7.3, CLASS].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Class {
    /// The fetch of a CD or L1CD.
    Cd = 0b00,
    /// The fetch or update of a stage-1 descriptor.
    Tt = 0b01,
    /// The input address, or what stage 1 made of it.
    In = 0b10,
}

/// Which of the four faults whose consequence software configures [SMMUv3 3.12].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FaultKind {
    /// F_TRANSLATION.
    Translation,
    /// F_ADDR_SIZE.
    AddressSize,
    /// F_ACCESS.
    Access,
    /// F_PERMISSION.
    Permission,
}

/// A stage of translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Stage 1.
    One,
    /// Stage 2.
    Two,
}

/// Who asked, for which address and how: the fields that most records share. As the transaction was
/// after STE.INSTCFG and STE.PRIVCFG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// StreamID.
    pub stream: StreamId,
    /// SubstreamID, where the transaction had one.
    pub substream: Option<Pasid>,
    /// The address as the master presented it.
    pub address: Iova,
    /// RnW.
    pub read: bool,
    /// InD.
    pub instruction: bool,
    /// PnU.
    pub privileged: bool,
}

/// What went wrong with a transaction, by the names of the records [SMMUv3 7.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// F_UUT: a transaction that the unit does not support.
    UnsupportedTransaction,
    /// C_BAD_STREAMID.
    BadStreamId,
    /// F_STE_FETCH.
    SteFetch(Pa),
    /// C_BAD_STE.
    BadSte,
    /// F_STREAM_DISABLED.
    StreamDisabled,
    /// F_TRANSL_FORBIDDEN.
    TranslationForbidden,
    /// C_BAD_SUBSTREAMID.
    BadSubstreamId,
    /// F_CD_FETCH.
    CdFetch(Pa),
    /// C_BAD_CD.
    BadCd,
    /// F_WALK_EABT.
    WalkAbort {
        /// Whose descriptor could not be read or written.
        stage: Stage,
        /// For what it was needed; for stage 1 always [`Class::Tt`].
        class: Class,
        /// Address of the descriptor.
        at: Pa,
    },
    /// F_TRANSLATION, F_ADDR_SIZE, F_ACCESS or F_PERMISSION.
    Fault(TranslationFault),
}

/// One of the four faults, where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranslationFault {
    /// Which.
    pub kind: FaultKind,
    /// Who found it.
    pub stage: Stage,
    /// What was being translated; for stage 1 always [`Class::In`].
    pub class: Class,
    /// The address that stage 2 could not translate; none for stage 1.
    pub ipa: Option<Ipa>,
    /// For F_PERMISSION with CLASS = TT: the descriptor was read, not written.
    pub descriptor_read: bool,
}

/// What the translating half tells the control half: an event to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Why.
    pub reason: Reason,
    /// For whom.
    pub subject: Subject,
    /// The transaction is held under this STAG until software resumes it.
    pub stall: Option<u16>,
    /// The record may be merged with others: STE.MEV.
    pub merge: bool,
}
