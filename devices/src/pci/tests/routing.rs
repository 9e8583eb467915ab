//! Ways into configuration space.

use crate::addr::SourceId;
use crate::edu::{DEFAULT_DMA_MASK, Edu};
use crate::events::DeviceId;
use crate::exerciser::Exerciser;
use crate::fabric::Effects;
use crate::pci::testing::{PLAIN, Poke, Rig};
use crate::pci::{AddError, Bus, FunctionKind, Placement};

#[test]
fn every_way_in_reads_the_same() {
    let mut rig = Rig::new();
    let source = rig.add(3, 1, Box::new(Exerciser::new(1000)));
    let fx = &mut Effects::default();
    for (offset, len) in [(0x00_u16, 4), (0x02, 2), (0x08, 1), (0x0b, 1), (0x40, 4), (0x41, 2)] {
        let mut direct = vec![0; len];
        rig.host.read_config(source, offset.into(), &mut direct);
        let mut ecam = vec![0; len];
        rig.host.ecam_read(0x1_9000 + u64::from(offset), &mut ecam);
        assert_eq!(ecam, direct, "{offset:#x}");
        let address = 0x8000_1900 | u32::from(offset & !3);
        assert!(rig.host.io_write(0xcf8, &address.to_le_bytes(), fx));
        let mut ports = vec![0; len];
        assert!(rig.host.io_read(0xcfc + offset % 4, &mut ports, fx));
        assert_eq!(ports, direct, "{offset:#x}");
    }
}

#[test]
fn the_address_port_is_a_dword_and_gates_the_data_port() {
    let mut rig = Rig::new();
    let fx = &mut Effects::default();
    let read = |rig: &mut Rig, port, len| {
        let mut data = vec![0xaa; len];
        let claimed = rig.host.io_read(port, &mut data, &mut Effects::default());
        (claimed, data)
    };
    assert_eq!(read(&mut rig, 0xcfc, 4), (true, vec![0xff; 4]), "not enabled yet");
    assert!(rig.host.io_write(0xcf8, &0xffff_ffff_u32.to_le_bytes(), fx));
    assert_eq!(read(&mut rig, 0xcf8, 4), (true, vec![0xff, 0xff, 0xff, 0x80]), "reserved bits read zero");
    assert!(rig.host.io_write(0xcf8, &0x8000_0000_u32.to_le_bytes(), fx));
    for (port, data) in [(0xcf8, &[1, 2][..]), (0xcf9, &[6][..]), (0xcfb, &[0][..])] {
        assert!(!rig.host.io_write(port, data, fx), "{port:#x} belongs to others");
        assert!(!read(&mut rig, port, data.len()).0, "{port:#x}");
    }
    assert_eq!(read(&mut rig, 0xcfc, 4), (true, vec![0x86, 0x80, 0xc0, 0x29]));
    assert_eq!(read(&mut rig, 0xcfe, 2), (true, vec![0xc0, 0x29]));
    assert_eq!(read(&mut rig, 0xcfe, 4), (true, vec![0xc0, 0x29, 0xff, 0xff]), "past the data port");
    assert!(!read(&mut rig, 0xd00, 1).0);
}

#[test]
fn a_byte_is_named_by_the_address_or_by_the_data_port_or_by_both() {
    let mut rig = Rig::new();
    let source = rig.add(3, 0, Box::new(Edu::new(DEFAULT_DMA_MASK)));
    let fx = &mut Effects::default();
    let select = |rig: &mut Rig, offset: u32| {
        assert!(rig.host.io_write(0xcf8, &(0x8000_1800 | offset).to_le_bytes(), &mut Effects::default()));
    };
    for (offset, port, expected) in [
        (0x02, 0xcfc, &[0xe8, 0x11][..]),
        (0x00, 0xcfe, &[0xe8, 0x11]),
        (0x02, 0xcfe, &[0xe8, 0x11]),
        (0x01, 0xcfc, &[0x12, 0xe8]),
        (0x01, 0xcfe, &[0x11, 0xff]),
        (0x03, 0xcfc, &[0x11, 0xff, 0xff, 0xff]),
        (0x0a, 0xcfc, &[0xff]),
        (0xff, 0xcfc, &[0x00, 0xff]),
    ] {
        select(&mut rig, offset);
        let mut data = vec![0xaa; expected.len()];
        assert!(rig.host.io_read(port, &mut data, fx));
        assert_eq!(data, expected, "{offset:#x} {port:#x}");
    }
    // The interrupt line is at 3Ch; the command register, which a write of 4 bytes must not reach, at 4.
    select(&mut rig, 0x3d);
    assert!(rig.host.io_write(0xcfc, &[0xff; 4], fx));
    assert_eq!(rig.read_config32(source, 0x3c), 0x0000_0100);
    select(&mut rig, 0x03);
    assert!(rig.host.io_write(0xcfc, &[0xff; 4], fx));
    assert_eq!(rig.read_config32(source, 0x04) & 0xffff, 0);
    select(&mut rig, 0x04);
    assert!(rig.host.io_write(0xcfc, &[4, 0], fx));
    assert_eq!(rig.read_config32(source, 0x04) & 0xffff, 4);
}

#[test]
fn absent_functions_read_ones_and_drop_writes() {
    let mut rig = Rig::new();
    rig.add(3, 0, Poke::boxed(&PLAIN));
    for source in [SourceId::new(0, 3, 1), SourceId::new(0, 4, 0), SourceId::new(1, 3, 0), SourceId(0xffff)] {
        assert_eq!(rig.read_config32(source, 0), 0xffff_ffff, "{source}");
        rig.config32(source, 4, 0xffff_ffff);
        assert_eq!(rig.read_config32(source, 4), 0xffff_ffff, "{source}");
    }
    let mut data = [0; 4];
    rig.host.ecam_read(256 << 20, &mut data);
    assert_eq!(data, [0xff; 4], "256 buses and no more");
}

#[test]
fn no_access_of_any_size_or_offset_panics_or_spills() {
    let mut rig = Rig::new();
    let express = rig.add(3, 0, Box::new(Exerciser::new(0)));
    let conventional = rig.add(4, 0, Box::new(Edu::new(DEFAULT_DMA_MASK)));
    rig.host.add_root_port("rp0", 5, 0).unwrap();
    for source in [SourceId(0), express, conventional, SourceId::new(0, 5, 0)] {
        let mut whole = [0; 4096];
        rig.host.read_config(source, 0, &mut whole);
        for offset in (0..=4096).chain([u64::from(u32::MAX), u64::MAX - 3, u64::MAX]) {
            for len in 0..=8 {
                let mut data = vec![0x5a; len];
                rig.host.read_config(source, offset, &mut data);
                let expected = |i: usize| {
                    let at = usize::try_from(offset).unwrap().checked_add(i)?;
                    whole.get(at).copied()
                };
                let expected: Vec<u8> = (0..len).map(|i| expected(i).unwrap_or(0xff)).collect();
                assert_eq!(data, expected, "{source} {offset:#x} {len}");
            }
        }
        for value in [0x00, 0xff, 0xa5] {
            for offset in (0..=4096).chain([u64::MAX - 3, u64::MAX]) {
                for len in 0..=8 {
                    rig.host.write_config(source, offset, &vec![value; len], &mut rig.fx);
                }
            }
        }
        rig.deliver();
        let identity = u32::from_le_bytes(whole[..4].try_into().unwrap());
        assert_eq!(rig.read_config32(source, 0), identity, "{source} keeps its identity");
    }
}

#[test]
fn extended_space_is_there_for_express_functions_only() {
    let mut rig = Rig::new();
    let express = rig.add(3, 0, Box::new(Exerciser::new(0)));
    let conventional = rig.add(4, 0, Box::new(Edu::new(DEFAULT_DMA_MASK)));
    for (source, value) in [(express, 0), (conventional, 0xffff_ffff)] {
        assert_eq!(rig.read_config32(source, 0x100), value, "{source}");
        assert_eq!(rig.read_config32(source, 0xffc), value, "{source}");
        assert_eq!(rig.read_config32(source, 0x1000), 0xffff_ffff, "{source}");
    }
}

#[test]
fn functions_are_put_where_there_is_room() {
    let mut rig = Rig::new();
    rig.host.add_root_port("rp0", 1, 0).unwrap();
    rig.add(2, 0, Poke::boxed(&PLAIN));
    rig.add_behind("rp0", 0, Poke::boxed(&PLAIN));
    let root = |device, function| Placement { bus: Bus::Root, device, function };
    let behind = |name, device, function| Placement { bus: Bus::Behind(name), device, function };
    for (at, message) in [
        (root(32, 0), "20.0 is no PCI address; use device 00 to 1f and function 0 to 7"),
        (root(0, 8), "00.8 is no PCI address; use device 00 to 1f and function 0 to 7"),
        (root(0, 0), "00.0 of that bus is taken by the host bridge; choose another address"),
        (root(1, 0), "01.0 of that bus is taken by root port \"rp0\"; choose another address"),
        (root(2, 0), "02.0 of that bus is taken by poke 0; choose another address"),
        (behind("rp0", 0, 0), "00.0 of that bus is taken by poke 1; choose another address"),
        (
            behind("rp0", 3, 0),
            "device 03 does not exist behind a root port; its link leads to device 00 only",
        ),
        (behind("rp9", 0, 0), "there is no root port \"rp9\"; add it before what goes behind it"),
    ] {
        let error = rig.try_add(at, Poke::boxed(&PLAIN)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(rig.host.add_root_port("rp0", 7, 0), Err(AddError::DuplicateRootPort("rp0".to_owned())));
    assert_eq!(rig.host.functions().count(), 4, "nothing refused was added");
}

#[test]
fn functions_are_listed_for_resource_assignment() {
    let mut rig = Rig::new();
    rig.host.add_root_port("rp0", 2, 0).unwrap();
    rig.add_behind("rp0", 1, Box::new(Edu::new(0)));
    fn describe(rig: &Rig) -> Vec<(FunctionKind<'_>, Option<SourceId>, usize, Option<u32>)> {
        rig.host.functions().map(|f| (f.kind, f.source, f.bars.len(), f.line)).collect()
    }
    let edu = FunctionKind::Endpoint { id: DeviceId(0), model: "edu" };
    let fixed = [
        (FunctionKind::HostBridge, Some(SourceId(0)), 0, None),
        (FunctionKind::RootPort { name: "rp0" }, Some(SourceId(0x10)), 0, None),
    ];
    assert_eq!(describe(&rig), [fixed[0], fixed[1], (edu, None, 1, Some(22))]);
    rig.config32(SourceId(0x10), 0x18, 0x0005_0500);
    assert_eq!(describe(&rig), [fixed[0], fixed[1], (edu, Some(SourceId(0x501)), 1, Some(22))]);
    let last = rig.host.functions().last().unwrap();
    assert_eq!(last.placement, Placement { bus: Bus::Behind("rp0"), device: 0, function: 1 });
}
