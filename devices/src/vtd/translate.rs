//! The half that bus masters meet: the latched root, the caches and the walk [VT-d 3.4, 6.2].
//!
//! Invariants: `&self` everywhere; a hit in the IOTLB touches neither the tables nor memory; no
//! lock and no allocation on any path.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::UNIT;
use super::capability::{AddressWidth, Config};
use super::fault::{Fault, Reason};
use super::interrupt_remapping::{self, Format, Irte};
use super::invalidation::{BackEnd, ContextScope, InterruptMode, InterruptScope, IotlbScope};
use super::names::SUPPRESSED;
use super::regs::{Cap, Ecap, Irta, Rtaddr};
use super::tables::{
    Context, ContextEntry, RootEntry, SecondStage, Translation, beyond_host_width, decode_context,
    decode_root,
};
use crate::addr::{Iova, PAGE_SIZE, Pa, SourceId};
use crate::fabric::{
    Abort, Access, Effect, Effects, Initiator, Kind, Outcome, Transaction, Translate, Verdict,
    is_interrupt_write, is_message,
};
use crate::iommu::cache::{self, Cache};
use crate::iommu::walk::{self, Rights, Why, walk};
use crate::mem::{Handle, NotRam, PhysMem};
use crate::trace::TraceEvent;

/// Entries that the context cache has room for.
const CONTEXT_ENTRIES: usize = 256;
/// Entries that the interrupt-entry cache has room for.
const INTERRUPT_ENTRIES: usize = 256;
/// Entries, of 4 KiB each, that the IOTLB has room for.
const IOTLB_ENTRIES: usize = 4096;

/// The translating half of a unit.
#[derive(Debug)]
pub struct Translator {
    mem: PhysMem,
    cap: Cap,
    ecap: Ecap,
    enabled: AtomicBool,
    /// RTADDR_REG as SRTP latched it.
    root: AtomicU64,
    contexts: Cache<2>,
    iotlb: Cache<2>,
    /// [`IRES`] and [`CFIS`].
    interrupt_mode: AtomicU32,
    /// IRTA_REG as SIRTP latched it.
    interrupt_table: AtomicU64,
    interrupts: Cache<2>,
}

/// Interrupt remapping is on.
const IRES: u32 = 1;
/// Interrupts in compatibility format pass.
const CFIS: u32 = 2;

/// A saved [`Translator`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    enabled: bool,
    root: Rtaddr,
    contexts: cache::State,
    iotlb: cache::State,
    interrupt_mode: u32,
    interrupt_table: Irta,
    interrupts: cache::State,
}

/// Why a request is blocked, and whether the context entry keeps quiet about it.
#[derive(Clone, Copy)]
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
        Self {
            mem,
            cap: config.cap(),
            ecap: config.ecap(),
            enabled: AtomicBool::new(false),
            root: AtomicU64::new(0),
            contexts: Cache::new(CONTEXT_ENTRIES, config.cache, config.seed ^ 1),
            iotlb: Cache::new(IOTLB_ENTRIES, config.cache, config.seed ^ 2),
            interrupt_mode: AtomicU32::new(0),
            interrupt_table: AtomicU64::new(0),
            interrupts: Cache::new(INTERRUPT_ENTRIES, config.cache, config.seed ^ 3),
        }
    }

    /// The state as data; nobody may be translating meanwhile.
    pub fn save(&self) -> State {
        let Self {
            mem: _,
            cap: _,
            ecap: _,
            enabled,
            root,
            contexts,
            iotlb,
            interrupt_mode,
            interrupt_table,
            interrupts,
        } = self;
        State {
            enabled: enabled.load(Ordering::Acquire),
            root: Rtaddr::from_raw(root.load(Ordering::Acquire)),
            contexts: contexts.save(),
            iotlb: iotlb.save(),
            interrupt_mode: interrupt_mode.load(Ordering::Acquire),
            interrupt_table: Irta::from_raw(interrupt_table.load(Ordering::Acquire)),
            interrupts: interrupts.save(),
        }
    }

    /// Continues from what was saved.
    pub fn restore(&self, state: &State) {
        let State { enabled, root, contexts, iotlb, interrupt_mode, interrupt_table, interrupts } = state;
        self.set_enabled(*enabled);
        self.set_root(*root);
        self.contexts.restore(contexts);
        self.iotlb.restore(iotlb);
        self.interrupt_mode.store(*interrupt_mode, Ordering::Release);
        self.set_interrupt_table(*interrupt_table);
        self.interrupts.restore(interrupts);
    }

    /// Off, with empty caches.
    pub fn reset(&self) {
        self.set_enabled(false);
        self.set_root(Rtaddr::ZERO);
        self.invalidate_context(ContextScope::Global);
        self.invalidate_iotlb(IotlbScope::Global);
        self.interrupt_mode.store(0, Ordering::Release);
        self.set_interrupt_table(Irta::ZERO);
        self.invalidate_interrupts(InterruptScope::Global);
    }

    /// What an interrupt request becomes while remapping is on [VT-d 5.1.4]. An error carries the
    /// index, where there is one.
    fn remap_interrupt(
        &self,
        source: SourceId,
        address: u64,
        data: u32,
        fx: &mut Effects,
    ) -> Result<(u64, u32), (Blocked, u32)> {
        let irta = Irta::from_raw(self.interrupt_table.load(Ordering::Acquire));
        let plain = |reason| (Blocked::new(reason), 0);
        let index = match interrupt_remapping::decode_request(address, data).map_err(plain)? {
            Format::Compatibility => {
                let passes = self.interrupt_mode.load(Ordering::Acquire) & CFIS != 0 && !irta.eime();
                return if passes { Ok((address, data)) } else { Err(plain(Reason::InterruptCompatibility)) };
            }
            Format::Remappable(index) => index,
        };
        let key = u64::from(index);
        let cached = self.interrupts.lookup(key, key);
        let words = match cached {
            Some(words) => words,
            None => {
                let blocked = |reason| (Blocked::new(reason), index);
                let at = interrupt_remapping::entry_address(irta, index).map_err(blocked)?;
                self.fetch128("interrupt entry", at, fx)
                    .map_err(|NotRam| blocked(Reason::InterruptTableAccess))?
            }
        };
        let entry = Irte::from_raw(words);
        let message = interrupt_remapping::remap(entry, source, irta.eime())
            .map_err(|reason| (Blocked { reason, fpd: entry.fpd() }, index))?;
        if cached.is_none() {
            self.interrupts.insert(key, key, words);
        }
        Ok(message)
    }

    /// A request while translation is on, not of the interrupt range.
    fn remap(&self, t: &Transaction, fx: &mut Effects) -> Result<Verdict, Blocked> {
        let source = t.initiator.source();
        if t.kind == Kind::Untranslated
            && t.pasid.is_none()
            && let Some(cached) = IotlbEntry::lookup(&self.iotlb, source, t.address)
        {
            self.permit(t, cached.rights).map_err(|reason| Blocked { reason, fpd: cached.fpd })?;
            return Ok(self.found(t, cached.page, cached.handle, true, fx));
        }
        let context = self.context(t, source, fx)?;
        let blocked = |reason| Blocked { reason, fpd: context.fpd };
        if t.kind == Kind::Translated {
            return Err(blocked(Reason::TypeBlocked));
        }
        match context.translation {
            Translation::PassThrough if beyond_host_width(t.address.0) => {
                Err(blocked(Reason::AddressBeyondWidth))
            }
            Translation::PassThrough => Ok(self.found(t, Pa(t.address.page().0), None, false, fx)),
            Translation::SecondStage { root, width } => {
                let leaf = self.second_stage(t.address, root, width, fx).map_err(blocked)?;
                self.permit(t, leaf.rights).map_err(blocked)?;
                if is_message(leaf.pa.0) {
                    return Err(blocked(Reason::OutputInInterruptRange));
                }
                let page = leaf.pa.page();
                let handle = self.mem.resolve(page).and_then(|(h, left)| (left >= PAGE_SIZE).then_some(h));
                let (domain, fpd) = (context.domain, context.fpd);
                IotlbEntry { page, handle, rights: leaf.rights, fpd, domain }.insert(
                    &self.iotlb,
                    source,
                    t.address,
                );
                Ok(self.found(t, page, handle, false, fx))
            }
        }
    }

    /// The context entry of `source`, from the cache or from the tables [VT-d 3.4.2].
    fn context(&self, t: &Transaction, source: SourceId, fx: &mut Effects) -> Result<Context, Blocked> {
        let rtaddr = Rtaddr::from_raw(self.root.load(Ordering::Acquire));
        if rtaddr.ttm() != 0 {
            return Err(Blocked::new(Reason::TableMode));
        }
        if t.pasid.is_some() {
            return Err(Blocked::new(Reason::PasidInLegacy));
        }
        let place = u64::from(source.0);
        if let Some(words) = self.contexts.lookup(place, place) {
            // What was valid when it was cached is valid now: the capabilities do not change.
            if let Ok(context) = decode_context(ContextEntry::from_raw(words), self.cap, self.ecap) {
                return Ok(context);
            }
        }
        let at = Pa((rtaddr.rta() << 12) + u64::from(source.bus()) * 16);
        let words = self.fetch128("root entry", at, fx).map_err(|NotRam| Blocked::new(Reason::RootAccess))?;
        let table = decode_root(RootEntry::from_raw(words)).map_err(Blocked::new)?;
        let at = Pa(table.0 + u64::from(source.devfn()) * 16);
        let words =
            self.fetch128("context entry", at, fx).map_err(|NotRam| Blocked::new(Reason::ContextAccess))?;
        let entry = ContextEntry::from_raw(words);
        let context = decode_context(entry, self.cap, self.ecap)
            .map_err(|reason| Blocked { reason, fpd: entry.fpd() })?;
        self.contexts.insert(place, place, words);
        Ok(context)
    }

    fn second_stage(
        &self,
        input: Iova,
        root: Pa,
        width: AddressWidth,
        fx: &mut Effects,
    ) -> Result<SecondStageLeaf, Reason> {
        let bits = width.bits().min(u32::from(self.cap.mgaw()) + 1);
        if input.0 >> bits != 0 {
            return Err(Reason::AddressBeyondWidth);
        }
        let format = SecondStage::new(width, self.cap);
        let result = walk(&format, root, input.0, |level, at| {
            let raw = self.mem.load64(at);
            if let Ok(raw) = raw {
                fx.trace(|| TraceEvent::Fetch {
                    unit: UNIT,
                    table: SECOND_STAGE_NAMES[level as usize - 1],
                    address: at,
                    words: [raw, 0],
                });
            }
            raw
        });
        match result {
            Ok(walk::Leaf { pa, rights, .. }) => Ok(SecondStageLeaf { pa, rights }),
            // Entries without R and W grant nothing; which right is missing is the caller's to say.
            Err(walk::Stop { why: Why::Absent, .. }) => {
                Ok(SecondStageLeaf { pa: Pa(0), rights: Rights::NONE })
            }
            Err(walk::Stop { why: Why::Reserved, .. }) => Err(Reason::TableReserved),
            Err(walk::Stop { why: Why::Fetch, level }) if level == width.levels() => {
                Err(Reason::ContextInvalid)
            }
            Err(walk::Stop { why: Why::Fetch, .. }) => Err(Reason::TableAccess),
        }
    }

    /// Whether `rights` suffice [VT-d 3.7.1].
    fn permit(&self, t: &Transaction, rights: Rights) -> Result<(), Reason> {
        let zero_length = t.access == Access::Read && t.len == 0;
        if zero_length && self.cap.zlr() && rights != Rights::NONE {
            return Ok(());
        }
        let wants_write = t.access != Access::Read;
        let wants_read = t.access != Access::Write;
        if wants_write && !rights.grants(Rights::WRITE) {
            return Err(Reason::NoWrite);
        }
        if wants_read && !rights.grants(Rights::READ) {
            return Err(Reason::NoRead);
        }
        Ok(())
    }

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
        let (initiator, iova) = (t.initiator, t.address);
        fx.trace(|| TraceEvent::Translation { unit: UNIT, initiator, iova, pa, cached });
        Verdict::Memory { pa, handle: handle.map(|handle| handle.plus(offset)) }
    }

    fn fetch128(&self, table: &'static str, address: Pa, fx: &mut Effects) -> Result<[u64; 2], NotRam> {
        let words = self.mem.load128(address)?;
        fx.trace(|| TraceEvent::Fetch { unit: UNIT, table, address, words });
        Ok(words)
    }

    /// Reports why `t` is blocked.
    fn block(&self, t: &Transaction, blocked: Blocked, fx: &mut Effects) -> Verdict {
        let Blocked { reason, fpd } = blocked;
        let (source, address, access) = (t.initiator.source(), t.address, t.access);
        Self::report(Fault { source, address, access, reason }, fpd, fx);
        Verdict::Refused(Outcome::Abort(Abort::Ur))
    }

    /// Reports a fault, unless FPD says not to [VT-d 7.2.1].
    fn report(fault: Fault, fpd: bool, fx: &mut Effects) {
        let Fault { source, address, access: _, reason } = fault;
        if fpd && reason.qualified() {
            fx.trace(|| TraceEvent::Fault {
                unit: UNIT,
                source,
                reason: reason.code(),
                what: reason.describe(),
                address: address.0,
                fate: SUPPRESSED,
            });
        } else {
            fx.push(Effect::Fault(fault));
        }
    }
}

impl Translate for Translator {
    fn interrupt(&self, initiator: Initiator, address: u64, data: u32, fx: &mut Effects) -> Outcome {
        if self.interrupt_mode.load(Ordering::Acquire) & IRES == 0 {
            fx.push(Effect::Interrupt { initiator, address, data });
            return Outcome::Done;
        }
        match self.remap_interrupt(initiator.source(), address, data, fx) {
            Ok((address, data)) => {
                fx.push(Effect::Interrupt { initiator, address, data });
                Outcome::Done
            }
            Err((Blocked { reason, fpd }, index)) => {
                Self::report(Fault::interrupt(initiator.source(), reason, index), fpd, fx);
                Outcome::Abort(Abort::Ur)
            }
        }
    }

    fn translate(&self, t: &Transaction, fx: &mut Effects) -> Verdict {
        let enabled = self.enabled.load(Ordering::Acquire);
        let plain = t.kind == Kind::Untranslated && (t.pasid.is_none() || !enabled);
        if plain && is_message(t.address.0) {
            return match t.access {
                Access::Write if is_interrupt_write(t.address, t.len) => Verdict::Interrupt,
                Access::Read if t.len == 0 => Verdict::Nothing,
                _ => self.block(t, Blocked::new(Reason::InterruptRangeAccess), fx),
            };
        }
        if !enabled {
            return match t.kind {
                Kind::Untranslated => Verdict::Memory { pa: Pa(t.address.0), handle: None },
                Kind::Translated => Verdict::Refused(Outcome::Abort(Abort::Ur)),
            };
        }
        match self.remap(t, fx) {
            Ok(verdict) => verdict,
            Err(blocked) => self.block(t, blocked, fx),
        }
    }
}

impl BackEnd for Translator {
    fn set_interrupt_mode(&self, mode: InterruptMode) {
        let InterruptMode { enabled, compatibility } = mode;
        let bits = if enabled { IRES } else { 0 } | if compatibility { CFIS } else { 0 };
        self.interrupt_mode.store(bits, Ordering::Release);
    }

    fn set_interrupt_table(&self, irta: Irta) {
        self.interrupt_table.store(irta.raw(), Ordering::Release);
    }

    fn invalidate_interrupts(&self, scope: InterruptScope) {
        self.interrupts.invalidate(|key, _| match scope {
            InterruptScope::Global => true,
            // Masks are at most ECAP.MHMV, 15.
            InterruptScope::Index { index, mask } => (key ^ u64::from(index)) >> mask == 0,
        });
    }

    fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Release);
    }

    fn set_root(&self, rtaddr: Rtaddr) {
        self.root.store(rtaddr.raw(), Ordering::Release);
    }

    fn invalidate_context(&self, scope: ContextScope) {
        let in_scope = |source: u64, words: &[u64; 2]| {
            let domain_of = ContextEntry::from_raw(*words).did();
            match scope {
                ContextScope::Global => true,
                ContextScope::Domain(domain) => domain_of == domain,
                ContextScope::Device { domain, source: wanted, mask } => {
                    domain_of == domain && (source ^ u64::from(wanted.0)) & !u64::from(mask) == 0
                }
            }
        };
        self.contexts.invalidate(in_scope);
    }

    fn invalidate_iotlb(&self, scope: IotlbScope) {
        match scope {
            IotlbScope::Global => self.iotlb.invalidate(|_, _| true),
            IotlbScope::Domain(domain) => {
                self.iotlb.invalidate(|_, data| IotlbEntry::domain_of(data) == domain);
            }
            IotlbScope::Pages { domain, first, last } => {
                let (first, last) = (first / PAGE_SIZE, last / PAGE_SIZE);
                let in_scope = |key: u64, data: &[u64; 2]| {
                    IotlbEntry::domain_of(data) == domain && (first..=last).contains(&(key >> 16))
                };
                // Each page can only be in one set, so a small range needs no look at the others.
                if last - first < self.iotlb.sets() as u64 {
                    (first..=last).for_each(|page| self.iotlb.invalidate_set(place_of(page), in_scope));
                } else {
                    self.iotlb.invalidate(in_scope);
                }
            }
        }
    }
}

/// What the specification calls the tables, by level.
const SECOND_STAGE_NAMES: [&str; 5] = ["SS-PTE", "SS-PDE", "SS-PDPE", "SS-PML4E", "SS-PML5E"];

struct SecondStageLeaf {
    pa: Pa,
    rights: Rights,
}

/// A cached translation of one 4-KiB page; larger pages are cached in fractions [VT-d 6.2.4].
/// Looked up by source and address, invalidated by domain and address.
struct IotlbEntry {
    page: Pa,
    /// The RAM behind the page, unless it is not, or not all, RAM.
    handle: Option<Handle>,
    rights: Rights,
    fpd: bool,
    domain: u16,
}

const FPD: u64 = 1 << 2;
const NO_HANDLE: u64 = u64::MAX;
/// Address bits of a page, between which and the flags the domain is kept.
const PAGE_BITS: u64 = ((1 << 52) - 1) & !0xfff;

impl IotlbEntry {
    fn lookup(iotlb: &Cache<2>, source: SourceId, address: Iova) -> Option<Self> {
        let page = address.0 / PAGE_SIZE;
        let data = iotlb.lookup(place_of(page), key_of(source, page)?)?;
        let [word, handle] = data;
        Some(Self {
            page: Pa(word & PAGE_BITS),
            handle: (handle != NO_HANDLE).then_some(Handle::from_bits(handle)),
            rights: Rights::from_bits(word),
            fpd: word & FPD != 0,
            domain: Self::domain_of(&data),
        })
    }

    fn insert(self, iotlb: &Cache<2>, source: SourceId, address: Iova) {
        let Self { page, handle, rights, fpd, domain } = self;
        let number = address.0 / PAGE_SIZE;
        let Some(key) = key_of(source, number) else { return };
        let domain = u64::from(domain);
        let word =
            page.0 | rights.bits() | if fpd { FPD } else { 0 } | (domain & 0xf) << 8 | domain >> 4 << 52;
        iotlb.insert(place_of(number), key, [word, handle.map_or(NO_HANDLE, Handle::to_bits)]);
    }

    fn domain_of(data: &[u64; 2]) -> u16 {
        // 12 bits above the address and 4 below it.
        (data[0] >> 52 << 4 | data[0] >> 8 & 0xf) as u16
    }
}

/// The set of a page: neighbours in different sets, large strides spread.
fn place_of(page: u64) -> u64 {
    page ^ page >> 10 ^ page >> 20
}

/// Page number and source in one word; no table reaches pages whose number has more than 48 bits.
fn key_of(source: SourceId, page: u64) -> Option<u64> {
    (page >> 48 == 0).then_some(page << 16 | u64::from(source.0))
}
