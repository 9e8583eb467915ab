//! Points of the interface that Linux's own tests cover and that no recording has.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod support;

use iommufd::errno::Errno;
use iommufd::file::{MapRequest, Ready};
use iommufd::process::{Capabilities, UserMemory};
use iommufd::span::Span;
use iommufd::uapi::test::*;
use iommufd::uapi::vfio::{self, DmaMapFlags, DmaUnmapFlags, IommuType1DmaMap, IommuType1DmaUnmap};
use iommufd::uapi::*;
use support::{Client, Descriptor, HUGE_PAGE, MemFd, PAGE, Process, Sharing, call};
use zerocopy::{FromBytes, IntoBytes};

/// Memory of the process, each test's own.
const AT: u64 = 0x7000_0000_0000;
/// Where data for ioctls is put.
const DATA: u64 = 0x7100_0000_0000;

/// A client with 16 shared pages at [`AT`] and one at [`DATA`].
fn client() -> Client {
    let client = Client::new();
    let memory = &client.process.memory;
    memory.map_anonymous(Span::sized(AT, 16 * PAGE).unwrap(), Sharing::Shared, PAGE).unwrap();
    memory.map_anonymous(Span::sized(DATA, PAGE).unwrap(), Sharing::Private, PAGE).unwrap();
    client
}

fn load<T: FromBytes + IntoBytes>(process: &Process, address: u64) -> T {
    let mut value = T::new_zeroed();
    process.memory.read(address, value.as_mut_bytes()).unwrap();
    value
}

#[test]
fn a_longer_structure_is_taken_where_the_rest_is_zero() {
    let client = client();
    let rows: [(u32, u64, Errno); 4] =
        [(16, 0, Errno::ENOENT), (16, 1, Errno::E2BIG), (8, 1, Errno::ENOENT), (7, 1, Errno::EINVAL)];
    for (size, future, errno) in rows {
        client.process.memory.write(DATA, Destroy { size, id: 0 }.as_bytes()).unwrap();
        client.process.memory.write(DATA + 8, future.as_bytes()).unwrap();
        let result = client.process.ioctl(client.iommufd, Destroy::REQUEST, DATA);
        assert_eq!(result, Err(errno), "size {size}, beyond it {future}");
    }
}

/// A client with a mock device, a parent HWPT and a vIOMMU on it.
struct Nested {
    client: Client,
    ioas: u32,
    device: MockDomain,
    parent: u32,
    viommu: u32,
}

fn viommu(client: &Client, dev_id: u32, hwpt_id: u32, type_: u32) -> Result<u32, Errno> {
    client
        .get(ViommuAlloc { dev_id, hwpt_id, type_, ..ViommuAlloc::default() })
        .map(|alloc| alloc.out_viommu_id)
}

fn nested() -> Nested {
    let client = client();
    let ioas = client.ioas();
    let device = client.mock_device(ioas);
    let parent = client.hwpt(device.out_idev_id, ioas, HwptAllocFlags::NEST_PARENT, None).unwrap();
    let viommu = viommu(&client, device.out_idev_id, parent, VIOMMU_TYPE_SELFTEST).unwrap();
    Nested { client, ioas, device, parent, viommu }
}

impl Nested {
    fn vdevice(&self, virt_id: u64) -> Result<u32, Errno> {
        let alloc = VdeviceAlloc {
            viommu_id: self.viommu,
            dev_id: self.device.out_idev_id,
            virt_id,
            ..VdeviceAlloc::default()
        };
        self.client.get(alloc).map(|alloc| alloc.out_vdevice_id)
    }

    fn veventq(&self, veventq_depth: u32) -> Result<VeventqAlloc, Errno> {
        let type_ = VEVENTQ_TYPE_SELFTEST;
        self.client.get(VeventqAlloc {
            viommu_id: self.viommu,
            type_,
            veventq_depth,
            ..VeventqAlloc::default()
        })
    }

    fn replace(&self, pt_id: u32) -> Result<u32, Errno> {
        let replaced = self.client.test(self.device.out_stdev_id, MockDomainReplace { pt_id })?;
        Ok(replaced.pt_id)
    }

    fn trigger(&self) {
        self.client.test(0, TriggerVevent { dev_id: self.device.out_idev_id }).unwrap();
    }
}

#[test]
fn a_viommu_needs_a_parent_of_its_driver() {
    let Nested { client, ioas, device, parent, viommu: first } = nested();
    let idev = device.out_idev_id;
    assert_eq!(viommu(&client, idev, 0, VIOMMU_TYPE_SELFTEST), Err(Errno::ENOENT));
    let plain = client.hwpt(idev, ioas, HwptAllocFlags::empty(), None).unwrap();
    assert_eq!(viommu(&client, idev, plain, VIOMMU_TYPE_SELFTEST), Err(Errno::EINVAL));
    assert_eq!(viommu(&client, idev, parent, 0xdead), Err(Errno::EOPNOTSUPP));
    // The type is looked at before the HWPT.
    assert_eq!(viommu(&client, idev, 0, 0xdead), Err(Errno::EOPNOTSUPP));
    client.destroy(plain).unwrap();
    let hwpt = client.hwpt(idev, first, HwptAllocFlags::empty(), Some(DATA)).unwrap();
    assert_eq!(client.destroy(parent), Err(Errno::EBUSY));
    assert_eq!(client.destroy(first), Err(Errno::EBUSY));
    for id in [hwpt, first, parent] {
        client.destroy(id).unwrap();
    }
}

#[test]
fn a_viommu_shows_memory_that_holds_it() {
    let Nested { client, device, parent, .. } = nested();
    let process = &client.process;
    process.memory.write(DATA, ViommuSelftest { in_data: 0xbeef, ..Default::default() }.as_bytes()).unwrap();
    let alloc = client.get(ViommuAlloc {
        type_: VIOMMU_TYPE_SELFTEST,
        dev_id: device.out_idev_id,
        hwpt_id: parent,
        data_uptr: DATA,
        data_len: size_of::<ViommuSelftest>() as u32,
        ..ViommuAlloc::default()
    });
    let viommu = alloc.unwrap().out_viommu_id;
    let ViommuSelftest { out_data, out_mmap_offset: offset, out_mmap_length: bytes, .. } =
        load(process, DATA);
    assert_eq!((out_data, bytes), (0xbeef, 2 * PAGE));

    let right = MapRequest { offset, bytes, shared: true, executable: false };
    let wrong = [
        (MapRequest { offset: offset + PAGE, ..right }, Errno::ENXIO),
        (MapRequest { offset: offset + 2 * PAGE, ..right }, Errno::ENXIO),
        (MapRequest { bytes: bytes / 2, ..right }, Errno::ENXIO),
        (MapRequest { bytes: bytes * 2, ..right }, Errno::ENXIO),
        (MapRequest { shared: false, ..right }, Errno::EINVAL),
        (MapRequest { executable: true, ..right }, Errno::EPERM),
    ];
    let window = 0x7200_0000_0000;
    for (request, errno) in wrong {
        assert_eq!(process.mmap(window, client.iommufd, request), Err(errno), "{request:?}");
    }
    process.mmap(window, client.iommufd, right).unwrap();
    assert_eq!(load::<u32>(process, window), 0xbeef);
    assert_eq!(client.destroy(viommu), Err(Errno::EBUSY));
    // It is no memory that devices could have.
    let ioas = client.ioas();
    client.mock_device(ioas);
    assert_eq!(client.map(ioas, window, PAGE), Err(Errno::EFAULT));
    process.memory.unmap(Span::sized(window, PAGE).unwrap()).unwrap();
    assert_eq!(client.destroy(viommu), Err(Errno::EBUSY), "half of it is mapped");
    process.memory.unmap(Span::sized(window, bytes).unwrap()).unwrap();
    client.destroy(viommu).unwrap();
}

#[test]
fn events_are_read_whole_and_losses_are_told() {
    let nested = nested();
    let Nested { client, ioas, .. } = &nested;
    let process = &client.process;
    let hwpt =
        client.hwpt(nested.device.out_idev_id, nested.viommu, HwptAllocFlags::empty(), Some(DATA)).unwrap();
    assert_eq!(nested.replace(hwpt), Err(Errno::ENOENT), "there is no vDEVICE");

    assert_eq!(nested.veventq(0), Err(Errno::EINVAL));
    assert_eq!(nested.veventq((1 << 19) + 1), Err(Errno::EINVAL));
    let deepest = nested.veventq(1 << 19).unwrap();
    assert_eq!(client.destroy(deepest.out_veventq_id), Err(Errno::EBUSY), "its file is open");
    process.close(deepest.out_veventq_fd as i32).unwrap();
    client.destroy(deepest.out_veventq_id).unwrap();

    let queue = nested.veventq(2).unwrap();
    assert_eq!(nested.veventq(2), Err(Errno::EEXIST));
    let fd = queue.out_veventq_fd as i32;
    let read = |count| {
        process.read(fd, DATA, count).map(|bytes| load::<[u32; 8]>(process, DATA)[..bytes / 4].to_vec())
    };
    assert_eq!(process.poll(fd), Ok(Ready::empty()));
    assert_eq!((read(0), read(7)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));

    let first = nested.vdevice(0x99).unwrap();
    nested.replace(hwpt).unwrap();
    nested.trigger();
    assert_eq!(process.poll(fd), Ok(Ready::IN));
    assert_eq!((read(0), read(8), read(11)), (Err(Errno::EINVAL), Err(Errno::EINVAL), Err(Errno::EINVAL)));
    assert_eq!(read(12), Ok(vec![0, 0, 0x99]), "flags, sequence, device");
    assert_eq!(nested.vdevice(0x99), Err(Errno::EEXIST));
    nested.replace(*ioas).unwrap();
    client.destroy(first).unwrap();

    // Of three events two find room: a header alone tells of the third.
    let second = nested.vdevice(0x88).unwrap();
    nested.replace(hwpt).unwrap();
    (0..3).for_each(|_| nested.trigger());
    assert_eq!(read(32), Ok(vec![0, 1, 0x88, 0, 2, 0x88, 1, 3]));
    nested.trigger();
    assert_eq!(read(32), Ok(vec![0, 4, 0x88]));
    assert_eq!(process.poll(fd), Ok(Ready::empty()));
    process.close(fd).unwrap();
    nested.replace(*ioas).unwrap();
    client.destroy(second).unwrap();
    client.destroy(queue.out_veventq_id).unwrap();
}

/// What `/proc/PID/status` would show: pinned and locked pages.
fn charged(client: &Client, process: &Process) -> (u64, u64) {
    let charged = client.host.accounts.of_mm(process.memory.id());
    (charged.pinned, charged.locked)
}

#[test]
fn another_process_can_take_the_charge_of_files() {
    for by_mm in [false, true] {
        let mut client = client();
        client.process.credentials.capabilities.remove(Capabilities::IPC_LOCK);
        let option = IommuOption {
            option_id: OPTION_RLIMIT_MODE,
            op: OPTION_OP_SET,
            val64: by_mm.into(),
            ..IommuOption::default()
        };
        client.get(option).unwrap();
        let ioas = client.ioas();
        client.mock_device(ioas);
        let memory = client.map(ioas, AT, PAGE).unwrap();
        assert_eq!(client.get(IoasChangeProcess::default()), Err(Errno::EINVAL), "not of a file");
        client.unmap(ioas, memory, PAGE).unwrap();
        assert_eq!(charged(&client, &client.process), (0, 0));

        let file = Descriptor::Memory(MemFd::new(PAGE, PAGE).unwrap());
        let fd = client.process.descriptors.open(file).unwrap();
        let flags = IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE;
        client.get(IoasMapFile { flags, ioas_id: ioas, fd, length: PAGE, ..Default::default() }).unwrap();
        client.get(IoasChangeProcess::default()).unwrap();
        let child = client.process.fork().unwrap();
        let one = (1, u64::from(by_mm));
        assert_eq!((charged(&client, &client.process), charged(&client, &child)), (one, (0, 0)));
        call(&child, client.iommufd, IoasChangeProcess::default()).unwrap();
        assert_eq!((charged(&client, &client.process), charged(&client, &child)), ((0, 0), one));
        let locked_by_user = if by_mm { 0 } else { 1 };
        assert_eq!(client.host.accounts.of_user(0), locked_by_user);
        client.process.exit();
        child.exit();
        assert_eq!(client.host.accounts.of_user(0), 0);
    }
}

/// A client whose IOAS with one mock device stands behind the VFIO ioctls, in the mode `type_`.
fn compat(type_: u32) -> (Client, u32) {
    let client = client();
    let ioas_id = client.ioas();
    client.mock_device(ioas_id);
    client.get(VfioIoas { ioas_id, op: VFIO_IOAS_SET, ..VfioIoas::default() }).unwrap();
    client.process.ioctl(client.iommufd, vfio::ioctl::SET_IOMMU, type_.into()).unwrap();
    (client, ioas_id)
}

fn dma_map(client: &Client, vaddr: u64, iova: u64, size: u64) -> Result<(), Errno> {
    let flags = DmaMapFlags::READ | DmaMapFlags::WRITE;
    client.get(IommuType1DmaMap { flags, vaddr, iova, size, ..Default::default() }).map(|_| ())
}

fn dma_unmap(client: &Client, flags: DmaUnmapFlags, iova: u64, size: u64) -> Result<u64, Errno> {
    client.get(IommuType1DmaUnmap { flags, iova, size, ..Default::default() }).map(|unmap| unmap.size)
}

const START: u64 = MOCK_APERTURE_START;

#[test]
fn vfio_knows_its_extensions() {
    let client = Client::new();
    let ioctl = |command, argument| client.process.ioctl(client.iommufd, command, argument);
    assert_eq!(ioctl(vfio::ioctl::GET_API_VERSION, 0), Ok(vfio::API_VERSION.into()));
    let extensions = [
        (vfio::TYPE1_IOMMU, 1),
        (vfio::TYPE1V2_IOMMU, 1),
        (vfio::UNMAP_ALL, 1),
        (vfio::UPDATE_VADDR, 0),
        (vfio::RESERVED_TYPE1_NESTING_IOMMU, 0),
        (u32::MAX, 0),
    ];
    for (extension, known) in extensions {
        assert_eq!(ioctl(vfio::ioctl::CHECK_EXTENSION, extension.into()), Ok(known), "extension {extension}");
    }
    assert_eq!(ioctl(vfio::ioctl::IOMMU_ENABLE, 0), Err(Errno::ENOTTY));
    // What is wrong with the arguments is said before that there is no IOAS.
    let unmap = |size, flags: u32| {
        let unmap = IommuType1DmaUnmap {
            argsz: size,
            flags: DmaUnmapFlags::from_bits_retain(flags),
            iova: START,
            size: PAGE,
        };
        client.process.memory.write(Process::ARGUMENTS, unmap.as_bytes()).unwrap();
        ioctl(vfio::ioctl::IOMMU_UNMAP_DMA, Process::ARGUMENTS)
    };
    assert_eq!(unmap(1, 0), Err(Errno::EINVAL));
    assert_eq!(unmap(24, 1 << 31), Err(Errno::EINVAL));
    assert_eq!(unmap(24, 0), Err(Errno::ENODEV));
}

#[test]
fn vfio_maps_and_unmaps() {
    for type_ in [vfio::TYPE1_IOMMU, vfio::TYPE1V2_IOMMU] {
        let (client, object_id) = compat(type_);
        let option = IommuOption {
            option_id: OPTION_HUGE_PAGES,
            op: OPTION_OP_GET,
            object_id,
            val64: 3,
            ..IommuOption::default()
        };
        assert_eq!(client.get(option).unwrap().val64, u64::from(type_ == vfio::TYPE1V2_IOMMU));

        let (all, none, bytes) = (DmaUnmapFlags::ALL, DmaUnmapFlags::empty(), 16 * PAGE);
        dma_map(&client, AT, START, bytes).unwrap();
        assert_eq!(dma_unmap(&client, none, START, bytes), Ok(bytes));
        assert_eq!(dma_unmap(&client, none, START, bytes), Ok(0), "there is nothing");
        dma_map(&client, AT, START, bytes).unwrap();
        assert_eq!(dma_unmap(&client, all, START, bytes), Err(Errno::EINVAL));
        assert_eq!(dma_unmap(&client, all, 0, 0), Ok(bytes));
        for page in 0..16 {
            dma_map(&client, AT + page * PAGE, START + page * PAGE, PAGE).unwrap();
        }
        // 5 has no factor with 16: every page once, out of order.
        for page in (0..16).map(|step| step * 5 % 16) {
            assert_eq!(dma_unmap(&client, none, START + page * PAGE, PAGE), Ok(PAGE), "page {page}");
        }
    }
}

#[test]
fn type_1_cuts_a_mapping_and_version_2_does_not() {
    for type_ in [vfio::TYPE1_IOMMU, vfio::TYPE1V2_IOMMU] {
        let (client, _) = compat(type_);
        let (at, bytes) = (AT + HUGE_PAGE, 2 * HUGE_PAGE);
        let pages = Span::sized(at, bytes).unwrap();
        client.process.memory.map_anonymous(pages, Sharing::Shared, HUGE_PAGE).unwrap();
        dma_map(&client, at, START, bytes).unwrap();
        let part = bytes / 16;
        for index in (0..16).map(|step| step * 7 % 16) {
            let unmapped = dma_unmap(&client, DmaUnmapFlags::empty(), START + index * part, part);
            let expected = if type_ == vfio::TYPE1_IOMMU { Ok(part) } else { Err(Errno::ENOENT) };
            assert_eq!(unmapped, expected, "part {index}");
        }
    }
}

#[test]
fn vfio_info_tells_ranges_where_there_is_room() {
    const TOTAL: u32 = 72;
    let (client, _) = compat(vfio::TYPE1V2_IOMMU);
    let process = &client.process;
    let info = |argsz: u32| {
        let mut answer = [0xaa; PAGE as usize];
        answer[..argsz as usize].fill(0);
        answer[..4].copy_from_slice(&argsz.to_ne_bytes());
        process.memory.write(DATA, &answer).unwrap();
        process.ioctl(client.iommufd, vfio::ioctl::IOMMU_GET_INFO, DATA).unwrap();
        process.memory.read(DATA, &mut answer).unwrap();
        assert!(answer[argsz as usize..].iter().all(|byte| *byte == 0xaa), "written beyond {argsz} bytes");
        answer
    };
    for argsz in 16..=TOTAL + 8 {
        let answer = info(argsz);
        let (head, _) = vfio::IommuType1Info::read_from_prefix(&answer).unwrap();
        assert_eq!(head.argsz, TOTAL, "of {argsz}");
        assert_eq!(head.flags, vfio::IommuInfoFlags::PGSIZES | vfio::IommuInfoFlags::CAPS);
        assert_eq!(head.iova_pgsizes & (PAGE - 1), 0);
        assert_ne!(head.iova_pgsizes & PAGE, 0);
        if argsz >= 24 {
            assert_eq!(head.cap_offset, if argsz >= TOTAL { 24 } else { 0 }, "of {argsz}");
        }
    }
    let answer = info(TOTAL);
    let (avail, _) = vfio::IommuType1InfoDmaAvail::read_from_prefix(&answer[24..]).unwrap();
    let header = |id, next| vfio::InfoCapHeader { id, version: 1, next };
    assert_eq!((avail.header, avail.avail), (header(vfio::IOMMU_TYPE1_INFO_DMA_AVAIL, 40), u32::MAX));
    let (ranges, _) = vfio::IommuType1InfoCapIovaRange::read_from_prefix(&answer[40..]).unwrap();
    assert_eq!((ranges.header, ranges.nr_iovas), (header(vfio::IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0), 1));
    let (range, _) = vfio::IovaRange::read_from_prefix(&answer[56..]).unwrap();
    assert_eq!((range.start, range.end), (START, MOCK_APERTURE_LAST));
}

/// A device with PASIDs.
struct Pasids {
    client: Client,
    ioas: u32,
    device: MockDomainFlags,
}

impl Pasids {
    fn new() -> Self {
        let client = client();
        let ioas = client.ioas();
        let dev_flags = MockDeviceFlags::PASID;
        let device = client.test(ioas, MockDomainFlags { dev_flags, ..Default::default() }).unwrap();
        Self { client, ioas, device }
    }

    fn hwpt(&self, pt_id: u32, flags: HwptAllocFlags) -> u32 {
        let data = (pt_id != self.ioas).then_some(DATA);
        self.client.hwpt(self.device.out_idev_id, pt_id, flags, data).unwrap()
    }

    fn attach(&self, pasid: u32, pt_id: u32) -> Result<(), Errno> {
        self.client.test(self.device.out_stdev_id, PasidAttach { pasid, pt_id }).map(|_| ())
    }

    fn replace(&self, pasid: u32, pt_id: u32) -> Result<(), Errno> {
        self.client.test(self.device.out_stdev_id, PasidReplace { pasid, pt_id }).map(|_| ())
    }

    fn detach(&self, pasid: u32) {
        self.client.test(self.device.out_stdev_id, PasidDetach { pasid }).unwrap();
    }

    /// Asserts that `pasid` is attached to `hwpt_id`, or to nothing where that is 0.
    fn attached(&self, pasid: u32, hwpt_id: u32) {
        self.client.test(self.device.out_stdev_id, PasidCheck { pasid, hwpt_id }).unwrap();
    }

    fn move_device(&self, pt_id: u32) -> Result<(), Errno> {
        self.client.test(self.device.out_stdev_id, MockDomainReplace { pt_id }).map(|_| ())
    }
}

#[test]
fn a_pasid_is_attached_where_both_sides_allow_it() {
    let pasids = Pasids::new();
    pasids.detach(100);
    let parent = pasids.hwpt(pasids.ioas, HwptAllocFlags::NEST_PARENT);
    let nested = [(); 2].map(|()| pasids.hwpt(parent, HwptAllocFlags::PASID));
    let paging = pasids.hwpt(pasids.ioas, HwptAllocFlags::PASID);

    pasids.move_device(parent).unwrap();
    assert_eq!(pasids.attach(100, paging), Err(Errno::EINVAL), "the device's HWPT is not for PASIDs");
    pasids.move_device(paging).unwrap();
    pasids.attach(100, nested[0]).unwrap();
    assert_eq!(pasids.move_device(parent), Err(Errno::EINVAL), "a PASID is attached");
    pasids.detach(100);
    pasids.attached(100, 0);
    assert_eq!(pasids.attach(100, parent), Err(Errno::EINVAL), "the HWPT is not for PASIDs");
    assert_eq!(pasids.attach(100, pasids.ioas), Err(Errno::EINVAL), "an IOAS");
    pasids.attached(100, 0);
    pasids.attach(100, paging).unwrap();
    pasids.attached(100, paging);
    assert_eq!(pasids.attach(100, nested[0]), Err(Errno::EBUSY));
    assert_eq!(pasids.attach(100, paging), Err(Errno::EBUSY));
    pasids.detach(100);
    pasids.attached(100, 0);
}

#[test]
fn a_device_without_pasids_takes_their_hwpts_for_itself() {
    let pasids = Pasids::new();
    let plain = pasids.client.mock_device(pasids.ioas);
    let parent = pasids.hwpt(pasids.ioas, HwptAllocFlags::NEST_PARENT);
    let nested = pasids.hwpt(parent, HwptAllocFlags::PASID);
    let paging = pasids.hwpt(pasids.ioas, HwptAllocFlags::PASID);
    for pt_id in [nested, pasids.ioas] {
        pasids.client.test(plain.out_stdev_id, MockDomainReplace { pt_id }).unwrap();
    }
    for pt_id in [parent, paging] {
        let attached = pasids.client.test(plain.out_stdev_id, PasidAttach { pasid: 100, pt_id });
        assert_eq!(attached, Err(Errno::EINVAL));
    }
}

#[test]
fn a_pasid_keeps_its_hwpt_where_replacing_fails() {
    let pasids = Pasids::new();
    let parent = pasids.hwpt(pasids.ioas, HwptAllocFlags::NEST_PARENT);
    let nested = [(); 2].map(|()| pasids.hwpt(parent, HwptAllocFlags::PASID));
    let paging = pasids.hwpt(pasids.ioas, HwptAllocFlags::PASID);
    pasids.move_device(paging).unwrap();

    assert_eq!(pasids.replace(200, paging), Err(Errno::EINVAL), "nothing is attached");
    pasids.attach(200, paging).unwrap();
    assert_eq!(pasids.replace(200, pasids.ioas), Err(Errno::EINVAL));
    pasids.attached(200, paging);
    for hwpt in nested {
        pasids.replace(200, hwpt).unwrap();
        pasids.attached(200, hwpt);
    }
    pasids.detach(200);

    let pasid = TEST_PASID_RESERVED;
    pasids.attach(pasid, paging).unwrap();
    assert_eq!(pasids.replace(pasid, nested[0]), Err(Errno::ENOMEM), "the mock refuses it once");
    pasids.attached(pasid, paging);
    pasids.detach(pasid);
    pasids.attached(pasid, 0);
}

#[test]
fn a_fault_of_a_pasid_is_answered() {
    let pasids = Pasids::new();
    let Pasids { client, device, .. } = &pasids;
    let parent = pasids.hwpt(pasids.ioas, HwptAllocFlags::NEST_PARENT);
    let paging = pasids.hwpt(pasids.ioas, HwptAllocFlags::PASID);
    let fault = client.get(FaultAlloc::default()).unwrap();
    let fd = fault.out_fault_fd as i32;
    let faulting = client
        .get(HwptAlloc {
            flags: HwptAllocFlags::FAULT_ID_VALID | HwptAllocFlags::PASID,
            dev_id: device.out_idev_id,
            pt_id: parent,
            data_type: HWPT_DATA_SELFTEST,
            data_len: 8,
            data_uptr: DATA,
            fault_id: fault.out_fault_id,
            ..HwptAlloc::default()
        })
        .unwrap()
        .out_hwpt_id;
    pasids.move_device(paging).unwrap();
    pasids.attach(2048, faulting).unwrap();
    let perm = PgfaultPerm::READ | PgfaultPerm::WRITE;
    let request = TriggerIopf {
        dev_id: device.out_idev_id,
        pasid: 2048,
        grpid: 2,
        perm: perm.bits(),
        addr: 0xdead_beaf,
    };
    client.test(0, request).unwrap();
    assert_eq!(client.process.read(fd, DATA, 40), Ok(40));
    let record: HwptPgfault = load(&client.process, DATA);
    let expected = HwptPgfault {
        flags: PgfaultFlags::PASID_VALID | PgfaultFlags::LAST_PAGE,
        dev_id: device.out_idev_id,
        pasid: 2048,
        grpid: 2,
        perm,
        addr: 0xdead_beaf,
        cookie: record.cookie,
        ..HwptPgfault::default()
    };
    assert_eq!(record, expected);
    let response = HwptPageResponse { cookie: record.cookie, code: PAGE_RESP_SUCCESS };
    client.process.memory.write(DATA, response.as_bytes()).unwrap();
    assert_eq!(client.process.write(fd, DATA, 8), Ok(8));
    assert_eq!(client.process.write(fd, DATA, 8), Err(Errno::EINVAL), "it is answered");
    pasids.replace(2048, paging).unwrap();
    pasids.attached(2048, paging);
    pasids.detach(2048);
    client.destroy(faulting).unwrap();
    assert_eq!(client.destroy(fault.out_fault_id), Err(Errno::EBUSY), "its file is open");
    client.process.close(fd).unwrap();
    client.destroy(fault.out_fault_id).unwrap();
    pasids.move_device(pasids.ioas).unwrap();
}

/// Copies of every length about the border of two pages, and of everything.
#[test]
fn an_access_copies_any_bytes() {
    for (domains, slow) in [(0, false), (0, true), (1, false), (2, true)] {
        let client = client();
        let process = &client.process;
        let ioas = client.ioas();
        for _ in 0..domains {
            client.mock_device(ioas);
        }
        let iova = client.map(ioas, AT, 16 * PAGE).unwrap();
        let access = client.test(ioas, CreateAccess::default()).unwrap().out_access_fd;
        let how = if slow { AccessRwFlags::SLOW_PATH } else { AccessRwFlags::empty() };
        let copy = |flags, from: u64, length| {
            let rw = AccessRw { iova: iova + from, length, uptr: DATA, flags: how | flags, padding: 0 };
            client.test(access, rw).unwrap();
        };
        let mut expected: Vec<u8> = (0..16 * PAGE).map(|at| (at % 251) as u8).collect();
        process.memory.write(AT, &expected).unwrap();
        for from in PAGE as usize - 50..PAGE as usize + 50 {
            for length in [1, 2, 7, 8, 49, 51, 63] {
                copy(AccessRwFlags::empty(), from as u64, length as u64);
                let mut data = vec![0; length];
                process.memory.read(DATA, &mut data).unwrap();
                assert_eq!(data, expected[from..from + length], "read of {length} at {from}");

                data.iter_mut().for_each(|byte| *byte ^= (from + length) as u8);
                process.memory.write(DATA, &data).unwrap();
                copy(AccessRwFlags::WRITE, from as u64, length as u64);
                expected[from..from + length].copy_from_slice(&data);
            }
        }
        let everything = Span::sized(DATA, 16 * PAGE).unwrap();
        process.memory.map_anonymous(everything, Sharing::Private, PAGE).unwrap();
        copy(AccessRwFlags::empty(), 0, 16 * PAGE);
        let mut data = vec![0; expected.len()];
        process.memory.read(DATA, &mut data).unwrap();
        assert!(data == expected);
        process.memory.read(AT, &mut data).unwrap();
        assert!(data == expected);
    }
}

/// Maps two pages filled with `byte` at [`AT`], in place of what is there.
fn fill(process: &Process, byte: u8) {
    process.memory.map_anonymous(Span::sized(AT, 2 * PAGE).unwrap(), Sharing::Shared, PAGE).unwrap();
    process.memory.write(AT, &[byte; 2 * PAGE as usize]).unwrap();
}

#[test]
fn an_access_reads_what_is_mapped_or_what_is_pinned() {
    let client = client();
    let process = &client.process;
    fill(process, 1);
    let ioas = client.ioas();
    client.mock_device(ioas);
    let iova = client.map(ioas, AT, 2 * PAGE).unwrap();
    let access = client.test(ioas, CreateAccess::default()).unwrap().out_access_fd;
    let other = process.fork().unwrap();
    // What a process reads from the border of the pages on, or across it.
    let read = |process: &Process, flags, from: u64| {
        let rw = AccessRw { iova: iova + from, length: 2, uptr: DATA, flags, padding: 0 };
        let mut command = TestCmd { op: AccessRw::OP, id: access, ..TestCmd::default() };
        command.set(&rw);
        call(process, client.iommufd, command).map(|_| load::<[u8; 2]>(process, DATA))
    };
    let (fast, slow, one, both) = (AccessRwFlags::empty(), AccessRwFlags::SLOW_PATH, PAGE, PAGE - 1);

    // Other pages at the same address: the old ones stay pinned.
    fill(process, 2);
    let (old, new) = (Ok([1; 2]), Ok([2; 2]));
    assert_eq!((read(process, fast, one), read(process, fast, both)), (new, new));
    assert_eq!((read(process, slow, one), read(process, slow, both)), (new, old));
    assert_eq!((read(&other, fast, one), read(&other, fast, both)), (new, old));

    // Nothing at that address: the process itself cannot reach the pinned pages.
    process.memory.unmap(Span::sized(AT, 2 * PAGE).unwrap()).unwrap();
    assert_eq!(
        (read(process, fast, one), read(process, fast, both)),
        (Err(Errno::EFAULT), Err(Errno::EFAULT))
    );
    assert_eq!((read(process, slow, both), read(&other, fast, both)), (Ok([1; 2]), Ok([1; 2])));
}
