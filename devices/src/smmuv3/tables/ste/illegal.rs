//! What makes an STE ILLEGAL [SMMUv3 5.2.2].

use thiserror::Error;

/// The rule that an STE breaks; the transaction is aborted with C_BAD_STE. In the order in which rules are
/// checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Illegal {
    /// V = 0.
    #[error("the entry is not valid")]
    NotValid,
    /// Config asks for a stage 1 that is not there.
    #[error("stage 1 is not implemented: IDR0.S1P = 0")]
    NoStage1,
    /// Config asks for a stage 2 that is not there.
    #[error("stage 2 is not implemented: IDR0.S2P = 0")]
    NoStage2,
    /// STRW = x1.
    #[error("the stream world is reserved; Non-secure streams have 0b00 or 0b10")]
    ReservedWorld,
    /// S1STALLD = 1 where software cannot choose whether faults stall.
    #[error("stalls cannot be disabled: IDR0.STALL_MODEL is not 0b00")]
    StallNotConfigurable,
    /// S1CDMax beyond SSIDSIZE.
    #[error("there are more CDs than SubstreamIDs: more bits than IDR1.SSIDSIZE")]
    TooManyContexts,
    /// S1Fmt = 01 or 10 without two-level CD tables.
    #[error("two-level CD tables are not implemented: IDR0.CD2L = 0")]
    NoTwoLevelContexts,
    /// S1ContextPtr beyond IAS or OAS.
    #[error("the CD table lies beyond the address size, IDR5.OAS")]
    ContextPointerRange,
    /// S2S = 1 without stalls.
    #[error("stage-2 faults cannot stall: IDR0.STALL_MODEL = 0b01")]
    StallAbsent,
    /// S2S = 0 where stalls are forced.
    #[error("stage-2 faults must stall: IDR0.STALL_MODEL = 0b10")]
    StallForced,
    /// S2AA64 = 0.
    #[error("VMSAv8-32 tables are not implemented: IDR0.TTF[0] = 0")]
    Vmsav8_32,
    /// S2HA or S2HD without hardware update.
    #[error("hardware update is not implemented: IDR0.HTTU = 0b00")]
    NoHardwareUpdate,
    /// S2HD where only access flags are updated.
    #[error("hardware update of dirty state is not implemented: IDR0.HTTU = 0b01")]
    NoDirtyUpdate,
    /// S2TG is reserved, or a granule that is not there.
    #[error("the granule is reserved or not implemented: IDR5.GRANxK = 0")]
    Granule,
    /// S2TTB beyond the effective S2PS, or beyond 48 bits where descriptors carry no more.
    #[error("the table lies beyond the effective S2PS, or beyond 48 bits with small granules and S2DS = 0")]
    TableRange,
    /// S2T0SZ beyond what stage 2 can have.
    #[error("the input size is out of range for IDR5.OAS, IDR3.STT, S2TG and S2DS")]
    InputSize,
    /// S2SL0 is reserved, or not for this granule and input size.
    #[error("the start level is reserved, or does not fit S2T0SZ, S2TG, S2DS and IDR5.OAS")]
    StartLevel,
    /// S2ENDI is not among the endiannesses.
    #[error("the endianness is not implemented: IDR0.TTENDIAN")]
    Endianness,
    /// Bits 15:8 of S2VMID are not 0 with 8-bit VMIDs.
    #[error("VMIDs have 8 bits: IDR0.VMID16 = 0")]
    WideVmid,
}

impl Illegal {
    /// All rules, in the order in which they are checked.
    pub const ALL: [Self; 19] = [
        Self::NotValid,
        Self::NoStage1,
        Self::NoStage2,
        Self::ReservedWorld,
        Self::StallNotConfigurable,
        Self::TooManyContexts,
        Self::NoTwoLevelContexts,
        Self::ContextPointerRange,
        Self::StallAbsent,
        Self::StallForced,
        Self::Vmsav8_32,
        Self::NoHardwareUpdate,
        Self::NoDirtyUpdate,
        Self::Granule,
        Self::TableRange,
        Self::InputSize,
        Self::StartLevel,
        Self::Endianness,
        Self::WideVmid,
    ];

    /// The field that is wrong, as [`super::Ste`] names it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::NotValid => "v",
            Self::NoStage1 | Self::NoStage2 => "config",
            Self::ReservedWorld => "strw",
            Self::StallNotConfigurable => "s1stalld",
            Self::TooManyContexts => "s1cdmax",
            Self::NoTwoLevelContexts => "s1fmt",
            Self::ContextPointerRange => "s1contextptr",
            Self::StallAbsent | Self::StallForced => "s2s",
            Self::Vmsav8_32 => "s2aa64",
            Self::NoHardwareUpdate => "s2ha",
            Self::NoDirtyUpdate => "s2hd",
            Self::Granule => "s2tg",
            Self::TableRange => "s2ttb",
            Self::InputSize => "s2t0sz",
            Self::StartLevel => "s2sl0",
            Self::Endianness => "s2endi",
            Self::WideVmid => "s2vmid",
        }
    }
}
