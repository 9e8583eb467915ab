//! Devices that attach, move, report and go while their objects are destroyed under them.

use std::sync::Arc;
use std::thread;

use crate::device::BoundDevice;
use crate::device::fake::{BUFFER, EVENTS, NESTED, VIOMMU, World};
use crate::driver::{PageRequest, Pasid};
use crate::uapi::{self, HwptAllocFlags};

const ROUNDS: u32 = 200;

/// A process of its own for a thread, with the same open of `/dev/iommu`.
fn process(world: &World) -> World {
    let other = World::new();
    World {
        host: Arc::clone(&world.host),
        driver: Arc::clone(&world.driver),
        fd: Arc::clone(&world.fd),
        ..other
    }
}

#[test]
fn everything_at_once_leaves_nothing() {
    let world = World::new();
    let devices: Vec<_> = (0..2).map(|name| world.device(&format!("d{name}"), Some(0))).collect();
    let ioas = world.ioas();
    let mut threads = Vec::new();
    for device in &devices {
        let (world, device) = (process(&world), Arc::clone(device));
        threads.push(thread::spawn(move || live(&world, &device, ioas)));
    }
    // Ids are guessed: whatever is there is tried on.
    let vandal = process(&world);
    threads.push(thread::spawn(move || {
        // A vDEVICE that goes with its device leaves its id: they rise.
        for round in 0..ROUNDS * 100 {
            let id = round / 16 % (2 * ROUNDS) + round % 32;
            if id != ioas {
                let _ = vandal.destroy(id);
            }
        }
    }));
    let (events, ids) = (world.driver.events(), devices.iter().map(|device| device.id()).collect::<Vec<_>>());
    threads.push(thread::spawn(move || {
        for round in 0..ROUNDS * 10 {
            let device = ids[round as usize % ids.len()];
            let pasid = (round % 3 == 0).then_some(Pasid(3));
            let request =
                PageRequest { pasid, group: round, last: round % 2 == 0, permissions: 1, address: 0 };
            events.page_request(device, request);
            let _ = events.viommu_event(device, EVENTS, &round.to_ne_bytes());
            let _ = events.virtual_id(device);
        }
    }));
    for thread in threads {
        thread.join().unwrap();
    }
    let World { fd, driver, .. } = world;
    let ctx = Arc::downgrade(fd.ctx());
    drop(fd);
    assert!(ctx.upgrade().is_none());
    assert!(driver.domains().is_empty());
    let told = driver.told();
    for device in ["d0: ", "d1: "] {
        assert_eq!(told.iter().rfind(|line| line.starts_with(device)).unwrap()[4..], *"identity");
    }
    let made = told.iter().filter(|line| line.contains(" is 0x")).count();
    let gone = told.iter().filter(|line| line.ends_with(" is gone")).count();
    assert_eq!(made, gone);
}

/// One life of a device after the other. What others take away meanwhile is missed and no more.
fn live(world: &World, device: &Arc<crate::device::PhysicalDevice>, ioas: u32) {
    for round in 0..ROUNDS {
        let bound = BoundDevice::bind(world.fd.ctx(), device).unwrap();
        let mut fault = uapi::FaultAlloc::default();
        let _ = world.call(&mut fault);
        let _ = bound.attach(None, ioas);
        let plain = uapi::HwptAlloc { dev_id: bound.id(), pt_id: ioas, ..Default::default() };
        let flags = HwptAllocFlags::NEST_PARENT | HwptAllocFlags::PASID;
        let parent = world.hwpt(uapi::HwptAlloc { flags, ..plain }).unwrap_or(0);
        let mut viommu =
            uapi::ViommuAlloc { type_: VIOMMU, dev_id: bound.id(), hwpt_id: parent, ..Default::default() };
        let _ = world.call(&mut viommu);
        let nested = uapi::HwptAlloc {
            flags: HwptAllocFlags::PASID | HwptAllocFlags::FAULT_ID_VALID,
            pt_id: viommu.out_viommu_id,
            fault_id: fault.out_fault_id,
            data_type: NESTED,
            data_len: 4,
            data_uptr: BUFFER,
            ..plain
        };
        let nested = world.hwpt(nested).unwrap_or(parent);
        let _ = bound.replace(None, nested);
        let _ = bound.attach(None, nested);
        let _ = bound.attach(Some(Pasid(3)), nested);
        let mut vdevice = uapi::VdeviceAlloc {
            viommu_id: viommu.out_viommu_id,
            dev_id: bound.id(),
            virt_id: u64::from(round),
            ..Default::default()
        };
        let _ = world.call(&mut vdevice);
        let mut events = uapi::VeventqAlloc {
            viommu_id: viommu.out_viommu_id,
            type_: EVENTS,
            veventq_depth: 2,
            ..Default::default()
        };
        let _ = world.call(&mut events);
        for fd in world.files.open() {
            let mut data = [0; 4000];
            let _ = world.file(fd.cast_unsigned()).read(&mut data);
            world.files.close(fd);
        }
        drop(bound);
        for id in [nested, viommu.out_viommu_id, parent, fault.out_fault_id, events.out_veventq_id] {
            if id != ioas {
                let _ = world.destroy(id);
            }
        }
    }
}
