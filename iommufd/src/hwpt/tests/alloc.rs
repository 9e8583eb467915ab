//! Every way a HWPT is refused, in the order of the checks.

use crate::device::fake::{BUFFER, NESTED, VIOMMU, World};
use crate::errno::Errno;
use crate::sync::lock;
use crate::uapi::{self, HwptAllocFlags as Flags};

struct Setup {
    world: World,
    device: crate::device::BoundDevice,
    other_unit: crate::device::BoundDevice,
    ioas: u32,
    parent: u32,
    viommu: u32,
    fault: u32,
}

impl Setup {
    fn new() -> Self {
        let world = World::new();
        lock(&world.driver.units).insert("elsewhere".into(), 1);
        let (device, other_unit) = (world.bound("a"), world.bound("elsewhere"));
        let ioas = world.ioas();
        let parent = uapi::HwptAlloc {
            flags: Flags::NEST_PARENT,
            dev_id: device.id(),
            pt_id: ioas,
            ..Default::default()
        };
        let parent = world.hwpt(parent).unwrap();
        let mut viommu =
            uapi::ViommuAlloc { type_: VIOMMU, dev_id: device.id(), hwpt_id: parent, ..Default::default() };
        world.call(&mut viommu).unwrap();
        let mut fault = uapi::FaultAlloc::default();
        world.call(&mut fault).unwrap();
        let (viommu, fault) = (viommu.out_viommu_id, fault.out_fault_id);
        Self { world, device, other_unit, ioas, parent, viommu, fault }
    }

    fn plain(&self) -> uapi::HwptAlloc {
        uapi::HwptAlloc { dev_id: self.device.id(), pt_id: self.ioas, ..Default::default() }
    }

    fn nested(&self, pt_id: u32) -> uapi::HwptAlloc {
        uapi::HwptAlloc { pt_id, data_type: NESTED, data_len: 4, data_uptr: BUFFER, ..self.plain() }
    }

    fn check(&self, rows: &[(uapi::HwptAlloc, Result<(), Errno>)]) {
        for (args, expected) in rows {
            let objects = &self.world.fd.ctx().objects;
            let before = objects.reserve().unwrap().id();
            let result = self.world.hwpt(*args);
            assert_eq!(result.map(|_| ()), *expected, "{args:?}");
            if let Ok(id) = result {
                assert_eq!(id, before, "the lowest free id");
                self.world.destroy(id).unwrap();
            }
            assert_eq!(objects.reserve().unwrap().id(), before, "nothing is left: {args:?}");
        }
    }
}

#[test]
fn on_an_ioas() {
    let setup = Setup::new();
    let plain = setup.plain();
    let flags = |bits| uapi::HwptAlloc { flags: Flags::from_bits_retain(bits), ..plain };
    let fault = |bits: u32, fault_id| uapi::HwptAlloc { fault_id, ..flags(bits | 4) };
    setup.check(&[
        (plain, Ok(())),
        (uapi::HwptAlloc { reserved: 1, dev_id: 99, ..plain }, Err(Errno::EOPNOTSUPP)),
        (uapi::HwptAlloc { data_len: 1, dev_id: 99, ..plain }, Err(Errno::EINVAL)),
        (uapi::HwptAlloc { data_type: NESTED, dev_id: 99, ..plain }, Err(Errno::EINVAL)),
        (uapi::HwptAlloc { dev_id: 99, pt_id: 99, ..plain }, Err(Errno::ENOENT)),
        (uapi::HwptAlloc { dev_id: setup.ioas, ..plain }, Err(Errno::ENOENT)),
        (uapi::HwptAlloc { pt_id: 99, ..plain }, Err(Errno::EINVAL)),
        (uapi::HwptAlloc { pt_id: setup.device.id(), ..plain }, Err(Errno::EINVAL)),
        (uapi::HwptAlloc { pt_id: setup.fault, ..plain }, Err(Errno::EINVAL)),
        (flags(1), Ok(())),
        (flags(2), Ok(())),
        (flags(8), Ok(())),
        (flags(1 | 2 | 8), Ok(())),
        (flags(16), Err(Errno::EOPNOTSUPP)),
        (flags(1 << 31), Err(Errno::EOPNOTSUPP)),
        (fault(0, setup.fault), Ok(())),
        (fault(0, 99), Err(Errno::ENOENT)),
        (fault(0, setup.ioas), Err(Errno::ENOENT)),
        (fault(1, setup.fault), Err(Errno::EOPNOTSUPP)),
        (setup.nested(setup.ioas), Ok(())),
        (uapi::HwptAlloc { data_type: NESTED + 1, ..setup.nested(setup.ioas) }, Err(Errno::EINVAL)),
        (uapi::HwptAlloc { data_uptr: 0x10, ..setup.nested(setup.ioas) }, Err(Errno::EFAULT)),
    ]);
}

#[test]
fn dirty_tracking_must_be_possible() {
    let world = World::new();
    *lock(&world.driver.caps) =
        crate::driver::DeviceCaps { isolated_msi: true, ..crate::driver::DeviceCaps::default() };
    let device = world.bound("a");
    let args = uapi::HwptAlloc {
        flags: Flags::DIRTY_TRACKING,
        dev_id: device.id(),
        pt_id: world.ioas(),
        ..Default::default()
    };
    assert_eq!(world.hwpt(args), Err(Errno::EOPNOTSUPP));
}

#[test]
fn on_a_hwpt() {
    let setup = Setup::new();
    let nested = setup.nested(setup.parent);
    let flags = |bits| uapi::HwptAlloc { flags: Flags::from_bits_retain(bits), ..nested };
    let plain = setup.world.hwpt(setup.plain()).unwrap();
    let stage_1 = setup.world.hwpt(nested).unwrap();
    let automatic = setup.device.attach(None, setup.ioas).unwrap();
    setup.check(&[
        (nested, Ok(())),
        (uapi::HwptAlloc { pt_id: setup.parent, ..setup.plain() }, Err(Errno::EOPNOTSUPP)),
        (flags(1), Err(Errno::EOPNOTSUPP)),
        (flags(2), Err(Errno::EOPNOTSUPP)),
        (flags(8), Ok(())),
        (flags(16), Err(Errno::EOPNOTSUPP)),
        (uapi::HwptAlloc { fault_id: setup.fault, ..flags(4) }, Ok(())),
        (uapi::HwptAlloc { fault_id: 99, ..flags(4) }, Err(Errno::ENOENT)),
        (setup.nested(plain), Err(Errno::EINVAL)),
        (setup.nested(automatic), Err(Errno::EINVAL)),
        (setup.nested(stage_1), Err(Errno::EINVAL)),
        (uapi::HwptAlloc { data_type: NESTED + 1, ..nested }, Err(Errno::EINVAL)),
        (uapi::HwptAlloc { data_len: 3, ..nested }, Err(Errno::EINVAL)),
        (uapi::HwptAlloc { data_uptr: 0x10, ..nested }, Err(Errno::EFAULT)),
    ]);
    let told = setup.world.driver.told();
    assert!(told.contains(&"nested for a 0x8".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line == "nested for a 0x4"), "{told:?}");
}

#[test]
fn on_a_hwpt_of_another_driver() {
    let setup = Setup::new();
    let driver: std::sync::Arc<dyn crate::driver::IommuDriver> = {
        let driver = crate::device::fake::FakeDriver::default();
        lock(&driver.caps).isolated_msi = true;
        std::sync::Arc::new(driver)
    };
    let stranger = setup.world.host.add_device("stranger", &driver, None).unwrap();
    let stranger = crate::device::BoundDevice::bind(setup.world.fd.ctx(), &stranger).unwrap();
    let foreign = |pt_id| uapi::HwptAlloc { dev_id: stranger.id(), ..setup.nested(pt_id) };
    setup.check(&[
        (foreign(setup.parent), Err(Errno::EINVAL)),
        (foreign(setup.viommu), Err(Errno::EINVAL)),
        (foreign(setup.ioas), Ok(())),
    ]);
}

#[test]
fn on_a_viommu() {
    let setup = Setup::new();
    let nested = setup.nested(setup.viommu);
    let flags = |bits| uapi::HwptAlloc { flags: Flags::from_bits_retain(bits), ..nested };
    let elsewhere = uapi::HwptAlloc { dev_id: setup.other_unit.id(), ..flags(1) };
    setup.check(&[
        (nested, Ok(())),
        (elsewhere, Err(Errno::EINVAL)),
        (uapi::HwptAlloc { pt_id: setup.viommu, ..setup.plain() }, Err(Errno::EOPNOTSUPP)),
        (flags(1), Err(Errno::EOPNOTSUPP)),
        (flags(8), Ok(())),
        (uapi::HwptAlloc { fault_id: setup.fault, ..flags(4) }, Ok(())),
        (uapi::HwptAlloc { fault_id: 99, ..flags(4) }, Err(Errno::ENOENT)),
        (uapi::HwptAlloc { data_uptr: 0x10, ..nested }, Err(Errno::EFAULT)),
    ]);
}

#[test]
fn a_hwpt_holds_what_it_stands_on() {
    let setup = Setup::new();
    let world = &setup.world;
    let nested =
        uapi::HwptAlloc { flags: Flags::FAULT_ID_VALID, fault_id: setup.fault, ..setup.nested(setup.viommu) };
    let nested = world.hwpt(nested).unwrap();
    world.files.close(3);
    for held in [setup.ioas, setup.parent, setup.viommu, setup.fault] {
        assert_eq!(world.destroy(held), Err(Errno::EBUSY), "{held}");
    }
    for id in [nested, setup.viommu, setup.parent, setup.ioas, setup.fault] {
        assert_eq!(world.destroy(id), Ok(()), "{id}");
    }
    assert!(world.driver.domains().is_empty());
}

#[test]
fn an_answer_that_cannot_be_given_undoes_everything() {
    let setup = Setup::new();
    let domains = setup.world.driver.domains().len();
    let nested = setup.nested(setup.viommu);
    for args in [setup.plain(), nested, setup.nested(setup.parent)] {
        let mut nth = 1;
        loop {
            crate::fault_point::arm(nth);
            let result = setup.world.hwpt(args);
            let fired = crate::fault_point::remaining() == 0;
            crate::fault_point::arm(0);
            if !fired {
                setup.world.destroy(result.unwrap()).unwrap();
                break;
            }
            assert!(result.is_err(), "{nth}");
            assert_eq!(setup.world.driver.domains().len(), domains, "{nth}");
            nth += 1;
        }
        assert!(nth > 4, "lookups, an id, a copy in and an answer can fail");
    }
    assert_eq!(setup.world.destroy(setup.viommu), Ok(()));
    assert_eq!(setup.world.destroy(setup.parent), Ok(()));
    assert_eq!(setup.world.destroy(setup.ioas), Ok(()));
}
