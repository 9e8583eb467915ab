use devices::events::{DeviceEvent, DeviceId};

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
