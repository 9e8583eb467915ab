//! From an id to an attachment: a HWPT as it is, or one of an IOAS's own [kernel:
//! iommufd_device_change_pt].

use std::sync::Arc;

use super::bound::DeviceCore;
use super::group::Ended;
use crate::ctx::Ctx;
use crate::driver::Pasid;
use crate::errno::{Errno, Result};
use crate::hwpt::paging::{Draft, Fresh};
use crate::hwpt::{Candidate, HwptRef};
use crate::ioas::Ioas;
use crate::object::Ref;
use crate::sync::lock;
use crate::uapi::HwptAllocFlags;

/// Attach what was not, or move what was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Attach,
    Replace,
}

impl Change {
    fn apply(
        self,
        device: &Arc<DeviceCore>,
        pasid: Option<Pasid>,
        candidate: impl Candidate,
        ended: &mut Ended,
    ) -> Result<()> {
        match self {
            Self::Attach => device.group.attach(device, pasid, candidate, ended),
            Self::Replace => device.group.replace(device, pasid, candidate, ended),
        }
    }
}

/// Attaches `device` to the HWPT or IOAS `pt_id`, or moves it there; gives the HWPT's id.
pub(super) fn change(
    ctx: &Arc<Ctx>,
    device: &Arc<DeviceCore>,
    pasid: Option<Pasid>,
    pt_id: u32,
    change: Change,
) -> Result<u32> {
    let target = ctx.objects.get_any(pt_id)?;
    let mut ended = Ended::default();
    let id = match HwptRef::downcast(target) {
        Ok(hwpt) => change.apply(device, pasid, &hwpt, &mut ended).map(|()| hwpt.hwpt().id()),
        Err(other) => {
            let ioas = other.downcast::<Ioas>().map_err(|_| Errno::EINVAL)?;
            automatic(ctx, device, pasid, &ioas, change, &mut ended)
        }
    };
    ended.finish(Some(ctx));
    id
}

/// Takes the first domain that was made this way and fits, or makes one. One that a user made is
/// never taken.
fn automatic(
    ctx: &Arc<Ctx>,
    device: &Arc<DeviceCore>,
    pasid: Option<Pasid>,
    ioas: &Ref<Ioas>,
    change: Change,
    ended: &mut Ended,
) -> Result<u32> {
    let mut hwpts = lock(&ioas.hwpts);
    for hwpt in hwpts.iter() {
        let id = hwpt.upgrade().filter(|hwpt| hwpt.automatic).map(|hwpt| hwpt.id);
        // One that is being destroyed is no longer in the table.
        let Some(hwpt) = id.and_then(|id| ctx.objects.find(id)) else { continue };
        let hwpt = HwptRef::Paging(hwpt);
        match change.apply(device, pasid, &hwpt, ended) {
            Ok(()) => return Ok(hwpt.hwpt().id()),
            // This one does not fit the device.
            Err(Errno::EINVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut draft = Draft::new(ctx, ioas, device, HwptAllocFlags::empty(), None, true)?;
    if change == Change::Replace {
        draft.fill()?;
    }
    let id = draft.id();
    change.apply(device, pasid, Fresh { draft, hwpts: &mut hwpts }, ended)?;
    Ok(id)
}

/// Detaches `device`, where it is attached.
pub(super) fn detach(device: &DeviceCore, pasid: Option<Pasid>, ctx: Option<&Ctx>) {
    device.group.detach(device, pasid).finish(ctx);
}

/// Detaches all of `device`.
pub(super) fn detach_all(device: &DeviceCore, ctx: Option<&Ctx>) {
    for pasid in device.group.pasids(device) {
        detach(device, pasid, ctx);
    }
}
