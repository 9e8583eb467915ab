//! What the control half changes.

use std::sync::atomic::Ordering;

use super::entries::{IotlbEntry, structure};
use super::{CFIS, IRES, TES, Translator};
use crate::addr::PAGE_SIZE;
use crate::vtd::invalidation::{
    BackEnd, ContextScope, InterruptMode, InterruptScope, IotlbScope, ProtectedRange,
};
use crate::vtd::regs::{Irta, Rtaddr};
use crate::vtd::tables::{ContextEntry, decode_context};

impl Translator {
    /// The domain that a cached context entry is tagged with: 0 for one that faults [VT-d 6.2.2].
    fn tag_of(&self, words: [u64; 2]) -> u16 {
        let context = decode_context(ContextEntry::from_raw(words), self.cap, self.ecap);
        context.map_or(0, |context| context.domain)
    }
}

impl BackEnd for Translator {
    fn set_enabled(&self, enabled: bool) {
        self.set_mode(TES, if enabled { TES } else { 0 });
    }

    fn set_root(&self, rtaddr: Rtaddr) {
        self.root.store(rtaddr.raw(), Ordering::Release);
        // Abort-DMA mode aborts all DMA [VT-d 3.4.4], and a hit in the IOTLB does not ask for the mode.
        // So that it need not, there is nothing left to hit: a cache may drop what it wants. A walk that
        // still had the old root holds an outdated ticket and leaves nothing behind.
        if self.aborts_dma(rtaddr) {
            self.invalidate_context(ContextScope::Global);
            self.invalidate_iotlb(IotlbScope::Global);
        }
    }

    fn set_protected(&self, ranges: Option<[ProtectedRange; 2]>) {
        self.store_protected(ranges);
    }

    fn set_interrupt_mode(&self, mode: InterruptMode) {
        let InterruptMode { enabled, compatibility } = mode;
        let bits = if enabled { IRES } else { 0 } | if compatibility { CFIS } else { 0 };
        self.set_mode(IRES | CFIS, bits);
    }

    fn set_interrupt_table(&self, irta: Irta) {
        self.interrupt_table.store(irta.raw(), Ordering::Release);
    }

    fn invalidate_context(&self, scope: ContextScope) {
        self.contexts.invalidate(|source, words| match scope {
            ContextScope::Global => true,
            ContextScope::Domain(domain) => self.tag_of(*words) == domain,
            ContextScope::Device { domain, source: wanted, mask } => {
                self.tag_of(*words) == domain && (source ^ u64::from(wanted.0)) & !u64::from(mask) == 0
            }
        });
    }

    fn invalidate_iotlb(&self, scope: IotlbScope) {
        match scope {
            IotlbScope::Global => {
                self.structures.invalidate(|_, _| true);
                self.iotlb.invalidate(|_, _| true);
            }
            IotlbScope::Domain(domain) => {
                self.structures.invalidate(|key, _| structure::domain_of(key) == domain);
                self.iotlb.invalidate(|_, data| IotlbEntry::domain_of(data) == domain);
            }
            IotlbScope::Pages { domain, first, last, leaf_only } => {
                if !leaf_only {
                    self.structures.invalidate(|key, _| structure::covers(key, domain, first, last));
                }
                let (first, last) = (first / PAGE_SIZE, last / PAGE_SIZE);
                let in_scope = |key: u64, data: &[u64; 2]| {
                    IotlbEntry::domain_of(data) == domain
                        && (first..=last).contains(&IotlbEntry::page_of(key))
                };
                // Each page can only be in one set, so a small range needs no look at the others.
                if last - first < self.iotlb.sets() as u64 {
                    (first..=last)
                        .for_each(|page| self.iotlb.invalidate_set(IotlbEntry::place(page), in_scope));
                } else {
                    self.iotlb.invalidate(in_scope);
                }
            }
        }
    }

    fn invalidate_interrupts(&self, scope: InterruptScope) {
        self.interrupts.invalidate(|key, _| match scope {
            InterruptScope::Global => true,
            // Masks are at most ECAP.MHMV, 15.
            InterruptScope::Index { index, mask } => (key ^ u64::from(index)) >> mask == 0,
        });
    }

    fn complete(&self) {
        if let Some(guards) = &self.guards {
            guards.wait();
        }
    }
}
