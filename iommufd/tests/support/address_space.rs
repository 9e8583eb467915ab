//! An address space: mappings, and access to what they show.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use iommufd::errno::{Errno, Result};
use iommufd::file::Mapped;
use iommufd::process::{Extent, MemoryObject, MmId, PinAccess, RegionObject, UserMemory};
use iommufd::span::Span;
use vm_memory::VolatileMemory;

use super::{DiskFile, MemFd, PAGE};

/// Who sees a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Everyone who maps the same memory, children among them: `MAP_SHARED`.
    Shared,
    /// This process alone: `MAP_PRIVATE`.
    Private,
}

#[derive(Clone)]
struct Area {
    last: u64,
    memory: Arc<RegionObject>,
    /// Of the area's first byte in `memory`.
    offset: u64,
    sharing: Sharing,
    writable: bool,
    /// For memory of the library's files: keeps it there, and says that devices cannot have it.
    hold: Option<Arc<dyn Any + Send + Sync>>,
}

type Areas = BTreeMap<u64, Area>;

/// The mappings of a process, by their first address.
pub struct AddressSpace {
    id: MmId,
    areas: RwLock<Areas>,
}

impl AddressSpace {
    /// One without mappings.
    pub fn new() -> Self {
        Self::of(Areas::new())
    }

    fn of(areas: Areas) -> Self {
        Self { id: MmId::unique(), areas: RwLock::new(areas) }
    }

    /// Maps zeroed pages of `page_bytes` at `span` in place of what was there.
    ///
    /// # Errors
    /// `EINVAL` where `span` is not whole pages; `ENOMEM`.
    pub fn map_anonymous(&self, span: Span, sharing: Sharing, page_bytes: u64) -> Result<()> {
        whole(span, page_bytes)?;
        let memory = RegionObject::anonymous(span.bytes(), span.start, page_bytes)?;
        self.insert(span, memory, 0, sharing, None);
        Ok(())
    }

    /// Maps `file` from `offset` on at `span`, shared.
    ///
    /// # Errors
    /// `EINVAL` where `span` and `offset` are not whole pages of the file.
    pub fn map_memfd(&self, span: Span, file: &MemFd, offset: u64) -> Result<()> {
        let page_bytes = file.memory().page_bytes();
        whole(span, page_bytes)?;
        let end = offset.checked_add(span.bytes()).ok_or(Errno::EINVAL)?;
        if !offset.is_multiple_of(page_bytes) || end > file.memory().bytes() {
            return Err(Errno::EINVAL);
        }
        self.insert(span, file.memory().clone(), offset, Sharing::Shared, None);
        Ok(())
    }

    /// Maps `file` from its beginning at `span`, privately. The pages are copied now: POSIX does not
    /// say whether later changes of the file are seen.
    ///
    /// # Errors
    /// `EINVAL` where `span` is not whole pages; `ENOMEM`.
    pub fn map_private_file(&self, span: Span, file: &DiskFile) -> Result<()> {
        whole(span, PAGE)?;
        let memory = RegionObject::anonymous(span.bytes(), span.start, PAGE)?;
        let bytes = usize::try_from(span.bytes()).map_err(|_| Errno::EINVAL)?.min(file.content.len());
        memory.write(0, &file.content[..bytes])?;
        self.insert(span, memory, 0, Sharing::Private, None);
        Ok(())
    }

    /// Maps at `address` what the library gave for an `mmap` of one of its files.
    pub fn map_library(&self, address: u64, mapped: Mapped) -> Result<()> {
        let span = Span::sized(address, mapped.memory.size() as u64)?;
        whole(span, PAGE)?;
        let memory = RegionObject::new(mapped.memory, address, PAGE)?;
        self.insert(span, memory, 0, Sharing::Shared, Some(Arc::from(mapped.hold)));
        Ok(())
    }

    /// `munmap(2)`: holes are no error.
    ///
    /// # Errors
    /// `EINVAL` where `span` is not whole pages.
    pub fn unmap(&self, span: Span) -> Result<()> {
        whole(span, PAGE)?;
        cut(&mut self.write_areas(), span);
        Ok(())
    }

    /// Makes `span` read-only: `mprotect(2)`.
    ///
    /// # Errors
    /// `EINVAL` where `span` is not whole pages.
    pub fn protect(&self, span: Span) -> Result<()> {
        whole(span, PAGE)?;
        let mut areas = self.write_areas();
        for (start, mut area) in cut(&mut areas, span) {
            area.writable = false;
            areas.insert(start, area);
        }
        Ok(())
    }

    /// What a child of this process gets: shared memory the same, private memory copied.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn fork(&self) -> Result<Self> {
        let mut areas = self.read_areas().clone();
        let mut copies = BTreeMap::new();
        for area in areas.values_mut().filter(|area| area.sharing == Sharing::Private) {
            let copy = match copies.entry(area.memory.key()) {
                Entry::Occupied(copy) => copy.into_mut(),
                Entry::Vacant(place) => place.insert(duplicate(&area.memory)?),
            };
            area.memory = Arc::clone(copy);
        }
        Ok(Self::of(areas))
    }

    /// Unmaps everything: the process is gone, and pins fail from now on.
    pub fn clear(&self) {
        self.write_areas().clear();
    }

    /// All memory that is mapped, each area's.
    pub fn memory(&self) -> Vec<Arc<RegionObject>> {
        self.read_areas().values().map(|area| area.memory.clone()).collect()
    }

    fn insert(
        &self,
        span: Span,
        memory: Arc<RegionObject>,
        offset: u64,
        sharing: Sharing,
        hold: Option<Arc<dyn Any + Send + Sync>>,
    ) {
        let mut areas = self.write_areas();
        cut(&mut areas, span);
        areas.insert(span.start, Area { last: span.last, memory, offset, sharing, writable: true, hold });
    }

    /// Calls `each` with every area of `span` and the part of `span` in it.
    fn walk(&self, span: Span, mut each: impl FnMut(&Area, u64, Span) -> Result<()>) -> Result<()> {
        let areas = self.read_areas();
        let mut next = span.start;
        loop {
            let (start, area) = areas.range(..=next).next_back().ok_or(Errno::EFAULT)?;
            if area.last < next {
                return Err(Errno::EFAULT);
            }
            let part = Span { start: next, last: area.last.min(span.last) };
            each(area, area.offset + (next - start), part)?;
            if part.last == span.last {
                return Ok(());
            }
            next = part.last + 1;
        }
    }

    fn read_areas(&self) -> RwLockReadGuard<'_, Areas> {
        self.areas.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_areas(&self) -> RwLockWriteGuard<'_, Areas> {
        self.areas.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes `span` out of `areas`, and splits those that reach beyond it.
fn cut(areas: &mut Areas, span: Span) -> Vec<(u64, Area)> {
    let meeting: Vec<u64> = areas
        .range(..=span.last)
        .rev()
        .take_while(|(_, area)| area.last >= span.start)
        .map(|(start, _)| *start)
        .collect();
    let mut taken = Vec::new();
    for start in meeting {
        let Some(area) = areas.remove(&start) else { continue };
        if start < span.start {
            areas.insert(start, Area { last: span.start - 1, ..area.clone() });
        }
        if area.last > span.last {
            let offset = area.offset + (span.last + 1 - start);
            areas.insert(span.last + 1, Area { offset, ..area.clone() });
        }
        let first = start.max(span.start);
        let offset = area.offset + (first - start);
        taken.push((first, Area { last: area.last.min(span.last), offset, ..area }));
    }
    taken
}

/// Other pages with the same content: what a child gets of its parent's private memory.
fn duplicate(memory: &RegionObject) -> Result<Arc<RegionObject>> {
    let copy = RegionObject::anonymous(memory.bytes(), memory.phase(), memory.page_bytes())?;
    memory.region().as_volatile_slice().copy_to_volatile_slice(copy.region().as_volatile_slice());
    Ok(copy)
}

fn whole(span: Span, page_bytes: u64) -> Result<()> {
    let whole = span.start.is_multiple_of(page_bytes) && span.bytes().is_multiple_of(page_bytes);
    if whole { Ok(()) } else { Err(Errno::EINVAL) }
}

/// The part of a buffer for `whole` that `part` of it is.
fn range(whole: u64, part: Span) -> std::ops::Range<usize> {
    // The buffer is in memory, so its indices fit.
    (part.start - whole) as usize..(part.last - whole) as usize + 1
}

impl UserMemory for AddressSpace {
    fn id(&self) -> MmId {
        self.id
    }

    fn read(&self, address: u64, data: &mut [u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let span = Span::sized(address, data.len() as u64).map_err(|_| Errno::EFAULT)?;
        self.walk(span, |area, offset, part| area.memory.read(offset, &mut data[range(address, part)]))
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let span = Span::sized(address, data.len() as u64).map_err(|_| Errno::EFAULT)?;
        self.walk(span, |area, offset, part| match area.writable {
            true => area.memory.write(offset, &data[range(address, part)]),
            false => Err(Errno::EFAULT),
        })
    }

    fn pin(&self, pages: Span, access: PinAccess) -> Result<Vec<Extent>> {
        let mut extents: Vec<Extent> = Vec::new();
        self.walk(pages, |area, offset, part| {
            if area.hold.is_some() || (access == PinAccess::Write && !area.writable) {
                return Err(Errno::EFAULT);
            }
            match extents.last_mut() {
                Some(last)
                    if last.object.key() == area.memory.key() && last.offset + last.bytes == offset =>
                {
                    last.bytes += part.bytes();
                }
                _ => extents.push(Extent { object: area.memory.clone(), offset, bytes: part.bytes() }),
            }
            Ok(())
        })?;
        Ok(extents)
    }
}
