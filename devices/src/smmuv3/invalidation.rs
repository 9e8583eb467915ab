//! What the control half asks of the half that translates.

use super::regs::{Cr2, Gbpa, StrtabBase, StrtabBaseCfg};
use crate::addr::{Pasid, StreamId};
use crate::fabric::{Resumption, StallTag};
use crate::iommu::changes::Complete;

/// Everything outside memory that decides about transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Global {
    /// CR0ACK.SMMUEN.
    pub enabled: bool,
    /// CR0ACK.ATSCHK.
    pub atschk: bool,
    /// CR2.
    pub cr2: Cr2,
    /// GBPA.
    pub gbpa: Gbpa,
    /// STRTAB_BASE.
    pub strtab_base: StrtabBase,
    /// STRTAB_BASE_CFG.
    pub strtab_base_cfg: StrtabBaseCfg,
}

/// Cached configuration to drop [SMMUv3 4.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigScope {
    /// Everything (CMD_CFGI_ALL).
    All,
    /// STEs of `first..=last`, with all that was reached through them (CMD_CFGI_STE, _STE_RANGE).
    Streams {
        /// First StreamID.
        first: StreamId,
        /// Last StreamID.
        last: StreamId,
        /// Level-1 stream table descriptors may stay.
        leaf: bool,
    },
    /// One CD (CMD_CFGI_CD); `leaf`: its L1CD may stay.
    Context {
        /// The stream.
        stream: StreamId,
        /// Index in the CD table, 0 where there is one CD.
        substream: Pasid,
        /// Level-1 CD descriptors may stay.
        leaf: bool,
    },
    /// All CDs of a stream (CMD_CFGI_CD_ALL).
    Contexts(StreamId),
}

/// Translation regime [SMMUv3 3.17, StreamWorld]. What tags a TLB entry, with VMID and ASID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum StreamWorld {
    /// NS-EL1, which includes stage 2 only.
    El1,
    /// NS-EL2 without E2H: no ASIDs, one range.
    El2,
    /// NS-EL2 with E2H.
    El2E2h,
}

/// A VMID and the bits of it that are not compared: CR0.VMW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmidMatch {
    /// The VMID.
    pub vmid: u16,
    /// Bits that are not compared.
    pub ignored: u16,
}

impl VmidMatch {
    /// Whether `vmid` is meant.
    pub const fn matches(self, vmid: u16) -> bool {
        (self.vmid ^ vmid) & !self.ignored == 0
    }
}

/// Addresses of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// First byte.
    pub first: u64,
    /// Last byte.
    pub last: u64,
    /// Only last-level entries changed; cached table descriptors may stay.
    pub leaf: bool,
}

/// Cached translations to drop [SMMUv3 4.4]. `asid`: those of this ASID and the global ones where an
/// address is given, those of this ASID that are not global where none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlbScope {
    /// CMD_TLBI_NSNH_ALL: everything of the El1 world.
    El1All,
    /// CMD_TLBI_EL2_ALL: everything of the El2 and El2E2h worlds.
    El2All,
    /// CMD_TLBI_NH_ALL: all stage-1 entries (alone or combined) of a VMID.
    Stage1 {
        /// Whose.
        vmid: VmidMatch,
    },
    /// CMD_TLBI_S12_VMALL: all entries of a VMID.
    Vm {
        /// Whose.
        vmid: VmidMatch,
    },
    /// CMD_TLBI_NH_ASID, CMD_TLBI_EL2_ASID.
    Asid {
        /// El1 or El2E2h.
        world: StreamWorld,
        /// Whose; ignored for El2E2h.
        vmid: VmidMatch,
        /// Which.
        asid: u16,
    },
    /// CMD_TLBI_NH_VA, _VAA, CMD_TLBI_EL2_VA, _VAA.
    Va {
        /// El1, or El2 for both EL2 worlds.
        world: StreamWorld,
        /// Whose; ignored for EL2.
        vmid: VmidMatch,
        /// Which; all for `None`, and for El2 without E2H.
        asid: Option<u16>,
        /// Where.
        range: AddressRange,
    },
    /// CMD_TLBI_S2_IPA: stage-2 entries; combined ones need not go.
    Ipa {
        /// Whose.
        vmid: VmidMatch,
        /// Where.
        range: AddressRange,
    },
}

/// Held transactions to release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// CMD_RESUME: the one of this stream with this STAG.
    One {
        /// Its stream.
        stream: StreamId,
        /// Its tag in the record.
        stag: u16,
    },
    /// CMD_STALL_TERM: all of a stream.
    Stream(StreamId),
    /// SMMUEN went to 0: all.
    All,
}

/// Changes that the translating half must follow. Requests may meet them at once, and all do when
/// [`Self::complete`] has returned.
pub trait BackEnd: Send + Sync {
    /// What is outside memory changed.
    fn set_global(&self, global: Global);
    /// Drops cached STEs and CDs.
    fn invalidate_config(&self, scope: ConfigScope);
    /// Drops cached translations.
    fn invalidate_tlb(&self, scope: TlbScope);
    /// Forgets held transactions and returns their tags, with how each goes on: as `how` says, or, for
    /// those that were held without a STAG while all were taken, [`Resumption::Retry`].
    fn release(&self, which: Release, how: Resumption) -> Vec<(StallTag, Resumption)>;
    /// Returns when no request is under way any more that may be translated by what the calls before
    /// replaced or dropped.
    fn complete(&self);
}

impl Complete for dyn BackEnd {
    fn complete(&self) {
        BackEnd::complete(self);
    }
}
