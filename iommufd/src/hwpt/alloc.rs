//! `IOMMU_HWPT_ALLOC`, over each of the objects it takes. The order of the checks is the kernel's.

use std::sync::Arc;

use super::nested::{Base, HwptNested};
use super::paging::{Draft, HwptPaging};
use crate::ctx::Command;
use crate::device::{Device, DeviceCore};
use crate::driver::NestedDomain;
use crate::errno::{Errno, Result};
use crate::fault::Fault;
use crate::ioas::Ioas;
use crate::object::{Hold, Pending, Ref};
use crate::sync::lock;
use crate::uapi::{self, HWPT_DATA_NONE, HwptAllocFlags};
use crate::user_data::UserData;
use crate::viommu::Viommu;

pub(crate) fn alloc(command: &mut Command<'_, uapi::HwptAlloc>) -> Result<i64> {
    if command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if (command.data_type == HWPT_DATA_NONE) != (command.data_len == 0) {
        return Err(Errno::EINVAL);
    }
    let device = command.ctx.objects.get::<Device>(command.dev_id)?;
    let device = &*device.core;
    let base = command.ctx.objects.get_any(command.pt_id).map_err(|_| Errno::EINVAL)?;
    let base = match base.downcast::<Ioas>() {
        Ok(ioas) => return on_ioas(command, device, &ioas),
        Err(other) => other,
    };
    let base = match base.downcast::<HwptPaging>() {
        Ok(parent) => return on_parent(command, device, &parent),
        Err(other) => other,
    };
    let viommu = base.downcast::<Viommu>().map_err(|_| Errno::EINVAL)?;
    on_viommu(command, device, &viommu)
}

fn data<'a>(command: &Command<'a, uapi::HwptAlloc>) -> UserData<'a> {
    UserData::new(command.caller, command.data_type, command.data_uptr, command.data_len)
}

fn on_ioas(command: &mut Command<'_, uapi::HwptAlloc>, device: &DeviceCore, ioas: &Ref<Ioas>) -> Result<i64> {
    let data = data(command);
    let data = Some(&data).filter(|data| data.bytes() != 0);
    let mut hwpts = lock(&ioas.hwpts);
    let mut draft = Draft::new(command.ctx, ioas, device, command.flags, data, false)?;
    draft.fill()?;
    if let Some(fault) = fault(command)? {
        draft.set_fault(fault);
    }
    command.out_hwpt_id = draft.id();
    command.respond()?;
    drop(draft.publish(&mut hwpts));
    Ok(0)
}

/// What a stage 1 may be asked to be.
fn check_nested(command: &Command<'_, uapi::HwptAlloc>) -> Result<()> {
    let known = HwptAllocFlags::FAULT_ID_VALID | HwptAllocFlags::PASID;
    if !known.contains(command.flags) || command.data_len == 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(())
}

/// The flags a driver is told.
fn driver_flags(command: &Command<'_, uapi::HwptAlloc>) -> u32 {
    command.flags.difference(HwptAllocFlags::FAULT_ID_VALID).bits()
}

fn on_parent(
    command: &mut Command<'_, uapi::HwptAlloc>,
    device: &DeviceCore,
    parent: &Ref<HwptPaging>,
) -> Result<i64> {
    check_nested(command)?;
    let physical = &device.physical;
    if parent.automatic || !parent.nest_parent || !Arc::ptr_eq(&parent.driver, physical.driver()) {
        return Err(Errno::EINVAL);
    }
    let pending = command.ctx.objects.reserve()?;
    let flags = driver_flags(command);
    let domain = physical.driver().alloc_nested(physical, &parent.domain, flags, &data(command))?;
    nested(command, pending, domain, Base::Parent(parent.hold()))
}

fn on_viommu(
    command: &mut Command<'_, uapi::HwptAlloc>,
    device: &DeviceCore,
    viommu: &Ref<Viommu>,
) -> Result<i64> {
    let physical = &device.physical;
    if !viommu.core.serves(physical) {
        return Err(Errno::EINVAL);
    }
    check_nested(command)?;
    let pending = command.ctx.objects.reserve()?;
    let flags = driver_flags(command);
    let domain = viommu.core.driver.alloc_nested(physical, flags, &data(command))?;
    nested(command, pending, domain, Base::Viommu(viommu.hold()))
}

fn nested(
    command: &mut Command<'_, uapi::HwptAlloc>,
    pending: Pending,
    domain: Arc<dyn NestedDomain>,
    base: Base,
) -> Result<i64> {
    let fault = fault(command)?;
    let id = pending.id();
    command.out_hwpt_id = id;
    command.respond()?;
    let pasids = command.flags.contains(HwptAllocFlags::PASID);
    pending.publish(Arc::new(HwptNested { id, domain, pasids, fault, base }));
    Ok(0)
}

fn fault(command: &Command<'_, uapi::HwptAlloc>) -> Result<Option<Hold<Fault>>> {
    if !command.flags.contains(HwptAllocFlags::FAULT_ID_VALID) {
        return Ok(None);
    }
    Ok(Some(command.ctx.objects.get::<Fault>(command.fault_id)?.hold()))
}
