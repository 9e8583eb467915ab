//! TLB maintenance [Arm D8.14].

use serde::{Deserialize, Serialize};

use super::Mmu;

/// What a TLBI invalidates. More may go than was asked for: addresses are matched whatever their
/// ASID is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) enum Scope {
    /// Everything.
    All,
    /// What is not global, of one address space.
    Asid(u16),
    /// Addresses `first..=last`, by the bits of `mask`.
    Range { first: u64, last: u64, mask: u64 },
}

/// The bits that name a page in a TLBI by address.
const PAGE_BITS: u64 = 0x00ff_ffff_ffff_f000;
/// The same in a TLBI by range: its base has 37 bits of 4 KiB.
const RANGE_BITS: u64 = 0x0001_ffff_ffff_f000;

impl Scope {
    /// By address: the operand of TLBI VAE1 and its like.
    pub(in crate::a64) fn address(operand: u64) -> Self {
        let va = operand << 12 & PAGE_BITS;
        Self::Range { first: va, last: va, mask: PAGE_BITS }
    }

    /// By range: the operand of TLBI RVAE1 and its like. A reserved granule invalidates everything.
    pub(in crate::a64) fn range(operand: u64) -> Self {
        let granule = match operand >> 46 & 3 {
            0b01 => 12,
            0b10 => 14,
            0b11 => 16,
            _ => return Self::All,
        };
        let (scale, number) = (operand >> 44 & 3, operand >> 39 & 0x1f);
        let bytes = (number + 1) << (5 * scale + 1) << granule;
        let first = (operand & 0x1f_ffff_ffff) << granule & RANGE_BITS;
        // A range that leaves the half of the address space ends with it.
        let last = (first + (bytes - 1)).min(RANGE_BITS | 0xfff);
        Self::Range { first, last, mask: RANGE_BITS }
    }
}

impl Mmu {
    /// Invalidates.
    pub(in crate::a64) fn invalidate(&mut self, scope: Scope) {
        match scope {
            Scope::All => self.flush(),
            Scope::Asid(asid) if asid == self.regime.asid => {
                self.data.flush_local();
                self.code.flush_local();
                self.forget_recent();
            }
            Scope::Asid(_) => {}
            Scope::Range { first, last, mask } => {
                self.data.flush_range(first, last, mask);
                if self.code.flush_range(first, last, mask) {
                    self.forget_recent();
                } else {
                    self.forget_recent_in(first, last, mask);
                }
            }
        }
    }
}
