//! Dirty tracking, and the bitmap's bits one by one.

use std::sync::Arc;

use crate::device::BoundDevice;
use crate::device::fake::{BUFFER, FakeDomain, World};
use crate::driver::DirtyTracking;
use crate::errno::Errno;
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::{self, HwptAllocFlags, HwptGetDirtyBitmapFlags, HwptSetDirtyTrackingFlags};

const IOVA: u64 = 0x40_0000;

struct Setup {
    world: World,
    _device: BoundDevice,
    ioas: u32,
    hwpt: u32,
    domain: Arc<FakeDomain>,
}

impl Setup {
    /// An IOAS with 64 pages mapped at [`IOVA`], all of them the last page of the buffer.
    fn new() -> Self {
        let world = World::new();
        let device = world.bound("a");
        let ioas = world.ioas();
        let hwpt = world.hwpt(uapi::HwptAlloc {
            flags: HwptAllocFlags::DIRTY_TRACKING,
            dev_id: device.id(),
            pt_id: ioas,
            ..Default::default()
        });
        let domain = world.driver.domains().remove(0);
        for page in 0..64 {
            world.map(ioas, IOVA + page * 0x1000, BUFFER + 0xf000, 0x1000).unwrap();
        }
        let setup = Self { world, _device: device, ioas, hwpt: hwpt.unwrap(), domain };
        setup.track(HwptSetDirtyTrackingFlags::ENABLE).unwrap();
        setup
    }

    fn track(&self, flags: HwptSetDirtyTrackingFlags) -> Result<i64, Errno> {
        let mut args = uapi::HwptSetDirtyTracking { flags, hwpt_id: self.hwpt, ..Default::default() };
        self.world.call(&mut args)
    }

    /// Devices write pages `first..=last`, in one leaf.
    fn write(&self, first: u64, last: u64) {
        let leaf = Span { start: IOVA + first * 0x1000, last: IOVA + last * 0x1000 + 0xfff };
        lock(&self.domain.dirty).as_mut().unwrap().push(leaf);
    }

    fn written(&self) -> usize {
        lock(&self.domain.dirty).as_ref().unwrap().len()
    }

    fn args(&self) -> uapi::HwptGetDirtyBitmap {
        uapi::HwptGetDirtyBitmap {
            hwpt_id: self.hwpt,
            iova: IOVA,
            length: 64 * 0x1000,
            page_size: 0x1000,
            data: BUFFER,
            ..Default::default()
        }
    }

    fn read(&self, args: uapi::HwptGetDirtyBitmap) -> Result<i64, Errno> {
        self.world.call(&mut { args })
    }
}

#[test]
fn bits_are_ored_into_any_byte() {
    let setup = Setup::new();
    for data in [BUFFER, BUFFER + 1, BUFFER + 7, BUFFER + 0xffc] {
        setup.world.put(BUFFER, [0_u8; 0x2000].as_slice());
        setup.world.put(data, &[0x04_u8, 0, 0, 0, 0, 0, 0, 0x10]);
        for (first, last) in [(0, 0), (3, 9), (16, 40), (63, 63)] {
            setup.write(first, last);
        }
        assert_eq!(setup.read(uapi::HwptGetDirtyBitmap { data, ..setup.args() }), Ok(0));
        let expected = [0xfd, 0x03, 0xff, 0xff, 0xff, 0x01, 0x00, 0x90];
        assert_eq!(setup.world.bytes(data, 8), expected, "{data:#x}");
        assert_eq!(setup.world.bytes(data + 8, 1), [0], "{data:#x}");
        assert_eq!(setup.written(), 0);
    }
}

#[test]
fn what_is_kept_is_read_again() {
    let setup = Setup::new();
    setup.write(5, 5);
    let keep = uapi::HwptGetDirtyBitmap { flags: HwptGetDirtyBitmapFlags::NO_CLEAR, ..setup.args() };
    for (args, left) in [(keep, 1), (keep, 1), (setup.args(), 0)] {
        setup.world.put(BUFFER, &[0_u8; 8]);
        assert_eq!(setup.read(args), Ok(0));
        assert_eq!(setup.world.bytes(BUFFER, 1), [0x20]);
        assert_eq!(setup.written(), left);
    }
    setup.world.put(BUFFER, &[0_u8; 8]);
    assert_eq!(setup.read(setup.args()), Ok(0));
    assert_eq!(setup.world.bytes(BUFFER, 8), [0; 8]);
}

#[test]
fn a_bit_may_be_less_or_more_than_a_page() {
    let setup = Setup::new();
    setup.write(2, 2);
    assert_eq!(setup.read(uapi::HwptGetDirtyBitmap { page_size: 0x4000, ..setup.args() }), Ok(0));
    assert_eq!(setup.world.bytes(BUFFER, 2), [1, 0]);
    setup.world.put(BUFFER, &[0_u8; 64]);
    setup.write(2, 2);
    assert_eq!(setup.read(uapi::HwptGetDirtyBitmap { page_size: 0x800, ..setup.args() }), Ok(0));
    assert_eq!(setup.world.bytes(BUFFER, 2), [0x30, 0]);
}

#[test]
fn a_leaf_past_the_window_is_carried_on() {
    let setup = Setup::new();
    // With a bit to a byte, 64 pages take eight pages of bitmap: several windows.
    setup.write(0, 63);
    let args = uapi::HwptGetDirtyBitmap { page_size: 1, data: BUFFER + 1, ..setup.args() };
    assert_eq!(setup.read(args), Ok(0));
    assert_eq!(setup.world.bytes(BUFFER, 1), [0]);
    assert_eq!(setup.world.bytes(BUFFER + 1, 0x8000), vec![0xff; 0x8000]);
    assert_eq!(setup.world.bytes(BUFFER + 0x8001, 1), [0]);
}

#[test]
fn a_bitmap_is_filled_up_to_the_hole_in_it() {
    let setup = Setup::new();
    setup.world.memory.0.unmap(BUFFER + 0x3000);
    setup.write(0, 23);
    setup.write(30, 31);
    setup.write(50, 50);
    assert_eq!(setup.read(uapi::HwptGetDirtyBitmap { page_size: 1, ..setup.args() }), Ok(0));
    assert_eq!(setup.world.bytes(BUFFER, 0x3000), vec![0xff; 0x3000]);
    assert_eq!(setup.written(), 2, "what has no place stays with the domain");
}

#[test]
fn holes_end_the_walk_and_are_not_told() {
    let setup = Setup::new();
    setup.world.unmap(setup.ioas, IOVA + 0x8000, 0x1000).unwrap();
    setup.write(3, 3);
    setup.write(20, 20);
    assert_eq!(setup.read(setup.args()), Ok(0));
    assert_eq!(setup.world.bytes(BUFFER, 8), [8, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(setup.written(), 1, "what is behind the hole stays");
    let missing =
        uapi::HwptGetDirtyBitmap { data: 0x10, iova: IOVA + 0x9000, length: 0x10000, ..setup.args() };
    assert_eq!(setup.read(missing), Ok(0));
    assert_eq!(setup.written(), 1, "without a place nothing is taken");
    let wrapping = uapi::HwptGetDirtyBitmap { data: u64::MAX, ..missing };
    assert_eq!(setup.read(wrapping), Ok(0));
    assert_eq!(setup.track(HwptSetDirtyTrackingFlags::empty()), Ok(0));
    assert!(!setup.domain.enabled());
    assert_eq!(setup.read(setup.args()), Ok(0), "nor is it told that tracking is off");
    setup.track(HwptSetDirtyTrackingFlags::ENABLE).unwrap();
    assert_eq!(setup.written(), 0);
}

#[test]
fn ranges_that_are_refused() {
    let setup = Setup::new();
    let good = setup.args();
    let plain = setup.world.hwpt(uapi::HwptAlloc {
        dev_id: setup._device.id(),
        pt_id: setup.ioas,
        ..Default::default()
    });
    let plain = plain.unwrap();
    let flags = HwptGetDirtyBitmapFlags::from_bits_retain(2);
    for (args, errno) in [
        (uapi::HwptGetDirtyBitmap { flags, hwpt_id: 99, ..good }, Errno::EOPNOTSUPP),
        (uapi::HwptGetDirtyBitmap { reserved: 1, hwpt_id: 99, ..good }, Errno::EOPNOTSUPP),
        (uapi::HwptGetDirtyBitmap { hwpt_id: 99, iova: 1, ..good }, Errno::ENOENT),
        (uapi::HwptGetDirtyBitmap { hwpt_id: setup.ioas, ..good }, Errno::ENOENT),
        (uapi::HwptGetDirtyBitmap { iova: !0xfff, length: 0x2000, ..good }, Errno::EOVERFLOW),
        (uapi::HwptGetDirtyBitmap { length: 0, ..good }, Errno::EOVERFLOW),
        (uapi::HwptGetDirtyBitmap { iova: IOVA + 0x800, ..good }, Errno::EINVAL),
        (uapi::HwptGetDirtyBitmap { length: 0x800, ..good }, Errno::EINVAL),
        (uapi::HwptGetDirtyBitmap { page_size: 0, ..good }, Errno::EINVAL),
        (uapi::HwptGetDirtyBitmap { page_size: 0x2000, iova: IOVA + 0x1000, ..good }, Errno::EINVAL),
        (uapi::HwptGetDirtyBitmap { page_size: 0x2000, length: 0x1000, ..good }, Errno::EINVAL),
        (uapi::HwptGetDirtyBitmap { hwpt_id: plain, iova: 1, ..good }, Errno::EINVAL),
        (uapi::HwptGetDirtyBitmap { hwpt_id: plain, ..good }, Errno::EOPNOTSUPP),
    ] {
        assert_eq!(setup.read(args), Err(errno), "{args:?}");
    }
    assert_eq!(setup.read(uapi::HwptGetDirtyBitmap { iova: 0, length: 0, ..good }), Ok(0));
    for (flags, hwpt_id, errno) in
        [(2, 99, Errno::EOPNOTSUPP), (1, 99, Errno::ENOENT), (1, plain, Errno::EOPNOTSUPP)]
    {
        let flags = HwptSetDirtyTrackingFlags::from_bits_retain(flags);
        let mut args = uapi::HwptSetDirtyTracking { flags, hwpt_id, ..Default::default() };
        assert_eq!(setup.world.call(&mut args), Err(errno));
    }
}
