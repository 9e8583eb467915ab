//! An address space of a few regions: a VMM's guest memory, a test's buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use devices::addr::PAGE_SIZE;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use super::{Extent, MemoryObject, MmId, PinAccess, RegionObject, UserMemory};
use crate::errno::{Errno, Result};
use crate::span::Span;

impl MmId {
    /// Identities from this one on are those that [`Self::unique`] gives.
    pub const OWN: Self = Self(1 << 63);

    /// An identity that no other call gives.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(MmId::OWN.0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Regions of memory at fixed addresses, all readable and writable.
pub struct RegionMemory {
    id: MmId,
    /// In the order of addresses; they do not overlap.
    regions: Vec<Region>,
}

struct Region {
    span: Span,
    object: Arc<RegionObject>,
}

impl RegionMemory {
    /// The regions of `memory`, which is shared with it: a pointer in an ioctl's argument is a guest
    /// address. Regions added to or removed from a `memory` made of it later are not seen.
    ///
    /// # Errors
    /// `EINVAL` where a region is not whole pages of 4 KiB.
    pub fn new(memory: &GuestMemoryMmap) -> Result<Arc<Self>> {
        let regions = memory.iter().map(|region| {
            let start = region.start_addr().raw_value();
            if !start.is_multiple_of(PAGE_SIZE) {
                return Err(Errno::EINVAL);
            }
            let object = RegionObject::new(region.get_mmap(), start, PAGE_SIZE)?;
            Ok(Region { span: Span::sized(start, object.bytes())?, object })
        });
        Ok(Arc::new(Self { id: MmId::unique(), regions: regions.collect::<Result<_>>()? }))
    }

    /// Calls `each` with every region that `span` goes through, where in the region that begins, and
    /// how many bytes it has there.
    fn walk(&self, span: Span, mut each: impl FnMut(&Region, u64, u64) -> Result<()>) -> Result<()> {
        let first = self.regions.partition_point(|region| region.span.last < span.start);
        let mut next = span.start;
        for region in &self.regions[first..] {
            if !region.span.contains(next) {
                break;
            }
            let last = region.span.last.min(span.last);
            each(region, next - region.span.start, last - next + 1)?;
            if last == span.last {
                return Ok(());
            }
            next = last + 1;
        }
        Err(Errno::EFAULT)
    }
}

impl UserMemory for RegionMemory {
    fn id(&self) -> MmId {
        self.id
    }

    fn read(&self, address: u64, data: &mut [u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let span = Span::sized(address, data.len() as u64).map_err(|_| Errno::EFAULT)?;
        let mut rest = data;
        self.walk(span, |region, offset, bytes| {
            // It is part of `data`, so it fits.
            let (here, after) = std::mem::take(&mut rest).split_at_mut(bytes as usize);
            rest = after;
            region.object.read(offset, here)
        })
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let span = Span::sized(address, data.len() as u64).map_err(|_| Errno::EFAULT)?;
        let mut rest = data;
        self.walk(span, |region, offset, bytes| {
            // It is part of `data`, so it fits.
            let (here, after) = rest.split_at(bytes as usize);
            rest = after;
            region.object.write(offset, here)
        })
    }

    fn pin(&self, pages: Span, _: PinAccess) -> Result<Vec<Extent>> {
        let mut extents = Vec::new();
        self.walk(pages, |region, offset, bytes| {
            extents.push(Extent { object: region.object.clone(), offset, bytes });
            Ok(())
        })?;
        Ok(extents)
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::{Bytes, GuestAddress};

    use super::*;

    /// Two regions that touch, and one apart.
    const RANGES: [(GuestAddress, usize); 3] =
        [(GuestAddress(0x1000), 0x2000), (GuestAddress(0x3000), 0x1000), (GuestAddress(0x8000), 0x1000)];

    #[test]
    fn what_the_guest_wrote_is_read_across_regions() {
        let guest = GuestMemoryMmap::<()>::from_ranges(&RANGES).unwrap();
        let memory = RegionMemory::new(&guest).unwrap();
        guest.write_slice(b"over the edge", GuestAddress(0x2ffc)).unwrap();
        let mut data = [0; 13];
        assert_eq!(memory.read(0x2ffc, &mut data), Ok(()));
        assert_eq!(&data, b"over the edge");
        assert_eq!(memory.write(0x2ffe, b"ER"), Ok(()));
        guest.read_slice(&mut data, GuestAddress(0x2ffc)).unwrap();
        assert_eq!(&data, b"ovER the edge");
    }

    #[test]
    fn only_what_is_there_can_be_had() {
        let guest = GuestMemoryMmap::<()>::from_ranges(&RANGES).unwrap();
        let memory = RegionMemory::new(&guest).unwrap();
        for (address, bytes, there) in [
            (0xfff, 1, false),
            (0xfff, 2, false),
            (0x1000, 0x3000, true),
            (0x1000, 0x3001, false),
            (0x3fff, 0x4002, false),
            (0x8fff, 1, true),
            (0x9000, 1, false),
            (0x9000, 0, true),
            (u64::MAX, 2, false),
        ] {
            let expected = if there { Ok(()) } else { Err(Errno::EFAULT) };
            let mut data = vec![0; bytes];
            assert_eq!(memory.read(address, &mut data), expected, "{address:#x} {bytes:#x}");
            assert_eq!(memory.write(address, &data), expected, "{address:#x} {bytes:#x}");
        }
    }

    #[test]
    fn pins_name_the_regions() {
        let guest = GuestMemoryMmap::<()>::from_ranges(&RANGES).unwrap();
        let memory = RegionMemory::new(&guest).unwrap();
        let pin = |start, last| memory.pin(Span { start, last }, PinAccess::Write);
        let extents = pin(0x2000, 0x3fff).unwrap();
        let rows: Vec<_> = extents.iter().map(|extent| (extent.offset, extent.bytes)).collect();
        assert_eq!(rows, [(0x1000, 0x1000), (0, 0x1000)]);
        assert_ne!(extents[0].object.key(), extents[1].object.key());
        assert_eq!(extents[1].object.phase(), 0x3000);
        assert_eq!(pin(0x3000, 0x8fff).err(), Some(Errno::EFAULT));
    }

    #[test]
    fn regions_are_whole_pages() {
        for range in [(GuestAddress(0x1800), 0x1000), (GuestAddress(0x1000), 0x1800)] {
            let guest = GuestMemoryMmap::<()>::from_ranges(&[range]).unwrap();
            assert_eq!(RegionMemory::new(&guest).err(), Some(Errno::EINVAL));
        }
    }
}
