//! The half that bus masters meet: the latched root, the caches and the walk [VT-d 3.4, 6.2].
//!
//! Invariants: `&self` everywhere; a hit in the IOTLB touches neither the tables nor memory, takes no
//! lock and allocates nothing. Whatever a walk caches was read after the last invalidation,
//! and invalidations complete only when no DMA uses what they dropped (see [`crate::fabric::guard`]).

mod back_end;
mod entries;
mod interrupts;
mod legacy;
mod peek;
mod sanitizer;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::UnitId;
use super::capability::Config;
use super::fault::{Fault, Reason};
use super::invalidation::{BackEnd, ContextScope, InterruptScope, IotlbScope, ProtectedRange};
use super::names::SUPPRESSED;
use super::regs::{Cap, Ecap, Irta, Rtaddr};
use crate::addr::Pa;
use crate::fabric::guard::{Guards, Slot};
use crate::fabric::{
    Abort, Access, Effect, Effects, Initiator, Kind, Outcome, Transaction, Translate, Verdict,
    is_interrupt_write, is_message,
};
use crate::iommu::cache::{self, Cache};
use crate::iommu::replace_bits;
use crate::mem::PhysMem;
use crate::trace::TraceEvent;
pub(super) use entries::IotlbEntry;
pub(super) use legacy::ENTRY_NAMES;
pub(super) use peek::Peek;
pub use sanitizer::{Missing, StaleUse};

/// Entries that the context cache has room for.
const CONTEXT_ENTRIES: usize = 256;
/// Entries that the paging-structure cache has room for.
const STRUCTURE_ENTRIES: usize = 256;
/// Entries that the interrupt-entry cache has room for.
const INTERRUPT_ENTRIES: usize = 256;

/// The translating half of a unit.
#[derive(Debug)]
pub struct Translator {
    unit: UnitId,
    mem: PhysMem,
    cap: Cap,
    ecap: Ecap,
    /// [`TES`], [`EPM`], [`SANITIZE`], [`IRES`] and [`CFIS`].
    mode: AtomicU32,
    /// RTADDR_REG as SRTP latched it.
    root: AtomicU64,
    /// IRTA_REG as SIRTP latched it.
    interrupt_table: AtomicU64,
    /// First and last byte of the protected low and high regions; empty where the last is smaller.
    protected: [AtomicU64; 4],
    contexts: Cache<2>,
    iotlb: Cache<2>,
    structures: Cache<1>,
    interrupts: Cache<2>,
    guards: Option<Guards>,
}

/// Translation is on.
const TES: u32 = 1 << 0;
/// Protected regions are on.
const EPM: u32 = 1 << 1;
/// Every hit is compared with memory.
const SANITIZE: u32 = 1 << 2;
/// Interrupt remapping is on.
const IRES: u32 = 1 << 3;
/// Interrupts in compatibility format pass.
const CFIS: u32 = 1 << 4;

/// A saved [`Translator`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    mode: u32,
    root: Rtaddr,
    interrupt_table: Irta,
    protected: [u64; 4],
    contexts: cache::State,
    iotlb: cache::State,
    structures: cache::State,
    interrupts: cache::State,
}

/// Why a request is blocked, and whether the entry that decided keeps quiet about it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Blocked {
    reason: Reason,
    fpd: bool,
}

impl Blocked {
    fn new(reason: Reason) -> Self {
        Self { reason, fpd: false }
    }
}

impl Translator {
    /// A unit's translating half, off and with empty caches.
    pub fn new(config: &Config, mem: PhysMem) -> Self {
        let (policy, seed) = (config.cache, config.seed);
        Self {
            unit: config.unit,
            mem,
            cap: config.cap(),
            ecap: config.ecap(),
            mode: AtomicU32::new(if config.sanitize { SANITIZE } else { 0 }),
            root: AtomicU64::new(0),
            interrupt_table: AtomicU64::new(0),
            protected: [1, 0, 1, 0].map(AtomicU64::new),
            contexts: Cache::new(CONTEXT_ENTRIES, policy, seed ^ 1),
            iotlb: Cache::new(config.iotlb_entries as usize, policy, seed ^ 2),
            interrupts: Cache::new(INTERRUPT_ENTRIES, policy, seed ^ 3),
            structures: Cache::new(STRUCTURE_ENTRIES, policy, seed ^ 4),
            guards: config.concurrent.then(Guards::default),
        }
    }

    /// The state as data; nobody may be translating meanwhile.
    pub fn save(&self) -> State {
        let Self {
            unit: _,
            mem: _,
            cap: _,
            ecap: _,
            mode,
            root,
            interrupt_table,
            protected,
            contexts,
            iotlb,
            structures,
            interrupts,
            guards: _,
        } = self;
        State {
            mode: mode.load(Ordering::Acquire),
            root: Rtaddr::from_raw(root.load(Ordering::Acquire)),
            interrupt_table: Irta::from_raw(interrupt_table.load(Ordering::Acquire)),
            protected: protected.each_ref().map(|word| word.load(Ordering::Acquire)),
            contexts: contexts.save(),
            iotlb: iotlb.save(),
            structures: structures.save(),
            interrupts: interrupts.save(),
        }
    }

    /// Continues from what was saved. Whether hits are sanitized is not the machine's state.
    pub fn restore(&self, state: &State) {
        let State { mode, root, interrupt_table, protected, contexts, iotlb, structures, interrupts } = state;
        self.set_mode(!SANITIZE, *mode);
        self.set_interrupt_table(*interrupt_table);
        for (place, word) in self.protected.iter().zip(protected) {
            place.store(*word, Ordering::Release);
        }
        self.contexts.restore(contexts);
        self.iotlb.restore(iotlb);
        self.structures.restore(structures);
        self.interrupts.restore(interrupts);
        // After the caches, which are empty in abort-DMA mode.
        self.set_root(*root);
    }

    /// Off, with empty caches.
    pub fn reset(&self) {
        self.set_mode(!SANITIZE, 0);
        self.set_root(Rtaddr::ZERO);
        self.set_interrupt_table(Irta::ZERO);
        self.invalidate_context(ContextScope::Global);
        self.invalidate_iotlb(IotlbScope::Global);
        self.invalidate_interrupts(InterruptScope::Global);
        self.complete();
    }

    /// Replaces the mode bits that `mask` selects.
    fn set_mode(&self, mask: u32, bits: u32) {
        replace_bits(&self.mode, mask, bits);
    }

    /// Whether this root asks for abort-DMA mode, and the unit has it [VT-d 3.4.4].
    fn aborts_dma(&self, rtaddr: Rtaddr) -> bool {
        rtaddr.ttm() == 0b11 && self.ecap.adms()
    }

    /// Whether `len` bytes at `pa` touch an enabled protected region [VT-d 11.4.8].
    fn is_protected(&self, pa: Pa, len: u64) -> bool {
        self.load_protected().iter().any(|range| range.touches(pa, len))
    }

    /// The low and the high region.
    fn load_protected(&self) -> [ProtectedRange; 2] {
        let [low_first, low_last, high_first, high_last] =
            self.protected.each_ref().map(|word| word.load(Ordering::Acquire));
        [
            ProtectedRange { first: low_first, last: low_last },
            ProtectedRange { first: high_first, last: high_last },
        ]
    }

    /// Reports why `t` is blocked.
    fn block(&self, t: &Transaction, blocked: Blocked, fx: &mut Effects) -> Verdict {
        let Blocked { reason, fpd } = blocked;
        let (source, address, access) = (t.initiator.source(), t.address, t.access);
        self.report(Fault { source, address, access, reason }, fpd, fx);
        Verdict::Refused(Outcome::Abort(Abort::Ur))
    }

    /// Reports a fault, unless FPD says not to [VT-d 7.2.1].
    fn report(&self, fault: Fault, fpd: bool, fx: &mut Effects) {
        let Fault { source, address, access: _, reason } = fault;
        if fpd && reason.qualified() {
            fx.trace(|| TraceEvent::Fault {
                unit: self.unit.name(),
                source,
                reason: reason.code(),
                what: reason.describe(),
                address: address.0,
                fate: SUPPRESSED,
            });
        } else {
            fx.push(Effect::Fault { unit: self.unit, fault });
        }
    }
}

impl Translate for Translator {
    fn guard_slot(&self) -> Option<Slot> {
        self.guards.as_ref().map(Guards::slot)
    }

    fn translate(&self, t: &Transaction, fx: &mut Effects) -> Verdict {
        let mode = self.mode.load(Ordering::Acquire);
        // No translation of the interrupt range is ever cached, so the range need not be looked at yet.
        let cached = if mode & TES != 0 { self.cached(t) } else { None };
        match cached {
            Some(entry) if mode & (EPM | SANITIZE) == 0 && self.permit(t, entry.rights).is_ok() => {
                self.found(t, entry.page, entry.handle, true, fx)
            }
            _ => self.decide(t, mode, cached, fx),
        }
    }

    fn interrupt(&self, initiator: Initiator, address: u64, data: u32, fx: &mut Effects) -> Outcome {
        let mode = self.mode.load(Ordering::Acquire);
        if mode & IRES == 0 {
            fx.push(Effect::Interrupt { initiator, address, data });
            return Outcome::Done;
        }
        match self.remap_interrupt(initiator, address, data, mode, fx) {
            Ok((address, data)) => {
                fx.push(Effect::Interrupt { initiator, address, data });
                Outcome::Done
            }
            Err((Blocked { reason, fpd }, index)) => {
                self.report(Fault::interrupt(initiator.source(), reason, index), fpd, fx);
                Outcome::Abort(Abort::Ur)
            }
        }
    }
}

impl Translator {
    /// A request that a cached translation alone does not answer. Apart, so that a hit does not pay for
    /// its frame.
    #[inline(never)]
    fn decide(&self, t: &Transaction, mode: u32, cached: Option<IotlbEntry>, fx: &mut Effects) -> Verdict {
        let enabled = mode & TES != 0;
        let plain = t.kind == Kind::Untranslated && (t.pasid.is_none() || !enabled);
        if plain && is_message(t.address.0) {
            return match t.access {
                Access::Write if is_interrupt_write(t.address, t.len) => Verdict::Interrupt,
                Access::Read if t.len == 0 => Verdict::Nothing,
                _ => self.block(t, Blocked::new(Reason::InterruptRangeAccess), fx),
            };
        }
        let verdict = match t.kind {
            _ if enabled => match self.remap(t, mode, cached, fx) {
                Ok(verdict) => verdict,
                Err(blocked) => self.block(t, blocked, fx),
            },
            Kind::Untranslated => Verdict::Memory { pa: Pa(t.address.0), handle: None },
            Kind::Translated => Verdict::Refused(Outcome::Abort(Abort::Ur)),
        };
        if mode & EPM != 0
            && let Verdict::Memory { pa, .. } = verdict
            && self.is_protected(pa, t.len)
        {
            fx.trace(|| TraceEvent::Protected { unit: self.unit.name(), initiator: t.initiator, pa });
            return Verdict::Refused(Outcome::Abort(Abort::Ur));
        }
        verdict
    }

    /// For the back end: both regions, or none while EPM = 0.
    fn store_protected(&self, ranges: Option<[ProtectedRange; 2]>) {
        if let Some(ranges) = ranges {
            for (place, word) in self.protected.iter().zip(ranges.iter().flat_map(|r| [r.first, r.last])) {
                place.store(word, Ordering::Release);
            }
        }
        self.set_mode(EPM, if ranges.is_some() { EPM } else { 0 });
    }
}
