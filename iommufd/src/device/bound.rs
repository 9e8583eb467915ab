//! A device bound to a context: what a VFIO driver holds [kernel: iommufd_device_bind].

use std::sync::{Arc, Condvar, Mutex, Weak};

use devices::addr::{Iova, Pa};

use super::attach::{self, Change};
use super::group::Group;
use super::physical::{Binding, PhysicalDevice};
use crate::ctx::Ctx;
use crate::driver::{Pasid, ReservedRegion};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::io_pagetable::ReservedBy;
use crate::object::{Hold, Object};
use crate::sync::{lock, wait};
use crate::viommu::vdevice::{Vdevice, VdeviceCore};

#[derive(Default)]
struct State {
    /// What it is in a virtual IOMMU.
    vdevice: Option<Arc<VdeviceCore>>,
    /// It is being unbound: no vDEVICE any more.
    leaving: bool,
    /// Lives while it has claimed its group's DMA.
    binding: Option<Binding>,
}

/// A bound device, as everything but the table of objects knows it: who keeps one keeps no object.
pub(crate) struct DeviceCore {
    pub(crate) id: u32,
    pub(crate) physical: Arc<PhysicalDevice>,
    pub(super) group: Arc<Group>,
    state: Mutex<State>,
    /// Its vDEVICE is gone.
    alone: Condvar,
}

impl DeviceCore {
    pub(super) fn reserved_regions(&self) -> Vec<ReservedRegion> {
        self.physical.driver().reserved(&self.physical)
    }

    /// In whose name its reserved regions are reserved.
    pub(super) fn reserver(&self) -> ReservedBy {
        ReservedBy::Device(self.id)
    }

    /// Becomes the vDEVICE that `make` makes.
    ///
    /// # Errors
    /// `ENOENT` where it is being unbound, `EEXIST` where it is one already, what `make` says.
    pub(crate) fn virtualise(&self, make: impl FnOnce() -> Result<Arc<VdeviceCore>>) -> Result<()> {
        let mut state = lock(&self.state);
        if state.leaving {
            return Err(Errno::ENOENT);
        }
        if state.vdevice.is_some() {
            return Err(Errno::EEXIST);
        }
        state.vdevice = Some(make()?);
        Ok(())
    }

    /// Is `vdevice` no more, if it still is.
    pub(crate) fn devirtualise(&self, vdevice: &Arc<VdeviceCore>) {
        let mut state = lock(&self.state);
        if state.vdevice.as_ref().is_some_and(|own| Arc::ptr_eq(own, vdevice)) {
            vdevice.revoke();
            state.vdevice = None;
            self.alone.notify_all();
        }
    }

    /// Ends its vDEVICE, whose id is never used again, and lets none be made.
    fn leave(&self, ctx: Option<&Ctx>) {
        let mut state = lock(&self.state);
        state.leaving = true;
        let Some(own) = state.vdevice.clone() else { return };
        let Some(ctx) = ctx else {
            // The context is being torn down, by this thread: the object follows.
            own.revoke();
            state.vdevice = None;
            return;
        };
        match ctx.objects.find::<Vdevice>(own.id) {
            Some(vdevice) if vdevice.is(&own) => {
                let hold = vdevice.hold();
                drop(vdevice);
                drop(state);
                let _ = ctx.objects.destroy_held(ctx, hold, true);
            }
            other => {
                // A DESTROY has taken it from the table, and is about to come here.
                drop(other);
                while state.vdevice.is_some() {
                    state = wait(&self.alone, state);
                }
            }
        }
    }

    /// Gives the group's DMA back, once.
    fn disown(&self) {
        let binding = lock(&self.state).binding.take();
        if binding.is_some() {
            self.group.host().release();
        }
    }
}

/// The object.
pub(crate) struct Device {
    pub(crate) core: Arc<DeviceCore>,
}

impl Object for Device {
    fn destroy(&self, ctx: &Ctx) {
        self.core.leave(None);
        attach::detach_all(&self.core, Some(ctx));
        self.core.disown();
    }
}

/// The context of a binding.
enum Keep {
    /// It lives as long as the binding does.
    Alive(Arc<Ctx>),
    /// The binding belongs to an object of the context, and goes with it.
    Inside(Weak<Ctx>),
}

impl Keep {
    /// The context, unless it is being torn down.
    fn ctx(&self) -> Option<Arc<Ctx>> {
        match self {
            Self::Alive(ctx) => Some(Arc::clone(ctx)),
            Self::Inside(ctx) => ctx.upgrade(),
        }
    }
}

/// A binding of a device to a context: what a VFIO driver holds. Dropped, the device is unbound. It
/// keeps the context alive.
pub struct BoundDevice {
    ctx: Keep,
    core: Arc<DeviceCore>,
    hold: Option<Hold<Device>>,
}

impl BoundDevice {
    /// Binds: claims the group's DMA for the context.
    ///
    /// # Errors
    /// `EPERM` where the group's message interrupts are not isolated and that was not allowed, and
    /// where its DMA belongs to another; `ENODEV` where it was removed; `ENOMEM`, what the driver says.
    pub fn bind(ctx: &Arc<Ctx>, device: &Arc<PhysicalDevice>) -> Result<Self> {
        Self::bind_to(ctx, device, Keep::Alive(Arc::clone(ctx)))
    }

    /// As [`Self::bind`], for an object of the context to own: the binding does not keep the context.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn bind_inside(ctx: &Arc<Ctx>, device: &Arc<PhysicalDevice>) -> Result<Self> {
        Self::bind_to(ctx, device, Keep::Inside(Arc::downgrade(ctx)))
    }

    fn bind_to(ctx: &Arc<Ctx>, device: &Arc<PhysicalDevice>, keep: Keep) -> Result<Self> {
        fault_point(Errno::ENOMEM)?;
        let group = ctx.groups.get(device.host_group());
        if !ctx.host.options.allow_unsafe_interrupts && !group.host().isolated_msi() {
            return Err(Errno::EPERM);
        }
        let binding = device.bind()?;
        group.host().claim(&ctx.objects)?;
        let pending = match ctx.objects.reserve() {
            Ok(pending) => pending,
            Err(errno) => {
                group.host().release();
                return Err(errno);
            }
        };
        let core = Arc::new(DeviceCore {
            id: pending.id(),
            physical: Arc::clone(device),
            group,
            state: Mutex::new(State { binding: Some(binding), ..State::default() }),
            alone: Condvar::new(),
        });
        let hold = pending.publish_held(Arc::new(Device { core: Arc::clone(&core) }));
        Ok(Self { ctx: keep, core, hold: Some(hold) })
    }

    /// Its object id.
    pub fn id(&self) -> u32 {
        self.core.id
    }

    /// The device.
    pub fn physical(&self) -> &Arc<PhysicalDevice> {
        &self.core.physical
    }

    /// Attaches the device, or one PASID of it, to an IOAS or HWPT; gives the HWPT's id.
    ///
    /// # Errors
    /// `ENOENT` for an id that is none, `EBUSY` where it is attached, `EINVAL` where the HWPT does
    /// not fit (the device, its group's, its PASIDs), `EADDRINUSE` where what is mapped is reserved
    /// for the device, and what filling a new domain says.
    pub fn attach(&self, pasid: Option<Pasid>, pt_id: u32) -> Result<u32> {
        attach::change(&self.ctx()?, &self.core, pasid, pt_id, Change::Attach)
    }

    /// Moves it; gives the HWPT's id.
    ///
    /// # Errors
    /// As [`Self::attach`], with `EINVAL` where it is not attached; the old attachment stays then.
    pub fn replace(&self, pasid: Option<Pasid>, pt_id: u32) -> Result<u32> {
        attach::change(&self.ctx()?, &self.core, pasid, pt_id, Change::Replace)
    }

    /// Detaches; nothing to do is well.
    pub fn detach(&self, pasid: Option<Pasid>) {
        attach::detach(&self.core, pasid, self.ctx.ctx().as_deref());
    }

    /// The HWPT it is attached to.
    pub fn attached(&self, pasid: Option<Pasid>) -> Option<u32> {
        self.core.group.attached(&self.core, pasid)
    }

    /// Where the device must write so that the write reaches the message doorbell at `doorbell`; it
    /// is mapped there for all that the group is attached to, now and later. `None` where the IOMMU
    /// does not translate messages, or where nothing is attached [kernel: iommufd_sw_msi].
    ///
    /// # Errors
    /// `EOVERFLOW` past 64 doorbell pages in a context, what mapping says.
    pub fn map_message_doorbell(&self, doorbell: Pa) -> Result<Option<Iova>> {
        self.core.group.map_doorbell(doorbell)
    }

    /// Unbinds, as dropping it does, from within the destruction of an object of the context: also
    /// when that is torn down.
    pub(crate) fn unbind(mut self, ctx: &Ctx) {
        self.finish(Some(ctx));
    }

    /// Whether nobody, this thread included, holds the group's lock or that of the domains of `ioas`.
    #[cfg(test)]
    pub(crate) fn locks_are_free(&self, ctx: &Arc<Ctx>, ioas: u32) -> bool {
        let ioas = ctx.objects.find::<crate::ioas::Ioas>(ioas);
        ioas.is_some_and(|ioas| ioas.hwpts.try_lock().is_ok()) && self.core.group.is_free()
    }

    fn ctx(&self) -> Result<Arc<Ctx>> {
        self.ctx.ctx().ok_or(Errno::ENODEV)
    }

    fn finish(&mut self, ctx: Option<&Ctx>) {
        let Some(hold) = self.hold.take() else { return };
        self.core.leave(ctx);
        attach::detach_all(&self.core, ctx);
        match ctx {
            // Nothing but this holds a device.
            Some(ctx) => {
                let _ = ctx.objects.destroy_held(ctx, hold, false);
            }
            None => {
                drop(hold);
                self.core.disown();
            }
        }
    }
}

impl Drop for BoundDevice {
    fn drop(&mut self) {
        let ctx = self.ctx.ctx();
        self.finish(ctx.as_deref());
    }
}
