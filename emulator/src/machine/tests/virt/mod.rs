//! The board virt, as a client of the qtest protocol or a processor meets it.

mod platform;
mod smmu;

use expect_test::{Expect, expect};

use super::*;
use crate::qtest;

const RAM: u64 = 0x4000_0000;
const UART: u64 = 0x0900_0000;
const AUXILIARY_UART: u64 = 0x0904_0000;
const RTC: u64 = 0x0901_0000;
const GICD: u64 = 0x0800_0000;
const GICR: u64 = 0x080a_0000;
const ITS: u64 = 0x0808_0000;
const ECAM: u64 = 0x40_1000_0000;
/// Where tests put a BAR.
const BAR: u64 = 0x1000_0000;

fn virt(iommus: &[&str], devices: &[&str]) -> Machine {
    let config = MachineConfig {
        machine: "virt".parse().unwrap(),
        iommus: iommus.iter().map(|text| text.parse().unwrap()).collect(),
        ..config(None, devices)
    };
    Machine::new(&config).unwrap()
}

fn write32(machine: &mut Machine, address: u64, value: u32) {
    machine.write(address, &value.to_le_bytes());
}

fn check(machine: &mut Machine, script: &str, expected: Expect) {
    let mut output = Vec::new();
    qtest::serve(machine, script.as_bytes(), &mut output).unwrap();
    expected.assert_eq(&String::from_utf8(output).unwrap());
}

/// Puts the BAR of the function at device 1 at `bar` and has it decoded, mastering the bus.
fn enable(machine: &mut Machine, bar: u64) {
    write32(machine, ECAM + 0x8010, bar as u32);
    machine.write(ECAM + 0x8004, &[6, 0]);
}

/// Has iommu-testdev write to `iova` and look at `gpa`; returns its verdict.
fn trigger(machine: &mut Machine, iova: u64, gpa: u64) -> u32 {
    let registers = [
        (0x04, iova as u32),
        (0x08, (iova >> 32) as u32),
        (0x0c, 16),
        (0x18, 0x0a),
        (0x1c, gpa as u32),
        (0x20, (gpa >> 32) as u32),
        (0x14, 1),
    ];
    for (offset, value) in registers {
        write32(machine, BAR + offset, value);
    }
    read32(machine, BAR);
    read32(machine, BAR + 0x10)
}

#[test]
fn what_is_where() {
    // RAM ends after 16 MiB. UART, clock, host bridge and first device identify themselves.
    check(
        &mut virt(&[], &["edu"]),
        "readl 0x3ffffffc\nwritel 0x40000000 0x11223344\nreadl 0x40000000\nread 0x40fffffc 8\n\
         readl 0x09000fe0\nreadl 0x09010fe0\nreadl 0x4010000000\nreadl 0x4010008000\nreadl 0xb0000000\n\
         readl 0xfec00000\ninl 0xcf8\n",
        expect![[r#"
            OK 0x00000000ffffffff
            OK
            OK 0x0000000011223344
            OK 0x00000000ffffffff
            OK 0x0000000000000011
            OK 0x0000000000000031
            OK 0x0000000029c08086
            OK 0x0000000011e81234
            OK 0x00000000ffffffff
            OK 0x00000000ffffffff
            OK 0xffffffff
        "#]],
    );
}

#[test]
fn enumeration_finds_every_function_on_every_bus() {
    let devices = ["root-port,id=a", "root-port,id=b", "edu,bus=b", "exerciser,functions=2,addr=1f"];
    let mut machine = virt(&[], &devices);
    // The second port leads to the last bus.
    write32(&mut machine, ECAM + 0x1_0018, 0x00ff_ff00);
    let mut found = Vec::new();
    for bus in [0, 1, 0xff] {
        for function in 0..256 {
            let id = read32(&mut machine, ECAM + (bus << 20) + (function << 12));
            if id != 0xffff_ffff {
                found.push((bus << 8 | function, id));
            }
        }
    }
    let (host, port, exerciser) = (0x29c0_8086, 0x000c_1b36, 0x1077_1234);
    let expected =
        [(0, host), (8, port), (0x10, port), (0xf8, exerciser), (0xf9, exerciser), (0xff00, 0x11e8_1234)];
    assert_eq!(found, expected);
}

#[test]
fn bars_are_decoded_inside_the_windows_only() {
    let mut machine = virt(&[], &["edu"]);
    for (bar, decoded) in [
        (0x1000_0000, true),
        (0x3ee0_0000, true),
        (0x3f00_0000, false),
        (0x0a00_0000, false),
        (0xfe00_0000, false),
    ] {
        // Sizing: 1 MiB.
        write32(&mut machine, ECAM + 0x8010, 0xffff_ffff);
        assert_eq!(read32(&mut machine, ECAM + 0x8010), 0xfff0_0000);
        enable(&mut machine, bar);
        let expected = if decoded { 0x0100_00ed } else { 0xffff_ffff };
        assert_eq!(read32(&mut machine, bar), expected, "{bar:#x}");
    }
    let mut machine = virt(&[], &["exerciser"]);
    // The window for BARs of 64 bits.
    write32(&mut machine, ECAM + 0x8014, 0x80);
    enable(&mut machine, 0);
    assert_eq!(read32(&mut machine, 0x80_0000_0000), 0x494f_4d55);
}

#[test]
fn firmware_puts_bars_into_the_window() {
    let mut machine = virt(&[], &["root-port,id=rp0", "exerciser,bus=rp0", "edu"]);
    machine.assign_resources().unwrap();
    for (what, address, value) in [
        ("root port's bus numbers", ECAM + 0x8018, 0x0001_0100),
        ("its window of 1 MiB", ECAM + 0x8020, 0x1000_1000),
        ("exerciser's BAR", ECAM + 0x10_0010, 0x1000_0004),
        ("edu's BAR", ECAM + 0x1_0010, 0x1010_0000),
        ("its interrupt line is not named", ECAM + 0x1_003c, 0x0000_0100),
    ] {
        assert_eq!(read32(&mut machine, address), value, "{what}: {address:#x}");
    }
    assert_eq!(read32(&mut machine, 0x1010_0000), 0x0100_00ed);
}

#[test]
fn pins_lead_to_lines_3_to_6() {
    for (device, line) in [(1, 4), (2, 5), (3, 6), (4, 3), (31, 6)] {
        let mut machine = virt(&[], &[&format!("edu,addr={device:x}")]);
        machine.assign_resources().unwrap();
        write32(&mut machine, BAR + 0x60, 1);
        write32(&mut machine, BAR + 0x64, 1);
        let expected = [true, false].map(|asserted| Interrupt::Line { line, asserted });
        assert_eq!(machine.take_interrupts(), expected, "{device}");
    }
}

#[test]
fn without_an_iommu_addresses_are_physical() {
    let mut machine = virt(&[], &["iommu-testdev"]);
    enable(&mut machine, BAR);
    for (address, verdict) in [
        (RAM + 0x5000, 0),
        // No RAM: the write fails. 0xfee00000 is no message window here, but an address as any other.
        (0x5000, 0xdead_0002),
        (0xfee0_0000, 0xdead_0002),
    ] {
        assert_eq!(trigger(&mut machine, address, address), verdict, "{address:#x}");
    }
    assert_eq!(read32(&mut machine, RAM + 0x500c), 0x1234_5678);
}

#[test]
fn the_console_interrupts_on_line_1() {
    let mut machine = virt(&[], &[]);
    for byte in b"hello" {
        machine.write(UART, &[*byte]);
    }
    assert_eq!(machine.take_console(), b"hello");
    // Receive and receive timeout.
    write32(&mut machine, UART + 0x38, 0x50);
    assert_eq!(machine.type_console(b"x"), 1);
    let mut byte = [0];
    machine.read(UART, &mut byte);
    assert_eq!(byte, *b"x");
    let expected = [true, false].map(|asserted| Interrupt::Line { line: 1, asserted });
    assert_eq!(machine.take_interrupts(), expected);
}

#[test]
fn the_auxiliary_uart_is_another_one_and_interrupts_on_line_8() {
    let mut machine = virt(&[], &[]);
    machine.write(UART, b"c");
    machine.write(AUXILIARY_UART, b"a");
    // Transmit: there is room at once.
    write32(&mut machine, AUXILIARY_UART + 0x38, 0x20);
    assert_eq!(machine.take_interrupts(), [Interrupt::Line { line: 8, asserted: true }]);
    assert_eq!((machine.take_console(), machine.take_auxiliary()), (b"c".to_vec(), b"a".to_vec()));
    assert_eq!(machine.take_auxiliary(), b"");
    assert_eq!(super::machine().take_auxiliary(), b"", "a PC has none");
}

#[test]
fn the_clock_follows_machine_time_and_interrupts_on_line_2() {
    let mut machine = virt(&[], &[]);
    let start = read32(&mut machine, RTC);
    // 2026-01-01T00:00:00Z.
    assert_eq!(start, 0x6955_b900);
    write32(&mut machine, RTC + 4, start + 2);
    let script = "irq_intercept_in gic\nwritel 0x09010010 1\nclock_step 1999999999\nreadl 0x09010000\n\
                  clock_step\nreadl 0x09010000\nwritel 0x0901001c 1\n";
    check(
        &mut machine,
        script,
        expect![[r#"
            OK
            OK
            OK 1999999999
            OK 0x000000006955b901
            IRQ raise 2
            OK 2000000000
            OK 0x000000006955b902
            IRQ lower 2
            OK
        "#]],
    );
}

#[test]
fn a_client_intercepts_what_the_board_has() {
    let mut machine = virt(&[], &[]);
    check(
        &mut machine,
        "irq_intercept_in ioapic\nirq_intercept_in lapic\nirq_intercept_in gic\n",
        expect![[r#"
            FAIL Unknown device
            FAIL Unknown device
            OK
        "#]],
    );
    check(
        &mut super::machine(),
        "irq_intercept_in gic\n",
        expect![[r#"
        FAIL Unknown device
    "#]],
    );
}

#[test]
fn a_restored_machine_continues_as_the_one_that_was_saved() {
    let mut one = virt(&[], &["edu"]);
    enable(&mut one, BAR);
    write32(&mut one, RTC + 4, 0x6955_b901);
    write32(&mut one, RTC + 0x10, 1);
    write32(&mut one, UART + 0x38, 0x40);
    one.write(UART, b"a");
    one.write(AUXILIARY_UART, b"p");
    one.write(RAM + 0x123, b"memory");
    assert_eq!(one.type_console(b"b"), 1);
    one.advance(Time(5));
    let text = serde_json::to_string(&one.save()).unwrap();
    let mut two = virt(&[], &["edu"]);
    two.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(two.save(), one.save());
    for machine in [&mut one, &mut two] {
        machine.advance(Time(1_000_000_000));
        assert_eq!(machine.take_console(), b"a");
        assert_eq!(machine.take_auxiliary(), b"p");
        assert_eq!(read32(machine, UART), u32::from(b'b'));
        let lines = [(1, true), (2, true), (1, false)];
        let expected = lines.map(|(line, asserted)| Interrupt::Line { line, asserted });
        assert_eq!(machine.take_interrupts(), expected);
        assert_eq!(read32(machine, BAR), 0x0100_00ed);
    }
    assert_eq!(two.save(), one.save());
}

#[test]
fn a_state_of_another_board_is_refused() {
    let mut machine = virt(&[], &[]);
    let before = machine.save();
    let mut state = serde_json::to_value(&before).unwrap();
    let q35 = serde_json::to_value(super::machine().save()).unwrap();
    state["board"] = q35["board"].clone();
    let foreign = serde_json::from_value(state).unwrap();
    assert!(matches!(machine.restore(foreign), Err(RestoreError::OtherMachine)));
    assert!(machine.restore(super::machine().save()).is_err());
    assert_eq!(machine.save(), before);
}

fn write64(machine: &mut Machine, address: u64, value: u64) {
    machine.write(address, &value.to_le_bytes());
}

/// Gives the ITS its tables and has it make LPI 8192 + EventID of the messages 0 to 7 of `device`.
fn map_messages(machine: &mut Machine, device: u64) {
    const VALID: u64 = 1 << 63;
    const QUEUE: u64 = RAM + 0x12_0000;
    // Device table of 128 pages of 64 KiB, for DeviceIDs of 20 bits; collections and queue of 4 KiB.
    write64(machine, ITS + 0x100, VALID | (RAM + 0x80_0000) | 2 << 8 | 127);
    write64(machine, ITS + 0x108, VALID | (RAM + 0x11_0000));
    write64(machine, ITS + 0x80, VALID | QUEUE);
    write32(machine, ITS, 1);
    // MAPC collection 0 to processor 0, MAPD with 3 bits of EventID.
    let mut commands = vec![[9, 0, VALID, 0], [device << 32 | 8, 2, VALID | (RAM + 0x13_0000), 0]];
    commands.extend((0..8).map(|event| [device << 32 | 0xa, (8192 + event) << 32 | event, 0, 0]));
    for (index, command) in (0..).zip(&commands) {
        for (word, value) in (0..).zip(command) {
            write64(machine, QUEUE + 32 * index + 8 * word, *value);
        }
    }
    write64(machine, ITS + 0x88, 32 * commands.len() as u64);
    // The redistributor: 16-bit INTIDs, all LPIs enabled with priority a0h, LPIs on.
    machine.write(RAM + 0x14_0000, &[0xa1; 8]);
    write64(machine, GICR + 0x70, (RAM + 0x14_0000) | 15);
    write64(machine, GICR + 0x78, RAM + 0x16_0000);
    write32(machine, GICR, 1);
    assert_eq!(read32(machine, ITS + 0x90), 32 * commands.len() as u32);
}

fn lpis_of(machine: &mut Machine) -> Vec<u32> {
    machine.take_lpis().into_iter().map(|lpi| lpi.intid).collect()
}

#[test]
fn messages_of_pci_functions_become_lpis() {
    let mut machine = virt(&[], &["edu"]);
    enable(&mut machine, BAR);
    // 00:01.0.
    map_messages(&mut machine, 8);
    // MSI capability: address, data, enable.
    write32(&mut machine, ECAM + 0x8044, 0x0809_0040);
    write32(&mut machine, ECAM + 0x8048, 0);
    machine.write(ECAM + 0x8042, &[1, 0]);
    // The last event is not mapped.
    for (event, lpis) in [(3, &[8195][..]), (8, &[])] {
        machine.write(ECAM + 0x804c, &[event, 0]);
        write32(&mut machine, BAR + 0x60, 1);
        assert_eq!(lpis_of(&mut machine), lpis, "{event}");
        assert_eq!(machine.take_interrupts(), [], "the pin is quiet");
    }
    // To the register before the doorbell and to the one after it: nobody answers.
    machine.write(ECAM + 0x804c, &[3, 0]);
    for address in [0x0809_003c, 0x0809_0044] {
        write32(&mut machine, ECAM + 0x8044, address);
        write32(&mut machine, BAR + 0x60, 1);
        assert!(lpis_of(&mut machine).is_empty(), "{address:#x}");
    }
}

#[test]
fn clients_hear_of_lpis() {
    let mut machine = virt(&[], &["edu"]);
    map_messages(&mut machine, 8);
    // INT of event 5, as the 11th command.
    check(
        &mut machine,
        "irq_intercept_in gic\nwriteq 0x40120140 0x0000000800000003\nwriteq 0x40120148 5\nwriteq 0x08080088 0x160\n",
        expect![[r#"
            OK
            OK
            OK
            IRQ raise 8197
            IRQ lower 8197
            OK
        "#]],
    );
}

#[test]
fn a_doorbell_is_known_after_a_restore() {
    let mut one = virt(&[], &["edu"]);
    enable(&mut one, BAR);
    map_messages(&mut one, 8);
    write32(&mut one, ECAM + 0x8044, 0x0809_0040);
    let mut two = virt(&[], &["edu"]);
    two.restore(one.save()).unwrap();
    two.write(ECAM + 0x8042, &[1, 0]);
    write32(&mut two, BAR + 0x60, 1);
    assert_eq!(lpis_of(&mut two), [8192]);
}

/// ICC_IAR1_EL1, ICC_EOIR1_EL1, ICC_PMR_EL1 and ICC_IGRPEN1_EL1 as op0:op1:CRn:CRm:op2.
const IAR1: u16 = 0xc660;
const EOIR1: u16 = 0xc661;
const PMR: u16 = 0xc230;
const IGRPEN1: u16 = 0xc667;

#[test]
fn a_line_reaches_the_processor_that_it_is_routed_to() {
    let board = MachineConfig { machine: "virt,cpus=2".parse().unwrap(), ..config(None, &["edu"]) };
    let mut machine = Machine::new(&board).unwrap();
    machine.assign_resources().unwrap();
    // Group 1 and affinity routing; INTID 36, the line of 00:01.0, in group 1 and enabled, to processor 1.
    write32(&mut machine, GICD, 0x12);
    write32(&mut machine, GICD + 0x84, 0xffff_ffff);
    write32(&mut machine, GICD + 0x104, 1 << 4);
    write64(&mut machine, GICD + 0x6000 + 8 * 36, 1);
    for processor in 0..2 {
        // GICR_WAKER.
        write32(&mut machine, GICR + 0x2_0000 * processor + 0x14, 0);
        machine.write_gic_register(processor as usize, PMR, 0xff).unwrap();
        machine.write_gic_register(processor as usize, IGRPEN1, 1).unwrap();
    }
    let irqs = |machine: &Machine| [0, 1].map(|processor| machine.interrupt_inputs(processor).irq);
    assert_eq!(irqs(&machine), [false, false]);
    write32(&mut machine, BAR + 0x60, 1);
    assert_eq!(irqs(&machine), [false, true]);
    assert_eq!(machine.read_gic_register(0, IAR1), Some(1023));
    assert_eq!(machine.read_gic_register(1, IAR1), Some(36));
    assert_eq!(irqs(&machine), [false, false]);
    write32(&mut machine, BAR + 0x64, 1);
    machine.write_gic_register(1, EOIR1, 36).unwrap();
    assert_eq!(irqs(&machine), [false, false], "the level is gone");
    // PPI 11, the virtual timer.
    write32(&mut machine, GICR + 0x1_0080, 0xffff_ffff);
    write32(&mut machine, GICR + 0x1_0100, 1 << 27);
    machine.set_private_interrupt(0, 11, true);
    assert_eq!(irqs(&machine), [true, false]);
    assert_eq!(machine.read_gic_register(0, IAR1), Some(27));
    // No such register, no such processor, no such board.
    assert_eq!(machine.read_gic_register(0, 0), None);
    assert_eq!(machine.read_gic_register(2, IAR1), None);
    assert_eq!(super::machine().read_gic_register(0, IAR1), None);
}
