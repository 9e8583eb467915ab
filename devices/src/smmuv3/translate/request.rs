//! One transaction, step by step [SMMUv3 3.4, 15].

use std::sync::atomic::Ordering;

use super::config::CdError;
use super::entries::{Hit, PAGE_BITS, Tag, TlbEntry, wanted, without_top_byte};
use super::walker::{Tickets, Walker};
use super::{Refusal, SANITIZE, Sight, TERMINATE, Translator};
use crate::addr::{Pa, Pasid};
use crate::events::Time;
use crate::fabric::{Access, Effects, Transaction, Verdict};
use crate::smmuv3::event::{Class, FaultKind, Reason, Stage, Subject, TranslationFault};
use crate::smmuv3::invalidation::Global;
use crate::smmuv3::tables::cd::{self, OnFault};
use crate::smmuv3::tables::ste::{self, ContextTable, DefaultSubstream};
use crate::smmuv3::vmsa::{Mapping, Permissions, WalkFault, Wanted};

/// What a stream's transaction is translated by.
#[derive(Clone, Copy)]
pub(super) struct Binding<'a> {
    pub service: &'a ste::Packed,
    /// Stage 1; none where it is bypassed.
    pub context: Option<&'a cd::Packed>,
}

impl Binding<'_> {
    #[inline]
    pub(super) fn tag(&self) -> Tag {
        let (asid, aset) = self.context.map_or((0, false), |context| (context.asid(), context.aset()));
        Tag {
            world: self.service.world(),
            vmid: self.service.vmid(),
            asid,
            aset,
            stage1: self.context.is_some(),
            stage2: self.service.stage2(),
        }
    }

    /// The address as the TLB knows it: without a top byte that stage 1 ignores.
    pub(super) fn plain(&self, address: u64) -> u64 {
        if self.ignores_top_byte(address) { without_top_byte(address) } else { address }
    }

    fn ignores_top_byte(&self, address: u64) -> bool {
        let half = self.context.and_then(|context| context.half_of(address));
        half.is_some_and(|(_, top_byte_ignored)| top_byte_ignored)
    }

    /// Whether what the TLB says of a missing permission may be wrong for this transaction: a clean
    /// page may be made dirty, and a half that is closed to unprivileged accesses has another fault.
    pub(super) fn permission_is_open(&self, wanted: Wanted) -> bool {
        let dirty = self.context.is_some_and(|context| context.dirty()) || self.service.dirty();
        let closed = self.context.is_some_and(|context| context.closes_a_half());
        wanted.write && dirty || !wanted.privileged && closed
    }

    fn stage2_on_fault(&self) -> OnFault {
        let (stall, record) = (self.service.stage2_stalls(), self.service.stage2_records());
        OnFault { stall, abort: true, record }
    }

    /// What becomes of a fault of a stage.
    fn on_fault(&self, stage: Stage) -> OnFault {
        match (stage, self.context) {
            (Stage::One, Some(context)) => context.on_fault(),
            (Stage::One, None) => TERMINATE,
            (Stage::Two, _) => self.stage2_on_fault(),
        }
    }
}

impl Translator {
    /// A transaction of a stream, while translation is on.
    pub(super) fn translate_stream(
        &self,
        t: &Transaction,
        plain: Subject,
        global: &Global,
        sanitize: bool,
        fx: &mut Effects,
    ) -> Result<Verdict, Refusal> {
        // Before anything is read: what is outdated by the end must not be cached.
        let tickets = Tickets {
            hits: self.hits.ticket(),
            tlb: self.tlb.ticket(),
            tables: self.tables.ticket(),
            ipas: self.ipas.ticket(),
            context_descriptors: self.context_descriptors.ticket(),
            contexts: self.contexts.ticket(),
        };
        // A copy that explains says by itself what is stale.
        if sanitize && !self.is_witness() {
            self.sanitize(t, plain.stream, global, fx);
        }
        // These may be merged whatever the STE says [SMMUv3 7.3.1].
        let refused = |reason| Refusal { reason, subject: plain, on_fault: TERMINATE, merge: true };
        let mut words = [0; 8];
        self.ste_words(plain.stream, global, true, &mut words, fx).map_err(refused)?;
        let mut ste = ste::Packed::ZERO;
        self.decode_ste(plain.stream, &words, global.cr2, &mut ste).map_err(|_| refused(Reason::BadSte))?;
        if !ste.serves() {
            return Ok(Verdict::Refused(super::ABORTED));
        }
        let service = &ste;
        let overrides = service.overrides();
        let wanted = wanted(t, &overrides);
        let Wanted { instruction, privileged, .. } = wanted;
        let subject = Subject { instruction, privileged, ..plain };
        let refused = |reason, on_fault| Refusal { reason, subject, on_fault, merge: service.merge() };
        let mut walker =
            Walker { translator: self, stream: plain.stream, service, tickets: Some(&tickets), fx };
        let mut cd = cd::Packed::ZERO;
        let stage1 = self.context(&mut walker, t.pasid, &mut cd).map_err(|error| match error {
            CdError::Reason(reason) => refused(reason, TERMINATE),
            CdError::Stage2(WalkFault::Fault(fault)) => {
                refused(Reason::Fault(fault), Binding { service, context: None }.stage2_on_fault())
            }
            CdError::Stage2(WalkFault::Abort { stage, class, at }) => {
                refused(Reason::WalkAbort { stage, class, at }, TERMINATE)
            }
        })?;
        let binding = Binding { service, context: stage1.then_some(&cd) };
        if binding.context.is_none() {
            // Stage 1 is bypassed: the address must be one that the next stage, or the bus, can have.
            let bits = if service.stage2() { self.config.ias_bits() } else { self.config.oas_bits() };
            if t.address.0 >> bits != 0 {
                let fault = TranslationFault {
                    kind: FaultKind::AddressSize,
                    stage: Stage::One,
                    class: Class::In,
                    ipa: None,
                    descriptor_read: false,
                };
                return Err(refused(Reason::Fault(fault), TERMINATE));
            }
            if !service.stage2() {
                return Ok(self.found(t, Pa(t.address.page().0), None, false, walker.fx));
            }
        }
        let (entry, cached) =
            self.page(&mut walker, binding, t, wanted, &tickets).map_err(|fault| match fault {
                WalkFault::Fault(fault) => Refusal {
                    subject: Subject {
                        read: self.for_read(&mut walker, binding, t, wanted, fault),
                        ..subject
                    },
                    ..refused(Reason::Fault(fault), binding.on_fault(fault.stage))
                },
                WalkFault::Abort { stage, class, at } => {
                    refused(Reason::WalkAbort { stage, class, at }, TERMINATE)
                }
            })?;
        if self.hits.sets() != 0 {
            let hit = Hit {
                page: entry.page,
                handle: entry.handle,
                permissions: Permissions::from_bits(entry.stage1.bits() & entry.stage2.bits()),
                overrides,
                top_byte_ignored: binding.ignores_top_byte(t.address.0),
                tag: binding.tag(),
                global: entry.global,
                block_bits: entry.block_bits,
            };
            hit.insert(&self.hits, tickets.hits, plain.stream, t.pasid, t.address);
        }
        Ok(self.found(t, entry.page, entry.handle, cached, walker.fx))
    }

    /// RnW of a fault's record: an atomic counts as a write, but from SMMUv3.1 on as a read where it may
    /// write, and only lacks the permission to read [SMMUv3 13.1.1].
    #[cold]
    fn for_read(
        &self,
        walker: &mut Walker<'_, '_>,
        binding: Binding<'_>,
        t: &Transaction,
        wanted: Wanted,
        fault: TranslationFault,
    ) -> bool {
        let TranslationFault { kind, stage, class, .. } = fault;
        if t.access != Access::Atomic || (kind, class) != (FaultKind::Permission, Class::In) {
            return t.access == Access::Read;
        }
        // Without the caches, which have nothing of a page that was refused, and without effects.
        let mut silent = Effects::new(Time::default(), false);
        let look = Walker {
            translator: self,
            stream: walker.stream,
            service: walker.service,
            tickets: None,
            fx: &mut silent,
        };
        let write = look.look(binding, t.address.0, Wanted { read: false, ..wanted });
        let refused =
            |found: TranslationFault| (found.kind, found.stage, found.class) == (kind, stage, class);
        self.config.minor >= 1 && !matches!(write, Err(WalkFault::Fault(found)) if refused(found))
    }

    /// Puts what the CD that a transaction uses means into `meaning`; false where stage 1 is bypassed
    /// [SMMUv3 3.3.2, 5.2].
    #[inline(always)]
    fn context(
        &self,
        walker: &mut Walker<'_, '_>,
        substream: Option<Pasid>,
        meaning: &mut cd::Packed,
    ) -> Result<bool, CdError> {
        let Some(table) = &walker.service.context_table() else {
            return if substream.is_some() { Err(Reason::BadSubstreamId.into()) } else { Ok(false) };
        };
        let Some(index) = select(table, substream)? else { return Ok(false) };
        let mut words = [0; 8];
        self.cd_words(walker, table, index, &mut words)?;
        self.decode_cd(walker.stream, index, &words, walker.service, meaning).map_err(|_| Reason::BadCd)?;
        Ok(true)
    }

    /// The page of a transaction, from the TLB or by a walk, which goes there; and which of the two.
    fn page(
        &self,
        walker: &mut Walker<'_, '_>,
        binding: Binding<'_>,
        t: &Transaction,
        wanted: Wanted,
        tickets: &Tickets,
    ) -> Result<(TlbEntry, bool), WalkFault> {
        let cached = self.tlb.sets() != 0;
        if cached && let Some(entry) = TlbEntry::lookup(&self.tlb, binding.tag(), binding.plain(t.address.0))
        {
            match denied(&entry, wanted) {
                None => {
                    self.note(|| Sight::Tlb(entry));
                    let permissions = entry.stage1.and(entry.stage2);
                    self.note(|| Sight::Page { bits: PAGE_BITS, permissions });
                    return Ok((entry, true));
                }
                // A walk says what is true now; the old entry goes with its insertion.
                Some(_) if binding.permission_is_open(wanted) => {}
                Some(stage) => {
                    self.note(|| Sight::Tlb(entry));
                    return Err(WalkFault::Fault(permission(&entry, stage)));
                }
            }
        }
        let found = walker.walk(binding, tickets, t.address.0, wanted);
        if self.mode.load(Ordering::Relaxed) & SANITIZE != 0 && !self.is_witness() {
            self.sanitize_walk(walker, &binding, t, found);
        }
        let Mapping { pa, ipa, stage1, stage2, global, block_bits, size_bits, .. } = found?;
        self.note(|| Sight::Page { bits: size_bits, permissions: stage1.and(stage2) });
        // Where there is no ASID that it could be common to, it is found without.
        let global = global && binding.context.is_some();
        let (page, ipa) = (pa.page(), ipa.page());
        let entry = TlbEntry { page, handle: self.handle(page), stage1, stage2, ipa, global, block_bits };
        if block_bits > self.block_bits.load(Ordering::Relaxed) {
            // Before it is cached: whoever invalidates without knowing this refuses it.
            self.block_bits.fetch_max(block_bits, Ordering::SeqCst);
        }
        if cached {
            entry.insert(&self.tlb, tickets.tlb, binding.tag(), binding.plain(t.address.0));
        }
        Ok((entry, false))
    }
}

/// The index of the CD that a transaction uses; `None` where stage 1 is bypassed for it.
pub(in crate::smmuv3) fn select(
    table: &ContextTable,
    substream: Option<Pasid>,
) -> Result<Option<Pasid>, Reason> {
    // Pasid 0 exists.
    let first = Pasid::new(0);
    match (substream, table.log2_count, table.default) {
        (None, 0, _) => Ok(first),
        (Some(_), 0, _) => Err(Reason::BadSubstreamId),
        (None, _, DefaultSubstream::Terminate) => Err(Reason::StreamDisabled),
        (None, _, DefaultSubstream::Bypass) => Ok(None),
        (None, _, DefaultSubstream::First) => Ok(first),
        (Some(pasid), count, _) if pasid.get() >> count != 0 => Err(Reason::BadSubstreamId),
        (Some(pasid), _, DefaultSubstream::First) if pasid.get() == 0 => Err(Reason::StreamDisabled),
        (Some(pasid), ..) => Ok(Some(pasid)),
    }
}

/// The first stage that does not permit what is wanted.
pub(super) fn denied(entry: &TlbEntry, wanted: Wanted) -> Option<Stage> {
    if !entry.stage1.grant(wanted) {
        Some(Stage::One)
    } else if !entry.stage2.grant(wanted) {
        Some(Stage::Two)
    } else {
        None
    }
}

fn permission(entry: &TlbEntry, stage: Stage) -> TranslationFault {
    TranslationFault {
        kind: FaultKind::Permission,
        stage,
        class: Class::In,
        ipa: (stage == Stage::Two).then_some(entry.ipa),
        descriptor_read: false,
    }
}
