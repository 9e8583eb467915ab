//! PASIDs of devices.

use crate::device::BoundDevice;
use crate::device::fake::World;
use crate::driver::{DeviceCaps, Pasid};
use crate::errno::Errno;
use crate::sync::lock;
use crate::uapi::{self, HwptAllocFlags};

fn hwpt(world: &World, device: &BoundDevice, ioas: u32, flags: HwptAllocFlags) -> u32 {
    world.hwpt(uapi::HwptAlloc { flags, dev_id: device.id(), pt_id: ioas, ..Default::default() }).unwrap()
}

#[test]
fn pasids_and_their_device_go_together() {
    let world = World::new();
    let device = world.bound("a");
    let ioas = world.ioas();
    let plain = hwpt(&world, &device, ioas, HwptAllocFlags::empty());
    let with = hwpt(&world, &device, ioas, HwptAllocFlags::PASID);
    let other = hwpt(&world, &device, ioas, HwptAllocFlags::PASID);
    let pasid = Some(Pasid(100));
    world.driver.told();

    assert_eq!(device.attach(pasid, plain), Err(Errno::EINVAL), "no HWPT for PASIDs");
    assert_eq!(device.attach(pasid, ioas), Err(Errno::EINVAL), "nor is what an IOAS makes");
    assert_eq!(device.replace(pasid, with), Err(Errno::EINVAL), "it is not attached");
    device.detach(pasid);

    device.attach(None, plain).unwrap();
    assert_eq!(device.attach(pasid, with), Err(Errno::EINVAL), "the device's own is none for PASIDs");
    device.replace(None, other).unwrap();
    world.driver.told();
    assert_eq!(device.attach(pasid, with), Ok(with));
    assert_eq!(world.driver.told(), ["a.100: domain 1"]);
    assert_eq!(device.attach(pasid, with), Err(Errno::EBUSY));
    assert_eq!(device.attached(pasid), Some(with));
    assert_eq!(device.attached(Some(Pasid(101))), None);

    assert_eq!(device.replace(None, plain), Err(Errno::EINVAL), "while there are PASIDs");
    assert_eq!(device.replace(None, ioas), Err(Errno::EINVAL), "while there are PASIDs");
    assert_eq!(device.replace(pasid, plain), Err(Errno::EINVAL));
    assert_eq!(device.replace(pasid, ioas), Err(Errno::EINVAL));
    assert_eq!(device.replace(pasid, other), Ok(other));
    assert_eq!(world.driver.told(), ["a.100: domain 2"]);
    assert_eq!(world.destroy(with), Ok(()));

    device.detach(None);
    assert_eq!(device.attach(None, plain), Err(Errno::EINVAL), "while there are PASIDs");
    device.detach(pasid);
    device.attach(None, plain).unwrap();
    assert_eq!(world.driver.told(), ["a: blocked", "a.100: blocked", "a: domain 0"]);
}

#[test]
fn a_device_has_the_pasids_its_bits_say() {
    let world = World::new();
    let device = world.bound("a");
    *lock(&world.driver.caps) = DeviceCaps { isolated_msi: true, ..DeviceCaps::default() };
    let without = world.bound("b");
    let ioas = world.ioas();
    let with = hwpt(&world, &device, ioas, HwptAllocFlags::PASID);
    for (device, pasid, expected) in [
        (&device, 0, Err(Errno::EINVAL)),
        (&device, 1, Ok(with)),
        (&device, 255, Ok(with)),
        (&device, 256, Err(Errno::EINVAL)),
        (&device, u32::MAX, Err(Errno::EINVAL)),
        (&without, 1, Err(Errno::EINVAL)),
    ] {
        assert_eq!(device.attach(Some(Pasid(pasid)), with), expected, "{pasid}");
    }
    world.driver.told();
    drop(device);
    assert_eq!(world.driver.told(), ["a.255: blocked", "a.1: blocked", "a: identity"]);
    assert_eq!(world.destroy(with), Ok(()));
}
