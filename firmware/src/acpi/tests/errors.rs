//! Descriptions that must be refused.

use super::*;

type Change = fn(&mut MachineDescription);

fn value(what: &'static str, value: u64, remedy: &'static str) -> AcpiError {
    AcpiError::Value { what, value, remedy }
}

fn range(what: &'static str, first: u64, last: u64, remedy: &'static str) -> AcpiError {
    AcpiError::Range { what, first, last, remedy }
}

fn unit(machine: &mut MachineDescription) -> &mut Drhd {
    &mut machine.dmar.as_mut().unwrap().units[0]
}

fn check(rows: &[(Change, AcpiError)]) {
    for (index, (change, error)) in rows.iter().enumerate() {
        let mut machine = rich();
        change(&mut machine);
        assert_eq!(build(&machine).as_ref(), Err(error), "row {index}");
    }
}

#[test]
fn processors_and_interrupt_controllers() {
    let line = "it is an ISA line other than the timer's: use 1 to 15";
    let ports = "12 ports from there must exist, and 0 means none: use another base";
    check(&[
        (|machine| machine.cpus.clear(), AcpiError::None("processor")),
        (|machine| machine.cpus = vec![7, 8, 7], AcpiError::Duplicate { what: "processor", id: 7 }),
        (
            |machine| machine.cpus = vec![u32::MAX],
            value("an APIC id", 0xffff_ffff, "that addresses all processors: give it another"),
        ),
        (|machine| machine.io_apics.clear(), AcpiError::None("I/O APIC")),
        (
            |machine| machine.io_apics = vec![machine.io_apics[0]; 2],
            AcpiError::Duplicate { what: "I/O APIC", id: 0 },
        ),
        (
            |machine| machine.power = Some(PowerManagement { base: 0x600, sci: 16 }),
            value("the SCI", 16, line),
        ),
        (|machine| machine.power = Some(PowerManagement { base: 0x600, sci: 0 }), value("the SCI", 0, line)),
        (
            |machine| machine.power = Some(PowerManagement { base: 0, sci: 9 }),
            value("the power-management base port", 0, ports),
        ),
        (
            |machine| machine.power = Some(PowerManagement { base: 0xfff5, sci: 9 }),
            value("the power-management base port", 0xfff5, ports),
        ),
    ]);
    let mut machine = q35();
    machine.power = Some(PowerManagement { base: 0xfff4, sci: 15 });
    assert!(build(&machine).is_ok());
}

#[test]
fn pci() {
    let space = "the PCI configuration space";
    let aligned = "align it to 1 MiB, above 0, wholly below 4 GiB or wholly above";
    let window = "a PCI memory window";
    let low_or_high = "use a range above 0, wholly below 4 GiB or wholly above";
    let own = "use ranges that leave out the bridge's own ports 0xcf8 to 0xcff";
    check(&[
        (|machine| machine.pci.ecam = 0xb000_1000, range(space, 0xb000_1000, 0xc000_0fff, aligned)),
        (|machine| machine.pci.ecam = 0, range(space, 0, 0xfff_ffff, aligned)),
        (|machine| machine.pci.ecam = 0xf010_0000, range(space, 0xf010_0000, 0x1_000f_ffff, aligned)),
        (
            |machine| machine.pci.ecam = 0xffff_ffff_fff0_0000,
            range(space, 0xffff_ffff_fff0_0000, u64::MAX, aligned),
        ),
        (|machine| machine.pci.memory = vec![0..=u64::MAX], range(window, 0, u64::MAX, low_or_high)),
        (|machine| machine.pci.memory = vec![0..=0xffff_ffff], range(window, 0, 0xffff_ffff, low_or_high)),
        (
            |machine| machine.pci.memory = vec![0xffff_ffff..=0x1_0000_0000],
            range(window, 0xffff_ffff, 0x1_0000_0000, low_or_high),
        ),
        (
            #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
            |machine| machine.pci.memory = vec![2..=1],
            range(window, 2, 1, low_or_high),
        ),
        (|machine| machine.pci.io = vec![0..=0xffff], range("a PCI I/O window", 0, 0xffff, own)),
        (|machine| machine.pci.io = vec![0xcff..=0xd00], range("a PCI I/O window", 0xcff, 0xd00, own)),
        (|machine| machine.pci.io = vec![0..=0xcf8], range("a PCI I/O window", 0, 0xcf8, own)),
        (
            #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
            |machine| machine.pci.io = vec![2..=1],
            range("a PCI I/O window", 2, 1, own),
        ),
        (
            |machine| machine.pci.intx[0].device = 32,
            value("an interrupt route's device", 32, "bus 0 has devices 0 to 31"),
        ),
        (
            |machine| machine.pci.intx[1].pin = 4,
            value("an interrupt route's pin", 4, "pins are 0 (INTA) to 3 (INTD)"),
        ),
        (
            |machine| machine.pci.intx[1] = IntxRoute { gsi: 1, ..machine.pci.intx[0] },
            AcpiError::Duplicate { what: "interrupt route", id: 0x200 },
        ),
        (
            |machine| machine.pci.isa_lines.push(2),
            value("an ISA line of PCI", 2, "the timer has 0 and 2: use 1 or 3 to 15"),
        ),
        (
            |machine| machine.pci.isa_lines.push(16),
            value("an ISA line of PCI", 16, "the timer has 0 and 2: use 1 or 3 to 15"),
        ),
    ]);
    let mut machine = q35();
    machine.pci.ecam = 0xf000_0000;
    machine.pci.memory = vec![1..=0xffff_ffff, 0x1_0000_0000..=u64::MAX];
    assert!(build(&machine).is_ok());
}

#[test]
fn remapping_hardware() {
    let whole_pages = "use whole pages of 4 KiB, at least one";
    let bits = "it counts bits: use 1 to 64";
    fn dmar(machine: &mut MachineDescription) -> &mut Dmar {
        machine.dmar.as_mut().unwrap()
    }
    check(&[
        (|machine| dmar(machine).host_address_width = 0, value("the host address width", 0, bits)),
        (|machine| dmar(machine).host_address_width = 65, value("the host address width", 65, bits)),
        (
            |machine| dmar(machine).interrupt_remapping = false,
            value("the x2APIC opt-out", 1, "it needs interrupt remapping: set both or neither"),
        ),
        (|machine| dmar(machine).units.clear(), AcpiError::None("remapping unit")),
        (
            |machine| dmar(machine).units.swap(0, 1),
            AcpiError::AfterIncludeAll { segment: 0, base: 0xfed9_0000 },
        ),
        (|machine| unit(machine).scopes[0].kind = ScopeKind::Endpoint, AcpiError::UnscopedIoApic(0)),
        (|machine| unit(machine).scopes[0].kind = ScopeKind::IoApic(1), AcpiError::UnscopedIoApic(0)),
        (
            |machine| machine.io_apics.push(IoApic { id: 3, address: 0xfec1_0000, gsi_base: 24 }),
            AcpiError::UnscopedIoApic(3),
        ),
        (
            |machine| unit(machine).base = 0xfed9_0800,
            value("the base of a remapping unit", 0xfed9_0800, "align it to 4 KiB"),
        ),
        (
            |machine| unit(machine).log2_pages = 16,
            value("the size of a remapping unit", 16, "its field has 4 bits: use 0 to 15"),
        ),
        (|machine| unit(machine).scopes[3].path.clear(), AcpiError::Path { start_bus: 0xfe }),
        (|machine| unit(machine).scopes[3].path = vec![step(0, 0); 125], AcpiError::Path { start_bus: 0xfe }),
        (|machine| unit(machine).scopes[3].path[0].device = 32, AcpiError::Path { start_bus: 0xfe }),
        (|machine| unit(machine).scopes[3].path[0].function = 8, AcpiError::Path { start_bus: 0xfe }),
        (
            |machine| unit(machine).scopes = vec![unit(machine).scopes[0].clone(); 8190],
            AcpiError::Scopes { address: 0xfed9_0000, size: 65536 },
        ),
        (
            |machine| dmar(machine).reserved[0].range = 0x1000..=0x1ffe,
            range("reserved memory", 0x1000, 0x1ffe, whole_pages),
        ),
        (
            |machine| dmar(machine).reserved[0].range = 0x1001..=0x1fff,
            range("reserved memory", 0x1001, 0x1fff, whole_pages),
        ),
        (
            #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
            |machine| dmar(machine).reserved[0].range = 0x1000..=0xfff,
            range("reserved memory", 0x1000, 0xfff, whole_pages),
        ),
    ]);
    let mut machine = rich();
    unit(&mut machine).scopes[3].path = vec![step(31, 7); 124];
    assert_eq!(table(&machine, "DMAR")[90..92], [4, 254]);
    unit(&mut machine).segment = 1;
    machine.dmar.as_mut().unwrap().units.swap(0, 1);
    assert!(build(&machine).is_ok(), "INCLUDE_PCI_ALL is of another segment");
}

#[test]
fn the_area_below_1_mib_is_the_limit() {
    let mut machine = q35();
    machine.cpus = (0..9000).collect();
    assert!(matches!(build(&machine), Err(AcpiError::TooLarge { size: 0x1_0001.., max: 0x1_0000 })));
    machine.cpus.truncate(3000);
    let tables = build(&machine).unwrap();
    for (bytes, expected) in [(0xf_0000, Err(0xf_0000)), (0xf_0800, Err(0xf_0000)), (0x10_0000, Ok(()))] {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), bytes)]).unwrap();
        match (tables.write(&memory), expected) {
            (Ok(()), Ok(())) => {}
            (Err(AcpiError::NoRam { first, last }), Err(from)) => {
                assert!(first >= from && last < 0x10_0000, "{first:#x} to {last:#x}");
                let mut rsdp = [0; 8];
                if bytes > 0xf_0000 {
                    memory.read_slice(&mut rsdp, GuestAddress(0xf_0000)).unwrap();
                }
                assert_eq!(rsdp, [0; 8], "nothing is written");
            }
            other => panic!("{bytes:#x}: {other:?}"),
        }
    }
}
