pub(crate) mod process;

mod access;
mod check;
mod device;
mod dmabuf;
mod report;
mod scenario;
mod threads;

use std::sync::Arc;

use self::process::{BASE, PAGE, Process};
use crate::ctx::Iommufd;
use crate::errno::{Errno, Result};
use crate::fault_point::{arm, remaining};
use crate::file::File;
use crate::host::{Host, Options};
use crate::uapi::test::{self as op, MockDeviceFlags, MockDomain, MockDomainFlags, TestCmd};
use crate::uapi::{self, HwptAllocFlags, IoasMapFlags};

/// An IOVA in the mock's aperture.
const IOVA: u64 = 0x100_0000;

/// A process that opened an iommufd and made an IOAS.
struct Fixture {
    host: Arc<Host>,
    process: Process,
    /// Closed before the process goes.
    file: Option<Arc<Iommufd>>,
    ioas: u32,
}

impl Fixture {
    fn new() -> Self {
        Self::of(Process::new())
    }

    fn of(process: Process) -> Self {
        let host = Host::new(Options { selftest: true, ..Options::default() });
        let file = host.open();
        let mut fixture = Self { host, process, file: Some(file), ioas: 0 };
        fixture.ioas = fixture.new_ioas();
        fixture
    }

    fn file(&self) -> &Iommufd {
        self.file.as_deref().unwrap()
    }

    fn new_ioas(&self) -> u32 {
        let mut alloc = uapi::IoasAlloc::default();
        assert_eq!(self.process.ioctl(self.file(), &mut alloc), Ok(0));
        alloc.out_ioas_id
    }

    fn destroy(&self, id: u32) -> Result<i64> {
        self.process.ioctl(self.file(), &mut uapi::Destroy { id, ..Default::default() })
    }

    fn map_at(&self, ioas: u32, user_va: u64, length: u64, iova: u64, writeable: bool) {
        let mut flags = IoasMapFlags::FIXED_IOVA | IoasMapFlags::READABLE;
        flags.set(IoasMapFlags::WRITEABLE, writeable);
        let mut map = uapi::IoasMap { flags, ioas_id: ioas, user_va, length, iova, ..Default::default() };
        assert_eq!(self.process.ioctl(self.file(), &mut map), Ok(0));
    }

    fn try_map_at(&self, ioas_id: u32, user_va: u64, length: u64, iova: u64) -> Result<i64> {
        let flags = IoasMapFlags::FIXED_IOVA | IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE;
        let mut map = uapi::IoasMap { flags, ioas_id, user_va, length, iova, ..Default::default() };
        self.process.ioctl(self.file(), &mut map)
    }

    /// Maps the process's memory from its first page on.
    fn map(&self, pages: u64) {
        self.map_at(self.ioas, BASE, pages * PAGE, IOVA, true);
    }

    fn unmap(&self, iova: u64, length: u64) -> Result<i64> {
        let mut unmap = uapi::IoasUnmap { ioas_id: self.ioas, iova, length, ..Default::default() };
        self.process.ioctl(self.file(), &mut unmap)
    }

    fn op<T: op::Operation>(&self, id: u32, parameters: T) -> Result<(i64, T)> {
        self.process.test(self.file(), id, parameters)
    }

    /// Makes a mock device attached to `pt_id`.
    fn device(&self, pt_id: u32) -> Result<MockDomain> {
        self.op(pt_id, MockDomain::default()).map(|(_, answer)| answer)
    }

    fn device_with(&self, pt_id: u32, dev_flags: MockDeviceFlags) -> Result<MockDomainFlags> {
        self.op(pt_id, MockDomainFlags { dev_flags, ..Default::default() }).map(|(_, answer)| answer)
    }

    fn hwpt(&self, mut alloc: uapi::HwptAlloc) -> Result<u32> {
        self.process.ioctl(self.file(), &mut alloc)?;
        Ok(alloc.out_hwpt_id)
    }

    fn paging(&self, dev_id: u32, flags: HwptAllocFlags) -> Result<u32> {
        self.hwpt(uapi::HwptAlloc { dev_id, pt_id: self.ioas, flags, ..Default::default() })
    }

    /// A nested HWPT over a parent or virtual IOMMU, its cache full of 7.
    fn nested(&self, dev_id: u32, pt_id: u32, alloc: uapi::HwptAlloc) -> Result<u32> {
        let data_uptr = BASE + 500 * PAGE;
        self.process.write(data_uptr, &7u32.to_ne_bytes());
        self.hwpt(uapi::HwptAlloc {
            dev_id,
            pt_id,
            data_type: op::HWPT_DATA_SELFTEST,
            data_len: 4,
            data_uptr,
            ..alloc
        })
    }

    fn refs(&self, refs: u32, page: u64, pages: u64) -> Result<i64> {
        let check = op::CheckRefs { uptr: BASE + page * PAGE, length: pages * PAGE, refs, padding: 0 };
        self.op(0, check).map(|(value, _)| value)
    }

    /// Closes everything and looks for what stayed behind.
    fn close(mut self) {
        let ctx = self.file.take().map(|file| Arc::downgrade(file.ctx()));
        self.process.close_all();
        assert_eq!(ctx.map(|ctx| ctx.strong_count()), Some(0), "the context stayed behind");
        assert!(self.host.frames.is_empty(), "a pin stayed behind");
        let selftest = self.host.selftest.as_ref().unwrap();
        assert_eq!(selftest.take_number(), Ok(0), "a device stayed behind");
    }
}

/// Makes each step of `attempt` fail in turn, until none does. Where it failed, `undone` looks that
/// nothing has happened.
fn fail_each_step(mut attempt: impl FnMut() -> bool, undone: impl Fn()) -> u32 {
    let mut nth = 1;
    loop {
        arm(nth);
        let done = attempt();
        let failed = remaining() == 0;
        arm(0);
        if !failed {
            assert!(done, "no step failed");
            return nth;
        }
        assert!(!done, "step {nth} failed");
        undone();
        nth += 1;
    }
}

#[test]
fn what_is_not_known_is_not_supported() {
    let fixture = Fixture::new();
    for number in [0, 24, u32::MAX] {
        let mut command = TestCmd { op: number, ..Default::default() };
        assert_eq!(fixture.process.ioctl(fixture.file(), &mut command), Err(Errno::EOPNOTSUPP));
    }
    fixture.close();
}

#[test]
fn without_the_self_tests_there_is_no_such_call() {
    let file = Host::new(Options::default()).open();
    let process = Process::new();
    assert_eq!(process.ioctl(&file, &mut TestCmd::default()), Err(Errno::ENOTTY));
    // Its number is not in the table then, so nothing looks where the argument is.
    let last = uapi::ioctl::IOAS_NOIOMMU_GET_PA;
    for (request, errno) in
        [(uapi::ioctl::TEST_CMD, Errno::ENOTTY), (last + 1, Errno::ENOTTY), (last, Errno::EFAULT)]
    {
        assert_eq!(file.ioctl(&process.caller(), request, 0), Err(errno), "{request:#x}");
    }
}

#[test]
fn the_memory_limit_holds_one_entry() {
    let fixture = Fixture::new();
    for (limit, outcome) in [(11, Err(Errno::EINVAL)), (12, Ok(0)), (65536, Ok(0)), (0, Err(Errno::EINVAL))] {
        assert_eq!(fixture.op(0, op::MemoryLimit { limit }).map(|(value, _)| value), outcome);
    }
}

#[test]
fn a_reservation_stays_off_what_is_mapped() {
    let fixture = Fixture::new();
    fixture.map(2);
    for (id, start, length, outcome) in [
        (fixture.ioas, IOVA, 0, Err(Errno::EINVAL)),
        (fixture.ioas, u64::MAX, 2, Err(Errno::EOVERFLOW)),
        (77, IOVA, 1, Err(Errno::ENOENT)),
        (fixture.ioas, IOVA + 2 * PAGE - 1, 1, Err(Errno::EADDRINUSE)),
        (fixture.ioas, IOVA + 2 * PAGE, PAGE, Ok(0)),
        (fixture.ioas, IOVA + 2 * PAGE, 2 * PAGE, Ok(0)),
        (fixture.ioas, u64::MAX, 1, Ok(0)),
    ] {
        let found = fixture.op(id, op::AddReserved { start, length }).map(|(value, _)| value);
        assert_eq!(found, outcome, "{start:#x} {length}");
    }
    fixture.close();
}

#[test]
fn a_copy_may_count_its_source() {
    let fixture = Fixture::new();
    let target = fixture.new_ioas();
    fixture.map(1);
    fixture.map_at(fixture.ioas, BASE + 4 * PAGE, 4 * PAGE, IOVA + 8 * PAGE, true);
    let copy = |source: u64, flag: u32| {
        let mut copy = uapi::IoasCopy {
            flags: IoasMapFlags::FIXED_IOVA | IoasMapFlags::READABLE | IoasMapFlags::from_bits_retain(flag),
            dst_ioas_id: target,
            src_ioas_id: fixture.ioas,
            length: PAGE,
            dst_iova: IOVA,
            src_iova: source,
            ..Default::default()
        };
        fixture.process.ioctl(fixture.file(), &mut copy)
    };
    let second_page_of_second_area = 1 | PAGE << 32;
    assert_eq!(copy(second_page_of_second_area, 1 << 17), Err(Errno::EOPNOTSUPP));
    assert_eq!(copy(2, 1 << 16), Err(Errno::ENOENT), "no third area");
    assert_eq!(copy(second_page_of_second_area, 1 << 16), Ok(0));
    let device = fixture.device(target).unwrap();
    let check = op::CheckMap { iova: IOVA, length: PAGE, uptr: BASE + 5 * PAGE };
    assert_eq!(fixture.op(device.out_hwpt_id, check).map(|(value, _)| value), Ok(0));
    fixture.close();
}
