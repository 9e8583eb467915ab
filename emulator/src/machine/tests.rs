mod interrupts;
mod probe;
mod units;
mod virt;

use std::sync::Arc;

use devices::events::{DeviceEvent, DeviceId};
use devices::ioapic::LevelRoute;

use super::*;
use crate::config::MemorySize;

fn small() -> MachineConfig {
    MachineConfig { memory: "16M".parse::<MemorySize>().unwrap(), ..MachineConfig::default() }
}

fn machine() -> Machine {
    Machine::new(&small()).unwrap()
}

#[test]
fn time_reaches_what_was_asked_for_and_never_runs_back() {
    let mut machine = machine();
    machine.events.push(Time(50), DeviceId(99), DeviceEvent::Work);
    assert_eq!(machine.next_event(), Some(Time(50)));
    assert_eq!(machine.advance(Time(49)), Time(49));
    assert_eq!(machine.next_event(), Some(Time(50)));
    assert_eq!(machine.advance(Time(100)), Time(100));
    assert_eq!(machine.next_event(), None);
    assert_eq!(machine.advance(Time(10)), Time(100));
}

#[test]
fn a_flood_of_events_at_one_instant_is_late_but_ends() {
    let mut machine = machine();
    for _ in 0..1500 {
        machine.events.push(Time(10), DeviceId(99), DeviceEvent::Work);
    }
    assert_eq!(machine.advance(Time(10)), Time(10));
    assert_eq!(machine.events.len(), 1500 - 1024);
    assert_eq!(machine.advance(Time(10)), Time(10));
    assert!(machine.events.is_empty());
    for _ in 0..100_000 {
        machine.events.push(Time(20), DeviceId(99), DeviceEvent::Work);
    }
    // 65536 events of 1024 at each instant, the first of them on time.
    assert_eq!(machine.advance(Time(1_000_000)), Time(20 + 63 * 1000));
    assert_eq!(machine.advance(Time(1_000_000)), Time(1_000_000));
}

#[test]
fn a_restored_machine_is_the_one_that_was_saved() {
    let mut one = machine();
    one.write(0x12345, &[1, 2, 3]);
    one.events.push(Time(700), DeviceId(99), DeviceEvent::Timer(3));
    one.advance(Time(600));
    one.interrupts.push(Interrupt::Line { line: 20, asserted: true });
    let text = serde_json::to_string(&one.save()).unwrap();
    let mut two = machine();
    two.write(0x99999, &[9]);
    two.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(two.save(), one.save());
    assert_eq!((two.now(), two.next_event()), (Time(600), Some(Time(700))));
    let mut bytes = [0; 4];
    two.read(0x12345, &mut bytes);
    assert_eq!(bytes, [1, 2, 3, 0]);
    two.read(0x99999, &mut bytes);
    assert_eq!(bytes, [0; 4]);
}

#[test]
fn a_state_that_does_not_fit_changes_nothing() {
    let mut machine = machine();
    machine.write(0x1000, &[7]);
    let before = machine.save();
    let other = MachineConfig { memory: "64M".parse::<MemorySize>().unwrap(), ..MachineConfig::default() };
    let foreign = Machine::new(&other).unwrap().save();
    assert!(matches!(machine.restore(foreign), Err(RestoreError::OtherMachine)));
    for (bytes, address) in [("!", 0x1000), ("AAAA", 0xf000_0000u64)] {
        let mut state = serde_json::to_value(&before).unwrap();
        state["ram"][0]["bytes"] = bytes.into();
        state["ram"][0]["address"] = address.into();
        assert!(machine.restore(serde_json::from_value(state).unwrap()).is_err());
        assert_eq!(machine.save(), before);
    }
}

fn config(iommu: Option<&str>, devices: &[&str]) -> MachineConfig {
    MachineConfig {
        iommus: iommu.iter().map(|text| text.parse().unwrap()).collect(),
        devices: devices.iter().map(|text| text.parse().unwrap()).collect(),
        ..small()
    }
}

fn read32(machine: &mut Machine, address: u64) -> u32 {
    let mut bytes = [0; 4];
    machine.read(address, &mut bytes);
    u32::from_le_bytes(bytes)
}

#[test]
fn resources_are_where_firmware_would_put_them() {
    let devices = ["root-port,id=rp0", "exerciser,bus=rp0,functions=2", "edu", "root-port,id=empty"];
    let mut machine = Machine::new(&config(None, &devices)).unwrap();
    assert_eq!(read32(&mut machine, 0xb010_0000), 0xffff_ffff);
    machine.assign_resources().unwrap();
    for (what, address, value) in [
        ("root port's bus numbers", 0xb000_8018, 0x0001_0100),
        ("its window of 1 MiB", 0xb000_8020, 0xc000_c000),
        ("its command", 0xb000_8004, 0x0010_0006),
        ("exerciser", 0xb010_0000, 0x1077_1234),
        ("its 64-bit BAR", 0xb010_0010, 0xc000_0004),
        ("upper half", 0xb010_0014, 0),
        ("its second function's", 0xb010_1010, 0xc000_8004),
        ("its command", 0xb010_0004, 0x0010_0002),
        ("its interrupt line: it has no pin", 0xb010_003c, 0),
        ("edu's BAR", 0xb001_0010, 0xc010_0000),
        ("its command", 0xb001_0004, 0x0010_0002),
        ("its interrupt line, PIRQ G's", 0xb001_003c, 0x0000_010b),
        ("edu is on bus 0 behind nobody", 0xb001_0000, 0x11e8_1234),
        ("empty port's bus numbers", 0xb001_8018, 0x0002_0200),
        ("its window: base above limit", 0xb001_8020, 0x0000_fff0),
    ] {
        assert_eq!(read32(&mut machine, address), value, "{what}: {address:#x}");
    }
    assert_eq!(read32(&mut machine, 0xc000_0000), 0x494f_4d55);
    let mut levels = [0; 2];
    machine.io_read(0x4d0, &mut levels);
    assert_eq!(levels, [0, 0x0c], "PCI's ISA lines are level-triggered");
}

/// Output that can be looked at while a machine owns it.
#[derive(Clone, Default)]
struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_line_of_a_json_trace_is_a_record() {
    use crate::trace::{Format, Writer};

    let mut machine = Machine::new(&config(Some("vtd-legacy"), &["iommu-testdev"])).unwrap();
    machine.assign_resources().unwrap();
    let out = Shared::default();
    machine.set_trace(Some(Box::new(Writer::new(Format::JsonLines, out.clone()))));
    machine.advance(Time(5));
    for (address, value) in [
        (0xfed9_0020u64, 0x8000u32),
        (0xfed9_0018, 0x4000_0000),
        (0xfed9_0018, 0x8000_0000),
        (0xb000_8004, 2),
        (0xc000_000c, 4),
        (0xc000_0014, 1),
        (0xfe00_0000, 0),
    ] {
        machine.write(address, &value.to_le_bytes());
    }
    read32(&mut machine, 0xc000_0000);
    machine.set_trace(None).unwrap().finish().unwrap();
    let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    let records: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records.iter().all(|record| record["time"] == 5 && record["event"].is_string()), "{text}");
    for event in ["register_write", "unclaimed", "dma", "fault"] {
        assert!(records.iter().any(|record| record["event"] == event), "no {event} in {text}");
    }
}
