use super::samples::{rich, virt};
use super::*;

type Change = fn(&mut Description);

fn check(rows: &[(Change, DescriptionError)]) {
    for (index, (change, error)) in rows.iter().enumerate() {
        let mut machine = rich();
        change(&mut machine);
        assert_eq!(machine.check().as_ref(), Err(error), "row {index}");
    }
}

fn value(what: &'static str, value: u64, remedy: &'static str) -> DescriptionError {
    DescriptionError::Value { what, value, remedy }
}

fn range(what: &'static str, first: u64, last: u64, remedy: &'static str) -> DescriptionError {
    DescriptionError::Range { what, first, last, remedy }
}

fn overlap(what: &'static str, other: &'static str, at: u64) -> DescriptionError {
    DescriptionError::Overlap { what, other, at }
}

#[test]
fn the_samples_are_sound() {
    assert_eq!(virt().check(), Ok(()));
    assert_eq!(rich().check(), Ok(()));
}

#[test]
fn processors() {
    check(&[
        (|machine| machine.cpus.clear(), DescriptionError::None("CPU")),
        (
            |machine| machine.cpus = (0..9).collect(),
            DescriptionError::TooMany { what: "CPU", count: 9, max: 8 },
        ),
        (
            |machine| machine.cpus = vec![0, 0x8000_0000],
            value("a CPU's affinity", 0x8000_0000, "use bits 39:32 and 23:0 only"),
        ),
        (|machine| machine.cpus = vec![1, 0, 1], DescriptionError::Duplicate { what: "CPU affinity", id: 1 }),
        (
            |machine| machine.gic.redistributors = 0x080a_0000..=0x080e_ffff,
            range(
                "the GIC redistributors' range",
                0x080a_0000,
                0x080e_ffff,
                "use 128 KiB for each CPU at least, and less than 4 GiB",
            ),
        ),
    ]);
    let mut machine = virt();
    machine.cpus = vec![0xff_00ff_ffff; 1];
    machine.gic.redistributors = 0x080a_0000..=0x080b_ffff;
    assert_eq!(machine.check(), Ok(()));
}

#[test]
fn addresses() {
    let pages = "use whole pages of 4 KiB";
    let ecam = "align it to 1 MiB, above 0, wholly below 4 GiB or wholly above";
    let window = "use whole pages of 4 KiB above 0, wholly below 4 GiB or wholly above";
    let io = "use whole pages of 4 KiB, at most 64 KiB";
    check(&[
        (|machine| machine.ram.clear(), DescriptionError::None("range of RAM")),
        (|machine| machine.ram[0] = 0x4000_0000..=0x7fff_fffe, range("RAM", 0x4000_0000, 0x7fff_fffe, pages)),
        (
            #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
            |machine| machine.ram[0] = 0x4000_0000..=0x3fff_ffff,
            range("RAM", 0x4000_0000, 0x3fff_ffff, pages),
        ),
        (|machine| machine.ram = vec![0..=u64::MAX], overlap("RAM", "the GIC distributor", 0x0800_0000)),
        (|machine| machine.uart.base = 0x0900_0800, value("a UART", 0x0900_0800, "align it to 4 KiB")),
        (|machine| machine.uart.base = 0x0901_0000, overlap("a UART", "the RTC", 0x0901_0000)),
        (|machine| machine.other_uarts[0].base = 0x0900_0000, overlap("a UART", "a UART", 0x0900_0000)),
        (
            |machine| machine.gic.its = Some(0xffff_ffff_ffff_0000),
            value("the ITS", 0xffff_ffff_ffff_0000, "use whole frames of 64 KiB"),
        ),
        (
            |machine| machine.gic.its = Some(0x0809_0000),
            overlap("the ITS", "the GIC redistributors' range", 0x080a_0000),
        ),
        (|machine| machine.smmus[1].base = 0x0906_0000, overlap("an SMMU", "an SMMU", 0x0906_0000)),
        (|machine| machine.smmus[1].base = 0x0907_1000, value("an SMMU", 0x0907_1000, "align it to 64 KiB")),
        (
            |machine| machine.devices[1].registers = 0x0c00_f000..=0x0c00_ffff,
            overlap("a device's range of registers", "a device's range of registers", 0x0c00_f000),
        ),
        (
            |machine| machine.pci.ecam = 0x3ff0_0000,
            overlap("the PCI configuration space", "RAM", 0x4000_0000),
        ),
        (
            |machine| machine.pci.ecam = 0xf800_0000,
            range("the PCI configuration space", 0xf800_0000, 0x1_07ff_ffff, ecam),
        ),
        (
            |machine| machine.pci.ecam = 0x40_1008_0000,
            value("the PCI configuration space", 0x40_1008_0000, ecam),
        ),
        (|machine| machine.pci.memory.clear(), DescriptionError::None("PCI memory window")),
        (|machine| machine.pci.memory[0] = 0..=0xfff, range("a PCI memory window", 0, 0xfff, window)),
        (
            |machine| machine.pci.memory[0] = 0xffff_f000..=0x1_0000_0fff,
            range("a PCI memory window", 0xffff_f000, 0x1_0000_0fff, window),
        ),
        (
            |machine| machine.pci.io = Some(0x3eff_0000..=0x3f00_0fff),
            range("the PCI I/O window", 0x3eff_0000, 0x3f00_0fff, io),
        ),
    ]);
}

#[test]
fn interrupts() {
    check(&[
        (|machine| machine.uart.spi = 988, value("an SPI", 988, "SPIs are 0 to 987")),
        (|machine| machine.uart.spi = u32::MAX, value("an SPI", 0xffff_ffff, "SPIs are 0 to 987")),
        (|machine| machine.other_uarts[0].spi = 1, DescriptionError::Duplicate { what: "SPI", id: 1 }),
        (|machine| machine.pci.intx[3] = 3, DescriptionError::Duplicate { what: "SPI", id: 3 }),
        (
            |machine| machine.devices[0].interrupts[1].number = 74,
            DescriptionError::Duplicate { what: "SPI", id: 74 },
        ),
        (|machine| machine.smmus[0].interrupts.gerror = None, DescriptionError::Mute(0x0905_0000)),
        (|machine| machine.smmus[1].msi_device = None, DescriptionError::Mute(0x0907_0000)),
        (|machine| machine.gic.its = None, DescriptionError::NoIts(0x1_0000)),
        (
            |machine| machine.smmus[1].msi_device = Some(0xffff),
            value("a DeviceID", 0xffff, "a PCI function has it: use one above those of the last bus"),
        ),
        (
            |machine| machine.devices[0].msi_device = Some(0x1_0000),
            DescriptionError::Duplicate { what: "DeviceID", id: 0x1_0000 },
        ),
        (|machine| machine.apb_clock = 0, value("the APB clock", 0, "it counts Hz and must run")),
    ]);
}

#[test]
fn stream_ids() {
    fn streams(machine: &mut Description, row: usize) -> &mut PciStreams {
        &mut machine.pci.streams[row]
    }
    let buses = "use at least one, on buses that there are";
    check(&[
        (
            #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
            |machine| streams(machine, 0).requesters = 9..=8,
            range("a range of requester ids", 9, 8, buses),
        ),
        (|machine| machine.pci.last_bus = 0xfe, range("a range of requester ids", 0x8000, 0xffff, buses)),
        (
            |machine| streams(machine, 0).requesters = 8..=0x100,
            overlap("PCI requester ids", "PCI requester ids", 0x100),
        ),
        (
            |machine| streams(machine, 2).stream = 0xff,
            overlap("StreamIDs of PCI functions", "StreamIDs of PCI functions", 0xff),
        ),
        (
            |machine| streams(machine, 2).stream = 0xffff_8001,
            range("a range of StreamIDs", 0xffff_8001, 0x1_0000_0000, "they have 32 bits"),
        ),
        (
            |machine| streams(machine, 1).smmu = 3,
            DescriptionError::NoSmmu { what: "the requester id", id: 0x100 },
        ),
        (
            |machine| machine.devices[2].master.as_mut().unwrap().smmu = usize::MAX,
            DescriptionError::NoSmmu { what: "the platform device", id: 2 },
        ),
        (
            |machine| machine.devices[2].master.as_mut().unwrap().streams = vec![0x1008],
            overlap("StreamIDs of PCI functions", "a platform device's StreamID", 0x1008),
        ),
        (
            |machine| machine.devices[0].master.as_mut().unwrap().streams = vec![],
            DescriptionError::None("StreamID of a device behind an SMMU"),
        ),
        (
            |machine| machine.devices[0].master.as_mut().unwrap().substream_bits = 21,
            value("the width of SubstreamIDs", 21, "use 0 to 20"),
        ),
        (|machine| machine.smmus[1].httu = 4, value("an SMMU's HTTU", 4, "use 0 to 3")),
        (|machine| machine.pci.pasid_bits = 21, value("the width of PASIDs", 21, "use 0 to 20")),
        (
            |machine| machine.pci.ats = false,
            value("PCI page requests", 1, "they need ATS: set both or neither"),
        ),
    ]);
    let mut machine = rich();
    streams(&mut machine, 2).stream = 0xffff_8000;
    assert_eq!(machine.check(), Ok(()));
}

#[test]
fn names() {
    let rule = "use 1 to 31 characters of 0-9a-zA-Z,._+-, a letter first";
    for text in ["", "0dma", "a b", "a@1", "a\0", "dm\u{e4}", &"a".repeat(32)] {
        let mut machine = rich();
        machine.devices[0].name = text.to_owned();
        let error = DescriptionError::Text { what: "a device's name", text: text.to_owned(), remedy: rule };
        assert_eq!(machine.check(), Err(error));
    }
    let rule = "use 1 to 127 printable ASCII characters without spaces and quotes";
    for text in ["", "a b", "a\0", "a\"b", "\u{e4}", &"a".repeat(128)] {
        let mut machine = rich();
        machine.devices[0].compatible[1] = text.to_owned();
        let error =
            DescriptionError::Text { what: "a programming model", text: text.to_owned(), remedy: rule };
        assert_eq!(machine.check(), Err(error));
    }
    let none = DescriptionError::None("programming model of a device");
    let what = "programming model of a device";
    check(&[
        (|machine| machine.devices[0].compatible.clear(), none),
        (
            |machine| machine.devices[0].compatible = vec!["a".into(); 17],
            DescriptionError::TooMany { what, count: 17, max: 16 },
        ),
    ]);
}

#[test]
fn reserved_memory() {
    let what = "reserved memory";
    let blocks = "use whole blocks of 64 KiB";
    fn area(machine: &mut Description) -> &mut Reserved {
        &mut machine.reserved[0]
    }
    check(&[
        (
            |machine| area(machine).range = 0x7f00_1000..=0x7f00_ffff,
            range(what, 0x7f00_1000, 0x7f00_ffff, blocks),
        ),
        (
            |machine| area(machine).range = 0x7f00_0000..=0x8000_ffff,
            range(what, 0x7f00_0000, 0x8000_ffff, "use RAM, or what is none"),
        ),
        (
            |machine| area(machine).range = 0x3fff_0000..=0x8000_ffff,
            range(what, 0x3fff_0000, 0x8000_ffff, "use RAM, or what is none"),
        ),
        (|machine| area(machine).range = 0x080f_0000..=0x0810_ffff, overlap(what, what, 0x080f_0000)),
        (
            |machine| area(machine).masters.clear(),
            DescriptionError::None("bus master that needs reserved memory"),
        ),
        (
            |machine| area(machine).masters = vec![Master::Pci { device: 0, function: 7 }],
            DescriptionError::NoSmmu { what: "the requester id", id: 7 },
        ),
        (
            |machine| area(machine).masters = vec![Master::Pci { device: 32, function: 0 }],
            value("a PCI function", 0x2000, "devices are 0 to 31, in the upper byte, and functions 0 to 7"),
        ),
        (
            |machine| area(machine).masters = vec![Master::Pci { device: 1, function: 8 }],
            value("a PCI function", 0x108, "devices are 0 to 31, in the upper byte, and functions 0 to 7"),
        ),
        (
            |machine| area(machine).masters = vec![Master::Platform(1)],
            DescriptionError::NoSmmu { what: "the platform device", id: 1 },
        ),
        (
            |machine| area(machine).masters = vec![Master::Platform(usize::MAX)],
            DescriptionError::NoSmmu { what: "the platform device", id: u64::MAX },
        ),
        (
            |machine| area(machine).masters = vec![Master::Platform(0); 2],
            DescriptionError::Duplicate { what: "bus master of reserved memory", id: 0x7f00_0000 },
        ),
    ]);
}

#[test]
fn what_the_loader_adds() {
    let text = "a\0b".to_owned();
    let (what, remedy) = ("the command line", "leave out the NUL");
    check(&[
        (
            |machine| machine.chosen.command_line = "a".repeat(4096),
            DescriptionError::TooMany { what: "byte of the command line", count: 4096, max: 4095 },
        ),
        (
            |machine| machine.chosen.command_line = "a\0b".into(),
            DescriptionError::Text { what, text, remedy },
        ),
        (
            |machine| machine.chosen.initrd = Some(0x7fff_0000..=0x8000_0000),
            range("the initial RAM disk", 0x7fff_0000, 0x8000_0000, "put it in RAM"),
        ),
        (
            #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
            |machine| machine.chosen.initrd = Some(0x4000_0001..=0x4000_0000),
            range("the initial RAM disk", 0x4000_0001, 0x4000_0000, "put it in RAM"),
        ),
        (
            |machine| machine.chosen.initrd = Some(0..=0xfff),
            range("the initial RAM disk", 0, 0xfff, "put it in RAM"),
        ),
    ]);
}

/// Whatever the numbers, alone or in pairs, there is a blob or an error, and tables or an error.
#[test]
fn extreme_numbers_end_in_an_answer() {
    type Set = fn(&mut Description, u64);
    let sets: &[Set] = &[
        |machine, value| machine.cpus[1] = value,
        |machine, value| machine.ram[1] = value..=machine.ram[1].end().saturating_add(value),
        |machine, value| machine.ram[1] = *machine.ram[1].start()..=value,
        |machine, value| machine.gic.distributor = value,
        |machine, value| machine.gic.redistributors = value..=u64::MAX,
        |machine, value| machine.gic.its = Some(value),
        |machine, value| machine.uart = Peripheral { base: value, spi: value as u32 },
        |machine, value| machine.other_uarts[0] = Peripheral { base: value, spi: value as u32 },
        |machine, value| machine.apb_clock = value as u32,
        |machine, value| (machine.pci.ecam, machine.pci.last_bus) = (value, value as u8),
        |machine, value| machine.pci.memory[1] = value..=u64::MAX,
        |machine, value| machine.pci.io = Some(value..=value.saturating_add(0xffff)),
        |machine, value| machine.pci.intx[0] = value as u32,
        |machine, value| machine.pci.streams[0].requesters = value as u16..=u16::MAX,
        |machine, value| machine.pci.streams[1].stream = value as u32,
        |machine, value| machine.pci.streams[2].smmu = value as usize,
        |machine, value| machine.smmus[0].base = value,
        |machine, value| machine.smmus[1].msi_device = Some(value as u32),
        |machine, value| machine.devices[0].registers = value..=value.saturating_add(0xfff),
        |machine, value| machine.devices[0].master.as_mut().unwrap().streams[0] = value as u32,
        |machine, value| machine.reserved[0].range = value..=value.saturating_add(0xffff),
        |machine, value| machine.reserved[0].masters[1] = Master::Platform(value as usize),
        |machine, value| {
            machine.reserved[0].masters[0] = Master::Pci { device: value as u8, function: value as u8 };
        },
        |machine, value| machine.chosen.initrd = Some(value..=u64::MAX),
    ];
    let values =
        [0, 1, 0xff, 0xffff, 0xffff_ffff, 1 << 32, 0xffff_ffff_ffff_0000, 0xffff_ffff_fff0_0000, u64::MAX];
    let mut answers = [0; 2];
    for (index, first) in sets.iter().enumerate() {
        for second in &sets[index..] {
            for (a, b) in values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b))) {
                let mut machine = rich();
                first(&mut machine, a);
                second(&mut machine, b);
                let blob = crate::fdt::build(&machine);
                let area = 0x4000_0000..=0x4000_ffff;
                let tables = crate::acpi::build(crate::acpi::Machine::Arm { machine: &machine, area });
                assert_eq!(blob.is_ok(), tables.is_ok(), "{machine:x?}");
                answers[usize::from(blob.is_ok())] += 1;
            }
        }
    }
    assert!(answers.iter().all(|&count| count > 100), "{answers:?}");
}
