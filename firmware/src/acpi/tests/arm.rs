//! The tables of Arm machines.

use super::*;
use crate::arm::samples::{rich, virt};
use crate::arm::{Description, DescriptionError};

const AREA: RangeInclusive<u64> = 0x4000_0000..=0x4000_ffff;

pub(super) fn tables(machine: &Description) -> Tables {
    build(Machine::Arm { machine, area: AREA }).unwrap()
}

pub(super) fn arm_table(machine: &Description, name: &str) -> Vec<u8> {
    tables(machine).iter().find(|table| signature(table) == name).unwrap().bytes.clone()
}

#[test]
fn the_rsdp_and_the_xsdt_lead_to_all_others() {
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    for (machine, area) in [(virt(), AREA), (rich(), 0x1_3fff_0000..=0x1_3fff_ffff)] {
        let tables = build(Machine::Arm { machine: &machine, area: area.clone() }).unwrap();
        let at = |address: u64| &tables.iter().find(|table| table.address == address).unwrap().bytes;
        assert_eq!(tables.rsdp(), *area.start());
        let rsdp = at(*area.start());
        assert_eq!(rsdp[..8], *b"RSD PTR ");
        assert_eq!((rsdp[15], u32_at(rsdp, 16), rsdp.len()), (2, 0, 36));
        let xsdt = at(u64_at(rsdp, 24));
        assert_eq!(xsdt[..4], *b"XSDT");
        let listed = xsdt[36..].chunks(8).map(|entry| signature_of(at(u64_at(entry, 0))));
        let expected = ["FACP", "APIC", "PPTT", "GTDT", "MCFG", "SPCR", "IORT"];
        assert_eq!(listed.collect::<Vec<_>>(), expected);
        let fadt = at(u64_at(xsdt, 36));
        assert_eq!(u32_at(fadt, 40), 0);
        assert_eq!(at(u64_at(fadt, 140))[..4], *b"DSDT");
        let mut end = 0;
        for table in tables.iter() {
            let sum = table.bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
            let last = table.address + table.bytes.len() as u64 - 1;
            assert_eq!(sum, 0);
            assert!(table.address % 16 == 0 && table.address >= end && last <= *area.end());
            end = last + 1;
        }
    }
}

fn signature_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(&bytes[..4]).unwrap()
}

#[test]
fn the_tables_are_written_where_they_point_to() {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0x4000_0000), 0x1_0000)]).unwrap();
    tables(&rich()).write(&memory).unwrap();
    let mut found = [0; 8];
    memory.read_slice(&mut found, GuestAddress(0x4000_0000)).unwrap();
    assert_eq!(&found, b"RSD PTR ");
    let elsewhere = GuestMemoryMmap::from_ranges(&[(GuestAddress(0x8000_0000), 0x1_0000)]).unwrap();
    assert_eq!(
        tables(&virt()).write(&elsewhere),
        Err(AcpiError::NoRam { first: 0x4000_0000, last: 0x4000_0023 })
    );
}

#[test]
fn fadt_tells_of_psci_and_no_fixed_hardware() {
    let fadt = arm_table(&virt(), "FACP");
    let rows: &[(&str, usize, &[u8])] = &[
        ("FADT revision", 8, &[6]),
        ("FIRMWARE_CTRL", 36, &[0; 4]),
        ("SCI_INT to CENTURY", 46, &[0; 63]),
        ("IAPC_BOOT_ARCH", 109, &[0, 0]),
        ("HW_REDUCED_ACPI, SLP_BUTTON, PWR_BUTTON", 112, &[0x30, 0, 0x10, 0]),
        ("ARM_BOOT_ARCH: PSCI_COMPLIANT, PSCI_USE_HVC", 129, &[3, 0]),
        ("minor version", 131, &[3]),
        ("X_FIRMWARE_CTRL", 132, &[0; 8]),
    ];
    for &(field, at, expected) in rows {
        assert_eq!(fadt[at..at + expected.len()], *expected, "{field}");
    }
}

#[test]
fn madt_lists_the_gic() {
    let mut machine = rich();
    machine.cpus.truncate(2);
    let gicc = |number: u8, mpidr: [u8; 8]| {
        [
            &[11, 80, 0, 0, number, 0, 0, 0, number, 0, 0, 0, 1, 0, 0, 0][..], // enabled
            &[0; 4],
            &[23, 0, 0, 0], // performance monitors, level-triggered
            &[0; 44],
            &mpidr,
            &[0; 4],
        ]
        .concat()
    };
    let expected = [
        &[0; 8][..],
        &[12, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0], // distributor, GICv3
        &gicc(0, [0, 0, 0, 0, 1, 0, 0, 0]),
        &gicc(1, [1, 0, 0, 0, 1, 0, 0, 0]),
        &[14, 16, 0, 0, 0, 0, 0x0a, 8, 0, 0, 0, 0, 0, 0, 0xf6, 0], // redistributors
        &[15, 20, 0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0], // ITS
    ];
    assert_eq!(arm_table(&machine, "APIC")[36..], expected.concat());
    let mut machine = virt();
    machine.gic.its = None;
    assert_eq!(arm_table(&machine, "APIC").len(), 36 + 8 + 24 + 2 * 80 + 16);
}

#[test]
fn pptt_puts_all_processors_in_one_package() {
    let node = |flags: u8, parent: u8, uid: u8| {
        [&[0, 20, 0, 0, flags, 0, 0, 0, parent, 0, 0, 0, uid, 0, 0, 0][..], &[0; 4]].concat()
    };
    // The package, whose id means nothing; leaves with the UIDs of the processor devices.
    let expected = [node(0x11, 0, 0), node(0x0a, 36, 0), node(0x0a, 36, 1)];
    let pptt = arm_table(&virt(), "PPTT");
    assert_eq!((pptt[8], &pptt[36..]), (2, &expected.concat()[..]));
}

#[test]
fn gtdt_gives_the_timers_interrupts() {
    let expected = [
        &[0xff; 8][..], // no memory-mapped frame
        &[0; 4],
        &[29, 0, 0, 0, 4, 0, 0, 0], // secure EL1: level, high, always on
        &[30, 0, 0, 0, 4, 0, 0, 0], // non-secure EL1
        &[27, 0, 0, 0, 4, 0, 0, 0], // virtual EL1
        &[26, 0, 0, 0, 4, 0, 0, 0], // EL2
        &[0xff; 8],
        &[0; 16], // no platform timers, no virtual EL2 timer
    ];
    let gtdt = arm_table(&virt(), "GTDT");
    assert_eq!((gtdt[8], &gtdt[36..]), (3, &expected.concat()[..]));
}

#[test]
fn mcfg_gives_the_configuration_space_above_4_gib() {
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x40, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0];
    assert_eq!(arm_table(&virt(), "MCFG")[36..], expected);
}

#[test]
fn spcr_gives_the_console() {
    let expected = [
        3, 0, 0, 0, // PL011
        0, 32, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0, // memory, 32 bits wide and at a time
        8, 0, 33, 0, 0, 0, // a GIC's interrupt
        0, 0, 1, 0, 3, 0, // rate as it is, no parity, 1 stop bit, no flow control, ANSI
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // not on PCI
    ];
    let spcr = arm_table(&virt(), "SPCR");
    assert_eq!((spcr[8], &spcr[36..]), (2, &expected[..]));
}

#[test]
fn what_cannot_be_is_refused() {
    let area = |first, last| {
        let remedy = "use RAM, from a multiple of 16 on";
        AcpiError::Range { what: "the area for ACPI tables", first, last, remedy }
    };
    for (range, error) in [
        (0x3fff_0000..=0x4000_ffff, area(0x3fff_0000, 0x4000_ffff)),
        (0x4000_0008..=0x4000_ffff, area(0x4000_0008, 0x4000_ffff)),
        (0x7fff_0000..=0x8000_0000, area(0x7fff_0000, 0x8000_0000)),
    ] {
        assert_eq!(build(Machine::Arm { machine: &virt(), area: range }), Err(error));
    }
    let small = build(Machine::Arm { machine: &virt(), area: 0x4000_0000..=0x4000_07ff });
    assert!(matches!(small, Err(AcpiError::TooLarge { size: 0x801.., max: 0x800 })));
    let mut machine = virt();
    machine.cpus.clear();
    let error = AcpiError::Description(DescriptionError::None("CPU"));
    assert_eq!(build(Machine::Arm { machine: &machine, area: AREA }), Err(error));
    let mut machine = virt();
    machine.devices = vec![rich().devices[1].clone(); 4097];
    for (device, index) in machine.devices.iter_mut().zip(0..) {
        device.msi_device = None;
        device.registers = 0x1_0000_0000 + (index << 12)..=0x1_0000_0fff + (index << 12);
    }
    let error = DescriptionError::TooMany { what: "platform device", count: 4097, max: 4096 };
    assert_eq!(build(Machine::Arm { machine: &machine, area: AREA }), Err(error.into()));
    machine.devices.truncate(4096);
    assert!(build(Machine::Arm { machine: &machine, area: 0x4000_0000..=0x401f_ffff }).is_ok());
}
