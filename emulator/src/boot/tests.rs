use super::*;
use crate::config::MachineConfig;

const MULTIBOOT: [u32; 9] =
    [0x1bad_b002, 0x1_0000, 0xe451_4ffe, 0x10_0000, 0x10_0000, 0, 0, 0x10_0020, 0x9090_9090];

fn machine(iommu: Option<&str>, devices: &[&str]) -> Machine {
    let config = MachineConfig {
        iommu: iommu.map(|text| text.parse().unwrap()),
        memory: "4M".parse().unwrap(),
        devices: devices.iter().map(|text| text.parse().unwrap()).collect(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    machine
}

fn read(machine: &mut Machine, address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    machine.read(address, &mut bytes);
    bytes
}

fn read32(machine: &mut Machine, address: u64) -> u32 {
    u32::from_le_bytes(read(machine, address, 4).try_into().unwrap())
}

/// A table's bytes, found as an operating system finds it.
fn table(machine: &mut Machine, signature: &[u8; 4]) -> Option<Vec<u8>> {
    let rsdp = (0xe_0000..0x10_0000).step_by(16).find(|at| read(machine, *at, 8) == *b"RSD PTR ").unwrap();
    let rsdt = u64::from(read32(machine, rsdp + 16));
    let end = rsdt + u64::from(read32(machine, rsdt + 4));
    let entries = (rsdt + 36..end).step_by(4).map(|at| u64::from(read32(machine, at))).collect::<Vec<_>>();
    let at = entries.into_iter().find(|at| read(machine, *at, 4) == *signature)?;
    let len = read32(machine, at + 4);
    Some(read(machine, at, len as usize))
}

#[test]
fn the_dmar_names_the_unit_and_what_it_serves() {
    let mut machine = machine(Some("vtd-legacy"), &["edu,addr=3", "root-port,id=rp", "exerciser,bus=rp"]);
    write_tables(&machine).unwrap();
    let dmar = table(&mut machine, b"DMAR").unwrap();
    #[rustfmt::skip]
    let expected = [
        0x2f, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                       // 48 bits, INTR_REMAP
        0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0,        // DRHD of 48 bytes
        0x03, 0x08, 0, 0, 0, 0xff, 0x00, 0x00,                          // I/O APIC 0 is ff:00.0
        0x01, 0x08, 0, 0, 0, 0, 0x00, 0x00,                             // host bridge
        0x02, 0x08, 0, 0, 0, 0, 0x01, 0x00,                             // root port 00:01.0
        0x01, 0x08, 0, 0, 0, 0, 0x03, 0x00,                             // edu 00:03.0
    ];
    assert_eq!(dmar[36..], expected);
}

#[test]
fn the_tables_follow_the_machine() {
    for (iommu, flags) in
        [(None, None), (Some("vtd-legacy"), Some(1)), (Some("vtd-legacy,intremap=off"), Some(0))]
    {
        let mut machine = machine(iommu, &[]);
        write_tables(&machine).unwrap();
        assert_eq!(table(&mut machine, b"DMAR").map(|dmar| dmar[37]), flags, "{iommu:?}");
        let madt = table(&mut machine, b"APIC").unwrap();
        // 8259s; a processor; I/O APIC 0 at fec00000h from GSI 0; line 0 is GSI 2.
        #[rustfmt::skip]
        let expected = [
            0, 0, 0xe0, 0xfe, 1, 0, 0, 0,
            0, 8, 0, 0, 1, 0, 0, 0,
            1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,
            2, 10, 0, 0, 2, 0, 0, 0, 0, 0,
        ];
        assert_eq!(madt[36..], expected);
        let mcfg = table(&mut machine, b"MCFG").unwrap();
        assert_eq!(mcfg[44..], [0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0]);
        // FADT flags: HW_REDUCED_ACPI.
        assert_eq!(table(&mut machine, b"FACP").unwrap()[114] & 0x10, 0x10);
    }
}

#[test]
fn the_header_chooses_the_protocol() {
    let machine = machine(None, &[]);
    let image = MULTIBOOT.map(u32::to_le_bytes).concat();
    let guest = Guest { image: &image, name: "kernel", command_line: "", modules: &[] };
    let state = start(&machine, guest).unwrap();
    assert_eq!((state.rip, state.rax, state.efer), (0x10_0020, 0x2bad_b002, 0));
    let elf = Guest { image: guests::image::VTD_DMA, ..guest };
    let state = start(&machine, elf).unwrap();
    assert_eq!((state.rax, state.efer), (0, 0x500));
    let module = [Module { bytes: b"x", command_line: "" }];
    assert!(matches!(start(&machine, Guest { modules: &module, ..elf }), Err(StartError::Modules)));
    assert!(matches!(start(&machine, Guest { image: b"text", ..guest }), Err(StartError::Elf(_))));
}

#[test]
fn a_multiboot_command_line_begins_with_the_image_s_name() {
    let image = MULTIBOOT.map(u32::to_le_bytes).concat();
    for (command_line, expected) in [("", &b"kernel\0"[..]), ("a b", b"kernel a b\0")] {
        let mut machine = machine(None, &[]);
        let guest = Guest { image: &image, name: "kernel", command_line, modules: &[] };
        let info = start(&machine, guest).unwrap().rbx;
        let at = u64::from(read32(&mut machine, info + 16));
        assert_eq!(read(&mut machine, at, expected.len()), expected);
    }
}
