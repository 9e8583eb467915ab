//! Dirty tracking [uapi iommu_hwpt_set_dirty_tracking, iommu_hwpt_get_dirty_bitmap].

use super::bitmap::Bitmap;
use super::paging::HwptPaging;
use crate::ctx::Command;
use crate::driver::DirtyTracking;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::span::Span;
use crate::uapi::{self, HwptGetDirtyBitmapFlags, HwptSetDirtyTrackingFlags};

pub(crate) fn set_dirty_tracking(command: &mut Command<'_, uapi::HwptSetDirtyTracking>) -> Result<i64> {
    if !HwptSetDirtyTrackingFlags::all().contains(command.flags) {
        return Err(Errno::EOPNOTSUPP);
    }
    let hwpt = command.ctx.objects.get::<HwptPaging>(command.hwpt_id)?;
    let tracking = hwpt.domain.dirty().ok_or(Errno::EOPNOTSUPP)?;
    tracking.set(command.flags.contains(HwptSetDirtyTrackingFlags::ENABLE))?;
    Ok(0)
}

pub(crate) fn get_dirty_bitmap(command: &mut Command<'_, uapi::HwptGetDirtyBitmap>) -> Result<i64> {
    if !HwptGetDirtyBitmapFlags::all().contains(command.flags) || command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let hwpt = command.ctx.objects.get::<HwptPaging>(command.hwpt_id)?;
    let span = check(command, hwpt.ioas.table.alignment())?;
    let tracking = hwpt.domain.dirty().ok_or(Errno::EOPNOTSUPP)?;
    fault_point(Errno::ENOMEM)?;
    let keep = command.flags.contains(HwptGetDirtyBitmapFlags::NO_CLEAR);
    let memory = command.caller.memory.as_ref();
    let mut bitmap = Bitmap::new(memory, command.data, span, command.page_size.trailing_zeros());
    // What ends the walk early (a hole in the range, a hole under the bitmap) is not told: what
    // could be collected before it has been.
    let _ = collect(&hwpt, tracking, &mut bitmap, keep);
    if !keep {
        // What is written from now on must be dirty again.
        hwpt.domain.sync();
    }
    Ok(0)
}

/// The range asked for.
fn check(command: &uapi::HwptGetDirtyBitmap, alignment: u64) -> Result<Span> {
    // A length of 0 ends before it starts, other than at 0, where it wraps to all of the space.
    let beyond = command.length.wrapping_sub(1);
    let last = command.iova.checked_add(beyond).ok_or(Errno::EOVERFLOW)?;
    let aligned = |size: u64| command.iova & (size - 1) == 0 && last.wrapping_add(1) & (size - 1) == 0;
    if !aligned(alignment) || command.page_size == 0 || !aligned(command.page_size) {
        return Err(Errno::EINVAL);
    }
    Ok(Span { start: command.iova, last })
}

/// Moves dirty bits from the domain to the bitmap, piece by piece; none is taken from the domain for
/// which there is no place in the bitmap.
fn collect(
    hwpt: &HwptPaging,
    tracking: &dyn DirtyTracking,
    bitmap: &mut Bitmap<'_>,
    keep: bool,
) -> Result<()> {
    while let Some(window) = bitmap.advance()? {
        let mut written = Ok(());
        hwpt.ioas.table.for_each_area(window, &mut |part| {
            tracking.read(part, keep, &mut |dirty| {
                written = written.and(bitmap.set(dirty));
            })
        })?;
        written?;
    }
    Ok(())
}
