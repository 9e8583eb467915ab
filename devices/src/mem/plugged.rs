//! Memory that comes and goes while the machine runs: pages that the user of an IOMMU pinned.
//!
//! Readers take no lock. They find a slot by address in a map that is shared with who changes it, and hold
//! the region of a slot only while they access it: what is unplugged meanwhile stays mapped until the last
//! of them is done. So no access, however stale its handle, reaches memory that is not mapped.
//!
//! Plugging in and taking away cost the same however much is there, but for the logarithm of a search.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;
use crossbeam_skiplist::SkipMap;
use crossbeam_skiplist::map::Entry;
use thiserror::Error;

use super::ram::Region;
use crate::addr::Pa;

/// Memory could not be plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlugError {
    /// There is memory already.
    #[error("addresses {first} to {last} are memory already; plug it in elsewhere")]
    Taken {
        /// First byte of what is there.
        first: Pa,
        /// Its last byte.
        last: Pa,
    },
    /// Nothing to plug in, more than [`Handle::MAX_PLUGGED_BYTES`](super::Handle::MAX_PLUGGED_BYTES), or
    /// its end is beyond the address space.
    #[error("{bytes:#x} bytes of memory cannot be at {start}; choose another size or address")]
    Range {
        /// First byte.
        start: Pa,
        /// Size.
        bytes: u64,
    },
    /// The mapping is not both readable and writable.
    #[error("the mapping does not permit both reads and writes; map it so")]
    NotWritable,
    /// More regions than a [`Handle`](super::Handle) can name.
    #[error("{0} memory regions are plugged in, and there is room for no more; unplug one")]
    TooMany(usize),
}

impl PlugError {
    /// The addresses of `region` are not free.
    pub(super) fn taken(region: &Region) -> Self {
        Self::Taken { first: Pa(*region.range().start()), last: Pa(*region.range().end()) }
    }
}

/// Slots that are made at once.
const CHUNK: usize = 1 << 10;
/// Slots that are free before one is used again, so that a stale handle leads nowhere for long.
const RESTING: usize = 1 << 12;

/// All that is plugged in.
pub(super) struct Plugged {
    /// The slot of each region, by its first address.
    by_address: SkipMap<u64, usize>,
    chunks: Box<[OnceLock<Chunk>]>,
    /// Locked by who changes anything.
    slots: Mutex<Slots>,
}

type Chunk = Box<[ArcSwapOption<Region>]>;

struct Slots {
    /// Slots that were used, the one that is free for longest first.
    free: VecDeque<usize>,
    /// The slots from here on were never used.
    fresh: usize,
    /// Most slots there can be.
    max: usize,
}

impl Plugged {
    /// Nothing yet, with room for `max` regions.
    pub(super) fn new(max: usize) -> Self {
        let chunks = (0..max.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect();
        let slots = Slots { free: VecDeque::new(), fresh: 0, max };
        Self { by_address: SkipMap::new(), chunks, slots: Mutex::new(slots) }
    }

    /// What `access` makes of the region that `pa` is in: its slot, itself, the offset in it.
    #[cold]
    #[inline(never)]
    pub(super) fn find<R>(&self, pa: Pa, access: impl FnOnce(usize, &Region, u64) -> R) -> Option<R> {
        let slot = *self.below(pa.0)?.value();
        // Another region may have come into the slot.
        self.get(slot, |region| {
            let offset = pa.0.checked_sub(region.start())?;
            (offset < region.len()).then(|| access(slot, region, offset))
        })?
    }

    /// What `access` makes of the region in a slot.
    #[cold]
    #[inline(never)]
    pub(super) fn get<R>(&self, slot: usize, access: impl FnOnce(&Region) -> R) -> Option<R> {
        let chunk = self.chunks.get(slot / CHUNK)?.get()?;
        chunk.get(slot % CHUNK)?.load().as_deref().map(access)
    }

    /// Adds a region that meets none of those outside.
    pub(super) fn plug(&self, region: Region) -> Result<(), PlugError> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let start = region.start();
        let above = self.by_address.lower_bound(Bound::Excluded(&start));
        for neighbour in [self.below(start), above].into_iter().flatten() {
            let meets = |other: &Region| other.meets(&region).then(|| PlugError::taken(other));
            if let Some(taken) = self.get(*neighbour.value(), meets).flatten() {
                return Err(taken);
            }
        }
        let slot = slots.take().ok_or(PlugError::TooMany(slots.max))?;
        self.put(slot, Some(Arc::new(region)));
        self.by_address.insert(start, slot);
        Ok(())
    }

    /// Removes the region that starts at `start`, if there is one.
    pub(super) fn unplug(&self, start: u64) -> bool {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = self.by_address.remove(&start) else { return false };
        let slot = *gone.value();
        self.put(slot, None);
        slots.free.push_back(slot);
        true
    }

    /// The last region that starts at or below `address`.
    fn below(&self, address: u64) -> Option<Entry<'_, u64, usize>> {
        self.by_address.upper_bound(Bound::Included(&address))
    }

    fn put(&self, slot: usize, region: Option<Arc<Region>>) {
        let chunk =
            self.chunks[slot / CHUNK].get_or_init(|| (0..CHUNK).map(|_| ArcSwapOption::empty()).collect());
        chunk[slot % CHUNK].store(region);
    }
}

impl Slots {
    /// A slot that nothing is in.
    fn take(&mut self) -> Option<usize> {
        if self.free.len() <= RESTING && self.fresh < self.max {
            self.fresh += 1;
            return Some(self.fresh - 1);
        }
        self.free.pop_front()
    }
}
