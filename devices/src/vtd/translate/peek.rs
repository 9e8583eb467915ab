//! Looking at what the unit holds without a trace of having looked, for
//! [`explain`](crate::vtd::explain).

use std::sync::atomic::Ordering;

use super::entries::{IotlbEntry, structure};
use super::{EPM, IRES, TES, Translator};
use crate::addr::{Iova, Pa, SourceId};
use crate::events::Time;
use crate::fabric::Effects;
use crate::iommu::walk::{Steps, Table, walk};
use crate::mem::{NotRam, PhysMem};
use crate::vtd::interrupt_remapping::Irte;
use crate::vtd::invalidation::ProtectedRange;
use crate::vtd::regs::{Irta, Rtaddr};
use crate::vtd::tables::{ContextEntry, SecondStage, Translation, decode_context};

/// A cached entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vtd) struct Held<T> {
    pub entry: T,
    /// Memory says something else now.
    pub stale: bool,
}

/// What the unit has latched, and cached for a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::vtd) struct Peek {
    /// GSTS.TES.
    pub enabled: bool,
    /// GSTS.IRES.
    pub remapping: bool,
    /// RTADDR_REG as SRTP latched it.
    pub root: Rtaddr,
    /// IRTA_REG as SIRTP latched it.
    pub interrupt_table: Irta,
    /// The low and the high protected region, while they are on.
    pub protected: Option<[ProtectedRange; 2]>,
    /// The cached context entry of the source.
    pub context: Option<Held<ContextEntry>>,
    /// The cached page.
    pub page: Option<Held<IotlbEntry>>,
}

impl Translator {
    /// What there is for a request of `source` to `address`.
    pub(in crate::vtd) fn peek(&self, source: SourceId, address: Iova) -> Peek {
        let mode = self.mode.load(Ordering::Acquire);
        let place = u64::from(source.0);
        let held = |words| Held {
            entry: ContextEntry::from_raw(words),
            stale: self.context_difference(source, words).is_some(),
        };
        let page = IotlbEntry::peek(&self.iotlb, source, address).map(|entry| Held {
            entry,
            stale: self.translation_difference(source, address, &entry).is_some(),
        });
        Peek {
            enabled: mode & TES != 0,
            remapping: mode & IRES != 0,
            root: Rtaddr::from_raw(self.root.load(Ordering::Acquire)),
            interrupt_table: Irta::from_raw(self.interrupt_table.load(Ordering::Acquire)),
            protected: (mode & EPM != 0).then(|| self.load_protected()),
            context: self.contexts.peek(place, place).map(held),
            page,
        }
    }

    /// The interrupt entry cached under an index.
    pub(in crate::vtd) fn peek_interrupt(&self, index: u32) -> Option<Held<Irte>> {
        let words = self.interrupts.peek(index.into(), index.into())?;
        let stale = self.interrupt_difference(index, words).is_some();
        Some(Held { entry: Irte::from_raw(words), stale })
    }

    /// The cached tables that a walk of `levels` in `domain` could start from, the first choice first.
    pub(in crate::vtd) fn peek_structures(
        &self,
        source: SourceId,
        domain: u16,
        address: Iova,
        levels: u32,
    ) -> Vec<Held<Table>> {
        let now = self.tables_now(source, domain, address);
        structure::peek(&self.structures, domain, address.0, levels)
            .map(|entry| Held { entry, stale: !now.contains(&entry) })
            .collect()
    }

    /// The tables that a walk from the root table comes to now; none if that is not in `domain`.
    fn tables_now(&self, source: SourceId, domain: u16, address: Iova) -> Vec<Table> {
        let mut silent = Effects::new(Time::default(), false);
        let rtaddr = Rtaddr::from_raw(self.root.load(Ordering::Acquire));
        let context = self
            .context_words(rtaddr, source, &mut silent)
            .and_then(|words| decode_context(ContextEntry::from_raw(words), self.cap, self.ecap));
        let mut reached = Reached { mem: &self.mem, tables: Vec::new() };
        if let Ok(context) = context
            && context.domain == domain
            && let Translation::SecondStage { root, width } = context.translation
        {
            let format = SecondStage::new(width, self.cap);
            // Where it ends does not matter.
            let _ = walk(&format, Table::root(&format, root), address.0, &mut reached);
        }
        reached.tables
    }
}

/// Takes note of the tables that a walk comes to.
struct Reached<'a> {
    mem: &'a PhysMem,
    tables: Vec<Table>,
}

impl Steps for Reached<'_> {
    fn fetch(&mut self, _: u32, address: Pa) -> Result<u64, NotRam> {
        self.mem.load64(address)
    }

    fn reached(&mut self, table: Table) {
        self.tables.push(table);
    }
}
