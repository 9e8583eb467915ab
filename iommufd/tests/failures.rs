//! What a failure at any step leaves behind: nothing that is pinned, charged, mapped or open.
//!
//! The replay of recordings makes every recorded call fail; here is what they have too little of: several
//! areas, several domains, scenarios to their end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod support;

use iommufd::Host;
use iommufd::errno::Errno;
use iommufd::fault_point;
use iommufd::process::{Capabilities, RegionObject, UserMemory};
use iommufd::span::Span;
use iommufd::uapi::test::*;
use iommufd::uapi::*;
use std::sync::Arc;
use support::{Client, Descriptor, MemFd, PAGE, Sharing};

/// Three buffers of [`BYTES`], one of them a file at [`FD`].
const BUFFERS: [u64; 3] = [0x7000_0000_0000, 0x7100_0000_0800, 0x7200_0000_0000];
const BYTES: u64 = 4 * PAGE;
const FD: i32 = 1;
/// Where data for ioctls is put.
const DATA: u64 = 0x7300_0000_0000;

/// A client that is charged for what it pins, with its buffers mapped.
fn client() -> Client {
    prepare(Client::new())
}

fn prepare(mut client: Client) -> Client {
    client.process.credentials.capabilities.remove(Capabilities::IPC_LOCK);
    let memory = &client.process.memory;
    let span = |address: u64| Span::sized(address / PAGE * PAGE, BYTES + PAGE).unwrap();
    for address in [BUFFERS[0], BUFFERS[1], DATA] {
        memory.map_anonymous(span(address), Sharing::Shared, PAGE).unwrap();
    }
    let file = MemFd::new(BYTES + PAGE, PAGE).unwrap();
    memory.map_memfd(span(BUFFERS[2]), &file, 0).unwrap();
    assert_eq!(client.process.descriptors.open(Descriptor::Memory(file)), Ok(FD));
    client
}

/// Where each buffer is mapped: within the mock's aperture, at the same offset in its page.
fn iova(index: usize) -> u64 {
    MOCK_APERTURE_START + index as u64 * 16 * PAGE + BUFFERS[index] % PAGE
}

/// Maps a buffer.
fn map(client: &Client, ioas_id: u32, index: usize) -> Result<(), Errno> {
    let flags = IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE | IoasMapFlags::FIXED_IOVA;
    let (length, iova) = (BYTES, iova(index));
    if index == 2 {
        client.get(IoasMapFile { flags, ioas_id, fd: FD, length, iova, ..Default::default() }).map(|_| ())
    } else {
        let user_va = BUFFERS[index];
        client.get(IoasMap { flags, ioas_id, user_va, length, iova, ..Default::default() }).map(|_| ())
    }
}

/// Maps all buffers.
fn map_all(client: &Client, ioas_id: u32) -> Result<(), Errno> {
    (0..BUFFERS.len()).try_for_each(|index| map(client, ioas_id, index))
}

fn unmap_all(client: &Client, ioas_id: u32) {
    client.unmap(ioas_id, 0, u64::MAX).unwrap();
}

/// Asserts that every page of the buffers is pinned so often, and is charged once if it is.
fn pinned(client: &Client, refs: u32) {
    for address in BUFFERS {
        let uptr = address / PAGE * PAGE;
        let length = if uptr == address { BYTES } else { BYTES + PAGE };
        client.test(0, CheckRefs { length, uptr, refs, padding: 0 }).unwrap();
    }
    // The second buffer reaches into a fifth page.
    let charged = if refs == 0 { 0 } else { 13 };
    assert_eq!(client.host.accounts.of_mm(client.process.memory.id()).pinned, charged);
    assert_eq!(client.host.accounts.of_user(0), charged);
}

/// Does `act` with its first step failing, then its second, and so on until it is done; `check` looks at
/// what each failure left. Says how often it failed.
fn until_done<T>(act: impl Fn() -> Result<T, Errno>, check: impl Fn(Errno)) -> (T, u32) {
    for step in 1.. {
        fault_point::arm(step);
        let result = act();
        let failed = fault_point::remaining() == 0;
        fault_point::arm(0);
        match result {
            Err(errno) if failed => check(errno),
            Err(errno) => panic!("{errno} at step {step}, which did not fail"),
            Ok(value) if !failed => return (value, step - 1),
            // It found another way; what that made is in the way of nothing here.
            Ok(_) => {}
        }
    }
    unreachable!("there is always one more step");
}

#[test]
fn a_domain_that_is_not_filled_is_empty() {
    let client = client();
    let ioas = client.ioas();
    map_all(&client, ioas).unwrap();
    pinned(&client, 0);
    let (device, failures) = until_done(|| client.test(ioas, MockDomain::default()), |_| pinned(&client, 0));
    assert!(failures > 10, "{failures}");
    pinned(&client, 1);
    client.destroy(device.out_stdev_id).unwrap();
    pinned(&client, 0);
}

#[test]
fn memory_that_does_not_reach_the_second_domain_leaves_the_first() {
    let client = client();
    let ioas = client.ioas();
    let device = client.mock_device(ioas);
    client.hwpt(device.out_idev_id, ioas, HwptAllocFlags::empty(), None).unwrap();
    let ((), failures) = until_done(
        || map_all(&client, ioas),
        |_| {
            unmap_all(&client, ioas);
            pinned(&client, 0);
        },
    );
    assert!(failures > 20, "{failures}");
    pinned(&client, 1);
    unmap_all(&client, ioas);
    pinned(&client, 0);
}

#[test]
fn a_second_domain_that_is_not_filled_leaves_the_first_as_it_is() {
    let client = client();
    let ioas = client.ioas();
    let device = client.mock_device(ioas);
    map_all(&client, ioas).unwrap();
    let whole = |hwpt| {
        for (index, uptr) in BUFFERS.into_iter().enumerate() {
            client.test(hwpt, CheckMap { iova: iova(index), length: BYTES, uptr }).unwrap();
        }
        pinned(&client, 1);
    };
    let (hwpt, failures) = until_done(
        || client.hwpt(device.out_idev_id, ioas, HwptAllocFlags::empty(), None),
        |_| whole(device.out_hwpt_id),
    );
    assert!(failures > 5, "{failures}");
    whole(hwpt);
    client.destroy(hwpt).unwrap();
    whole(device.out_hwpt_id);
}

#[test]
fn a_device_that_cannot_move_stays() {
    let client = client();
    let (old, new) = (client.ioas(), client.ioas());
    let device = client.mock_device(old);
    map_all(&client, new).unwrap();
    let replace = |pt_id| client.test(device.out_stdev_id, MockDomainReplace { pt_id });
    let (_, failures) = until_done(
        || replace(new),
        |errno| {
            // Its last step is the answer: it has moved then.
            if errno == Errno::EFAULT {
                replace(old).unwrap();
            }
            pinned(&client, 0);
        },
    );
    assert!(failures > 5, "{failures}");
    pinned(&client, 1);
    replace(old).unwrap();
    pinned(&client, 0);
}

#[test]
fn pins_across_areas_are_all_or_none() {
    let client = client();
    let ioas = client.ioas();
    let flags = IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE | IoasMapFlags::FIXED_IOVA;
    for (index, user_va) in (0..).zip([BUFFERS[0], BUFFERS[0] + 2 * PAGE]) {
        let iova = index * 2 * PAGE;
        client
            .get(IoasMap { flags, ioas_id: ioas, user_va, length: 2 * PAGE, iova, ..Default::default() })
            .unwrap();
    }
    let create = CreateAccess { flags: CreateAccessFlags::NEEDS_PIN_PAGES, ..Default::default() };
    let access = client.test(ioas, create).unwrap().out_access_fd;
    let refs =
        |refs| client.test(0, CheckRefs { length: BYTES, uptr: BUFFERS[0], refs, padding: 0 }).unwrap();
    let pages = AccessPages { iova: 0, length: BYTES, uptr: BUFFERS[0], ..Default::default() };
    let (pins, failures) = until_done(
        || client.test(access, pages),
        |_| {
            refs(0);
        },
    );
    assert!(failures > 5, "{failures}");
    refs(1);
    client.test(access, DestroyAccessPages { access_pages_id: pins.out_access_pages_id }).unwrap();
    refs(0);
}

#[test]
fn a_copy_to_an_ioas_with_a_domain_is_all_or_nothing() {
    let client = client();
    let (source, target) = (client.ioas(), client.ioas());
    client.mock_device(target);
    let flags = IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE | IoasMapFlags::FIXED_IOVA;
    // The two lie one behind the other.
    for (user_va, iova) in [(BUFFERS[0], 0), (BUFFERS[2], BYTES)] {
        let map = IoasMap { flags, ioas_id: source, user_va, length: BYTES, iova, ..Default::default() };
        client.get(map).unwrap();
    }
    let copy = IoasCopy {
        flags: IoasMapFlags::READABLE | IoasMapFlags::WRITEABLE,
        dst_ioas_id: target,
        src_ioas_id: source,
        length: 2 * BYTES,
        ..IoasCopy::default()
    };
    let (_, failures) = until_done(
        || client.get(copy),
        |_| {
            unmap_all(&client, target);
            pinned(&client, 0);
        },
    );
    assert!(failures > 5, "{failures}");
    unmap_all(&client, target);
    pinned(&client, 0);
}

/// What a program does from opening to closing.
type Scenario = fn(&Client) -> Result<(), Errno>;

/// Map with no domain, one, two; take them away in another order.
fn domains_come_and_go(client: &Client) -> Result<(), Errno> {
    let ioas = client.get(IoasAlloc::default())?.out_ioas_id;
    client.test(0, MemoryLimit { limit: 32 })?;
    map_all(client, ioas)?;
    let first = client.test(ioas, MockDomain::default())?;
    let second = client.hwpt(first.out_idev_id, ioas, HwptAllocFlags::NEST_PARENT, None)?;
    client.test(first.out_stdev_id, MockDomainReplace { pt_id: second })?;
    client.unmap(ioas, iova(0), BYTES)?;
    map(client, ioas, 0)?;
    client.destroy(first.out_stdev_id)?;
    client.destroy(second)?;
    client.unmap(ioas, 0, u64::MAX).map(|_| ())
}

/// Pin by an access before, with and after a domain, and let unmapping take the pins back.
fn accesses_come_and_go(client: &Client) -> Result<(), Errno> {
    let ioas = client.get(IoasAlloc::default())?.out_ioas_id;
    let other = client.get(IoasAlloc::default())?.out_ioas_id;
    map(client, ioas, 0)?;
    let iova = iova(0);
    let create = CreateAccess { flags: CreateAccessFlags::NEEDS_PIN_PAGES, ..Default::default() };
    let access = client.test(ioas, create)?.out_access_fd;
    let pages = AccessPages { iova, length: BYTES, uptr: BUFFERS[0], ..Default::default() };
    let pins = client.test(access, pages)?.out_access_pages_id;
    let device = client.test(ioas, MockDomain::default())?;
    client.test(access, pages)?;
    client.test(access, DestroyAccessPages { access_pages_id: pins })?;
    client.destroy(device.out_stdev_id)?;
    let rw = AccessRw { iova, length: BYTES, uptr: DATA, ..Default::default() };
    client.test(access, rw)?;
    client.unmap(ioas, iova, BYTES)?;
    client.test(access, AccessReplaceIoas { ioas_id: other })?;
    client.process.close(access as i32)
}

/// Everything there is to nesting.
fn nesting(client: &Client) -> Result<(), Errno> {
    let ioas = client.get(IoasAlloc::default())?.out_ioas_id;
    let flags = MockDeviceFlags::PASID;
    let device = client.test(ioas, MockDomainFlags { dev_flags: flags, ..Default::default() })?;
    let (stdev, dev_id) = (device.out_stdev_id, device.out_idev_id);
    client.get(HwInfo { dev_id, data_uptr: DATA, data_len: 8, ..Default::default() })?;
    let parent = client.hwpt(dev_id, ioas, HwptAllocFlags::NEST_PARENT, None)?;
    let paging = client.hwpt(dev_id, ioas, HwptAllocFlags::PASID, None)?;
    let viommu_alloc =
        ViommuAlloc { type_: VIOMMU_TYPE_SELFTEST, dev_id, hwpt_id: parent, ..Default::default() };
    let viommu_id = client.get(viommu_alloc)?.out_viommu_id;
    client.get(VdeviceAlloc { viommu_id, dev_id, virt_id: 0, ..Default::default() })?;
    let fault = client.get(FaultAlloc::default())?;
    let iova = client.map(ioas, BUFFERS[0], BYTES)?;
    let queue = client.get(HwQueueAlloc {
        viommu_id,
        type_: HW_QUEUE_TYPE_SELFTEST,
        nesting_parent_iova: iova,
        length: BYTES,
        ..Default::default()
    })?;
    let events = client.get(VeventqAlloc {
        viommu_id,
        type_: VEVENTQ_TYPE_SELFTEST,
        veventq_depth: 2,
        ..Default::default()
    })?;
    let nested = client.hwpt(dev_id, viommu_id, HwptAllocFlags::empty(), Some(DATA))?;
    client.test(stdev, MockDomainReplace { pt_id: nested })?;
    client.test(stdev, MockDomainReplace { pt_id: paging })?;
    client.test(stdev, PasidAttach { pasid: 7, pt_id: paging })?;
    client.test(stdev, PasidDetach { pasid: 7 })?;
    client.destroy(queue.out_hw_queue_id)?;
    client.process.close(events.out_veventq_fd as i32)?;
    client.process.close(fault.out_fault_fd as i32)
}

/// A scenario with its nth step failing, for every n, on one host; ended where it failed.
#[test]
fn a_scenario_that_failed_leaves_nothing_when_it_is_closed() {
    let scenarios: [(&str, Scenario, u32); 3] = [
        ("domains come and go", domains_come_and_go, 60),
        ("accesses come and go", accesses_come_and_go, 50),
        ("nesting", nesting, 80),
    ];
    let host: Arc<Host> = Client::new().host;
    for (name, scenario, least) in scenarios {
        let mut step = 1;
        loop {
            let client = prepare(Client::on(&host));
            let memory: Vec<_> = client.process.memory.memory().iter().map(Arc::downgrade).collect();
            let mm = client.process.memory.id();
            fault_point::arm(step);
            let result = scenario(&client);
            let failed = fault_point::remaining() == 0;
            fault_point::arm(0);
            client.process.exit();
            let held = memory
                .iter()
                .filter(|memory: &&std::sync::Weak<RegionObject>| memory.strong_count() > 0)
                .count();
            assert_eq!(held, 0, "objects held, {name}, step {step}");
            assert_eq!(host.accounts.of_mm(mm).pinned, 0, "{name}, step {step}");
            assert_eq!(host.accounts.of_user(0), 0, "{name}, step {step}");
            if !failed {
                assert_eq!(result, Ok(()), "{name}");
                break;
            }
            step += 1;
        }
        assert!(step > least, "{name} has only {step} steps");
    }
}
