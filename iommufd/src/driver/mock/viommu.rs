//! The mock's virtual IOMMU.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use bitflags::Flags;
use devices::addr::Pa;
use vm_memory::{Bytes, MmapRegion, VolatileMemory};
use zerocopy::IntoBytes;

use super::device::{MockDevice, MockDevices};
use super::nested::MockNested;
use crate::device::{DeviceId, PhysicalDevice};
use crate::driver::{NestedDomain, Viommu};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::sync::lock;
use crate::uapi::test::{
    HW_QUEUE_TYPE_SELFTEST, MOCK_DEV_CACHE_NUM, TEST_HW_QUEUE_MAX, TestInvalidateFlags,
    VIOMMU_INVALIDATE_DATA_SELFTEST, VIOMMU_TYPE_SELFTEST, ViommuInvalidateSelftest, ViommuSelftest,
};
use crate::user_data::{UserArray, UserData};

/// Bytes of [`ViommuSelftest`] that a caller must pass: all up to `out_data`.
const DATA_MIN: usize = 8;
/// Bytes of the window: two pages.
const WINDOW_BYTES: usize = 2 * 4096;

/// Devices by the guest's numbers, a window that shows the number the user gave, and two queues.
pub(super) struct MockViommu {
    this: Weak<Self>,
    host: Arc<MockDevices>,
    pub(super) devices: Mutex<BTreeMap<u64, (DeviceId, Arc<MockDevice>)>>,
    window: Option<Window>,
    queues: Arc<Mutex<[bool; TEST_HW_QUEUE_MAX as usize]>>,
}

struct Window {
    memory: Arc<MmapRegion>,
    in_data: u32,
}

impl MockViommu {
    /// One with the user's `data`, if any.
    ///
    /// # Errors
    /// `EINVAL` for data of a wrong size, `EFAULT`, `ENOMEM`.
    pub(super) fn new(host: &Arc<MockDevices>, data: Option<&UserData<'_>>) -> Result<Arc<Self>> {
        let window = match data {
            Some(data) => {
                let data: ViommuSelftest = data.read(VIOMMU_TYPE_SELFTEST, DATA_MIN)?;
                Some(Window::new(data.in_data)?)
            }
            None => None,
        };
        fault_point(Errno::ENOMEM)?;
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            host: Arc::clone(host),
            devices: Mutex::default(),
            window,
            queues: Arc::default(),
        }))
    }

    /// The number by which the guest knows `device`.
    pub(super) fn virtual_id(&self, device: DeviceId) -> Option<u64> {
        lock(&self.devices).iter().find(|(_, (id, _))| *id == device).map(|(number, _)| *number)
    }

    fn execute(&self, request: ViommuInvalidateSelftest) -> Result<()> {
        if request.flags.contains_unknown_bits() {
            return Err(Errno::EOPNOTSUPP);
        }
        let index = usize::try_from(request.cache_id).map_err(|_| Errno::EINVAL)?;
        if index >= MOCK_DEV_CACHE_NUM {
            return Err(Errno::EINVAL);
        }
        let devices = lock(&self.devices);
        let (_, device) = devices.get(&u64::from(request.vdev_id)).ok_or(Errno::EINVAL)?;
        let all = request.flags.contains(TestInvalidateFlags::ALL);
        device.invalidate((!all).then_some(index));
        Ok(())
    }
}

impl Window {
    fn new(in_data: u32) -> Result<Self> {
        fault_point(Errno::ENOMEM)?;
        let memory: MmapRegion = MmapRegion::new(WINDOW_BYTES).map_err(|_| Errno::ENOMEM)?;
        memory.as_volatile_slice().write_obj(in_data, 0).map_err(|_| Errno::ENOMEM)?;
        Ok(Self { memory: Arc::new(memory), in_data })
    }
}

impl Viommu for MockViommu {
    fn alloc_nested(
        &self,
        _device: &PhysicalDevice,
        flags: u32,
        data: &UserData<'_>,
    ) -> Result<Arc<dyn NestedDomain>> {
        MockNested::check_flags(flags)?;
        Ok(MockNested::new(data, Some(self.this.clone()))?)
    }

    /// All entries are copied in before the first is executed.
    fn invalidate(&self, entries: &mut UserArray<'_>) -> Result<()> {
        if entries.count() == 0 && entries.kind() == VIOMMU_INVALIDATE_DATA_SELFTEST {
            return Ok(());
        }
        let requests: Vec<ViommuInvalidateSelftest> = entries.read_all(VIOMMU_INVALIDATE_DATA_SELFTEST)?;
        for request in requests {
            self.execute(request)?;
            entries.done(1);
        }
        Ok(())
    }

    fn add_device(&self, device: &Arc<PhysicalDevice>, virtual_id: u64) -> Result<()> {
        let mock = self.host.get(device.id()).ok_or(Errno::EINVAL)?;
        lock(&self.devices).insert(virtual_id, (device.id(), mock));
        Ok(())
    }

    fn remove_device(&self, virtual_id: u64) {
        lock(&self.devices).remove(&virtual_id);
    }

    fn window(&self) -> Option<Arc<MmapRegion>> {
        self.window.as_ref().map(|window| Arc::clone(&window.memory))
    }

    fn report(&self, data: &UserData<'_>, offset: Option<u64>) -> Result<()> {
        let (Some(window), Some(offset)) = (&self.window, offset) else { return Ok(()) };
        let answer = ViommuSelftest {
            in_data: window.in_data,
            out_data: window.in_data,
            out_mmap_offset: offset,
            out_mmap_length: WINDOW_BYTES as u64,
        };
        data.write(answer.as_bytes())
    }

    fn has_queue(&self, kind: u32) -> bool {
        kind == HW_QUEUE_TYPE_SELFTEST
    }

    fn alloc_queue(
        &self,
        kind: u32,
        index: u32,
        _base: Pa,
        _bytes: u64,
    ) -> Result<Box<dyn Any + Send + Sync>> {
        if kind != HW_QUEUE_TYPE_SELFTEST {
            return Err(Errno::EOPNOTSUPP);
        }
        let index = usize::try_from(index).map_err(|_| Errno::EINVAL)?;
        let mut queues = lock(&self.queues);
        let taken = *queues.get(index).ok_or(Errno::EINVAL)?;
        if taken {
            return Err(Errno::EEXIST);
        }
        if index > 0 && !queues[index - 1] {
            return Err(Errno::EIO);
        }
        queues[index] = true;
        Ok(Box::new(Queue { queues: Arc::clone(&self.queues), index }))
    }

    fn queue_needs(&self, _kind: u32, index: u32) -> Option<u32> {
        index.checked_sub(1)
    }
}

/// A place among the queues, given back when dropped.
struct Queue {
    queues: Arc<Mutex<[bool; TEST_HW_QUEUE_MAX as usize]>>,
    index: usize,
}

impl Drop for Queue {
    fn drop(&mut self) {
        lock(&self.queues)[self.index] = false;
    }
}
