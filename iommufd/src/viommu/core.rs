//! What a virtual IOMMU knows of the objects that stand on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::veventq::EventQueue;
use crate::device::{DeviceId, PhysicalDevice};
use crate::driver::{self, IommuDriver};
use crate::errno::{Errno, Result};
use crate::sync::lock;

/// A virtual IOMMU, as everything but the table of objects knows it: who keeps one keeps no object.
pub(crate) struct ViommuCore {
    pub(crate) driver: Arc<dyn driver::Viommu>,
    host: Arc<dyn IommuDriver>,
    unit: u32,
    /// Its devices, by the guest's number.
    pub(super) vdevices: Mutex<BTreeMap<u64, DeviceId>>,
    /// Its event queues, by type.
    pub(super) events: Mutex<BTreeMap<u32, Arc<EventQueue>>>,
    /// Object ids of its hardware queues, by type and index; locked while one is made or ends.
    pub(super) queues: Mutex<BTreeMap<(u32, u32), u32>>,
}

impl ViommuCore {
    pub(super) fn new(host: Arc<dyn IommuDriver>, unit: u32, driver: Arc<dyn driver::Viommu>) -> Self {
        Self {
            driver,
            host,
            unit,
            vdevices: Mutex::default(),
            events: Mutex::default(),
            queues: Mutex::default(),
        }
    }

    /// Whether `device` is behind the physical IOMMU that this is a part of.
    pub(crate) fn serves(&self, device: &PhysicalDevice) -> bool {
        device.same_unit(&self.host, self.unit)
    }

    /// The guest's number of `device`.
    pub(crate) fn virtual_id(&self, device: DeviceId) -> Option<u64> {
        let vdevices = lock(&self.vdevices);
        vdevices.iter().find(|(_, known)| **known == device).map(|(number, _)| *number)
    }

    /// Queues an event.
    ///
    /// # Errors
    /// `EINVAL` for one without data, `EOPNOTSUPP` without a queue of the type.
    pub(crate) fn report_event(&self, kind: u32, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Err(Errno::EINVAL);
        }
        let queue = lock(&self.events).get(&kind).cloned().ok_or(Errno::EOPNOTSUPP)?;
        queue.report(data);
        Ok(())
    }
}
