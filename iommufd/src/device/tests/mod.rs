//! Devices through the API that drivers of devices use.

mod attach;
mod info;
mod pasid;
mod threads;

use super::BoundDevice;
use super::fake::World;
use crate::driver::{DeviceCaps, ReservedKind, ReservedRegion};
use crate::errno::Errno;
use crate::host::Options;
use crate::span::Span;
use crate::sync::lock;
use crate::uapi;

fn bind_error(world: &World, device: &std::sync::Arc<super::PhysicalDevice>) -> Errno {
    BoundDevice::bind(world.fd.ctx(), device).err().unwrap()
}

#[test]
fn binding_blocks_the_whole_group_and_unbinding_frees_it() {
    let world = World::new();
    let (a, b) = (world.device("a", Some(5)), world.device("b", Some(5)));
    let other = world.device("c", None);
    assert_eq!((a.group().0, b.group().0, other.group().0), (5, 5, 0));
    assert_eq!(world.driver.told(), ["a: identity", "b: identity", "c: identity"]);
    let bound = BoundDevice::bind(world.fd.ctx(), &a).unwrap();
    assert_eq!(world.driver.told(), ["a: blocked", "b: blocked"]);
    let again = BoundDevice::bind(world.fd.ctx(), &b).unwrap();
    assert_eq!((bound.id(), again.id()), (1, 2));
    drop(bound);
    assert!(world.driver.told().is_empty(), "the group has an owner still");
    drop(again);
    assert_eq!(world.driver.told(), ["a: identity", "b: identity"]);
}

#[test]
fn without_passthrough_unclaimed_devices_stay_blocked_unless_firmware_maps_for_them() {
    for (kind, told, unbound) in [
        (ReservedKind::Msi, &[][..], "a: blocked"),
        (ReservedKind::Direct, &["a: identity"], ""),
        (ReservedKind::DirectRelaxable, &["a: identity"], "a: identity"),
    ] {
        let world = World::with(Options::default());
        *lock(&world.driver.reserved) =
            vec![ReservedRegion { span: Span { start: 0x1000, last: 0x1fff }, kind }];
        let a = world.device("a", None);
        assert_eq!(world.driver.told(), told, "{kind:?}");
        if kind == ReservedKind::Direct {
            assert_eq!(bind_error(&world, &a), Errno::EINVAL);
            assert_eq!(world.driver.told(), [""; 0]);
            assert!(world.fd.ctx().objects.is_empty());
            continue;
        }
        drop(BoundDevice::bind(world.fd.ctx(), &a).unwrap());
        assert_eq!(world.driver.told(), ["a: blocked", unbound], "{kind:?}");
    }
}

#[test]
fn firmwares_memory_keeps_a_device_out_of_a_group_of_a_user() {
    let world = World::with(Options::default());
    let bound = BoundDevice::bind(world.fd.ctx(), &world.device("a", Some(0))).unwrap();
    let direct = ReservedRegion { span: Span { start: 0x1000, last: 0x1fff }, kind: ReservedKind::Direct };
    *lock(&world.driver.reserved) = vec![direct];
    let driver: std::sync::Arc<dyn crate::driver::IommuDriver> = world.driver.clone();
    let add = |name| world.host.add_device(name, &driver, Some(crate::device::GroupId(0)));
    assert_eq!(add("b").map(drop), Err(Errno::EINVAL));
    // Without a user it may come, and then none may.
    drop(bound);
    let b = add("b").unwrap();
    assert_eq!(bind_error(&world, &b), Errno::EINVAL);
}

#[test]
fn a_group_belongs_to_one_context() {
    let world = World::new();
    let (a, b) = (world.device("a", Some(0)), world.device("b", Some(0)));
    let bound = BoundDevice::bind(world.fd.ctx(), &a).unwrap();
    let other = world.host.open();
    assert_eq!(BoundDevice::bind(other.ctx(), &b).err(), Some(Errno::EPERM));
    assert_eq!(BoundDevice::bind(other.ctx(), &a).err(), Some(Errno::EPERM));
    drop(bound);
    drop(BoundDevice::bind(other.ctx(), &b).unwrap());
    assert!(other.ctx().objects.is_empty());
}

#[test]
fn message_interrupts_must_be_isolated_in_the_whole_group() {
    for (allowed, expected) in [(false, Some(Errno::EPERM)), (true, None)] {
        let world = World::with(Options { allow_unsafe_interrupts: allowed, ..Options::default() });
        let a = world.device("a", Some(0));
        *lock(&world.driver.caps) = DeviceCaps::default();
        world.device("b", Some(0));
        assert_eq!(BoundDevice::bind(world.fd.ctx(), &a).err(), expected);
    }
}

#[test]
fn a_driver_that_cannot_block_keeps_the_device_from_being_bound() {
    let world = World::new();
    let a = world.device("a", None);
    world.driver.told();
    crate::fault_point::arm(3);
    assert_eq!(bind_error(&world, &a), Errno::ENOMEM);
    crate::fault_point::arm(0);
    assert_eq!(world.driver.told(), ["a: blocked", "a: identity"]);
    assert!(world.fd.ctx().objects.is_empty());
}

#[test]
fn a_group_of_which_one_cannot_be_blocked_is_claimed_by_no_one() {
    let world = World::new();
    let (a, _b) = (world.device("a", Some(0)), world.device("b", Some(0)));
    world.driver.told();
    *lock(&world.driver.unblockable) = Some("b".into());
    assert_eq!(bind_error(&world, &a), Errno::EIO);
    assert_eq!(
        world.driver.told(),
        ["a: blocked", "b refuses blocked", "a: blocked", "a: identity", "b: identity"]
    );
    *lock(&world.driver.unblockable) = None;
    let other = world.host.open();
    assert!(BoundDevice::bind(other.ctx(), &a).is_ok());
    assert!(world.fd.ctx().objects.is_empty());
}

#[test]
fn a_bound_device_cannot_be_destroyed() {
    let world = World::new();
    let bound = world.bound("a");
    assert_eq!(world.destroy(bound.id()), Err(Errno::EBUSY));
    let id = bound.id();
    drop(bound);
    assert_eq!(world.destroy(id), Err(Errno::ENOENT));
}

#[test]
fn a_device_that_comes_later_is_attached_as_its_group_is() {
    let world = World::new();
    let a = world.device("a", Some(3));
    let bound = BoundDevice::bind(world.fd.ctx(), &a).unwrap();
    let ioas = world.ioas();
    bound.attach(None, ioas).unwrap();
    world.driver.told();
    let b = world.device("b", Some(3));
    assert_eq!(world.driver.told(), ["b: domain 0"]);
    assert_eq!(world.host.remove_device(&b), Ok(()));
    assert_eq!(world.driver.told(), ["b released"]);
    bound.detach(None);
    assert_eq!(world.driver.told(), ["a: blocked"]);
}

#[test]
fn a_device_is_removed_when_nobody_binds_it() {
    let world = World::new();
    let device = world.device("a", None);
    let bound = BoundDevice::bind(world.fd.ctx(), &device).unwrap();
    assert_eq!(world.host.remove_device(&device), Err(Errno::EBUSY));
    let other = World::new();
    let namesake = other.device("a", None);
    assert_eq!(device.id(), namesake.id());
    assert_eq!(world.host.remove_device(&namesake), Err(Errno::ENODEV), "another host's");
    drop(bound);
    world.driver.told();
    assert_eq!(world.host.remove_device(&device), Ok(()));
    assert_eq!(world.driver.told(), ["a released"]);
    assert_eq!(world.host.remove_device(&device), Err(Errno::ENODEV));
    assert_eq!(bind_error(&world, &device), Errno::ENODEV);
    assert!(world.driver.told().is_empty());
}

#[test]
fn what_is_left_when_the_context_goes_goes_with_it() {
    let world = World::new();
    let bound = world.bound("a");
    let ioas = world.ioas();
    let hwpt = world.hwpt(uapi::HwptAlloc { dev_id: bound.id(), pt_id: ioas, ..Default::default() }).unwrap();
    bound.attach(None, hwpt).unwrap();
    world.map(ioas, 0x10_0000, super::fake::BUFFER, 0x1000).unwrap();
    let host = world.host.clone();
    let driver = world.driver.clone();
    let ctx = world.fd.ctx().clone();
    drop(world);
    drop(bound);
    drop(ctx);
    assert!(driver.domains().is_empty());
    assert_eq!(driver.told().last().unwrap(), "a: identity");
    drop(host);
}
