//! Software that pins, reads and writes what is mapped.

use std::sync::Arc;

use devices::addr::PAGE_SIZE;

use super::{AccessSlot, Accessor, IoPagetable, Table};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::ioas::access::AccessOps;
use crate::pages::{AccessFrom, Direction};
use crate::span::Span;

/// Accesses of one table [kernel: xa_limit_16b].
const MAX_ACCESSES: usize = 1 << 16;

impl IoPagetable {
    /// Registers an access, with the alignment it asks for (1 or 4 KiB). Without `ops` it is one that
    /// cannot be asked to let go: what it pins is locked.
    ///
    /// # Errors
    /// `EADDRINUSE` where an area is not so aligned, `EBUSY` where there are too many.
    pub(crate) fn add_access(&self, ops: Option<Arc<dyn AccessOps>>, alignment: u64) -> Result<AccessSlot> {
        fault_point(Errno::ENOMEM)?;
        let mut table = self.write();
        if table.accesses.len() >= MAX_ACCESSES {
            return Err(Errno::EBUSY);
        }
        let next = table.accesses.last_key_value().map_or(Some(0), |(slot, _)| slot.0.checked_add(1));
        let slot = match next {
            Some(slot) => AccessSlot(slot),
            None => {
                (0..).map(AccessSlot).find(|slot| !table.accesses.contains_key(slot)).ok_or(Errno::EBUSY)?
            }
        };
        table.accesses.insert(slot, Accessor { ops, alignment });
        if let Err(errno) = table.realign() {
            table.accesses.remove(&slot);
            return Err(errno);
        }
        Ok(slot)
    }

    /// Forgets an access.
    pub(crate) fn remove_access(&self, slot: AccessSlot) {
        let mut table = self.write();
        let gone = table.accesses.remove(&slot);
        // It cannot fail: what one access less asks for is not more.
        let _ = table.realign();
        drop(table);
        drop(gone);
    }

    /// Pins what is mapped at `span` and gives the frames, in order. With `lock` it cannot be
    /// unmapped meanwhile.
    ///
    /// # Errors
    /// `ENOENT` for a hole, `EINVAL` where the pages are not whole or are being unmapped, `EPERM`
    /// against the protection, and what pinning says. Nothing is pinned then.
    pub(crate) fn pin(&self, span: Span, direction: Direction, lock: bool) -> Result<Vec<Span>> {
        let mut table = self.write();
        let mut frames = Vec::new();
        let mut done = Vec::new();
        let result = table.pin_areas(span, direction, &mut frames, &mut done);
        for start in &done {
            if let Some(area) = table.areas.get_mut(*start) {
                area.accesses += 1;
                area.locks += u32::from(lock);
            }
        }
        if let Err(errno) = result {
            if let Some(last) = table.end_of(&done).map(|last| last.min(span.last)) {
                table.unpin(Span { start: span.start, last }, lock);
            }
            return Err(errno);
        }
        Ok(frames)
    }

    /// Undoes a [`Self::pin`] of the same span.
    pub(crate) fn unpin(&self, span: Span, lock: bool) {
        self.write().unpin(span, lock);
    }

    /// Copies `data` out of or into what is mapped at `span`, for `from`.
    ///
    /// # Errors
    /// `ENOENT` for a hole, when what precedes it has been copied; `EINVAL` for what is being
    /// unmapped, `EPERM` against the protection, `EFAULT`.
    pub(crate) fn rw(
        &self,
        from: AccessFrom,
        span: Span,
        data: &mut [u8],
        direction: Direction,
    ) -> Result<()> {
        let table = self.read();
        let mut rest = data;
        for (area, part) in table.areas.contiguous(span) {
            if area.leaving {
                return Err(Errno::EINVAL);
            }
            if !area.permits(direction) {
                return Err(Errno::EPERM);
            }
            let bytes = usize::try_from(part.bytes()).unwrap_or(usize::MAX).min(rest.len());
            let (here, after) = rest.split_at_mut(bytes);
            area.pages.rw(from, area.window.byte_at(part.start), here, direction)?;
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(Errno::ENOENT) }
    }
}

impl Table {
    /// Pins area by area; those that were are in `done`.
    fn pin_areas(
        &self,
        span: Span,
        direction: Direction,
        frames: &mut Vec<Span>,
        done: &mut Vec<u64>,
    ) -> Result<()> {
        let mut reached = None;
        for (area, part) in self.areas.contiguous(span) {
            let begins = area.window.byte_at(part.start) % PAGE_SIZE == 0;
            let ends =
                part.last == span.last || area.window.byte_at(area.iova().last) % PAGE_SIZE == PAGE_SIZE - 1;
            if area.leaving || !begins || !ends {
                return Err(Errno::EINVAL);
            }
            if !area.permits(direction) {
                return Err(Errno::EPERM);
            }
            for frame in area.pages.add_access(area.pages_at(part), direction)? {
                match frames.last_mut() {
                    Some(before) if before.last.checked_add(1) == Some(frame.start) => {
                        before.last = frame.last
                    }
                    _ => frames.push(frame),
                }
            }
            done.push(area.iova().start);
            reached = Some(part.last);
        }
        if reached == Some(span.last) { Ok(()) } else { Err(Errno::ENOENT) }
    }

    /// The last IOVA of the last of the areas that begin at `starts`.
    fn end_of(&self, starts: &[u64]) -> Option<u64> {
        self.areas.at(*starts.last()?).map(|area| area.iova().last)
    }

    fn unpin(&mut self, span: Span, lock: bool) {
        let parts: Vec<_> = self
            .areas
            .contiguous(span)
            .filter(|(area, part)| area.pages.remove_access(area.pages_at(*part)))
            .map(|(area, _)| area.iova().start)
            .collect();
        for start in parts {
            if let Some(area) = self.areas.get_mut(start) {
                area.accesses = area.accesses.saturating_sub(1);
                area.locks = area.locks.saturating_sub(u32::from(lock));
            }
        }
    }
}
