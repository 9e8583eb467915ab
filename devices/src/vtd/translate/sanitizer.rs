//! The sanitizer: every use of a cached entry is compared with what memory says now.
//!
//! A difference is no fault: hardware may use the old entry until software invalidates it. It is a
//! bug of the driver all the same where the entry is *used* after the change, and that is reported.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::Translator;
use super::entries::IotlbEntry;
use super::legacy::{ENTRY_NAMES, Mapping};
use crate::addr::{Iova, Pa, SourceId};
use crate::events::Time;
use crate::fabric::{Access, Effect, Effects, Initiator, Transaction};
use crate::iommu::Stale;
use crate::iommu::walk::{Leaf, Stop, Table, Why};
use crate::mem::NotRam;
use crate::vtd::fault::Reason;
use crate::vtd::interrupt_remapping::{self, Irte};
use crate::vtd::regs::{Irta, Rtaddr};
use crate::vtd::tables::{ContextEntry, SecondStage, Translation, decode_context};

/// A cached entry was used although memory had changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaleUse {
    /// The requester.
    pub source: SourceId,
    /// The address of the request; of an interrupt, its index.
    pub address: Iova,
    /// What it wanted.
    pub access: Access,
    /// What the cache said.
    pub cached: String,
    /// What memory says.
    pub present: String,
    /// The invalidation that was missing.
    pub missing: Missing,
}

/// An invalidation that software owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// IOTLB, page-selective in the domain or coarser [VT-d 6.5.2.3].
    Translation {
        /// The domain.
        domain: u16,
    },
    /// IOTLB, page-selective in the domain or coarser, with IH = 0: an entry above the page's own
    /// changed [VT-d 6.2.5, 6.5.2.3].
    Structure {
        /// The domain.
        domain: u16,
    },
    /// Context cache, device-selective or coarser, then IOTLB [VT-d 6.5.2.1].
    Context {
        /// The domain that the entry was cached with.
        domain: u16,
    },
    /// Interrupt-entry cache [VT-d 6.5.2.7].
    InterruptEntry,
}

impl std::fmt::Display for StaleUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { source, address, access, cached, present, missing } = self;
        match missing {
            Missing::InterruptEntry => write!(
                f,
                "stale interrupt entry {address} used by {source}: cached {cached}, in memory {present}; \
                 missing: interrupt-entry invalidation of index {address}"
            ),
            Missing::Translation { domain } => write!(
                f,
                "stale translation used by {source} ({access:?} at {address}): cached {cached}, in memory {present}; \
                 missing: IOTLB invalidation of page {}, domain {domain}",
                address.page()
            ),
            Missing::Structure { domain } => write!(
                f,
                "stale paging structure used by {source} ({access:?} at {address}): cached {cached}, in memory {present}; \
                 missing: IOTLB invalidation of page {} with IH = 0, domain {domain}",
                address.page()
            ),
            Missing::Context { domain } => write!(
                f,
                "stale context entry used by {source} ({access:?} at {address}): cached {cached}, in memory {present}; \
                 missing: context-cache invalidation of device {source}, domain {domain}, then of its IOTLB entries"
            ),
        }
    }
}

/// A cached entry, and what memory says in its place.
pub(super) struct Difference {
    cached: String,
    present: String,
    missing: Missing,
}

impl Difference {
    /// The report that `source` used the cached entry.
    fn used_by(self, source: SourceId, address: Iova, access: Access) -> StaleUse {
        let Self { cached, present, missing } = self;
        StaleUse { source, address, access, cached, present, missing }
    }
}

impl Translator {
    /// Compares a translation about to be used with the tables.
    pub(super) fn check_translation(&self, t: &Transaction, hit: &IotlbEntry, fx: &mut Effects) {
        if let Some(difference) = self.translation_difference(t, hit) {
            self.report_stale(difference.used_by(t.initiator.source(), t.address, t.access), fx);
        }
    }

    /// Compares the table that a walk is about to start from with the one that memory leads to from
    /// `root`, which is the context entry's: whether that is stale is another question.
    pub(super) fn check_structure(
        &self,
        t: &Transaction,
        domain: u16,
        format: &SecondStage,
        root: Pa,
        start: Table,
        fx: &mut Effects,
    ) {
        let (tables, end) = self.tables_below(format, root, t.address);
        let present = tables.into_iter().find(|table| table.level == start.level);
        if present == Some(start) {
            return;
        }
        // Named after the entry that leads to the table.
        let name = ENTRY_NAMES[start.level as usize];
        let present = match (present, end) {
            (Some(table), _) => table_text(table),
            (None, Ok(Leaf { level, .. })) => {
                format!("a page mapped by its {}", ENTRY_NAMES[level as usize - 1])
            }
            (None, Err(Stop { level, why })) => {
                let what = match why {
                    Why::Fetch(NotRam) => "that cannot be read",
                    Why::Absent => "that is not present",
                    Why::Reserved => "with reserved bits set",
                };
                format!("an {} {what}", ENTRY_NAMES[level as usize - 1])
            }
        };
        let cached = format!("{name} -> {}", table_text(start));
        let difference = Difference { cached, present, missing: Missing::Structure { domain } };
        self.report_stale(difference.used_by(t.initiator.source(), t.address, t.access), fx);
    }

    /// Compares a context entry about to be used with memory.
    pub(super) fn check_context(&self, t: &Transaction, words: [u64; 2], fx: &mut Effects) {
        let source = t.initiator.source();
        if let Some(difference) = self.context_difference(source, words) {
            self.report_stale(difference.used_by(source, t.address, t.access), fx);
        }
    }

    /// Compares an interrupt entry about to be used with memory.
    pub(super) fn check_interrupt(
        &self,
        initiator: Initiator,
        index: u32,
        words: [u64; 2],
        fx: &mut Effects,
    ) {
        if let Some(difference) = self.interrupt_difference(index, words) {
            let address = Iova(u64::from(index));
            self.report_stale(difference.used_by(initiator.source(), address, Access::Write), fx);
        }
    }

    /// How a cached translation differs from the tables for a request that meets it, if it does. FPD
    /// is a difference where it decides: if the request faults.
    pub(super) fn translation_difference(&self, t: &Transaction, hit: &IotlbEntry) -> Option<Difference> {
        let (source, address) = (t.initiator.source(), t.address);
        let fpd_counts = self.permit(t, hit.rights).is_err_and(Reason::qualified);
        let mut silent = Effects::new(Time::default(), false);
        let rtaddr = Rtaddr::from_raw(self.root.load(Ordering::Acquire));
        let context = self
            .context_words(rtaddr, source, &mut silent)
            .and_then(|words| decode_context(ContextEntry::from_raw(words), self.cap, self.ecap));
        let cached = mapping_text(Ok(Mapping { page: hit.page, rights: hit.rights }));
        let domain = hit.domain;
        let (present, missing) = match context {
            Ok(context) => match context.translation {
                Translation::SecondStage { root, width } if context.domain == domain => {
                    let now = mapping_text(self.second_stage(address, root, width, None, &mut silent));
                    if now == cached && fpd_counts && context.fpd != hit.fpd {
                        let with = |fpd| format!("{now}, FPD = {}", u8::from(fpd));
                        let (cached, present) = (with(hit.fpd), with(context.fpd));
                        return Some(Difference { cached, present, missing: Missing::Context { domain } });
                    }
                    (now, Missing::Translation { domain })
                }
                Translation::SecondStage { .. } => {
                    (format!("a context entry of domain {}", context.domain), Missing::Context { domain })
                }
                Translation::PassThrough => ("pass-through".to_owned(), Missing::Context { domain }),
            },
            Err(reason) => (reason.describe().to_owned(), Missing::Context { domain }),
        };
        (present != cached).then_some(Difference { cached, present, missing })
    }

    /// How a cached context entry differs from memory in what it means, if it does.
    pub(super) fn context_difference(&self, source: SourceId, words: [u64; 2]) -> Option<Difference> {
        let mut silent = Effects::new(Time::default(), false);
        let rtaddr = Rtaddr::from_raw(self.root.load(Ordering::Acquire));
        let missing = Missing::Context { domain: ContextEntry::from_raw(words).did() };
        let now = self.context_words(rtaddr, source, &mut silent);
        let same = now.is_ok_and(|now| self.decode(now) == self.decode(words));
        (!same).then(|| words_difference(words, now, missing))
    }

    /// How a cached interrupt entry differs from memory in what it means, if it does.
    pub(super) fn interrupt_difference(&self, index: u32, words: [u64; 2]) -> Option<Difference> {
        let irta = Irta::from_raw(self.interrupt_table.load(Ordering::Acquire));
        let now = interrupt_remapping::entry_address(irta, index)
            .and_then(|at| self.mem.load128(at).map_err(|_| Reason::InterruptTableAccess));
        let meaning = |words| interrupt_remapping::meaning(Irte::from_raw(words));
        let same = now.is_ok_and(|now| meaning(now) == meaning(words));
        (!same).then(|| words_difference(words, now, Missing::InterruptEntry))
    }

    fn report_stale(&self, stale: StaleUse, fx: &mut Effects) {
        fx.push(Effect::Stale { unit: self.unit, stale: Stale::Vtd(stale) });
    }
}

fn words_difference(cached: [u64; 2], present: Result<[u64; 2], Reason>, missing: Missing) -> Difference {
    Difference {
        cached: words_text(cached),
        present: present.map_or_else(|reason| reason.describe().to_owned(), words_text),
        missing,
    }
}

fn mapping_text(mapping: Result<Mapping, Reason>) -> String {
    match mapping {
        Ok(Mapping { page: Pa(page), rights }) => match rights.bits() {
            0 => "not present".to_owned(),
            1 => format!("{page:#x} read"),
            2 => format!("{page:#x} write"),
            _ => format!("{page:#x} read write"),
        },
        Err(reason) => reason.describe().to_owned(),
    }
}

fn table_text(Table { base, level: _, rights }: Table) -> String {
    format!("table at {}", mapping_text(Ok(Mapping { page: base, rights })))
}

fn words_text([low, high]: [u64; 2]) -> String {
    format!("{high:#018x} {low:#018x}")
}
