//! Domain ids, within CAP.ND [VT-d 6.2.1].

use vm_allocator::IdAllocator;

use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::sync::{Mutex, lock};

/// The id of entries that pass DMA through. 0 is none: caching mode tags what faults with it.
pub(super) const PASS_THROUGH: u16 = 1;

/// The ids that paging domains can have.
pub(super) struct DomainIds(Mutex<IdAllocator>);

impl DomainIds {
    /// All up to `last`; `None` where that leaves none.
    pub(super) fn new(last: u16) -> Option<Self> {
        IdAllocator::new(u32::from(PASS_THROUGH) + 1, last.into()).ok().map(|ids| Self(Mutex::new(ids)))
    }

    /// An id that no domain has.
    ///
    /// # Errors
    /// `ENOSPC`.
    pub(super) fn alloc(&self) -> Result<u16> {
        fault_point(Errno::ENOSPC)?;
        let id = lock(&self.0).allocate_id().map_err(|_| Errno::ENOSPC)?;
        u16::try_from(id).map_err(|_| Errno::ENOSPC)
    }

    /// Gives one back that no cache knows any more.
    pub(super) fn free(&self, id: u16) {
        let freed = lock(&self.0).free_id(id.into());
        debug_assert!(freed.is_ok(), "it was allocated");
    }
}
