//! Files other than the library's, as far as `mmap` and `IOMMU_IOAS_MAP_FILE` see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iommufd::errno::{Errno, Result};
use iommufd::process::{Extent, MemoryFile, PinAccess, RegionObject};
use iommufd::span::Span;

use super::PAGE;

/// A memfd [memfd_create(2)] that was given its size.
pub struct MemFd {
    memory: Arc<RegionObject>,
    bytes: AtomicU64,
}

impl MemFd {
    /// A file of `bytes` in pages of `page_bytes`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(bytes: u64, page_bytes: u64) -> Result<Arc<Self>> {
        let memory = RegionObject::anonymous(bytes, 0, page_bytes)?;
        Ok(Arc::new(Self { memory, bytes: AtomicU64::new(bytes) }))
    }

    /// Its pages, from offset 0 on.
    pub fn memory(&self) -> &Arc<RegionObject> {
        &self.memory
    }

    /// `ftruncate(2)` to fewer bytes. Unlike Linux's, mappings keep the pages cut off.
    pub fn shrink(&self, bytes: u64) {
        self.bytes.fetch_min(bytes, Ordering::Relaxed);
    }
}

impl MemoryFile for MemFd {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn pin(&self, pages: Span, _: PinAccess) -> Result<Vec<Extent>> {
        if pages.last >= self.bytes().next_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        Ok(vec![Extent { object: self.memory.clone(), offset: pages.start, bytes: pages.bytes() }])
    }
}

/// A file of a file system: it can be mapped, but devices cannot have its pages.
pub struct DiskFile {
    /// What is in it.
    pub content: Vec<u8>,
}

impl MemoryFile for DiskFile {
    fn bytes(&self) -> u64 {
        self.content.len() as u64
    }

    fn pin(&self, _: Span, _: PinAccess) -> Result<Vec<Extent>> {
        Err(Errno::EINVAL)
    }
}
