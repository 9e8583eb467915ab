//! `IOMMU_HWPT_INVALIDATE`.

use crate::device::fake::{BUFFER, NESTED, VIOMMU, World};
use crate::errno::Errno;
use crate::uapi::{self, HwptAllocFlags};

#[test]
fn how_far_it_went_is_told_whatever_came_of_it() {
    let world = World::new();
    let device = world.bound("a");
    let ioas = world.ioas();
    let on = |flags, pt_id, data_len| {
        let args = uapi::HwptAlloc {
            flags,
            dev_id: device.id(),
            pt_id,
            data_type: if data_len == 0 { 0 } else { NESTED },
            data_len,
            data_uptr: BUFFER,
            ..Default::default()
        };
        world.hwpt(args).unwrap()
    };
    let parent = on(HwptAllocFlags::NEST_PARENT, ioas, 0);
    let nested = on(HwptAllocFlags::empty(), parent, 4);
    let mut viommu =
        uapi::ViommuAlloc { type_: VIOMMU, dev_id: device.id(), hwpt_id: parent, ..Default::default() };
    world.call(&mut viommu).unwrap();
    world.put(BUFFER, &[0_u8, 2, 4, 5, 6]);
    for object in [nested, viommu.out_viommu_id] {
        let good = uapi::HwptInvalidate {
            hwpt_id: object,
            data_uptr: BUFFER,
            data_type: NESTED,
            entry_len: 1,
            entry_num: 3,
            ..Default::default()
        };
        for (mut args, expected, done) in [
            (good, Ok(0), 3),
            (uapi::HwptInvalidate { entry_num: 5, ..good }, Err(Errno::EIO), 3),
            (uapi::HwptInvalidate { entry_num: 0, data_uptr: 0, entry_len: 0, ..good }, Ok(0), 0),
            (uapi::HwptInvalidate { reserved: 1, ..good }, Err(Errno::EOPNOTSUPP), 0),
            (uapi::HwptInvalidate { data_uptr: 0, hwpt_id: 99, ..good }, Err(Errno::EINVAL), 0),
            (uapi::HwptInvalidate { entry_len: 0, hwpt_id: 99, ..good }, Err(Errno::EINVAL), 0),
            (uapi::HwptInvalidate { entry_len: 4097, hwpt_id: 99, ..good }, Err(Errno::EINVAL), 0),
            (uapi::HwptInvalidate { entry_num: 0x8_0001, hwpt_id: 99, ..good }, Err(Errno::EINVAL), 0),
            (uapi::HwptInvalidate { hwpt_id: 99, ..good }, Err(Errno::ENOENT), 0),
            (uapi::HwptInvalidate { hwpt_id: parent, ..good }, Err(Errno::EINVAL), 0),
            (uapi::HwptInvalidate { hwpt_id: ioas, ..good }, Err(Errno::EINVAL), 0),
            (uapi::HwptInvalidate { data_type: NESTED + 1, ..good }, Err(Errno::EINVAL), 0),
            (uapi::HwptInvalidate { data_uptr: 0x10, ..good }, Err(Errno::EFAULT), 0),
        ] {
            let result = world.call(&mut args);
            assert_eq!((result, args.entry_num), (expected, done), "{args:?}");
        }
    }
}
