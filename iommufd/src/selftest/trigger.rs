//! Operations that make a device report something.

use zerocopy::IntoBytes;

use crate::ctx::Command;
use crate::driver::{PageRequest, Pasid};
use crate::errno::{Errno, Result};
use crate::uapi::test::{TestCmd, TriggerIopf, TriggerVevent, VEVENTQ_TYPE_SELFTEST, ViommuEventSelftest};

/// A page request, the only one of its group. What becomes of it the caller does not learn.
pub(super) fn page_request(command: &Command<'_, TestCmd>) -> Result<i64> {
    let TriggerIopf { dev_id, pasid, grpid, perm, addr } = command.get();
    let device = super::device::bound(command, dev_id)?;
    let pasid = (pasid != 0).then_some(Pasid(pasid));
    let request = PageRequest { pasid, group: grpid, last: true, permissions: perm, address: addr };
    if let Some(events) = super::driver(command)?.events() {
        events.page_request(device.id(), request);
    }
    Ok(0)
}

/// An event for the guest that knows the device by a number other than 0.
pub(super) fn event(command: &Command<'_, TestCmd>) -> Result<i64> {
    let TriggerVevent { dev_id } = command.get();
    let device = super::device::bound(command, dev_id)?;
    let driver = super::driver(command)?;
    let mock = driver.device(&device).ok_or(Errno::ENOENT)?;
    let number = mock.virtual_id().filter(|number| *number != 0).ok_or(Errno::ENOENT)?;
    // The event has room for 32 bits of the number, as the kernel's.
    let event = ViommuEventSelftest { virt_id: number as u32 };
    let events = driver.events().ok_or(Errno::ENOENT)?;
    events.viommu_event(device.id(), VEVENTQ_TYPE_SELFTEST, event.as_bytes())?;
    Ok(0)
}
