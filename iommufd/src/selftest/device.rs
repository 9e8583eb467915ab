//! Mock devices: made, bound and attached by one operation, moved by others.

use std::sync::{Arc, Mutex};

use bitflags::Flags;

use crate::ctx::{Command, Ctx};
use crate::device::{BoundDevice, Device, PhysicalDevice};
use crate::driver::{IommuDriver, Pasid};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::host::Host;
use crate::hwpt::HwptRef;
use crate::object::Object;
use crate::sync::lock;
use crate::uapi::test::{
    MockDeviceFlags, MockDomain, MockDomainReplace, PasidAttach, PasidCheck, PasidDetach, PasidReplace,
    TestCmd,
};

/// A mock device that this context made, bound to it. It goes with the object.
struct MockBinding {
    /// Until the object is destroyed.
    bound: Mutex<Option<Arc<BoundDevice>>>,
    _device: HostDevice,
}

impl MockBinding {
    fn bound(&self) -> Result<Arc<BoundDevice>> {
        lock(&self.bound).clone().ok_or(Errno::ENOENT)
    }
}

impl Object for MockBinding {
    fn destroy(&self, ctx: &Ctx) {
        // No call uses the object any more, and so nothing else the binding.
        let bound = lock(&self.bound).take();
        if let Some(bound) = bound.and_then(Arc::into_inner) {
            bound.unbind(ctx);
        }
    }
}

/// A mock device in the host, for as long as this lives.
struct HostDevice {
    host: Arc<Host>,
    device: Arc<PhysicalDevice>,
    number: u32,
}

impl HostDevice {
    fn new(host: &Arc<Host>, flags: MockDeviceFlags) -> Result<Self> {
        if flags.contains_unknown_bits() {
            return Err(Errno::EINVAL);
        }
        let selftest = host.selftest.as_ref().ok_or(Errno::ENOTTY)?;
        fault_point(Errno::ENOMEM)?;
        let number = selftest.take_number()?;
        let name = format!("iommufd_mock{number}");
        selftest.driver.announce(&name, flags);
        let driver: Arc<dyn IommuDriver> = selftest.driver.clone();
        match host.devices.add(&name, &driver, None) {
            Ok(device) => Ok(Self { host: Arc::clone(host), device, number }),
            Err(errno) => {
                selftest.driver.retract(&name);
                selftest.free_number(number);
                Err(errno)
            }
        }
    }
}

impl Drop for HostDevice {
    fn drop(&mut self) {
        let removed = self.host.devices.remove(&self.device);
        debug_assert_eq!(removed, Ok(()), "the binding went before");
        if let Some(selftest) = &self.host.selftest {
            selftest.free_number(self.number);
        }
    }
}

/// Makes a device, binds it and attaches it.
pub(super) fn add(command: &mut Command<'_, TestCmd>, flags: MockDeviceFlags) -> Result<i64> {
    let pending = command.ctx.objects.reserve()?;
    let device = HostDevice::new(&command.ctx.host, flags)?;
    let bound = BoundDevice::bind_inside(command.ctx, &device.device)?;
    let out_hwpt_id = bound.attach(None, command.id)?;
    let answer = MockDomain { out_stdev_id: pending.id(), out_hwpt_id, out_idev_id: bound.id() };
    command.set(&answer);
    command.respond()?;
    pending.publish(Arc::new(MockBinding { bound: Mutex::new(Some(Arc::new(bound))), _device: device }));
    Ok(0)
}

/// Moves a device. What could not be told has happened all the same.
pub(super) fn replace(command: &mut Command<'_, TestCmd>) -> Result<i64> {
    let binding = command.ctx.objects.get::<MockBinding>(command.id)?;
    let MockDomainReplace { pt_id } = command.get();
    let pt_id = binding.bound()?.replace(None, pt_id)?;
    command.set(&MockDomainReplace { pt_id });
    command.respond()?;
    Ok(0)
}

/// PASID 0 is the device itself.
fn address_space(pasid: u32) -> Option<Pasid> {
    (pasid != 0).then_some(Pasid(pasid))
}

pub(super) fn attach_pasid(command: &mut Command<'_, TestCmd>) -> Result<i64> {
    let binding = command.ctx.objects.get::<MockBinding>(command.id)?;
    let PasidAttach { pasid, pt_id } = command.get();
    let bound = binding.bound()?;
    let pt_id = bound.attach(address_space(pasid), pt_id)?;
    command.set(&PasidAttach { pasid, pt_id });
    command.respond().inspect_err(|_| bound.detach(address_space(pasid)))?;
    Ok(0)
}

/// Moves a PASID. What could not be told has happened all the same.
pub(super) fn replace_pasid(command: &mut Command<'_, TestCmd>) -> Result<i64> {
    let binding = command.ctx.objects.get::<MockBinding>(command.id)?;
    let PasidReplace { pasid, pt_id } = command.get();
    let pt_id = binding.bound()?.replace(address_space(pasid), pt_id)?;
    command.set(&PasidReplace { pasid, pt_id });
    command.respond()?;
    Ok(0)
}

pub(super) fn detach_pasid(command: &Command<'_, TestCmd>) -> Result<i64> {
    let binding = command.ctx.objects.get::<MockBinding>(command.id)?;
    let PasidDetach { pasid } = command.get();
    binding.bound()?.detach(address_space(pasid));
    Ok(0)
}

/// Whether a PASID is attached to a HWPT, or to none.
pub(super) fn check_pasid(command: &Command<'_, TestCmd>) -> Result<i64> {
    let binding = command.ctx.objects.get::<MockBinding>(command.id)?;
    let PasidCheck { pasid, hwpt_id } = command.get();
    let attached = binding.bound()?.attached(address_space(pasid));
    if hwpt_id != 0 {
        HwptRef::downcast(command.ctx.objects.get_any(hwpt_id)?).map_err(|_| Errno::EINVAL)?;
    }
    if attached == (hwpt_id != 0).then_some(hwpt_id) { Ok(0) } else { Err(Errno::EINVAL) }
}

/// The device bound to the context as `id`.
///
/// # Errors
/// `ENOENT`.
pub(super) fn bound(command: &Command<'_, TestCmd>, id: u32) -> Result<Arc<PhysicalDevice>> {
    Ok(Arc::clone(&command.ctx.objects.get::<Device>(id)?.core.physical))
}
