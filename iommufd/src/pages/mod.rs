//! Pinned memory behind areas, shared by every IOAS it was copied to [kernel: pages.c].
//!
//! `Pages` is a linear piece of somebody's memory, in 4-KiB pages. A page is pinned while it has a
//! *holder*: an area that is in at least one domain, or a software access. However many holders a
//! page has, it is pinned and charged once; without one it is neither, and nothing is known of it:
//! memory that is not there is noticed by the first holder.
//!
//! Everything is kept as intervals: a gigabyte of contiguous memory is one run.
//!
//! Absent: a page that is released while a domain maps it. Whoever lets go of pages has emptied the
//! domains before.

pub mod dmabuf;
mod domain;
#[cfg(test)]
pub(crate) mod fake;
mod rw;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use devices::addr::{PAGE_SIZE, Pa};

use crate::accounting::Payer;
use crate::driver::PagingDomain;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::host::Host;
use crate::process::{Caller, Extent, MemoryFile, UserMemory};
use crate::span::Span;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::use_counts::UseCounts;
use dmabuf::{DmaBuf, Importer};

pub(crate) use domain::Window;
pub use rw::AccessFrom;
pub(crate) use rw::Direction;
use source::Source;

/// Memory that areas map.
pub(crate) struct Pages {
    host: Arc<Host>,
    source: Source,
    /// Devices and accesses may write, if the area lets them.
    writable: bool,
    state: Mutex<State>,
}

struct State {
    payer: Payer,
    /// Pages that are pinned and charged to the payer.
    pinned: u64,
    /// How many holders each page has.
    holders: UseCounts,
    /// Where the held pages are, by the first page of each run.
    runs: BTreeMap<u64, Run>,
    /// Ranges of pages that accesses hold, with how many hold exactly this one.
    accesses: BTreeMap<Span, u32>,
    /// Where a dma-buf is, until it is revoked.
    device_memory: Option<Pa>,
    /// The domains that map the dma-buf, by domain and IOVA.
    mapped: BTreeMap<(usize, u64), (Arc<dyn PagingDomain>, Span)>,
}

/// Pages that are contiguous in one object, pinned.
#[derive(Clone)]
struct Run {
    extent: Extent,
    pa: u64,
}

impl Run {
    fn pages(&self) -> u64 {
        self.extent.bytes / PAGE_SIZE
    }

    /// Keeps the first `pages` and gives the rest.
    fn split_off(&mut self, pages: u64) -> Self {
        let bytes = pages * PAGE_SIZE;
        let extent = Extent {
            object: Arc::clone(&self.extent.object),
            offset: self.extent.offset + bytes,
            bytes: self.extent.bytes - bytes,
        };
        self.extent.bytes = bytes;
        Self { extent, pa: self.pa + bytes }
    }

    fn frames(&self) -> Span {
        Span { start: self.pa, last: self.pa + (self.extent.bytes - 1) }
    }
}

impl Pages {
    /// `bytes` of the caller's memory at `address`, and where in the first page they begin.
    ///
    /// # Errors
    /// `EOVERFLOW` past the top of the address space, `EINVAL` for no or too many bytes.
    pub(crate) fn of_user(
        host: &Arc<Host>,
        caller: &Caller<'_>,
        payer: Payer,
        address: u64,
        bytes: u64,
        writable: bool,
    ) -> Result<(Arc<Self>, u64)> {
        address.checked_add(bytes).ok_or(Errno::EOVERFLOW)?;
        let (start, offset) = split_address(address);
        check_size(bytes)?;
        let memory: Arc<dyn UserMemory> = Arc::clone(caller.memory);
        let pages = Self::new(host, Source::User { memory, start }, payer, writable)?;
        Ok((Arc::new(pages), offset))
    }

    /// `bytes` of `file` from `start` on, and where in the first page they begin.
    ///
    /// # Errors
    /// `EINVAL` for too many bytes.
    pub(crate) fn of_file(
        host: &Arc<Host>,
        payer: Payer,
        file: Arc<dyn MemoryFile>,
        start: u64,
        bytes: u64,
        writable: bool,
    ) -> Result<(Arc<Self>, u64)> {
        let (start, offset) = split_address(start);
        check_size(bytes)?;
        let pages = Self::new(host, Source::File { file, start }, payer, writable)?;
        Ok((Arc::new(pages), offset))
    }

    /// `bytes` of a dma-buf from `start` on, and where in the first page they begin. Nobody is
    /// charged for them.
    ///
    /// # Errors
    /// `EINVAL` beyond its size, `ENODEV` where it is revoked.
    pub(crate) fn of_dmabuf(
        host: &Arc<Host>,
        payer: Payer,
        buffer: Arc<dyn DmaBuf>,
        start: u64,
        bytes: u64,
        writable: bool,
    ) -> Result<(Arc<Self>, u64)> {
        let end = start.checked_add(bytes).ok_or(Errno::EINVAL)?;
        if end > buffer.bytes() {
            return Err(Errno::EINVAL);
        }
        let (start, offset) = split_address(start);
        check_size(bytes)?;
        let source = Source::DmaBuf { _buffer: Arc::clone(&buffer), start };
        let pages = Arc::new(Self::new(host, source, payer, writable)?);
        let importer: Weak<Self> = Arc::downgrade(&pages);
        // First the listener, then the question: what is revoked in between is seen by one of them.
        lock(&pages.state).device_memory = Some(Pa(0));
        buffer.attach(importer);
        let base = buffer.phys().and_then(|base| base.checked_add(start)).ok_or(Errno::ENODEV)?;
        let mut state = lock(&pages.state);
        state.device_memory = state.device_memory.map(|_| base);
        drop(state);
        Ok((pages, offset))
    }

    fn new(host: &Arc<Host>, source: Source, payer: Payer, writable: bool) -> Result<Self> {
        fault_point(Errno::ENOMEM)?;
        let state = State {
            payer,
            pinned: 0,
            holders: UseCounts::default(),
            runs: BTreeMap::new(),
            accesses: BTreeMap::new(),
            device_memory: None,
            mapped: BTreeMap::new(),
        };
        Ok(Self { host: Arc::clone(host), source, writable, state: Mutex::new(state) })
    }

    /// Whether devices and accesses may be let write.
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }

    /// Whether they are of a file, and so belong to no process.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.source, Source::File { .. })
    }

    /// Address in its source of byte `start`: what an automatic IOVA is aligned as.
    pub(crate) fn source_address(&self, start: u64) -> u64 {
        match &self.source {
            Source::User { start: base, .. }
            | Source::File { start: base, .. }
            | Source::DmaBuf { start: base, .. } => base.wrapping_add(start),
        }
    }

    /// Makes `pages` have one holder more.
    ///
    /// # Errors
    /// `EFAULT` and what else pinning says, `ENOMEM`; nothing is held more then.
    pub(crate) fn hold(&self, pages: Span) -> Result<()> {
        if self.source.is_device_memory() {
            return Ok(());
        }
        self.hold_locked(&mut self.lock(), pages)
    }

    /// Makes `pages`, which are held, have one holder less.
    pub(crate) fn release(&self, pages: Span) {
        if self.source.is_device_memory() {
            return;
        }
        self.release_locked(&mut self.lock(), pages);
    }

    /// Holds `pages` for an access and says where they are, in order.
    ///
    /// # Errors
    /// `EPERM` to write what is not writable, `EINVAL` for device memory, and as [`Self::hold`].
    pub(crate) fn add_access(&self, pages: Span, direction: Direction) -> Result<Vec<Span>> {
        self.check_access(direction)?;
        fault_point(Errno::ENOMEM)?;
        let mut state = self.lock();
        if let Some(users) = state.accesses.get_mut(&pages) {
            *users += 1;
        } else {
            self.hold_locked(&mut state, pages)?;
            state.accesses.insert(pages, 1);
        }
        let mut frames = Vec::new();
        state.each_contiguous(pages, |_, pa, bytes| {
            frames.push(Span { start: pa, last: pa + (bytes - 1) });
            Ok(())
        })?;
        Ok(frames)
    }

    /// Undoes one [`Self::add_access`] of exactly `pages`; says whether there was one.
    pub(crate) fn remove_access(&self, pages: Span) -> bool {
        let mut state = self.lock();
        let Some(users) = state.accesses.get_mut(&pages) else { return false };
        *users -= 1;
        if *users == 0 {
            state.accesses.remove(&pages);
            self.release_locked(&mut state, pages);
        }
        true
    }

    fn check_access(&self, direction: Direction) -> Result<()> {
        if direction == Direction::Write && !self.writable {
            return Err(Errno::EPERM);
        }
        if self.source.is_device_memory() { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// Who pays, and for how many pages now.
    pub(crate) fn charge(&self) -> (Payer, u64) {
        let state = self.lock();
        (state.payer, state.pinned)
    }

    /// Makes `payer` pay from now on. The pages pinned now were charged to it already; they are
    /// taken off the account of who paid before.
    pub(crate) fn hand_over(&self, payer: Payer) {
        let mut state = self.lock();
        self.host.accounts.uncharge(&state.payer, state.pinned);
        state.payer = payer;
    }

    fn hold_locked(&self, state: &mut State, pages: Span) -> Result<()> {
        let unheld = state.holders.unused(pages);
        let mut count = 0;
        for (index, gap) in unheld.iter().enumerate() {
            if let Err(errno) = self.pin(state, *gap) {
                unheld[..index].iter().for_each(|done| self.unpin(state, *done));
                return Err(errno);
            }
            count += gap.bytes();
        }
        if let Err(errno) = self.host.accounts.charge(&state.payer, count) {
            unheld.iter().for_each(|done| self.unpin(state, *done));
            return Err(errno);
        }
        state.pinned += count;
        state.holders.add(pages);
        Ok(())
    }

    fn release_locked(&self, state: &mut State, pages: Span) {
        let mut count = 0;
        for gone in state.holders.remove(pages) {
            self.unpin(state, gone);
            count += gone.bytes();
        }
        self.host.accounts.uncharge(&state.payer, count);
        state.pinned -= count;
    }

    /// Pins `gap`, pages that no one holds.
    fn pin(&self, state: &mut State, gap: Span) -> Result<()> {
        let extents = self.source.pin(gap, self.writable)?;
        let places = self.host.frames.pin_all(&extents)?;
        let mut next = gap.start;
        let runs = extents.into_iter().zip(places).map(|(extent, pa)| {
            let run = Run { extent, pa: pa.0 };
            let page = next;
            next += run.pages();
            (page, run)
        });
        if state.runs.is_empty() {
            // A tree is made faster than it grows.
            state.runs = runs.collect();
        } else {
            state.runs.extend(runs);
        }
        Ok(())
    }

    /// Undoes [`Self::pin`] for part of what it pinned.
    fn unpin(&self, state: &mut State, pages: Span) {
        state.split_run(pages.start);
        if let Some(after) = pages.last.checked_add(1) {
            state.split_run(after);
        }
        let gone = state.runs.extract_if(pages.range(), |_, _| true);
        self.host.frames.unpin_all(gone.map(|(_, run)| run.frames()).collect());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Makes a run begin at `page`, if one has it inside.
    fn split_run(&mut self, page: u64) {
        if let Some((first, run)) = self.runs.range_mut(..page).next_back() {
            let before = page - first;
            if before < run.pages() {
                let rest = run.split_off(before);
                self.runs.insert(page, rest);
            }
        }
    }

    /// The runs that `pages` is in, all of them pinned, from the first on.
    fn runs_from(&self, page: u64) -> impl Iterator<Item = (u64, &Run)> {
        let first = self.runs.range(..=page).next_back().map_or(page, |(first, _)| *first);
        self.runs.range(first..).map(|(first, run)| (*first, run))
    }

    /// Calls `each` with what of `pages`, all held, is physically contiguous: bytes since the first
    /// of `pages`, physical address, and length.
    fn each_contiguous(&self, pages: Span, mut each: impl FnMut(u64, u64, u64) -> Result<()>) -> Result<()> {
        let (mut at, mut contiguous) = (pages.start, None::<(u64, u64, u64)>);
        for (first, run) in self.runs_from(pages.start) {
            if first > pages.last {
                break;
            }
            let skip = (at - first) * PAGE_SIZE;
            let wanted = pages.last - at + 1;
            let bytes = run.extent.bytes - skip;
            let bytes = if bytes / PAGE_SIZE > wanted { wanted * PAGE_SIZE } else { bytes };
            let pa = run.pa + skip;
            contiguous = match contiguous {
                Some((offset, start, length)) if start + length == pa => {
                    Some((offset, start, length + bytes))
                }
                before => {
                    if let Some((offset, start, length)) = before {
                        each(offset, start, length)?;
                    }
                    Some(((at - pages.start) * PAGE_SIZE, pa, bytes))
                }
            };
            at += bytes / PAGE_SIZE;
        }
        match contiguous {
            Some((offset, start, length)) => each(offset, start, length),
            None => Ok(()),
        }
    }
}

impl Importer for Pages {
    fn revoked(&self) {
        let mut state = self.lock();
        state.device_memory = None;
        for (domain, iova) in std::mem::take(&mut state.mapped).into_values() {
            domain.unmap(iova);
            domain.sync();
        }
    }
}

impl Drop for Pages {
    /// Holders are areas and accesses, which have a reference; so there is nothing to do, but for
    /// an owner of an access that never unpinned.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let runs = std::mem::take(&mut state.runs);
        self.host.frames.unpin_all(runs.values().map(Run::frames).collect());
        self.host.accounts.uncharge(&state.payer, state.pinned);
    }
}

/// The page `address` is in, and where in it.
fn split_address(address: u64) -> (u64, u64) {
    (address & !(PAGE_SIZE - 1), address % PAGE_SIZE)
}

fn check_size(bytes: u64) -> Result<()> {
    if bytes == 0 || bytes > u64::MAX - PAGE_SIZE { Err(Errno::EINVAL) } else { Ok(()) }
}
