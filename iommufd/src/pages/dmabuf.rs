//! Device memory shared as a file: a dma-buf, whose owner may take it back at any time.

use std::any::Any;
use std::sync::{Arc, Weak};

use devices::addr::Pa;

use crate::errno::{Errno, Result};
use crate::file::{File, MapRequest, Mapped};

/// Physically contiguous memory of a device that `IOMMU_IOAS_MAP_FILE` maps
/// [uapi iommu_ioas_map_file].
///
/// Taking it back is called revoking. Mappings made before stay dead for good, also when the owner
/// later lets the memory be mapped again.
pub trait DmaBuf: Any + Send + Sync {
    /// Its size.
    fn bytes(&self) -> u64;

    /// Where it is; `None` while it is revoked.
    fn phys(&self) -> Option<Pa>;

    /// Adds who is told of a revocation. The owner calls [`Importer::revoked`] on all of them after
    /// [`Self::phys`] became `None` and before it uses the memory itself, with no lock of its own
    /// held that these functions take. Dead ones may be forgotten.
    fn attach(&self, importer: Weak<dyn Importer>);
}

/// Who uses a dma-buf.
pub trait Importer: Send + Sync {
    /// Returns when no DMA through this importer reaches the memory.
    fn revoked(&self);
}

/// The file that names a dma-buf: what its owner puts behind a descriptor, and `MAP_FILE` knows it
/// by.
pub struct DmaBufFile {
    buffer: Arc<dyn DmaBuf>,
}

impl DmaBufFile {
    /// A file that names `buffer`.
    pub fn new(buffer: Arc<dyn DmaBuf>) -> Self {
        Self { buffer }
    }

    /// What it names.
    pub fn buffer(&self) -> &Arc<dyn DmaBuf> {
        &self.buffer
    }
}

impl File for DmaBufFile {
    fn mmap(&self, _request: MapRequest) -> Result<Mapped> {
        Err(Errno::EINVAL)
    }
}
