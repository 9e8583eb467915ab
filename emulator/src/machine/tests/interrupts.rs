//! Lines, through both controllers and interrupt remapping, to messages.

use devices::addr::SourceId;
use firmware::acpi::{PathStep, ScopeKind};

use super::*;

const IOAPIC: u64 = 0xfec0_0000;
const UNIT: u64 = 0xfed9_0000;
/// edu's BAR, and its registers to raise and to acknowledge.
const RAISE: u64 = 0xc000_0060;
const ACKNOWLEDGE: u64 = 0xc000_0064;

fn write32(machine: &mut Machine, address: u64, value: u32) {
    machine.write(address, &value.to_le_bytes());
}

/// Writes a redirection entry.
fn redirect(machine: &mut Machine, pin: u32, high: u32, low: u32) {
    for (index, value) in [(0x11 + 2 * pin, high), (0x10 + 2 * pin, low)] {
        write32(machine, IOAPIC, index);
        write32(machine, IOAPIC + 0x10, value);
    }
}

fn machine_with_edu(iommu: Option<&str>, board: &str) -> Machine {
    let config = MachineConfig { machine: board.parse().unwrap(), ..config(iommu, &["edu"]) };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    // Memory Space Enable and Bus Master Enable.
    machine.write(0xb000_8004, &[6, 0]);
    machine
}

fn message(data: u32) -> Interrupt {
    Interrupt::Message { address: 0xfee0_0000, data }
}

const fn line(line: u32, asserted: bool) -> Interrupt {
    Interrupt::Line { line, asserted }
}

#[test]
fn a_level_comes_again_until_its_cause_is_gone() {
    let mut machine = machine_with_edu(None, "q35");
    // Level triggered, vector 41h.
    redirect(&mut machine, 21, 0, 0x8041);
    write32(&mut machine, RAISE, 1);
    assert_eq!(machine.take_interrupts(), [line(21, true), message(0xc041)]);
    machine.end_of_interrupt(0x42);
    assert_eq!(machine.take_interrupts(), []);
    machine.end_of_interrupt(0x41);
    assert_eq!(machine.take_interrupts(), [message(0xc041)]);
    write32(&mut machine, ACKNOWLEDGE, 1);
    assert_eq!(machine.take_interrupts(), [line(21, false)]);
    machine.end_of_interrupt(0x41);
    assert_eq!(machine.take_interrupts(), []);
}

#[test]
fn the_interrupt_line_register_names_an_input_of_both_controllers() {
    let mut machine = machine_with_edu(None, "q35");
    let irq = read32(&mut machine, 0xb000_803c) as u8;
    assert_eq!(irq, 10);
    // Edge triggered, vector 42h, as kernels without ACPI do it.
    redirect(&mut machine, irq.into(), 0, 0x42);
    write32(&mut machine, RAISE, 1);
    assert_eq!(machine.take_interrupts(), [line(21, true), message(0x42)]);
    let mut requests = [0];
    machine.io_write(0xa0, &[0x0a]);
    machine.io_read(0xa0, &mut requests);
    assert_eq!(requests, [1 << 2]);
    write32(&mut machine, ACKNOWLEDGE, 1);
    machine.io_read(0xa0, &mut requests);
    assert_eq!(requests, [0]);
}

#[test]
fn the_serial_line_reaches_both_controllers() {
    let mut machine = machine();
    // Edge triggered, vector 34h.
    redirect(&mut machine, 4, 0, 0x34);
    // OUT2, then the transmitter-empty interrupt.
    machine.io_write(0x3fc, &[8]);
    machine.io_write(0x3f9, &[2]);
    assert_eq!(machine.take_interrupts(), [line(4, true), message(0x34)]);
    let mut requests = [0];
    machine.io_write(0x20, &[0x0a]);
    machine.io_read(0x20, &mut requests);
    assert_eq!(requests, [0x10]);
}

/// Interrupt remapping on, with one entry at index 1: level, vector 51h, for requester 00:01.0 only.
fn remap(machine: &mut Machine) {
    machine.write(0x1_0010, &0x0051_0011_u64.to_le_bytes());
    machine.write(0x1_0018, &0x0004_0008_u64.to_le_bytes());
    machine.write(UNIT + 0xb8, &0x1_0000_u64.to_le_bytes());
    write32(machine, UNIT + 0x18, 1 << 24);
    write32(machine, UNIT + 0x18, 1 << 25);
}

#[test]
fn the_controller_asks_with_the_requester_id_that_it_was_given() {
    // The entry admits 00:01.0 only; whether edu may be elsewhere and the I/O APIC take its id.
    for (source, accepted) in [("00:01.0", true), ("f0:1f.0", false)] {
        let board = format!("q35,ioapic-source={source}");
        let source = source.parse::<SourceId>().unwrap();
        let config =
            MachineConfig { machine: board.parse().unwrap(), ..config(Some("vtd-legacy"), &["edu,addr=2"]) };
        let mut machine = Machine::new(&config).unwrap();
        machine.assign_resources().unwrap();
        machine.write(0xb001_0004, &[6, 0]);
        remap(&mut machine);
        // Pin A of device 2 is pin 22.
        redirect(&mut machine, 22, 0x0003_0000, 0x8051);
        write32(&mut machine, RAISE, 1);
        let expected = if accepted { vec![line(22, true), message(0xc051)] } else { vec![line(22, true)] };
        assert_eq!(machine.take_interrupts(), expected, "{board}");
        if !accepted {
            // Third dword of FRCD.
            assert_eq!(read32(&mut machine, UNIT + 0x228), u32::from(source.0));
        }
        // An operating system learns it from the DMAR table.
        let units = machine.description().unwrap().dmar.unwrap().units;
        let scope = units[0].scopes.iter().find(|scope| matches!(scope.kind, ScopeKind::IoApic(_))).unwrap();
        assert_eq!(scope.start_bus, source.bus());
        assert_eq!(scope.path, [PathStep { device: source.device(), function: source.function() }]);
    }
}

#[test]
fn remapping_verifies_the_controller_unless_told_not_to() {
    for (board, accepted) in [("q35", false), ("q35,ioapic-verify=off", true)] {
        let mut machine = machine_with_edu(Some("vtd-legacy"), board);
        remap(&mut machine);
        // Remappable format, index 1, level.
        redirect(&mut machine, 21, 0x0003_0000, 0x8051);
        write32(&mut machine, RAISE, 1);
        let interrupts = machine.take_interrupts();
        // FSTS: PPF. Third dword of FRCD: source ff:00.0; in its fourth, reason 26h.
        let fault = (read32(&mut machine, UNIT + 0x34), read32(&mut machine, UNIT + 0x228));
        if accepted {
            assert_eq!((interrupts, fault.0), (vec![line(21, true), message(0xc051)], 0), "{board}");
        } else {
            assert_eq!((interrupts, fault), (vec![line(21, true)], (2, 0xff00)), "{board}");
            assert_eq!(read32(&mut machine, UNIT + 0x22c) & 0xff, 0x26);
        }
    }
}

#[test]
fn routes_are_told_when_they_change_and_only_then() {
    let mut machine = machine_with_edu(Some("vtd-legacy"), "q35,ioapic-verify=off");
    let route = |address, data| LevelRoute { pin: 21, address, data };
    assert_eq!(machine.take_level_routes(), None);
    redirect(&mut machine, 21, 0, 0x8041);
    assert_eq!(machine.take_level_routes(), Some(vec![route(0xfee0_0000, 0xc041)]));
    redirect(&mut machine, 20, 0, 0x44);
    assert_eq!(machine.take_level_routes(), None, "an edge-triggered entry needs none");
    remap(&mut machine);
    // Compatibility format is blocked once remapping is on.
    assert_eq!(machine.take_level_routes(), Some(vec![]));
    redirect(&mut machine, 21, 0x0003_0000, 0x8051);
    assert_eq!(machine.take_level_routes(), Some(vec![route(0xfee0_0000, 0xc051)]));
    // The queue: one interrupt-entry invalidation after the entry got another vector.
    machine.write(0x1_0010, &0x0052_0011_u64.to_le_bytes());
    assert_eq!(machine.take_level_routes(), None, "the entry is cached");
    machine.write(0x2000, &4_u64.to_le_bytes());
    machine.write(UNIT + 0x90, &0x2000_u64.to_le_bytes());
    write32(&mut machine, UNIT + 0x18, 1 << 25 | 1 << 26);
    machine.write(UNIT + 0x88, &0x10_u64.to_le_bytes());
    assert_eq!(machine.take_level_routes(), Some(vec![route(0xfee0_0000, 0xc052)]));
    // Not masked: edge triggered.
    redirect(&mut machine, 21, 0x0003_0000, 0x0051);
    assert_eq!(machine.take_level_routes(), Some(vec![]));
}

#[test]
fn an_entry_changed_without_invalidation_is_told_with_its_message() {
    let mut machine = machine_with_edu(Some("vtd-legacy,cache=off"), "q35,ioapic-verify=off");
    remap(&mut machine);
    redirect(&mut machine, 21, 0x0003_0000, 0x8051);
    machine.take_level_routes();
    machine.write(0x1_0010, &0x0052_0011_u64.to_le_bytes());
    write32(&mut machine, RAISE, 1);
    assert_eq!(machine.take_interrupts(), [line(21, true), message(0xc052)]);
    let expected = LevelRoute { pin: 21, address: 0xfee0_0000, data: 0xc052 };
    assert_eq!(machine.take_level_routes(), Some(vec![expected]));
}

#[test]
fn firmware_configuration_says_what_the_machine_has() {
    let mut machine = machine();
    for (selector, expected) in [(5_u16, [1, 0, 0, 0]), (3, [0, 0, 0, 1]), (0, *b"QEMU")] {
        machine.io_write(0x510, &selector.to_le_bytes());
        let bytes = [(); 4].map(|()| {
            let mut byte = [0];
            machine.io_read(0x511, &mut byte);
            byte[0]
        });
        assert_eq!(bytes, expected, "{selector:#x}");
    }
}

#[test]
fn controllers_are_saved_with_the_machine() {
    let mut one = machine_with_edu(None, "q35");
    redirect(&mut one, 21, 0, 0x8041);
    write32(&mut one, RAISE, 1);
    one.take_interrupts();
    // The mask of the first 8259, and half of the file signature.
    one.io_write(0x21, &[0xfb]);
    one.io_write(0x510, &[0, 0]);
    one.io_read(0x511, &mut [0]);
    let text = serde_json::to_string(&one.save()).unwrap();
    let mut two = machine_with_edu(None, "q35");
    two.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(two.save(), one.save());
    let expected = LevelRoute { pin: 21, address: 0xfee0_0000, data: 0xc041 };
    assert_eq!(two.take_level_routes(), Some(vec![expected]));
    two.end_of_interrupt(0x41);
    assert_eq!(two.take_interrupts(), [message(0xc041)]);
    let mut bytes = [0; 2];
    two.io_read(0x511, &mut bytes[..1]);
    two.io_read(0x21, &mut bytes[1..]);
    assert_eq!(bytes, [b'E', 0xfb]);
    // The line is still known to be asserted, so its end reaches the pin.
    write32(&mut two, ACKNOWLEDGE, 1);
    two.end_of_interrupt(0x41);
    assert_eq!(two.take_interrupts(), [line(21, false)]);
}
