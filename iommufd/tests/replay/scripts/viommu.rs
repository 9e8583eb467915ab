//! Fixture `iommufd_viommu`: a mock vIOMMU, or none.

use iommufd::uapi::test::{MOCK_IOMMUPT_DEFAULT, TestInvalidateFlags, ViommuInvalidateSelftest};
use iommufd::uapi::{Command, HwptInvalidate};

use super::{hwpt_data, store};
use crate::recording::Kind;
use crate::script::Script;

pub fn write(script: &mut Script, variant: &str, test: &str) {
    match (variant, test) {
        // Without a vIOMMU there is little to do.
        ("no_viommu", _) => {}
        ("mock_viommu", "vdevice_cache") => {
            hwpt_data(script, MOCK_IOMMUPT_DEFAULT);
            vdevice_cache(script);
        }
        (
            "mock_viommu",
            "hw_queue" | "vdevice_tombstone" | "viommu_alloc_nested_iopf" | "viommu_auto_destroy",
        ) => {
            hwpt_data(script, MOCK_IOMMUPT_DEFAULT);
        }
        _ => panic!("no script for {variant}, {test}"),
    }
}

fn vdevice_cache(script: &mut Script) {
    const BAD: u32 = u32::MAX;
    const ID: u32 = 0x99;
    let all = TestInvalidateFlags::ALL.bits();
    // The two entries (flags, device, entry of its cache) at each call.
    let entries: [[(u32, u32, u32); 2]; 14] = [
        [(0, 0, 0), (0, 0, 0)],
        [(0, 0, 0), (0, 0, 0)],
        [(0, 0, 0), (0, 0, 0)],
        [(0, 0, 0), (0, 0, 0)],
        [(BAD, ID, 0), (0, 0, 0)],
        [(0, ID, 0), (0, 0, 0)],
        [(0, ID, 0), (0, 0, 0)],
        [(0, ID, 4), (0, 0, 0)],
        [(0, 0x9, 0), (0, 0, 0)],
        [(0, ID, 0), (BAD, ID, 1)],
        [(0, ID, 0), (0, ID, 4)],
        [(0, ID, 1), (0, ID, 4)],
        [(0, ID, 2), (0, ID, 3)],
        [(all, ID, 2), (0, ID, 3)],
    ];
    for (nth, entries) in entries.into_iter().enumerate() {
        let entries = entries.map(|(flags, vdev_id, cache_id)| ViommuInvalidateSelftest {
            flags: TestInvalidateFlags::from_bits_retain(flags),
            vdev_id,
            cache_id,
        });
        script.before(Kind::Ioctl(HwptInvalidate::REQUEST), nth, move |world, call| {
            let address = call.structure::<HwptInvalidate>().data_uptr;
            if address != 0 {
                store(&world.main(), address, &entries);
            }
        });
    }
}
