//! Event queues.

use std::sync::Arc;

use super::Setup;
use crate::device::fake::EVENTS;
use crate::errno::Errno;
use crate::file::{File, Ready};
use crate::uapi;
use crate::viommu::veventq::EventQueue;

fn alloc(setup: &Setup, kind: u32, depth: u32) -> Result<uapi::VeventqAlloc, Errno> {
    let mut args = uapi::VeventqAlloc {
        viommu_id: setup.viommu,
        type_: kind,
        veventq_depth: depth,
        ..Default::default()
    };
    setup.world.call(&mut args).map(|_| args)
}

#[test]
fn a_viommu_has_one_queue_of_each_type() {
    let setup = Setup::new();
    let good =
        uapi::VeventqAlloc { viommu_id: setup.viommu, type_: EVENTS, veventq_depth: 1, ..Default::default() };
    for (mut args, errno) in [
        (uapi::VeventqAlloc { flags: 1, veventq_depth: 0, ..good }, Errno::EOPNOTSUPP),
        (uapi::VeventqAlloc { reserved: 1, veventq_depth: 0, ..good }, Errno::EOPNOTSUPP),
        (uapi::VeventqAlloc { type_: 0, veventq_depth: 0, ..good }, Errno::EOPNOTSUPP),
        (uapi::VeventqAlloc { veventq_depth: 0, viommu_id: 99, ..good }, Errno::EINVAL),
        (uapi::VeventqAlloc { veventq_depth: 0x8_0001, viommu_id: 99, ..good }, Errno::EINVAL),
        (uapi::VeventqAlloc { viommu_id: 99, ..good }, Errno::ENOENT),
    ] {
        assert_eq!(setup.world.call(&mut args), Err(errno), "{args:?}");
    }
    let queue = alloc(&setup, EVENTS, 0x8_0000).unwrap();
    assert_eq!(alloc(&setup, EVENTS, 1).err(), Some(Errno::EEXIST));
    let other = alloc(&setup, EVENTS + 1, 1).unwrap();
    assert_ne!(queue.out_veventq_fd, other.out_veventq_fd);
    assert_eq!(setup.world.destroy(queue.out_veventq_id), Err(Errno::EBUSY), "its file is open");
    setup.world.files.close(queue.out_veventq_fd.cast_signed());
    assert_eq!(setup.world.destroy(setup.viommu), Err(Errno::EBUSY));
    assert_eq!(setup.world.destroy(queue.out_veventq_id), Ok(()));
    assert!(alloc(&setup, EVENTS, 1).is_ok());
}

#[test]
fn events_reach_the_queue_of_the_viommu_the_device_is_attached_through() {
    let setup = Setup::new();
    let events = setup.world.driver.events();
    let device = setup.device.physical().id();
    let report = |kind| events.viommu_event(device, kind, &[1, 2, 3, 4]);
    assert_eq!(report(EVENTS), Err(Errno::ENOENT), "attached through none");
    setup.vdevice(&setup.device, 0x99).unwrap();
    assert_eq!(events.virtual_id(device), None);
    setup.device.attach(None, setup.nested()).unwrap();
    assert_eq!(events.virtual_id(device), Some(0x99));
    assert_eq!(report(EVENTS), Err(Errno::EOPNOTSUPP), "no queue");
    let queue = alloc(&setup, EVENTS, 2).unwrap();
    assert_eq!(report(EVENTS + 1), Err(Errno::EOPNOTSUPP));
    assert_eq!(report(EVENTS), Ok(()));
    assert_eq!(events.viommu_event(device, EVENTS, &[]), Err(Errno::EINVAL));
    let file = setup.world.file(queue.out_veventq_fd);
    let mut data = [0xaa; 16];
    assert_eq!(file.read(&mut data), Ok(12));
    assert_eq!(data, [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0xaa, 0xaa, 0xaa, 0xaa]);
    assert_eq!(file.write(&[0; 8]), Err(Errno::EINVAL));
    setup.device.detach(None);
    assert_eq!(report(EVENTS), Err(Errno::ENOENT));
}

fn read(queue: &EventQueue, bytes: usize) -> Result<Vec<u32>, Errno> {
    let mut data = vec![0; bytes];
    let done = queue.read(&mut data)?;
    Ok(data[..done].chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect())
}

#[test]
fn losses_are_told_by_one_header_at_the_end() {
    let queue = EventQueue::new(2);
    let event = |value: u32| queue.report(&value.to_ne_bytes());
    assert_eq!(read(&queue, 8), Ok(vec![]));
    (0..2).for_each(event);
    assert_eq!(read(&queue, 24), Ok(vec![0, 0, 0, 0, 1, 1]));
    (2..6).for_each(event);
    assert!(queue.readable());
    assert_eq!(read(&queue, 64), Ok(vec![0, 2, 2, 0, 3, 3, 1, 5]), "the last loss was the sixth event");
    assert!(!queue.readable());
    (6..9).for_each(event);
    assert_eq!(read(&queue, 12), Ok(vec![0, 6, 6]));
    event(9);
    assert_eq!(read(&queue, 64), Ok(vec![0, 7, 7, 0, 9, 9]), "an event after it tells as much");
}

#[test]
fn what_does_not_fit_stays() {
    let queue = EventQueue::new(2);
    assert_eq!(read(&queue, 0), Err(Errno::EINVAL));
    assert_eq!(read(&queue, 7), Err(Errno::EINVAL));
    (0..3_u32).for_each(|value| queue.report(&value.to_ne_bytes()));
    assert_eq!(read(&queue, 8), Err(Errno::EINVAL));
    assert_eq!(read(&queue, 23), Ok(vec![0, 0, 0]));
    assert_eq!(read(&queue, 19), Ok(vec![0, 1, 1]), "nor does the header of the loss");
    assert_eq!(read(&queue, 8), Ok(vec![1, 2]));
}

#[test]
fn numbers_wrap_at_the_greatest_int() {
    let queue = EventQueue::new(4);
    queue.wind_to(i32::MAX.cast_unsigned());
    (0..2_u32).for_each(|value| queue.report(&value.to_ne_bytes()));
    assert_eq!(read(&queue, 64), Ok(vec![0, i32::MAX.cast_unsigned(), 0, 0, 0, 1]));
}

#[test]
fn a_queue_is_never_written() {
    let setup = Setup::new();
    let queue = alloc(&setup, EVENTS, 1).unwrap();
    let file: Arc<dyn File> = setup.world.file(queue.out_veventq_fd);
    assert_eq!(file.poll(), Ready::empty());
    setup.device.attach(None, setup.nested()).unwrap();
    setup.world.driver.events().viommu_event(setup.device.physical().id(), EVENTS, &[0]).unwrap();
    assert_eq!(file.poll(), Ready::IN);
}
