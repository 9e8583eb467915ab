//! `IOMMU_GET_HW_INFO`, and what refused DMA leaves behind.

use crate::device::fake::{BUFFER, HW_INFO, World};
use crate::driver::{DeviceCaps, DmaFault};
use crate::errno::Errno;
use crate::sync::lock;
use crate::uapi::{self, HwCapabilities, HwInfoFlags};

#[test]
fn the_buffer_is_filled_and_the_rest_of_it_zeroed() {
    let world = World::new();
    let device = world.bound("a");
    for room in [0_u32, 2, 4, 7, 5000] {
        world.put(BUFFER, [0xaa_u8; 5001].as_slice());
        let mut args = uapi::HwInfo {
            dev_id: device.id(),
            data_len: room,
            data_uptr: BUFFER,
            out_data_type: 0x1234,
            ..Default::default()
        };
        assert_eq!(world.call(&mut args), Ok(0));
        assert_eq!((args.data_len, args.out_data_type), (4, HW_INFO));
        let mut expected = vec![1, 2, 3, 4];
        expected.resize(expected.len().max(room as usize), 0);
        expected.truncate(room as usize);
        expected.push(0xaa);
        assert_eq!(world.bytes(BUFFER, room as usize + 1), expected);
    }
}

#[test]
fn capabilities_are_what_the_driver_can_do() {
    for (caps, expected, bits) in [
        (DeviceCaps::default(), HwCapabilities::empty(), 0),
        (
            DeviceCaps { dirty_tracking: true, no_ats: true, pasid_bits: 20, ..Default::default() },
            HwCapabilities::DIRTY_TRACKING | HwCapabilities::PCI_ATS_NOT_SUPPORTED,
            20,
        ),
    ] {
        let world = World::new();
        *lock(&world.driver.caps) = DeviceCaps { isolated_msi: true, ..caps };
        let device = world.bound("a");
        let mut args = uapi::HwInfo { dev_id: device.id(), ..Default::default() };
        world.call(&mut args).unwrap();
        assert_eq!((args.out_capabilities, args.out_max_pasid_log2), (expected, bits));
    }
}

#[test]
fn questions_that_are_refused() {
    let world = World::new();
    let device = world.bound("a");
    let good = uapi::HwInfo { dev_id: device.id(), ..Default::default() };
    let typed = |kind| uapi::HwInfo { flags: HwInfoFlags::INPUT_TYPE, out_data_type: kind, ..good };
    for (mut args, expected) in [
        (uapi::HwInfo { flags: HwInfoFlags::from_bits_retain(2), ..good }, Err(Errno::EOPNOTSUPP)),
        (uapi::HwInfo { reserved: [0, 1, 0], ..good }, Err(Errno::EOPNOTSUPP)),
        (uapi::HwInfo { dev_id: 9, ..good }, Err(Errno::ENOENT)),
        (uapi::HwInfo { data_len: 1, data_uptr: 0x10, ..good }, Err(Errno::EFAULT)),
        (uapi::HwInfo { data_len: 0x2_0000, data_uptr: BUFFER, ..good }, Err(Errno::EFAULT)),
        (uapi::HwInfo { data_len: 8, data_uptr: u64::MAX - 4, ..good }, Err(Errno::EFAULT)),
        (typed(0), Ok(0)),
        (typed(HW_INFO), Ok(0)),
        (typed(HW_INFO + 1), Err(Errno::EOPNOTSUPP)),
    ] {
        assert_eq!(world.call(&mut args), expected, "{args:?}");
    }
}

#[test]
fn refused_dma_is_kept_for_whoever_looks() {
    let world = World::new();
    let device = world.device("a", None);
    let fault = |address| DmaFault {
        device: Some(device.id()),
        source: 8,
        pasid: None,
        address,
        write: true,
        reason: 5,
    };
    for address in 0..1030 {
        world.driver.events().dma_fault(fault(address));
    }
    let log = world.host.take_dma_faults();
    assert_eq!((log.faults.len(), log.lost), (1024, 6));
    assert_eq!((log.faults[0].address, log.faults[1023].address), (6, 1029));
    assert_eq!(world.host.take_dma_faults(), Default::default());
}
