//! vDEVICEs: devices as a guest knows them [uapi iommu_vdevice_alloc].

use std::sync::Arc;

use super::{Viommu, ViommuCore};
use crate::ctx::{Command, Ctx};
use crate::device::{Device, DeviceCore, DeviceId};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::object::{Hold, Object};
use crate::sync::lock;
use crate::uapi;

/// A vDEVICE, as its device knows it: who keeps one keeps no object.
pub(crate) struct VdeviceCore {
    pub(crate) id: u32,
    number: u64,
    viommu: Arc<ViommuCore>,
}

impl VdeviceCore {
    /// Takes it from the virtual IOMMU, once.
    pub(crate) fn revoke(&self) {
        self.viommu.driver.remove_device(self.number);
        lock(&self.viommu.vdevices).remove(&self.number);
    }
}

/// The object. The device goes when it wants to, and takes the vDEVICE with it.
pub(crate) struct Vdevice {
    core: Arc<VdeviceCore>,
    device: Arc<DeviceCore>,
    _viommu: Hold<Viommu>,
}

impl Vdevice {
    /// Whether it is the object of `core`.
    pub(crate) fn is(&self, core: &Arc<VdeviceCore>) -> bool {
        Arc::ptr_eq(&self.core, core)
    }
}

impl Object for Vdevice {
    fn destroy(&self, _ctx: &Ctx) {
        self.device.devirtualise(&self.core);
    }
}

/// A number taken in a virtual IOMMU; given back unless kept.
struct Number<'a> {
    viommu: &'a ViommuCore,
    number: u64,
    /// The driver knows it.
    known: bool,
    kept: bool,
}

impl<'a> Number<'a> {
    fn take(viommu: &'a ViommuCore, number: u64, device: DeviceId) -> Result<Self> {
        fault_point(Errno::ENOMEM)?;
        let mut vdevices = lock(&viommu.vdevices);
        if vdevices.contains_key(&number) {
            return Err(Errno::EEXIST);
        }
        vdevices.insert(number, device);
        Ok(Self { viommu, number, known: false, kept: false })
    }
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if self.known {
            self.viommu.driver.remove_device(self.number);
        }
        lock(&self.viommu.vdevices).remove(&self.number);
    }
}

pub(crate) fn alloc(command: &mut Command<'_, uapi::VdeviceAlloc>) -> Result<i64> {
    let objects = &command.ctx.objects;
    let viommu = objects.get::<Viommu>(command.viommu_id)?;
    let device = objects.get::<Device>(command.dev_id)?;
    let device = &device.core;
    let physical = &device.physical;
    if !viommu.core.serves(physical) {
        return Err(Errno::EINVAL);
    }
    device.virtualise(|| {
        let pending = objects.reserve()?;
        let mut number = Number::take(&viommu.core, command.virt_id, physical.id())?;
        viommu.core.driver.add_device(physical, command.virt_id)?;
        number.known = true;
        command.out_vdevice_id = pending.id();
        command.respond()?;
        number.kept = true;
        let core = Arc::new(VdeviceCore {
            id: pending.id(),
            number: command.virt_id,
            viommu: Arc::clone(&viommu.core),
        });
        pending.publish(Arc::new(Vdevice {
            core: Arc::clone(&core),
            device: Arc::clone(device),
            _viommu: viommu.hold(),
        }));
        Ok(core)
    })?;
    Ok(0)
}
