//! Operations that compare: page tables with memory, pins with what they should be, caches with values.

use super::user_pages::{self, PAGE, page_of};
use crate::ctx::Command;
use crate::driver::mock::{as_mock_domain, as_mock_nested};
use crate::errno::{Errno, Result};
use crate::hwpt::paging::HwptPaging;
use crate::span::Span;
use crate::uapi::test::{CheckDevCache, CheckIotlb, CheckMap, CheckRefs, TestCmd};

/// Whether the domain leads to the very pages that the caller has at an address.
pub(super) fn map(command: &Command<'_, TestCmd>) -> Result<i64> {
    let CheckMap { iova, length, uptr } = command.get();
    let hwpt = command.ctx.objects.get::<HwptPaging>(command.id)?;
    let domain = as_mock_domain(&*hwpt.domain)?;
    if !(iova | length | uptr).is_multiple_of(domain.granule()) || uptr.checked_add(length).is_none() {
        return Err(Errno::EINVAL);
    }
    let mut done = 0;
    while done < length {
        let user = uptr + done;
        let Some((physical, run)) = domain.find(iova.wrapping_add(done)) else {
            // A page that is not there is noticed first.
            let page = Span { start: page_of(user), last: user | (PAGE - 1) };
            user_pages::each(command.caller, page, |_| Ok(()))?;
            return Err(Errno::EINVAL);
        };
        let run = run.min(length - done);
        let pages = Span { start: page_of(user), last: (user + run - 1) | (PAGE - 1) };
        // Where the offsets in the page differ, this is no page's place, and nothing is equal to it.
        let place = physical.0.wrapping_sub(user - pages.start);
        let expected = Span::sized(place, pages.bytes()).map_err(|_| Errno::EINVAL)?;
        user_pages::compare(command.caller, &command.ctx.host.frames, pages.start, expected, Errno::EINVAL)?;
        done += run;
    }
    Ok(0)
}

/// Whether each page of the caller is pinned as often as it says. Large pages count otherwise and are
/// left out.
pub(super) fn refs(command: &Command<'_, TestCmd>) -> Result<i64> {
    let CheckRefs { length, uptr, refs, .. } = command.get();
    if !(length | uptr).is_multiple_of(PAGE) || uptr.checked_add(length).is_none() {
        return Err(Errno::EINVAL);
    }
    let Ok(pages) = Span::sized(uptr, length) else { return Ok(0) };
    let frames = &command.ctx.host.frames;
    user_pages::each(command.caller, pages, |extent| {
        if extent.object.page_bytes() > PAGE {
            return Ok(());
        }
        let offsets = (extent.offset..extent.offset + extent.bytes).step_by(PAGE as usize);
        for offset in offsets {
            if frames.pins(&extent.object, offset) != refs {
                return Err(Errno::EIO);
            }
        }
        Ok(())
    })?;
    Ok(0)
}

/// Whether an entry of a nested domain's cache holds a value.
pub(super) fn iotlb(command: &Command<'_, TestCmd>) -> Result<i64> {
    let CheckIotlb { id, iotlb } = command.get();
    let hwpt = command.ctx.objects.get::<crate::hwpt::nested::HwptNested>(command.id)?;
    equal(as_mock_nested(&*hwpt.domain)?.entry(id), iotlb)
}

/// Whether an entry of a device's cache holds a value.
pub(super) fn device_cache(command: &Command<'_, TestCmd>) -> Result<i64> {
    let CheckDevCache { id, cache } = command.get();
    let device = super::device::bound(command, command.id)?;
    let mock = super::driver(command)?.device(&device).ok_or(Errno::EINVAL)?;
    equal(mock.cached(id), cache)
}

fn equal(found: Option<u32>, expected: u32) -> Result<i64> {
    if found == Some(expected) { Ok(0) } else { Err(Errno::EINVAL) }
}
