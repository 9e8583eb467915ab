//! An IOMMU that only the kernel's self-tests know [kernel: selftest.c].
//!
//! Nothing masters a bus here: domains, caches and queues are what the operations of
//! [`crate::selftest`] compare with. What it has to be exact in is what it refuses, and when.
//!
//! Absent: registers, page tables in memory, DMA; an answer to page requests, for no one waits for it.

mod device;
mod domain;
mod leaves;
mod nested;
mod viommu;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use zerocopy::IntoBytes;

use self::device::MockDevices;
use self::viommu::MockViommu;
use super::{
    Attachment, DeviceCaps, DriverEvents, HwInfo, IommuDriver, NestedDomain, PageResponse, PagingDomain,
    PagingFlags, Pasid, ReservedRegion, Viommu,
};
use crate::device::PhysicalDevice;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::frames::Frames;
use crate::sync::lock;
use crate::uapi::test::{
    HW_INFO_SELFTEST_REGVAL, HW_INFO_TYPE_SELFTEST, HWPT_DATA_SELFTEST, HwptSelftest, MockDeviceFlags,
    TestHwInfo, VIOMMU_TYPE_SELFTEST,
};
use crate::user_data::UserData;

pub(crate) use self::device::MockDevice;
pub(crate) use self::domain::MockDomain;
pub(crate) use self::nested::MockNested;

/// The driver.
#[derive(Default)]
pub(crate) struct MockDriver {
    events: OnceLock<Weak<dyn DriverEvents>>,
    /// Devices that are about to be added to the host, by name.
    announced: Mutex<BTreeMap<String, MockDeviceFlags>>,
    devices: Arc<MockDevices>,
}

impl MockDriver {
    /// Says what the device `name`, which comes next, is like. Only announced devices are behind it.
    pub(crate) fn announce(&self, name: &str, flags: MockDeviceFlags) {
        lock(&self.announced).insert(name.to_owned(), flags);
    }

    /// The device `name` does not come.
    pub(crate) fn retract(&self, name: &str) {
        lock(&self.announced).remove(name);
    }

    /// The mock's side of `device`, if it is behind the mock.
    pub(crate) fn device(&self, device: &PhysicalDevice) -> Option<Arc<MockDevice>> {
        self.devices.get(device.id())
    }

    /// Whom to tell of faults and events.
    pub(crate) fn events(&self) -> Option<Arc<dyn DriverEvents>> {
        self.events.get()?.upgrade()
    }

    fn known(&self, device: &PhysicalDevice) -> Result<Arc<MockDevice>> {
        self.device(device).ok_or(Errno::ENODEV)
    }
}

/// `domain` as one of the mock's.
///
/// # Errors
/// `EINVAL` where it is another driver's.
pub(crate) fn as_mock_domain(domain: &dyn PagingDomain) -> Result<&MockDomain> {
    (domain as &dyn Any).downcast_ref().ok_or(Errno::EINVAL)
}

/// `domain` as one of the mock's.
///
/// # Errors
/// `EINVAL` where it is another driver's.
pub(crate) fn as_mock_nested(domain: &dyn NestedDomain) -> Result<&MockNested> {
    (domain as &dyn Any).downcast_ref().ok_or(Errno::EINVAL)
}

impl IommuDriver for MockDriver {
    fn connect(&self, events: Weak<dyn DriverEvents>, _frames: Arc<Frames>) {
        // A host connects a driver once; the first stays.
        let _ = self.events.set(events);
    }

    fn probe(&self, device: &Arc<PhysicalDevice>) -> Result<DeviceCaps> {
        fault_point(Errno::ENOMEM)?;
        let flags = lock(&self.announced).remove(device.name()).ok_or(Errno::ENODEV)?;
        let mock = MockDevice::new(flags);
        let caps = DeviceCaps {
            dirty_tracking: mock.tracks_dirty(),
            enforce_cache_coherency: false,
            isolated_msi: true,
            no_ats: true,
            pasid_bits: mock.pasid_bits(),
        };
        self.devices.insert(device.id(), Arc::new(mock));
        Ok(caps)
    }

    fn release(&self, device: &PhysicalDevice) {
        self.devices.remove(device.id());
    }

    fn hw_info(&self, _device: &PhysicalDevice, requested: Option<u32>) -> Result<HwInfo> {
        if requested.is_some_and(|kind| kind != HW_INFO_TYPE_SELFTEST) {
            return Err(Errno::EOPNOTSUPP);
        }
        fault_point(Errno::ENOMEM)?;
        let info = TestHwInfo { flags: 0, test_reg: HW_INFO_SELFTEST_REGVAL };
        Ok(HwInfo { kind: HW_INFO_TYPE_SELFTEST, data: info.as_bytes().to_vec() })
    }

    fn reserved(&self, _device: &PhysicalDevice) -> Vec<ReservedRegion> {
        Vec::new()
    }

    fn alloc_paging(
        &self,
        device: &PhysicalDevice,
        flags: PagingFlags,
        data: Option<&UserData<'_>>,
    ) -> Result<Arc<dyn PagingDomain>> {
        let tracks = flags.contains(PagingFlags::DIRTY_TRACKING);
        if tracks && !self.known(device)?.tracks_dirty() {
            return Err(Errno::EOPNOTSUPP);
        }
        let config = match data {
            Some(data) if data.kind() != HWPT_DATA_SELFTEST => return Err(Errno::EOPNOTSUPP),
            Some(data) => data.read(HWPT_DATA_SELFTEST, nested::HWPT_DATA_MIN)?,
            None => HwptSelftest::default(),
        };
        fault_point(Errno::ENOMEM)?;
        Ok(Arc::new(MockDomain::new(config.pagetable_type, tracks)?))
    }

    fn alloc_nested(
        &self,
        _device: &PhysicalDevice,
        parent: &Arc<dyn PagingDomain>,
        flags: u32,
        data: &UserData<'_>,
    ) -> Result<Arc<dyn NestedDomain>> {
        MockNested::check_flags(flags)?;
        as_mock_domain(&**parent)?;
        Ok(MockNested::new(data, None)?)
    }

    fn user_pasid_table(&self) -> bool {
        true
    }

    fn has_viommu(&self, _device: &PhysicalDevice, kind: u32) -> bool {
        kind == VIOMMU_TYPE_SELFTEST
    }

    fn alloc_viommu(
        &self,
        _device: &PhysicalDevice,
        kind: u32,
        parent: &Arc<dyn PagingDomain>,
        data: Option<&UserData<'_>>,
    ) -> Result<Arc<dyn Viommu>> {
        if kind != VIOMMU_TYPE_SELFTEST {
            return Err(Errno::EOPNOTSUPP);
        }
        as_mock_domain(&**parent)?;
        Ok(MockViommu::new(&self.devices, data)?)
    }

    fn attach(&self, device: &PhysicalDevice, pasid: Option<Pasid>, to: &Attachment) -> Result<()> {
        let mock = self.known(device)?;
        if let Some(pasid) = pasid {
            return mock.attach_pasid(pasid.0, !matches!(to, Attachment::Blocked | Attachment::Identity));
        }
        let nested = match to {
            Attachment::Blocked | Attachment::Identity => None,
            Attachment::Paging(domain) => {
                if domain.dirty().is_some() && !mock.tracks_dirty() {
                    return Err(Errno::EINVAL);
                }
                None
            }
            Attachment::Nested(domain) => as_mock_nested(&**domain)?.viommu(),
        };
        match &nested {
            Some(viommu) => {
                let number = viommu.virtual_id(device.id()).ok_or(Errno::ENOENT)?;
                mock.attach(Some((viommu, number)));
            }
            None => mock.attach(None),
        }
        Ok(())
    }

    fn page_response(
        &self,
        _device: &PhysicalDevice,
        _pasid: Option<Pasid>,
        _group: u32,
        _response: PageResponse,
    ) {
    }
}
