//! Virtual IOMMUs and what stands on them.

mod events;
mod failures;
mod objects;

use crate::device::BoundDevice;
use crate::device::fake::{BUFFER, NESTED, VIOMMU, World};
use crate::uapi::{self, HwptAllocFlags};

struct Setup {
    world: World,
    device: BoundDevice,
    ioas: u32,
    parent: u32,
    viommu: u32,
}

impl Setup {
    fn new() -> Self {
        let world = World::new();
        let device = world.bound("a");
        Self::with(world, device)
    }

    fn with(world: World, device: BoundDevice) -> Self {
        let ioas = world.ioas();
        let parent = uapi::HwptAlloc {
            flags: HwptAllocFlags::NEST_PARENT,
            dev_id: device.id(),
            pt_id: ioas,
            ..Default::default()
        };
        let parent = world.hwpt(parent).unwrap();
        let mut viommu =
            uapi::ViommuAlloc { type_: VIOMMU, dev_id: device.id(), hwpt_id: parent, ..Default::default() };
        world.call(&mut viommu).unwrap();
        world.driver.told();
        Self { world, device, ioas, parent, viommu: viommu.out_viommu_id }
    }

    /// A stage 1 through the vIOMMU.
    fn nested(&self) -> u32 {
        self.world
            .hwpt(uapi::HwptAlloc {
                dev_id: self.device.id(),
                pt_id: self.viommu,
                data_type: NESTED,
                data_len: 4,
                data_uptr: BUFFER,
                ..Default::default()
            })
            .unwrap()
    }

    fn vdevice(&self, device: &BoundDevice, number: u64) -> Result<u32, crate::errno::Errno> {
        let mut args = uapi::VdeviceAlloc {
            viommu_id: self.viommu,
            dev_id: device.id(),
            virt_id: number,
            ..Default::default()
        };
        self.world.call(&mut args).map(|_| args.out_vdevice_id)
    }
}
