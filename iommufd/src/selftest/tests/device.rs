use super::process::{BASE, PAGE};
use super::{Fixture, IOVA, fail_each_step};
use crate::errno::Errno;
use crate::uapi::test::{
    CheckDevCache, CheckIotlb, CheckMap, MockDeviceFlags, MockDomain, MockDomainReplace, PasidAttach,
    PasidCheck, PasidDetach, PasidReplace, TEST_DEV_CACHE_DEFAULT, TEST_PASID_RESERVED,
};
use crate::uapi::{HwptAlloc, HwptAllocFlags};

#[test]
fn a_device_takes_three_ids_in_order() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ioas, 1);
    let device = fixture.device(fixture.ioas).unwrap();
    assert_eq!(device, MockDomain { out_stdev_id: 2, out_idev_id: 3, out_hwpt_id: 4 });
    let other = fixture.device(fixture.ioas).unwrap();
    assert_eq!(other, MockDomain { out_stdev_id: 5, out_idev_id: 6, out_hwpt_id: 4 });
    assert_eq!(fixture.destroy(1), Err(Errno::EBUSY));
    assert_eq!(fixture.destroy(3), Err(Errno::EBUSY));
    assert_eq!(fixture.destroy(2), Ok(0));
    assert_eq!(fixture.destroy(3), Err(Errno::ENOENT));
    assert_eq!(fixture.destroy(5), Ok(0));
    assert_eq!(fixture.destroy(4), Err(Errno::ENOENT), "it went with its last device");
    assert_eq!(fixture.destroy(1), Ok(0));
    fixture.close();
}

#[test]
fn a_device_that_cannot_be_leaves_nothing() {
    let fixture = Fixture::new();
    for (pt_id, flags, errno) in [
        (fixture.ioas, MockDeviceFlags::from_bits_retain(2), Errno::EINVAL),
        (fixture.ioas, MockDeviceFlags::from_bits_retain(1 << 31), Errno::EINVAL),
        (77, MockDeviceFlags::empty(), Errno::ENOENT),
    ] {
        assert_eq!(fixture.device_with(pt_id, flags).err(), Some(errno), "{flags:?}");
    }
    assert_eq!(fixture.device(fixture.ioas).map(|device| device.out_stdev_id), Ok(2));
    fixture.close();
}

#[test]
fn every_failure_is_undone() {
    let fixture = Fixture::new();
    fixture.map(4);
    let selftest = fixture.host.selftest.as_ref().unwrap();
    let expected = MockDomain { out_stdev_id: 2, out_idev_id: 3, out_hwpt_id: 4 };
    let steps = fail_each_step(
        || fixture.device(fixture.ioas).is_ok_and(|made| made == expected),
        || {
            assert_eq!(fixture.refs(0, 0, 4), Ok(0));
            assert_eq!(selftest.take_number(), Ok(0));
            selftest.free_number(0);
        },
    );
    assert!(steps > 5);
    fixture.close();
}

#[test]
fn a_pasid_that_cannot_be_told_is_not_attached() {
    let fixture = Fixture::new();
    let device = fixture.device_with(fixture.ioas, MockDeviceFlags::PASID).unwrap();
    let stdev = device.out_stdev_id;
    let hwpt = fixture.paging(device.out_idev_id, HwptAllocFlags::PASID).unwrap();
    fixture.op(stdev, MockDomainReplace { pt_id: hwpt }).unwrap();
    let check = |hwpt_id| fixture.op(stdev, PasidCheck { pasid: 7, hwpt_id }).map(|(value, _)| value);
    fail_each_step(
        || fixture.op(stdev, PasidAttach { pasid: 7, pt_id: hwpt }).is_ok(),
        || assert_eq!(check(0), Ok(0)),
    );
    assert_eq!(check(hwpt), Ok(0));
    fixture.close();
}

#[test]
fn a_device_moves_to_another_table() {
    let fixture = Fixture::new();
    let device = fixture.device(fixture.ioas).unwrap();
    fixture.map(2);
    let other = fixture.new_ioas();
    fixture.map_at(other, BASE + 4 * PAGE, PAGE, IOVA, true);
    let (_, moved) = fixture.op(device.out_stdev_id, MockDomainReplace { pt_id: other }).unwrap();
    let check = CheckMap { iova: IOVA, length: PAGE, uptr: BASE + 4 * PAGE };
    assert_eq!(fixture.op(moved.pt_id, check).map(|(value, _)| value), Ok(0));
    assert_eq!(fixture.op(device.out_hwpt_id, check).err(), Some(Errno::ENOENT), "the old table is gone");
    for (id, pt_id) in [(77, other), (device.out_idev_id, other), (device.out_stdev_id, 77)] {
        assert_eq!(fixture.op(id, MockDomainReplace { pt_id }).err(), Some(Errno::ENOENT), "{id} {pt_id}");
    }
    fixture.close();
}

#[test]
fn dirty_tables_want_devices_that_track() {
    let fixture = Fixture::new();
    let device = fixture.device(fixture.ioas).unwrap();
    let hwpt = fixture.paging(device.out_idev_id, HwptAllocFlags::DIRTY_TRACKING).unwrap();
    let no_dirty = fixture.device_with(fixture.ioas, MockDeviceFlags::NO_DIRTY).unwrap();
    let alloc = fixture.paging(no_dirty.out_idev_id, HwptAllocFlags::DIRTY_TRACKING);
    assert_eq!(alloc.err(), Some(Errno::EOPNOTSUPP));
    let moved = fixture.op(no_dirty.out_stdev_id, MockDomainReplace { pt_id: hwpt });
    assert_eq!(moved.err(), Some(Errno::EINVAL));
    assert!(fixture.op(device.out_stdev_id, MockDomainReplace { pt_id: hwpt }).is_ok());
    assert_eq!(fixture.device_with(hwpt, MockDeviceFlags::NO_DIRTY).err(), Some(Errno::EINVAL));
    fixture.close();
}

#[test]
fn caches_are_read_back() {
    let fixture = Fixture::new();
    let device = fixture.device(fixture.ioas).unwrap();
    let parent = fixture.paging(device.out_idev_id, HwptAllocFlags::NEST_PARENT).unwrap();
    let nested = fixture.nested(device.out_idev_id, parent, HwptAlloc::default()).unwrap();
    for (id, entry, iotlb, outcome) in [
        (nested, 0, 7, Ok(0)),
        (nested, 3, 7, Ok(0)),
        (nested, 0, 8, Err(Errno::EINVAL)),
        (nested, 4, 7, Err(Errno::EINVAL)),
        (parent, 0, 7, Err(Errno::ENOENT)),
        (77, 0, 7, Err(Errno::ENOENT)),
    ] {
        let found = fixture.op(id, CheckIotlb { id: entry, iotlb }).map(|(value, _)| value);
        assert_eq!(found, outcome, "{id} {entry} {iotlb}");
    }
    for (id, entry, cache, outcome) in [
        (device.out_idev_id, 3, TEST_DEV_CACHE_DEFAULT, Ok(0)),
        (device.out_idev_id, 3, 0, Err(Errno::EINVAL)),
        (device.out_idev_id, 4, TEST_DEV_CACHE_DEFAULT, Err(Errno::EINVAL)),
        (device.out_stdev_id, 0, TEST_DEV_CACHE_DEFAULT, Err(Errno::ENOENT)),
    ] {
        let found = fixture.op(id, CheckDevCache { id: entry, cache }).map(|(value, _)| value);
        assert_eq!(found, outcome, "{id} {entry} {cache}");
    }
    fixture.close();
}

#[test]
fn pasids_are_attached_one_by_one() {
    let fixture = Fixture::new();
    let device = fixture.device_with(fixture.ioas, MockDeviceFlags::PASID).unwrap();
    let (stdev, idev) = (device.out_stdev_id, device.out_idev_id);
    let first = fixture.paging(idev, HwptAllocFlags::PASID).unwrap();
    let second = fixture.paging(idev, HwptAllocFlags::PASID).unwrap();
    fixture.op(stdev, MockDomainReplace { pt_id: first }).unwrap();
    let pasid = TEST_PASID_RESERVED;
    let check = |hwpt_id| fixture.op(stdev, PasidCheck { pasid, hwpt_id }).map(|(value, _)| value);
    assert_eq!(check(0), Ok(0));
    assert_eq!(check(first), Err(Errno::EINVAL));
    assert_eq!(fixture.op(stdev, PasidAttach { pasid, pt_id: first }).map(|(value, _)| value), Ok(0));
    assert_eq!(check(first), Ok(0));
    assert_eq!(check(second), Err(Errno::EINVAL));
    assert_eq!(check(0), Err(Errno::EINVAL));
    assert_eq!(check(77), Err(Errno::ENOENT));
    assert_eq!(check(stdev), Err(Errno::EINVAL));
    // This one fails by the driver's will; the old attachment stays.
    let replace = || fixture.op(stdev, PasidReplace { pasid, pt_id: second }).map(|(value, _)| value);
    assert_eq!(replace(), Err(Errno::ENOMEM));
    assert_eq!(check(first), Ok(0));
    assert_eq!(replace(), Ok(0));
    assert_eq!(check(second), Ok(0));
    assert_eq!(fixture.op(stdev, PasidDetach { pasid }).map(|(value, _)| value), Ok(0));
    assert_eq!(check(0), Ok(0));
    assert_eq!(fixture.op(stdev, PasidCheck { pasid: 0, hwpt_id: first }).map(|(value, _)| value), Ok(0));
    for pasid in [1 << 20, u32::MAX] {
        assert_eq!(fixture.op(stdev, PasidAttach { pasid, pt_id: first }).err(), Some(Errno::EINVAL));
        assert_eq!(fixture.op(stdev, PasidDetach { pasid }).map(|(value, _)| value), Ok(0));
        assert_eq!(fixture.op(stdev, PasidCheck { pasid, hwpt_id: 0 }).map(|(value, _)| value), Ok(0));
    }
    for id in [77, idev] {
        assert_eq!(fixture.op(id, PasidDetach { pasid }).err(), Some(Errno::ENOENT));
        assert_eq!(fixture.op(id, PasidCheck { pasid, hwpt_id: 0 }).err(), Some(Errno::ENOENT));
    }
    fixture.close();
}
