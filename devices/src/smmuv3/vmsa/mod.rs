//! VMSAv8-64 translation tables [SMMUv3 3.4, 13; Arm ARM D8]: from the typed parameters of a regime and
//! an address to a mapping, or to the architected fault.
//!
//! [`translate`] takes a transaction's address through stage 1, stage 2 or both; [`translate_ipa`] takes
//! the address of a context descriptor through stage 2. Both walk tables with the engine of
//! [`crate::iommu::walk`]; nesting is a stage-1 walk whose fetches are stage-2 translations. What is
//! traced and cached is up to [`Hooks`].
//!
//! Nothing here allocates or loops without bound: five levels of stage 1 with five levels of stage 2 for
//! each descriptor and for the result are 35 fetches, and a descriptor that somebody else keeps changing
//! is tried for a fixed number of times.
//!
//! What is absent: checks of the parameters (they come from a legal STE and CD), the contiguous hint
//! (pages are mapped one by one), table descriptors' access flags, permission indirection and overlays,
//! 128-bit descriptors.

mod attributes;
mod descriptor;
mod hooks;
pub(super) mod look;
mod nested;
mod permissions;
mod stage1;
mod stage2;
#[cfg(test)]
mod tests;
mod update;

use serde::{Deserialize, Serialize};

use super::event::TranslationFault;
use crate::addr::{Ipa, Pa};
use crate::iommu::walk::Table;
pub use attributes::Attributes;
pub use descriptor::{Stage1Descriptor, Stage2Descriptor, TableDescriptor};
pub use hooks::{Hooks, Stage1Table, Stage2Table};
pub use nested::{translate, translate_ipa};
pub use permissions::{Permissions, Wanted};
pub use stage1::Limits;
pub use stage2::Stage2Page;

/// Size of the smallest page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Granule {
    /// 4 KiB.
    K4,
    /// 16 KiB.
    K16,
    /// 64 KiB.
    K64,
}

impl Granule {
    /// log2 of the bytes in a page: 12, 14 or 16.
    pub const fn bits(self) -> u32 {
        match self {
            Self::K4 => 12,
            Self::K16 => 14,
            Self::K64 => 16,
        }
    }

    /// Bits of the input address that a full table resolves: 9, 11 or 13.
    pub const fn index_bits(self) -> u32 {
        self.bits() - 3
    }

    /// Tables on the way from an input of `input_bits` to a page: as many as its bits above the page need.
    pub(super) const fn levels(self, input_bits: u32) -> u32 {
        // By constants, so that nothing is divided.
        match self {
            Self::K4 => input_bits.saturating_sub(12).div_ceil(9),
            Self::K16 => input_bits.saturating_sub(14).div_ceil(11),
            Self::K64 => input_bits.saturating_sub(16).div_ceil(13),
        }
    }
}

/// One table tree of stage 1: TTB0 or TTB1 of a CD, checked and with effective values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Half {
    /// TGx.
    pub granule: Granule,
    /// 64 - TxSZ: bits of the input address, 16 to 52.
    pub input_bits: u32,
    /// TTBx with the bits inside the first table cleared: an IPA where stage 2 is on, else a PA.
    pub table: u64,
    /// TBIx: the top byte is not looked at.
    pub top_byte_ignored: bool,
    /// HADx: permissions in table descriptors are ignored.
    pub no_hierarchy: bool,
    /// E0PDx: unprivileged access is a translation fault.
    pub no_unprivileged: bool,
    /// SHx: shareability of what 52-bit descriptors (LPA2) map, which have no room for their own.
    pub shareability: u8,
}

/// How access flags and dirty state are managed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareUpdate {
    /// HA, S2HA: AF = 0 is set by hardware.
    pub access: bool,
    /// HD, S2HD: DBM = 1 makes a clean page writable.
    pub dirty: bool,
    /// AFFD, S2AFFD: AF = 0 is no fault; ignored with `access`.
    pub no_access_fault: bool,
}

/// Stage 1 of a regime: a CD, checked and with effective values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage1 {
    /// TTB0; `None` where EPD0 disables it.
    pub low: Option<Half>,
    /// TTB1; `None` where EPD1 disables it or the world has one range.
    pub high: Option<Half>,
    /// The world has one range and one privilege level: EL2 without E2H.
    pub single: bool,
    /// Bits of the output address: the smaller of IPS and OAS, and at most 48 where the format carries
    /// no more.
    pub output_bits: u32,
    /// Descriptors are 52-bit (LPA2): CD.DS.
    pub ds: bool,
    /// Descriptors are big-endian.
    pub big_endian: bool,
    /// WXN.
    pub write_implies_xn: bool,
    /// PAN.
    pub pan: bool,
    /// AF and dirty state.
    pub update: HardwareUpdate,
    /// MAIR0 in 31:0 and MAIR1 in 63:32.
    pub mair: u64,
}

/// Stage 2 of a regime: the S2 fields of an STE, checked and with effective values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage2 {
    /// S2TG.
    pub granule: Granule,
    /// 64 - S2T0SZ: bits of the input address.
    pub input_bits: u32,
    /// Level of the first table, -1 to 3.
    pub start_level: i32,
    /// S2TTB with the bits inside the first, possibly concatenated, tables cleared.
    pub table: Pa,
    /// Bits of the output address: the smaller of S2PS and OAS, and at most 48 where the format carries
    /// no more.
    pub output_bits: u32,
    /// Descriptors are 52-bit (LPA2): S2DS.
    pub ds: bool,
    /// S2ENDI.
    pub big_endian: bool,
    /// S2PTW: stage-1 walks must not touch Device memory.
    pub protected_walk: bool,
    /// S2FWB: MemAttr is in its forced-write-back form.
    pub forced_write_back: bool,
    /// XN is two bits: IDR3.XNX.
    pub xnx: bool,
    /// S2SH0: shareability of what 52-bit descriptors (S2DS) map, which have no room for their own.
    pub shareability: u8,
    /// AF and dirty state.
    pub update: HardwareUpdate,
}

/// What an address is translated by.
#[derive(Clone, Copy, Debug)]
pub struct Regime<'a> {
    /// Stage 1; `None` is bypass.
    pub stage1: Option<&'a Stage1>,
    /// Stage 2; `None` is bypass.
    pub stage2: Option<&'a Stage2>,
    /// Physical addresses have 52 bits (IDR5.OAS): descriptors of the 64K granule then carry bits 51:48
    /// and map blocks of 4 TiB.
    pub wide: bool,
    /// Attributes of the transaction, which those of stage 1 replace.
    pub incoming: Attributes,
}

/// Where a walk got to: a page of both stages together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Address of the input byte after all stages.
    pub pa: Pa,
    /// log2 of the bytes around it that are mapped in one piece with the same permissions: the smaller
    /// of both stages' blocks.
    pub size_bits: u32,
    /// log2 of the bytes that the leaf descriptor for the input address maps, which is that of stage 1 where
    /// there is one: an invalidation of any address among them means them all.
    pub block_bits: u32,
    /// What stage 1 made of the input address; equal to it without stage 1.
    pub ipa: Ipa,
    /// What stage 1 permits. A page that is writable but clean has no write bit until a write was walked.
    pub stage1: Permissions,
    /// What stage 2 permits, likewise.
    pub stage2: Permissions,
    /// nG = 0 in stage 1: any ASID may use it.
    pub global: bool,
    /// Memory attributes after both stages.
    pub attributes: Attributes,
}

/// Why a walk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkFault {
    /// One of the four faults that software configures.
    Fault(TranslationFault),
    /// A descriptor could not be read or written: F_WALK_EABT.
    Abort {
        /// Whose.
        stage: super::event::Stage,
        /// For what.
        class: super::event::Class,
        /// Where it lies.
        at: Pa,
    },
}

/// `start` if it is a table that a walk from `root` can come to, else `root`.
#[inline]
fn bounded<R, A>(start: Table<R, A>, root: Table<R, A>) -> Table<R, A> {
    if (1..=root.level).contains(&start.level) { start } else { root }
}
