use super::*;
use crate::config::MachineConfig;

/// A multiboot image for this address, entered after its header.
fn multiboot_image(load: u32) -> Vec<u8> {
    let words = [0x1bad_b002, 0x1_0000, 0xe451_4ffe, load, load, 0, 0, load + 0x20, 0x9090_9090];
    words.map(u32::to_le_bytes).concat()
}

fn machine(iommus: &[&str], devices: &[&str]) -> Machine {
    let config = MachineConfig {
        iommus: iommus.iter().map(|text| text.parse().unwrap()).collect(),
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
    let mut machine = machine(&["vtd-legacy"], &["edu,addr=3", "root-port,id=rp", "exerciser,bus=rp"]);
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
    for (iommus, flags) in
        [(&[][..], None), (&["vtd-legacy"], Some(1)), (&["vtd-legacy,intremap=off"], Some(0))]
    {
        let mut machine = machine(iommus, &[]);
        write_tables(&machine).unwrap();
        assert_eq!(table(&mut machine, b"DMAR").map(|dmar| dmar[37]), flags, "{iommus:?}");
        let madt = table(&mut machine, b"APIC").unwrap();
        // 8259s; a processor; I/O APIC 0 at fec00000h from GSI 0; line 0 is GSI 2; lines 10 and 11 are
        // level-triggered, active high.
        #[rustfmt::skip]
        let expected = [
            0, 0, 0xe0, 0xfe, 1, 0, 0, 0,
            0, 8, 0, 0, 1, 0, 0, 0,
            1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,
            2, 10, 0, 0, 2, 0, 0, 0, 0, 0,
            2, 10, 0, 10, 10, 0, 0, 0, 0x0d, 0,
            2, 10, 0, 11, 11, 0, 0, 0, 0x0d, 0,
        ];
        assert_eq!(madt[36..], expected);
        let mcfg = table(&mut machine, b"MCFG").unwrap();
        assert_eq!(mcfg[44..], [0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0]);
        // FADT flags: HW_REDUCED_ACPI.
        assert_eq!(table(&mut machine, b"FACP").unwrap()[114] & 0x10, 0x10);
    }
}

#[test]
fn a_guest_finds_base_memory_and_com1_in_the_bios_data_area() {
    let image = multiboot_image(0x10_0000);
    for image in [&image, guests::image::VTD_DMA] {
        let mut machine = machine(&[], &[]);
        start(&machine, Guest { image, name: "", command_line: "", modules: &[] }).unwrap();
        let words = [0x400, 0x40e, 0x413].map(|address| read32(&mut machine, address) & 0xffff);
        assert_eq!(words, [0x3f8, 0x9fc0, 639]);
    }
}

#[test]
fn the_header_chooses_the_protocol() {
    let machine = machine(&[], &[]);
    let image = multiboot_image(0x10_0000);
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
    let image = multiboot_image(0x10_0000);
    for (command_line, expected) in [("", &b"kernel\0"[..]), ("a b", b"kernel a b\0")] {
        let mut machine = machine(&[], &[]);
        let guest = Guest { image: &image, name: "kernel", command_line, modules: &[] };
        let info = start(&machine, guest).unwrap().rbx;
        let at = u64::from(read32(&mut machine, info + 16));
        assert_eq!(read(&mut machine, at, expected.len()), expected);
    }
}

#[test]
fn units_and_reserved_memory_are_described_and_withheld() {
    let units = ["vtd-legacy,base=0xfed94000,devices=00:02.0,rmrr=0x800000-0x8fffff@00:02.0", "vtd-legacy"];
    let config = MachineConfig {
        iommus: units.map(|text| text.parse().unwrap()).into(),
        memory: "16M".parse().unwrap(),
        devices: ["edu", "edu"].map(|text| text.parse().unwrap()).into(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    let guest = Guest { image: guests::image::VTD_DMA, name: "", command_line: "", modules: &[] };
    let zero_page = start(&machine, guest).unwrap().rsi;
    let dmar = table(&mut machine, b"DMAR").unwrap();
    #[rustfmt::skip]
    let expected = [
        0, 0, 0x18, 0, 0, 0, 0, 0, 0, 0x40, 0xd9, 0xfe, 0, 0, 0, 0,     // DRHD at fed94000h
        0x01, 0x08, 0, 0, 0, 0, 0x02, 0x00,                             // edu 00:02.0
        0, 0, 0x28, 0, 0, 0, 0, 0, 0, 0x10, 0xd9, 0xfe, 0, 0, 0, 0,     // DRHD at fed91000h
        0x03, 0x08, 0, 0, 0, 0xff, 0x00, 0x00,                          // I/O APIC
        0x01, 0x08, 0, 0, 0, 0, 0x00, 0x00,                             // host bridge
        0x01, 0x08, 0, 0, 0, 0, 0x01, 0x00,                             // edu 00:01.0
        1, 0, 0x20, 0, 0, 0, 0, 0,                                      // RMRR
        0, 0, 0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0x8f, 0, 0, 0, 0, 0,
        0x01, 0x08, 0, 0, 0, 0, 0x02, 0x00,
    ];
    assert_eq!(dmar[48..], expected);
    let entry = |machine: &mut Machine, index: u64| {
        let words = [0, 8, 16].map(|offset| read32(machine, zero_page + 0x2d0 + index * 20 + offset));
        words.map(u64::from)
    };
    assert_eq!(
        [2, 3, 4].map(|index| entry(&mut machine, index)),
        [[0x10_0000, 0x70_0000, 1], [0x80_0000, 0x10_0000, 2], [0x90_0000, 0x70_0000, 1]]
    );
}

#[test]
fn reserved_memory_is_ram_or_not_and_no_image_s() {
    for (reserved, image, expected) in [
        (
            "0x400000-0xb00fff",
            guests::image::VTD_DMA,
            "the reserved range 0x400000 to 0xb00fff is RAM only in part, or empty; reserve RAM or what is none",
        ),
        (
            "0x400000-0x400fff",
            &multiboot_image(0x40_0000),
            "0x400000 to 0x400023 overlaps reserved memory; reserve other memory or link the image elsewhere",
        ),
    ] {
        let unit = format!("vtd-legacy,rmrr={reserved}@00:00.0");
        let config = MachineConfig {
            iommus: vec![unit.parse().unwrap()],
            memory: "8M".parse().unwrap(),
            ..MachineConfig::default()
        };
        let machine = Machine::new(&config).unwrap();
        let guest = Guest { image, name: "", command_line: "", modules: &[] };
        assert_eq!(start(&machine, guest).unwrap_err().to_string(), expected);
    }
}
