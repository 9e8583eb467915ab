use super::process::PAGE;
use super::{BASE, Fixture};
use crate::errno::{Errno, Result};
use crate::uapi::test::{
    CheckDevCache, MockDeviceFlags, MockDomainReplace, TEST_DEV_CACHE_DEFAULT, TriggerIopf, TriggerVevent,
    VEVENTQ_TYPE_SELFTEST, VIOMMU_INVALIDATE_DATA_SELFTEST, VIOMMU_TYPE_SELFTEST,
};
use crate::uapi::{
    FaultAlloc, HwptAlloc, HwptAllocFlags, HwptInvalidate, VdeviceAlloc, VeventqAlloc, ViommuAlloc,
};

fn read(fixture: &Fixture, fd: u32, bytes: usize) -> Vec<u8> {
    let file = fixture.process.caller().files.file(fd as i32).unwrap().unwrap();
    let mut data = vec![0; bytes];
    let count = file.read(&mut data).unwrap();
    data.truncate(count);
    data
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect()
}

#[test]
fn a_page_request_reaches_the_queue_of_its_table() {
    let fixture = Fixture::new();
    let device = fixture.device_with(fixture.ioas, MockDeviceFlags::PASID).unwrap();
    let trigger = |pasid| {
        let op = TriggerIopf { dev_id: device.out_idev_id, pasid, grpid: 2, perm: 3, addr: 0xdead_beaf };
        fixture.op(0, op).map(|(value, _)| value)
    };
    assert_eq!(trigger(0), Ok(0), "no one to tell");
    let mut fault = FaultAlloc::default();
    fixture.process.ioctl(fixture.file(), &mut fault).unwrap();
    let parent = fixture.paging(device.out_idev_id, HwptAllocFlags::NEST_PARENT).unwrap();
    let alloc = HwptAlloc {
        flags: HwptAllocFlags::FAULT_ID_VALID,
        fault_id: fault.out_fault_id,
        ..Default::default()
    };
    let nested = fixture.nested(device.out_idev_id, parent, alloc).unwrap();
    fixture.op(device.out_stdev_id, MockDomainReplace { pt_id: nested }).unwrap();
    assert_eq!(read(&fixture, fault.out_fault_fd, 40), []);
    assert_eq!(trigger(1), Ok(0));
    assert_eq!(
        words(&read(&fixture, fault.out_fault_fd, 400)),
        [3, device.out_idev_id, 1, 2, 3, 0, 0xdead_beaf, 0, 0, 1]
    );
    let op = TriggerIopf { dev_id: 77, ..Default::default() };
    assert_eq!(fixture.op(0, op).err(), Some(Errno::ENOENT));
    fixture.close();
}

fn vdevice(fixture: &Fixture, viommu_id: u32, dev_id: u32, virt_id: u64) -> Result<u32> {
    let mut alloc = VdeviceAlloc { viommu_id, dev_id, virt_id, ..Default::default() };
    fixture.process.ioctl(fixture.file(), &mut alloc)?;
    Ok(alloc.out_vdevice_id)
}

#[test]
fn an_event_names_the_guests_device() {
    let fixture = Fixture::new();
    let device = fixture.device(fixture.ioas).unwrap();
    let trigger = || fixture.op(0, TriggerVevent { dev_id: device.out_idev_id }).map(|(value, _)| value);
    assert_eq!(trigger(), Err(Errno::ENOENT));
    let parent = fixture.paging(device.out_idev_id, HwptAllocFlags::NEST_PARENT).unwrap();
    let mut alloc = ViommuAlloc {
        type_: VIOMMU_TYPE_SELFTEST,
        dev_id: device.out_idev_id,
        hwpt_id: parent,
        ..Default::default()
    };
    fixture.process.ioctl(fixture.file(), &mut alloc).unwrap();
    let viommu = alloc.out_viommu_id;
    let nested = fixture.nested(device.out_idev_id, viommu, HwptAlloc::default()).unwrap();
    let attach = |pt_id| fixture.op(device.out_stdev_id, MockDomainReplace { pt_id }).map(|(value, _)| value);
    assert_eq!(attach(nested), Err(Errno::ENOENT), "the guest does not know it");
    let zero = vdevice(&fixture, viommu, device.out_idev_id, 0).unwrap();
    assert_eq!(attach(nested), Ok(0));
    assert_eq!(trigger(), Err(Errno::ENOENT), "number 0 is none");
    assert_eq!(attach(fixture.ioas), Ok(0));
    assert_eq!(fixture.destroy(zero), Ok(0));
    vdevice(&fixture, viommu, device.out_idev_id, 0x88).unwrap();
    assert_eq!(attach(nested), Ok(0));
    assert_eq!(trigger(), Err(Errno::EOPNOTSUPP), "no queue");
    let mut queue = VeventqAlloc {
        viommu_id: viommu,
        type_: VEVENTQ_TYPE_SELFTEST,
        veventq_depth: 2,
        ..Default::default()
    };
    fixture.process.ioctl(fixture.file(), &mut queue).unwrap();
    for _ in 0..3 {
        assert_eq!(trigger(), Ok(0));
    }
    assert_eq!(words(&read(&fixture, queue.out_veventq_fd, 400)), [0, 0, 0x88, 0, 1, 0x88, 1, 2]);

    let data_uptr = BASE + 505 * PAGE;
    let entry = [0u32, 0x88, 2];
    fixture.process.write(data_uptr, &entry.map(u32::to_ne_bytes).concat());
    let mut invalidate = HwptInvalidate {
        hwpt_id: viommu,
        data_uptr,
        data_type: VIOMMU_INVALIDATE_DATA_SELFTEST,
        entry_len: 12,
        entry_num: 1,
        ..Default::default()
    };
    fixture.process.ioctl(fixture.file(), &mut invalidate).unwrap();
    let cached =
        |id, cache| fixture.op(device.out_idev_id, CheckDevCache { id, cache }).map(|(value, _)| value);
    assert_eq!(cached(2, 0), Ok(0));
    assert_eq!(cached(1, TEST_DEV_CACHE_DEFAULT), Ok(0));
    fixture.close();
}
