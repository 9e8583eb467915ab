//! Legacy-mode translation [VT-d 3.4.2, 3.7].

use std::sync::atomic::Ordering;

use super::entries::{IotlbEntry, structure};
use super::{Blocked, SANITIZE, Translator};
use crate::addr::{Iova, PAGE_SIZE, Pa, SourceId};
use crate::fabric::{Access, Effects, Kind, Transaction, Verdict, is_message};
use crate::iommu::cache::Ticket;
use crate::iommu::walk::{self, Rights, Steps, Table, Why, walk};
use crate::mem::{Handle, NotRam};
use crate::trace::TraceEvent;
use crate::vtd::capability::AddressWidth;
use crate::vtd::fault::Reason;
use crate::vtd::regs::Rtaddr;
use crate::vtd::tables::{
    Context, ContextEntry, RootEntry, SecondStage, Translation, beyond_host_width, decode_context,
    decode_root,
};

/// What the specification calls the entries, by level.
pub(in crate::vtd) const ENTRY_NAMES: [&str; 5] = ["SS-PTE", "SS-PDE", "SS-PDPE", "SS-PML4E", "SS-PML5E"];

/// A page, and what its tables permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub page: Pa,
    pub rights: Rights,
}

impl Translator {
    /// What the IOTLB holds for a request while translation is on.
    #[inline]
    pub(super) fn cached(&self, t: &Transaction) -> Option<IotlbEntry> {
        let plain = t.kind == Kind::Untranslated && t.pasid.is_none();
        if plain { IotlbEntry::lookup(&self.iotlb, t.initiator.source(), t.address) } else { None }
    }

    /// A request while translation is on, not of the interrupt range, with what [`Self::cached`] said.
    pub(super) fn remap(
        &self,
        t: &Transaction,
        mode: u32,
        cached: Option<IotlbEntry>,
        fx: &mut Effects,
    ) -> Result<Verdict, Blocked> {
        if let Some(cached) = cached {
            if mode & SANITIZE != 0 {
                self.check_translation(t, &cached, fx);
            }
            self.permit(t, cached.rights).map_err(|reason| Blocked { reason, fpd: cached.fpd })?;
            return Ok(self.found(t, cached.page, cached.handle, true, fx));
        }
        let source = t.initiator.source();
        let ticket = self.iotlb.ticket();
        let structures = (self.structures.sets() > 0).then(|| self.structures.ticket());
        let context = self.context(t, source, mode, fx)?;
        let blocked = |reason| Blocked { reason, fpd: context.fpd };
        if t.kind == Kind::Translated {
            return Err(blocked(Reason::TypeBlocked));
        }
        let (root, width) = match context.translation {
            Translation::PassThrough if beyond_host_width(t.address.0) => {
                return Err(blocked(Reason::AddressBeyondWidth));
            }
            Translation::PassThrough => return Ok(self.found(t, Pa(t.address.page().0), None, false, fx)),
            Translation::SecondStage { root, width } => (root, width),
        };
        let sanitized = (mode & SANITIZE != 0).then_some(t);
        let structures = structures.map(|ticket| Structures { domain: context.domain, ticket, sanitized });
        let Mapping { page, rights } =
            self.second_stage(t.address, root, width, structures, fx).map_err(blocked)?;
        let handle = self.mem.resolve(page).and_then(|(handle, left)| (left >= PAGE_SIZE).then_some(handle));
        let Context { domain, fpd, .. } = context;
        let entry = IotlbEntry { page, handle, rights, fpd, domain };
        let permitted = self.permit(t, rights);
        // With caching mode, missing rights may be cached as well [VT-d 6.2.4.1]; an output in the
        // interrupt range may not, for it is looked at on the way in only.
        if permitted.is_err() && self.cap.cm() && !is_message(page.0) {
            entry.insert(&self.iotlb, ticket, source, t.address);
        }
        permitted.map_err(blocked)?;
        if is_message(page.0) {
            return Err(blocked(Reason::OutputInInterruptRange));
        }
        entry.insert(&self.iotlb, ticket, source, t.address);
        Ok(self.found(t, page, handle, false, fx))
    }

    /// The context entry of `source`, from the cache or from the tables [VT-d 3.4.2].
    fn context(
        &self,
        t: &Transaction,
        source: SourceId,
        mode: u32,
        fx: &mut Effects,
    ) -> Result<Context, Blocked> {
        // Before the root is read: what lies below one that SRTP replaces meanwhile must not be cached.
        let ticket = self.contexts.ticket();
        let rtaddr = Rtaddr::from_raw(self.root.load(Ordering::Acquire));
        match rtaddr.ttm() {
            0b00 => {}
            _ if self.aborts_dma(rtaddr) => return Err(Blocked::new(Reason::AbortDma)),
            _ => return Err(Blocked::new(Reason::TableMode)),
        }
        if t.pasid.is_some() {
            return Err(Blocked::new(Reason::PasidInLegacy));
        }
        let place = u64::from(source.0);
        if let Some(words) = self.contexts.lookup(place, place) {
            if mode & SANITIZE != 0 {
                self.check_context(t, words, fx);
            }
            return self.decode(words);
        }
        let words = self.context_words(rtaddr, source, fx).map_err(Blocked::new)?;
        let context = self.decode(words);
        // With caching mode, entries that fault may be cached as well [VT-d 6.2.2].
        if context.is_ok() || self.cap.cm() {
            self.contexts.insert(ticket, place, place, words);
        }
        context
    }

    /// Reads the root entry and the context entry.
    pub(super) fn context_words(
        &self,
        rtaddr: Rtaddr,
        source: SourceId,
        fx: &mut Effects,
    ) -> Result<[u64; 2], Reason> {
        let at = Pa((rtaddr.rta() << 12) + u64::from(source.bus()) * 16);
        let words = self.fetch128("root entry", at, fx).map_err(|NotRam| Reason::RootAccess)?;
        let table = decode_root(RootEntry::from_raw(words))?;
        let at = Pa(table.0 + u64::from(source.devfn()) * 16);
        self.fetch128("context entry", at, fx).map_err(|NotRam| Reason::ContextAccess)
    }

    /// What the words of a context entry mean; bits that hardware ignores leave no mark.
    pub(super) fn decode(&self, words: [u64; 2]) -> Result<Context, Blocked> {
        let entry = ContextEntry::from_raw(words);
        decode_context(entry, self.cap, self.ecap).map_err(|reason| Blocked { reason, fpd: entry.fpd() })
    }

    /// Walks the second-stage tables. With `structures`, the walk may start from the
    /// paging-structure cache, and adds to it.
    pub(super) fn second_stage(
        &self,
        input: Iova,
        root: Pa,
        width: AddressWidth,
        structures: Option<Structures<'_>>,
        fx: &mut Effects,
    ) -> Result<Mapping, Reason> {
        let bits = width.bits().min(u32::from(self.cap.mgaw()) + 1);
        if input.0 >> bits != 0 {
            return Err(Reason::AddressBeyondWidth);
        }
        let format = SecondStage::new(width, self.cap);
        let start = structures.and_then(|Structures { domain, sanitized, .. }| {
            let start = structure::lookup(&self.structures, domain, input.0, width.levels())?;
            if let Some(t) = sanitized {
                self.check_structure(t, domain, &format, root, start, fx);
            }
            Some(start)
        });
        let start = start.unwrap_or_else(|| Table::root(&format, root));
        let mut steps = Walk { translator: self, input: input.0, structures, fx };
        match walk(&format, start, input.0, &mut steps) {
            Ok(walk::Leaf { output, rights, .. }) => Ok(Mapping { page: output.page(), rights }),
            // Entries without R and W grant nothing; which right is missing is the caller's to say.
            Err(walk::Stop { why: Why::Absent, .. }) => Ok(Mapping { page: Pa(0), rights: Rights::NONE }),
            Err(walk::Stop { why: Why::Reserved, .. }) => Err(Reason::TableReserved),
            Err(walk::Stop { why: Why::Fetch(NotRam), level }) if level == width.levels() => {
                Err(Reason::ContextInvalid)
            }
            Err(walk::Stop { why: Why::Fetch(NotRam), .. }) => Err(Reason::TableAccess),
        }
    }

    /// Whether `rights` suffice [VT-d 3.7.1].
    #[inline]
    pub(super) fn permit(&self, t: &Transaction, rights: Rights) -> Result<(), Reason> {
        let wanted = match t.access {
            Access::Read => Rights::READ,
            Access::Write => Rights::WRITE,
            Access::Atomic => Rights::BOTH,
        };
        let zero_length = t.access == Access::Read && t.len == 0;
        if rights.grants(wanted) || zero_length && self.cap.zlr() && rights != Rights::NONE {
            return Ok(());
        }
        let lacks_write = wanted.grants(Rights::WRITE) && !rights.grants(Rights::WRITE);
        Err(if lacks_write { Reason::NoWrite } else { Reason::NoRead })
    }

    #[inline]
    pub(super) fn found(
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
        fx.trace(|| TraceEvent::Translation { unit: self.unit.name(), initiator, iova, pa, cached });
    }

    #[cold]
    fn trace_fetch(&self, table: &'static str, address: Pa, words: [u64; 2], fx: &mut Effects) {
        fx.trace(|| TraceEvent::Fetch { unit: self.unit.name(), table, address, words });
    }

    #[inline]
    pub(super) fn fetch128(
        &self,
        table: &'static str,
        address: Pa,
        fx: &mut Effects,
    ) -> Result<[u64; 2], NotRam> {
        let words = self.mem.load128(address)?;
        if fx.traced() {
            self.trace_fetch(table, address, words, fx);
        }
        Ok(words)
    }
}

/// What a walk has to do with the paging-structure cache.
#[derive(Clone, Copy)]
pub(super) struct Structures<'a> {
    /// Whose entries it uses and adds.
    domain: u16,
    /// Taken before it began.
    ticket: Ticket,
    /// The request, if the entry that it starts from is to be compared with memory.
    sanitized: Option<&'a Transaction>,
}

/// A walk of the second-stage tables for one request.
struct Walk<'a> {
    translator: &'a Translator,
    input: u64,
    structures: Option<Structures<'a>>,
    fx: &'a mut Effects,
}

impl Steps<SecondStage> for Walk<'_> {
    type Error = NotRam;

    #[inline]
    fn fetch(&mut self, level: u32, address: Pa) -> Result<u64, NotRam> {
        let raw = self.translator.mem.load64(address)?;
        if self.fx.traced() {
            self.translator.trace_fetch(ENTRY_NAMES[level as usize - 1], address, [raw, 0], self.fx);
        }
        Ok(raw)
    }

    #[inline]
    fn reached(&mut self, table: Table) {
        if let Some(Structures { domain, ticket, .. }) = self.structures {
            structure::insert(&self.translator.structures, ticket, domain, self.input, table);
        }
    }
}
