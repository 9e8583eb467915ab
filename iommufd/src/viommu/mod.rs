//! Virtual IOMMUs with their devices, event queues and hardware queues [uapi iommu_viommu_alloc].
//!
//! A virtual IOMMU stands on a nesting parent and holds it; nested HWPTs, vDEVICEs, event queues,
//! hardware queues and mappings of its memory hold it in turn. What it knows of them is in
//! [`ViommuCore`], which reports of drivers find without holding any object.

mod core;
mod hw_queue;
#[cfg(test)]
mod tests;
pub(crate) mod vdevice;
mod veventq;
mod window;

use std::sync::Arc;

use crate::ctx::{Command, Ctx};
use crate::device::Device;
use crate::driver::IommuDriver;
use crate::errno::{Errno, Result};
use crate::hwpt::paging::HwptPaging;
use crate::object::{Hold, Object};
use crate::uapi::{self, VIOMMU_TYPE_DEFAULT};
use crate::user_data::UserData;

pub(crate) use self::core::ViommuCore;
pub(crate) use hw_queue::alloc as hw_queue_alloc;
pub(crate) use vdevice::alloc as vdevice_alloc;
pub(crate) use veventq::alloc as veventq_alloc;
pub(crate) use window::{Windows, mmap};

/// The object.
pub(crate) struct Viommu {
    pub(crate) core: Arc<ViommuCore>,
    /// Where its memory can be mapped.
    window: Option<u64>,
    pub(crate) parent: Hold<HwptPaging>,
}

impl Object for Viommu {
    fn destroy(&self, ctx: &Ctx) {
        if let Some(offset) = self.window {
            ctx.windows.remove(offset);
        }
    }
}

pub(crate) fn alloc(command: &mut Command<'_, uapi::ViommuAlloc>) -> Result<i64> {
    if command.flags != 0 || command.type_ == VIOMMU_TYPE_DEFAULT {
        return Err(Errno::EOPNOTSUPP);
    }
    let objects = &command.ctx.objects;
    let device = objects.get::<Device>(command.dev_id)?;
    let physical = &device.core.physical;
    let driver: &Arc<dyn IommuDriver> = physical.driver();
    if !driver.has_viommu(physical, command.type_) {
        return Err(Errno::EOPNOTSUPP);
    }
    let parent = objects.get::<HwptPaging>(command.hwpt_id)?;
    if !parent.nest_parent {
        return Err(Errno::EINVAL);
    }
    let pending = objects.reserve()?;
    let data = UserData::new(command.caller, command.type_, command.data_uptr, command.data_len);
    let data = Some(&data).filter(|data| data.bytes() != 0);
    let viommu = driver.alloc_viommu(physical, command.type_, &parent.domain, data)?;
    let window = command.ctx.windows.add(viommu.window(), pending.id())?;
    if let Some(data) = data {
        viommu.report(data, window.offset())?;
    }
    command.out_viommu_id = pending.id();
    command.respond()?;
    let core = ViommuCore::new(Arc::clone(driver), driver.unit(physical), viommu);
    let viommu = Viommu { core: Arc::new(core), window: window.keep(), parent: parent.hold() };
    pending.publish(Arc::new(viommu));
    Ok(0)
}
