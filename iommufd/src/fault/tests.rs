//! Fault queues, from a device's request to the answer that reaches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use zerocopy::IntoBytes;

use crate::device::BoundDevice;
use crate::device::fake::{BUFFER, NESTED, World};
use crate::driver::{PageRequest, Pasid};
use crate::errno::Errno;
use crate::file::{File, Ready, Wake};
use crate::sync::lock;
use crate::uapi::{self, HwptAllocFlags};

struct Setup {
    world: World,
    device: BoundDevice,
    ioas: u32,
    fault: u32,
    fd: i32,
    file: Arc<dyn File>,
}

impl Setup {
    fn new() -> Self {
        let world = World::new();
        let device = world.bound("a");
        let ioas = world.ioas();
        let mut args = uapi::FaultAlloc::default();
        world.call(&mut args).unwrap();
        let file = world.file(args.out_fault_fd);
        let fd = args.out_fault_fd.cast_signed();
        Self { world, device, ioas, fault: args.out_fault_id, fd, file }
    }

    fn hwpt(&self, flags: HwptAllocFlags) -> u32 {
        let args = uapi::HwptAlloc {
            flags: flags | HwptAllocFlags::FAULT_ID_VALID,
            dev_id: self.device.id(),
            pt_id: self.ioas,
            fault_id: self.fault,
            ..Default::default()
        };
        self.world.hwpt(args).unwrap()
    }

    fn request(&self, pasid: Option<u32>, group: u32, last: bool) {
        let pasid = pasid.map(Pasid);
        let request = PageRequest { pasid, group, last, permissions: 3, address: 0xdead_0000 };
        self.world.driver.events().page_request(self.device.physical().id(), request);
    }

    fn answer(&self, cookie: u32, code: u32) -> Result<usize, Errno> {
        self.file.write([cookie, code].as_bytes())
    }

    fn read(&self, records: usize) -> Vec<[u32; 10]> {
        let mut data = vec![[0_u32; 10]; records];
        let bytes = self.file.read(data.as_mut_bytes()).unwrap();
        assert_eq!(bytes % 40, 0);
        data.truncate(bytes / 40);
        data
    }
}

/// `iommu_hwpt_pgfault` as words: flags, dev_id, pasid, grpid, perm, reserved, addr (2), length, cookie.
fn record(flags: u32, device: u32, pasid: u32, group: u32, cookie: u32) -> [u32; 10] {
    [flags, device, pasid, group, 3, 0, 0xdead_0000, 0, 0, cookie]
}

#[test]
fn a_request_is_read_and_answered() {
    let setup = Setup::new();
    let hwpt = setup.hwpt(HwptAllocFlags::empty());
    setup.device.attach(None, hwpt).unwrap();
    assert_eq!(setup.file.poll(), Ready::OUT);
    assert_eq!(setup.file.read(&mut [0; 40]), Ok(0), "a read never waits");
    setup.request(None, 5, true);
    assert_eq!(setup.file.poll(), Ready::IN | Ready::OUT);
    assert_eq!(setup.read(1), [record(2, setup.device.id(), 0, 5, 1)]);
    assert_eq!(setup.file.poll(), Ready::OUT);
    setup.world.driver.told();
    assert_eq!(setup.answer(1, 0), Ok(8));
    assert_eq!(setup.world.driver.told(), ["a group 5: Success"]);
    assert_eq!(setup.answer(1, 0), Err(Errno::EINVAL), "it has been answered");
}

#[test]
fn a_group_is_read_whole_or_not_at_all() {
    let setup = Setup::new();
    let hwpt = setup.hwpt(HwptAllocFlags::PASID);
    setup.device.attach(None, hwpt).unwrap();
    setup.device.attach(Some(Pasid(9)), hwpt).unwrap();
    let id = setup.device.id();
    setup.request(Some(9), 1, false);
    setup.request(None, 2, true);
    setup.request(Some(9), 1, false);
    assert_eq!(setup.read(3), [record(2, id, 0, 2, 1)], "the first is not complete");
    setup.request(Some(9), 1, true);
    setup.request(None, 3, true);
    let mut data = [0; 80];
    assert_eq!(setup.file.read(&mut data), Err(Errno::EINVAL), "no room for the first group");
    assert_eq!(setup.file.read(&mut []), Err(Errno::EINVAL));
    let group = [record(1, id, 9, 1, 2), record(1, id, 9, 1, 2), record(3, id, 9, 1, 2)];
    assert_eq!(setup.read(3), group);
    assert_eq!(setup.read(9), [record(2, id, 0, 3, 3)]);
    for (bytes, errno) in [(39, Errno::ESPIPE), (41, Errno::ESPIPE), (1, Errno::ESPIPE)] {
        assert_eq!(setup.file.read(&mut vec![0; bytes]), Err(errno));
    }
}

#[test]
fn cookies_are_the_lowest_that_are_free() {
    let setup = Setup::new();
    setup.device.attach(None, setup.hwpt(HwptAllocFlags::empty())).unwrap();
    (0..3).for_each(|group| setup.request(None, group, true));
    let cookies = |records: Vec<[u32; 10]>| records.iter().map(|record| record[9]).collect::<Vec<_>>();
    assert_eq!(cookies(setup.read(3)), [1, 2, 3]);
    setup.answer(2, 1).unwrap();
    (3..5).for_each(|group| setup.request(None, group, true));
    assert_eq!(cookies(setup.read(3)), [2, 4]);
}

#[test]
fn answers_are_taken_up_to_the_first_wrong_one() {
    let setup = Setup::new();
    setup.device.attach(None, setup.hwpt(HwptAllocFlags::empty())).unwrap();
    (0..3).for_each(|group| setup.request(None, group, true));
    setup.read(3);
    setup.world.driver.told();
    assert_eq!(setup.file.write(&[0; 7]), Err(Errno::ESPIPE));
    assert_eq!(setup.file.write(&[]), Ok(0));
    assert_eq!(setup.answer(1, 2), Err(Errno::EINVAL), "a code that is none");
    assert_eq!(setup.answer(7, 0), Err(Errno::EINVAL), "a cookie that is none");
    assert_eq!(setup.file.write([3, 1, 1, 0, 1, 0, 2, 0].as_bytes()), Ok(16), "the third was answered");
    assert_eq!(setup.world.driver.told(), ["a group 2: Invalid", "a group 0: Success"]);
}

#[test]
fn what_has_no_queue_is_refused() {
    let setup = Setup::new();
    setup.world.driver.told();
    setup.request(None, 1, true);
    let plain = uapi::HwptAlloc { dev_id: setup.device.id(), pt_id: setup.ioas, ..Default::default() };
    let plain = setup.world.hwpt(plain).unwrap();
    setup.device.attach(None, plain).unwrap();
    setup.request(None, 2, true);
    setup.device.replace(None, setup.hwpt(HwptAllocFlags::empty())).unwrap();
    setup.request(Some(3), 3, true);
    let told = setup.world.driver.told();
    let answers: Vec<_> = told.iter().filter(|line| line.contains("group")).collect();
    assert_eq!(answers, ["a group 1: Invalid", "a group 2: Invalid", "a.3 group 3: Invalid"]);
    assert_eq!(setup.file.poll(), Ready::OUT);
}

#[test]
fn a_users_pasid_table_takes_requests_for_its_pasids() {
    for (table, nested, refused) in [(true, true, false), (true, false, true), (false, true, true)] {
        let setup = Setup::new();
        *lock(&setup.world.driver.user_pasid_table) = table;
        let hwpt = if nested {
            let flags = HwptAllocFlags::NEST_PARENT;
            let args =
                uapi::HwptAlloc { flags, dev_id: setup.device.id(), pt_id: setup.ioas, ..Default::default() };
            let parent = setup.world.hwpt(args).unwrap();
            setup.world.hwpt(uapi::HwptAlloc {
                flags: HwptAllocFlags::FAULT_ID_VALID,
                pt_id: parent,
                fault_id: setup.fault,
                data_type: NESTED,
                data_len: 4,
                data_uptr: BUFFER,
                ..args
            })
        } else {
            Ok(setup.hwpt(HwptAllocFlags::empty()))
        };
        setup.device.attach(None, hwpt.unwrap()).unwrap();
        setup.request(Some(3), 4, true);
        assert_eq!(setup.file.poll().contains(Ready::IN), !refused, "{table} {nested}");
    }
}

#[test]
fn an_attachment_that_ends_refuses_what_came_by_it() {
    let setup = Setup::new();
    let (one, two) = (setup.hwpt(HwptAllocFlags::PASID), setup.hwpt(HwptAllocFlags::PASID));
    setup.device.attach(None, one).unwrap();
    setup.device.attach(Some(Pasid(4)), one).unwrap();
    setup.request(None, 1, true);
    setup.request(Some(4), 2, true);
    setup.read(1);
    setup.request(None, 3, true);
    setup.world.driver.told();
    setup.device.replace(None, two).unwrap();
    let told = setup.world.driver.told();
    assert_eq!(told, ["a: domain 1", "a group 3: Invalid", "a group 1: Invalid"]);
    assert_eq!(setup.answer(1, 0), Err(Errno::EINVAL));
    assert_eq!(setup.read(1)[0][3], 2, "the PASID's is still there");
    setup.device.detach(Some(Pasid(4)));
    assert_eq!(setup.world.driver.told(), ["a.4: blocked", "a.4 group 2: Invalid"]);
    setup.request(None, 5, false);
    setup.device.detach(None);
    setup.device.attach(None, two).unwrap();
    setup.request(None, 5, true);
    assert_eq!(setup.read(2).len(), 1, "what was not complete is forgotten");
}

/// Whoever is told that requests are refused may come back for anything.
#[test]
fn what_ends_is_refused_without_locks() {
    let setup = Setup::new();
    let ioas = setup.world.ioas();
    let bound = Arc::new(setup.device);
    let ctx = Arc::clone(setup.world.fd.ctx());
    let (looks, device) = (Arc::new(AtomicUsize::new(0)), Arc::downgrade(&bound));
    let count = Arc::clone(&looks);
    *lock(&setup.world.driver.on_response) = Some(Box::new(move || {
        let Some(device) = device.upgrade() else { return };
        assert!(device.locks_are_free(&ctx, ioas), "a lock is held");
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let request = |group| {
        let request = PageRequest { pasid: None, group, last: true, permissions: 3, address: 0 };
        setup.world.driver.events().page_request(bound.physical().id(), request);
    };
    let args = uapi::HwptAlloc {
        flags: HwptAllocFlags::FAULT_ID_VALID,
        dev_id: bound.id(),
        pt_id: setup.ioas,
        fault_id: setup.fault,
        ..Default::default()
    };
    let hwpt = setup.world.hwpt(args).unwrap();
    bound.attach(None, hwpt).unwrap();
    request(1);
    bound.replace(None, ioas).unwrap();
    assert_eq!(looks.load(Ordering::Relaxed), 1);
    bound.replace(None, hwpt).unwrap();
    request(2);
    bound.detach(None);
    assert_eq!(looks.load(Ordering::Relaxed), 2);
    *lock(&setup.world.driver.on_response) = None;
}

#[test]
fn a_flood_is_refused_in_the_end() {
    let setup = Setup::new();
    setup.device.attach(None, setup.hwpt(HwptAllocFlags::empty())).unwrap();
    (0..1 << 16).for_each(|_| setup.request(None, 1, true));
    setup.world.driver.told();
    setup.request(None, 2, true);
    assert_eq!(setup.world.driver.told(), ["a group 2: Invalid"]);
    (0..5000).for_each(|_| setup.request(None, 3, false));
    setup.read(1);
    setup.answer(1, 0).unwrap();
    setup.request(None, 2, true);
    assert_eq!(setup.world.driver.told(), ["a group 1: Success"]);
}

#[test]
fn an_open_file_holds_the_object_and_the_context() {
    let setup = Setup::new();
    assert_eq!(setup.world.destroy(setup.fault), Err(Errno::EBUSY));
    let Setup { world, device, fault, fd, file, .. } = setup;
    drop(file);
    world.files.close(fd);
    assert_eq!(world.destroy(fault), Ok(()));
    let mut args = uapi::FaultAlloc::default();
    world.call(&mut args).unwrap();
    let file = world.file(args.out_fault_fd);
    world.files.close(args.out_fault_fd.cast_signed());
    drop(device);
    let World { fd, .. } = world;
    let ctx = Arc::downgrade(fd.ctx());
    drop(fd);
    assert!(ctx.upgrade().is_some());
    drop(file);
    assert!(ctx.upgrade().is_none());
}

#[test]
fn whoever_watches_is_told() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let setup = Setup::new();
    setup.device.attach(None, setup.hwpt(HwptAllocFlags::empty())).unwrap();
    let count = Arc::new(Count::default());
    setup.file.watch(count.clone());
    setup.request(None, 1, false);
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    setup.request(None, 1, true);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    let Setup { world, file, fd, .. } = setup;
    drop(file);
    world.files.close(fd);
    assert_eq!(Arc::strong_count(&count), 1, "not beyond the file");
}

#[test]
fn flags_and_failures_leave_no_descriptor() {
    let setup = Setup::new();
    let open = setup.world.files.open();
    let mut args = uapi::FaultAlloc { flags: 1, ..Default::default() };
    assert_eq!(setup.world.call(&mut args), Err(Errno::EOPNOTSUPP));
    for nth in 1.. {
        crate::fault_point::arm(nth);
        let result = setup.world.call(&mut uapi::FaultAlloc::default());
        let fired = crate::fault_point::remaining() == 0;
        crate::fault_point::arm(0);
        assert_eq!(result.is_err(), fired, "{nth}");
        if !fired {
            break;
        }
        assert_eq!(setup.world.files.open(), open, "{nth}");
    }
}

/// A request that found its way before the attachment ended, and arrives after.
#[test]
fn an_attachment_that_ended_takes_nothing_more() {
    let setup = Setup::new();
    let queue = super::queue::FaultQueue::default();
    let route = Arc::new(crate::device::Route {
        device: setup.device.id(),
        fault: None,
        nested: false,
        viommu: None,
        closed: AtomicBool::new(false),
    });
    let last = PageRequest { pasid: None, group: 1, last: true, permissions: 1, address: 0 };
    let device = setup.device.physical();
    let group = || super::queue::FaultGroup { device: Arc::clone(device), requests: vec![last], last };
    assert!(queue.deliver(&route, group()).is_ok());
    queue.close(&route);
    assert!(!queue.readable());
    assert!(queue.deliver(&route, group()).is_err());
}
