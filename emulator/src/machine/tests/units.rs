//! Several remapping units.

use std::io;
use std::sync::Mutex;

use devices::iommu::{UnitId, UnitKind};
use devices::trace::TraceEvent;

use super::*;
use crate::config::IommuSpec;

const UNITS: [u64; 2] = [0xfed9_0000, 0xfed9_5000];
/// The BARs of two DMA triggers, the first behind the first unit.
const TRIGGERS: [u64; 2] = [0xc000_0000, 0xc000_1000];
const PPF: u32 = 2;

fn machine() -> Machine {
    let iommus = ["vtd-legacy,devices=00:01.0", "vtd-legacy,base=0xfed95000"];
    let config = MachineConfig {
        iommus: iommus.map(|text| text.parse().unwrap()).into(),
        ..config(None, &["iommu-testdev", "iommu-testdev"])
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    for function in [0xb000_8004_u64, 0xb001_0004] {
        machine.write(function, &[2]);
    }
    machine
}

fn write32(machine: &mut Machine, address: u64, value: u32) {
    machine.write(address, &value.to_le_bytes());
}

/// A root table without entries, and translation on.
fn enable(machine: &mut Machine, unit: u64) {
    write32(machine, unit + 0x20, 0x8000);
    write32(machine, unit + 0x18, 0x4000_0000);
    write32(machine, unit + 0x18, 0x8000_0000);
}

/// Has a trigger write to 5000h; returns its verdict.
fn trigger(machine: &mut Machine, bar: u64) -> u32 {
    for (offset, value) in [(0x04, 0x5000), (0x0c, 4), (0x1c, 0x5000), (0x14, 1)] {
        write32(machine, bar + offset, value);
    }
    read32(machine, bar);
    read32(machine, bar + 0x10)
}

/// Keeps which unit each interrupt says that it is from.
#[derive(Clone, Default)]
struct Senders(Arc<Mutex<Vec<Option<&'static str>>>>);

impl Sink for Senders {
    fn record(&mut self, _: Time, event: &TraceEvent) {
        if let TraceEvent::Interrupt { unit, .. } = event {
            self.0.lock().unwrap().push(*unit);
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_event_interrupt_says_whose_it_is() {
    let mut machine = machine();
    let senders = Senders::default();
    machine.set_trace(Some(Box::new(senders.clone())));
    for unit in UNITS {
        for (offset, value) in [(0x3c, 0x41), (0x40, 0xfee0_0000), (0x38, 0)] {
            write32(&mut machine, unit + offset, value);
        }
        enable(&mut machine, unit);
    }
    for bar in [TRIGGERS[1], TRIGGERS[0]] {
        trigger(&mut machine, bar);
    }
    assert_eq!(*senders.0.lock().unwrap(), [Some("vtd1"), Some("vtd0")]);
}

#[test]
fn each_unit_serves_its_own_devices_and_records_their_faults() {
    for (enabled, verdicts) in [(0, [0xdead_0002, 0]), (1, [0, 0xdead_0002])] {
        let mut machine = machine();
        enable(&mut machine, UNITS[enabled]);
        assert_eq!(TRIGGERS.map(|bar| trigger(&mut machine, bar)), verdicts);
        let status = UNITS.map(|unit| read32(&mut machine, unit + 0x34));
        let mut expected = [0, 0];
        expected[enabled] = PPF;
        assert_eq!(status, expected, "unit {enabled}");
        // The source of the record: 00:01.0 or 00:02.0.
        assert_eq!(read32(&mut machine, UNITS[enabled] + 0x228), [0x08, 0x10][enabled]);
    }
}

#[test]
fn the_second_unit_s_queue_is_continued_by_itself() {
    let mut machine = machine();
    // 300 descriptors, of which a step takes 256: interrupt entries, all of them.
    for index in 0..300_u64 {
        machine.write(0x1_0000 + index * 16, &4_u64.to_le_bytes());
    }
    let unit = UNITS[1];
    machine.write(unit + 0x90, &0x1_0001_u64.to_le_bytes());
    write32(&mut machine, unit + 0x18, 1 << 26);
    machine.write(unit + 0x88, &(300_u64 * 16).to_le_bytes());
    assert_eq!(read32(&mut machine, unit + 0x80), 256 * 16);
    machine.advance(Time(1));
    assert_eq!(read32(&mut machine, unit + 0x80), 300 * 16);
}

#[test]
fn traces_name_the_unit() {
    let trace = |iommus: Vec<IommuSpec>| {
        let mut machine = Machine::new(&MachineConfig { iommus, ..small() }).unwrap();
        let out = Shared::default();
        let writer = crate::trace::Writer::new(crate::trace::Format::JsonLines, out.clone());
        machine.set_trace(Some(Box::new(writer)));
        read32(&mut machine, 0xfed9_1000);
        read32(&mut machine, 0xfed9_0000);
        machine.set_trace(None).unwrap().finish().unwrap();
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
        records.map(|record: serde_json::Value| record["unit"].to_string()).collect::<Vec<_>>()
    };
    let unit = |text: &str| text.parse::<IommuSpec>().unwrap();
    assert_eq!(trace(vec![unit("vtd-legacy")]), ["null", r#""vtd""#]);
    let two = vec![unit("vtd-legacy,devices=00:00.0"), unit("vtd-legacy")];
    assert_eq!(
        two.iter().map(|spec| spec.vtd().unwrap().config.unit).collect::<Vec<_>>(),
        [UnitId::only(UnitKind::Vtd); 2]
    );
    assert_eq!(trace(two), [r#""vtd1""#, r#""vtd0""#]);
}

#[test]
fn units_are_saved_each_with_its_own_state() {
    let mut one = machine();
    enable(&mut one, UNITS[1]);
    trigger(&mut one, TRIGGERS[1]);
    let text = serde_json::to_string(&one.save()).unwrap();
    let mut two = machine();
    two.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(two.save(), one.save());
    assert_eq!(UNITS.map(|unit| read32(&mut two, unit + 0x34)), [0, PPF]);
}
