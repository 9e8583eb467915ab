//! CD tables [SMMUv3 3.3.2, 5.2, S1Fmt; 5.3]: from a SubstreamID to the address of its CD.
//!
//! Addresses are IPAs where the stream has stage 2, else PAs; the arithmetic is the same.

use super::ste::{ContextLayout, ContextTable};
use super::{Lookup, aligned, exceeds};
use crate::register;
use crate::smmuv3::capability::Config;

/// log2 of the bytes of a CD.
const CD_BITS: u32 = 6;
/// log2 of the bytes of a level-1 descriptor.
const L1_BITS: u32 = 3;

register! {
    /// Level-1 CD table descriptor [SMMUv3 5.3].
    pub struct L1Cd: u64 {
        63:56 Ignored _r1,
        /// Bits 55:12 of the CDs; bits 15:12 do not count where a leaf has 64 KiB.
        55:12 Field   l2ptr: u64,
        11:1  Ignored _r0,
        0:0   Field   v: bool,
    }
}

impl ContextLayout {
    /// log2 of the CDs in a leaf of a two-level table.
    const fn leaf_bits(self) -> Option<u32> {
        match self {
            Self::Linear => None,
            Self::Leaves4K => Some(6),
            Self::Leaves64K => Some(10),
        }
    }

    /// log2 of the alignment of a table of `2^log2_count` CDs: its size, or that of one CD.
    pub(super) const fn alignment(self, log2_count: u32) -> u32 {
        let bits = match self.leaf_bits() {
            None => log2_count + CD_BITS,
            Some(leaf) => log2_count.saturating_sub(leaf) + L1_BITS,
        };
        if bits < CD_BITS { CD_BITS } else { bits }
    }
}

impl ContextTable {
    /// What to fetch for the CD of this index: the SubstreamID, or 0 without one. `None` is
    /// C_BAD_SUBSTREAMID.
    pub fn locate(&self, index: u32) -> Option<Lookup<u64>> {
        let index = u64::from(index);
        if exceeds(index, self.log2_count) {
            return None;
        }
        // A table is aligned to its size.
        Some(match self.layout.leaf_bits() {
            None => Lookup::Linear(self.base | index << CD_BITS),
            Some(leaf) => Lookup::TwoLevel { l1: self.base | (index >> leaf) << L1_BITS },
        })
    }

    /// The address of the CD of this index, given its level-1 descriptor. `None` is C_BAD_SUBSTREAMID:
    /// V = 0, or a pointer out of range [SMMUv3 3.4.3], which is this event with stage 2 as well (its
    /// alternative there is F_TRANSLATION). A linear table has no such descriptors, and the answer is
    /// `None`.
    pub fn entry(&self, l1: L1Cd, index: u32, config: &Config) -> Option<u64> {
        let leaf = self.layout.leaf_bits()?;
        let table = aligned(l1.l2ptr() << 12, leaf + CD_BITS);
        // Intermediate and output addresses have one size here.
        if !l1.v() || exceeds(table, config.ias_bits()) {
            return None;
        }
        Some(table | (u64::from(index) & ((1 << leaf) - 1)) << CD_BITS)
    }
}
