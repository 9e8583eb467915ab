use std::sync::Arc;

use zerocopy::{Immutable, IntoBytes};

use super::device::{MockDevice, MockDevices};
use super::nested::MockNested;
use super::viommu::MockViommu;
use crate::device::DeviceId;
use crate::driver::{NestedDomain, Viommu};
use crate::errno::{Errno, Result};
use crate::selftest::tests::process::{BASE, PAGE, Process};
use crate::sync::lock;
use crate::uapi::HwptAllocFlags;
use crate::uapi::test::{
    HW_QUEUE_TYPE_SELFTEST, HWPT_DATA_SELFTEST, HWPT_INVALIDATE_DATA_SELFTEST,
    HWPT_INVALIDATE_DATA_SELFTEST_INVALID, HwptInvalidateSelftest, MockDeviceFlags, TestInvalidateFlags,
    VIOMMU_INVALIDATE_DATA_SELFTEST, VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID, VIOMMU_TYPE_SELFTEST,
    ViommuInvalidateSelftest,
};
use crate::user_data::{UserArray, UserData};
use devices::addr::Pa;
use vm_memory::{Bytes, VolatileMemory};

/// The first bytes of the process's memory with a page behind them that is not mapped.
const HOLE: u64 = BASE + PAGE;

fn process(data: &[u8]) -> Process {
    let process = Process::new();
    process.write(BASE, data);
    process.tear(Some(HOLE));
    process
}

#[test]
fn nested_data_is_exact_in_type_and_size() {
    let process = process([0x0bad_beefu32, 0, 0].as_bytes());
    let caller = process.caller();
    for (kind, address, bytes, outcome) in [
        (HWPT_DATA_SELFTEST, BASE, 8, None),
        (HWPT_DATA_SELFTEST, BASE, 4, None),
        (HWPT_DATA_SELFTEST, BASE, 6, None),
        (HWPT_DATA_SELFTEST, BASE, 3, Some(Errno::EINVAL)),
        (HWPT_DATA_SELFTEST, BASE, 9, Some(Errno::EINVAL)),
        (HWPT_DATA_SELFTEST, 0, 8, Some(Errno::EFAULT)),
        (HWPT_DATA_SELFTEST, HOLE - 4, 8, Some(Errno::EFAULT)),
        (1, BASE, 8, Some(Errno::EOPNOTSUPP)),
    ] {
        let nested = MockNested::new(&UserData::new(&caller, kind, address, bytes), None);
        assert_eq!(nested.as_ref().err(), outcome.as_ref(), "{kind:#x} {address:#x} {bytes}");
        if let Ok(nested) = nested {
            assert_eq!((nested.entry(0), nested.entry(3)), (Some(0x0bad_beef), Some(0x0bad_beef)));
            assert_eq!(nested.entry(4), None);
        }
    }
    for (flags, allowed) in [
        (HwptAllocFlags::empty(), true),
        (HwptAllocFlags::PASID, true),
        (HwptAllocFlags::NEST_PARENT, false),
        (HwptAllocFlags::DIRTY_TRACKING, false),
        (HwptAllocFlags::from_bits_retain(1 << 31), false),
    ] {
        assert_eq!(MockNested::check_flags(flags.bits()).is_ok(), allowed, "{flags:?}");
    }
}

/// Entries, with their type, size and count as told; the outcome, how many were executed, and what is
/// in the cache then.
type Row<'a, T> = (&'a [T], u32, u32, u32, Result<()>, u32, [u32; 4]);

fn invalidate<T: IntoBytes + Immutable>(
    entries: &[T],
    kind: u32,
    bytes: u32,
    count: u32,
    execute: impl FnOnce(&mut UserArray<'_>) -> Result<()>,
) -> (Result<()>, u32) {
    let process = process(&[]);
    // The last entry ends where nothing is mapped.
    let address = HOLE - size_of_val(entries) as u64;
    process.write(address, entries.as_bytes());
    let caller = process.caller();
    let mut array = UserArray::new(&caller, kind, address, bytes, count);
    let outcome = execute(&mut array);
    (outcome, array.executed())
}

#[test]
fn a_nested_domain_executes_entry_by_entry() {
    const ALL: TestInvalidateFlags = TestInvalidateFlags::ALL;
    const NONE: TestInvalidateFlags = TestInvalidateFlags::empty();
    let unknown = TestInvalidateFlags::from_bits_retain(2);
    let entry = |flags, iotlb_id| HwptInvalidateSelftest { flags, iotlb_id };
    let good = HWPT_INVALIDATE_DATA_SELFTEST;
    let full = [7; 4];
    let rows: &[Row<'_, HwptInvalidateSelftest>] = &[
        (&[entry(NONE, 1)], good, 8, 1, Ok(()), 1, [7, 0, 7, 7]),
        (&[entry(NONE, 3), entry(NONE, 0)], good, 8, 2, Ok(()), 2, [0, 7, 7, 0]),
        (&[entry(ALL, 0)], good, 8, 1, Ok(()), 1, [0; 4]),
        (&[entry(ALL, 4)], good, 8, 1, Err(Errno::EINVAL), 0, full),
        (&[entry(NONE, 0), entry(unknown, 1)], good, 8, 2, Err(Errno::EOPNOTSUPP), 1, [0, 7, 7, 7]),
        (&[entry(NONE, 2), entry(NONE, 4)], good, 8, 2, Err(Errno::EINVAL), 1, [7, 7, 0, 7]),
        (&[entry(NONE, 2)], good, 8, 2, Err(Errno::EFAULT), 1, [7, 7, 0, 7]),
        (&[entry(NONE, 2)], good, 7, 1, Err(Errno::EINVAL), 0, full),
        (&[entry(NONE, 2)], good, 9, 1, Err(Errno::EINVAL), 0, full),
        (&[], good, 8, 0, Ok(()), 0, full),
        (&[], HWPT_INVALIDATE_DATA_SELFTEST_INVALID, 8, 0, Err(Errno::EINVAL), 0, full),
    ];
    for (index, (entries, kind, bytes, count, outcome, done, left)) in rows.iter().enumerate() {
        let process = process(7u32.as_bytes());
        let caller = process.caller();
        let nested = MockNested::new(&UserData::new(&caller, HWPT_DATA_SELFTEST, BASE, 4), None).unwrap();
        let found = invalidate(entries, *kind, *bytes, *count, |array| nested.invalidate(array));
        assert_eq!(found, (*outcome, *done), "row {index}");
        assert_eq!([0, 1, 2, 3].map(|id| nested.entry(id).unwrap()), *left, "row {index}");
    }
}

fn viommu_with(number: u64) -> (Arc<MockViommu>, Arc<MockDevice>) {
    let viommu = MockViommu::new(&Arc::new(MockDevices::default()), None).unwrap();
    let device = Arc::new(MockDevice::new(MockDeviceFlags::empty()));
    lock(&viommu.devices).insert(number, (DeviceId(5), Arc::clone(&device)));
    (viommu, device)
}

#[test]
fn a_virtual_iommu_reads_all_entries_first() {
    const ALL: TestInvalidateFlags = TestInvalidateFlags::ALL;
    const NONE: TestInvalidateFlags = TestInvalidateFlags::empty();
    let unknown = TestInvalidateFlags::from_bits_retain(4);
    let entry = |flags, vdev_id, cache_id| ViommuInvalidateSelftest { flags, vdev_id, cache_id };
    let good = VIOMMU_INVALIDATE_DATA_SELFTEST;
    let full = [0x00ba_ddad; 4];
    let first = [0, full[1], full[2], full[3]];
    let rows: &[Row<'_, ViommuInvalidateSelftest>] = &[
        (&[entry(NONE, 0x99, 0)], good, 12, 1, Ok(()), 1, first),
        (&[entry(ALL, 0x99, 0)], good, 12, 1, Ok(()), 1, [0; 4]),
        (&[entry(NONE, 0x99, 0)], good, 12, 2, Err(Errno::EFAULT), 0, full),
        (&[entry(NONE, 0x99, 0), entry(NONE, 0x99, 4)], good, 12, 2, Err(Errno::EINVAL), 1, first),
        (&[entry(NONE, 0x99, 0), entry(NONE, 0x9, 1)], good, 12, 2, Err(Errno::EINVAL), 1, first),
        (&[entry(NONE, 0x99, 0), entry(unknown, 0x99, 1)], good, 12, 2, Err(Errno::EOPNOTSUPP), 1, first),
        // Short entries are extended with zeroes.
        (&[entry(NONE, 0x99, 1)], good, 8, 1, Ok(()), 1, first),
        (&[entry(NONE, 0x99, 1)], good, 1, 1, Err(Errno::EINVAL), 0, full),
        // Of long ones the rest must be zero.
        (&[entry(NONE, 0x99, 0), entry(NONE, 0, 0)], good, 24, 1, Ok(()), 1, first),
        (&[entry(NONE, 0x99, 0), entry(NONE, 0, 1)], good, 24, 1, Err(Errno::E2BIG), 0, full),
        (&[], good, 12, 0, Ok(()), 0, full),
        (&[], VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID, 12, 0, Err(Errno::EINVAL), 0, full),
    ];
    for (index, (entries, kind, bytes, count, outcome, done, left)) in rows.iter().enumerate() {
        let (viommu, device) = viommu_with(0x99);
        let found = invalidate(entries, *kind, *bytes, *count, |array| viommu.invalidate(array));
        assert_eq!(found, (*outcome, *done), "row {index}");
        assert_eq!([0, 1, 2, 3].map(|id| device.cached(id).unwrap()), *left, "row {index}");
    }
}

#[test]
fn the_window_echoes_the_users_number() {
    let process = process([0x1234u32, 0, 0, 0, 0, 0].as_bytes());
    let caller = process.caller();
    let devices = Arc::new(MockDevices::default());
    for (bytes, outcome) in
        [(7, Some(Errno::EINVAL)), (8, None), (16, None), (24, None), (25, Some(Errno::EINVAL))]
    {
        let data = UserData::new(&caller, VIOMMU_TYPE_SELFTEST, BASE, bytes);
        let viommu = MockViommu::new(&devices, Some(&data));
        assert_eq!(viommu.as_ref().err(), outcome.as_ref(), "{bytes}");
        let Ok(viommu) = viommu else { continue };
        let window = viommu.window().unwrap();
        assert_eq!(window.len(), 0x2000);
        assert_eq!(window.as_volatile_slice().read_obj::<u32>(0).unwrap(), 0x1234);
        viommu.report(&data, Some(0x1000)).unwrap();
        let mut expected = [0; 24];
        expected[..4].copy_from_slice(&0x1234u32.to_ne_bytes());
        expected[4..8].copy_from_slice(&0x1234u32.to_ne_bytes());
        expected[8..16].copy_from_slice(&0x1000u64.to_ne_bytes());
        expected[16..24].copy_from_slice(&0x2000u64.to_ne_bytes());
        expected[bytes as usize..].fill(0);
        assert_eq!(process.read(BASE, 24), expected, "{bytes}");
        process.write(BASE, [0x1234u32, 0, 0, 0, 0, 0].as_bytes());
    }
    assert!(MockViommu::new(&devices, None).unwrap().window().is_none());
}

#[test]
fn queues_come_in_order() {
    let (viommu, _) = viommu_with(1);
    let alloc = |index| viommu.alloc_queue(HW_QUEUE_TYPE_SELFTEST, index, Pa(0), PAGE);
    assert_eq!(alloc(1).err(), Some(Errno::EIO));
    assert_eq!(alloc(2).err(), Some(Errno::EINVAL));
    assert_eq!(alloc(u32::MAX).err(), Some(Errno::EINVAL));
    let first = alloc(0).unwrap();
    assert_eq!(alloc(0).err(), Some(Errno::EEXIST));
    let second = alloc(1).unwrap();
    assert_eq!(alloc(1).err(), Some(Errno::EEXIST));
    drop(second);
    drop(first);
    assert!(alloc(0).is_ok());
    assert_eq!(viommu.alloc_queue(1, 0, Pa(0), PAGE).err(), Some(Errno::EOPNOTSUPP));
    assert_eq!(
        (viommu.queue_needs(HW_QUEUE_TYPE_SELFTEST, 0), viommu.queue_needs(HW_QUEUE_TYPE_SELFTEST, 1)),
        (None, Some(0))
    );
    assert!(viommu.has_queue(HW_QUEUE_TYPE_SELFTEST) && !viommu.has_queue(1));
}
