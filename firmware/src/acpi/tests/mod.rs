mod arm;
mod errors;
mod iasl;
mod iort;

use super::*;

fn step(device: u8, function: u8) -> PathStep {
    PathStep { device, function }
}

fn scope(kind: ScopeKind, start_bus: u8, path: &[PathStep]) -> DeviceScope {
    DeviceScope { kind, start_bus, path: path.to_vec() }
}

/// The unit of a QEMU q35 machine with three devices on bus 0.
fn q35_dmar() -> Dmar {
    let endpoint = |device, function| scope(ScopeKind::Endpoint, 0, &[step(device, function)]);
    let unit = Drhd {
        segment: 0,
        base: 0xfed9_0000,
        log2_pages: 0,
        include_pci_all: false,
        scopes: vec![
            scope(ScopeKind::IoApic(0), 0xff, &[step(0, 0)]),
            endpoint(0, 0),
            endpoint(1, 0),
            endpoint(31, 3),
        ],
    };
    Dmar {
        host_address_width: 39,
        interrupt_remapping: true,
        x2apic_opt_out: false,
        units: vec![unit],
        reserved: vec![],
    }
}

fn q35() -> MachineDescription {
    MachineDescription {
        cpus: vec![0, 1],
        io_apics: vec![IoApic { id: 0, address: 0xfec0_0000, gsi_base: 0 }],
        pic: true,
        keyboard_controller: false,
        power: Some(PowerManagement { base: 0x600, sci: 9 }),
        pci: PciRoot {
            ecam: 0xb000_0000,
            last_bus: 255,
            memory: vec![0xc000_0000..=0xfebf_ffff, 0x80_0000_0000..=0xff_ffff_ffff],
            io: vec![0..=0xcf7, 0xd00..=0xffff],
            intx: vec![
                IntxRoute { device: 2, pin: 0, gsi: 18 },
                IntxRoute { device: 31, pin: 3, gsi: 23 },
                IntxRoute { device: 0, pin: 1, gsi: 0x1234_5678 },
            ],
            isa_lines: vec![9, 11],
        },
        dmar: Some(q35_dmar()),
    }
}

/// Two units, the second for all that is left, a bridge, a timer block and reserved memory.
fn rich() -> MachineDescription {
    let mut machine = q35();
    let dmar = machine.dmar.as_mut().unwrap();
    dmar.host_address_width = 52;
    dmar.x2apic_opt_out = true;
    dmar.units[0].scopes[1] = scope(ScopeKind::Bridge, 0, &[step(1, 0)]);
    dmar.units[0].scopes[2] = scope(ScopeKind::Endpoint, 0, &[step(0x1c, 7), step(0, 1)]);
    dmar.units[0].scopes[3] = scope(ScopeKind::Hpet(2), 0xfe, &[step(31, 7)]);
    dmar.units.push(Drhd {
        segment: 0,
        base: 0x1_2345_6000,
        log2_pages: 3,
        include_pci_all: true,
        scopes: vec![],
    });
    dmar.reserved.push(Rmrr {
        segment: 0x1234,
        range: 0x7f00_0000..=0x7f0f_ffff,
        scopes: vec![scope(ScopeKind::Endpoint, 0, &[step(2, 0)])],
    });
    machine
}

fn reduced() -> MachineDescription {
    MachineDescription { pic: false, keyboard_controller: true, power: None, dmar: None, ..q35() }
}

fn signature(table: &Table) -> String {
    String::from_utf8(table.bytes[..4].to_vec()).unwrap()
}

fn table(machine: &MachineDescription, name: &str) -> Vec<u8> {
    build(machine).unwrap().iter().find(|table| signature(table) == name).unwrap().bytes.clone()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn each_table_has_its_header_and_a_sum_of_zero() {
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    for machine in [q35(), rich(), reduced()] {
        let tables = build(&machine).unwrap();
        for table in tables.iter() {
            let (name, bytes) = (signature(table), &table.bytes);
            let revision = match name.as_str() {
                "RSD " => {
                    assert_eq!((sum(&bytes[..20]), sum(bytes)), (0, 0));
                    continue;
                }
                "FACS" => continue,
                "FACP" => 6,
                "DSDT" => 2,
                "APIC" => 5,
                "RSDT" | "XSDT" | "MCFG" | "DMAR" => 1,
                other => panic!("{other}"),
            };
            assert_eq!(sum(bytes), 0, "{name}");
            assert_eq!(
                (u32_at(bytes, 4), bytes[8]),
                (u32::try_from(bytes.len()).unwrap(), revision),
                "{name}"
            );
            assert_eq!(&bytes[10..28], b"IOMMULIOMMULTR\x01\0\0\0", "{name}");
        }
    }
}

#[test]
fn the_rsdp_is_of_revision_2_and_points_by_32_and_by_64_bits() {
    let tables = build(&q35()).unwrap();
    let rsdp = &tables.iter().next().unwrap().bytes;
    let [rsdt, xsdt] = ["RSDT", "XSDT"].map(|name| {
        let table = tables.iter().find(|table| signature(table) == name).unwrap();
        u32::try_from(table.address).unwrap().to_le_bytes()
    });
    assert_eq!(rsdp[..8], *b"RSD PTR ");
    assert_eq!(rsdp[9..16], *b"IOMMUL\x02");
    assert_eq!(rsdp[16..20], rsdt);
    assert_eq!(rsdp[20..24], [36, 0, 0, 0]);
    assert_eq!(rsdp[24..32], [xsdt, [0; 4]].concat());
    assert_eq!(rsdp[33..], [0; 3]);
}

/// Finds tables in memory as a test kernel does, by the RSDT, and as an operating system does.
#[test]
fn a_scan_of_guest_memory_finds_everything() {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x10_0000)]).unwrap();
    let read = |address: u64, len: usize| {
        let mut bytes = vec![0; len];
        memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    };
    let pointer = |bytes: &[u8], at: usize| u64::from(u32_at(bytes, at));
    for (machine, names) in [
        (q35(), &["FACP", "APIC", "MCFG", "DMAR"][..]),
        (rich(), &["FACP", "APIC", "MCFG", "DMAR"]),
        (reduced(), &["FACP", "APIC", "MCFG"]),
    ] {
        build(&machine).unwrap().write(&memory).unwrap();
        let rsdp =
            (0xe_0000..0x10_0000).step_by(16).find(|&address| read(address, 8) == b"RSD PTR ").unwrap();
        assert_eq!(rsdp, 0xf_0000);
        let root = read(rsdp, 36);
        for (pointer_at, name, size) in [(16, b"RSDT", 4), (24, b"XSDT", 8)] {
            let address = pointer(&root, pointer_at);
            let header = read(address, 36);
            assert_eq!(&header[..4], name);
            let list = read(address + 36, u32_at(&header, 4) as usize - 36);
            let found = list.chunks(size).map(|entry| {
                assert_eq!(entry[4..], [0; 4][..size - 4]);
                read(pointer(entry, 0), 4)
            });
            assert_eq!(
                found.collect::<Vec<_>>(),
                names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>()
            );
        }
        let fadt = read(pointer(&read(pointer(&root, 16) + 36, 4), 0), 276);
        assert_eq!(fadt[..4], *b"FACP");
        assert_eq!(read(pointer(&fadt, 40), 4), b"DSDT");
        assert_eq!(fadt[140..148], [&fadt[40..44], &[0; 4]].concat());
        let facs = pointer(&fadt, 36);
        assert_eq!(facs == 0, machine.power.is_none());
        if facs != 0 {
            assert_eq!(read(facs, 12), b"FACS\x40\0\0\0\0\0\0\0");
            assert_eq!(facs % 64, 0);
        }
    }
}

#[test]
fn fadt_tells_fixed_hardware_or_its_absence() {
    let (full, reduced) = (table(&q35(), "FACP"), table(&reduced(), "FACP"));
    let rows: &[(&str, usize, &[u8], &[u8])] = &[
        ("SCI_INT", 46, &[9, 0], &[0, 0]),
        ("SMI_CMD", 48, &[0; 8], &[0; 8]),
        ("PM1a_EVT_BLK", 56, &[0, 6, 0, 0], &[0; 4]),
        ("PM1b_EVT_BLK", 60, &[0; 4], &[0; 4]),
        ("PM1a_CNT_BLK", 64, &[4, 6, 0, 0], &[0; 4]),
        ("PM1b_CNT_BLK, PM2_CNT_BLK", 68, &[0; 8], &[0; 8]),
        ("PM_TMR_BLK", 76, &[8, 6, 0, 0], &[0; 4]),
        ("GPE0_BLK, GPE1_BLK", 80, &[0; 8], &[0; 8]),
        ("lengths", 88, &[4, 2, 0, 4, 0, 0], &[0; 6]),
        ("P_LVL2_LAT, P_LVL3_LAT", 96, &[101, 0, 0xe9, 3], &[101, 0, 0xe9, 3]),
        ("CENTURY", 108, &[0x32], &[0x32]),
        ("IAPC_BOOT_ARCH", 109, &[5, 0], &[7, 0]),
        ("flags", 112, &[0x75, 0, 0, 0], &[0x75, 0, 0x10, 0]),
        ("X_PM1a_EVT_BLK", 148, &[1, 32, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0], &[0; 12]),
        ("X_PM1a_CNT_BLK", 172, &[1, 16, 0, 0, 4, 6, 0, 0, 0, 0, 0, 0], &[0; 12]),
        ("X_PM_TMR_BLK", 208, &[1, 32, 0, 0, 8, 6, 0, 0, 0, 0, 0, 0], &[0; 12]),
    ];
    for &(field, at, in_full, in_reduced) in rows {
        assert_eq!(full[at..at + in_full.len()], *in_full, "{field}");
        assert_eq!(reduced[at..at + in_reduced.len()], *in_reduced, "{field}, hardware-reduced");
    }
}

#[test]
fn madt_lists_processors_io_apics_and_overrides() {
    let two_cpus = [
        0x00, 0x00, 0xe0, 0xfe, 1, 0, 0, 0, // local APIC address, PCAT_COMPAT
        0, 8, 0, 0, 1, 0, 0, 0, // processor 0
        0, 8, 1, 1, 1, 0, 0, 0, // processor 1
        1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0, // I/O APIC 0
        2, 10, 0, 0, 2, 0, 0, 0, 0, 0, // line 0 is interrupt 2
        2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0, // line 9, PCI's and the SCI: level, high
        2, 10, 0, 11, 11, 0, 0, 0, 0x0d, 0, // line 11, PCI's
    ];
    assert_eq!(table(&q35(), "APIC")[36..], two_cpus);
    let mut machine = reduced();
    machine.pci.isa_lines.clear();
    machine.cpus = vec![0xfe, 0xff, 0x0102_0304];
    machine.io_apics.push(IoApic { id: 5, address: 0xfec1_0000, gsi_base: 24 });
    let large = [
        0x00, 0x00, 0xe0, 0xfe, 0, 0, 0, 0, // no 8259
        0, 8, 0, 0xfe, 1, 0, 0, 0, // the last id that fits a local APIC entry
        9, 16, 0, 0, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, // x2APIC
        9, 16, 0, 0, 4, 3, 2, 1, 1, 0, 0, 0, 2, 0, 0, 0, // x2APIC
        1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0, // I/O APIC 0
        1, 12, 5, 0, 0x00, 0x00, 0xc1, 0xfe, 24, 0, 0, 0, // I/O APIC 5
        2, 10, 0, 0, 2, 0, 0, 0, 0, 0, // line 0 is interrupt 2
    ];
    assert_eq!(table(&machine, "APIC")[36..], large);
}

#[test]
fn mcfg_gives_the_configuration_space() {
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0];
    assert_eq!(table(&q35(), "MCFG")[36..], expected);
    let mut machine = q35();
    (machine.pci.ecam, machine.pci.last_bus) = (0x40_1000_0000, 15);
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x40, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 0];
    assert_eq!(table(&machine, "MCFG")[36..], expected);
}

/// The first bytes are those that QEMU 11 gives its q35 machine.
#[test]
fn dmar_of_a_q35() {
    let dmar = table(&q35(), "DMAR");
    assert_eq!(dmar[..9], [0x44, 0x4d, 0x41, 0x52, 0x60, 0, 0, 0, 1]);
    let body = [
        0x26, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // 39 bits, INTR_REMAP
        0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0, // DRHD of 48 bytes
        3, 8, 0, 0, 0, 0xff, 0, 0, // I/O APIC 0 is ff:00.0
        1, 8, 0, 0, 0, 0, 0, 0, // 00:00.0
        1, 8, 0, 0, 0, 0, 1, 0, // 00:01.0
        1, 8, 0, 0, 0, 0, 31, 3, // 00:1f.3
    ];
    assert_eq!(dmar[36..], body);
}

#[test]
fn dmar_with_all_structures() {
    let body = [
        0x33, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // 52 bits, INTR_REMAP, X2APIC_OPT_OUT
        0, 0, 0x32, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0, // DRHD of 50 bytes
        3, 8, 0, 0, 0, 0xff, 0, 0, // I/O APIC 0 is ff:00.0
        2, 8, 0, 0, 0, 0, 1, 0, // bridge 00:01.0
        1, 10, 0, 0, 0, 0, 28, 7, 0, 1, // function 1 below bridge 00:1c.7
        4, 8, 0, 0, 2, 0xfe, 31, 7, // timer block 2 is fe:1f.7
        0, 0, 16, 0, 1, 3, 0, 0, 0, 0x60, 0x45, 0x23, 1, 0, 0, 0, // DRHD, INCLUDE_PCI_ALL, 8 pages
        1, 0, 32, 0, 0, 0, 0x34, 0x12, // RMRR of segment 0x1234
        0, 0, 0, 0x7f, 0, 0, 0, 0, 0xff, 0xff, 0x0f, 0x7f, 0, 0, 0, 0, // base, limit
        1, 8, 0, 0, 0, 0, 2, 0, // 00:02.0
    ];
    assert_eq!(table(&rich(), "DMAR")[36..], body);
    let mut machine = q35();
    machine.dmar.as_mut().unwrap().interrupt_remapping = false;
    assert_eq!(table(&machine, "DMAR")[36..38], [0x26, 0]);
}
