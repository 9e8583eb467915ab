//! A process with `/dev/iommu`, a device bound to it, and the device's DMA into the process's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use devices::addr::{Pa, SourceId};
use devices::fabric::{Effects, Outcome, Request};
use devices::vtd::Config;
use iommufd::device::BoundDevice;
use iommufd::driver::Attachment;
use iommufd::process::UserMemory;
use iommufd::span::Span;
use iommufd::uapi::{
    self, HwptAlloc, HwptAllocFlags, IoasCopy, IoasIovaRanges, IoasMap, IoasMapFlags, IommuOption,
};
use iommufd::{Errno, Host, Iommufd, Options, Result};
use zerocopy::IntoBytes;

use crate::concurrent::Stop;
use crate::exerciser::{Driver, Ended, UserView};
use crate::machine::TABLES;
use crate::rig::{RING, Rig, preset};
use crate::support::{AddressSpace, Client, Descriptor, HUGE_PAGE, PAGE, Process, Sharing};
use crate::tables;

/// Where the process has the ring of its device.
const RING_VA: u64 = 0x7f00_0000_0000;
/// Where it has its buffer.
const BUFFER_VA: u64 = 0x7e00_0000_0000;
/// Where the device has the buffer.
const BUFFER: u64 = 0x4000_0000;

/// Memory of a process, from an address on.
#[derive(Clone)]
struct View {
    memory: Arc<AddressSpace>,
    base: u64,
}

impl UserView for View {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.memory.read(self.base + offset, data).unwrap();
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.memory.write(self.base + offset, data).unwrap();
    }
}

/// A machine, and a process on its host.
struct World {
    rig: Rig,
    client: Client,
    iommufd: Arc<Iommufd>,
}

/// A device that the process drives.
struct Device {
    source: SourceId,
    bound: BoundDevice,
    exerciser: Driver<View>,
}

impl World {
    fn new(config: Config) -> Self {
        let rig = Rig::new(config);
        rig.host.frames.connect(Arc::new(rig.machine.mem.clone())).unwrap();
        let (process, iommufd) = (Process::root(), rig.host.open());
        let fd = process.descriptors.open(Descriptor::Library(iommufd.clone())).unwrap();
        let client = Client { host: rig.host.clone(), process, iommufd: fd };
        let world = Self { rig, client, iommufd };
        world.allocate(BUFFER_VA, 0x10 * PAGE, PAGE);
        world
    }

    fn plain() -> Self {
        Self::new(preset("vtd-legacy"))
    }

    /// Anonymous memory of the process.
    fn allocate(&self, address: u64, bytes: u64, page: u64) {
        let span = Span::sized(address, bytes).unwrap();
        self.client.process.memory.map_anonymous(span, Sharing::Private, page).unwrap();
    }

    /// Memory of the process, through its own mapping.
    fn bytes<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut data = [0; N];
        self.client.process.memory.read(address, &mut data).unwrap();
        data
    }

    fn map(&self, ioas_id: u32, iova: u64, user_va: u64, length: u64) -> Result<()> {
        let flags = IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE | IoasMapFlags::FIXED_IOVA;
        self.client.get(IoasMap { flags, ioas_id, user_va, length, iova, ..IoasMap::default() }).map(drop)
    }

    /// Binds a new device and attaches it to `ioas`, with its ring mapped there.
    fn device(&self, number: u8, ioas: u32) -> Device {
        let (source, device) = self.rig.device(number);
        let bound = BoundDevice::bind(self.iommufd.ctx(), &device).unwrap();
        let ring = RING_VA + u64::from(number) * PAGE;
        self.allocate(ring, PAGE, PAGE);
        self.map(ioas, RING + u64::from(number) * PAGE, ring, PAGE).unwrap();
        bound.attach(None, ioas).unwrap();
        let view = View { memory: self.client.process.memory.clone(), base: ring };
        let iova = RING + u64::from(number) * PAGE;
        let exerciser = Driver::new(&self.rig.machine, source, view, 0, iova);
        Device { source, bound, exerciser }
    }

    /// Where `iova` leads a device, by the unit's tables.
    fn leaf(&self, device: &Device, iova: u64) -> Option<tables::Leaf> {
        tables::leaf(&self.rig.machine, device.source, iova)
    }
}

#[test]
fn a_user_sees_what_its_device_does_and_no_more_after_unmapping() {
    for name in ["vtd-legacy", "vtd-legacy-cm"] {
        let world = World::new(preset(name));
        let ioas = world.client.ioas();
        let mut device = world.device(4, ioas);
        assert_eq!(device.exerciser.dma_write(BUFFER, b"early"), Ended::Refused(0));
        for round in 0..2u8 {
            world.map(ioas, BUFFER, BUFFER_VA, 4 * PAGE).unwrap();
            let data = [round + 1; 3000];
            assert_eq!(device.exerciser.dma_write(BUFFER + 0x1800, &data), Ended::Done(3000), "{name}");
            assert_eq!(world.bytes(BUFFER_VA + 0x1800), data, "{name}");
            world.client.process.memory.write(BUFFER_VA + 0x3ffc, b"user").unwrap();
            let mut back = [0; 4];
            assert_eq!(device.exerciser.dma_read(BUFFER + 0x3ffc, &mut back), Ended::Done(4), "{name}");
            assert_eq!(&back, b"user", "{name}");
            assert_eq!(world.client.unmap(ioas, BUFFER, 4 * PAGE), Ok(4 * PAGE));
            assert_eq!(device.exerciser.dma_write(BUFFER + 0x1800, b"late"), Ended::Refused(0), "{name}");
            assert_eq!(world.bytes(BUFFER_VA + 0x1800), data, "{name}");
        }
        let faults = world.rig.faults();
        let seen: Vec<_> = faults.iter().map(|f| (f.source, f.address, f.write, f.reason)).collect();
        let source = u32::from(device.source.0);
        let late = (source, BUFFER + 0x1000, true, 5);
        assert_eq!(seen, [(source, BUFFER, true, 5), late, late], "{name}");
        assert!(faults.iter().all(|fault| fault.device == Some(device.bound.physical().id())));
        world.rig.assert_fresh();
    }
}

#[test]
fn a_device_keeps_what_the_process_gave_up() {
    let world = World::plain();
    let ioas = world.client.ioas();
    let mut device = world.device(4, ioas);
    world.map(ioas, BUFFER, BUFFER_VA, PAGE).unwrap();
    device.exerciser.dma_write(BUFFER, b"kept");
    world.client.process.memory.unmap(Span::sized(BUFFER_VA, PAGE).unwrap()).unwrap();
    let mut back = [0; 4];
    assert_eq!(device.exerciser.dma_read(BUFFER, &mut back), Ended::Done(4));
    assert_eq!(&back, b"kept");
}

#[test]
fn large_pages_of_a_process_are_large_pages_of_the_unit() {
    let world = World::plain();
    let ioas = world.client.ioas();
    let device = world.device(4, ioas);
    world.allocate(0x6000_0000_0000, 2 * HUGE_PAGE, HUGE_PAGE);
    world.map(ioas, 0x8000_0000, 0x6000_0000_0000, 2 * HUGE_PAGE).unwrap();
    for offset in [0, HUGE_PAGE, 2 * HUGE_PAGE - 1] {
        let leaf = world.leaf(&device, 0x8000_0000 + offset).unwrap();
        assert_eq!((leaf.level, leaf.rights), (2, 3), "{offset:#x}");
    }
    // At an IOVA that is not aligned as the memory is, there is nothing large.
    world.map(ioas, 0x9000_1000, 0x6000_0000_0000, HUGE_PAGE).unwrap();
    assert_eq!(world.leaf(&device, 0x9000_1000).map(|leaf| leaf.level), Some(1));
    world.client.unmap(ioas, 0x8000_0000, 2 * HUGE_PAGE).unwrap();
    assert_eq!(world.leaf(&device, 0x8000_0000), None);
    // Nor where it is not wanted.
    let small = world.client.ioas();
    let option = IommuOption {
        option_id: uapi::OPTION_HUGE_PAGES,
        op: uapi::OPTION_OP_SET,
        object_id: small,
        val64: 0,
        ..IommuOption::default()
    };
    world.client.get(option).unwrap();
    world.map(small, 0x8000_0000, 0x6000_0000_0000, HUGE_PAGE).unwrap();
    let device = world.device(5, small);
    assert_eq!(world.leaf(&device, 0x8000_0000).map(|leaf| leaf.level), Some(1));
}

#[test]
fn a_copy_is_the_same_memory() {
    let world = World::plain();
    let (first, second) = (world.client.ioas(), world.client.ioas());
    let (mut one, mut two) = (world.device(4, first), world.device(5, second));
    world.map(first, BUFFER, BUFFER_VA, 2 * PAGE).unwrap();
    let copy = IoasCopy {
        flags: IoasMapFlags::READABLE | IoasMapFlags::FIXED_IOVA,
        dst_ioas_id: second,
        src_ioas_id: first,
        length: PAGE,
        dst_iova: 2 * BUFFER,
        src_iova: BUFFER + PAGE,
        ..IoasCopy::default()
    };
    world.client.get(copy).unwrap();
    assert_eq!(one.exerciser.dma_write(BUFFER + PAGE, b"shared"), Ended::Done(6));
    let mut back = [0; 6];
    assert_eq!(two.exerciser.dma_read(2 * BUFFER, &mut back), Ended::Done(6));
    assert_eq!(&back, b"shared");
    assert_eq!(two.exerciser.dma_write(2 * BUFFER, b"x"), Ended::Refused(0), "the copy is read-only");
    let leaves = (world.leaf(&one, BUFFER + PAGE).unwrap(), world.leaf(&two, 2 * BUFFER).unwrap());
    assert_eq!(leaves.0.pa, leaves.1.pa);
    world.client.unmap(first, BUFFER, 2 * PAGE).unwrap();
    assert_eq!(one.exerciser.dma_write(BUFFER + PAGE, b"x"), Ended::Refused(0));
    assert_eq!(two.exerciser.dma_read(2 * BUFFER, &mut back), Ended::Done(6));
    assert_eq!(&back, b"shared");
    world.rig.assert_fresh();
}

#[test]
fn devices_in_two_address_spaces_are_apart() {
    let world = World::plain();
    let (first, second) = (world.client.ioas(), world.client.ioas());
    let (mut one, mut two) = (world.device(4, first), world.device(5, second));
    world.map(first, BUFFER, BUFFER_VA, PAGE).unwrap();
    assert_eq!(two.exerciser.dma_write(BUFFER, b"two"), Ended::Refused(0));
    world.map(second, BUFFER, BUFFER_VA + PAGE, PAGE).unwrap();
    assert_eq!(one.exerciser.dma_write(BUFFER, b"one"), Ended::Done(3));
    assert_eq!(two.exerciser.dma_write(BUFFER, b"two"), Ended::Done(3));
    assert_eq!((world.bytes(BUFFER_VA), world.bytes(BUFFER_VA + PAGE)), (*b"one", *b"two"));
    world.rig.assert_fresh();
}

#[test]
fn a_detached_device_reaches_nothing_and_a_moved_one_only_the_new() {
    let world = World::plain();
    let (first, second) = (world.client.ioas(), world.client.ioas());
    let mut device = world.device(4, first);
    let ring = RING + 4 * PAGE;
    world.map(first, BUFFER, BUFFER_VA, PAGE).unwrap();
    world.map(second, BUFFER, BUFFER_VA + PAGE, PAGE).unwrap();
    world.map(second, ring, RING_VA + 4 * PAGE, PAGE).unwrap();
    assert_eq!(device.exerciser.dma_write(BUFFER, b"first"), Ended::Done(5));
    device.bound.replace(None, second).unwrap();
    assert_eq!(device.exerciser.dma_write(BUFFER, b"other"), Ended::Done(5));
    assert_eq!((world.bytes(BUFFER_VA), world.bytes(BUFFER_VA + PAGE)), (*b"first", *b"other"));
    device.bound.detach(None);
    assert_eq!(tables::context(&world.rig.machine, device.source), [0, 0]);
    assert_eq!(device.exerciser.dma_write(BUFFER, b"never"), Ended::RingFault);
    assert_eq!(world.rig.reasons(), [(u32::from(device.source.0), ring, false, 2)]);
    device.bound.attach(None, first).unwrap();
    assert_eq!(device.exerciser.dma_write(BUFFER, b"again"), Ended::Done(5));
    assert_eq!((world.bytes(BUFFER_VA), world.bytes(BUFFER_VA + PAGE)), (*b"again", *b"other"));
    world.rig.assert_fresh();
}

#[test]
fn the_user_is_told_what_the_unit_is() {
    let world = World::plain();
    let ioas = world.client.ioas();
    let device = world.device(4, ioas);
    let info = uapi::HwInfo {
        dev_id: device.bound.id(),
        data_len: 24,
        data_uptr: BUFFER_VA,
        ..uapi::HwInfo::default()
    };
    let info = world.client.get(info).unwrap();
    assert_eq!((info.out_data_type, info.data_len), (uapi::HW_INFO_TYPE_INTEL_VTD, 24));
    let machine = &world.rig.machine;
    let registers = [0, machine.register(0x08), machine.register(0x10)];
    assert_eq!(world.bytes::<24>(BUFFER_VA), *registers.as_bytes());
    // Message interrupts and what the tables do not reach are not for mapping.
    let ranges =
        IoasIovaRanges { ioas_id: ioas, num_iovas: 4, allowed_iovas: BUFFER_VA, ..Default::default() };
    let ranges = world.client.get(ranges).unwrap();
    assert_eq!((ranges.num_iovas, ranges.out_iova_alignment), (2, PAGE));
    let expected = [0u64, 0xfedf_ffff, 0xfef0_0000, (1 << 48) - 1];
    assert_eq!(world.bytes::<32>(BUFFER_VA), *expected.as_bytes());
    assert!(world.map(ioas, 0xfeef_f000, BUFFER_VA, PAGE).is_err());
    for (flags, result) in [
        (HwptAllocFlags::empty(), Ok(())),
        (HwptAllocFlags::NEST_PARENT, Err(Errno::EOPNOTSUPP)),
        (HwptAllocFlags::DIRTY_TRACKING, Err(Errno::EOPNOTSUPP)),
    ] {
        let alloc = HwptAlloc { flags, dev_id: device.bound.id(), pt_id: ioas, ..HwptAlloc::default() };
        assert_eq!(world.client.get(alloc).map(drop), result, "{flags:?}");
    }
}

#[test]
fn interrupts_that_are_not_isolated_need_consent() {
    let rig = Rig::plain();
    let host = Host::new(Options::default());
    host.add_driver(&rig.driver);
    rig.machine.add_exerciser(4);
    let device = host.add_device("0000:00:04.0", &rig.driver, None).unwrap();
    let iommufd = host.open();
    assert_eq!(BoundDevice::bind(iommufd.ctx(), &device).err(), Some(Errno::EPERM));
}

#[test]
fn nothing_is_left_when_all_is_closed() {
    let world = World::plain();
    let ioas = world.client.ioas();
    let mut device = world.device(4, ioas);
    world.map(ioas, BUFFER, BUFFER_VA, 2 * PAGE).unwrap();
    device.exerciser.dma_write(BUFFER, b"x");
    let pa = Pa(world.leaf(&device, BUFFER).unwrap().pa);
    assert!(world.rig.machine.mem.resolve(pa).is_some());
    let ring = world.leaf(&device, RING + 4 * PAGE).unwrap().pa;
    // Another device has the same memory, which stays pinned.
    let other = world.device(5, ioas);
    let Device { source, bound, .. } = device;
    let physical = Arc::clone(bound.physical());
    drop(bound);
    assert_eq!(tables::context(&world.rig.machine, source)[0] & 1, 0, "the host's again: blocked");
    // The old driver still has the device's registers. It knows where its ring is in physical memory, and
    // aims at its buffer there, at a page of others, at the driver's tables.
    let ram = world.rig.ram();
    let mut exerciser = Driver::new(&world.rig.machine, source, ram.clone(), ring, ring);
    let others = [pa.0, 0x10_0000, TABLES.last - 7];
    for target in others {
        let before: [u8; 1] = ram.bytes(target);
        assert_eq!(exerciser.dma_write(target, &[!before[0]]), Ended::RingFault, "{target:#x}");
        assert_eq!(ram.bytes(target), before);
    }
    // It is the unit that stops it: all of this is memory.
    world.rig.attach(&physical, Attachment::Identity).unwrap();
    for target in others {
        assert_eq!(exerciser.dma_write(target, b"y"), Ended::Done(1), "{target:#x}");
        assert_eq!(ram.bytes(target), *b"y");
    }
    world.rig.attach(&physical, Attachment::Blocked).unwrap();
    drop(other);
    world.client.unmap(ioas, 0, u64::MAX).unwrap();
    world.client.destroy(ioas).unwrap();
    assert!(world.rig.machine.mem.resolve(pa).is_none());
}

#[test]
fn maps_and_dma_may_race() {
    let world = &World::new(Config { concurrent: true, ..preset("vtd-legacy") });
    let ioas = world.client.ioas();
    let device = &world.device(4, ioas);
    let stop = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = Stop(stop);
        let master = scope.spawn(move || {
            let port = world.rig.machine.port(device.source);
            let (mut done, mut refused) = (0u64, 0u64);
            while !stop.load(Ordering::Acquire) {
                let mut fx = Effects::default();
                match port.write(Request::at(BUFFER + 0x800), &[0xaa; 0x1000], &mut fx).outcome {
                    Outcome::Done => done += 1,
                    _ => refused += 1,
                }
                world.rig.machine.absorb(&mut fx);
            }
            (done, refused)
        });
        for round in 0..100 {
            world.map(ioas, BUFFER, BUFFER_VA, 2 * PAGE).unwrap();
            std::thread::yield_now();
            assert_eq!(world.client.unmap(ioas, BUFFER, 2 * PAGE), Ok(2 * PAGE));
            // From here on the memory is the process's alone.
            world.client.process.memory.write(BUFFER_VA, &[0x55; 0x2000]).unwrap();
            for _ in 0..3 {
                std::thread::yield_now();
                assert_eq!(world.bytes::<0x2000>(BUFFER_VA), [0x55; 0x2000], "round {round}");
            }
        }
        drop(end);
        let (done, refused) = master.join().unwrap();
        assert!(done > 0 && refused > 0, "{done} done, {refused} refused");
    });
}
