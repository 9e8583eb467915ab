//! Attaching devices and groups to HWPTs and IOASes.

use std::sync::Arc;

use devices::addr::{Iova, Pa};

use crate::device::BoundDevice;
use crate::device::fake::{BUFFER, NESTED, World};
use crate::driver::{DeviceCaps, PagingDomain, ReservedKind, ReservedRegion};
use crate::errno::Errno;
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::{self, HwptAllocFlags};

fn hwpt(world: &World, device: &BoundDevice, ioas: u32, flags: HwptAllocFlags) -> u32 {
    world.hwpt(uapi::HwptAlloc { flags, dev_id: device.id(), pt_id: ioas, ..Default::default() }).unwrap()
}

fn plain(world: &World, device: &BoundDevice, ioas: u32) -> u32 {
    hwpt(world, device, ioas, HwptAllocFlags::empty())
}

#[test]
fn an_ioas_gives_devices_a_domain_that_goes_with_the_last() {
    let world = World::new();
    let (a, b) = (world.bound("a"), world.bound("b"));
    let ioas = world.ioas();
    world.map(ioas, 0x10_0000, BUFFER, 0x2000).unwrap();
    world.driver.told();
    let hwpt = a.attach(None, ioas).unwrap();
    assert_eq!(b.attach(None, ioas), Ok(hwpt));
    assert_eq!((a.attached(None), b.attached(None)), (Some(hwpt), Some(hwpt)));
    assert_eq!(world.driver.told(), ["a: domain 0", "b: domain 0"]);
    assert_eq!(lock(&world.driver.domains()[0].mapped).len(), 2);
    assert_eq!(world.destroy(ioas), Err(Errno::EBUSY));
    assert_eq!(world.destroy(hwpt), Err(Errno::EBUSY));
    a.detach(None);
    a.detach(None);
    assert_eq!((a.attached(None), b.attached(None)), (None, Some(hwpt)));
    assert_eq!(world.destroy(hwpt), Err(Errno::EBUSY));
    drop(b);
    assert_eq!(world.destroy(hwpt), Err(Errno::ENOENT));
    assert!(world.driver.domains().is_empty());
    assert_eq!(world.destroy(ioas), Ok(()));
}

#[test]
fn a_domain_that_does_not_fit_is_passed_over() {
    let world = World::new();
    let (a, b) = (world.bound("a"), world.bound("b"));
    let ioas = world.ioas();
    let first = a.attach(None, ioas).unwrap();
    // The user's own is never taken.
    let own = plain(&world, &a, ioas);
    *lock(&world.driver.refuses) = Some(("b".into(), Errno::EINVAL));
    assert_eq!(b.attach(None, ioas), Err(Errno::EINVAL));
    assert_eq!(
        world.driver.told().split_off(5),
        ["b refuses domain 0", "b refuses domain 2"],
        "one that is there, then a new one"
    );
    *lock(&world.driver.refuses) = Some(("b".into(), Errno::EIO));
    assert_eq!(b.attach(None, ioas), Err(Errno::EIO));
    assert_eq!(world.driver.told(), ["b refuses domain 0"], "only a misfit is passed over");
    *lock(&world.driver.refuses) = None;
    assert_eq!(b.attach(None, ioas), Ok(first));
    assert_eq!(world.destroy(own), Ok(()));
}

#[test]
fn a_group_is_attached_as_one_and_to_one() {
    let world = World::new();
    let (a, b) = (world.device("a", Some(0)), world.device("b", Some(0)));
    let a = BoundDevice::bind(world.fd.ctx(), &a).unwrap();
    let b = BoundDevice::bind(world.fd.ctx(), &b).unwrap();
    let ioas = world.ioas();
    let (one, two) = (plain(&world, &a, ioas), plain(&world, &a, ioas));
    world.driver.told();
    assert_eq!(a.attach(None, one), Ok(one));
    assert_eq!(world.driver.told(), ["a: domain 0", "b: domain 0"]);
    assert_eq!(b.attached(None), None);
    assert_eq!(b.replace(None, one), Err(Errno::EINVAL), "it is not attached itself");
    assert_eq!(b.attach(None, two), Err(Errno::EINVAL));
    assert_eq!(a.attach(None, one), Err(Errno::EBUSY));
    assert_eq!(a.attach(None, two), Err(Errno::EBUSY));
    assert_eq!(b.attach(None, one), Ok(one));
    assert!(world.driver.told().is_empty(), "the hardware is so already");
    assert_eq!(a.replace(None, two), Ok(two));
    assert_eq!(world.driver.told(), ["a: domain 1", "b: domain 1"]);
    assert_eq!(b.attached(None), Some(two));
    assert_eq!(world.destroy(one), Ok(()));
    a.detach(None);
    assert!(world.driver.told().is_empty());
    b.detach(None);
    assert_eq!(world.driver.told(), ["a: blocked", "b: blocked"]);
    assert_eq!(world.destroy(two), Ok(()));
}

#[test]
fn a_group_of_which_one_refuses_goes_back() {
    let world = World::new();
    let (a, b) = (world.device("a", Some(0)), world.device("b", Some(0)));
    let bound = BoundDevice::bind(world.fd.ctx(), &a).unwrap();
    let ioas = world.ioas();
    let (one, two) = (plain(&world, &bound, ioas), plain(&world, &bound, ioas));
    world.driver.told();
    *lock(&world.driver.refuses) = Some((b.name().into(), Errno::EIO));
    assert_eq!(bound.attach(None, one), Err(Errno::EIO));
    assert_eq!(world.driver.told(), ["a: domain 0", "b refuses domain 0", "a: blocked"]);
    assert_eq!(bound.attached(None), None);
    *lock(&world.driver.refuses) = None;
    bound.attach(None, one).unwrap();
    *lock(&world.driver.refuses) = Some((b.name().into(), Errno::EIO));
    world.driver.told();
    assert_eq!(bound.replace(None, two), Err(Errno::EIO));
    assert_eq!(world.driver.told(), ["a: domain 1", "b refuses domain 1", "a: domain 0"]);
    assert_eq!(bound.attached(None), Some(one));
    assert_eq!(world.destroy(one), Err(Errno::EBUSY));
    assert_eq!(world.destroy(two), Ok(()));
}

#[test]
fn a_domain_that_cannot_be_filled_is_left_again() {
    let world = World::new();
    let device = world.bound("a");
    let span = Span { start: 0x10_0000, last: 0x10_ffff };
    *lock(&world.driver.reserved) = vec![ReservedRegion { span, kind: ReservedKind::Reserved }];
    let ioas = world.ioas();
    world.map(ioas, 0x20_0000, 0x7000_0000, 0x1000).unwrap();
    world.driver.told();
    assert_eq!(device.attach(None, ioas), Err(Errno::EFAULT));
    assert_eq!(world.driver.told(), ["a: domain 0", "a: blocked"]);
    assert_eq!(device.attached(None), None);
    assert!(world.driver.domains().is_empty());
    assert_eq!(world.map(ioas, 0x10_0000, BUFFER, 0x1000), Ok(()), "nothing is reserved");
    let other = world.ioas();
    device.attach(None, other).unwrap();
    world.driver.told();
    world.unmap(ioas, 0x10_0000, 0x1000).unwrap();
    assert_eq!(device.replace(None, ioas), Err(Errno::EFAULT));
    assert!(world.driver.told().is_empty(), "a domain is filled before anything moves to it");
    assert_eq!(world.map(other, 0x10_0000, BUFFER, 0x1000), Err(Errno::EINVAL));
}

#[test]
fn what_is_no_page_table_cannot_be_attached_to() {
    let world = World::new();
    let device = world.bound("a");
    for (pt_id, errno) in [(0, Errno::ENOENT), (99, Errno::ENOENT), (device.id(), Errno::EINVAL)] {
        assert_eq!(device.attach(None, pt_id), Err(errno));
        assert_eq!(device.replace(None, pt_id), Err(errno));
    }
    let ioas = world.ioas();
    assert_eq!(device.replace(None, ioas), Err(Errno::EINVAL), "it is attached to nothing");
    assert!(world.driver.domains().is_empty());
    assert_eq!(device.attached(None), None);
}

#[test]
fn moving_to_an_ioas_takes_its_domain_or_makes_one() {
    let world = World::new();
    let (a, b) = (world.bound("a"), world.bound("b"));
    let (one, two) = (world.ioas(), world.ioas());
    let first = a.attach(None, one).unwrap();
    assert_eq!(a.replace(None, first), Ok(first), "where it is already");
    let second = a.replace(None, two).unwrap();
    assert_eq!(world.destroy(first), Err(Errno::ENOENT), "left by its last device");
    assert_eq!(world.destroy(one), Ok(()));
    assert_eq!(b.attach(None, two), Ok(second));
    assert_eq!(a.replace(None, two), Ok(second));
}

#[test]
fn what_a_device_reserves_comes_and_goes_with_it() {
    let world = World::new();
    let device = world.bound("a");
    let region = |start, last, kind| ReservedRegion { span: Span { start, last }, kind };
    *lock(&world.driver.reserved) = vec![
        region(0xfee0_0000, 0xfeef_ffff, ReservedKind::Msi),
        region(0x10_0000, 0x10_ffff, ReservedKind::Reserved),
        region(0x20_0000, 0x20_ffff, ReservedKind::DirectRelaxable),
    ];
    let (full, free) = (world.ioas(), world.ioas());
    world.map(full, 0x10_0000, BUFFER, 0x1000).unwrap();
    assert_eq!(device.attach(None, full), Err(Errno::EADDRINUSE));
    assert!(world.driver.domains().is_empty());
    device.attach(None, free).unwrap();
    assert_eq!(world.map(free, 0x10_0000, BUFFER, 0x1000), Err(Errno::EINVAL));
    assert_eq!(world.map(free, 0xfee0_0000, BUFFER, 0x1000), Err(Errno::EINVAL));
    assert_eq!(world.map(free, 0x20_0000, BUFFER, 0x1000), Ok(()));
    assert_eq!(device.replace(None, full), Err(Errno::EADDRINUSE));
    assert_eq!(world.map(free, 0x10_0000, BUFFER, 0x1000), Err(Errno::EINVAL), "as it was");
    let other = world.ioas();
    device.replace(None, other).unwrap();
    assert_eq!(world.map(free, 0x10_0000, BUFFER, 0x1000), Ok(()));
    assert_eq!(world.map(other, 0x10_0000, BUFFER, 0x1000), Err(Errno::EINVAL));
    device.detach(None);
    assert_eq!(world.map(other, 0x10_0000, BUFFER, 0x1000), Ok(()));
}

#[test]
fn a_failed_move_within_an_ioas_keeps_what_is_reserved() {
    let world = World::new();
    let device = world.bound("a");
    let span = Span { start: 0x10_0000, last: 0x10_ffff };
    *lock(&world.driver.reserved) = vec![ReservedRegion { span, kind: ReservedKind::Reserved }];
    let ioas = world.ioas();
    let (one, two) = (plain(&world, &device, ioas), plain(&world, &device, ioas));
    device.attach(None, one).unwrap();
    *lock(&world.driver.refuses) = Some(("a".into(), Errno::EIO));
    assert_eq!(device.replace(None, two), Err(Errno::EIO));
    assert_eq!(world.map(ioas, 0x10_0000, BUFFER, 0x1000), Err(Errno::EINVAL));
}

#[test]
fn a_stage_1_reserves_in_the_address_space_under_it() {
    let world = World::new();
    let device = world.bound("a");
    let span = Span { start: 0x10_0000, last: 0x10_ffff };
    *lock(&world.driver.reserved) = vec![ReservedRegion { span, kind: ReservedKind::Reserved }];
    let ioas = world.ioas();
    let parent = hwpt(&world, &device, ioas, HwptAllocFlags::NEST_PARENT);
    let nested = world
        .hwpt(uapi::HwptAlloc {
            dev_id: device.id(),
            pt_id: parent,
            data_type: NESTED,
            data_len: 4,
            data_uptr: BUFFER,
            ..Default::default()
        })
        .unwrap();
    device.attach(None, nested).unwrap();
    assert_eq!(world.driver.told().last().unwrap(), "a: nested");
    assert_eq!(world.map(ioas, 0x10_0000, BUFFER, 0x1000), Err(Errno::EINVAL));
    assert_eq!(world.destroy(parent), Err(Errno::EBUSY));
    device.detach(None);
    assert_eq!(world.map(ioas, 0x10_0000, BUFFER, 0x1000), Ok(()));
    assert_eq!(world.destroy(nested), Ok(()));
    assert_eq!(world.destroy(parent), Ok(()));
}

#[test]
fn message_doorbells_are_mapped_wherever_the_group_goes() {
    let world = World::new();
    let device = world.bound("a");
    let span = Span { start: 0x800_0000, last: 0x80f_ffff };
    *lock(&world.driver.reserved) = vec![ReservedRegion { span, kind: ReservedKind::SoftwareMsi }];
    assert_eq!(device.map_message_doorbell(Pa(0x2020_0040)), Ok(None), "attached to nothing");
    let (one, two) = (world.ioas(), world.ioas());
    device.attach(None, one).unwrap();
    assert_eq!(device.map_message_doorbell(Pa(0x2020_0040)), Ok(Some(Iova(0x800_0040))));
    assert_eq!(device.map_message_doorbell(Pa(0x3030_0000)), Ok(Some(Iova(0x800_1000))));
    assert_eq!(device.map_message_doorbell(Pa(0x2020_0044)), Ok(Some(Iova(0x800_0044))));
    assert_eq!(world.map(one, 0x800_0000, BUFFER, 0x1000), Err(Errno::EINVAL));
    device.replace(None, two).unwrap();
    let domains = world.driver.domains();
    assert_eq!(domains.len(), 1);
    assert_eq!(domains[0].iova_to_phys(Iova(0x800_0040)), Some(Pa(0x2020_0040)));
    assert_eq!(domains[0].iova_to_phys(Iova(0x800_1000)), Some(Pa(0x3030_0000)));
    for doorbell in 2..64 {
        device.map_message_doorbell(Pa(doorbell << 32)).unwrap();
    }
    assert_eq!(device.map_message_doorbell(Pa(64 << 32)), Err(Errno::EOVERFLOW));
}

#[test]
fn coherency_is_forced_where_the_device_wants_it() {
    let world = World::new();
    *lock(&world.driver.caps) =
        DeviceCaps { isolated_msi: true, enforce_cache_coherency: true, ..DeviceCaps::default() };
    let device = world.bound("a");
    assert!(device.attach(None, world.ioas()).is_ok());
    assert!(Arc::ptr_eq(device.physical().driver(), device.physical().driver()));
}
