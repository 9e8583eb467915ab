//! The synthetic physical memory behind pins.
//!
//! A frame names a page of a [`MemoryObject`]: every object that is pinned gets an address range of
//! its own for as long as any of it is pinned, placed so that what is aligned in the object is
//! aligned here. Pins are counted per interval, so pinning a gigabyte is one entry.
//!
//! Absent: physical addresses equal to any address of a process, and two objects in one 2-MiB frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use devices::addr::{PAGE_SIZE, Pa};
use rangemap::RangeInclusiveSet;

use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::process::{Extent, MemoryObject, ObjectKey};
use crate::span::Span;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::use_counts::UseCounts;

/// Where frames may be. Below is where machines have their memory and registers; above is more
/// than the host address width of many an IOMMU.
const SPACE: Span = Span { start: 1 << 40, last: (1 << 46) - 1 };

/// Objects begin at [`MemoryObject::phase`] in a frame of this size.
const LARGE_FRAME: u64 = 2 << 20;

/// Told when objects come and go in physical memory: how modelled devices come to reach them.
/// Called with the frames' lock held: it must not ask [`Frames`] anything.
pub trait PhysicalSpace: Send + Sync {
    /// `object` is from now on at `base`.
    ///
    /// # Errors
    /// `ENOMEM` where it cannot be reached.
    fn plug(&self, base: Pa, object: &Arc<dyn MemoryObject>) -> Result<()>;

    /// What was plugged at `base` is gone.
    fn unplug(&self, base: Pa);
}

/// All frames of a host.
pub struct Frames {
    state: Mutex<State>,
}

struct State {
    /// Addresses that no object has.
    free: RangeInclusiveSet<u64>,
    objects: BTreeMap<ObjectKey, Placed>,
    /// The objects by their first address.
    bases: BTreeMap<u64, ObjectKey>,
    spaces: Vec<Arc<dyn PhysicalSpace>>,
}

/// An object in physical memory.
struct Placed {
    object: Arc<dyn MemoryObject>,
    base: u64,
    /// Whole large frames that it takes.
    taken: Span,
    /// By page of the object.
    pins: UseCounts,
}

impl Default for Frames {
    fn default() -> Self {
        let mut free = RangeInclusiveSet::new();
        free.insert(SPACE.range());
        let state = State { free, objects: BTreeMap::new(), bases: BTreeMap::new(), spaces: Vec::new() };
        Self { state: Mutex::new(state) }
    }
}

impl Frames {
    /// Connects a space that shows every object; those already there are plugged at once.
    ///
    /// # Errors
    /// What [`PhysicalSpace::plug`] says; the space is not connected then.
    pub fn connect(&self, space: Arc<dyn PhysicalSpace>) -> Result<()> {
        let mut state = self.lock();
        let placed: Vec<&Placed> = state.objects.values().collect();
        for (index, one) in placed.iter().enumerate() {
            if let Err(errno) = space.plug(Pa(one.base), &one.object) {
                placed[..index].iter().for_each(|done| space.unplug(Pa(done.base)));
                return Err(errno);
            }
        }
        state.spaces.push(space);
        Ok(())
    }

    /// Pins `extent` once more and says where it is.
    ///
    /// # Errors
    /// As [`Self::pin_all`].
    pub(crate) fn pin(&self, extent: &Extent) -> Result<Pa> {
        self.pin_all(std::slice::from_ref(extent))?.pop().ok_or(Errno::EFAULT)
    }

    /// Pins each of `extents` once more and says where they are, in their order.
    ///
    /// # Errors
    /// `ENOMEM` where the space is full, `EFAULT` for an extent that is not whole pages of its
    /// object. Nothing is pinned more then.
    pub(crate) fn pin_all(&self, extents: &[Extent]) -> Result<Vec<Pa>> {
        let mut state = self.lock();
        let mut frames = Vec::with_capacity(extents.len());
        // Most of them are of the same object.
        let mut known: Option<(ObjectKey, u64)> = None;
        for extent in extents {
            let found = fault_point(Errno::ENOMEM).and_then(|()| state.find_or_place(extent, &mut known));
            match found {
                Ok(frame) => frames.push(frame),
                Err(errno) => {
                    frames.iter().for_each(|frame| state.forget_unpinned(frame.start));
                    return Err(errno);
                }
            }
        }
        let places = frames.iter().map(|frame| Pa(frame.start)).collect();
        for joined in join(frames) {
            state.each_object(joined, |placed, pages| placed.pins.add(pages));
        }
        Ok(places)
    }

    /// Undoes one pin of every page in `frames`, whole pages of one object.
    pub(crate) fn unpin(&self, frames: Span) {
        self.unpin_all(vec![frames]);
    }

    /// Undoes one pin of every page in each of `frames`, each whole pages of one object.
    pub(crate) fn unpin_all(&self, frames: Vec<Span>) {
        let mut state = self.lock();
        for joined in join(frames) {
            state.each_object(joined, |placed, pages| drop(placed.pins.remove(pages)));
        }
    }

    /// Where `extent` is, if any of its object is pinned: the identity to compare.
    pub fn find(&self, extent: &Extent) -> Option<Pa> {
        let state = self.lock();
        let placed = state.objects.get(&extent.object.key())?;
        let last = extent.bytes.checked_sub(1)?.checked_add(extent.offset)?;
        (last < placed.object.bytes()).then(|| Pa(placed.base + extent.offset))
    }

    /// The memory at `pa`, and the offset in it.
    pub fn object_at(&self, pa: Pa) -> Option<(Arc<dyn MemoryObject>, u64)> {
        let state = self.lock();
        let (base, key) = state.base_below(pa.0)?;
        let placed = state.objects.get(&key)?;
        let offset = pa.0 - base;
        (offset < placed.object.bytes()).then(|| (Arc::clone(&placed.object), offset))
    }

    /// How many pins the page at `offset` of `object` has.
    pub fn pins(&self, object: &Arc<dyn MemoryObject>, offset: u64) -> u32 {
        self.lock().objects.get(&object.key()).map_or(0, |placed| placed.pins.at(offset / PAGE_SIZE))
    }

    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.lock().objects.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn base_below(&self, address: u64) -> Option<(u64, ObjectKey)> {
        self.bases.range(..=address).next_back().map(|(base, key)| (*base, *key))
    }

    /// The frames of `extent`, whose object is placed where it is not yet. `known` is an object of which
    /// that is so, and its base.
    fn find_or_place(&mut self, extent: &Extent, known: &mut Option<(ObjectKey, u64)>) -> Result<Span> {
        if !is_whole(extent) {
            return Err(Errno::EFAULT);
        }
        let key = extent.object.key();
        let base = match *known {
            Some((known, base)) if known == key => base,
            _ => match self.objects.get(&key) {
                Some(placed) => placed.base,
                None => {
                    let placed = self.place(&extent.object)?;
                    let base = placed.base;
                    self.bases.insert(base, key);
                    self.objects.insert(key, placed);
                    base
                }
            },
        };
        *known = Some((key, base));
        Span::sized(base + extent.offset, extent.bytes)
    }

    /// Calls `count` with each object in `frames` and the pages of it, and forgets those without pins.
    fn each_object(&mut self, frames: Span, mut count: impl FnMut(&mut Placed, Span)) {
        let mut next = frames.start;
        loop {
            let Some((base, key)) = self.base_below(next) else { return };
            let Some(placed) = self.objects.get_mut(&key) else { return };
            let last = frames.last.min(base + (placed.object.bytes() - 1));
            let Some(part) = Span::new(next, last) else { return };
            count(
                placed,
                Span { start: (part.start - base) / PAGE_SIZE, last: (part.last - base) / PAGE_SIZE },
            );
            self.forget_unpinned(base);
            if last == frames.last {
                return;
            }
            next = last + 1;
        }
    }

    /// Takes away the object at `address`, if there is one and no page of it is pinned.
    fn forget_unpinned(&mut self, address: u64) {
        let Some((base, key)) = self.base_below(address) else { return };
        if !self.objects.get(&key).is_some_and(|placed| placed.pins.is_empty()) {
            return;
        }
        self.bases.remove(&base);
        if let Some(gone) = self.objects.remove(&key) {
            self.free.insert(gone.taken.range());
            self.spaces.iter().for_each(|space| space.unplug(Pa(base)));
        }
    }

    /// Finds the lowest place for an object and shows it there.
    fn place(&mut self, object: &Arc<dyn MemoryObject>) -> Result<Placed> {
        let phase = object.phase() % LARGE_FRAME;
        let bytes = object.bytes().checked_add(phase).ok_or(Errno::ENOMEM)?;
        let bytes =
            bytes.checked_next_multiple_of(LARGE_FRAME).filter(|bytes| *bytes > 0).ok_or(Errno::ENOMEM)?;
        // Free ranges begin and end at large frames, as what is taken out of them does.
        let start = self
            .free
            .iter()
            .find(|free| free.end() - free.start() >= bytes - 1)
            .map(|free| *free.start())
            .ok_or(Errno::ENOMEM)?;
        let taken = Span::sized(start, bytes)?;
        let base = start + phase;
        for (index, space) in self.spaces.iter().enumerate() {
            if let Err(errno) = space.plug(Pa(base), object) {
                self.spaces[..index].iter().for_each(|done| done.unplug(Pa(base)));
                return Err(errno);
            }
        }
        self.free.remove(taken.range());
        Ok(Placed { object: Arc::clone(object), base, taken, pins: UseCounts::default() })
    }
}

/// Whether `extent` is whole pages of its object.
fn is_whole(extent: &Extent) -> bool {
    let whole = extent.bytes > 0 && (extent.offset | extent.bytes).is_multiple_of(PAGE_SIZE);
    whole && extent.offset.checked_add(extent.bytes).is_some_and(|end| end <= extent.object.bytes())
}

/// `frames` with those that follow each other joined, so that what is scattered is counted as a whole.
/// What is in it twice stays there twice.
fn join(mut frames: Vec<Span>) -> Vec<Span> {
    frames.sort_unstable_by_key(|frame| frame.start);
    frames.dedup_by(|next, before| {
        let follows = before.last + 1 == next.start;
        if follows {
            before.last = next.last;
        }
        follows
    });
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::fake::{FakeObject, RecordedSpace};

    fn extent(object: &Arc<dyn MemoryObject>, page: u64, pages: u64) -> Extent {
        Extent { object: Arc::clone(object), offset: page * PAGE_SIZE, bytes: pages * PAGE_SIZE }
    }

    fn object(pages: u64, phase: u64) -> Arc<dyn MemoryObject> {
        FakeObject::with_phase(pages * PAGE_SIZE, phase)
    }

    #[test]
    fn an_object_keeps_its_place_while_any_of_it_is_pinned() {
        let frames = Frames::default();
        let memory = object(16, 0x3000);
        let Ok(first) = frames.pin(&extent(&memory, 4, 4)) else { panic!("room") };
        assert_eq!(first.0 % LARGE_FRAME, 0x3000 + 4 * PAGE_SIZE);
        assert_eq!(frames.pin(&extent(&memory, 6, 4)), Ok(Pa(first.0 + 2 * PAGE_SIZE)));
        assert_eq!(frames.find(&extent(&memory, 0, 16)), Some(Pa(first.0 - 4 * PAGE_SIZE)));
        let pins: Vec<u32> = (0..16).map(|page| frames.pins(&memory, page * PAGE_SIZE)).collect();
        assert_eq!(pins, [0, 0, 0, 0, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0]);

        frames.unpin(Span { start: first.0, last: first.0 + 4 * PAGE_SIZE - 1 });
        assert_eq!(frames.object_at(Pa(first.0 + 5)).map(|(_, offset)| offset), Some(4 * PAGE_SIZE + 5));
        let rest = first.0 + 2 * PAGE_SIZE;
        frames.unpin(Span { start: rest, last: rest + 4 * PAGE_SIZE - 1 });
        assert!(frames.is_empty());
        assert!(frames.object_at(first).is_none());
        assert_eq!(frames.find(&extent(&memory, 4, 1)), None);
    }

    #[test]
    fn places_are_used_again() {
        let frames = Frames::default();
        let (a, b) = (object(1, 0), object(1, 0));
        let first = frames.pin(&extent(&a, 0, 1));
        let second = frames.pin(&extent(&b, 0, 1));
        assert_ne!(first, second);
        let Ok(pa) = first else { panic!("room") };
        frames.unpin(Span { start: pa.0, last: pa.0 + PAGE_SIZE - 1 });
        let c = object(1, 0);
        assert_eq!(frames.pin(&extent(&c, 0, 1)), first);
    }

    #[test]
    fn what_is_not_pages_of_the_object_is_refused() {
        let frames = Frames::default();
        let memory = object(2, 0);
        for (offset, bytes) in [(0, 0), (0, 100), (8, PAGE_SIZE), (PAGE_SIZE, 2 * PAGE_SIZE), (u64::MAX, 2)] {
            let extent = Extent { object: Arc::clone(&memory), offset, bytes };
            assert_eq!(frames.pin(&extent), Err(Errno::EFAULT), "{offset:#x} {bytes:#x}");
        }
        let huge = FakeObject::sized_only(1 << 50);
        assert_eq!(frames.pin(&extent(&huge, 0, 1)), Err(Errno::ENOMEM));
        assert!(frames.is_empty());
    }

    #[test]
    fn spaces_see_objects_come_and_go() {
        let frames = Frames::default();
        let memory = object(2, 0);
        let Ok(pa) = frames.pin(&extent(&memory, 0, 1)) else { panic!("room") };
        let space = Arc::new(RecordedSpace::default());
        assert_eq!(frames.connect(space.clone()), Ok(()));
        assert_eq!(space.shown(), [(pa.0, 2 * PAGE_SIZE)]);
        frames.unpin(Span { start: pa.0, last: pa.0 + PAGE_SIZE - 1 });
        assert_eq!(space.shown(), []);

        space.refuse(true);
        assert_eq!(frames.pin(&extent(&memory, 0, 1)), Err(Errno::ENOMEM));
        assert!(frames.is_empty());
    }

    #[test]
    fn scattered_pages_are_pinned_one_by_one() {
        let frames = Frames::default();
        // Both fill their large frames, so that the second follows the first.
        let (a, b) = (object(512, 0), object(512, 0));
        let pages = [(&a, 511), (&b, 0), (&a, 3), (&a, 2), (&a, 3), (&b, 7), (&a, 4)];
        let extents: Vec<_> = pages.iter().map(|(object, page)| extent(object, *page, 1)).collect();
        let Ok(places) = frames.pin_all(&extents) else { panic!("room") };
        assert_eq!(places[1].0, places[0].0 + PAGE_SIZE);
        for (extent, place) in extents.iter().zip(&places) {
            assert_eq!(frames.find(extent), Some(*place));
        }
        let pins = |object, pages: &[u64]| -> Vec<u32> {
            pages.iter().map(|page| frames.pins(object, page * PAGE_SIZE)).collect()
        };
        assert_eq!(pins(&a, &[1, 2, 3, 4, 5, 511]), [0, 1, 2, 1, 0, 1]);
        assert_eq!(pins(&b, &[0, 1, 6, 7, 8]), [1, 0, 0, 1, 0]);

        let span = |place: &Pa| Span { start: place.0, last: place.0 + PAGE_SIZE - 1 };
        frames.unpin_all(places[..5].iter().map(span).collect());
        assert_eq!((pins(&a, &[2, 3, 4, 511]), pins(&b, &[0, 7])), (vec![0, 0, 1, 0], vec![0, 1]));
        frames.unpin_all(places[5..].iter().map(span).collect());
        assert!(frames.is_empty());
    }

    #[test]
    fn of_many_all_are_pinned_or_none() {
        let frames = Frames::default();
        let (kept, gone) = (object(4, 0), object(4, 0));
        assert!(frames.pin(&extent(&kept, 0, 1)).is_ok());
        let extents = [extent(&kept, 0, 2), extent(&gone, 0, 4), extent(&gone, 3, 2)];
        assert_eq!(frames.pin_all(&extents), Err(Errno::EFAULT));
        assert_eq!((frames.pins(&kept, 0), frames.pins(&kept, PAGE_SIZE)), (1, 0));
        assert_eq!(frames.find(&extent(&gone, 0, 1)), None);
    }
}
