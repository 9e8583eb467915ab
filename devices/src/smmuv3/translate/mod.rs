//! The half that bus masters meet: stream table, context descriptors, both stages, the caches
//! [SMMUv3 3.3, 3.4].
//!
//! Invariants: `&self` everywhere; a hit touches neither the tables nor memory, takes no lock and
//! allocates nothing. Whatever a walk caches was read after the last invalidation, and invalidations
//! complete only when no DMA uses what they dropped (see [`crate::fabric::guard`]).

mod back_end;
mod config;
mod entries;
mod memo;
mod request;
mod sanitizer;
mod stalls;
mod state;
mod tables;
#[cfg(test)]
mod tests;
mod walker;
mod witness;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::Config;
use super::control::GBPA_RESET;
use super::event::{Reason, Report, Subject};
use super::invalidation::Global;
use super::regs::{Cr2, Gbpa, StrtabBase, StrtabBaseCfg};
use super::tables::cd::OnFault;
use crate::addr::Pa;
use crate::fabric::guard::{Guards, Slot};
use crate::fabric::{
    Abort, Access, Effect, Effects, Initiator, Kind, Outcome, Transaction, Translate, Verdict,
};
use crate::iommu::cache::Cache;
use crate::iommu::replace_bits;
use crate::mem::{Handle, PhysMem};
use crate::trace::TraceEvent;
use entries::PAGE_BITS;
pub(super) use entries::{Hit, TlbEntry, wanted, without_top_byte};
use memo::Memo;
pub(super) use request::select;
pub use sanitizer::{Missing, StaleUse};
use stalls::Stalls;
pub use state::State;
pub(super) use walker::{STAGE1, STAGE2};
pub(super) use witness::Sight;
use witness::Witness;

/// Entries that each configuration cache has room for.
const CONFIG_ENTRIES: usize = 256;
/// Entries that the walk cache and the IPA cache have room for, each.
const WALK_ENTRIES: usize = 256;

/// The translating half of a unit.
#[derive(Debug)]
pub struct Translator {
    config: Config,
    mem: PhysMem,
    /// [`SMMUEN`], [`ATSCHK`] and [`SANITIZE`].
    mode: AtomicU32,
    gbpa: AtomicU32,
    cr2: AtomicU32,
    strtab_base: AtomicU64,
    strtab_base_cfg: AtomicU32,
    /// Level-1 stream table descriptors, by their index.
    stream_descriptors: Cache<1>,
    /// STEs, by StreamID.
    streams: Cache<8>,
    /// Level-1 CD descriptors, by StreamID and index.
    context_descriptors: Cache<1>,
    /// CDs, by StreamID and SubstreamID.
    contexts: Cache<8>,
    /// What STEs mean, and CDs.
    stes: Memo,
    cds: Memo,
    /// Tables of both stages, by tag and the prefix of what they cover.
    tables: Cache<2>,
    /// What stage 2 makes of pages, by VMID and IPA.
    ipas: Cache<2>,
    /// By tag and page.
    tlb: Cache<4>,
    /// By stream, substream and page.
    hits: Cache<4>,
    /// log2 of the bytes of the largest block that these two may hold fractions of.
    block_bits: AtomicU32,
    stalls: Stalls,
    guards: Option<Guards>,
    /// Of a copy that only explains.
    witness: Option<Witness>,
}

/// Translation is on.
const SMMUEN: u32 = 1 << 0;
/// Translated requests are checked.
const ATSCHK: u32 = 1 << 1;
/// Every hit is compared with memory.
const SANITIZE: u32 = 1 << 2;

/// A transaction that goes no further.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub reason: Reason,
    pub subject: Subject,
    /// What becomes of it.
    pub on_fault: OnFault,
    /// STE.MEV.
    merge: bool,
}

/// What becomes of everything but translation faults: an abort, and a record [SMMUv3 3.12].
const TERMINATE: OnFault = OnFault { stall: false, abort: true, record: true };

/// How an aborted transaction completes. The architecture leaves that to the interconnect
/// [SMMUv3 3.12]; a PCIe root port that is told of an external abort answers as for a request that
/// nobody serves, and so do the other IOMMUs here.
const ABORTED: Outcome = Outcome::Abort(Abort::Ur);

impl Translator {
    /// A unit's translating half, off and with empty caches.
    pub fn new(config: &Config, mem: PhysMem) -> Self {
        let (policy, seed) = (config.cache, config.seed);
        Self {
            mem,
            mode: AtomicU32::new(if config.sanitize { SANITIZE } else { 0 }),
            gbpa: AtomicU32::new(GBPA_RESET.raw()),
            cr2: AtomicU32::new(0),
            strtab_base: AtomicU64::new(0),
            strtab_base_cfg: AtomicU32::new(0),
            stream_descriptors: Cache::new(CONFIG_ENTRIES, policy, seed ^ 1),
            streams: Cache::new(CONFIG_ENTRIES, policy, seed ^ 2),
            context_descriptors: Cache::new(CONFIG_ENTRIES, policy, seed ^ 3),
            contexts: Cache::new(CONFIG_ENTRIES, policy, seed ^ 4),
            stes: Memo::new(),
            cds: Memo::new(),
            tables: Cache::new(WALK_ENTRIES, policy, seed ^ 7),
            ipas: Cache::new(WALK_ENTRIES, policy, seed ^ 8),
            tlb: Cache::new(config.tlb_entries as usize, policy, seed ^ 5),
            hits: Cache::new(config.tlb_entries as usize, policy, seed ^ 6),
            block_bits: AtomicU32::new(PAGE_BITS),
            stalls: Stalls::new(config.unit, config.idr5.stall_max()),
            guards: config.concurrent.then(Guards::default),
            witness: None,
            config: config.clone(),
        }
    }

    fn global(&self) -> Global {
        let mode = self.mode.load(Ordering::Acquire);
        Global {
            enabled: mode & SMMUEN != 0,
            atschk: mode & ATSCHK != 0,
            cr2: Cr2::from_raw(self.cr2.load(Ordering::Acquire)),
            gbpa: Gbpa::from_raw(self.gbpa.load(Ordering::Acquire)),
            strtab_base: StrtabBase::from_raw(self.strtab_base.load(Ordering::Acquire)),
            strtab_base_cfg: StrtabBaseCfg::from_raw(self.strtab_base_cfg.load(Ordering::Acquire)),
        }
    }

    /// Replaces the mode bits that `mask` selects.
    fn set_mode(&self, mask: u32, bits: u32) {
        replace_bits(&self.mode, mask, bits);
    }

    #[inline]
    fn found(
        &self,
        t: &Transaction,
        page: Pa,
        handle: Option<Handle>,
        cached: bool,
        fx: &mut Effects,
    ) -> Verdict {
        let offset = t.address.page_offset();
        let pa = Pa(page.0 + offset);
        if fx.traced() {
            self.trace_translation(t, pa, cached, fx);
        }
        Verdict::Memory { pa, handle: handle.map(|handle| handle.plus(offset)) }
    }

    #[cold]
    fn trace_translation(&self, t: &Transaction, pa: Pa, cached: bool, fx: &mut Effects) {
        let (initiator, iova) = (t.initiator, t.address);
        fx.trace(|| TraceEvent::Translation { unit: self.config.unit.name(), initiator, iova, pa, cached });
    }

    /// The RAM behind a page, if all of it is RAM.
    fn handle(&self, page: Pa) -> Option<Handle> {
        self.mem.resolve(page).and_then(|(handle, left)| (left >= crate::addr::PAGE_SIZE).then_some(handle))
    }

    /// Ends, or holds, a transaction that goes no further [SMMUv3 3.12].
    fn refuse(&self, t: &Transaction, refusal: Refusal, fx: &mut Effects) -> Verdict {
        let Refusal { reason, subject, on_fault, merge } = refusal;
        self.note(|| Sight::Refused(refusal));
        let report = |stall| Effect::Event {
            unit: self.config.unit,
            report: Report { reason, subject, stall, merge },
        };
        // A master that cannot be held is given the abort, and the record says so: an implementation may
        // do that for the clients that it knows not to stall [SMMUv3 3.12].
        let stalls = matches!(t.initiator, Initiator::Platform { can_stall: true, .. });
        if on_fault.stall
            && stalls
            && let Some(stall) = self.stalls.hold(subject.stream)
        {
            if stall.stag.is_some() {
                fx.push(report(stall.stag));
            }
            return Verdict::Refused(Outcome::Stalled(stall.tag));
        }
        if on_fault.record || on_fault.stall {
            fx.push(report(None));
        }
        let terminated = on_fault.abort || on_fault.stall;
        Verdict::Refused(if terminated { ABORTED } else { Outcome::Raz })
    }

    /// A transaction that the hit table does not answer.
    #[inline(never)]
    fn decide(&self, t: &Transaction, fx: &mut Effects) -> Verdict {
        let Some(stream) = self.config.streams.stream(t.initiator) else {
            return Verdict::Refused(ABORTED);
        };
        let global = self.global();
        let plain = Subject {
            stream,
            substream: t.pasid,
            address: t.address,
            read: t.access == Access::Read,
            instruction: t.access == Access::Read && t.attrs.execute,
            privileged: t.attrs.privileged,
        };
        let refused = |reason, merge| Refusal { reason, subject: plain, on_fault: TERMINATE, merge };
        // IDR0.ATS = 0: no translated traffic is passed [SMMUv3 5.2, EATS]. There is no record for that
        // alone; this one is what such traffic gets where it is forbidden, and while translation is off.
        if t.kind == Kind::Translated {
            return self.refuse(t, refused(Reason::TranslationForbidden, false), fx);
        }
        // Without Secure state there are no Secure streams [SMMUv3 3.10]: nobody here could translate it.
        if t.attrs.secure {
            return self.refuse(t, refused(Reason::UnsupportedTransaction, true), fx);
        }
        if !global.enabled {
            return self.bypass(t, global.gbpa, fx);
        }
        let sanitize = self.mode.load(Ordering::Acquire) & SANITIZE != 0;
        match self.translate_stream(t, plain, &global, sanitize, fx) {
            Ok(verdict) => verdict,
            Err(refusal) => self.refuse(t, refusal, fx),
        }
    }

    /// Translation is off [SMMUv3 6.3.15].
    fn bypass(&self, t: &Transaction, gbpa: Gbpa, fx: &mut Effects) -> Verdict {
        if gbpa.abort() || t.address.0 >> self.config.oas_bits() != 0 {
            return Verdict::Refused(ABORTED);
        }
        self.found(t, Pa(t.address.page().0), None, false, fx)
    }
}

impl Translate for Translator {
    fn guard_slot(&self) -> Option<Slot> {
        self.guards.as_ref().map(Guards::slot)
    }

    fn translate(&self, t: &Transaction, fx: &mut Effects) -> Verdict {
        let mode = self.mode.load(Ordering::Acquire);
        let plain = t.kind == Kind::Untranslated && !t.attrs.secure;
        if mode & (SMMUEN | SANITIZE) == SMMUEN && plain {
            let stream = self.config.streams.stream(t.initiator);
            if let Some(hit) = stream.and_then(|stream| Hit::lookup(&self.hits, stream, t.pasid, t.address))
                && hit.permissions.grant(wanted(t, &hit.overrides))
            {
                return self.found(t, hit.page, hit.handle, true, fx);
            }
        }
        self.decide(t, fx)
    }
}
