//! Every step of a life with everything in it fails once; nothing of it may be left.

use super::Setup;
use crate::device::BoundDevice;
use crate::device::fake::{BUFFER, EVENTS, NESTED, QUEUE, VIOMMU, World};
use crate::driver::Pasid;
use crate::errno::{Errno, Result};
use crate::uapi::{self, HwptAllocFlags};

/// Makes and attaches one of everything.
fn live(world: &World) -> Result<()> {
    let device = world.device("a", None);
    let result = live_with(world, &device);
    assert_eq!(world.host.remove_device(&device), Ok(()));
    result
}

fn live_with(world: &World, device: &std::sync::Arc<crate::device::PhysicalDevice>) -> Result<()> {
    let device = BoundDevice::bind(world.fd.ctx(), device)?;
    let mut ioas = uapi::IoasAlloc::default();
    world.call(&mut ioas)?;
    let ioas = ioas.out_ioas_id;
    world.map(ioas, 0x10_0000, BUFFER, 0x2000)?;
    device.attach(None, ioas)?;
    let mut other = uapi::IoasAlloc::default();
    world.call(&mut other)?;
    device.replace(None, other.out_ioas_id)?;
    let mut info = uapi::HwInfo { dev_id: device.id(), data_len: 8, data_uptr: BUFFER, ..Default::default() };
    world.call(&mut info)?;
    let plain = uapi::HwptAlloc { dev_id: device.id(), pt_id: ioas, ..Default::default() };
    let flags = HwptAllocFlags::NEST_PARENT | HwptAllocFlags::DIRTY_TRACKING | HwptAllocFlags::PASID;
    let parent = world.hwpt(uapi::HwptAlloc { flags, ..plain })?;
    let mut tracking = uapi::HwptSetDirtyTracking { hwpt_id: parent, ..Default::default() };
    world.call(&mut tracking)?;
    let mut bitmap = uapi::HwptGetDirtyBitmap {
        hwpt_id: parent,
        iova: 0x10_0000,
        length: 0x2000,
        page_size: 0x1000,
        data: BUFFER,
        ..Default::default()
    };
    world.call(&mut bitmap)?;
    let mut fault = uapi::FaultAlloc::default();
    world.call(&mut fault)?;
    let data = uapi::HwptAlloc { data_type: NESTED, data_len: 4, data_uptr: BUFFER, ..plain };
    let nested = |flags, pt_id| {
        let flags = flags | HwptAllocFlags::FAULT_ID_VALID;
        world.hwpt(uapi::HwptAlloc { flags, pt_id, fault_id: fault.out_fault_id, ..data })
    };
    let pasid = nested(HwptAllocFlags::PASID, parent)?;
    device.replace(None, pasid)?;
    device.attach(Some(Pasid(3)), pasid)?;
    device.replace(Some(Pasid(3)), parent)?;
    device.detach(Some(Pasid(3)));
    let mut viommu = uapi::ViommuAlloc {
        type_: VIOMMU,
        dev_id: device.id(),
        hwpt_id: parent,
        data_len: 8,
        data_uptr: BUFFER,
        ..Default::default()
    };
    world.call(&mut viommu)?;
    let viommu_id = viommu.out_viommu_id;
    let mut vdevice = uapi::VdeviceAlloc { viommu_id, dev_id: device.id(), ..Default::default() };
    world.call(&mut vdevice)?;
    let mut events = uapi::VeventqAlloc { viommu_id, type_: EVENTS, veventq_depth: 1, ..Default::default() };
    world.call(&mut events)?;
    for index in 0..2 {
        let mut queue = uapi::HwQueueAlloc {
            viommu_id,
            type_: QUEUE,
            index,
            nesting_parent_iova: 0x10_0000,
            length: 0x1000,
            ..Default::default()
        };
        world.call(&mut queue)?;
    }
    device.replace(None, nested(HwptAllocFlags::empty(), viommu_id)?)?;
    let mut invalidate = uapi::HwptInvalidate {
        hwpt_id: viommu_id,
        data_uptr: BUFFER,
        data_type: NESTED,
        entry_len: 1,
        entry_num: 1,
        ..Default::default()
    };
    world.call(&mut invalidate)?;
    Ok(())
}

#[test]
fn the_nth_failure_leaves_nothing() {
    let mut nth = 1;
    loop {
        let world = World::new();
        crate::fault_point::arm(nth);
        let result = live(&world);
        let fired = crate::fault_point::remaining() == 0;
        crate::fault_point::arm(0);
        assert!(fired || result.is_ok(), "{nth}: {result:?}");
        for fd in world.files.open() {
            world.files.close(fd);
        }
        let World { host, driver, fd, .. } = world;
        let told = driver.told();
        let last = told.iter().rev().find(|line| line.starts_with("a:"));
        assert!(last.is_none_or(|line| line == "a: identity"), "{nth}: {told:?}");
        let ends = |what: &str| told.iter().filter(|line| line.contains(what)).count();
        assert_eq!(ends(" is 0x0"), ends("0x0 is gone"), "{nth}: {told:?}");
        let ctx = std::sync::Arc::downgrade(fd.ctx());
        drop(fd);
        assert!(ctx.upgrade().is_none(), "{nth}");
        assert!(driver.domains().is_empty(), "{nth}");
        let told = [told, driver.told()].concat();
        let ends = |what: &str| told.iter().filter(|line| line.contains(what)).count();
        assert_eq!(ends("page offset"), ends(" ends"), "{nth}: {told:?}");
        drop(host);
        if !fired {
            assert!(nth > 60, "only {nth} steps can fail");
            break;
        }
        nth += 1;
        assert!(nth < 1000);
    }
}

#[test]
fn a_failed_vdevice_leaves_device_and_number_free() {
    let setup = Setup::new();
    for nth in 1.. {
        crate::fault_point::arm(nth);
        let result = setup.vdevice(&setup.device, 5);
        let fired = crate::fault_point::remaining() == 0;
        crate::fault_point::arm(0);
        assert_eq!(result.is_err(), fired, "{nth}");
        if !fired {
            assert_eq!(setup.vdevice(&setup.device, 6), Err(Errno::EEXIST));
            break;
        }
    }
}
