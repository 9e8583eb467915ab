use super::process::{BASE, PAGE, Process};
use super::{Fixture, IOVA};
use crate::errno::Errno;
use crate::uapi::test::{
    CheckMap, Dirty, HWPT_DATA_SELFTEST, HwptSelftest, MOCK_IOMMUPT_HUGE, MockDeviceFlags,
};
use crate::uapi::{
    HwptAlloc, HwptAllocFlags, HwptGetDirtyBitmap, HwptGetDirtyBitmapFlags, HwptSetDirtyTracking,
    HwptSetDirtyTrackingFlags,
};
use zerocopy::IntoBytes;

#[test]
fn the_table_leads_to_the_callers_pages() {
    let fixture = Fixture::new();
    let device = fixture.device(fixture.ioas).unwrap();
    fixture.map_at(fixture.ioas, BASE + 0x800, 4 * PAGE, IOVA + 0x800, true);
    fixture.map_at(fixture.ioas, BASE + 9 * PAGE, PAGE, IOVA + 5 * PAGE, true);
    let nowhere = BASE - PAGE;
    for (id, iova, length, uptr, outcome) in [
        (device.out_hwpt_id, IOVA + 0x800, 4 * PAGE, BASE + 0x800, Ok(0)),
        (device.out_hwpt_id, IOVA + 0x1000, 0x800, BASE + 0x1000, Ok(0)),
        (device.out_hwpt_id, IOVA + 5 * PAGE, PAGE, BASE + 9 * PAGE, Ok(0)),
        (device.out_hwpt_id, IOVA + 0x800, 0, BASE, Ok(0)),
        (device.out_hwpt_id, IOVA + 0x1000, 0x800, BASE + 0x1800, Err(Errno::EINVAL)),
        (device.out_hwpt_id, IOVA + 0x1000, 0x1000, BASE + 0x2000, Err(Errno::EINVAL)),
        (device.out_hwpt_id, IOVA, 0x800, BASE, Err(Errno::EINVAL)),
        (device.out_hwpt_id, IOVA + 0x800, 4 * PAGE + 0x800, BASE + 0x800, Err(Errno::EINVAL)),
        (device.out_hwpt_id, IOVA + 0xc00, 0x800, BASE + 0xc00, Err(Errno::EINVAL)),
        (device.out_hwpt_id, IOVA + 0x800, 0x400, BASE + 0x800, Err(Errno::EINVAL)),
        (device.out_hwpt_id, IOVA, 0x800, u64::MAX - 0x7ff, Err(Errno::EINVAL)),
        (device.out_hwpt_id, IOVA + 0x800, 0x800, nowhere, Err(Errno::EFAULT)),
        (device.out_hwpt_id, IOVA, 0x800, nowhere, Err(Errno::EFAULT)),
        (fixture.ioas, IOVA, 0x800, BASE, Err(Errno::ENOENT)),
    ] {
        let found = fixture.op(id, CheckMap { iova, length, uptr }).map(|(value, _)| value);
        assert_eq!(found, outcome, "{iova:#x} {length:#x} {uptr:#x}");
    }
    // What comes first is what is told: the page that differs, or the one that is not there.
    fixture.process.tear(Some(BASE + 2 * PAGE));
    for (iova, uptr, outcome) in
        [(IOVA + 0x1000, BASE + 0x1000, Errno::EFAULT), (IOVA + 0x2000, BASE + 0x1000, Errno::EINVAL)]
    {
        let found = fixture.op(device.out_hwpt_id, CheckMap { iova, length: 2 * PAGE, uptr });
        assert_eq!(found.err(), Some(outcome), "{iova:#x}");
    }
    fixture.process.tear(None);
    fixture.close();
}

#[test]
fn pins_are_counted_by_page() {
    let fixture = Fixture::new();
    assert_eq!(fixture.refs(0, 0, 16), Ok(0));
    assert_eq!(fixture.refs(1, 0, 1), Err(Errno::EIO));
    fixture.device(fixture.ioas).unwrap();
    fixture.map(4);
    assert_eq!(fixture.refs(1, 0, 4), Ok(0));
    assert_eq!(fixture.refs(1, 0, 5), Err(Errno::EIO));
    assert_eq!(fixture.refs(0, 4, 1), Ok(0));
    let other = fixture.new_ioas();
    fixture.map_at(other, BASE + 2 * PAGE, 4 * PAGE, IOVA, true);
    fixture.device(other).unwrap();
    assert_eq!(fixture.refs(2, 2, 2), Ok(0));
    assert_eq!(fixture.refs(1, 4, 2), Ok(0));
    for (uptr, length, errno) in [
        (BASE + 1, PAGE, Errno::EINVAL),
        (BASE, PAGE + 1, Errno::EINVAL),
        (u64::MAX - PAGE + 1, PAGE, Errno::EINVAL),
        (BASE - PAGE, PAGE, Errno::EFAULT),
    ] {
        let check = crate::uapi::test::CheckRefs { uptr, length, refs: 0, padding: 0 };
        assert_eq!(fixture.op(0, check).err(), Some(errno), "{uptr:#x}");
    }
    assert_eq!(fixture.refs(9, 0, 0), Ok(0));
    fixture.close();
}

#[test]
fn large_pages_are_not_counted() {
    let fixture = Fixture::of(Process::with_pages_of(2 << 20));
    assert_eq!(fixture.refs(9, 0, 16), Ok(0));
}

fn dirty(fixture: &Fixture, hwpt: u32, page_size: u64, bitmap: &[u8]) -> Result<u64, Errno> {
    let uptr = BASE + 510 * PAGE;
    fixture.process.write(uptr, bitmap);
    let length = page_size * bitmap.len() as u64 * 8;
    let op = Dirty { iova: IOVA, length, page_size, uptr, ..Default::default() };
    fixture.op(hwpt, op).map(|(_, answer)| answer.out_nr_dirty)
}

fn bitmap(
    fixture: &Fixture,
    hwpt: u32,
    page_size: u64,
    bytes: usize,
    flags: HwptGetDirtyBitmapFlags,
) -> Vec<u8> {
    let data = BASE + 511 * PAGE;
    fixture.process.write(data, &vec![0; bytes]);
    let length = page_size * bytes as u64 * 8;
    let mut get = HwptGetDirtyBitmap {
        hwpt_id: hwpt,
        iova: IOVA,
        length,
        page_size,
        data,
        flags,
        ..Default::default()
    };
    assert_eq!(fixture.process.ioctl(fixture.file(), &mut get), Ok(0));
    fixture.process.read(data, bytes)
}

#[test]
fn a_write_shows_as_its_leaf() {
    let fixture = Fixture::new();
    let device = fixture.device(fixture.ioas).unwrap();
    let hwpt = fixture.paging(device.out_idev_id, HwptAllocFlags::DIRTY_TRACKING).unwrap();
    // Small mappings, so that leaves are pages.
    for page in 0..8 {
        fixture.map_at(fixture.ioas, BASE + page * PAGE, PAGE, IOVA + page * PAGE, true);
    }
    fixture.map_at(fixture.ioas, BASE + 8 * PAGE, 8 * PAGE, IOVA + 8 * PAGE, true);
    assert_eq!(dirty(&fixture, hwpt, PAGE, &[1]), Err(Errno::EINVAL), "tracking is off");
    let mut set = HwptSetDirtyTracking {
        hwpt_id: hwpt,
        flags: HwptSetDirtyTrackingFlags::ENABLE,
        ..Default::default()
    };
    assert_eq!(fixture.process.ioctl(fixture.file(), &mut set), Ok(0));
    assert_eq!(dirty(&fixture, hwpt, PAGE, &[0x05, 0x10, 0x80]), Ok(4), "unmapped ones are counted");
    let keep = HwptGetDirtyBitmapFlags::NO_CLEAR;
    assert_eq!(bitmap(&fixture, hwpt, PAGE, 3, keep), [0x05, 0xff, 0]);
    assert_eq!(bitmap(&fixture, hwpt, PAGE, 3, Default::default()), [0x05, 0xff, 0]);
    assert_eq!(bitmap(&fixture, hwpt, PAGE, 3, Default::default()), [0, 0, 0]);
    assert_eq!(dirty(&fixture, hwpt, 2048, &[0x02]), Ok(1));
    assert_eq!(bitmap(&fixture, hwpt, 2048, 1, Default::default()), [0x03]);
    for op in [
        Dirty { iova: IOVA, length: PAGE, page_size: 0, uptr: BASE, ..Default::default() },
        Dirty { iova: IOVA, length: 0, page_size: PAGE, uptr: BASE, ..Default::default() },
        Dirty { iova: IOVA + 1, length: PAGE, page_size: PAGE, uptr: BASE, ..Default::default() },
        Dirty { iova: IOVA, length: PAGE + 1, page_size: PAGE, uptr: BASE, ..Default::default() },
        Dirty { iova: IOVA, length: PAGE, page_size: PAGE, uptr: 0, ..Default::default() },
    ] {
        assert_eq!(fixture.op(hwpt, op).err(), Some(Errno::EINVAL), "{op:?}");
    }
    for (length, uptr, errno) in
        [(1 << 40, BASE, Errno::ENOMEM), (16, 8, Errno::EFAULT), (1 << 33, BASE, Errno::EFAULT)]
    {
        let op = Dirty { iova: IOVA, length, page_size: 1, uptr, ..Default::default() };
        assert_eq!(fixture.op(hwpt, op).err(), Some(errno), "{length:#x}");
    }
    fixture.close();
}

#[test]
fn the_huge_format_has_two_sizes() {
    let fixture = Fixture::new();
    let device = fixture.device_with(fixture.ioas, MockDeviceFlags::empty()).unwrap();
    let data_uptr = BASE + 500 * PAGE;
    let alloc = |pagetable_type: u32| {
        let data = HwptSelftest { iotlb: 0, pagetable_type };
        fixture.process.write(data_uptr, data.as_bytes());
        fixture.hwpt(HwptAlloc {
            dev_id: device.out_idev_id,
            pt_id: fixture.ioas,
            flags: HwptAllocFlags::DIRTY_TRACKING,
            data_type: HWPT_DATA_SELFTEST,
            data_len: 8,
            data_uptr,
            ..Default::default()
        })
    };
    assert_eq!(alloc(2).err(), Some(Errno::EOPNOTSUPP));
    let hwpt = alloc(MOCK_IOMMUPT_HUGE).unwrap();
    // One 1-MiB leaf and pages around it.
    fixture.map_at(fixture.ioas, BASE, 0x10_1000, IOVA, true);
    let mut set = HwptSetDirtyTracking {
        hwpt_id: hwpt,
        flags: HwptSetDirtyTrackingFlags::ENABLE,
        ..Default::default()
    };
    assert_eq!(fixture.process.ioctl(fixture.file(), &mut set), Ok(0));
    assert_eq!(dirty(&fixture, hwpt, PAGE, &[0x20]), Ok(1));
    let mut expected = vec![0xff; 32];
    expected.push(0);
    assert_eq!(bitmap(&fixture, hwpt, PAGE, 33, Default::default()), expected);
    fixture.close();
}
