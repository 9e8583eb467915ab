//! Walks of both stages with the caches at hand.

use super::request::Binding;
use super::{Sight, Translator};
use crate::addr::{Ipa, Pa, StreamId};
use crate::fabric::Effects;
use crate::iommu::cache::Ticket;
use crate::mem::PhysMem;
use crate::smmuv3::event::{Class, Stage};
use crate::smmuv3::tables::ste;
use crate::smmuv3::vmsa::{
    self, Attributes, Granule, Hooks, Mapping, Regime, Stage1, Stage1Table, Stage2, Stage2Page, Stage2Table,
    WalkFault, Wanted,
};
use crate::trace::TraceEvent;

/// What the tables are called in traces, by the level -1 to 3.
pub(in crate::smmuv3) const STAGE1: [&str; 5] =
    ["stage 1 level -1", "stage 1 level 0", "stage 1 level 1", "stage 1 level 2", "stage 1 level 3"];
pub(in crate::smmuv3) const STAGE2: [&str; 5] =
    ["stage 2 level -1", "stage 2 level 0", "stage 2 level 1", "stage 2 level 2", "stage 2 level 3"];

/// What walks for one transaction need.
pub(super) struct Walker<'a, 'f> {
    pub translator: &'a Translator,
    pub stream: StreamId,
    pub service: &'a ste::Packed,
    /// Taken before anything was read, for what is cached; without, the caches are neither used nor
    /// filled, and no descriptor is updated.
    pub tickets: Option<&'a Tickets>,
    pub fx: &'f mut Effects,
}

/// One for each cache that a walk fills.
#[derive(Clone, Copy)]
pub(super) struct Tickets {
    pub hits: Ticket,
    pub tlb: Ticket,
    pub tables: Ticket,
    pub ipas: Ticket,
    pub context_descriptors: Ticket,
    pub contexts: Ticket,
}

impl Walker<'_, '_> {
    /// Where stage 2 puts what a CD, or a level-1 descriptor, is read from.
    pub fn context_ipa(&mut self, ipa: Ipa) -> Result<Pa, WalkFault> {
        let stage2 = self.service.stage2_tables();
        let (mem, regime) = (&self.translator.mem, regime(self.translator, None, stage2.as_ref()));
        match self.tickets {
            Some(tickets) => {
                let binding = Binding { service: self.service, context: None };
                let mut hooks = Cached::new(self.translator, binding, tickets, self.fx);
                if self.translator.is_witness() {
                    vmsa::translate_ipa(mem, &regime, ipa, &mut Witnessed(hooks))
                } else {
                    vmsa::translate_ipa(mem, &regime, ipa, &mut hooks)
                }
            }
            None => vmsa::translate_ipa(mem, &regime, ipa, &mut Look),
        }
    }

    /// Walks the tables of both stages. In line, so that nothing is made of a page that its one caller does
    /// not ask for.
    #[inline(always)]
    pub fn walk(
        &mut self,
        binding: Binding<'_>,
        tickets: &Tickets,
        address: u64,
        wanted: Wanted,
    ) -> Result<Mapping, WalkFault> {
        // One by one, where they are used: in a tuple they would be copied there.
        let stage1 = binding.context.map(|context| context.stage1());
        let stage2 = self.service.stage2_tables();
        let (mem, regime) = (&self.translator.mem, regime(self.translator, stage1.as_ref(), stage2.as_ref()));
        if self.translator.is_witness() {
            let hooks = Cached::new(self.translator, binding, tickets, self.fx);
            return witnessed(mem, &regime, address, wanted, hooks);
        }
        let mut hooks = Cached::new(self.translator, binding, tickets, self.fx);
        vmsa::translate(mem, &regime, address, wanted, &mut hooks)
    }

    /// As [`Self::walk`], without the caches, and without effects.
    #[cold]
    pub fn look(&self, binding: Binding<'_>, address: u64, wanted: Wanted) -> Result<Mapping, WalkFault> {
        let stage1 = binding.context.map(|context| context.stage1());
        let stage2 = self.service.stage2_tables();
        let regime = regime(self.translator, stage1.as_ref(), stage2.as_ref());
        vmsa::translate(&self.translator.mem, &regime, address, wanted, &mut Look)
    }
}

/// The walk of a copy that explains.
#[cold]
fn witnessed(
    mem: &PhysMem,
    regime: &Regime<'_>,
    address: u64,
    wanted: Wanted,
    hooks: Cached<'_>,
) -> Result<Mapping, WalkFault> {
    vmsa::translate(mem, regime, address, wanted, &mut Witnessed(hooks))
}

#[inline]
fn regime<'a>(translator: &Translator, stage1: Option<&'a Stage1>, stage2: Option<&'a Stage2>) -> Regime<'a> {
    Regime {
        stage1,
        stage2,
        wide: translator.config.oas_bits() == 52,
        // Nothing here asks for what a bypassed stage 1 would hand on.
        incoming: Attributes::DEFAULT,
    }
}

/// Neither caches nor updates.
struct Look;

impl Hooks for Look {
    const UPDATES: bool = false;
    const ATTRIBUTES: bool = false;
}

/// With the caches, and traced.
struct Cached<'a> {
    translator: &'a Translator,
    binding: Binding<'a>,
    tickets: &'a Tickets,
    fx: &'a mut Effects,
    /// Of `fx` and the translator, near: each step of each walk asks.
    traced: bool,
    keeps_tables: bool,
    /// [`Tag::word`](super::entries::Tag::word) of what is not global, if tables are cached.
    tag: u64,
}

impl<'a> Cached<'a> {
    #[inline]
    fn new(
        translator: &'a Translator,
        binding: Binding<'a>,
        tickets: &'a Tickets,
        fx: &'a mut Effects,
    ) -> Self {
        let (traced, keeps_tables) = (fx.traced(), translator.keeps_tables());
        let tag = if keeps_tables { binding.tag().word(false) } else { 0 };
        Self { translator, binding, tickets, fx, traced, keeps_tables, tag }
    }

    /// The granule of the tables for `va`, whose half has some if the walk came here.
    fn stage1_granule(&self, va: u64) -> Granule {
        let half = self.binding.context.and_then(|context| context.half_of(va));
        half.map_or(Granule::K4, |(granule, _)| granule)
    }

    #[cold]
    fn trace(&mut self, stage: Stage, level: i32, at: Pa, descriptor: u64) {
        let unit = self.translator.config.unit.name();
        let names = if stage == Stage::One { &STAGE1 } else { &STAGE2 };
        // Levels are -1 to 3.
        let name = usize::try_from(level + 1).ok().and_then(|at| names.get(at));
        let table = name.copied().unwrap_or_default();
        self.fx.trace(|| TraceEvent::Fetch { unit, table, address: at, words: [descriptor, 0] });
    }
}

impl Hooks for Cached<'_> {
    const ATTRIBUTES: bool = false;

    #[inline]
    fn fetched(&mut self, stage: Stage, level: i32, at: Pa, descriptor: u64) {
        if self.traced {
            self.trace(stage, level, at, descriptor);
        }
    }

    #[cold]
    fn updated(&mut self, stage: Stage, at: Pa, descriptor: u64) {
        let unit = self.translator.config.unit.name();
        let table = if stage == Stage::One { "stage 1 update" } else { "stage 2 update" };
        self.fx.trace(|| TraceEvent::Fetch { unit, table, address: at, words: [descriptor, 0] });
    }

    #[inline]
    fn stage1_start(&mut self, va: u64, root: Stage1Table) -> Stage1Table {
        if !self.keeps_tables {
            return root;
        }
        self.translator.stage1_start(self.tag, self.stage1_granule(va), va, root)
    }

    #[inline]
    fn stage1_reached(&mut self, va: u64, table: Stage1Table) {
        if self.keeps_tables {
            self.translator.keep_stage1(self.tickets.tables, self.tag, self.stage1_granule(va), va, table);
        }
    }

    #[inline]
    fn stage2_start(&mut self, ipa: Ipa, root: Stage2Table) -> Stage2Table {
        if !self.keeps_tables {
            return root;
        }
        let service = self.binding.service;
        self.translator.stage2_start(service.vmid(), service.stage2_granule(), ipa, root)
    }

    #[inline]
    fn stage2_reached(&mut self, ipa: Ipa, table: Stage2Table) {
        if self.keeps_tables {
            let (service, ticket) = (self.binding.service, self.tickets.tables);
            self.translator.keep_stage2(ticket, service.vmid(), service.stage2_granule(), ipa, table);
        }
    }

    #[inline]
    fn ipa_lookup(&mut self, ipa: Ipa, _: Class) -> Option<Stage2Page> {
        if self.translator.keeps_ipas() {
            self.translator.ipa_page(self.binding.service.vmid(), ipa)
        } else {
            None
        }
    }

    #[inline]
    fn ipa_insert(&mut self, ipa: Ipa, _: Class, page: &Stage2Page) {
        if self.translator.keeps_ipas() {
            self.translator.keep_ipa(self.tickets.ipas, self.binding.service.vmid(), ipa, page);
        }
    }
}

/// As [`Cached`], noted, and without updates.
struct Witnessed<'a>(Cached<'a>);

impl Witnessed<'_> {
    fn note(&self, sight: Sight) {
        self.0.translator.note(|| sight);
    }
}

impl Hooks for Witnessed<'_> {
    const UPDATES: bool = false;

    fn fetched(&mut self, stage: Stage, level: i32, at: Pa, descriptor: u64) {
        self.note(Sight::Descriptor { stage, level, at, raw: descriptor });
    }

    fn stage1_start(&mut self, va: u64, root: Stage1Table) -> Stage1Table {
        let table = self.0.stage1_start(va, root);
        self.note(Sight::Stage1 { table, cached: table != root });
        table
    }

    fn stage1_reached(&mut self, va: u64, table: Stage1Table) {
        self.note(Sight::Stage1Reached(table));
        self.0.stage1_reached(va, table);
    }

    fn stage2_start(&mut self, ipa: Ipa, root: Stage2Table) -> Stage2Table {
        let table = self.0.stage2_start(ipa, root);
        self.note(Sight::Stage2 { table, cached: table != root });
        table
    }

    fn stage2_reached(&mut self, ipa: Ipa, table: Stage2Table) {
        self.note(Sight::Stage2Reached(table));
        self.0.stage2_reached(ipa, table);
    }

    fn ipa_lookup(&mut self, ipa: Ipa, class: Class) -> Option<Stage2Page> {
        self.note(Sight::Asked { ipa, class });
        let page = self.0.ipa_lookup(ipa, class)?;
        self.note(Sight::IpaCached(page));
        Some(page)
    }

    fn ipa_insert(&mut self, ipa: Ipa, class: Class, page: &Stage2Page) {
        self.note(Sight::Stage2Found { ipa, page: *page });
        self.0.ipa_insert(ipa, class, page);
    }
}
