//! What a unit can do: the presets, and the ID registers that follow from them.
//!
//! Behaviour is gated by the same values the guest reads. A preset is a unit that the architecture
//! allows; [`Override`]s change single fields of it, and [`Config::check`] says whether the result is
//! still such a unit.

mod overrides;
mod presets;
mod rules;
#[cfg(test)]
pub(super) mod tests;

use serde::{Deserialize, Serialize};

use super::regs::{Idr0, Idr1, Idr3, Idr5};
use super::stream_map::StreamMap;
use super::vmsa::Granule;
use crate::fabric::Doorbell;
use crate::iommu::UnitId;
use crate::iommu::cache::Policy;
pub use overrides::{BadValue, OVERRIDES, Override};
pub use rules::Inconsistent;

/// What a unit is made to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Which of the machine's units it is.
    pub unit: UnitId,
    /// SMMU_IDR0.
    pub idr0: Idr0,
    /// SMMU_IDR1.
    pub idr1: Idr1,
    /// SMMU_IDR3.
    pub idr3: Idr3,
    /// SMMU_IDR5.
    pub idr5: Idr5,
    /// Minor version of the architecture, as SMMU_AIDR gives it: 0 to 3.
    pub minor: u8,
    /// How bus masters before this unit are named.
    pub streams: StreamMap,
    /// Wired interrupts, where the machine has them.
    pub wires: Option<Wires>,
    /// Where message interrupts of the unit itself go, beside RAM.
    pub doorbell: Option<Doorbell>,
    /// How long the caches keep entries.
    pub cache: Policy,
    /// Room in the TLB, in entries of 4 KiB each; rounded up to a power of two.
    pub tlb_entries: u32,
    /// Seed of [`Policy::Adversarial`].
    pub seed: u64,
    /// Report every use of a cached entry that memory no longer bears out.
    pub sanitize: bool,
    /// Bus masters run on threads of their own: invalidations wait for DMA under way.
    pub concurrent: bool,
}

/// Global system interrupt numbers of the wired interrupts, all edges [SMMUv3 3.18].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wires {
    /// Event queue not empty.
    pub eventq: u32,
    /// PRI queue not empty.
    pub priq: u32,
    /// CMD_SYNC completed.
    pub cmd_sync: u32,
    /// Global error.
    pub gerror: u32,
}

/// Bits of an address by its encoding in IDR5.OAS, CD.IPS and STE.S2PS [SMMUv3 3.4].
const ADDRESS_SIZES: [u32; 7] = [32, 36, 40, 42, 44, 48, 52];

impl Config {
    /// SMMU_IDR2 and SMMU_IDR4: there is no VATOS page, and nothing that is our own to say.
    pub const fn idr2(&self) -> u32 {
        0
    }

    /// See [`Self::idr2`].
    pub const fn idr4(&self) -> u32 {
        0
    }

    /// SMMU_IIDR [SMMUv3 6.3.7]: zero, the code of no implementer, so that no workaround for somebody's
    /// silicon applies.
    pub const fn iidr(&self) -> u32 {
        0
    }

    /// SMMU_AIDR [SMMUv3 6.3.8]: major version 0.
    pub const fn aidr(&self) -> u32 {
        // A saved configuration can hold anything.
        (self.minor & 0xf) as u32
    }

    /// PIDR4 to PIDR7, PIDR0 to PIDR3, CIDR0 to CIDR3 [SMMUv3 6.3.170], one dword each from 0xfd0
    /// on. The component identification is that of CoreSight; the peripheral identification is zero, as
    /// the implementer is.
    pub const fn id_registers(&self) -> [u32; 12] {
        [0, 0, 0, 0, 0, 0, 0, 0, 0x0d, 0xf0, 0x05, 0xb1]
    }

    /// Output address size in bits [SMMUv3 3.4].
    pub fn oas_bits(&self) -> u32 {
        self.output_bits(self.idr5.oas())
    }

    /// Intermediate address size in bits: that of the output, as there is no VMSAv8-32 here
    /// [SMMUv3 3.4].
    pub fn ias_bits(&self) -> u32 {
        self.oas_bits()
    }

    /// Effective bits of CD.IPS or STE.S2PS: none counts for more than the output address size, and
    /// what a version has reserved is beyond that [SMMUv3 5.2, S2PS; 5.4, IPS].
    pub fn output_bits(&self, encoding: u8) -> u32 {
        // The sizes grow with their encodings. A saved OAS can be the one that is not here.
        ADDRESS_SIZES[usize::from(encoding.min(self.idr5.oas())).min(ADDRESS_SIZES.len() - 1)]
    }

    /// Mask of an address that the unit puts out: STRTAB_BASE, queue bases, message addresses and
    /// addresses of STEs are cut to it [SMMUv3 3.4.3].
    pub fn pa_mask(&self) -> u64 {
        (1 << self.oas_bits()) - 1
    }

    /// Mask of the address bits that STE.S2TTB and CD.TTBx have: 47:0 in SMMUv3.0, 51:0 from
    /// SMMUv3.1 on.
    pub const fn table_address_mask(&self) -> u64 {
        if self.minor == 0 { (1 << 48) - 1 } else { (1 << 52) - 1 }
    }

    /// Whether tables may have this granule.
    pub const fn supports(&self, granule: Granule) -> bool {
        match granule {
            Granule::K4 => self.idr5.gran4k(),
            Granule::K16 => self.idr5.gran16k(),
            Granule::K64 => self.idr5.gran64k(),
        }
    }

    /// Whether descriptors in a 52-bit form are meant: CD.DS or STE.S2DS, where it is not reserved.
    pub const fn effective_ds(&self, ds: bool, granule: Granule) -> bool {
        ds && self.idr5.ds() && !matches!(granule, Granule::K64)
    }

    /// The greatest T0SZ, T1SZ or S2T0SZ: the least that a table can map [SMMUv3 5.2, S2T0SZ; 5.4, T0SZ].
    pub const fn largest_size(&self, granule: Granule) -> u32 {
        match granule {
            _ if !self.idr3.stt() => 39,
            Granule::K4 | Granule::K16 => 48,
            Granule::K64 => 47,
        }
    }
}
