//! Domains of a table: filled when they come, emptied when they go.

use std::sync::Arc;

use devices::addr::PAGE_SIZE;

use super::area::Area;
use super::{DomainSlot, IoPagetable, ReservedBy, Table, smallest_page};
use crate::driver::PagingDomain;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::span::Span;

impl IoPagetable {
    /// Fills `domain` with all mappings and keeps it so from now on.
    ///
    /// # Errors
    /// `EADDRINUSE` where its aperture or alignment does not fit what is mapped or allowed, `EINVAL`
    /// where its smallest page is larger than 4 KiB, what pinning or mapping says. Nothing is
    /// changed then.
    pub(crate) fn add_domain(&self, domain: &Arc<dyn PagingDomain>) -> Result<DomainSlot> {
        let mut table = self.write();
        if table.domains.iter().any(|(_, other)| Arc::ptr_eq(other, domain)) {
            return Err(Errno::EEXIST);
        }
        let alignment = smallest_page(domain).max(table.alignment);
        if alignment > PAGE_SIZE {
            return Err(Errno::EINVAL);
        }
        if alignment != table.alignment {
            table.check_alignment(alignment)?;
        }
        fault_point(Errno::ENOMEM)?;
        let slot = DomainSlot(table.next_domain);
        let owner = ReservedBy::Domain(slot);
        let result = table.reserve_beyond(owner, domain.aperture()).and_then(|()| table.fill(domain));
        if let Err(errno) = result {
            table.space.release(owner, 0);
            return Err(errno);
        }
        table.next_domain = slot.0.wrapping_add(1);
        table.domains.push((slot, Arc::clone(domain)));
        table.alignment = alignment;
        Ok(slot)
    }

    /// Empties the domain and forgets it.
    pub(crate) fn remove_domain(&self, slot: DomainSlot) {
        let mut table = self.write();
        let Some(index) = table.domains.iter().position(|(other, _)| *other == slot) else { return };
        let (_, domain) = table.domains.remove(index);
        let held = table.domains.is_empty();
        table.areas.iter().for_each(|area| area.leave(&domain, held));
        table.space.release(ReservedBy::Domain(slot), 0);
        // It cannot fail: what one domain less asks for is not more.
        let _ = table.realign();
    }

    /// Leaf sizes that every domain has; every bit set where there is no domain.
    pub(crate) fn page_sizes(&self) -> u64 {
        self.read().domains.iter().fold(u64::MAX, |sizes, (_, domain)| sizes & domain.page_sizes())
    }
}

impl Table {
    fn reserve_beyond(&mut self, owner: ReservedBy, aperture: Span) -> Result<()> {
        let below = aperture.start.checked_sub(1).map(|last| Span { start: 0, last });
        let above = aperture.last.checked_add(1).map(|start| Span { start, last: u64::MAX });
        below.into_iter().chain(above).try_for_each(|span| self.space.reserve(owner, span))
    }

    /// Fills `domain`, which is not among the domains yet. Nothing is in it on error.
    fn fill(&self, domain: &Arc<dyn PagingDomain>) -> Result<()> {
        let first = self.domains.is_empty();
        for area in self.areas.iter() {
            if let Err(errno) = area.enter(domain, first, !self.small_leaves) {
                let reached = area.iova().start;
                let done = self.areas.iter().take_while(|done| done.iova().start < reached);
                done.for_each(|done| done.leave(domain, first));
                return Err(errno);
            }
        }
        Ok(())
    }

    /// Brings `area`, which is not among the areas yet, into every domain. It is in none on error.
    pub(super) fn fill_with(&self, area: &Area) -> Result<()> {
        for (index, (_, domain)) in self.domains.iter().enumerate() {
            if let Err(errno) = area.enter(domain, index == 0, !self.small_leaves) {
                // The last to leave lets go of the memory.
                for (undo, (_, done)) in self.domains[..index].iter().enumerate() {
                    area.leave(done, undo + 1 == index);
                }
                return Err(errno);
            }
        }
        Ok(())
    }

    /// Takes `area` out of every domain.
    pub(super) fn empty_of(&self, area: &Area) {
        let count = self.domains.len();
        for (index, (_, domain)) in self.domains.iter().enumerate() {
            area.leave(domain, index + 1 == count);
        }
    }
}

impl Area {
    /// Maps the area in `domain`; the first it enters makes it hold its memory.
    fn enter(&self, domain: &Arc<dyn PagingDomain>, first: bool, large: bool) -> Result<()> {
        if first {
            self.pages.hold(self.window.pages())?;
        }
        let result = self.pages.map_in(domain, &self.window, large);
        if result.is_err() && first {
            self.pages.release(self.window.pages());
        }
        result
    }

    /// Unmaps the area from `domain`; the last it leaves makes it let go of its memory.
    fn leave(&self, domain: &Arc<dyn PagingDomain>, last: bool) {
        self.pages.unmap_in(domain, &self.window);
        if last {
            self.pages.release(self.window.pages());
        }
    }
}
