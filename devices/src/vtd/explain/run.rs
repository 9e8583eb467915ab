//! A request put to a copy of the translating half, and what came out.

use super::{CONTEXT_ENTRY, INTERRUPT_ENTRY, ROOT_ENTRY};
use crate::addr::{PAGE_SIZE, Pa};
use crate::events::Time;
use crate::fabric::{Effect, Effects, Outcome, Transaction, Translate, Verdict};
use crate::iommu::walk::{Rights, Table, page_bits};
use crate::trace::TraceEvent;
use crate::vtd::Reason;
use crate::vtd::capability::Config;
use crate::vtd::interrupt_remapping::{Format, Irte, decode_request};
use crate::vtd::tables::{Context, ContextEntry, SecondStageEntry, Translation, decode_context};
use crate::vtd::translate::{ENTRY_NAMES, IotlbEntry, Translator};

/// A table entry that was read.
#[derive(Clone, Copy)]
pub(super) struct Fetched {
    pub table: &'static str,
    pub address: Pa,
    pub words: [u64; 2],
}

/// The cached entries that a request's answer comes from.
#[derive(Default)]
pub(super) struct Used {
    /// Of the IOTLB.
    pub page: Option<IotlbEntry>,
    /// Of the context cache.
    pub context: Option<ContextEntry>,
    /// Of the paging-structure cache: where the walk started.
    pub structure: Option<Table>,
    /// Of the interrupt entry cache.
    pub interrupt: Option<Irte>,
}

/// What a request came to.
pub(super) struct Run {
    /// The unit's word on the address.
    pub verdict: Verdict,
    /// The request is an interrupt.
    pub interrupt: bool,
    /// What it became, if it is one that was not refused.
    pub message: Option<(u64, u32)>,
    /// Entries read, in order.
    pub fetches: Vec<Fetched>,
    /// Cached entries used.
    pub used: Used,
    /// Where it would have gone, if a protected region keeps it out.
    pub protected: Option<Pa>,
    /// Why it was refused, and whether FPD keeps that quiet.
    pub reason: Option<(Reason, bool)>,
}

impl Run {
    /// Puts `request` to `unit`, which it changes; `original` is what it is a copy of, but for the caches
    /// if those are off.
    pub fn of(
        unit: &Translator,
        original: &Translator,
        config: &Config,
        request: &Transaction,
        data: u32,
    ) -> Self {
        let before = unit.peek(request);
        let index = match decode_request(request.address.0, data) {
            Ok(Format::Remappable(index)) if before.remapping => Some(index),
            _ => None,
        };
        let interrupt_before = index.and_then(|index| unit.peek_interrupt(index));
        let (mut run, hit) = Self::put(unit, request, data);
        if run.interrupt {
            let failed = matches!(run.why(), Some(Reason::InterruptTableAccess | Reason::InterruptIndex));
            let cached = interrupt_before.filter(|_| !failed && run.fetched(INTERRUPT_ENTRY).is_none());
            run.used.interrupt = cached.map(|held| held.entry);
        } else if hit {
            run.used.page = before.page.map(|held| held.entry);
        } else if before.enabled && !run.by_range() && !run.by_root_pointer() {
            // Adversarial caches may have dropped the entry, and then the root entry was wanted.
            let read = run.fetched(ROOT_ENTRY).is_some() || run.why() == Some(Reason::RootAccess);
            run.used.context = before.context.filter(|_| !read).map(|held| held.entry);
            run.used.structure = run.start(unit, original, config, request);
        }
        run
    }

    /// The run, and whether the IOTLB answered.
    fn put(unit: &Translator, request: &Transaction, data: u32) -> (Self, bool) {
        let mut fx = Effects::new(Time(0), true);
        let mut verdict = unit.translate(request, &mut fx);
        let interrupt = verdict == Verdict::Interrupt;
        if interrupt {
            let outcome = unit.interrupt(request.initiator, request.address.0, data, &mut fx);
            if outcome != Outcome::Done {
                verdict = Verdict::Refused(outcome);
            }
        }
        let mut run = Self {
            verdict,
            interrupt,
            message: None,
            fetches: Vec::new(),
            used: Used::default(),
            protected: None,
            reason: None,
        };
        for effect in fx.take() {
            match effect {
                Effect::Interrupt { address, data, .. } => run.message = Some((address, data)),
                Effect::Fault { fault, .. } => run.reason = Some((fault.reason, false)),
                // The copies are not sanitized, and a VT-d unit holds nothing.
                Effect::Stale { .. }
                | Effect::Event { .. }
                | Effect::Resume { .. }
                | Effect::Pulse { .. }
                | Effect::SendEvent { .. }
                | Effect::PostedWrite { .. }
                | Effect::Line { .. }
                | Effect::Schedule { .. } => {}
            }
        }
        let mut hit = false;
        for event in fx.take_trace() {
            match event {
                TraceEvent::Fetch { table, address, words, .. } => {
                    run.fetches.push(Fetched { table, address, words });
                }
                TraceEvent::Translation { cached, .. } => hit = cached,
                TraceEvent::Protected { pa, .. } => run.protected = Some(pa),
                // Only a fault that FPD suppresses is traced here; others are the control half's.
                TraceEvent::Fault { reason, .. } => {
                    run.reason = Reason::from_code(reason).map(|reason| (reason, true));
                }
                _ => {}
            }
        }
        // A hit that lacks the right leaves neither a translation nor a fetch.
        hit |= matches!(run.why(), Some(Reason::NoRead | Reason::NoWrite)) && run.fetches.is_empty();
        (run, hit)
    }

    /// Why it was refused.
    pub fn why(&self) -> Option<Reason> {
        self.reason.map(|(reason, _)| reason)
    }

    /// The address alone decided: it is in the range of interrupts.
    pub fn by_range(&self) -> bool {
        self.interrupt || self.verdict == Verdict::Nothing || self.why() == Some(Reason::InterruptRangeAccess)
    }

    /// RTADDR_REG alone decided.
    fn by_root_pointer(&self) -> bool {
        matches!(self.why(), Some(Reason::TableMode | Reason::PasidInLegacy | Reason::AbortDma))
    }

    /// The context entry that counted, if it is valid.
    pub fn context(&self, config: &Config) -> Option<Context> {
        let entry = self.used.context.or(self.fetched(CONTEXT_ENTRY).map(ContextEntry::from_raw))?;
        decode_context(entry, config.cap(), config.ecap()).ok()
    }

    /// Where the walk started, if not at the first table.
    fn start(
        &self,
        unit: &Translator,
        original: &Translator,
        config: &Config,
        request: &Transaction,
    ) -> Option<Table> {
        let context = self.context(config)?;
        let Translation::SecondStage { root, width } = context.translation else { return None };
        let cached = |of: &Translator| {
            let held = of.peek_structures(context.domain, root, width, request.address);
            held.into_iter().map(|held| held.entry)
        };
        match self.fetches.iter().find_map(|fetched| level_of(fetched.table)) {
            // What the walk has cached since may have taken its place in the copy. The first table is
            // never cached, so a walk from there finds none.
            Some(level) => cached(original).find(|table| table.level == level),
            // It could not be read; were it the first table, the context entry would be called invalid.
            // Those that an adversarial cache dropped on the way are gone from the copy.
            None if self.why() == Some(Reason::TableAccess) => cached(unit).next(),
            None => None,
        }
    }

    /// The words of the last entry read from `table`.
    pub fn fetched(&self, table: &str) -> Option<[u64; 2]> {
        self.fetches.iter().rfind(|fetched| fetched.table == table).map(|fetched| fetched.words)
    }

    /// Size in bytes and rights of the page that the request is in, if tables map it.
    pub fn page(&self) -> Option<(u64, Rights)> {
        if let Some(IotlbEntry { rights, .. }) = self.used.page {
            return Some((PAGE_SIZE, rights));
        }
        let mut rights = self.used.structure.map_or(Rights::BOTH, |table| table.rights);
        let mut leaf = None;
        for fetched in &self.fetches {
            let Some(level) = level_of(fetched.table) else { continue };
            let entry = SecondStageEntry::from_raw(fetched.words[0]);
            rights = rights.and(Rights::from_bits(entry.raw()));
            leaf = (level == 1 || entry.ps()).then(|| (1 << page_bits(level), rights));
        }
        leaf
    }
}

/// The level of a second-stage table with this name.
pub(super) fn level_of(table: &str) -> Option<u32> {
    let at = ENTRY_NAMES.iter().position(|name| *name == table)?;
    // One of five.
    Some(at as u32 + 1)
}
