//! Taking a unit into use, and what the driver says of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use devices::addr::{Iova, SourceId};
use devices::fabric::{Effects, Outcome, Request};
use devices::vtd::Config;
use iommufd::driver::vtd::{Direct, FaultMessage, Scope, SetupError, VtdDriver};
use iommufd::driver::{
    Attachment, DeviceCaps, IommuDriver, PagingFlags, Pasid, ReservedKind, ReservedRegion,
};
use iommufd::span::Span;
use iommufd::{Errno, Host, Options, uapi};

use crate::machine::{FAULT_VECTOR, Machine};
use crate::rig::{PINNED, RW, Rig, Spy, preset, refusal};
use crate::tables;

/// GSTS: TES, RTPS, QIES [VT-d 11.4.4.2].
const RUNNING: u64 = 1 << 31 | 1 << 30 | 1 << 26;

#[test]
fn a_unit_comes_up_whatever_state_it_was_left_in() {
    for used in [false, true] {
        let config = Config { protected_regions: true, ..preset("vtd-legacy") };
        let machine = Machine::new(config);
        if used {
            // Protected regions on, interrupt remapping on, translation on with a root of nothing, a queue
            // of another.
            machine.with_unit(|unit, fx| {
                for (offset, value) in [
                    (0x64, 1u32 << 31),
                    (0x90, 0x20_0000),
                    (0x20, 0x20_1000),
                    (0xb8, 0x20_2000),
                    (0x18, 1 << 30),
                    (0x18, 1 << 24),
                    (0x18, 1 << 25),
                    (0x18, 1 << 25 | 1 << 26),
                    (0x18, 1 << 25 | 1 << 26 | 1 << 31),
                ] {
                    unit.write(offset, &value.to_le_bytes(), fx);
                }
            });
            assert_eq!(machine.register(0x18) >> 32 & 0xffff_ffff, 0xc700_0000);
            assert_eq!(machine.register(0x60) >> 32, 0x8000_0001);
        }
        let driver = VtdDriver::new(machine.registers(), machine.setup()).unwrap();
        machine.set_driver(&driver);
        let interrupts = if used { 1 << 25 | 1 << 24 } else { 0 };
        assert_eq!(machine.register(0x18) >> 32, RUNNING | interrupts, "GSTS");
        assert_eq!(machine.register(0x60) >> 32 & 0x8000_0001, 0, "PMEN");
        assert_eq!(machine.register(0x38), u64::from(FAULT_VECTOR) << 32, "FECTL, FEDATA");
        assert_eq!(machine.register(0x40), 0xfee0_0000, "FEADDR, FEUADDR");
    }
}

#[test]
fn a_unit_may_be_held_up_for_long() {
    let machine = Machine::new(preset("vtd-legacy"));
    // RTPS comes after so many looks.
    let looks = AtomicU32::new(0);
    let read = move |at, value: u64| match at {
        0x1c if looks.fetch_add(1, Ordering::Relaxed) < (1 << 18) + 10 => value & !(1 << 30),
        _ => value,
    };
    let mmio = Spy::new(machine.registers(), read, |_, value| value);
    assert_eq!(VtdDriver::new(mmio, machine.setup()).map(drop), Ok(()));
}

#[test]
fn bring_up_lets_nothing_pass_that_was_blocked() {
    let blocking: [&[(u64, u32)]; 3] = [
        // Protected memory, low and high.
        &[(0x68, 0), (0x6c, 0xffff_ffff), (0x64, 1 << 31)],
        // Translation with a root of nothing.
        &[(0x20, 0x20_1000), (0x18, 1 << 30), (0x18, 1 << 31)],
        // Both, and a queue.
        &[
            (0x68, 0),
            (0x6c, 0xffff_ffff),
            (0x64, 1 << 31),
            (0x90, 0x20_0000),
            (0x20, 0x20_1000),
            (0x18, 1 << 30),
            (0x18, 1 << 26),
            (0x18, 1 << 26 | 1 << 31),
        ],
    ];
    for state in blocking {
        let machine = Machine::new(Config { protected_regions: true, ..preset("vtd-legacy") });
        machine.with_unit(|unit, fx| {
            for (offset, value) in state {
                unit.write(*offset, &value.to_le_bytes(), fx);
            }
        });
        let port = Mutex::new(machine.port(SourceId::new(0, 4, 0)));
        let dma =
            move || port.lock().unwrap().write(Request::at(0x1000), b"x", &mut Effects::default()).outcome;
        assert_ne!(dma(), Outcome::Done, "it is blocked to begin with: {state:x?}");
        // Before each write, the last one's effect is there.
        let before = move |offset, value| {
            assert_ne!(dma(), Outcome::Done, "before {offset:#x} is written");
            value
        };
        let spy = Spy::new(machine.registers(), |_, value| value, before);
        VtdDriver::new(spy.clone(), machine.setup()).unwrap();
        let writes = spy.writes();
        let unprotects = writes.iter().position(|write| *write == (0x64, 0)).unwrap();
        let translates = writes.iter().position(|(at, value)| *at == 0x18 && value & 1 << 31 != 0);
        assert!(translates.unwrap() < unprotects, "{writes:x?}");
        if state.contains(&(0x20, 0x20_1000)) {
            let off = writes.iter().find(|(at, value)| *at == 0x18 && value & 1 << 31 == 0);
            assert_eq!(off, None, "translation stays on");
        }
    }
}

#[test]
fn faults_from_before_are_forgotten() {
    let machine = Machine::new(preset("vtd-legacy"));
    machine.with_unit(|unit, fx| unit.write(0x18, &(1u32 << 31).to_le_bytes(), fx));
    let source = machine.add_exerciser(4);
    machine.write_bar(source, 0x18, &4u32.to_le_bytes());
    machine.write_bar(source, 0x08, &1u32.to_le_bytes());
    machine.write_bar(source, 0x1c, &1u32.to_le_bytes());
    assert_eq!(machine.register(0x30) >> 32 & 2, 2, "a fault is on record");
    let driver = VtdDriver::new(machine.registers(), machine.setup()).unwrap();
    machine.set_driver(&driver);
    assert_eq!(machine.register(0x30) >> 32, 0, "FSTS");
    let host = Host::new(Options::default());
    let driver: Arc<dyn IommuDriver> = driver;
    host.add_driver(&driver);
    machine.write_bar(source, 0x08, &3u32.to_le_bytes());
    machine.write_bar(source, 0x1c, &1u32.to_le_bytes());
    let faults = host.take_dma_faults().faults;
    assert_eq!(faults.len(), 1, "new ones are told of, of devices that nobody added too: {faults:?}");
    assert_eq!((faults[0].device, faults[0].source, faults[0].reason), (None, source.0.into(), 1));
}

#[test]
fn units_that_cannot_serve_are_refused() {
    const ABSENT: u64 = u64::MAX;
    for (offset, value, error) in [
        (0x08, ABSENT, None),
        (0x10, 1 << 0, Some(SetupError::NoQueue)),
        (0x10, 1 << 1, Some(SetupError::NotCoherent)),
        (0x08, 0, Some(SetupError::NoSecondStage(0))),
        (0x08, 1 << 8, Some(SetupError::NoSecondStage(1))),
    ] {
        let machine = Machine::new(preset("vtd-legacy"));
        let mmio = Spy::reading(machine.registers(), offset, move |_| value);
        let result = VtdDriver::new(mmio, machine.setup());
        if let Some(error) = error {
            assert_eq!(result.err(), Some(error), "{offset:#x} {value:#x}");
        }
    }
    let machine = Machine::new(preset("vtd-legacy"));
    let mmio = Spy::new(machine.registers(), |_, _| u64::MAX, |_, value| value);
    assert_eq!(VtdDriver::new(mmio, machine.setup()).err(), Some(SetupError::Absent));
    let mmio =
        Spy::new(machine.registers(), |at, value| if at == 0x1c { 0 } else { value }, |_, value| value);
    let mmio = mmio.giving_up(100);
    assert_eq!(VtdDriver::new(mmio, machine.setup()).err(), Some(SetupError::Unit(Errno::ETIMEDOUT)));
}

#[test]
fn surroundings_that_cannot_be_are_refused() {
    let machine = Machine::new(preset("vtd-legacy"));
    let end = crate::machine::RAM;
    for tables in [
        Span { start: end, last: end + 0xfff },
        Span { start: end - 0x1000, last: end },
        Span { start: 0x800, last: 0x17ff },
        Span { start: 0x1000, last: 0x1ffe },
    ] {
        let setup = iommufd::driver::vtd::Setup { tables, ..machine.setup() };
        assert_eq!(VtdDriver::new(machine.registers(), setup).err(), Some(SetupError::Tables(tables)));
    }
    for vector in [0, 15, 255] {
        let fault_message = FaultMessage { vector, destination: 0 };
        let setup = iommufd::driver::vtd::Setup { fault_message, ..machine.setup() };
        assert_eq!(VtdDriver::new(machine.registers(), setup).err(), Some(SetupError::Vector(vector)));
    }
    for host_address_width in [31, 53] {
        let setup = iommufd::driver::vtd::Setup { host_address_width, ..machine.setup() };
        let error = SetupError::HostWidth(host_address_width);
        assert_eq!(VtdDriver::new(machine.registers(), setup).err(), Some(error));
    }
    let setup = iommufd::driver::vtd::Setup { tables: Span { start: 0, last: 0x1fff }, ..machine.setup() };
    let error = SetupError::Unit(Errno::ENOMEM);
    assert_eq!(VtdDriver::new(machine.registers(), setup).err(), Some(error));
}

#[test]
fn hardware_information_is_the_registers() {
    let rig = Rig::plain();
    let (_, device) = rig.device(4);
    let (cap, ecap) = (rig.machine.register(0x08), rig.machine.register(0x10));
    let mut bytes = vec![0; 8];
    bytes.extend(cap.to_le_bytes());
    bytes.extend(ecap.to_le_bytes());
    for requested in [None, Some(uapi::HW_INFO_TYPE_DEFAULT), Some(uapi::HW_INFO_TYPE_INTEL_VTD)] {
        let info = rig.driver.hw_info(&device, requested).unwrap();
        assert_eq!((info.kind, &info.data), (1, &bytes));
    }
    let other = rig.driver.hw_info(&device, Some(uapi::HW_INFO_TYPE_ARM_SMMUV3));
    assert_eq!(refusal(other), Errno::EOPNOTSUPP);
    let caps = DeviceCaps { no_ats: true, ..DeviceCaps::default() };
    assert_eq!(device.caps(), caps);
}

#[test]
fn what_needs_scalable_mode_is_not_supported() {
    let rig = Rig::plain();
    let (_, device) = rig.device(4);
    for (flags, refused) in [
        (PagingFlags::NEST_PARENT, true),
        (PagingFlags::DIRTY_TRACKING, true),
        (PagingFlags::NEST_PARENT | PagingFlags::PASID, true),
        (PagingFlags::PASID, false),
    ] {
        let result = rig.driver.alloc_paging(&device, flags, None).map(drop);
        assert_eq!(result, if refused { Err(Errno::EOPNOTSUPP) } else { Ok(()) }, "{flags:?}");
    }
    let domain = rig.domain(&device);
    let pasid = rig.driver.attach(&device, Some(Pasid(1)), &Attachment::Paging(domain.clone()));
    assert_eq!(refusal(pasid), Errno::EOPNOTSUPP);
    assert!(!rig.driver.has_viommu(&device, 1));
    assert_eq!(refusal(rig.driver.alloc_viommu(&device, 1, &domain, None)), Errno::EOPNOTSUPP);
    assert!(domain.dirty().is_none());
}

#[test]
fn messages_and_firmwares_memory_are_reserved() {
    let source = SourceId::new(0, 4, 0);
    let span = Span { start: 0x10_0000, last: 0x10_ffff };
    let rig = Rig::with(preset("vtd-legacy"), |machine| {
        let setup = machine.setup();
        let direct = vec![Direct { source, span }];
        (machine.registers(), iommufd::driver::vtd::Setup { direct, ..setup })
    });
    let (_, usb) = rig.device(4);
    let (other_source, other) = rig.device(5);
    let messages =
        ReservedRegion { span: Span { start: 0xfee0_0000, last: 0xfeef_ffff }, kind: ReservedKind::Msi };
    assert_eq!(rig.driver.reserved(&other), [messages]);
    let direct = ReservedRegion { span, kind: ReservedKind::Direct };
    assert_eq!(rig.driver.reserved(&usb), [messages, direct]);
    // Firmware's device reaches its memory from the start, others nothing.
    assert_eq!(tables::context(&rig.machine, source)[0], 1 | 2 << 2);
    assert_eq!(tables::context(&rig.machine, other_source)[0], 0);
}

#[test]
fn only_devices_behind_the_unit_are_taken() {
    let rig = Rig::with(preset("vtd-legacy"), |machine| {
        let scope = Scope::Only(vec![SourceId::new(0, 4, 0)]);
        (machine.registers(), iommufd::driver::vtd::Setup { scope, ..machine.setup() })
    });
    let add = |name: &str| rig.host.add_device(name, &rig.driver, None).map(drop);
    for name in ["0000:00:05.0", "0001:00:04.0", "iommufd_mock0", ""] {
        assert_eq!(add(name), Err(Errno::ENODEV), "{name}");
    }
    assert_eq!(add("0000:00:04.0"), Ok(()));
    assert_eq!(add("0000:00:04.0"), Err(Errno::ENODEV), "twice");
}

#[test]
fn a_domain_belongs_to_its_unit() {
    let (rig, other) = (Rig::plain(), Rig::plain());
    let (_, device) = rig.device(4);
    let (_, stranger) = other.device(4);
    let domain = other.domain(&stranger);
    assert_eq!(rig.attach(&device, Attachment::Paging(domain)), Err(Errno::EINVAL));
}

#[test]
fn coherence_is_enforced_where_the_unit_can() {
    for (control, mapped, enforced) in [(false, false, false), (true, false, true), (true, true, false)] {
        let rig = Rig::with(preset("vtd-legacy"), |machine| {
            let ecap = move |value: u64| value | u64::from(control) << 7;
            (Spy::reading(machine.registers(), 0x10, ecap), machine.setup())
        });
        let (source, device) = rig.device(4);
        let domain = rig.domain(&device);
        rig.attach(&device, Attachment::Paging(domain.clone())).unwrap();
        if mapped {
            domain.map(Iova(0x1000), devices::addr::Pa(PINNED), 0x1000, RW, true).unwrap();
        }
        assert_eq!(domain.enforce_cache_coherency(), enforced);
        domain.map(Iova(0x2000), devices::addr::Pa(PINNED), 0x1000, RW, true).unwrap();
        let snoop = if enforced { 1 << 11 } else { 0 };
        assert_eq!(tables::entry(&rig.machine, source, 0x2000) & 1 << 11, snoop);
        assert_eq!(device.caps().enforce_cache_coherency, control);
    }
}
