//! What makes a CD ILLEGAL [SMMUv3 5.4.2].

use thiserror::Error;

/// The rule that a CD breaks; the transaction is aborted with C_BAD_CD. In the order in which rules are
/// checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Illegal {
    /// V = 0.
    #[error("the descriptor is not valid")]
    NotValid,
    /// S = 1 under an STE with S1STALLD = 1.
    #[error("the STE disables stalls: S1STALLD = 1")]
    StallDisabled,
    /// A = 0 where faults can only abort.
    #[error("terminated transactions can only abort: IDR0.TERM_MODEL = 1")]
    AbortForced,
    /// S = 1 without stalls.
    #[error("faults cannot stall: IDR0.STALL_MODEL = 0b01")]
    StallAbsent,
    /// S = 0 where stalls are forced.
    #[error("faults must stall: IDR0.STALL_MODEL = 0b10")]
    StallForced,
    /// ENDI is not among the endiannesses.
    #[error("the endianness is not implemented: IDR0.TTENDIAN")]
    Endianness,
    /// AA64 = 0.
    #[error("VMSAv8-32 tables are not implemented: IDR0.TTF[0] = 0")]
    Vmsav8_32,
    /// HA or HD without hardware update.
    #[error("hardware update is not implemented: IDR0.HTTU = 0b00")]
    NoHardwareUpdate,
    /// HD where only access flags are updated.
    #[error("hardware update of dirty state is not implemented: IDR0.HTTU = 0b01")]
    NoDirtyUpdate,
    /// Bits 15:8 of ASID are not 0 with 8-bit ASIDs.
    #[error("ASIDs have 8 bits: IDR0.ASID16 = 0")]
    WideAsid,
    /// T0SZ or T1SZ out of range.
    #[error("the input size of {0} is out of range for its granule, IDR5.VAX, DS and IDR3.STT")]
    InputSize(Base),
    /// TG0 or TG1 is reserved, or a granule that is not there.
    #[error("the granule of {0} is reserved or not implemented: IDR5.GRANxK = 0")]
    Granule(Base),
    /// TTB0 or TTB1 beyond the effective IPS, or beyond 48 bits where descriptors carry no more.
    #[error("{0} lies beyond the effective IPS, or beyond 48 bits with small granules and DS = 0")]
    TableRange(Base),
}

/// One of the two table bases of a CD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// Of low addresses, those with bit 55 clear.
    Ttb0,
    /// Of high addresses.
    Ttb1,
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ttb0 => "TTB0",
            Self::Ttb1 => "TTB1",
        })
    }
}

impl Illegal {
    /// All rules, in the order in which they are checked.
    pub const ALL: [Self; 16] = [
        Self::NotValid,
        Self::StallDisabled,
        Self::AbortForced,
        Self::StallAbsent,
        Self::StallForced,
        Self::Endianness,
        Self::Vmsav8_32,
        Self::NoHardwareUpdate,
        Self::NoDirtyUpdate,
        Self::WideAsid,
        Self::InputSize(Base::Ttb0),
        Self::InputSize(Base::Ttb1),
        Self::Granule(Base::Ttb0),
        Self::TableRange(Base::Ttb0),
        Self::Granule(Base::Ttb1),
        Self::TableRange(Base::Ttb1),
    ];

    /// The field that is wrong, as [`super::Cd`] names it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::NotValid => "v",
            Self::StallDisabled | Self::StallAbsent | Self::StallForced => "s",
            Self::AbortForced => "a",
            Self::Endianness => "endi",
            Self::Vmsav8_32 => "aa64",
            Self::NoHardwareUpdate => "ha",
            Self::NoDirtyUpdate => "hd",
            Self::WideAsid => "asid",
            Self::InputSize(Base::Ttb0) => "t0sz",
            Self::InputSize(Base::Ttb1) => "t1sz",
            Self::Granule(Base::Ttb0) => "tg0",
            Self::Granule(Base::Ttb1) => "tg1",
            Self::TableRange(Base::Ttb0) => "ttb0",
            Self::TableRange(Base::Ttb1) => "ttb1",
        }
    }
}
