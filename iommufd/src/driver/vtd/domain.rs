//! Paging domains: second-stage tables, and the number that caches know them by.

use std::sync::Arc;

use devices::addr::{Iova, PAGE_SIZE, Pa};

use super::domain_ids::DomainIds;
use super::entries;
use super::invalidation::{Invalidation, of_spans};
use super::second_stage::{Mapping, SecondStage};
use super::unit::Unit;
use crate::driver::{PagingDomain, Protection};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::span::Span;
use crate::sync::{Mutex, lock};

/// Spans that are remembered one by one until they are invalidated; of more, the whole domain is.
const SPANS: usize = 16;
/// Page-selective invalidations that are no more work than one of the domain.
const PAGES: usize = 32;

/// A domain of one unit.
pub(super) struct Domain {
    unit: Arc<Unit>,
    ids: Arc<DomainIds>,
    state: Mutex<State>,
}

struct State {
    tables: SecondStage,
    /// While devices are attached.
    attached: Option<Attached>,
    pending: Pending,
    /// Leaves have SNP set.
    snoop: bool,
}

struct Attached {
    id: u16,
    devices: u32,
}

/// What was unmapped, and may still be used until it is invalidated.
#[derive(Default)]
struct Pending {
    spans: Vec<Span>,
    /// There were more spans than are kept.
    more: bool,
    /// Tables that are not linked any more.
    tables: Vec<Pa>,
}

impl Pending {
    fn add(&mut self, span: Span) {
        if self.spans.len() < SPANS {
            self.spans.push(span);
        } else {
            self.more = true;
        }
    }
}

impl Domain {
    /// A domain that maps nothing.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn new(unit: &Arc<Unit>, ids: &Arc<DomainIds>) -> Result<Self> {
        let tables = SecondStage::new(&unit.memory, unit.format())?;
        let state = State { tables, attached: None, pending: Pending::default(), snoop: false };
        Ok(Self { unit: Arc::clone(unit), ids: Arc::clone(ids), state: Mutex::new(state) })
    }

    /// Whether it is a domain of this unit.
    pub(super) fn is_of(&self, unit: &Arc<Unit>) -> bool {
        Arc::ptr_eq(&self.unit, unit)
    }

    /// One more device will be attached; gives the context entry for it.
    ///
    /// # Errors
    /// `ENOSPC` where there is no domain id.
    pub(super) fn join(&self) -> Result<entries::Context> {
        let mut state = lock(&self.state);
        let root = state.tables.root();
        let id = match &mut state.attached {
            Some(attached) => {
                attached.devices += 1;
                attached.id
            }
            None => {
                let id = self.ids.alloc()?;
                state.attached = Some(Attached { id, devices: 1 });
                id
            }
        };
        let entry = entries::Context::ZERO.with_p(true).with_did(id).with_aw(self.unit.width());
        Ok(entry.with_ssptptr(root.0 >> 12))
    }

    /// A device is attached no more, and nothing that it used is cached any longer.
    pub(super) fn leave(&self) {
        let mut state = lock(&self.state);
        if let Some(attached) = &mut state.attached {
            attached.devices -= 1;
            if attached.devices == 0 {
                self.ids.free(attached.id);
                state.attached = None;
            }
        }
    }

    /// Makes new entries effective: with caching mode, absent ones may be cached [VT-d 6.1].
    fn mapped(&self, state: &State, span: Span) -> Result<()> {
        match &state.attached {
            Some(Attached { id, .. }) if self.unit.cap.cm() => {
                self.unit.invalidate(&of_spans(&[span], *id, false, self.unit.cap, PAGES))
            }
            _ => self.unit.publish(),
        }
    }

    /// Invalidates what is pending. Tables are given back only if that is certain to have happened.
    fn flush(&self, state: &mut State) {
        let Pending { spans, more, tables } = std::mem::take(&mut state.pending);
        if let Some(Attached { id, .. }) = state.attached {
            let what = match more {
                true => vec![Invalidation::Domain(id)],
                false => of_spans(&spans, id, tables.is_empty(), self.unit.cap, PAGES),
            };
            // A unit that fails lets nothing pass, so there is nothing to wait for.
            if self.unit.invalidate(&what).is_err() {
                return;
            }
        }
        self.unit.memory.free(tables);
    }

    fn attributes(state: &State, protection: Protection) -> Result<entries::SecondStage> {
        let (read, write) = (protection.contains(Protection::READ), protection.contains(Protection::WRITE));
        if !read && !write {
            return Err(Errno::EINVAL);
        }
        Ok(entries::SecondStage::ZERO.with_r(read).with_w(write).with_snp(state.snoop))
    }
}

impl PagingDomain for Domain {
    fn aperture(&self) -> Span {
        self.unit.aperture()
    }

    fn page_sizes(&self) -> u64 {
        let leaves = self.unit.format().leaves;
        (1..=3)
            .filter(|level| leaves & 1 << level != 0)
            .fold(0, |sizes, level| sizes | 1 << super::second_stage::page_bits(level))
    }

    fn map(&self, iova: Iova, pa: Pa, bytes: u64, protection: Protection, large: bool) -> Result<()> {
        fault_point(Errno::ENOMEM)?;
        let inside = |start, space: Span| Span::sized(start, bytes).ok().filter(|span| space.covers(*span));
        let span = inside(iova.0, self.aperture()).ok_or(Errno::EINVAL)?;
        inside(pa.0, self.unit.physical()).ok_or(Errno::EINVAL)?;
        if !(iova.0 | pa.0 | bytes).is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let mut state = lock(&self.state);
        // Hardware may still know a table that was unlinked here, and would not find in it what is new.
        if !state.pending.tables.is_empty() {
            self.flush(&mut state);
        }
        let attributes = Self::attributes(&state, protection)?;
        let mapping = Mapping { span, pa, attributes, leaves: if large { !0 } else { 1 << 1 } };
        let done = match state.tables.map(&mapping) {
            Err(Errno::EINVAL) => return Err(Errno::EINVAL),
            Err(errno) => Err(errno),
            Ok(()) => self.mapped(&state, span),
        };
        if done.is_err() {
            let State { tables, pending, .. } = &mut *state;
            tables.unmap(span, &mut pending.tables);
            pending.add(span);
            self.flush(&mut state);
        }
        done
    }

    fn unmap(&self, span: Span) {
        let mut state = lock(&self.state);
        let State { tables, pending, .. } = &mut *state;
        tables.unmap(span, &mut pending.tables);
        pending.add(span);
    }

    fn sync(&self) {
        self.flush(&mut lock(&self.state));
    }

    fn iova_to_phys(&self, iova: Iova) -> Option<Pa> {
        lock(&self.state).tables.translate(iova.0)
    }

    fn enforce_cache_coherency(&self) -> bool {
        let mut state = lock(&self.state);
        // Leaves that are there already have no SNP.
        state.snoop |= self.unit.ecap.sc() && state.tables.is_empty();
        state.snoop
    }
}
