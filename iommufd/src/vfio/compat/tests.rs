use std::sync::Arc;

use devices::addr::{Iova, PAGE_SIZE};
use zerocopy::IntoBytes;

use super::*;
use crate::Iommufd;
use crate::driver::PagingDomain;
use crate::fault_point;
use crate::file::File;
use crate::host::{Host, Options};
use crate::io_pagetable::ReservedBy;
use crate::pages::fake::{FakeDomain, FakeProcess};
use crate::process::UserMemory;
use crate::uapi::test::{Operation, TestCmd};
use crate::uapi::{IoasAlloc, VFIO_IOAS_CLEAR, VFIO_IOAS_GET, VFIO_IOAS_SET, VfioIoas};

const PAGE: u64 = PAGE_SIZE;
const BUFFER: u64 = FakeProcess::BUFFER;
const RW: DmaMapFlags = DmaMapFlags::READ.union(DmaMapFlags::WRITE);

/// A process with an iommufd that has IOAS 1.
struct Opened {
    host: Arc<Host>,
    process: FakeProcess,
    iommufd: Arc<Iommufd>,
}

impl Opened {
    fn new() -> Self {
        let host = Host::new(Options::default());
        let opened = Self { iommufd: host.open(), process: FakeProcess::new(64), host };
        assert_eq!(opened.process.ioctl(&*opened.iommufd, &mut IoasAlloc::default()), Ok(0));
        opened
    }

    /// With IOAS 1 as that of VFIO.
    fn container() -> Self {
        let opened = Self::new();
        assert_eq!(opened.vfio_ioas(VFIO_IOAS_SET, 1), Ok(1));
        opened
    }

    fn vfio_ioas(&self, op: u16, ioas_id: u32) -> Result<u32> {
        let mut args = VfioIoas { op, ioas_id, ..VfioIoas::default() };
        self.process.ioctl(&*self.iommufd, &mut args).map(|_| args.ioas_id)
    }

    fn value(&self, command: u32, value: u64) -> Result<i64> {
        self.iommufd.ioctl(&self.process.caller(), command, value)
    }

    fn map(&self, iova: u64, bytes: u64) -> Result<i64> {
        let mut args = IommuType1DmaMap { flags: RW, vaddr: BUFFER, iova, size: bytes, ..Default::default() };
        self.process.ioctl(&*self.iommufd, &mut args)
    }

    /// What comes of it, and the size that is written back.
    fn unmap(&self, flags: DmaUnmapFlags, iova: u64, size: u64) -> (Result<i64>, u64) {
        let mut args = IommuType1DmaUnmap { flags, iova, size, ..Default::default() };
        (self.process.ioctl(&*self.iommufd, &mut args), args.size)
    }

    fn ioas(&self) -> crate::object::Ref<Ioas> {
        self.iommufd.ctx().objects.get(1).expect("an IOAS")
    }

    fn add_domain(&self, domain: &Arc<FakeDomain>) {
        let domain: Arc<dyn PagingDomain> = domain.clone();
        assert!(self.ioas().table.add_domain(&domain).is_ok());
    }

    /// The first `argsz` bytes of the answer to `VFIO_IOMMU_GET_INFO`, and what is behind them,
    /// which was all ones before.
    fn info(&self, argsz: u32) -> (Result<i64>, Vec<u8>, Vec<u8>) {
        let mut buffer = [0xff; 256];
        buffer[..4].copy_from_slice(&argsz.to_ne_bytes());
        self.process.memory.write(FakeProcess::SCRATCH, &buffer).expect("mapped");
        let result = self.value(vfio::ioctl::IOMMU_GET_INFO, FakeProcess::SCRATCH);
        self.process.memory.read(FakeProcess::SCRATCH, &mut buffer).expect("mapped");
        let (inside, outside) = buffer.split_at(argsz as usize);
        (result, inside.to_vec(), outside.to_vec())
    }
}

#[test]
fn the_ioas_of_vfio_is_chosen_and_forgotten() {
    let opened = Opened::new();
    assert_eq!(opened.vfio_ioas(VFIO_IOAS_GET, 0), Err(Errno::ENODEV));
    assert_eq!(opened.vfio_ioas(VFIO_IOAS_SET, 9), Err(Errno::ENOENT));
    assert_eq!(opened.vfio_ioas(VFIO_IOAS_SET, 1), Ok(1));
    assert_eq!(opened.vfio_ioas(VFIO_IOAS_GET, 0), Ok(1));
    assert_eq!(opened.vfio_ioas(VFIO_IOAS_CLEAR, 0), Ok(0));
    assert_eq!(opened.vfio_ioas(VFIO_IOAS_GET, 0), Err(Errno::ENODEV));
    assert_eq!(opened.vfio_ioas(3, 1), Err(Errno::EOPNOTSUPP));
    let mut args = VfioIoas { reserved: 1, ..VfioIoas::default() };
    assert_eq!(opened.process.ioctl(&*opened.iommufd, &mut args), Err(Errno::EOPNOTSUPP));

    assert_eq!(opened.vfio_ioas(VFIO_IOAS_SET, 1), Ok(1));
    let mut destroy = uapi::Destroy { id: 1, ..Default::default() };
    assert_eq!(opened.process.ioctl(&*opened.iommufd, &mut destroy), Ok(0));
    assert_eq!(opened.process.ioctl(&*opened.iommufd, &mut IoasAlloc::default()), Ok(0));
    assert_eq!(opened.vfio_ioas(VFIO_IOAS_GET, 0), Err(Errno::ENODEV), "another of the same id");
}

#[test]
fn without_an_ioas_there_is_no_device() {
    let opened = Opened::new();
    for kind in [1, 3] {
        assert_eq!(opened.value(vfio::ioctl::SET_IOMMU, kind), Err(Errno::ENODEV));
    }
    for kind in [0, 2, 4, 8, 1 << 32 | 1] {
        assert_eq!(opened.value(vfio::ioctl::SET_IOMMU, kind), Err(Errno::EINVAL), "{kind}");
    }
    assert_eq!(opened.map(0, PAGE), Err(Errno::ENODEV));
    assert_eq!(opened.unmap(DmaUnmapFlags::empty(), 0, PAGE).0, Err(Errno::ENODEV));
    assert_eq!(opened.info(24).0, Err(Errno::ENODEV));
    assert_eq!(opened.info(15).0, Err(Errno::EINVAL));
    assert_eq!(opened.value(vfio::ioctl::IOMMU_MAP_DMA, 0), Err(Errno::EFAULT));
    let check = |extension| opened.value(vfio::ioctl::CHECK_EXTENSION, extension);
    assert_eq!([0, 1, 3, 6, 8, 9, 10, 1 << 32 | 1].map(check), [0, 1, 1, 0, 0, 1, 0, 0].map(Ok));
    assert_eq!(check(4), Err(Errno::ENODEV));
    assert_eq!(opened.value(vfio::ioctl::GET_API_VERSION, 77), Ok(0));
    for command in [vfio::ioctl::IOMMU_DIRTY_PAGES, vfio::ioctl::GROUP_GET_STATUS, 0x3b00, 0] {
        assert_eq!(opened.value(command, 0), Err(Errno::ENOTTY), "{command:#x}");
    }
    let opened = Opened::container();
    assert_eq!(opened.value(vfio::ioctl::CHECK_EXTENSION, 4), Ok(1));
}

#[test]
fn arguments_are_checked_before_the_ioas() {
    let opened = Opened::new();
    let call = |bytes: &[u8], command| {
        opened.process.memory.write(FakeProcess::SCRATCH, bytes).expect("mapped");
        opened.value(command, FakeProcess::SCRATCH)
    };
    let map = IommuType1DmaMap { argsz: 32, flags: RW, ..Default::default() };
    for (argsz, flags) in
        [(31, RW), (0, RW), (32, DmaMapFlags::VADDR), (32, DmaMapFlags::from_bits_retain(8))]
    {
        let map = IommuType1DmaMap { argsz, flags, ..map };
        assert_eq!(call(map.as_bytes(), vfio::ioctl::IOMMU_MAP_DMA), Err(Errno::EINVAL));
    }
    assert_eq!(call(map.as_bytes(), vfio::ioctl::IOMMU_MAP_DMA), Err(Errno::ENODEV));
    for (argsz, flags, expected) in [
        (23, DmaUnmapFlags::empty(), Errno::EINVAL),
        (24, DmaUnmapFlags::GET_DIRTY_BITMAP, Errno::EINVAL),
        (24, DmaUnmapFlags::VADDR | DmaUnmapFlags::ALL, Errno::EINVAL),
        (99, DmaUnmapFlags::empty(), Errno::ENODEV),
    ] {
        let unmap = IommuType1DmaUnmap { argsz, flags, ..Default::default() };
        assert_eq!(call(unmap.as_bytes(), vfio::ioctl::IOMMU_UNMAP_DMA), Err(expected));
    }
}

#[test]
fn type1v2_unmaps_whole_mappings() {
    let opened = Opened::container();
    assert_eq!(opened.value(vfio::ioctl::SET_IOMMU, 3), Ok(0));
    assert_eq!(opened.value(vfio::ioctl::SET_IOMMU, 3), Ok(0), "again");
    let domain = FakeDomain::everywhere();
    opened.add_domain(&domain);
    for iova in [0x1_0000, 0x2_0000] {
        assert_eq!(opened.map(iova, 4 * PAGE), Ok(0));
    }
    assert_eq!(opened.map(0x1_0000, PAGE), Err(Errno::EEXIST));
    let none = DmaUnmapFlags::empty();
    for (flags, iova, size, expected) in [
        (none, 0x1_0000, 0, (Err(Errno::EINVAL), 0)),
        (none, u64::MAX, 2, (Err(Errno::EOVERFLOW), 0)),
        (none, 0x1_1000, PAGE, (Err(Errno::ENOENT), 0)),
        (none, 0x1_0000, 0x1_1000, (Err(Errno::ENOENT), 4 * PAGE)),
        (none, 0x1_0000, 4 * PAGE, (Ok(0), 0)),
        (DmaUnmapFlags::ALL, 0, PAGE, (Err(Errno::EINVAL), PAGE)),
        (DmaUnmapFlags::ALL, PAGE, 0, (Err(Errno::EINVAL), 0)),
        (DmaUnmapFlags::ALL, 0, 0, (Ok(0), 4 * PAGE)),
        (DmaUnmapFlags::ALL, 0, 0, (Ok(0), 0)),
    ] {
        assert_eq!(opened.unmap(flags, iova, size), expected, "{flags:?} {iova:#x} {size:#x}");
    }
    assert_eq!(domain.mappings(), []);
}

#[test]
fn type1_unmaps_parts_of_mappings() {
    let opened = Opened::container();
    assert_eq!(opened.value(vfio::ioctl::SET_IOMMU, 1), Ok(0));
    let domain = FakeDomain::everywhere();
    opened.add_domain(&domain);
    assert_eq!(opened.map(0, 16 * PAGE), Ok(0));
    let none = DmaUnmapFlags::empty();
    for (iova, size, expected) in [
        (4 * PAGE, 2 * PAGE, (Ok(0), 2 * PAGE)),
        (4 * PAGE, 2 * PAGE, (Ok(0), 0)),
        (2 * PAGE, 6 * PAGE, (Ok(0), 4 * PAGE)),
        (0, PAGE, (Ok(0), PAGE)),
        (15 * PAGE, PAGE, (Ok(0), PAGE)),
        (9 * PAGE + 2048, PAGE, (Err(Errno::EINVAL), PAGE)),
    ] {
        assert_eq!(opened.unmap(none, iova, size), expected, "{iova:#x} {size:#x}");
    }
    assert_eq!(domain.mapped_bytes(), 8 * PAGE);
    let pins: Vec<u32> = (0..16).map(|page| opened.process.pins(&opened.host, page)).collect();
    assert_eq!(pins, [0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0]);
    let page = opened.process.physical(&opened.host, 9 * PAGE);
    assert_eq!(domain.iova_to_phys(Iova(9 * PAGE)), page);

    let opened = Opened::container();
    opened.add_domain(&domain);
    assert_eq!(opened.map(0, PAGE), Ok(0));
    assert_eq!(opened.value(vfio::ioctl::SET_IOMMU, 1), Err(Errno::EINVAL));
}

#[test]
fn coherence_is_told_of_all_domains() {
    let options = Options { selftest: true, ..Options::default() };
    let host = Host::new(options);
    let opened = Opened { iommufd: host.open(), process: FakeProcess::new(1), host };
    assert_eq!(opened.process.ioctl(&*opened.iommufd, &mut IoasAlloc::default()), Ok(0));
    assert_eq!(opened.vfio_ioas(VFIO_IOAS_SET, 1), Ok(1));
    let told = || opened.value(vfio::ioctl::CHECK_EXTENSION, u64::from(vfio::DMA_CC_IOMMU));
    assert_eq!(told(), Ok(1), "of none");
    let mut mock_domain = TestCmd { op: uapi::test::MockDomain::OP, id: 1, ..TestCmd::default() };
    assert_eq!(opened.process.ioctl(&*opened.iommufd, &mut mock_domain), Ok(0));
    assert_eq!(told(), Ok(0), "the mock forces nothing");
}

/// The words of the answer for every room that a caller may have: all of the chain, a part of it,
/// and nothing behind it.
#[test]
fn info_is_as_long_as_there_is_room() {
    let opened = Opened::container();
    let reserved = Span { start: 0x1000, last: 0x1fff };
    assert_eq!(opened.ioas().table.reserve(ReservedBy::NoOne, reserved), Ok(()));
    let total = 40 + 16 + 2 * 16;
    let word = |bytes: &[u8], at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("a word"));
    let long = |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("two words"));
    for argsz in 16..120 {
        let (result, inside, outside) = opened.info(argsz);
        assert_eq!(result, Ok(0), "{argsz}");
        assert!(outside.iter().all(|byte| *byte == 0xff), "{argsz}: nothing past the end");
        assert_eq!((word(&inside, 0), word(&inside, 4)), (total, 3), "{argsz}");
        assert_eq!(long(&inside, 8), !(PAGE - 1), "{argsz}");
        if argsz >= 24 {
            assert_eq!(word(&inside, 16), if argsz >= total { 24 } else { 0 }, "{argsz}");
        }
        if argsz >= 36 {
            let next = if argsz >= 40 { 40 } else { 0 };
            assert_eq!([24, 28, 32].map(|at| word(&inside, at)), [1 << 16 | 3, next, u32::MAX], "{argsz}");
        }
        for (index, (start, end)) in [(0, 0xfff), (0x2000, u64::MAX)].into_iter().enumerate() {
            let at = 56 + index * 16;
            if argsz as usize >= at + 16 {
                assert_eq!((long(&inside, at), long(&inside, at + 8)), (start, end), "{argsz}");
            }
        }
        if argsz >= total {
            assert_eq!([40, 44, 48, 52].map(|at| word(&inside, at)), [1 << 16 | 1, 0, 2, 0], "{argsz}");
        } else if argsz >= 56 {
            assert_eq!(word(&inside, 40), u32::MAX, "{argsz}: not without its ranges");
        }
    }
}

#[test]
fn page_sizes_are_those_of_all_domains() {
    let opened = Opened::container();
    for (sizes, expected) in [
        (1 << 11 | 1 << 12 | 1 << 20, PAGE | 1 << 20),
        (1 << 12 | 1 << 20 | 1 << 21, PAGE | 1 << 20),
        (1 << 12 | 1 << 30, PAGE),
    ] {
        opened.add_domain(&FakeDomain::new(Span::ALL, sizes));
        let info = opened.info(24).1;
        assert_eq!(info[8..16], u64::to_ne_bytes(expected), "{sizes:#x}");
    }
}

#[test]
fn every_copy_can_fail() {
    let opened = Opened::container();
    let mut nth = 1;
    loop {
        fault_point::arm(nth);
        let result = opened.info(200).0;
        let fired = fault_point::remaining() == 0;
        fault_point::arm(0);
        assert_eq!(result.is_err(), fired, "{nth}");
        if !fired {
            break;
        }
        assert!(matches!(result, Err(Errno::EFAULT | Errno::ENODEV)), "{nth}");
        nth += 1;
    }
    assert_eq!(nth, 8);
}
