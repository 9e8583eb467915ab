//! The devices of a host, by group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::host_group::HostGroup;
use super::log::FaultLog;
use super::{DeviceId, GroupId};
use crate::driver::{DeviceCaps, IommuDriver, PageRequest};
use crate::errno::{Errno, Result};
use crate::sync::lock;

/// Page requests of one device that wait for the last of their group.
///
/// DEVIATION: the kernel keeps as many as it has memory for. The page request interface lets a device
/// have no more outstanding than the system allows it; here, what is beyond is lost without a word, and
/// its group answered without it.
const PARTIAL_REQUESTS: usize = 1024;

/// A device of the host.
pub struct PhysicalDevice {
    id: DeviceId,
    name: String,
    group: Arc<HostGroup>,
    driver: Arc<dyn IommuDriver>,
    caps: OnceLock<DeviceCaps>,
    partial: Mutex<Vec<PageRequest>>,
    /// How many bind it; `None` once it was removed.
    bindings: Mutex<Option<usize>>,
}

/// Keeps a device from being removed.
pub(super) struct Binding {
    device: Arc<PhysicalDevice>,
}

impl Drop for Binding {
    fn drop(&mut self) {
        if let Some(count) = &mut *lock(&self.device.bindings) {
            *count -= 1;
        }
    }
}

impl PhysicalDevice {
    /// Its identity.
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// Its name in the host: `0000:00:04.0`, `iommufd_mock0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its group.
    pub fn group(&self) -> GroupId {
        self.group.id()
    }

    /// The driver of the IOMMU it is behind.
    pub fn driver(&self) -> &Arc<dyn IommuDriver> {
        &self.driver
    }

    /// What its driver can do for it; nothing while the driver still probes it.
    pub fn caps(&self) -> DeviceCaps {
        self.caps.get().copied().unwrap_or_default()
    }

    /// Is bound once more.
    ///
    /// # Errors
    /// `ENODEV` where it was removed.
    pub(super) fn bind(self: &Arc<Self>) -> Result<Binding> {
        *lock(&self.bindings).as_mut().ok_or(Errno::ENODEV)? += 1;
        Ok(Binding { device: Arc::clone(self) })
    }

    /// Cannot be bound any more.
    fn retire(&self) -> Result<()> {
        let mut bindings = lock(&self.bindings);
        match *bindings {
            None => Err(Errno::ENODEV),
            Some(0) => {
                *bindings = None;
                Ok(())
            }
            Some(_) => Err(Errno::EBUSY),
        }
    }

    pub(crate) fn host_group(&self) -> &Arc<HostGroup> {
        &self.group
    }

    /// Whether both are behind the same unit of the same driver.
    pub(crate) fn same_unit(&self, driver: &Arc<dyn IommuDriver>, unit: u32) -> bool {
        Arc::ptr_eq(&self.driver, driver) && self.driver.unit(self) == unit
    }

    /// Keeps a request until the last of its group comes.
    pub(super) fn keep_partial(&self, request: PageRequest) {
        let mut partial = lock(&self.partial);
        if partial.len() < PARTIAL_REQUESTS {
            partial.push(request);
        }
    }

    /// The requests of a group, `last` after those that came before it.
    pub(super) fn complete(&self, last: PageRequest) -> Vec<PageRequest> {
        let mut requests = Vec::new();
        lock(&self.partial).retain(|request| {
            let same = request.group == last.group;
            if same {
                requests.push(*request);
            }
            !same
        });
        requests.push(last);
        requests
    }

    /// Forgets requests whose last will not come.
    pub(super) fn drop_partial(&self) {
        lock(&self.partial).clear();
    }
}

struct Registry {
    /// DMA of devices that no context claimed is physical.
    passthrough: bool,
    devices: BTreeMap<DeviceId, Arc<PhysicalDevice>>,
    groups: BTreeMap<GroupId, Weak<HostGroup>>,
    next: u32,
}

impl Registry {
    fn group(&mut self, id: Option<GroupId>) -> Arc<HostGroup> {
        self.groups.retain(|_, group| group.strong_count() > 0);
        let id = id.unwrap_or_else(|| {
            let free = (0..).find(|id| !self.groups.contains_key(&GroupId(*id)));
            // There are fewer groups than numbers, as each has a device.
            GroupId(free.unwrap_or(u32::MAX))
        });
        if let Some(group) = self.groups.get(&id).and_then(Weak::upgrade) {
            return group;
        }
        let group = Arc::new(HostGroup::new(id, self.passthrough));
        self.groups.insert(id, Arc::downgrade(&group));
        group
    }
}

/// All devices of a host, with their groups' owners and what each is attached to.
pub struct PhysicalDevices {
    registry: Mutex<Registry>,
    pub(super) faults: Mutex<FaultLog>,
}

impl PhysicalDevices {
    /// No devices yet. Those no context claimed are given physical addresses where `passthrough` says
    /// so, else nothing.
    pub(crate) fn new(passthrough: bool) -> Self {
        let registry = Registry { passthrough, devices: BTreeMap::new(), groups: BTreeMap::new(), next: 0 };
        Self { registry: Mutex::new(registry), faults: Mutex::default() }
    }

    pub(crate) fn add(
        &self,
        name: &str,
        driver: &Arc<dyn IommuDriver>,
        group: Option<GroupId>,
    ) -> Result<Arc<PhysicalDevice>> {
        let mut registry = lock(&self.registry);
        let id = DeviceId(registry.next);
        registry.next = registry.next.checked_add(1).ok_or(Errno::ENOMEM)?;
        let group = registry.group(group);
        drop(registry);
        let device = Arc::new(PhysicalDevice {
            id,
            name: name.to_owned(),
            group,
            driver: Arc::clone(driver),
            caps: OnceLock::new(),
            partial: Mutex::default(),
            bindings: Mutex::new(Some(0)),
        });
        let caps = driver.probe(&device)?;
        device.caps.get_or_init(|| caps);
        if let Err(errno) = device.group.join(&device) {
            driver.release(&device);
            return Err(errno);
        }
        lock(&self.registry).devices.insert(id, Arc::clone(&device));
        Ok(device)
    }

    /// Takes a device away.
    ///
    /// # Errors
    /// As [`crate::Host::remove_device`].
    pub(crate) fn remove(&self, device: &Arc<PhysicalDevice>) -> Result<()> {
        let mut registry = lock(&self.registry);
        if !registry.devices.get(&device.id).is_some_and(|own| Arc::ptr_eq(own, device)) {
            return Err(Errno::ENODEV);
        }
        device.retire()?;
        registry.devices.remove(&device.id);
        drop(registry);
        device.group.leave(device);
        device.driver.release(device);
        Ok(())
    }

    pub(super) fn get(&self, id: DeviceId) -> Option<Arc<PhysicalDevice>> {
        lock(&self.registry).devices.get(&id).cloned()
    }
}
