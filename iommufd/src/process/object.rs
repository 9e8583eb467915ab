//! The usual memory object.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use devices::addr::PAGE_SIZE;
use vm_memory::{MmapRegion, VolatileMemory};

use super::{MemoryObject, ObjectKey};
use crate::errno::{Errno, Result};

/// Bytes of a large frame, in which objects keep their phase.
const LARGE_FRAME: u64 = 2 << 20;

impl ObjectKey {
    /// A key that no other call gives, from [`Self::OWN`] on.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(ObjectKey::OWN.0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Memory that is mapped in the emulator's process. It stays as long as somebody has the region: the
/// process that it belongs to, or the library for its devices.
pub struct RegionObject {
    key: ObjectKey,
    region: Arc<MmapRegion>,
    phase: u64,
    page_bytes: u64,
}

impl RegionObject {
    /// The memory of `region` in pages of `page_bytes`, laid out in physical memory as if its first byte
    /// were at an address that ends like `address`.
    ///
    /// # Errors
    /// `EINVAL` where the region is not whole pages, or a page not whole pages of 4 KiB.
    pub fn new(region: Arc<MmapRegion>, address: u64, page_bytes: u64) -> Result<Arc<Self>> {
        let bytes = region.size() as u64;
        if page_bytes == 0 || !page_bytes.is_multiple_of(PAGE_SIZE) || !bytes.is_multiple_of(page_bytes) {
            return Err(Errno::EINVAL);
        }
        let phase = address % LARGE_FRAME / PAGE_SIZE * PAGE_SIZE;
        Ok(Arc::new(Self { key: ObjectKey::unique(), region, phase, page_bytes }))
    }

    /// Zeroed memory: `bytes`, rounded up to whole pages, and else as [`Self::new`].
    ///
    /// # Errors
    /// `ENOMEM`, and as [`Self::new`].
    pub fn anonymous(bytes: u64, address: u64, page_bytes: u64) -> Result<Arc<Self>> {
        let bytes = bytes.checked_next_multiple_of(page_bytes).ok_or(Errno::ENOMEM)?;
        let size = usize::try_from(bytes).map_err(|_| Errno::ENOMEM)?;
        let region = MmapRegion::new(size).map_err(|_| Errno::ENOMEM)?;
        Self::new(Arc::new(region), address, page_bytes)
    }

    /// The memory.
    pub fn region(&self) -> &Arc<MmapRegion> {
        &self.region
    }
}

impl MemoryObject for RegionObject {
    fn key(&self) -> ObjectKey {
        self.key
    }

    fn bytes(&self) -> u64 {
        self.region.size() as u64
    }

    fn phase(&self) -> u64 {
        self.phase
    }

    fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    fn read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        let offset = usize::try_from(offset).map_err(|_| Errno::EFAULT)?;
        let slice = self.region.get_slice(offset, data.len()).map_err(|_| Errno::EFAULT)?;
        slice.copy_to(data);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let offset = usize::try_from(offset).map_err(|_| Errno::EFAULT)?;
        let slice = self.region.get_slice(offset, data.len()).map_err(|_| Errno::EFAULT)?;
        slice.copy_from(data);
        Ok(())
    }

    fn mapping(&self) -> Option<Arc<MmapRegion>> {
        Some(Arc::clone(&self.region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_whole_pages() {
        let region = |bytes| Arc::new(MmapRegion::new(bytes).unwrap());
        for (bytes, page_bytes, whole) in
            [(0x2000, 0x1000, true), (0x1800, 0x1000, false), (0x3000, 0x2000, false), (0x800, 0x800, false)]
        {
            let object = RegionObject::new(region(bytes), 0x7f00_0021_3abc, page_bytes);
            assert_eq!(object.is_ok(), whole, "{bytes:#x} {page_bytes:#x}");
        }
        assert_eq!(RegionObject::new(region(0x1000), 0, 0).err(), Some(Errno::EINVAL));
        let object = RegionObject::anonymous(1, 0x7f00_0021_3abc, 0x1000).unwrap();
        assert_eq!((object.bytes(), object.phase(), object.page_bytes()), (0x1000, 0x1_3000, 0x1000));
        assert_eq!(RegionObject::anonymous(u64::MAX, 0, 0x1000).err(), Some(Errno::ENOMEM));
    }

    #[test]
    fn bytes_stay_inside() {
        let object = RegionObject::anonymous(0x1000, 0, 0x1000).unwrap();
        assert_eq!(object.write(0xffe, &[1, 2]), Ok(()));
        assert_eq!(object.write(0xfff, &[1, 2]), Err(Errno::EFAULT));
        let mut data = [0; 2];
        assert_eq!(object.read(0xffe, &mut data), Ok(()));
        assert_eq!(data, [1, 2]);
        assert_eq!(object.read(u64::MAX, &mut data), Err(Errno::EFAULT));
    }
}
