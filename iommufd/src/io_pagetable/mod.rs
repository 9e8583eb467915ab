//! The map from IOVA to pinned memory that the domains of an IOAS are filled from
//! [kernel: io_pagetable.c].
//!
//! Every area is in every domain, whole; what fails in between leaves everything as it was. Memory is
//! held from the first domain to the last.
//!
//! One lock covers the table. It is held over calls into domains and into the memory of processes,
//! and never over calls to the owner of an access.

mod access;
mod area;
mod domains;
mod map;
mod space;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use devices::addr::{Iova, PAGE_SIZE};
use rangemap::RangeInclusiveSet;

use crate::driver::{PagingDomain, ReservedKind, ReservedRegion};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::ioas::access::AccessOps;
use crate::pages::Pages;
use crate::span::Span;
use area::Areas;
use space::Space;

pub(crate) use map::{At, Slice, Unmapped};

/// Who reserved IOVAs; they go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ReservedBy {
    /// A bound device, by its object id.
    Device(u32),
    /// A domain's aperture.
    Domain(DomainSlot),
    /// A test.
    NoOne,
}

/// A domain's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DomainSlot(pub(crate) u32);

/// An access's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AccessSlot(pub(crate) u32);

/// The table of one IOAS.
#[derive(Default)]
pub(crate) struct IoPagetable {
    table: RwLock<Table>,
}

/// What the lock covers.
pub(crate) struct Table {
    areas: Areas,
    space: Space,
    domains: Vec<(DomainSlot, Arc<dyn PagingDomain>)>,
    next_domain: u32,
    accesses: BTreeMap<AccessSlot, Accessor>,
    /// Domains get leaves of 4 KiB at most, so that areas can be cut.
    small_leaves: bool,
    /// What IOVAs, lengths and memory are multiples of.
    alignment: u64,
}

/// Software that accesses the table.
struct Accessor {
    /// Told before something is unmapped; `None` for the library's own, which lock what they pin.
    ops: Option<Arc<dyn AccessOps>>,
    alignment: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            areas: Areas::default(),
            space: Space::default(),
            domains: Vec::new(),
            next_domain: 0,
            accesses: BTreeMap::new(),
            small_leaves: false,
            alignment: 1,
        }
    }
}

impl IoPagetable {
    /// Reserves what a device cannot use (all kinds but `DirectRelaxable`), under `owner`. Gives the
    /// start of its software MSI window, if it has one.
    ///
    /// # Errors
    /// `EADDRINUSE` where an area or an allowed range is hit, `EINVAL` where software MSI windows are
    /// several or beside one of hardware; nothing is reserved then.
    pub(crate) fn reserve_regions(
        &self,
        owner: ReservedBy,
        regions: &[ReservedRegion],
    ) -> Result<Option<Iova>> {
        fault_point(Errno::EINVAL)?;
        let mut table = self.write();
        let before = table.space.reservations();
        let result = table.reserve_regions(owner, regions);
        if result.is_err() {
            table.space.release(owner, before);
        }
        result
    }

    /// Reserves one span.
    ///
    /// # Errors
    /// As [`Self::reserve_regions`].
    pub(crate) fn reserve(&self, owner: ReservedBy, span: Span) -> Result<()> {
        fault_point(Errno::ENOMEM)?;
        self.write().space.reserve(owner, span)
    }

    /// Takes back everything `owner` reserved.
    pub(crate) fn release_reserved(&self, owner: ReservedBy) {
        self.write().space.release(owner, 0);
    }

    /// Replaces the ranges that automatic IOVAs may be in; none for everywhere.
    ///
    /// # Errors
    /// `EADDRINUSE` where one is reserved; the old ones stay then.
    pub(crate) fn allow(&self, allowed: RangeInclusiveSet<u64>) -> Result<()> {
        self.write().space.allow(allowed)
    }

    /// What is not reserved, in order, and the alignment.
    pub(crate) fn usable(&self) -> (Vec<Span>, u64) {
        let table = self.read();
        (table.space.usable(), table.alignment)
    }

    /// Alignment of everything mapped, in bytes: a power of two up to 4 KiB.
    pub(crate) fn alignment(&self) -> u64 {
        self.read().alignment
    }

    /// Calls `each` for the parts of `span` that areas cover, in order, with the table kept from
    /// changing.
    ///
    /// # Errors
    /// What `each` says first; `EINVAL` at the first IOVA of `span` that no area covers, after what
    /// is before it.
    pub(crate) fn for_each_area(&self, span: Span, each: &mut dyn FnMut(Span) -> Result<()>) -> Result<()> {
        let table = self.read();
        let mut reached = None;
        for (_, part) in table.areas.contiguous(span) {
            each(part)?;
            reached = Some(part.last);
        }
        if reached == Some(span.last) { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// First IOVA of the `nth` area from the lowest on, counted from 0; `None` where there are fewer.
    pub(crate) fn nth_area(&self, nth: u32) -> Option<Iova> {
        let table = self.read();
        table.areas.iter().nth(usize::try_from(nth).ok()?).map(|area| Iova(area.iova().start))
    }

    /// Whether domains may get leaves larger than 4 KiB [uapi IOMMU_OPTION_HUGE_PAGES].
    pub(crate) fn large_leaves(&self) -> bool {
        !self.read().small_leaves
    }

    /// Lets domains have leaves larger than 4 KiB, or not. What is mapped already stays.
    ///
    /// # Errors
    /// `EINVAL` to forbid them where domains have areas, `EADDRINUSE` where an area is not aligned
    /// to 4 KiB.
    pub(crate) fn set_large_leaves(&self, large: bool) -> Result<()> {
        let mut table = self.write();
        if table.small_leaves != large {
            return Ok(());
        }
        if !large && !table.domains.is_empty() && !table.areas.is_empty() {
            return Err(Errno::EINVAL);
        }
        table.small_leaves = !large;
        table.realign().inspect_err(|_| table.small_leaves = large)
    }

    /// Locks the table against every change: for what is about the pages of several.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        Frozen { table: self.write() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A table that nothing can change. The only locks of this kind that are taken together: in the
/// order of the IOAS's ids.
pub(crate) struct Frozen<'a> {
    table: RwLockWriteGuard<'a, Table>,
}

impl Frozen<'_> {
    /// The pages of every area.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &Arc<Pages>> {
        self.table.areas.iter().map(|area| &area.pages)
    }
}

impl Table {
    fn reserve_regions(&mut self, owner: ReservedBy, regions: &[ReservedRegion]) -> Result<Option<Iova>> {
        let mut hardware_msi = false;
        let mut software_msi = None;
        for region in regions {
            match region.kind {
                ReservedKind::DirectRelaxable => continue,
                ReservedKind::Msi => hardware_msi = true,
                ReservedKind::SoftwareMsi => {
                    if software_msi.replace(Iova(region.span.start)).is_some() {
                        return Err(Errno::EINVAL);
                    }
                }
                ReservedKind::Direct | ReservedKind::Reserved => {}
            }
            self.space.reserve(owner, region.span)?;
        }
        if hardware_msi && software_msi.is_some() { Err(Errno::EINVAL) } else { Ok(software_msi) }
    }

    /// What domains, accesses and options ask for.
    fn wanted_alignment(&self) -> u64 {
        let leaves = if self.small_leaves { PAGE_SIZE } else { 1 };
        let domains = self.domains.iter().map(|(_, domain)| smallest_page(domain));
        let accesses = self.accesses.values().map(|access| access.alignment);
        domains.chain(accesses).fold(leaves, u64::max)
    }

    /// Takes the alignment that is asked for.
    ///
    /// # Errors
    /// `EADDRINUSE` where it is larger and an area does not have it.
    fn realign(&mut self) -> Result<()> {
        let wanted = self.wanted_alignment();
        if wanted > self.alignment {
            self.check_alignment(wanted)?;
        }
        self.alignment = wanted;
        Ok(())
    }

    fn check_alignment(&self, alignment: u64) -> Result<()> {
        let fits = self.areas.iter().all(|area| area.is_aligned(alignment));
        if fits { Ok(()) } else { Err(Errno::EADDRINUSE) }
    }
}

/// The smallest leaf of `domain`, in bytes; larger than a page for one that has none.
fn smallest_page(domain: &Arc<dyn PagingDomain>) -> u64 {
    let sizes = domain.page_sizes();
    if sizes == 0 { PAGE_SIZE << 1 } else { 1 << sizes.trailing_zeros() }
}
