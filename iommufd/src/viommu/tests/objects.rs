//! The objects: what makes, holds and ends them.

use super::Setup;
use crate::device::BoundDevice;
use crate::device::fake::{BUFFER, QUEUE, VIOMMU, World};
use crate::errno::Errno;
use crate::file::{File, MapRequest};
use crate::sync::lock;
use crate::uapi;

#[test]
fn a_viommu_stands_on_a_nesting_parent() {
    let setup = Setup::new();
    let world = &setup.world;
    let args = uapi::HwptAlloc { dev_id: setup.device.id(), pt_id: setup.ioas, ..Default::default() };
    let plain = world.hwpt(args).unwrap();
    let nested = setup.nested();
    let good = uapi::ViommuAlloc {
        type_: VIOMMU,
        dev_id: setup.device.id(),
        hwpt_id: setup.parent,
        ..Default::default()
    };
    for (mut args, errno) in [
        (uapi::ViommuAlloc { flags: 1, dev_id: 99, ..good }, Errno::EOPNOTSUPP),
        (uapi::ViommuAlloc { type_: 0, dev_id: 99, ..good }, Errno::EOPNOTSUPP),
        (uapi::ViommuAlloc { dev_id: 99, type_: 1, ..good }, Errno::ENOENT),
        (uapi::ViommuAlloc { type_: 1, hwpt_id: 99, ..good }, Errno::EOPNOTSUPP),
        (uapi::ViommuAlloc { hwpt_id: 99, ..good }, Errno::ENOENT),
        (uapi::ViommuAlloc { hwpt_id: nested, ..good }, Errno::ENOENT),
        (uapi::ViommuAlloc { hwpt_id: plain, ..good }, Errno::EINVAL),
        (uapi::ViommuAlloc { data_len: 8, data_uptr: 0x10, ..good }, Errno::EFAULT),
    ] {
        assert_eq!(world.call(&mut args), Err(errno), "{args:?}");
    }
    assert_eq!(world.destroy(setup.viommu), Err(Errno::EBUSY), "the stage 1 stands on it");
    assert_eq!(world.destroy(nested), Ok(()));
    assert_eq!(world.destroy(setup.parent), Err(Errno::EBUSY));
    assert_eq!(world.destroy(setup.viommu), Ok(()));
    assert_eq!(world.destroy(setup.parent), Ok(()));
}

#[test]
fn a_device_is_one_vdevice_and_a_number_is_one_device() {
    let setup = Setup::new();
    let world = &setup.world;
    lock(&world.driver.units).insert("elsewhere".into(), 1);
    let (other, elsewhere) = (world.bound("b"), world.bound("elsewhere"));
    world.driver.told();
    let missing =
        |viommu_id, dev_id| world.call(&mut uapi::VdeviceAlloc { viommu_id, dev_id, ..Default::default() });
    assert_eq!(missing(99, 98), Err(Errno::ENOENT));
    assert_eq!(missing(setup.parent, other.id()), Err(Errno::ENOENT));
    assert_eq!(missing(setup.viommu, setup.parent), Err(Errno::ENOENT));
    assert_eq!(setup.vdevice(&elsewhere, 1), Err(Errno::EINVAL));
    let one = setup.vdevice(&setup.device, 0x99).unwrap();
    assert_eq!(setup.vdevice(&setup.device, 0x9a), Err(Errno::EEXIST));
    assert_eq!(setup.vdevice(&other, 0x99), Err(Errno::EEXIST));
    let two = setup.vdevice(&other, 0).unwrap();
    assert_eq!(world.driver.told(), ["a is 0x99", "b is 0x0"]);
    assert_eq!(world.destroy(setup.viommu), Err(Errno::EBUSY));
    assert_eq!(world.destroy(one), Ok(()));
    assert_eq!(setup.vdevice(&setup.device, 0x9b), Ok(one));
    assert_eq!(world.destroy(one), Ok(()));
    assert_eq!(world.destroy(two), Ok(()));
    assert_eq!(world.driver.told(), ["0x99 is gone", "a is 0x9b", "0x9b is gone", "0x0 is gone"]);
    assert_eq!(world.destroy(setup.viommu), Ok(()));
}

#[test]
fn a_device_that_goes_leaves_a_tombstone() {
    let setup = Setup::new();
    let vdevice = setup.vdevice(&setup.device, 0x99).unwrap();
    let Setup { world, device, ioas, parent, viommu } = setup;
    let id = device.id();
    world.driver.told();
    drop(device);
    assert_eq!(world.driver.told(), ["0x99 is gone", "a: identity"]);
    assert_eq!(world.destroy(vdevice), Err(Errno::ENOENT));
    assert_eq!(world.ioas(), id, "the device's own id is free");
    let next = world.ioas();
    assert!(next > vdevice, "{next} is not the tombstone's");
    for id in [viommu, parent, ioas] {
        assert_eq!(world.destroy(id), Ok(()), "{id}");
    }
}

#[test]
fn a_context_that_owns_the_device_takes_everything_with_it() {
    let world = World::new();
    let device = BoundDevice::bind_inside(world.fd.ctx(), &world.device("a", None)).unwrap();
    let setup = Setup::with(world, device);
    setup.vdevice(&setup.device, 0x99).unwrap();
    setup.device.attach(None, setup.nested()).unwrap();
    let Setup { world, device, .. } = setup;
    let (driver, ctx) = (world.driver.clone(), world.fd.ctx().clone());
    drop(world);
    struct Keeper {
        _device: BoundDevice,
    }
    impl crate::object::Object for Keeper {}
    ctx.objects.reserve().unwrap().publish(std::sync::Arc::new(Keeper { _device: device }));
    driver.told();
    drop(ctx);
    assert_eq!(driver.told(), ["0x99 is gone", "a: blocked", "a: identity"]);
    assert!(driver.domains().is_empty());
}

#[test]
fn a_bound_device_keeps_the_context() {
    let Setup { world, device, .. } = Setup::new();
    let ctx = std::sync::Arc::downgrade(world.fd.ctx());
    drop(world);
    assert!(ctx.upgrade().is_some());
    drop(device);
    assert!(ctx.upgrade().is_none());
}

#[test]
fn memory_of_a_viommu_is_mapped_whole_and_holds_it() {
    let setup = Setup::new();
    let world = &setup.world;
    let alloc = || {
        let mut args = uapi::ViommuAlloc {
            type_: VIOMMU,
            dev_id: setup.device.id(),
            hwpt_id: setup.parent,
            data_len: 8,
            data_uptr: BUFFER,
            ..Default::default()
        };
        world.call(&mut args).unwrap();
        let offset = u64::from_ne_bytes(world.bytes(BUFFER, 8).try_into().unwrap());
        (args.out_viommu_id, offset)
    };
    let (first, second) = (alloc(), alloc());
    assert_eq!((first.1, second.1), (0x1000, 0x3000));
    let good = MapRequest { offset: 0x1000, bytes: 0x2000, shared: true, executable: false };
    for (request, errno) in [
        (MapRequest { shared: false, executable: true, ..good }, Errno::EINVAL),
        (MapRequest { executable: true, offset: 0, ..good }, Errno::EPERM),
        (MapRequest { bytes: 0x1800, ..good }, Errno::EINVAL),
        (MapRequest { offset: 0, ..good }, Errno::ENXIO),
        (MapRequest { offset: 0x2000, ..good }, Errno::ENXIO),
        (MapRequest { offset: 0x5000, ..good }, Errno::ENXIO),
        (MapRequest { bytes: 0x1000, ..good }, Errno::ENXIO),
        (MapRequest { bytes: 0x3000, ..good }, Errno::ENXIO),
    ] {
        assert_eq!(world.fd.mmap(request).err(), Some(errno), "{request:?}");
    }
    let mapped = world.fd.mmap(good).unwrap();
    assert_eq!(mapped.memory.size(), 0x2000);
    assert_eq!(world.destroy(first.0), Err(Errno::EBUSY));
    drop(mapped);
    assert_eq!(world.destroy(first.0), Ok(()));
    assert_eq!(world.fd.mmap(good).err(), Some(Errno::ENXIO));
    assert_eq!(alloc().1, 0x1000, "the lowest that is free");
}

#[test]
fn a_hardware_queue_pins_and_locks_its_memory() {
    let setup = Setup::new();
    let world = &setup.world;
    let good = uapi::HwQueueAlloc {
        viommu_id: setup.viommu,
        type_: QUEUE,
        nesting_parent_iova: 0x10_0000,
        length: 0x1000,
        ..Default::default()
    };
    for (mut args, errno) in [
        (uapi::HwQueueAlloc { flags: 1, length: 0, ..good }, Errno::EOPNOTSUPP),
        (uapi::HwQueueAlloc { type_: 0, length: 0, ..good }, Errno::EOPNOTSUPP),
        (uapi::HwQueueAlloc { length: 0, viommu_id: 99, ..good }, Errno::EINVAL),
        (uapi::HwQueueAlloc { nesting_parent_iova: u64::MAX, viommu_id: 99, ..good }, Errno::EOVERFLOW),
        (uapi::HwQueueAlloc { viommu_id: 99, ..good }, Errno::ENOENT),
        (uapi::HwQueueAlloc { type_: QUEUE + 1, ..good }, Errno::EOPNOTSUPP),
        (uapi::HwQueueAlloc { nesting_parent_iova: 1, length: u64::MAX, ..good }, Errno::ERANGE),
        (uapi::HwQueueAlloc { length: 1 << 42, ..good }, Errno::ENOMEM),
        (good, Errno::ENOENT),
    ] {
        assert_eq!(world.call(&mut args), Err(errno), "{args:?}");
    }
    world.map(setup.ioas, 0x10_0000, BUFFER, 0x2000).unwrap();
    world.map(setup.ioas, 0x10_2000, BUFFER + 0x5000, 0x1000).unwrap();
    let torn = uapi::HwQueueAlloc { length: 0x3000, ..good };
    assert_eq!(world.call(&mut { torn }), Err(Errno::EFAULT), "not contiguous");
    let second = uapi::HwQueueAlloc { index: 1, ..good };
    assert_eq!(world.call(&mut { second }), Err(Errno::EIO), "it needs the one before");
    assert_eq!(world.driver.told(), ["queue 1 of 0x1000 at page offset 0x0", "queue 1 ends"]);

    let mut first = uapi::HwQueueAlloc { nesting_parent_iova: 0x10_0080, length: 0x80, ..good };
    world.call(&mut first).unwrap();
    let mut second = uapi::HwQueueAlloc { nesting_parent_iova: 0x10_1000, ..second };
    world.call(&mut second).unwrap();
    assert_eq!(second.out_hw_queue_id, first.out_hw_queue_id + 2, "each takes an access, too");
    assert_eq!(world.destroy(first.out_hw_queue_id + 1), Err(Errno::EBUSY));
    assert_eq!(world.unmap(setup.ioas, 0x10_0000, 0x2000), Err(Errno::EBUSY));
    assert_eq!(world.unmap(setup.ioas, 0x10_2000, 0x1000), Ok(()));
    assert_eq!(world.destroy(first.out_hw_queue_id), Err(Errno::EBUSY), "the second needs it");
    assert_eq!(world.destroy(setup.viommu), Err(Errno::EBUSY));
    assert_eq!(world.destroy(second.out_hw_queue_id), Ok(()));
    assert_eq!(world.destroy(first.out_hw_queue_id), Ok(()));
    assert_eq!(world.unmap(setup.ioas, 0x10_0000, 0x2000), Ok(()));
    let told = [
        "queue 0 of 0x80 at page offset 0x80",
        "queue 1 of 0x1000 at page offset 0x0",
        "queue 1 ends",
        "queue 0 ends",
    ];
    assert_eq!(world.driver.told(), told);
    let free = World::ioas(world);
    assert_eq!(free, first.out_hw_queue_id, "their ids are free");
}
