//! Memory that `mmap` on the iommufd gives, by offset [kernel: iommufd_fops_mmap].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use devices::addr::PAGE_SIZE;
use vm_memory::MmapRegion;

use super::Viommu;
use crate::ctx::Ctx;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::file::{MapRequest, Mapped};
use crate::object::Hold;
use crate::sync::lock;

struct Window {
    memory: Arc<MmapRegion>,
    /// Object id of the virtual IOMMU it belongs to.
    viommu: u32,
}

/// What can be mapped in a context.
#[derive(Default)]
pub(crate) struct Windows {
    windows: Mutex<BTreeMap<u64, Window>>,
}

impl Windows {
    /// Gives `memory` the lowest offset it fits at, from one page on.
    ///
    /// # Errors
    /// `EINVAL` for memory that is not whole pages, `ENOMEM`.
    pub(super) fn add(&self, memory: Option<Arc<MmapRegion>>, viommu: u32) -> Result<Place<'_>> {
        let Some(memory) = memory else { return Ok(Place { windows: self, offset: None }) };
        let bytes = memory.size() as u64;
        if bytes == 0 || !bytes.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        fault_point(Errno::ENOMEM)?;
        let mut windows = lock(&self.windows);
        let mut offset = PAGE_SIZE;
        for (start, window) in windows.iter() {
            if start - offset >= bytes {
                break;
            }
            offset = start + window.memory.size() as u64;
        }
        offset.checked_add(bytes).ok_or(Errno::ENOMEM)?;
        windows.insert(offset, Window { memory, viommu });
        Ok(Place { windows: self, offset: Some(offset) })
    }

    pub(super) fn remove(&self, offset: u64) {
        lock(&self.windows).remove(&offset);
    }
}

/// A window that goes again unless it is kept.
pub(super) struct Place<'a> {
    windows: &'a Windows,
    offset: Option<u64>,
}

impl Place<'_> {
    /// Where it is, if there is one.
    pub(super) fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// Lets it stay.
    pub(super) fn keep(mut self) -> Option<u64> {
        self.offset.take()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(offset) = self.offset {
            self.windows.remove(offset);
        }
    }
}

/// What a mapping keeps: the virtual IOMMU, and then the context.
struct Mapping {
    _viommu: Hold<Viommu>,
    _ctx: Arc<Ctx>,
}

pub(crate) fn mmap(ctx: &Arc<Ctx>, request: MapRequest) -> Result<Mapped> {
    if !request.bytes.is_multiple_of(PAGE_SIZE) || !request.shared {
        return Err(Errno::EINVAL);
    }
    if request.executable {
        return Err(Errno::EPERM);
    }
    let (memory, viommu) = {
        let windows = lock(&ctx.windows.windows);
        let window = windows.get(&request.offset).ok_or(Errno::ENXIO)?;
        if window.memory.size() as u64 != request.bytes {
            return Err(Errno::ENXIO);
        }
        (Arc::clone(&window.memory), window.viommu)
    };
    // A virtual IOMMU that is being destroyed has no window any more, or soon has none.
    let viommu = ctx.objects.find::<Viommu>(viommu).ok_or(Errno::ENXIO)?;
    if viommu.window != Some(request.offset) {
        return Err(Errno::ENXIO);
    }
    let hold = Box::new(Mapping { _viommu: viommu.hold(), _ctx: Arc::clone(ctx) });
    Ok(Mapped { memory, hold })
}
