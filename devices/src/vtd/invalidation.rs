//! What the control half asks of the half that translates.

use crate::addr::{PAGE_SIZE, Pa, SourceId};
use crate::iommu::changes::Complete;

/// Entries of the context cache to drop [VT-d 6.5.2.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextScope {
    /// All.
    Global,
    /// Those tagged with a domain.
    Domain(u16),
    /// Those of a domain whose source id equals `source` outside `mask`.
    Device {
        /// The domain.
        domain: u16,
        /// The source id.
        source: SourceId,
        /// Bits of the function number not to compare: 0, 4, 6 or 7.
        mask: u16,
    },
}

impl ContextScope {
    /// The function mask for the FM field of a command.
    pub const fn function_mask(fm: u8) -> u16 {
        match fm & 3 {
            0 => 0,
            1 => 0b100,
            2 => 0b110,
            _ => 0b111,
        }
    }
}

/// Entries of the IOTLB to drop [VT-d 6.5.2.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IotlbScope {
    /// All.
    Global,
    /// Those tagged with a domain.
    Domain(u16),
    /// Those of a domain for pages `first..=last`, addresses of bytes.
    Pages {
        /// The domain.
        domain: u16,
        /// First byte, page aligned.
        first: u64,
        /// Last byte.
        last: u64,
        /// Only entries that map pages changed; cached paging structures may stay (IH = 1).
        leaf_only: bool,
    },
}

impl IotlbScope {
    /// The 2^`am` pages that `address` lies in, bits below ignored.
    pub const fn pages(domain: u16, address: u64, am: u8, leaf_only: bool) -> Self {
        let below = match PAGE_SIZE.checked_shl(am as u32) {
            // A shift that pushes the bit out leaves 0: everything is covered.
            Some(0) | None => u64::MAX,
            Some(size) => size - 1,
        };
        Self::Pages { domain, first: address & !below, last: address | below, leaf_only }
    }
}

/// Entries of the interrupt-entry cache to drop [VT-d 6.5.2.7].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptScope {
    /// All.
    Global,
    /// Those whose index equals `index` outside the low `mask` bits.
    Index {
        /// The index.
        index: u16,
        /// Number of low bits not to compare.
        mask: u8,
    },
}

/// A protected region, both ends included; empty where `last` is smaller [VT-d 11.4.8].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectedRange {
    /// First byte.
    pub first: u64,
    /// Last byte.
    pub last: u64,
}

impl ProtectedRange {
    /// Whether any of `len` bytes at `pa` is protected; where there are none, the byte at `pa`.
    pub fn touches(self, pa: Pa, len: u64) -> bool {
        let end = pa.0.saturating_add(len.max(1) - 1);
        self.first <= self.last && pa.0 <= self.last && self.first <= end
    }
}

/// How interrupt requests are treated [VT-d 5.1.4].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptMode {
    /// GSTS.IRES.
    pub enabled: bool,
    /// GSTS.CFIS.
    pub compatibility: bool,
}

/// Changes that the translating half must follow. Requests may meet them at once, and all do when
/// [`Self::complete`] has returned.
pub trait BackEnd: Send + Sync {
    /// GSTS.TES changed.
    fn set_enabled(&self, enabled: bool);
    /// SRTP latched this value of RTADDR_REG.
    fn set_root(&self, rtaddr: super::regs::Rtaddr);
    /// PMEN.PRS changed: the low and the high region, or none.
    fn set_protected(&self, ranges: Option<[ProtectedRange; 2]>);
    /// GSTS.IRES or GSTS.CFIS changed.
    fn set_interrupt_mode(&self, mode: InterruptMode);
    /// SIRTP latched this value of IRTA_REG.
    fn set_interrupt_table(&self, irta: super::regs::Irta);
    /// Drops cached interrupt entries.
    fn invalidate_interrupts(&self, scope: InterruptScope);
    /// Drops cached context entries.
    fn invalidate_context(&self, scope: ContextScope);
    /// Drops cached translations.
    fn invalidate_iotlb(&self, scope: IotlbScope);
    /// Returns when no request is under way any more that may be translated by what the calls before
    /// replaced or dropped.
    fn complete(&self);
}

impl Complete for dyn BackEnd {
    fn complete(&self) {
        BackEnd::complete(self);
    }
}
