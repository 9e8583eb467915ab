//! Devices behind the mock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use super::viommu::MockViommu;
use crate::device::DeviceId;
use crate::errno::{Errno, Result};
use crate::sync::lock;
use crate::uapi::test::{
    MOCK_DEV_CACHE_NUM, MOCK_PASID_WIDTH, MockDeviceFlags, TEST_DEV_CACHE_DEFAULT, TEST_PASID_RESERVED,
};

/// A device without DMA: what the self-tests see of it is a cache of four numbers and where it is
/// attached.
pub(crate) struct MockDevice {
    flags: MockDeviceFlags,
    cache: Mutex<[u32; MOCK_DEV_CACHE_NUM]>,
    attached: Mutex<Attached>,
}

/// What attaching leaves behind.
#[derive(Default)]
struct Attached {
    /// The virtual IOMMU whose nested domain the device, not a PASID of it, is attached to.
    viommu: Weak<MockViommu>,
    /// Its number there when it came to that virtual IOMMU.
    virtual_id: u64,
    /// The next domain for [`TEST_PASID_RESERVED`] is refused.
    refuses_reserved: bool,
}

impl MockDevice {
    pub(super) fn new(flags: MockDeviceFlags) -> Self {
        Self {
            flags,
            cache: Mutex::new([TEST_DEV_CACHE_DEFAULT; MOCK_DEV_CACHE_NUM]),
            attached: Mutex::default(),
        }
    }

    /// Whether domains for it can track dirty pages.
    pub(super) fn tracks_dirty(&self) -> bool {
        !self.flags.contains(MockDeviceFlags::NO_DIRTY)
    }

    /// How many bits its PASIDs have; 0 for none.
    pub(super) fn pasid_bits(&self) -> u8 {
        if self.flags.contains(MockDeviceFlags::PASID) { MOCK_PASID_WIDTH } else { 0 }
    }

    /// What entry `index` of its cache holds.
    pub(crate) fn cached(&self, index: u32) -> Option<u32> {
        lock(&self.cache).get(usize::try_from(index).ok()?).copied()
    }

    /// Empties entry `index` of its cache, or all.
    pub(super) fn invalidate(&self, index: Option<usize>) {
        let mut cache = lock(&self.cache);
        match index {
            Some(index) => cache[index] = 0,
            None => cache.fill(0),
        }
    }

    /// The device's number for the guest, where it is attached through a virtual IOMMU.
    pub(crate) fn virtual_id(&self) -> Option<u64> {
        let attached = lock(&self.attached);
        (attached.viommu.strong_count() > 0).then_some(attached.virtual_id)
    }

    /// Remembers through which virtual IOMMU the device is attached now. The number is that of the time
    /// when it came there.
    pub(super) fn attach(&self, through: Option<(&Arc<MockViommu>, u64)>) {
        let mut attached = lock(&self.attached);
        let (viommu, virtual_id) = match through {
            Some((viommu, id)) => (Arc::downgrade(viommu), id),
            None => (Weak::new(), 0),
        };
        if !Weak::ptr_eq(&viommu, &attached.viommu) {
            attached.viommu = viommu;
            attached.virtual_id = virtual_id;
        }
    }

    /// A PASID gets a domain, or none. The one reserved for it fails every second time, so that what
    /// comes of a failed replacement can be seen.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn attach_pasid(&self, pasid: u32, domain: bool) -> Result<()> {
        if pasid != TEST_PASID_RESERVED {
            return Ok(());
        }
        let mut attached = lock(&self.attached);
        let refuses = attached.refuses_reserved;
        attached.refuses_reserved = domain && !refuses;
        if domain && refuses { Err(Errno::ENOMEM) } else { Ok(()) }
    }
}

/// The mock's devices, by their identity in the host.
#[derive(Default)]
pub(super) struct MockDevices(Mutex<BTreeMap<DeviceId, Arc<MockDevice>>>);

impl MockDevices {
    pub(super) fn get(&self, id: DeviceId) -> Option<Arc<MockDevice>> {
        lock(&self.0).get(&id).cloned()
    }

    pub(super) fn insert(&self, id: DeviceId, device: Arc<MockDevice>) {
        lock(&self.0).insert(id, device);
    }

    pub(super) fn remove(&self, id: DeviceId) {
        lock(&self.0).remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_pasid_fails_every_second_time() {
        let device = MockDevice::new(MockDeviceFlags::PASID);
        let refused = Err(Errno::ENOMEM);
        for (pasid, domain, outcome) in [
            (TEST_PASID_RESERVED, true, Ok(())),
            (5, true, Ok(())),
            (TEST_PASID_RESERVED, true, refused),
            (TEST_PASID_RESERVED, true, Ok(())),
            (TEST_PASID_RESERVED, false, Ok(())),
            (TEST_PASID_RESERVED, true, Ok(())),
            (TEST_PASID_RESERVED, true, refused),
        ] {
            assert_eq!(device.attach_pasid(pasid, domain), outcome);
        }
    }

    #[test]
    fn the_cache_has_four_entries() {
        let device = MockDevice::new(MockDeviceFlags::empty());
        assert_eq!(device.cached(3), Some(TEST_DEV_CACHE_DEFAULT));
        assert_eq!(device.cached(4), None);
        device.invalidate(Some(1));
        assert_eq!((device.cached(0), device.cached(1)), (Some(TEST_DEV_CACHE_DEFAULT), Some(0)));
        device.invalidate(None);
        assert_eq!(device.cached(3), Some(0));
    }
}
