//! Physical memory as the models see it.
//!
//! [`PhysMem`] is a sorted list of RAM regions. It is looked up once per page of a DMA or per table
//! fetch; what is reused (a TLB entry) keeps a [`Handle`], the region and offset found, which costs
//! a bounds check instead of a search. Every write made through it passes the [`WriteWatch`], so
//! whoever must know of device writes (code caches, snapshots) has one place to ask.
//!
//! All multi-byte accesses are little-endian, whatever the host is.
//!
//! Beside the regions that it is made with, memory can be plugged in and taken away while the machine
//! runs ([`PhysMem::plug`]). Those regions come last everywhere: what is found in the fixed ones costs
//! nothing more for it.
//!
//! What is absent: MMIO. An address that is not RAM is `None`, and what it means is the fabric's
//! decision.

mod plugged;
mod ram;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;
use vm_memory::{GuestAddress, GuestMemoryMmap, MmapRegion};

use crate::addr::Pa;
use crate::fabric::AtomicOp;
pub use plugged::PlugError;
use plugged::Plugged;
use ram::Region;

/// Memory could not be set up.
#[derive(Debug, Error)]
pub enum MemError {
    /// The host refused the mapping, or the ranges overlap or are empty.
    #[error("cannot map guest memory: {0}; choose a smaller or page-aligned memory size")]
    Map(String),
    /// More regions than a [`Handle`] can name.
    #[error("{0} memory regions are more than the {max} supported", max = Handle::MAX_REGIONS)]
    TooManyRegions(usize),
}

/// A saved image does not fit the memory.
#[derive(Debug, Error)]
#[error("saved memory page {0} lies outside this machine's RAM; give it the memory it was saved with")]
pub struct ForeignPage(pub Pa);

/// The answer where an address, or part of a range, is not RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the address is not RAM")]
pub struct NotRam;

/// A byte of RAM, already looked up: valid for the [`PhysMem`] that gave it.
///
/// A handle of another memory is harmless: it is checked against the bounds of this one. So is one of
/// memory that was unplugged: it leads nowhere, or into what was plugged in that place since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(u64);

impl Handle {
    /// Fixed regions that a handle can tell apart.
    pub const MAX_REGIONS: usize = 1 << 11;
    /// Plugged-in regions that a handle can tell apart. There is one place less than there are numbers, so
    /// that no handle is all ones.
    pub const MAX_PLUGGED: usize = (1 << 20) - 1;
    /// Bytes of the largest region that can be plugged in.
    pub const MAX_PLUGGED_BYTES: u64 = 1 << Self::PLUGGED_OFFSET_BITS;
    /// Set in handles of plugged-in memory. Numbers of fixed regions lie above the offset and below this
    /// bit, so with it a handle is beyond all of them.
    const PLUGGED: u64 = 1 << 63;
    const FIXED_OFFSET_BITS: u32 = 52;
    const PLUGGED_OFFSET_BITS: u32 = 43;

    fn fixed(region: usize, offset: u64) -> Self {
        Self((region as u64) << Self::FIXED_OFFSET_BITS | offset)
    }

    fn plugged(slot: usize, offset: u64) -> Self {
        Self(Self::PLUGGED | (slot as u64) << Self::PLUGGED_OFFSET_BITS | offset)
    }

    /// Which fixed region it is in; beyond all of them where it is in none.
    fn region(self) -> usize {
        (self.0 >> Self::FIXED_OFFSET_BITS) as usize
    }

    /// The offset in a fixed region.
    fn offset(self) -> u64 {
        self.0 & ((1 << Self::FIXED_OFFSET_BITS) - 1)
    }

    /// The slot that it is in, and the offset there.
    fn slot(self) -> Option<(usize, u64)> {
        let slot = (self.0 & !Self::PLUGGED) >> Self::PLUGGED_OFFSET_BITS;
        (self.0 & Self::PLUGGED != 0).then_some((slot as usize, self.0 & (Self::MAX_PLUGGED_BYTES - 1)))
    }

    /// The handle as one word, for a table of atomics.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The reverse of [`Self::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The byte `bytes` further on in the same region.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

/// Told of every range that a model wrote.
pub trait WriteWatch: Send + Sync {
    /// Bytes `first..=last` may have changed.
    fn written(&self, first: Pa, last: Pa);
}

/// The RAM of one machine. Clones share it.
#[derive(Clone)]
pub struct PhysMem {
    inner: Arc<Inner>,
}

struct Inner {
    /// Sorted by address, disjoint.
    regions: Vec<Region>,
    plugged: Plugged,
    watched: AtomicBool,
    watches: RwLock<Vec<Arc<dyn WriteWatch>>>,
}

impl PhysMem {
    /// The memory of a guest; the mappings live as long as any clone.
    ///
    /// # Errors
    /// [`MemError::TooManyRegions`].
    pub fn from_guest_memory(memory: &GuestMemoryMmap) -> Result<Self, MemError> {
        let regions = ram::regions_of(memory);
        if regions.len() > Handle::MAX_REGIONS {
            return Err(MemError::TooManyRegions(regions.len()));
        }
        let plugged = Plugged::new(Handle::MAX_PLUGGED);
        let (watched, watches) = (AtomicBool::new(false), RwLock::default());
        let inner = Inner { regions, plugged, watched, watches };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Fresh zeroed memory of `(start, bytes)` ranges.
    ///
    /// # Errors
    /// [`MemError`] where the host cannot map it or the ranges are not valid.
    pub fn anonymous(ranges: &[(Pa, u64)]) -> Result<Self, MemError> {
        let ranges = ranges
            .iter()
            .map(|(start, bytes)| Ok((GuestAddress(start.0), usize::try_from(*bytes)?)))
            .collect::<Result<Vec<_>, std::num::TryFromIntError>>()
            .map_err(|e| MemError::Map(e.to_string()))?;
        let memory = GuestMemoryMmap::<()>::from_ranges(&ranges).map_err(|e| MemError::Map(e.to_string()))?;
        Self::from_guest_memory(&memory)
    }

    /// Shows all of `mapping` at `base` from now on, to every clone.
    ///
    /// # Errors
    /// [`PlugError`] where it does not fit in; nothing has changed then.
    pub fn plug(&self, base: Pa, mapping: Arc<MmapRegion>) -> Result<(), PlugError> {
        let region = Region::of_mapping(base.0, mapping)?;
        if let Some(taken) = self.inner.regions.iter().find(|other| other.meets(&region)) {
            return Err(PlugError::taken(taken));
        }
        self.inner.plugged.plug(region)
    }

    /// Takes away what was plugged in at `base`; whether there was anything. An access of another thread
    /// that has begun may still happen, and keeps the mapping until it has.
    pub fn unplug(&self, base: Pa) -> bool {
        self.inner.plugged.unplug(base.0)
    }

    /// Adds `watch` to those told of every write.
    pub fn watch(&self, watch: Arc<dyn WriteWatch>) {
        self.inner.watches.write().unwrap_or_else(PoisonError::into_inner).push(watch);
        self.inner.watched.store(true, Ordering::Release);
    }

    /// Finds the RAM behind `pa`: a handle to that byte and how many bytes follow it, itself
    /// included, in the same region.
    pub fn resolve(&self, pa: Pa) -> Option<(Handle, u64)> {
        if let Some((index, region, offset)) = self.find(pa) {
            return Some((Handle::fixed(index, offset), region.len() - offset));
        }
        let found = |slot, region: &Region, offset| (Handle::plugged(slot, offset), region.len() - offset);
        self.inner.plugged.find(pa, found)
    }

    /// The fixed region of `pa` with its index, and the offset in it.
    #[inline]
    fn find(&self, pa: Pa) -> Option<(usize, &Region, u64)> {
        // Machines have two regions at most, of which the first is where tables lie.
        match self.find_in(0, pa) {
            None => self.search(pa),
            found => found,
        }
    }

    #[cold]
    fn search(&self, pa: Pa) -> Option<(usize, &Region, u64)> {
        let after = self.inner.regions.partition_point(|region| region.start() <= pa.0);
        self.find_in(after.checked_sub(1)?, pa)
    }

    #[inline]
    fn find_in(&self, index: usize, pa: Pa) -> Option<(usize, &Region, u64)> {
        let region = self.inner.regions.get(index)?;
        let offset = pa.0.wrapping_sub(region.start());
        (offset < region.len()).then_some((index, region, offset))
    }

    /// The address behind a handle; `None` for a handle of another memory.
    pub fn address_of(&self, handle: Handle) -> Option<Pa> {
        let address = |region: &Region, offset| {
            if offset < region.len() { Ok(Pa(region.start() + offset)) } else { Err(NotRam) }
        };
        self.region(handle, address).ok()
    }

    /// Loads an aligned 64-bit word atomically.
    ///
    /// # Errors
    /// [`NotRam`], also where `pa` is not a multiple of 8.
    #[inline]
    pub fn load64(&self, pa: Pa) -> Result<u64, NotRam> {
        // Walks spend their time here.
        match self.find_in(0, pa) {
            Some((_, region, offset)) => region.load64(offset),
            None => self.load64_elsewhere(pa),
        }
    }

    #[cold]
    fn load64_elsewhere(&self, pa: Pa) -> Result<u64, NotRam> {
        match self.search(pa) {
            Some((_, region, offset)) => region.load64(offset),
            None => self.inner.plugged.find(pa, |_, region, offset| region.load64(offset)).ok_or(NotRam)?,
        }
    }

    /// Loads `N` aligned 64-bit words in a row, each atomically, with one look for where they lie.
    ///
    /// # Errors
    /// [`NotRam`] if any word is not RAM, also where `pa` is not a multiple of 8.
    #[inline]
    pub fn load_words<const N: usize>(&self, pa: Pa) -> Result<[u64; N], NotRam> {
        let mut words = [0; N];
        self.load_words_into(pa, &mut words).map(|()| words)
    }

    /// As [`Self::load_words`], into `words`, which stay as they are if any is not RAM. For a caller that
    /// keeps them in memory: a result would be copied there, in pieces other than those it was stored in, for
    /// which processors wait.
    ///
    /// # Errors
    /// [`NotRam`], likewise.
    #[inline]
    pub fn load_words_into<const N: usize>(&self, pa: Pa, words: &mut [u64; N]) -> Result<(), NotRam> {
        match self.find_in(0, pa).map(|(_, region, offset)| region.load_words(offset)) {
            Some(Ok(found)) => *words = found,
            _ => *words = self.load_words_elsewhere(pa)?,
        }
        Ok(())
    }

    /// Words that may lie in several regions.
    #[cold]
    fn load_words_elsewhere<const N: usize>(&self, pa: Pa) -> Result<[u64; N], NotRam> {
        let mut words = [0; N];
        for (word, offset) in words.iter_mut().zip((0..).step_by(8)) {
            *word = self.load64(pa.checked_add(offset).ok_or(NotRam)?)?;
        }
        Ok(words)
    }

    /// Loads an aligned 128-bit entry, low word first, never torn [VT-d 9].
    ///
    /// # Errors
    /// [`NotRam`], also where `pa` is not a multiple of 16.
    #[inline]
    pub fn load128(&self, pa: Pa) -> Result<[u64; 2], NotRam> {
        match self.find(pa) {
            Some((_, region, offset)) => region.load128(offset),
            None => self.inner.plugged.find(pa, |_, region, offset| region.load128(offset)).ok_or(NotRam)?,
        }
    }

    /// Stores an aligned 128-bit entry, low word first, never torn [VT-d 9].
    ///
    /// # Errors
    /// [`NotRam`], also where `pa` is not a multiple of 16.
    pub fn store128(&self, pa: Pa, words: [u64; 2]) -> Result<(), NotRam> {
        let (handle, _) = self.resolve(pa).ok_or(NotRam)?;
        self.region(handle, |region, offset| region.store128(offset, words))?;
        self.written(handle, 16);
        Ok(())
    }

    /// Replaces an aligned 64-bit word if it still is `current`; the word found otherwise.
    ///
    /// # Errors
    /// [`NotRam`], also where `pa` is not a multiple of 8.
    pub fn compare_exchange64(&self, pa: Pa, current: u64, new: u64) -> Result<Result<u64, u64>, NotRam> {
        let (handle, _) = self.resolve(pa).ok_or(NotRam)?;
        let result = self.region(handle, |region, offset| region.compare_exchange64(offset, current, new))?;
        if result.is_ok() {
            self.written(handle, 8);
        }
        Ok(result)
    }

    /// Copies memory at `pa` into `data`, across regions that touch.
    ///
    /// # Errors
    /// [`NotRam`] if any byte is; `data` then holds the bytes before it.
    pub fn read(&self, pa: Pa, data: &mut [u8]) -> Result<(), NotRam> {
        let mut done = 0;
        while done < data.len() {
            let at = pa.checked_add(done as u64).ok_or(NotRam)?;
            let (handle, left) = self.resolve(at).ok_or(NotRam)?;
            let chunk = chunk(data.len() - done, left);
            self.read_at(handle, &mut data[done..done + chunk])?;
            done += chunk;
        }
        Ok(())
    }

    /// Copies `data` to memory at `pa`, across regions that touch.
    ///
    /// # Errors
    /// [`NotRam`] if any byte is; the bytes before it are written.
    pub fn write(&self, pa: Pa, data: &[u8]) -> Result<(), NotRam> {
        let mut done = 0;
        while done < data.len() {
            let at = pa.checked_add(done as u64).ok_or(NotRam)?;
            let (handle, left) = self.resolve(at).ok_or(NotRam)?;
            let chunk = chunk(data.len() - done, left);
            self.write_at(handle, &data[done..done + chunk])?;
            done += chunk;
        }
        Ok(())
    }

    /// Copies from a resolved place; all of `data` must lie in the handle's region.
    ///
    /// # Errors
    /// [`NotRam`] where it does not.
    pub fn read_at(&self, handle: Handle, data: &mut [u8]) -> Result<(), NotRam> {
        self.region(handle, |region, offset| region.read(offset, data))
    }

    /// Copies to a resolved place; all of `data` must lie in the handle's region.
    ///
    /// # Errors
    /// [`NotRam`] where it does not.
    pub fn write_at(&self, handle: Handle, data: &[u8]) -> Result<(), NotRam> {
        self.region(handle, |region, offset| region.write(offset, data))?;
        self.written(handle, data.len() as u64);
        Ok(())
    }

    /// Performs `op` on the naturally aligned operand at a resolved place and returns the old value.
    ///
    /// # Errors
    /// [`NotRam`] if the operand is not aligned or leaves the region.
    pub fn atomic_at(&self, handle: Handle, op: AtomicOp) -> Result<u64, NotRam> {
        let old = self.region(handle, |region, offset| region.atomic(offset, op))?;
        self.written(handle, op.size());
        Ok(old)
    }

    /// Every page of `page_size` bytes (a power of two) that is not all zero, in address order. Memory
    /// that is plugged in is another's and not among them.
    pub fn nonzero_pages(&self, page_size: usize) -> Vec<(Pa, Vec<u8>)> {
        let mut pages = Vec::new();
        let (mut page, zeros) = (vec![0; page_size], vec![0; page_size]);
        for (index, region) in self.inner.regions.iter().enumerate() {
            let mut offset = 0;
            while offset < region.len() {
                let len = chunk(page_size, region.len() - offset);
                let read = self.read_at(Handle::fixed(index, offset), &mut page[..len]);
                debug_assert!(read.is_ok(), "the chunk lies in its region");
                // Comparing slices looks at many bytes at once, unlike a search for one that is not zero.
                if page[..len] != zeros[..len] {
                    pages.push((Pa(region.start() + offset), page[..len].to_vec()));
                }
                offset += len as u64;
            }
        }
        pages
    }

    /// Makes memory equal to what [`Self::nonzero_pages`] returned: all else becomes zero.
    ///
    /// # Errors
    /// [`ForeignPage`] where a page lies outside this memory.
    pub fn restore_pages(&self, pages: &[(Pa, Vec<u8>)]) -> Result<(), ForeignPage> {
        for (index, region) in self.inner.regions.iter().enumerate() {
            region.zero();
            self.written(Handle::fixed(index, 0), region.len());
        }
        for (pa, bytes) in pages {
            self.write(*pa, bytes).map_err(|NotRam| ForeignPage(*pa))?;
        }
        Ok(())
    }

    /// What `access` makes of the region that the handle is in, and its offset there.
    #[inline]
    fn region<R>(
        &self,
        handle: Handle,
        access: impl FnOnce(&Region, u64) -> Result<R, NotRam>,
    ) -> Result<R, NotRam> {
        if let Some(region) = self.inner.regions.get(handle.region()) {
            return access(region, handle.offset());
        }
        let (slot, offset) = handle.slot().ok_or(NotRam)?;
        self.inner.plugged.get(slot, |region| access(region, offset)).ok_or(NotRam)?
    }

    fn written(&self, handle: Handle, len: u64) {
        if !self.inner.watched.load(Ordering::Acquire) || len == 0 {
            return;
        }
        let Some(first) = self.address_of(handle) else { return };
        let last = Pa(first.0 + (len - 1));
        for watch in self.inner.watches.read().unwrap_or_else(PoisonError::into_inner).iter() {
            watch.written(first, last);
        }
    }
}

impl std::fmt::Debug for PhysMem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.inner.regions.iter().map(Region::range)).finish()
    }
}

/// The smaller of two lengths; the result fits because `wanted` does.
fn chunk(wanted: usize, left: u64) -> usize {
    usize::try_from(left).map_or(wanted, |left| wanted.min(left))
}
