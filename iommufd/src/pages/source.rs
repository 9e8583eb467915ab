//! Where pages come from.

use std::sync::Arc;

use devices::addr::PAGE_SIZE;

use super::dmabuf::DmaBuf;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::process::{Extent, MemoryFile, PinAccess, UserMemory};
use crate::span::Span;

/// The memory that pages are of. Starts are multiples of the page size.
pub(super) enum Source {
    /// Of a process.
    User { memory: Arc<dyn UserMemory>, start: u64 },
    /// Of a file.
    File { file: Arc<dyn MemoryFile>, start: u64 },
    /// Of a device. The reference keeps it there.
    DmaBuf { _buffer: Arc<dyn DmaBuf>, start: u64 },
}

impl Source {
    pub(super) fn is_device_memory(&self) -> bool {
        matches!(self, Self::DmaBuf { .. })
    }

    /// Names the memory behind `pages`, in order and complete.
    ///
    /// # Errors
    /// `EFAULT`, `EINVAL` and `ENOMEM` as [`UserMemory::pin`] and [`MemoryFile::pin`] say.
    pub(super) fn pin(&self, pages: Span, writable: bool) -> Result<Vec<Extent>> {
        fault_point(Errno::EFAULT)?;
        let access = if writable { PinAccess::Write } else { PinAccess::Read };
        let extents = match self {
            Self::User { memory, start } => memory.pin(bytes_of(*start, pages)?, access)?,
            Self::File { file, start } => {
                let bytes = bytes_of(*start, pages).map_err(|_| Errno::EINVAL)?;
                if bytes.last >= file.bytes() {
                    return Err(Errno::EINVAL);
                }
                file.pin(bytes, access)?
            }
            Self::DmaBuf { .. } => return Err(Errno::EINVAL),
        };
        let whole = |extent: &Extent| extent.bytes > 0 && extent.bytes.is_multiple_of(PAGE_SIZE);
        let total = extents.iter().try_fold(0u64, |sum, extent| sum.checked_add(extent.bytes));
        if total != Some(pages.bytes() * PAGE_SIZE) || !extents.iter().all(whole) {
            return Err(Errno::EFAULT);
        }
        Ok(extents)
    }
}

/// The bytes of `pages` of a source that begins at `start`.
fn bytes_of(start: u64, pages: Span) -> Result<Span> {
    let first = pages.start.checked_mul(PAGE_SIZE).and_then(|offset| start.checked_add(offset));
    let bytes = pages.bytes().checked_mul(PAGE_SIZE);
    Span::sized(first.ok_or(Errno::EFAULT)?, bytes.ok_or(Errno::EFAULT)?).map_err(|_| Errno::EFAULT)
}
