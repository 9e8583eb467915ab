//! The stream table [SMMUv3 3.3.1, 5.1]: from a StreamID to the address of its STE.

use super::{Lookup, aligned, exceeds};
use crate::addr::{Pa, StreamId};
use crate::register;
use crate::smmuv3::capability::Config;
use crate::smmuv3::regs::{StrtabBase, StrtabBaseCfg};

/// log2 of the bytes of an STE.
const STE_BITS: u32 = 6;
/// log2 of the bytes of a level-1 descriptor.
const L1_BITS: u32 = 3;
/// FMT of a two-level table.
const TWO_LEVEL: u8 = 0b01;

register! {
    /// Level-1 stream table descriptor [SMMUv3 5.1].
    pub struct L1Std: u64 {
        63:56 Ignored _r1,
        /// Bits 55:6 of the STEs.
        55:6  Field   l2ptr: u64,
        5:5   Ignored _r0,
        /// 1 more than the log2 of the number of STEs; 0 for none.
        4:0   Field   span: u8,
    }
}

/// Where the stream table is and how it is laid out, with effective values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTable {
    base: u64,
    /// log2 of the number of StreamIDs.
    log2_count: u32,
    /// Low bits of a StreamID that index the second level.
    split: Option<u32>,
    pa_mask: u64,
}

impl StreamTable {
    /// From what SMMU_STRTAB_BASE and SMMU_STRTAB_BASE_CFG hold [SMMUv3 6.3.24, 6.3.25].
    pub fn new(base: StrtabBase, cfg: StrtabBaseCfg, config: &Config) -> Self {
        let log2size = u32::from(cfg.log2size());
        let split = (cfg.fmt() == TWO_LEVEL && config.idr0.st_level() != 0).then(|| match cfg.split() {
            8 => 8,
            10 => 10,
            // Reserved values behave as 6.
            _ => 6,
        });
        // The alignment follows LOG2SIZE as written, even where that exceeds SIDSIZE.
        let alignment = match split {
            None => log2size + STE_BITS,
            Some(split) => (log2size.saturating_sub(split) + L1_BITS).max(STE_BITS),
        };
        let pa_mask = config.pa_mask();
        Self {
            base: aligned(base.addr() << STE_BITS, alignment) & pa_mask,
            log2_count: log2size.min(u32::from(config.idr1.sidsize())),
            split,
            pa_mask,
        }
    }

    /// What to fetch for `stream`; `None` is C_BAD_STREAMID.
    pub fn locate(&self, stream: StreamId) -> Option<Lookup<Pa>> {
        let id = u64::from(stream.0);
        if exceeds(id, self.log2_count) {
            return None;
        }
        Some(match self.split {
            None => Lookup::Linear(self.at(self.base, id, STE_BITS)),
            Some(split) => Lookup::TwoLevel { l1: self.at(self.base, id >> split, L1_BITS) },
        })
    }

    /// The address of the STE of `stream`, given its level-1 descriptor; `None` is C_BAD_STREAMID. A
    /// linear table has no such descriptors, and the answer is `None`.
    pub fn entry(&self, l1: L1Std, stream: StreamId) -> Option<Pa> {
        let split = self.split?;
        // Span 0 and the reserved ones from 12 on name no table; nor does one beyond SPLIT.
        let log2_stes = u32::from(l1.span()).checked_sub(1).filter(|bits| *bits <= split)?;
        let index = u64::from(stream.0) & ((1 << split) - 1);
        if exceeds(index, log2_stes) {
            return None;
        }
        let table = aligned(l1.l2ptr() << STE_BITS, STE_BITS + log2_stes);
        Some(self.at(table, index, STE_BITS))
    }

    /// Element `index` of the table at `base`. Addresses beyond the output size are cut [SMMUv3 3.4.3].
    fn at(&self, base: u64, index: u64, element_bits: u32) -> Pa {
        // A table is aligned to its size.
        Pa((base | index << element_bits) & self.pa_mask)
    }
}
