//! A group within one context: what its devices are attached to [kernel: struct iommufd_group].
//!
//! The hardware is attached with the first device of the group, to all of them; the others only join
//! in, and must name the same HWPT. What each reserves of the address space comes with it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};

use devices::addr::{Iova, Pa};

use super::GroupId;
use super::bound::DeviceCore;
use super::host_group::{HostGroup, Route};
use super::msi::{Doorbells, MsiPages};
use crate::ctx::Ctx;
use crate::driver::Pasid;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::hwpt::paging::HwptPaging;
use crate::hwpt::{Candidate, Hwpt, HwptHold};
use crate::sync::lock;

/// The groups a context has devices of.
#[derive(Default)]
pub(crate) struct Groups {
    groups: Mutex<BTreeMap<GroupId, Weak<Group>>>,
    msi: Arc<MsiPages>,
}

impl Groups {
    pub(super) fn get(&self, host: &Arc<HostGroup>) -> Arc<Group> {
        let mut groups = lock(&self.groups);
        groups.retain(|_, group| group.strong_count() > 0);
        if let Some(group) = groups.get(&host.id()).and_then(Weak::upgrade) {
            return group;
        }
        let group =
            Arc::new(Group { host: Arc::clone(host), msi: Arc::clone(&self.msi), state: Mutex::default() });
        groups.insert(host.id(), Arc::downgrade(&group));
        group
    }
}

struct Member {
    device: Arc<DeviceCore>,
    hold: HwptHold,
}

/// What one PASID of the group, or the devices themselves, are attached to.
struct Attached {
    hwpt: u32,
    /// By object id; never empty.
    members: BTreeMap<u32, Member>,
}

impl Attached {
    fn hwpt(&self) -> Option<&dyn Hwpt> {
        self.members.values().next().map(|member| member.hold.hwpt())
    }
}

#[derive(Default)]
struct State {
    attached: BTreeMap<Option<Pasid>, Attached>,
    /// Where the IOMMU wants its message doorbells mapped.
    msi_window: Option<Iova>,
    doorbells: Doorbells,
}

/// What is to be let go of once no lock is held: drivers are told, and objects may be destroyed.
#[derive(Default)]
pub(super) struct Ended {
    /// Attachments that ended: what came by them is to be refused.
    routes: Vec<Arc<Route>>,
    /// What held their HWPTs.
    holds: Vec<HwptHold>,
}

impl Ended {
    /// Lets go. A HWPT that was made for what was attached to it goes with the last to leave it.
    pub(super) fn finish(self, ctx: Option<&Ctx>) {
        for route in self.routes {
            if let Some(queue) = &route.fault {
                queue.close(&route);
            }
        }
        self.holds.into_iter().for_each(|hold| hold.release(ctx));
    }
}

/// A group within a context.
pub(crate) struct Group {
    host: Arc<HostGroup>,
    msi: Arc<MsiPages>,
    state: Mutex<State>,
}

impl Group {
    pub(super) fn host(&self) -> &Arc<HostGroup> {
        &self.host
    }

    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.state.try_lock().is_ok()
    }

    pub(super) fn attached(&self, device: &DeviceCore, pasid: Option<Pasid>) -> Option<u32> {
        let state = lock(&self.state);
        let attached = state.attached.get(&pasid)?;
        attached.members.contains_key(&device.id).then_some(attached.hwpt)
    }

    /// Attaches `device`. What ends where that fails is added to `ended`.
    ///
    /// # Errors
    /// As [`super::BoundDevice::attach`]; nothing is changed then.
    pub(super) fn attach(
        &self,
        device: &Arc<DeviceCore>,
        pasid: Option<Pasid>,
        mut candidate: impl Candidate,
        ended: &mut Ended,
    ) -> Result<()> {
        let mut state = lock(&self.state);
        fault_point(Errno::ENOMEM)?;
        let first = match state.attached.get(&pasid) {
            None => true,
            Some(attached) if attached.members.contains_key(&device.id) => return Err(Errno::EBUSY),
            Some(attached) if attached.hwpt != candidate.hwpt().id() => return Err(Errno::EINVAL),
            Some(_) => false,
        };
        if pasid.is_none() {
            self.reserve(&mut state, device, candidate.hwpt().paging(), first)?;
        }
        let connected = if first { self.connect(&state, device, pasid, candidate.hwpt()) } else { Ok(()) };
        let filled = connected.and_then(|()| {
            candidate.fill().inspect_err(|_| {
                if first {
                    ended.routes.extend(self.host.detach(pasid));
                }
            })
        });
        if let Err(errno) = filled {
            if pasid.is_none() {
                unreserve(device, candidate.hwpt().paging());
            }
            return Err(errno);
        }
        let hwpt = candidate.hwpt().id();
        let attached =
            state.attached.entry(pasid).or_insert_with(|| Attached { hwpt, members: BTreeMap::new() });
        attached.members.insert(device.id, Member { device: Arc::clone(device), hold: candidate.hold() });
        Ok(())
    }

    /// Moves the group. What ends is added to `ended`.
    ///
    /// # Errors
    /// As [`super::BoundDevice::replace`]; nothing is changed then.
    pub(super) fn replace(
        &self,
        device: &DeviceCore,
        pasid: Option<Pasid>,
        candidate: impl Candidate,
        ended: &mut Ended,
    ) -> Result<()> {
        let mut state = lock(&self.state);
        let new = candidate.hwpt();
        let attached = state.attached.get(&pasid).ok_or(Errno::EINVAL)?;
        let Some(old) = attached.hwpt().filter(|_| attached.members.contains_key(&device.id)) else {
            return Err(Errno::EINVAL);
        };
        if old.id() == new.id() {
            return Ok(());
        }
        let moves = pasid.is_none() && old.paging().ioas.id() != new.paging().ioas.id();
        let members: Vec<_> = attached.members.values().map(|member| Arc::clone(&member.device)).collect();
        if moves {
            reserve_all(&members, new.paging())?;
        }
        let doorbells =
            if pasid.is_none() { self.msi.install(state.doorbells, new.paging()) } else { Ok(()) };
        let replaced = doorbells.and_then(|()| {
            compatible(&state, pasid, new)?;
            self.host.replace(pasid, new.attachment(), Arc::new(route(device, new)))
        });
        match replaced {
            Ok(route) => ended.routes.push(route),
            Err(errno) => {
                if moves {
                    members.iter().for_each(|member| unreserve(member, new.paging()));
                }
                return Err(errno);
            }
        }
        if moves {
            members.iter().for_each(|member| unreserve(member, old.paging()));
        }
        let id = new.id();
        let hold = candidate.hold();
        let Some(attached) = state.attached.get_mut(&pasid) else { return Ok(()) };
        attached.hwpt = id;
        let members = attached.members.values_mut();
        ended.holds.extend(members.map(|member| std::mem::replace(&mut member.hold, hold.clone())));
        Ok(())
    }

    /// Detaches `device`, where it is attached; gives what ended.
    pub(super) fn detach(&self, device: &DeviceCore, pasid: Option<Pasid>) -> Ended {
        let mut ended = Ended::default();
        let mut state = lock(&self.state);
        let Some(attached) = state.attached.get_mut(&pasid) else { return ended };
        let Some(member) = attached.members.remove(&device.id) else { return ended };
        if attached.members.is_empty() {
            ended.routes.extend(self.host.detach(pasid));
            state.attached.remove(&pasid);
        }
        if pasid.is_none() {
            unreserve(device, member.hold.hwpt().paging());
        }
        ended.holds.push(member.hold);
        ended
    }

    /// Everything `device` is attached with, PASIDs first.
    pub(super) fn pasids(&self, device: &DeviceCore) -> Vec<Option<Pasid>> {
        let state = lock(&self.state);
        let attached = state.attached.iter().rev();
        let own = attached.filter(|(_, attached)| attached.members.contains_key(&device.id));
        own.map(|(pasid, _)| *pasid).collect()
    }

    pub(super) fn map_doorbell(&self, doorbell: Pa) -> Result<Option<Iova>> {
        let mut state = lock(&self.state);
        let Some(window) = state.msi_window else { return Ok(None) };
        let Some(hwpt) = state.attached.get(&None).and_then(Attached::hwpt) else { return Ok(None) };
        let (bit, iova) = self.msi.page(window, doorbell)?;
        self.msi.install(bit, hwpt.paging())?;
        state.doorbells |= bit;
        Ok(Some(iova))
    }

    fn reserve(
        &self,
        state: &mut State,
        device: &DeviceCore,
        paging: &HwptPaging,
        first: bool,
    ) -> Result<()> {
        let regions = device.reserved_regions();
        let window = paging.ioas.table.reserve_regions(device.reserver(), &regions)?;
        state.msi_window = window.or(state.msi_window);
        if first && let Err(errno) = self.msi.install(state.doorbells, paging) {
            unreserve(device, paging);
            return Err(errno);
        }
        Ok(())
    }

    fn connect(
        &self,
        state: &State,
        device: &DeviceCore,
        pasid: Option<Pasid>,
        hwpt: &dyn Hwpt,
    ) -> Result<()> {
        compatible(state, pasid, hwpt)?;
        self.host.attach(pasid, hwpt.attachment(), Arc::new(route(device, hwpt)))
    }
}

/// A table of PASIDs hangs off what the device itself is attached to, so both must be of a kind that
/// goes with PASIDs [uapi IOMMU_HWPT_ALLOC_PASID].
fn compatible(state: &State, pasid: Option<Pasid>, hwpt: &dyn Hwpt) -> Result<()> {
    let fits = match pasid {
        None => hwpt.takes_pasids() || !state.attached.keys().any(Option::is_some),
        Some(_) => {
            let device = state.attached.get(&None).and_then(Attached::hwpt);
            hwpt.takes_pasids() && device.is_none_or(Hwpt::takes_pasids)
        }
    };
    if fits { Ok(()) } else { Err(Errno::EINVAL) }
}

fn route(device: &DeviceCore, hwpt: &dyn Hwpt) -> Route {
    Route {
        device: device.id,
        fault: hwpt.fault().cloned(),
        nested: hwpt.nested(),
        viommu: hwpt.viommu().cloned(),
        closed: AtomicBool::new(false),
    }
}

fn reserve_all(members: &[Arc<DeviceCore>], paging: &HwptPaging) -> Result<()> {
    for (done, member) in members.iter().enumerate() {
        let reserved = paging.ioas.table.reserve_regions(member.reserver(), &member.reserved_regions());
        if let Err(errno) = reserved {
            members[..done].iter().for_each(|member| unreserve(member, paging));
            return Err(errno);
        }
    }
    Ok(())
}

fn unreserve(device: &DeviceCore, paging: &HwptPaging) {
    paging.ioas.table.release_reserved(device.reserver());
}
