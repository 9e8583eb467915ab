//! A group of the host: whose its DMA is, and what it goes through [kernel: struct iommu_group].
//!
//! All devices of a group are told the same, as the IOMMU cannot keep them apart. The group also
//! says where a page request or an event of one of them goes ([`Route`]).

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};

use super::{GroupId, PhysicalDevice};
use crate::driver::{Attachment, Pasid, ReservedKind, ReservedRegion};
use crate::errno::{Errno, Result};
use crate::fault::queue::FaultQueue;
use crate::fault_point::fault_point;
use crate::object::Objects;
use crate::sync::lock;
use crate::viommu::ViommuCore;

/// Where the faults and events of an attachment go [kernel: struct iommufd_attach_handle].
pub(crate) struct Route {
    /// The object id of the device that was attached first: the one page requests name.
    pub(crate) device: u32,
    /// Who answers page requests.
    pub(crate) fault: Option<Arc<FaultQueue>>,
    /// Goes through a user's stage 1.
    pub(crate) nested: bool,
    /// The virtual IOMMU that the stage 1 belongs to.
    pub(crate) viommu: Option<Arc<ViommuCore>>,
    /// The attachment is gone; changed and read with the fault queue locked.
    pub(crate) closed: AtomicBool,
}

struct Current {
    to: Attachment,
    route: Arc<Route>,
}

struct Owner {
    /// The owning context. Kept weakly, and never another's, as the allocation stays.
    context: Weak<Objects>,
    /// Bound devices.
    count: usize,
}

#[derive(Default)]
struct State {
    /// Devices hold their group, not the reverse.
    devices: Vec<Weak<PhysicalDevice>>,
    owner: Option<Owner>,
    current: BTreeMap<Option<Pasid>, Current>,
}

/// A group of the host.
pub(crate) struct HostGroup {
    id: GroupId,
    /// Its devices' DMA is physical while no context claims them.
    passthrough: bool,
    /// Held while drivers are told of a change.
    change: Mutex<()>,
    /// Never held over a call into a driver.
    state: Mutex<State>,
}

impl HostGroup {
    pub(super) fn new(id: GroupId, passthrough: bool) -> Self {
        Self { id, passthrough, change: Mutex::default(), state: Mutex::default() }
    }

    pub(super) fn id(&self) -> GroupId {
        self.id
    }

    /// Takes a device in and attaches it as the others are.
    ///
    /// # Errors
    /// `EINVAL` where firmware wants memory of the device mapped always, and the group is claimed; what the
    /// driver says.
    pub(super) fn join(&self, device: &Arc<PhysicalDevice>) -> Result<()> {
        let _change = lock(&self.change);
        if lock(&self.state).owner.is_some() && needs_direct(device) {
            return Err(Errno::EINVAL);
        }
        let mut current: Vec<(Option<Pasid>, Attachment)> = Vec::new();
        {
            let state = lock(&self.state);
            if state.owner.is_some() {
                if !state.current.contains_key(&None) {
                    current.push((None, Attachment::Blocked));
                }
                current.extend(state.current.iter().map(|(pasid, current)| (*pasid, current.to.clone())));
            }
        }
        let claimed = lock(&self.state).owner.is_some();
        if !claimed && !matches!(self.unclaimed(device), Attachment::Blocked) {
            self.unclaim(device);
        }
        for (pasid, to) in &current {
            device.driver().attach(device, *pasid, to)?;
        }
        lock(&self.state).devices.push(Arc::downgrade(device));
        Ok(())
    }

    /// Lets a device go.
    pub(super) fn leave(&self, device: &PhysicalDevice) {
        let _change = lock(&self.change);
        lock(&self.state).devices.retain(|member| !std::ptr::eq(member.as_ptr(), device));
    }

    /// Whether message interrupts of all its devices are isolated.
    pub(super) fn isolated_msi(&self) -> bool {
        self.devices().iter().all(|device| device.caps().isolated_msi)
    }

    fn devices(&self) -> Vec<Arc<PhysicalDevice>> {
        lock(&self.state).devices.iter().filter_map(Weak::upgrade).collect()
    }

    /// Makes the group's DMA the context's, once more. The first time, it is blocked.
    ///
    /// # Errors
    /// `EPERM` where it is another's, `EINVAL` where firmware wants memory of one of its devices mapped
    /// always, which no user's mappings do [kernel: require_direct]; what the driver says.
    pub(super) fn claim(&self, context: &Arc<Objects>) -> Result<()> {
        let _change = lock(&self.change);
        {
            let mut state = lock(&self.state);
            if let Some(owner) = &mut state.owner {
                if !std::ptr::eq(owner.context.as_ptr(), Arc::as_ptr(context)) {
                    return Err(Errno::EPERM);
                }
                owner.count += 1;
                return Ok(());
            }
        }
        fault_point(Errno::ENOMEM)?;
        let devices = self.devices();
        if devices.iter().any(|device| needs_direct(device)) {
            return Err(Errno::EINVAL);
        }
        if let Err(errno) = tell(&devices, None, &Attachment::Blocked, &Attachment::Blocked) {
            devices.iter().for_each(|device| self.unclaim(device));
            return Err(errno);
        }
        lock(&self.state).owner = Some(Owner { context: Arc::downgrade(context), count: 1 });
        Ok(())
    }

    /// Undoes one [`Self::claim`].
    pub(super) fn release(&self) {
        let _change = lock(&self.change);
        {
            let mut state = lock(&self.state);
            let Some(owner) = &mut state.owner else { return };
            owner.count -= 1;
            if owner.count > 0 {
                return;
            }
            state.owner = None;
        }
        for device in self.devices() {
            self.unclaim(&device);
        }
    }

    /// Leaves a device to the host. One that cannot have what the host wants stays blocked.
    fn unclaim(&self, device: &Arc<PhysicalDevice>) {
        if device.driver().attach(device, None, &self.unclaimed(device)).is_err() {
            let _ = device.driver().attach(device, None, &Attachment::Blocked);
        }
    }

    /// What a device goes through while no context claims it. What firmware wants mapped one to one is
    /// in use then.
    fn unclaimed(&self, device: &PhysicalDevice) -> Attachment {
        let wanted = device.driver().reserved(device);
        let direct = |region: &ReservedRegion| {
            matches!(region.kind, ReservedKind::Direct | ReservedKind::DirectRelaxable)
        };
        if self.passthrough || wanted.iter().any(direct) { Attachment::Identity } else { Attachment::Blocked }
    }

    /// Attaches all devices.
    ///
    /// # Errors
    /// `EBUSY` where something is attached, `EINVAL` for a PASID that a device does not have, what
    /// the driver says. Nothing is changed then.
    pub(super) fn attach(&self, pasid: Option<Pasid>, to: Attachment, route: Arc<Route>) -> Result<()> {
        let _change = lock(&self.change);
        fault_point(Errno::ENOMEM)?;
        if lock(&self.state).current.contains_key(&pasid) {
            return Err(Errno::EBUSY);
        }
        let devices = self.devices();
        check_pasid(&devices, pasid)?;
        // Who attaches has claimed the group, which blocked it.
        tell(&devices, pasid, &to, &Attachment::Blocked)?;
        // Not before: a page request must find nobody while the attachment may still fail.
        lock(&self.state).current.insert(pasid, Current { to, route });
        Ok(())
    }

    /// Moves all devices; gives the route that ended.
    ///
    /// # Errors
    /// As [`Self::attach`], and `EINVAL` where nothing is attached.
    pub(super) fn replace(
        &self,
        pasid: Option<Pasid>,
        to: Attachment,
        route: Arc<Route>,
    ) -> Result<Arc<Route>> {
        let _change = lock(&self.change);
        fault_point(Errno::ENOMEM)?;
        let before = {
            let state = lock(&self.state);
            state.current.get(&pasid).ok_or(Errno::EINVAL)?.to.clone()
        };
        let devices = self.devices();
        check_pasid(&devices, pasid)?;
        if !before.same(&to) {
            tell(&devices, pasid, &to, &before)?;
        }
        let old = lock(&self.state).current.insert(pasid, Current { to, route });
        old.map(|current| current.route).ok_or(Errno::EINVAL)
    }

    /// Blocks all devices, and ends the route.
    pub(super) fn detach(&self, pasid: Option<Pasid>) -> Option<Arc<Route>> {
        let _change = lock(&self.change);
        if !lock(&self.state).current.contains_key(&pasid) {
            return None;
        }
        let devices = self.devices();
        for device in &devices {
            // Blocking is what hardware can always do.
            let _ = device.driver().attach(device, pasid, &Attachment::Blocked);
        }
        let mut state = lock(&self.state);
        let ended = state.current.remove(&pasid)?.route;
        let answered = state.current.values().any(|current| current.route.fault.is_some());
        drop(state);
        if !answered {
            devices.iter().for_each(|device| device.drop_partial());
        }
        Some(ended)
    }

    /// Where a page request goes [kernel: find_fault_handler].
    pub(super) fn fault_route(&self, pasid: Option<Pasid>, user_pasid_table: bool) -> Option<Arc<Route>> {
        let state = lock(&self.state);
        if let Some(current) = state.current.get(&pasid) {
            return Some(Arc::clone(&current.route));
        }
        let device = state.current.get(&None)?;
        let whole = pasid.is_some() && user_pasid_table && device.route.nested;
        whole.then(|| Arc::clone(&device.route))
    }

    /// The virtual IOMMU its devices are attached through.
    pub(super) fn viommu(&self) -> Option<Arc<ViommuCore>> {
        lock(&self.state).current.get(&None)?.route.viommu.clone()
    }
}

/// Whether firmware wants memory mapped one to one for a device whatever else it is used for.
fn needs_direct(device: &PhysicalDevice) -> bool {
    device.driver().reserved(device).iter().any(|region| region.kind == ReservedKind::Direct)
}

/// Attaches `devices` one by one; on an error those that moved go back.
fn tell(
    devices: &[Arc<PhysicalDevice>],
    pasid: Option<Pasid>,
    to: &Attachment,
    back: &Attachment,
) -> Result<()> {
    for (moved, device) in devices.iter().enumerate() {
        if let Err(errno) = device.driver().attach(device, pasid, to) {
            for device in &devices[..moved] {
                if device.driver().attach(device, pasid, back).is_err() {
                    let _ = device.driver().attach(device, pasid, &Attachment::Blocked);
                }
            }
            return Err(errno);
        }
    }
    Ok(())
}

/// PASID 0 is the device itself; beyond, every device must have the PASID.
fn check_pasid(devices: &[Arc<PhysicalDevice>], pasid: Option<Pasid>) -> Result<()> {
    let Some(Pasid(number)) = pasid else { return Ok(()) };
    let fits = |device: &Arc<PhysicalDevice>| {
        let bits = u32::from(device.caps().pasid_bits);
        bits > 0 && number.checked_shr(bits).unwrap_or(0) == 0
    };
    if number == 0 || !devices.iter().all(fits) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}
