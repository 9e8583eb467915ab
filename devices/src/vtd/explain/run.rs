//! A request put to a copy of the translating half, and what came out.

use crate::addr::Pa;
use crate::events::Time;
use crate::fabric::{Effect, Effects, Outcome, Transaction, Translate, Verdict};
use crate::iommu::walk::{Rights, page_bits};
use crate::trace::TraceEvent;
use crate::vtd::Reason;
use crate::vtd::tables::SecondStageEntry;
use crate::vtd::translate::{SECOND_STAGE_NAMES, Translator};

/// A table entry that was read.
#[derive(Clone, Copy)]
pub(super) struct Fetched {
    pub table: &'static str,
    pub address: Pa,
    pub words: [u64; 2],
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
    /// The IOTLB answered.
    pub hit: bool,
    /// Why it was refused, and whether FPD keeps that quiet.
    pub reason: Option<(Reason, bool)>,
    /// Size in bytes and rights of the page that the tables map, if they do.
    pub page: Option<(u64, Rights)>,
}

impl Run {
    pub fn of(unit: &Translator, request: &Transaction, data: u32) -> Self {
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
            hit: false,
            reason: None,
            page: None,
        };
        for effect in fx.take() {
            match effect {
                Effect::Interrupt { address, data, .. } => run.message = Some((address, data)),
                Effect::Fault(fault) => run.reason = Some((fault.reason, false)),
                Effect::PostedWrite { .. } | Effect::Line { .. } | Effect::Schedule { .. } => {}
            }
        }
        for event in fx.take_trace() {
            match event {
                TraceEvent::Fetch { table, address, words, .. } => {
                    run.fetches.push(Fetched { table, address, words });
                }
                TraceEvent::Translation { cached, .. } => run.hit = cached,
                // Only a fault that FPD suppresses is traced here; others are the control half's.
                TraceEvent::Fault { reason, .. } => {
                    run.reason = Reason::ALL.into_iter().find(|r| r.code() == reason).map(|r| (r, true));
                }
                _ => {}
            }
        }
        // A hit that lacks the right leaves neither a translation nor a fetch.
        run.hit |= run.refused_for_rights() && run.fetches.is_empty();
        run.page = run.mapped();
        run
    }

    /// The words of the last entry read from `table`.
    pub fn fetched(&self, table: &str) -> Option<[u64; 2]> {
        self.fetches.iter().rfind(|fetched| fetched.table == table).map(|fetched| fetched.words)
    }

    /// First byte of the 4-KiB page that the verdict leads to.
    pub fn page_address(&self) -> Option<Pa> {
        match self.verdict {
            Verdict::Memory { pa, .. } => Some(pa.page()),
            Verdict::Interrupt | Verdict::Nothing | Verdict::Refused(_) => None,
        }
    }

    fn refused_for_rights(&self) -> bool {
        matches!(self.reason, Some((Reason::NoRead | Reason::NoWrite, _)))
    }

    fn mapped(&self) -> Option<(u64, Rights)> {
        let mut rights = Rights::BOTH;
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
    let at = SECOND_STAGE_NAMES.iter().position(|name| *name == table)?;
    // One of five.
    Some(at as u32 + 1)
}
