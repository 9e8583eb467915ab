use std::sync::Arc;

use devices::addr::{Iova, PAGE_SIZE};
use zerocopy::IntoBytes;

use super::access::{Access, AccessFlags, AccessOps, AccessRw, LockedPin};
use super::*;
use crate::accounting::Charged;
use crate::driver::PagingDomain;
use crate::fault_point;
use crate::host::{Host, Options};
use crate::io_pagetable::ReservedBy;
use crate::pages::dmabuf::DmaBufFile;
use crate::pages::fake::{FakeDmaBuf, FakeDomain, FakeObject, FakeProcess};
use crate::process::{Capabilities, UserMemory};
use crate::uapi::{
    IoasAlloc, IoasAllowIovas, IoasChangeProcess, IoasCopy, IoasIovaRanges, IoasMap, IoasMapFile,
    IoasMapFlags, IoasUnmap, IommuOption, IovaRange, OPTION_HUGE_PAGES, OPTION_OP_GET, OPTION_OP_SET,
    OPTION_RLIMIT_MODE,
};
use crate::{Ctx, Iommufd};

const PAGE: u64 = PAGE_SIZE;
const RW: IoasMapFlags = IoasMapFlags::READABLE.union(IoasMapFlags::WRITEABLE);
const FIXED: IoasMapFlags = RW.union(IoasMapFlags::FIXED_IOVA);

/// A process with an open iommufd.
struct Opened {
    host: Arc<Host>,
    process: FakeProcess,
    iommufd: Arc<Iommufd>,
}

impl Opened {
    fn new() -> Self {
        let host = Host::new(Options::default());
        Self { iommufd: host.open(), process: FakeProcess::new(64), host }
    }

    fn ctx(&self) -> &Arc<Ctx> {
        self.iommufd.ctx()
    }

    fn ioctl<T: uapi::Command>(&self, args: &mut T) -> Result<i64> {
        self.process.ioctl(&*self.iommufd, args)
    }

    fn alloc(&self) -> u32 {
        let mut args = IoasAlloc::default();
        assert_eq!(self.ioctl(&mut args), Ok(0));
        args.out_ioas_id
    }

    fn ioas(&self, id: u32) -> Ref<Ioas> {
        self.ctx().objects.get(id).expect("an IOAS")
    }

    fn map(&self, ioas_id: u32, flags: IoasMapFlags, user_va: u64, length: u64, iova: u64) -> Result<u64> {
        let mut args = IoasMap { flags, ioas_id, user_va, length, iova, ..IoasMap::default() };
        self.ioctl(&mut args).map(|_| args.iova)
    }

    fn map_file(&self, ioas_id: u32, fd: i32, start: u64, length: u64) -> Result<u64> {
        let mut args = IoasMapFile { flags: RW, ioas_id, fd, start, length, ..IoasMapFile::default() };
        self.ioctl(&mut args).map(|_| args.iova)
    }

    fn unmap(&self, ioas_id: u32, iova: u64, length: u64) -> Result<u64> {
        let mut args = IoasUnmap { ioas_id, iova, length, ..IoasUnmap::default() };
        self.ioctl(&mut args).map(|_| args.length)
    }

    fn copy(&self, from: (u32, u64), length: u64, to: (u32, u64)) -> Result<u64> {
        let mut args = IoasCopy {
            flags: FIXED,
            dst_ioas_id: to.0,
            src_ioas_id: from.0,
            length,
            dst_iova: to.1,
            src_iova: from.1,
            ..IoasCopy::default()
        };
        self.ioctl(&mut args).map(|_| args.dst_iova)
    }

    fn option(&self, option_id: u32, op: u16, object_id: u32, val64: u64) -> Result<u64> {
        let mut args = IommuOption { option_id, op, object_id, val64, ..IommuOption::default() };
        self.ioctl(&mut args).map(|_| args.val64)
    }

    fn destroy(&self, id: u32) -> Result<i64> {
        self.ioctl(&mut uapi::Destroy { id, ..Default::default() })
    }

    fn domain(&self, ioas: u32) -> Arc<FakeDomain> {
        let domain = FakeDomain::everywhere();
        let shared: Arc<dyn PagingDomain> = domain.clone();
        assert!(self.ioas(ioas).table.add_domain(&shared).is_ok());
        domain
    }
}

const BUFFER: u64 = FakeProcess::BUFFER;

#[test]
fn ioases_come_and_go() {
    let opened = Opened::new();
    assert_eq!(opened.ioctl(&mut IoasAlloc { flags: 1, ..Default::default() }), Err(Errno::EOPNOTSUPP));
    assert_eq!((opened.alloc(), opened.alloc()), (1, 2));
    assert_eq!(opened.map(1, RW, BUFFER, PAGE, 0), Ok(0x1000));
    assert_eq!(opened.destroy(1), Ok(0));
    assert_eq!(opened.map(1, RW, BUFFER, PAGE, 0), Err(Errno::ENOENT));
    assert_eq!(opened.alloc(), 1);
}

/// Rows of flags, the other fields of `IOMMU_IOAS_MAP`, and what it says.
#[test]
fn maps_are_checked_in_the_kernels_order() {
    let opened = Opened::new();
    let ioas = opened.alloc();
    let unknown = IoasMapFlags::from_bits_retain(8);
    for (flags, id, address, bytes, iova, expected) in [
        (unknown, 9, BUFFER, u64::MAX, u64::MAX, Err(Errno::EOPNOTSUPP)),
        (IoasMapFlags::FIXED_IOVA, 9, BUFFER, PAGE, u64::MAX, Err(Errno::EOVERFLOW)),
        (IoasMapFlags::FIXED_IOVA, 9, BUFFER, u64::MAX, 0, Err(Errno::EOVERFLOW)),
        (IoasMapFlags::FIXED_IOVA, 9, BUFFER, PAGE, 0, Err(Errno::EINVAL)),
        (FIXED, 9, u64::MAX, PAGE, 0, Err(Errno::ENOENT)),
        (FIXED, ioas, u64::MAX - PAGE + 1, PAGE, 0, Err(Errno::EOVERFLOW)),
        (FIXED, ioas, BUFFER, 0, 0, Err(Errno::EINVAL)),
        (FIXED, ioas, 0, u64::MAX - PAGE + 1, 0, Err(Errno::EINVAL)),
        (RW, ioas, 0, u64::MAX / 2, 0, Err(Errno::EOVERFLOW)),
        (FIXED, ioas, BUFFER, 2, u64::MAX - 1, Ok(u64::MAX - 1)),
        (FIXED, ioas, BUFFER, 3, u64::MAX - 1, Err(Errno::EOVERFLOW)),
        (RW, ioas, 0x1234_5000, PAGE, 77, Ok(0x1000)),
        (IoasMapFlags::READABLE, ioas, BUFFER, PAGE, 0, Ok(0x2000)),
        (FIXED, ioas, BUFFER, PAGE, 0x2fff, Err(Errno::EEXIST)),
    ] {
        assert_eq!(
            opened.map(id, flags, address, bytes, iova),
            expected,
            "{flags:?} {address:#x} {bytes:#x} {iova:#x}"
        );
    }
    let mut args = IoasMap { flags: FIXED, ioas_id: ioas, length: PAGE, reserved: 1, ..Default::default() };
    assert_eq!(opened.ioctl(&mut args), Err(Errno::EOPNOTSUPP));
}

#[test]
fn unmap_says_what_is_gone() {
    let opened = Opened::new();
    let ioas = opened.alloc();
    assert_eq!(opened.unmap(ioas, 0, u64::MAX), Ok(0));
    assert_eq!(opened.unmap(ioas, 0, PAGE), Err(Errno::ENOENT));
    for iova in [0x1000, 0x3000] {
        assert_eq!(opened.map(ioas, FIXED, BUFFER, PAGE, iova), Ok(iova));
    }
    for (iova, bytes, expected) in [
        (0x1000, 0, Err(Errno::EINVAL)),
        (u64::MAX, 1, Err(Errno::EOVERFLOW)),
        (1, u64::MAX, Err(Errno::EOVERFLOW)),
        (3, u64::MAX - 1, Err(Errno::EOVERFLOW)),
        (0x1000, 0x800, Err(Errno::ENOENT)),
        (0x2000, PAGE, Err(Errno::ENOENT)),
        (0, 0x8000, Ok(2 * PAGE)),
        (0, u64::MAX, Ok(0)),
    ] {
        assert_eq!(opened.unmap(ioas, iova, bytes), expected, "{iova:#x} {bytes:#x}");
    }
    assert_eq!(opened.unmap(9, 0, u64::MAX), Err(Errno::ENOENT));
}

#[test]
fn copies_are_found_in_both_ioases() {
    let opened = Opened::new();
    let (a, b) = (opened.alloc(), opened.alloc());
    let domains = [opened.domain(a), opened.domain(b)];
    assert_eq!(opened.map(a, FIXED, BUFFER, 2 * PAGE, 0), Ok(0));
    assert_eq!(opened.copy((a, 0), 2 * PAGE, (a, 0x1_0000)), Ok(0x1_0000));
    assert_eq!(opened.copy((a, PAGE), PAGE, (b, 0)), Ok(0));
    assert_eq!(opened.process.pins(&opened.host, 1), 1);
    assert_eq!(domains[1].iova_to_phys(Iova(0)), domains[0].iova_to_phys(Iova(PAGE)));
    for (from, bytes, to, expected) in [
        ((a, 0), 3 * PAGE, (b, 0), Errno::ENOENT),
        ((a, 0), 0, (b, 0), Errno::EINVAL),
        ((a, 3), u64::MAX - 1, (b, 0), Errno::EOVERFLOW),
        ((a, u64::MAX), PAGE, (b, 0), Errno::EOVERFLOW),
        ((9, 0), PAGE, (b, 0), Errno::ENOENT),
        ((a, 0), PAGE, (9, 0), Errno::ENOENT),
        ((a, 0), 2 * PAGE, (b, 0), Errno::EEXIST),
    ] {
        assert_eq!(opened.copy(from, bytes, to), Err(expected), "{from:x?} {bytes:#x} {to:x?}");
    }
    assert_eq!(opened.unmap(a, 0, u64::MAX), Ok(4 * PAGE));
    assert_eq!([0, 1].map(|page| opened.process.pins(&opened.host, page)), [0, 1]);
}

#[test]
fn iova_ranges_say_how_much_room_they_need() {
    let opened = Opened::new();
    let ioas = opened.alloc();
    let ask = |room: u32, allowed_iovas: u64| {
        let mut args =
            IoasIovaRanges { ioas_id: ioas, num_iovas: room, allowed_iovas, ..IoasIovaRanges::default() };
        let result = opened.ioctl(&mut args);
        let mut ranges = [IovaRange::default(); 3];
        opened.process.memory.read(FakeProcess::SCRATCH, ranges.as_mut_bytes()).expect("mapped");
        (result, args.num_iovas, args.out_iova_alignment, ranges.map(|range| (range.start, range.last)))
    };
    let clear = || opened.process.memory.write(FakeProcess::SCRATCH, &[0; 64]).expect("mapped");
    let none = (0, 0);
    assert_eq!(ask(0, 0), (Err(Errno::EMSGSIZE), 1, 1, [none; 3]));
    assert_eq!(ask(9, FakeProcess::SCRATCH), (Ok(0), 1, 1, [(0, u64::MAX), none, none]));
    clear();
    let reserved = Span { start: 0x1000, last: 0x1fff };
    assert_eq!(opened.ioas(ioas).table.reserve(ReservedBy::NoOne, reserved), Ok(()));
    assert_eq!(ask(1, FakeProcess::SCRATCH), (Err(Errno::EMSGSIZE), 2, 1, [(0, 0xfff), none, none]));
    assert_eq!(ask(2, FakeProcess::SCRATCH), (Ok(0), 2, 1, [(0, 0xfff), (0x2000, u64::MAX), none]));
    assert_eq!(ask(2, 0).0, Err(Errno::EFAULT));
    assert_eq!(ask(2, u64::MAX - 16).0, Err(Errno::EFAULT));
    let mut args = IoasIovaRanges { ioas_id: ioas, reserved: 1, ..Default::default() };
    assert_eq!(opened.ioctl(&mut args), Err(Errno::EOPNOTSUPP));
}

#[test]
fn allowed_iovas_are_replaced_all_at_once() {
    let opened = Opened::new();
    let ioas = opened.alloc();
    let allow = |ranges: &[(u64, u64)], address: u64| {
        let entries: Vec<u8> =
            ranges.iter().flat_map(|(start, last)| [*start, *last]).flat_map(u64::to_ne_bytes).collect();
        opened.process.memory.write(FakeProcess::SCRATCH, &entries).expect("mapped");
        let num_iovas = u32::try_from(ranges.len()).expect("few");
        opened.ioctl(&mut IoasAllowIovas {
            ioas_id: ioas,
            num_iovas,
            allowed_iovas: address,
            ..Default::default()
        })
    };
    let at = FakeProcess::SCRATCH;
    assert_eq!(allow(&[(0x8000, 0x8fff), (0x1_0000, 0x1_ffff)], at), Ok(0));
    let reserved = Span { start: 0x4_0000, last: 0x4_0fff };
    assert_eq!(opened.ioas(ioas).table.reserve(ReservedBy::NoOne, reserved), Ok(()));
    for (ranges, address, expected) in [
        (vec![(5, 5)], at, Errno::EINVAL),
        (vec![(5, 4)], at, Errno::EINVAL),
        (vec![(0, 9), (9, 20)], at, Errno::EINVAL),
        (vec![(0, 9), (0x4_0fff, 0x5_0000)], at, Errno::EADDRINUSE),
        (vec![(0, 9)], 0, Errno::EFAULT),
    ] {
        assert_eq!(allow(&ranges, address), Err(expected), "{ranges:x?}");
    }
    assert_eq!(opened.map(ioas, RW, BUFFER, PAGE, 0), Ok(0x8000), "the old ranges stay");
    assert_eq!(opened.map(ioas, RW, BUFFER, PAGE, 0), Ok(0x1_0000));
    assert_eq!(opened.map(ioas, FIXED, BUFFER, PAGE, 0x1000), Ok(0x1000), "who chooses is free to");
    assert_eq!(allow(&[], 0), Ok(0));
    assert_eq!(opened.map(ioas, RW, BUFFER, PAGE, 0), Ok(0x2000));
}

#[test]
fn options_are_read_and_set() {
    let mut opened = Opened::new();
    let rlimit = |opened: &Opened, op, object, value| opened.option(OPTION_RLIMIT_MODE, op, object, value);
    assert_eq!(rlimit(&opened, OPTION_OP_GET, 0, 1), Ok(0));
    assert_eq!(rlimit(&opened, OPTION_OP_GET, 1, 1), Err(Errno::EOPNOTSUPP));
    assert_eq!(rlimit(&opened, OPTION_OP_SET, 0, 1), Err(Errno::EPERM));
    assert_eq!(rlimit(&opened, 2, 0, 1), Err(Errno::EOPNOTSUPP));
    opened.process.credentials.capabilities = Capabilities::SYS_RESOURCE;
    assert_eq!(rlimit(&opened, OPTION_OP_SET, 0, 1), Ok(1));
    assert_eq!(rlimit(&opened, OPTION_OP_SET, 0, 2), Err(Errno::EINVAL));
    assert_eq!(rlimit(&opened, OPTION_OP_GET, 0, 5), Ok(1));

    let pending = opened.ctx().objects.reserve().expect("ids are left");
    assert_eq!(rlimit(&opened, OPTION_OP_SET, 0, 1), Err(Errno::EBUSY), "an id is reserved");
    drop(pending);
    assert_eq!(rlimit(&opened, OPTION_OP_SET, 0, 1), Ok(1));

    let huge = |op, object, value| opened.option(OPTION_HUGE_PAGES, op, object, value);
    assert_eq!(huge(OPTION_OP_GET, 0, 0), Err(Errno::ENOENT));
    let ioas = opened.alloc();
    assert_eq!(rlimit(&opened, OPTION_OP_SET, 0, 0), Err(Errno::EBUSY));
    assert_eq!(huge(OPTION_OP_GET, ioas, 3), Ok(1));
    assert_eq!(huge(OPTION_OP_SET, ioas, 0), Ok(0));
    assert_eq!(huge(OPTION_OP_GET, ioas, 3), Ok(0));
    assert_eq!(huge(OPTION_OP_SET, ioas, 2), Err(Errno::EINVAL));
    assert_eq!(huge(2, ioas, 0), Err(Errno::EOPNOTSUPP));
    assert_eq!(opened.option(7, OPTION_OP_GET, ioas, 0), Err(Errno::EOPNOTSUPP));
    assert_eq!(opened.map(ioas, RW, BUFFER + 0x800, PAGE, 0), Err(Errno::EINVAL));
    assert_eq!(huge(OPTION_OP_SET, ioas, 1), Ok(1));
    assert_eq!(opened.map(ioas, RW, BUFFER + 0x800, PAGE, 0), Ok(0x1800));
    assert_eq!(huge(OPTION_OP_SET, ioas, 0), Err(Errno::EADDRINUSE));
}

#[test]
fn files_and_dma_bufs_are_mapped() {
    let opened = Opened::new();
    let ioas = opened.alloc();
    let domain = opened.domain(ioas);
    let buffer = FakeDmaBuf::new(0x9_0000_0000, 4 * PAGE);
    opened.process.files.put(6, Arc::new(DmaBufFile::new(buffer.clone())));
    opened.process.files.put_memory(3, &FakeObject::new(16 * PAGE));
    opened.process.files.put(4, opened.iommufd.clone());
    for (fd, start, bytes, expected) in [
        (6, 0, 0, Err(Errno::EINVAL)),
        (6, 4 * PAGE, 4 * PAGE, Err(Errno::EINVAL)),
        (6, 0, 4 * PAGE + 1, Err(Errno::EINVAL)),
        (6, u64::MAX, 2, Err(Errno::EOVERFLOW)),
        (5, 0, PAGE, Err(Errno::EBADF)),
        (4, 0, PAGE, Err(Errno::EBADF)),
        (3, 0, 0, Err(Errno::EINVAL)),
        (3, 8 * PAGE, 9 * PAGE, Err(Errno::EINVAL)),
        (3, 0, 16 * PAGE, Ok(16 * PAGE)),
        (6, 0, 4 * PAGE, Ok(4 * PAGE)),
    ] {
        assert_eq!(opened.map_file(ioas, fd, start, bytes), expected, "{fd} {start:#x} {bytes:#x}");
    }
    assert_eq!(domain.iova_to_phys(Iova(5 * PAGE)).map(|pa| pa.0), Some(0x9_0000_1000));
    buffer.revoke(true);
    assert_eq!(domain.iova_to_phys(Iova(5 * PAGE)), None);
    assert!(opened.domain(ioas).iova_to_phys(Iova(16 * PAGE)).is_some());
    assert_eq!(opened.map_file(ioas, 6, 0, 4 * PAGE), Err(Errno::ENODEV));
    assert_eq!(opened.unmap(ioas, 4 * PAGE, 4 * PAGE), Ok(4 * PAGE));
}

#[test]
fn another_process_takes_over_what_is_of_files() {
    for by_mm in [false, true] {
        let mut opened = Opened::new();
        opened.process.credentials.capabilities = Capabilities::SYS_RESOURCE;
        assert_eq!(
            opened.option(OPTION_RLIMIT_MODE, OPTION_OP_SET, 0, u64::from(by_mm)),
            Ok(u64::from(by_mm))
        );
        opened.process.files.put_memory(3, &FakeObject::new(4 * PAGE));
        let (a, b) = (opened.alloc(), opened.alloc());
        let _domains = [opened.domain(a), opened.domain(b)];
        assert_eq!(opened.map_file(a, 3, 0, 4 * PAGE), Ok(4 * PAGE));
        assert_eq!(opened.copy((a, 4 * PAGE), 4 * PAGE, (b, 0)), Ok(0));
        let mut child = FakeProcess::new(1);
        child.credentials.uid = 1001;
        let pinned = |process: &FakeProcess| opened.host.accounts.of_mm(process.caller().memory.id());
        let all = Charged { pinned: 4, locked: if by_mm { 4 } else { 0 } };
        assert_eq!((pinned(&opened.process), pinned(&child)), (all, Charged::default()));

        child.credentials.memlock = 3 * PAGE;
        let change = |child: &FakeProcess, reserved| {
            child.ioctl(&*opened.iommufd, &mut IoasChangeProcess { reserved, ..Default::default() })
        };
        assert_eq!(change(&child, 1), Err(Errno::EOPNOTSUPP));
        assert_eq!(change(&child, 0), Err(Errno::ENOMEM));
        assert_eq!((pinned(&opened.process), pinned(&child)), (all, Charged::default()));
        child.credentials.memlock = 4 * PAGE;
        assert_eq!(opened.map(a, RW, BUFFER, PAGE, 0), Ok(0x1000));
        assert_eq!(change(&child, 0), Err(Errno::EINVAL), "the process's own memory");
        assert_eq!(opened.unmap(a, 0x1000, PAGE), Ok(PAGE));
        for _ in 0..2 {
            assert_eq!(change(&child, 0), Ok(0));
            assert_eq!((pinned(&opened.process), pinned(&child)), (Charged::default(), all));
            let users = [1000, 1001].map(|uid| opened.host.accounts.of_user(uid));
            assert_eq!(users, if by_mm { [0, 0] } else { [0, 4] });
        }
        for ioas in [a, b] {
            assert_eq!(opened.unmap(ioas, 0, u64::MAX), Ok(4 * PAGE));
        }
        assert_eq!((pinned(&child), opened.host.accounts.of_user(1001)), (Charged::default(), 0));
    }
}

#[test]
fn who_may_lock_memory_is_charged_against_no_limit() {
    let mut opened = Opened::new();
    opened.process.credentials.memlock = PAGE;
    let ioas = opened.alloc();
    let _domain = opened.domain(ioas);
    assert_eq!(opened.map(ioas, RW, BUFFER, 2 * PAGE, 0), Err(Errno::ENOMEM));
    assert_eq!(opened.map(ioas, RW, BUFFER, PAGE, 0), Ok(0x1000));
    opened.process.credentials.capabilities = Capabilities::IPC_LOCK;
    assert_eq!(opened.map(ioas, RW, BUFFER, 2 * PAGE, 0), Ok(0x2000));
    assert_eq!(opened.host.accounts.of_user(1000), 1);
    assert_eq!(opened.host.accounts.of_mm(opened.process.caller().memory.id()).pinned, 3);
}

/// Unpins what it pinned when it is told to.
#[derive(Default)]
struct Owner {
    access: Mutex<Weak<Access>>,
    pins: Mutex<Vec<Span>>,
    told: Mutex<Vec<Span>>,
}

impl AccessOps for Owner {
    fn unmap(&self, span: Span) {
        lock(&self.told).push(span);
        let mut pins = std::mem::take(&mut *lock(&self.pins));
        let access = lock(&self.access).upgrade();
        pins.retain(|pin| {
            if let Some(access) = access.as_ref().filter(|_| pin.meets(span)) {
                access.unpin(Iova(pin.start), pin.bytes());
                return false;
            }
            true
        });
        lock(&self.pins).extend(pins);
    }
}

fn access(opened: &Opened, pins: bool) -> (Arc<Access>, Arc<Owner>) {
    let owner = Arc::new(Owner::default());
    let access =
        Arc::new(Access::new(opened.ctx(), owner.clone(), AccessFlags { pins }).expect("ids are left"));
    *lock(&owner.access) = Arc::downgrade(&access);
    (access, owner)
}

#[test]
fn an_access_holds_its_ioas_and_its_context() {
    let opened = Opened::new();
    let ioas = opened.alloc();
    let (access, owner) = access(&opened, true);
    assert_eq!((access.id(), opened.destroy(access.id())), (2, Err(Errno::EBUSY)));
    assert_eq!(access.pin(Iova(0), PAGE, AccessRw::Read), Err(Errno::ENOENT), "attached to nothing");
    assert_eq!(access.rw(Iova(0), &mut [0], AccessRw::Read), Err(Errno::ENOENT));
    assert_eq!(access.replace(ioas), Err(Errno::ENOENT));
    assert_eq!(access.attach(9), Err(Errno::ENOENT));
    assert_eq!(access.attach(ioas), Ok(()));
    assert_eq!(access.attach(ioas), Err(Errno::EINVAL));
    assert_eq!(opened.destroy(ioas), Err(Errno::EBUSY));
    assert_eq!(opened.map(ioas, FIXED, BUFFER, 4 * PAGE, 0), Ok(0));
    assert_eq!(access.nth_area(0), Some(Iova(0)));
    assert_eq!(access.pin(Iova(0), 0, AccessRw::Read), Err(Errno::EINVAL));
    assert_eq!(access.pin(Iova(u64::MAX), 2, AccessRw::Read), Err(Errno::EOVERFLOW));
    let frames = access.pin(Iova(PAGE), 2 * PAGE, AccessRw::Write).expect("mapped");
    let first = opened.process.physical(&opened.host, PAGE).expect("pinned").0;
    assert_eq!(frames, [Span { start: first, last: first + 2 * PAGE - 1 }]);
    lock(&owner.pins).push(Span { start: PAGE, last: 3 * PAGE - 1 });

    let Opened { host, process, iommufd } = opened;
    drop(iommufd);
    assert_eq!(process.pins(&host, 1), 1, "the context lives on");
    assert_eq!(access.rw(Iova(8), &mut [1, 2, 3], AccessRw::Write), Ok(()));
    let mut bytes = [0; 3];
    assert_eq!(process.memory.read(BUFFER + 8, &mut bytes), Ok(()));
    assert_eq!(bytes, [1, 2, 3]);
    access.detach();
    assert_eq!(*lock(&owner.told), [Span::ALL]);
    assert_eq!(process.pins(&host, 1), 0);
    access.detach();
    drop(access);
    assert!(host.frames.is_empty());
}

#[test]
fn an_access_moves_without_its_pins() {
    let opened = Opened::new();
    let (a, b) = (opened.alloc(), opened.alloc());
    let (access, owner) = access(&opened, true);
    assert_eq!(access.attach(a), Ok(()));
    assert_eq!(opened.map(a, FIXED, BUFFER, PAGE, 0), Ok(0));
    assert_eq!(opened.map(b, FIXED, BUFFER + 0x800, PAGE, 0), Ok(0));
    assert!(access.pin(Iova(0), PAGE, AccessRw::Read).is_ok());
    lock(&owner.pins).push(Span { start: 0, last: PAGE - 1 });
    assert_eq!(access.replace(9), Err(Errno::ENOENT));
    assert_eq!(access.replace(b), Err(Errno::EADDRINUSE));
    assert_eq!(access.replace(a), Ok(()));
    assert_eq!((lock(&owner.told).len(), opened.process.pins(&opened.host, 0)), (0, 1));
    assert_eq!(opened.unmap(b, 0, PAGE), Ok(PAGE));
    assert_eq!(access.replace(b), Ok(()));
    assert_eq!((lock(&owner.told).len(), opened.process.pins(&opened.host, 0)), (1, 0));
    assert_eq!((opened.destroy(a), opened.destroy(b)), (Ok(0), Err(Errno::EBUSY)));
    drop(access);
    assert_eq!(opened.destroy(b), Ok(0));
    assert_eq!(opened.alloc(), 1);
}

#[test]
fn unmapping_waits_for_no_one_who_lets_go() {
    let opened = Opened::new();
    let ioas = opened.alloc();
    let (pinning, owner) = access(&opened, true);
    let (reading, other) = access(&opened, false);
    assert_eq!((pinning.attach(ioas), reading.attach(ioas)), (Ok(()), Ok(())));
    assert_eq!(opened.map(ioas, FIXED, BUFFER, 2 * PAGE, 0), Ok(0));
    assert_eq!(reading.pin(Iova(0), PAGE, AccessRw::Read), Err(Errno::EINVAL), "not what it is for");
    assert!(pinning.pin(Iova(0), PAGE, AccessRw::Read).is_ok());
    lock(&owner.pins).push(Span { start: 0, last: PAGE - 1 });
    assert_eq!(opened.unmap(ioas, 0, 2 * PAGE), Ok(2 * PAGE));
    let area = Span { start: 0, last: 2 * PAGE - 1 };
    assert_eq!((lock(&owner.told).clone(), lock(&other.told).clone()), (vec![area], vec![area]));
}

#[test]
fn a_locked_pin_takes_an_id_and_gives_it_back() {
    let opened = Opened::new();
    let ioas = opened.alloc();
    let hold = opened.ioas(ioas).hold();
    let pages = |start, bytes| Span::sized(start, bytes).expect("a range");
    assert_eq!(LockedPin::new(opened.ctx(), &hold, pages(0, PAGE)).err(), Some(Errno::ENOENT));
    assert_eq!(opened.map(ioas, FIXED, BUFFER, 4 * PAGE, 0), Ok(0));
    let pin = LockedPin::new(opened.ctx(), &hold, pages(PAGE, 2 * PAGE)).expect("mapped");
    assert_eq!(pin.frames().len(), 1);
    assert_eq!(opened.unmap(ioas, 0, 4 * PAGE), Err(Errno::EBUSY));
    assert_eq!(opened.alloc(), 3, "2 is the pin's");
    drop(pin);
    assert_eq!(opened.unmap(ioas, 0, 4 * PAGE), Ok(4 * PAGE));
    assert_eq!((opened.alloc(), opened.process.pins(&opened.host, 1)), (2, 0));
    drop(hold);
    assert_eq!(opened.destroy(ioas), Ok(0));
}

/// Every step of a life with IOASes fails once. What it leaves behind is gone with the context.
#[test]
fn every_failure_of_an_ioctl_leaves_no_pin() {
    let mut nth = 1;
    loop {
        let opened = Opened::new();
        opened.process.files.put_memory(3, &FakeObject::new(4 * PAGE));
        fault_point::arm(nth);
        let mut errors = Vec::new();
        let mut step = |result: Result<()>| errors.extend(result.err());
        step(opened.ioctl(&mut IoasAlloc::default()).map(|_| ()));
        step(opened.ioctl(&mut IoasAlloc::default()).map(|_| ()));
        let fake: Arc<dyn PagingDomain> = FakeDomain::everywhere();
        step(opened.ctx().objects.get::<Ioas>(1).and_then(|ioas| ioas.table.add_domain(&fake).map(|_| ())));
        step(opened.map(1, RW, BUFFER, 3 * PAGE, 0).map(|_| ()));
        step(opened.map_file(1, 3, 0, 2 * PAGE).map(|_| ()));
        step(opened.copy((1, 0x4000), PAGE, (2, 0)).map(|_| ()));
        step(opened.unmap(1, 0x4000, 3 * PAGE).map(|_| ()));
        step(opened.option(OPTION_HUGE_PAGES, OPTION_OP_GET, 1, 0).map(|_| ()));
        step(opened.ioctl(&mut IoasChangeProcess::default()).map(|_| ()).or_else(|errno| match errno {
            // Its own memory is still mapped where the unmapping failed, and in the copy.
            Errno::EINVAL => Ok(()),
            other => Err(other),
        }));
        let fired = fault_point::remaining() == 0;
        fault_point::arm(0);
        assert_eq!(errors.is_empty(), !fired, "{nth}: {errors:?}");
        // As the HWPT would that the domain is of.
        if let Ok(ioas) = opened.ctx().objects.get::<Ioas>(1) {
            ioas.table.remove_domain(crate::io_pagetable::DomainSlot(0));
        }
        let Opened { host, iommufd, .. } = opened;
        drop(iommufd);
        assert!(host.frames.is_empty(), "{nth}");
        assert_eq!(host.accounts.of_user(1000), 0, "{nth}");
        if !fired {
            break;
        }
        nth += 1;
    }
    assert!(nth > 30, "there are more steps than {nth}");
}
