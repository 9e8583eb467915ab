//! Mapping, copying, unmapping and cutting.

use std::sync::Arc;

use super::area::Area;
use super::{IoPagetable, Table};
use crate::driver::Protection;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::pages::{Pages, Window};
use crate::span::Span;

/// After so many requests to let go of a mapping it is not unmapped.
const MAX_TRIES: u32 = 100;

/// A piece of pages to be mapped.
pub(crate) struct Slice {
    pub(crate) pages: Arc<Pages>,
    pub(crate) start_byte: u64,
    pub(crate) bytes: u64,
}

/// Where to map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Fixed(u64),
    Automatic,
}

/// How far an unmapping came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unmapped {
    /// Bytes of the areas that are gone, also where it failed later.
    pub(crate) bytes: u64,
    pub(crate) result: Result<()>,
}

impl IoPagetable {
    /// Maps `slices` one after the other and says where the first is.
    ///
    /// # Errors
    /// `EINVAL` for what is not aligned, reserved or nothing, `EEXIST` where something is mapped,
    /// `EOVERFLOW` past the top, `ENOSPC`, `EPERM` for writing what is not writable, and what
    /// pinning and mapping say. Nothing is mapped then.
    pub(crate) fn map(&self, slices: Vec<Slice>, at: At, protection: Protection) -> Result<u64> {
        slices.iter().try_for_each(|_| fault_point(Errno::ENOMEM))?;
        let mut table = self.write();
        let iova = table.place(&slices, at)?;
        let areas = table.lay_out(&slices, iova.start, protection)?;
        for (index, area) in areas.iter().enumerate() {
            if let Err(errno) = table.fill_with(area) {
                areas[..index].iter().for_each(|done| table.empty_of(done));
                // What nothing maps may be the last that knows of a file: not under the lock.
                drop(table);
                return Err(errno);
            }
        }
        table.space.take(iova);
        areas.into_iter().for_each(|area| table.areas.insert(area));
        Ok(iova.start)
    }

    /// What is mapped at `span`, for mapping it elsewhere.
    ///
    /// # Errors
    /// `ENOENT` where there is a hole in it.
    pub(crate) fn slices(&self, span: Span) -> Result<Vec<Slice>> {
        let table = self.read();
        let mut slices = Vec::new();
        let mut reached = None;
        for (area, part) in table.areas.contiguous(span) {
            fault_point(Errno::ENOMEM)?;
            let start_byte = area.window.byte_at(part.start);
            slices.push(Slice { pages: Arc::clone(&area.pages), start_byte, bytes: part.bytes() });
            reached = Some(part.last);
        }
        if reached == Some(span.last) { Ok(slices) } else { Err(Errno::ENOENT) }
    }

    /// Unmaps every area in `span`. Those before one that cannot be unmapped are gone all the same.
    ///
    /// `ENOENT` for an area that is only partly in `span`, `EBUSY` for one that is locked,
    /// `EDEADLOCK` where an access does not let go. That there is no area is no error here.
    pub(crate) fn unmap(&self, span: Span) -> Unmapped {
        let mut bytes = 0u64;
        let mut start = span.start;
        let mut tries = 0;
        let result = loop {
            let mut table = self.write();
            let leaving = match table.unmap_next(start, span.last) {
                Next::Unmapped(area) => {
                    bytes = bytes.saturating_add(area.iova().bytes());
                    // It may be the last that knows of a file: not under the lock.
                    drop(table);
                    drop(area);
                    continue;
                }
                Next::Done => break Ok(()),
                Next::Refused(errno) => break Err(errno),
                Next::Accessed(iova) => iova,
            };
            if leaving.start != start {
                tries = 0;
            }
            start = leaving.start;
            let ops: Vec<_> = table.accesses.values().filter_map(|access| access.ops.clone()).collect();
            drop(table);
            ops.iter().for_each(|ops| ops.unmap(leaving));
            tries += 1;
            if tries > MAX_TRIES {
                break Err(Errno::EDEADLOCK);
            }
        };
        Unmapped { bytes, result }
    }

    /// Cuts the areas that have one of `iovas` and the next byte both, so that there is a seam in
    /// between.
    ///
    /// # Errors
    /// `EINVAL` where the seam is not aligned, an access pins the area or large leaves map it;
    /// `EBUSY` while it is being unmapped. Cuts made before stay.
    pub(crate) fn cut(&self, iovas: &[u64]) -> Result<()> {
        let mut table = self.write();
        iovas.iter().try_for_each(|iova| table.cut(*iova))
    }
}

/// What became of the first area in a range.
enum Next {
    Done,
    Unmapped(Area),
    Refused(Errno),
    /// Accesses pin it; they can be asked to let go.
    Accessed(Span),
}

impl Table {
    /// Finds where `slices` go.
    fn place(&self, slices: &[Slice], at: At) -> Result<Span> {
        let bytes = slices.iter().try_fold(0u64, |sum, slice| sum.checked_add(slice.bytes));
        let bytes = bytes.ok_or(Errno::EOVERFLOW)?;
        let first = slices.first().ok_or(Errno::EINVAL)?;
        if bytes == 0 || !bytes.is_multiple_of(self.alignment) {
            return Err(Errno::EINVAL);
        }
        let start = match at {
            At::Fixed(start) => start,
            At::Automatic => {
                self.space.choose(bytes, first.pages.source_address(first.start_byte), self.alignment)?
            }
        };
        if !start.is_multiple_of(self.alignment) {
            return Err(Errno::EINVAL);
        }
        let iova = Span::sized(start, bytes)?;
        self.space.check(iova)?;
        Ok(iova)
    }

    fn lay_out(&self, slices: &[Slice], mut iova: u64, protection: Protection) -> Result<Vec<Area>> {
        let mut areas = Vec::with_capacity(slices.len());
        for slice in slices {
            if protection.contains(Protection::WRITE) && !slice.pages.writable() {
                return Err(Errno::EPERM);
            }
            // The alignment is a page at most.
            if !slice.start_byte.is_multiple_of(self.alignment) {
                return Err(Errno::EINVAL);
            }
            let span = Span::sized(iova, slice.bytes)?;
            let window = Window { iova: span, start_byte: slice.start_byte, protection };
            areas.push(Area::new(window, Arc::clone(&slice.pages)));
            // The last may end at the top of the space.
            iova = span.last.wrapping_add(1);
        }
        Ok(areas)
    }

    fn unmap_next(&mut self, start: u64, last: u64) -> Next {
        let Some(range) = Span::new(start, last) else { return Next::Done };
        let Some(area) = self.areas.first_in(range) else { return Next::Done };
        let iova = area.iova();
        if area.locks > 0 {
            return Next::Refused(Errno::EBUSY);
        }
        if !range.covers(iova) {
            return Next::Refused(Errno::ENOENT);
        }
        if area.accesses > 0 {
            area.leaving = true;
            return Next::Accessed(iova);
        }
        match self.areas.remove(iova.start) {
            Some(area) => {
                self.empty_of(&area);
                self.space.give_back(iova);
                Next::Unmapped(area)
            }
            None => Next::Done,
        }
    }

    fn cut(&mut self, iova: u64) -> Result<()> {
        let Some(area) = self.areas.at(iova) else { return Ok(()) };
        let whole = area.iova();
        if iova == whole.start || iova == whole.last {
            return Ok(());
        }
        if area.leaving {
            return Err(Errno::EBUSY);
        }
        let seam = iova + 1;
        let start_byte = area.window.byte_at(seam);
        if !(seam | start_byte).is_multiple_of(self.alignment) {
            return Err(Errno::EINVAL);
        }
        if area.accesses > 0 || (!self.domains.is_empty() && !self.small_leaves) {
            return Err(Errno::EINVAL);
        }
        fault_point(Errno::ENOMEM)?;
        let Some(area) = self.areas.remove(whole.start) else { return Ok(()) };
        let left = Window { iova: Span { start: whole.start, last: iova }, ..area.window };
        let right = Window { iova: Span { start: seam, last: whole.last }, start_byte, ..area.window };
        self.domains.iter().for_each(|(_, domain)| area.pages.cut(domain, &left, &right));
        self.areas.insert(Area::new(right, Arc::clone(&area.pages)));
        self.areas.insert(Area::new(left, area.pages));
        Ok(())
    }
}
