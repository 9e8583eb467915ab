//! What a unit can do: the presets, and the capability registers that follow from them.
//!
//! Behaviour is gated by the same values the guest reads: what is not advertised is reserved, what
//! is advertised is enforced.

use serde::{Deserialize, Serialize};

use super::UnitId;
use super::fault::RECORDS;
use super::regs::{Cap, Ecap, FRCD_OFFSET, IVA_OFFSET, Ver};
use crate::iommu::UnitKind;
use crate::iommu::cache::Policy;

/// An address width that second-stage tables can have [VT-d 9.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AddressWidth {
    /// 39 bits, three levels.
    Bits39,
    /// 48 bits, four levels.
    Bits48,
    /// 57 bits, five levels.
    Bits57,
}

impl AddressWidth {
    /// All widths, narrowest first.
    pub const ALL: [Self; 3] = [Self::Bits39, Self::Bits48, Self::Bits57];

    /// The width in bits.
    pub const fn bits(self) -> u32 {
        12 + 9 * self.levels()
    }

    /// Number of table levels.
    pub const fn levels(self) -> u32 {
        match self {
            Self::Bits39 => 3,
            Self::Bits48 => 4,
            Self::Bits57 => 5,
        }
    }

    /// The width with this encoding in the AW field of a context entry.
    pub const fn from_aw(aw: u8) -> Option<Self> {
        match aw {
            0b001 => Some(Self::Bits39),
            0b010 => Some(Self::Bits48),
            0b011 => Some(Self::Bits57),
            _ => None,
        }
    }

    /// The width of this many bits.
    pub fn from_bits(bits: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|width| width.bits() == bits)
    }
}

/// What a unit is made to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Which of the machine's units it is.
    pub unit: UnitId,
    /// Widest second-stage tables; narrower ones are supported as well.
    pub address_width: AddressWidth,
    /// Interrupt remapping, with 32-bit destinations.
    pub interrupt_remapping: bool,
    /// Caching mode: entries that fault may be cached.
    pub caching_mode: bool,
    /// Protected low and high memory regions.
    pub protected_regions: bool,
    /// Software must flush write buffers; a flush is done at once.
    pub write_buffer_flush: bool,
    /// SRTP invalidates the caches by itself.
    pub root_set_invalidates: bool,
    /// SIRTP, and turning interrupt remapping off, invalidate the interrupt-entry cache by themselves;
    /// counts with interrupt remapping only.
    pub interrupt_set_invalidates: bool,
    /// Abort-DMA mode, and descriptors of 256 bits with it.
    pub abort_dma: bool,
    /// Drop a fault whose source already has one pending [VT-d 7.2.1].
    pub compress_faults: bool,
    /// How long the caches keep entries.
    pub cache: Policy,
    /// Room in the IOTLB, in entries of 4 KiB each; rounded up to a power of two.
    pub iotlb_entries: u32,
    /// Seed of [`Policy::Adversarial`].
    pub seed: u64,
    /// Report every use of a cached entry that memory no longer bears out.
    pub sanitize: bool,
    /// Bus masters run on threads of their own: invalidations wait for DMA under way.
    pub concurrent: bool,
}

/// Width of physical addresses; the DMAR table reports it.
pub const HOST_ADDRESS_WIDTH: u32 = 48;

impl Config {
    /// Names that [`Self::preset`] knows.
    pub const PRESETS: &'static [&'static str] = &["vtd-legacy", "vtd-legacy-cm"];

    /// The preset of this name. `vtd-legacy`: legacy mode, 48-bit second-stage tables with 2-MiB and
    /// 1-GiB pages, queued invalidation, pass-through, interrupt remapping with 32-bit
    /// destinations, coherent walks, eight fault records. `vtd-legacy-cm`: the same in caching mode, as
    /// a virtual unit reports it.
    pub fn preset(name: &str) -> Option<Self> {
        let legacy = Self {
            unit: UnitId::only(UnitKind::Vtd),
            address_width: AddressWidth::Bits48,
            interrupt_remapping: true,
            caching_mode: false,
            protected_regions: false,
            write_buffer_flush: false,
            root_set_invalidates: false,
            interrupt_set_invalidates: false,
            abort_dma: false,
            compress_faults: false,
            cache: Policy::Retain,
            iotlb_entries: 4096,
            seed: 0,
            sanitize: false,
            concurrent: false,
        };
        match name {
            "vtd-legacy" => Some(legacy),
            "vtd-legacy-cm" => Some(Self { caching_mode: true, ..legacy }),
            _ => None,
        }
    }

    /// Version 1.0: register-based invalidation works [VT-d 11.4.1].
    pub fn ver(&self) -> Ver {
        Ver::ZERO.with_major(1)
    }

    /// The Capability Register.
    pub fn cap(&self) -> Cap {
        let sagaw = AddressWidth::ALL.into_iter().filter(|width| *width <= self.address_width);
        // Bit n stands for n + 2 levels; there are at most 5.
        let sagaw = sagaw.fold(0, |mask, width| mask | 1 << (width.levels() - 2));
        Cap::ZERO
            .with_esrtps(self.root_set_invalidates)
            .with_esirtps(self.interrupt_remapping && self.interrupt_set_invalidates)
            .with_cm(self.caching_mode)
            .with_plmr(self.protected_regions)
            .with_phmr(self.protected_regions)
            .with_rwbf(self.write_buffer_flush)
            .with_drd(true)
            .with_dwd(true)
            .with_mamv(18)
            .with_nfr((RECORDS - 1) as u8)
            .with_psi(true)
            .with_sslps(0b0011)
            .with_fro((FRCD_OFFSET / 16) as u16)
            .with_zlr(true)
            // MGAW must not be below the host address width.
            .with_mgaw((self.address_width.bits().max(HOST_ADDRESS_WIDTH) - 1) as u8)
            .with_sagaw(sagaw)
            .with_nd(0b110)
    }

    /// The Extended Capability Register.
    pub fn ecap(&self) -> Ecap {
        let ir = self.interrupt_remapping;
        Ecap::ZERO
            .with_adms(self.abort_dma)
            .with_mhmv(if ir { 15 } else { 0 })
            .with_iro((IVA_OFFSET / 16) as u16)
            .with_pt(true)
            .with_eim(ir)
            .with_ir(ir)
            .with_qi(true)
            .with_c(true)
    }
}
