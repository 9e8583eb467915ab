//! One run through everything that the operations do, once for each step of it that can fail.

use super::process::{BASE, PAGE};
use super::{Fixture, IOVA};
use crate::errno::Result;
use crate::fault_point::{arm, remaining};
use crate::uapi::test::{
    AccessPages, AccessPagesFlags, AccessReplaceIoas, AccessRw, AddReserved, CheckIotlb, CheckMap,
    CreateAccess, CreateAccessFlags, DestroyAccessPages, Dirty, DmabufGet, DmabufRevoke,
    HW_QUEUE_TYPE_SELFTEST, MockDeviceFlags, MockDomainReplace, PasidAttach, PasidCheck, PasidDetach,
    PasidReplace, TriggerIopf, TriggerVevent, VEVENTQ_TYPE_SELFTEST, VIOMMU_TYPE_SELFTEST,
};
use crate::uapi::{
    FaultAlloc, HwQueueAlloc, HwptAlloc, HwptAllocFlags, HwptSetDirtyTracking, HwptSetDirtyTrackingFlags,
    IoasMapFile, IoasMapFlags, VdeviceAlloc, VeventqAlloc, ViommuAlloc,
};

fn run(fixture: &Fixture) -> Result<()> {
    let (file, process) = (fixture.file(), &fixture.process);
    fixture.op(fixture.ioas, AddReserved { start: 1 << 40, length: PAGE })?;
    let device = fixture.device_with(fixture.ioas, MockDeviceFlags::PASID)?;
    let (stdev, idev) = (device.out_stdev_id, device.out_idev_id);
    fixture.try_map_at(fixture.ioas, BASE, 16 * PAGE, IOVA)?;
    fixture.op(device.out_hwpt_id, CheckMap { iova: IOVA, length: 16 * PAGE, uptr: BASE })?;
    fixture.refs(1, 0, 16)?;

    let tracked = fixture.paging(idev, HwptAllocFlags::DIRTY_TRACKING | HwptAllocFlags::PASID)?;
    let flags = HwptSetDirtyTrackingFlags::ENABLE;
    process.ioctl(file, &mut HwptSetDirtyTracking { hwpt_id: tracked, flags, ..Default::default() })?;
    let op = Dirty { iova: IOVA, length: 8 * PAGE, page_size: PAGE, uptr: BASE, ..Default::default() };
    fixture.op(tracked, op)?;
    fixture.op(stdev, MockDomainReplace { pt_id: tracked })?;
    fixture.op(stdev, PasidAttach { pasid: 5, pt_id: tracked })?;
    let second = fixture.paging(idev, HwptAllocFlags::PASID)?;
    fixture.op(stdev, PasidReplace { pasid: 5, pt_id: second })?;
    fixture.op(stdev, PasidCheck { pasid: 5, hwpt_id: second })?;
    fixture.op(stdev, PasidDetach { pasid: 5 })?;

    let parent = fixture.paging(idev, HwptAllocFlags::NEST_PARENT)?;
    let data_uptr = BASE + 501 * PAGE;
    let mut viommu = ViommuAlloc {
        type_: VIOMMU_TYPE_SELFTEST,
        dev_id: idev,
        hwpt_id: parent,
        data_len: 24,
        data_uptr,
        ..Default::default()
    };
    process.ioctl(file, &mut viommu)?;
    let viommu_id = viommu.out_viommu_id;
    process
        .ioctl(file, &mut VdeviceAlloc { viommu_id, dev_id: idev, virt_id: 0x99, ..Default::default() })?;
    for index in [0, 1] {
        let mut queue = HwQueueAlloc {
            viommu_id,
            type_: HW_QUEUE_TYPE_SELFTEST,
            index,
            nesting_parent_iova: IOVA + u64::from(index) * PAGE,
            length: PAGE,
            ..Default::default()
        };
        process.ioctl(file, &mut queue)?;
    }
    let mut fault = FaultAlloc::default();
    process.ioctl(file, &mut fault)?;
    let mut events =
        VeventqAlloc { viommu_id, type_: VEVENTQ_TYPE_SELFTEST, veventq_depth: 2, ..Default::default() };
    process.ioctl(file, &mut events)?;
    let flags = HwptAllocFlags::FAULT_ID_VALID;
    let alloc = HwptAlloc { flags, fault_id: fault.out_fault_id, ..Default::default() };
    let nested = fixture.nested(idev, viommu_id, alloc)?;
    fixture.op(nested, CheckIotlb { id: 3, iotlb: 7 })?;
    fixture.op(stdev, MockDomainReplace { pt_id: nested })?;
    fixture.op(0, TriggerVevent { dev_id: idev })?;
    fixture.op(0, TriggerIopf { dev_id: idev, grpid: 1, ..Default::default() })?;

    let flags = CreateAccessFlags::NEEDS_PIN_PAGES;
    let (_, access) = fixture.op(fixture.ioas, CreateAccess { flags, ..Default::default() })?;
    let access = access.out_access_fd;
    let pin = AccessPages {
        iova: IOVA + 4 * PAGE,
        length: 2 * PAGE,
        uptr: BASE + 4 * PAGE,
        flags: AccessPagesFlags::WRITE,
        ..Default::default()
    };
    let (_, first) = fixture.op(access, pin)?;
    fixture.op(access, pin)?;
    fixture.op(access, DestroyAccessPages { access_pages_id: first.out_access_pages_id })?;
    fixture.op(access, AccessRw { iova: IOVA, length: 100, uptr: data_uptr, ..Default::default() })?;
    let mut other = crate::uapi::IoasAlloc::default();
    process.ioctl(file, &mut other)?;
    fixture.op(access, AccessReplaceIoas { ioas_id: other.out_ioas_id })?;

    let (fd, _) = fixture.op(0, DmabufGet { length: PAGE as u32, open_flags: 0 })?;
    let fd = fd as i32;
    let mut map = IoasMapFile {
        flags: IoasMapFlags::FIXED_IOVA | IoasMapFlags::READABLE,
        ioas_id: fixture.ioas,
        fd,
        length: PAGE,
        iova: IOVA + 64 * PAGE,
        ..Default::default()
    };
    process.ioctl(file, &mut map)?;
    fixture.op(0, DmabufRevoke { dmabuf_fd: fd, revoked: 1 })?;
    Ok(())
}

#[test]
fn whatever_fails_nothing_stays_behind() {
    for nth in 1.. {
        let fixture = Fixture::new();
        arm(nth);
        let outcome = run(&fixture);
        let failed = remaining() == 0;
        arm(0);
        fixture.close();
        if !failed {
            assert_eq!(outcome, Ok(()));
            assert!(nth > 100, "there are more steps than {nth}");
            return;
        }
        // Where a table is chosen, one that fails is passed over for a new one.
        assert!(nth < 1000, "there are fewer steps than {nth}");
    }
}
