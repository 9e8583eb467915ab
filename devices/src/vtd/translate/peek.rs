//! Looking at what the unit holds without a trace of having looked, for
//! [`explain`](crate::vtd::explain).

use std::sync::atomic::Ordering;

use super::entries::{IotlbEntry, structure};
use super::{EPM, IRES, TES, Translator};
use crate::addr::{Iova, Pa};
use crate::fabric::Transaction;
use crate::iommu::walk::{Leaf, Steps, Stop, Table, walk};
use crate::mem::{NotRam, PhysMem};
use crate::vtd::capability::AddressWidth;
use crate::vtd::interrupt_remapping::Irte;
use crate::vtd::invalidation::ProtectedRange;
use crate::vtd::regs::{Irta, Rtaddr};
use crate::vtd::tables::{ContextEntry, SecondStage};

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
    /// What there is for a request.
    pub(in crate::vtd) fn peek(&self, request: &Transaction) -> Peek {
        let (source, address) = (request.initiator.source(), request.address);
        let mode = self.mode.load(Ordering::Acquire);
        let place = u64::from(source.0);
        let held = |words| Held {
            entry: ContextEntry::from_raw(words),
            stale: self.context_difference(source, words).is_some(),
        };
        let page = IotlbEntry::peek(&self.iotlb, source, address)
            .map(|entry| Held { entry, stale: self.translation_difference(request, &entry).is_some() });
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

    /// The cached tables that a walk in `domain` from its first table at `root` could start from in
    /// place of it, the first choice first.
    pub(in crate::vtd) fn peek_structures(
        &self,
        domain: u16,
        root: Pa,
        width: AddressWidth,
        address: Iova,
    ) -> Vec<Held<Table>> {
        let (now, _) = self.tables_below(&SecondStage::new(width, self.cap), root, address);
        structure::peek(&self.structures, domain, address.0, width.levels())
            .map(|entry| Held { entry, stale: !now.contains(&entry) })
            .collect()
    }

    /// The tables below `root` that a walk comes to now, and how it ends.
    pub(super) fn tables_below(
        &self,
        format: &SecondStage,
        root: Pa,
        address: Iova,
    ) -> (Vec<Table>, Result<Leaf, Stop>) {
        let mut reached = Reached { mem: &self.mem, tables: Vec::new() };
        let end = walk(format, Table::root(format, root), address.0, &mut reached);
        (reached.tables, end)
    }
}

/// Takes note of the tables that a walk comes to.
struct Reached<'a> {
    mem: &'a PhysMem,
    tables: Vec<Table>,
}

impl Steps<SecondStage> for Reached<'_> {
    type Error = NotRam;

    fn fetch(&mut self, _: u32, address: Pa) -> Result<u64, NotRam> {
        self.mem.load64(address)
    }

    fn reached(&mut self, table: Table) {
        self.tables.push(table);
    }
}
