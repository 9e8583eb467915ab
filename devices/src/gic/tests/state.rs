use super::*;

fn round_trip(rig: &mut Rig) {
    let state = rig.gic.save();
    let json = serde_json::to_string(&state).unwrap();
    rig.gic.reset();
    assert_ne!(rig.gic.save(), state);
    rig.gic.restore(serde_json::from_str(&json).unwrap());
    assert_eq!(rig.gic.save(), state);
}

/// Processors with LPIs, an SPI handled at each of two levels, one pending of each kind.
fn busy() -> Rig {
    let mut rig = Rig::started(2);
    for n in 0..2 {
        rig.set_gicr64(n, PROPBASER, CONFIGURATION | 15);
        rig.set_gicr64(n, PENDBASER, 1 << 62 | (PENDING + 0x1_0000 * n as u64));
        rig.set_gicr(n, GICR_CTLR, 1);
    }
    rig.set_gits64(DEVICES, 1 << 63 | DEVICE_TABLE);
    rig.set_gits64(COLLECTIONS, 1 << 63 | COLLECTION_TABLE);
    rig.set_gits64(CBASER, 1 << 63 | QUEUE);
    rig.set_gits(GITS_CTLR, 1);
    rig.run(&[[0x08, 1, 1 << 63 | ITT, 0], [0x09, 0, 1 << 63 | 1 << 16, 0], [0x0a, 8192 << 32, 0, 0]]);
    rig.configure_lpi(8192, 0x81);
    rig.set(1, CTLR, 2);
    rig.set_gicd64(IROUTER + 8 * 40, 1);
    rig.set_priority(40, 0x90);
    rig.gic.set_spi(8, true);
    rig.iar(1);
    rig.message(0, 0);
    rig.gic.set_ppi(0, 11, true);
    rig
}

#[test]
fn everything_survives_a_round_trip() {
    let mut rig = busy();
    round_trip(&mut rig);
    assert_eq!((rig.lines(0), rig.lines(1)), (IRQ, IRQ));
    // The configuration that was cached is still what counts.
    rig.configure_lpi(8192, 0x80);
    round_trip(&mut rig);
    assert_eq!((rig.iar(0), rig.iar(1), rig.get(1, RPR)), (27, 8192, 0x80));
    round_trip(&mut rig);
    rig.eoi(1, 8192);
    rig.eoi(1, 40);
    rig.set(1, DIR, 40);
    assert_eq!(rig.iar(1), 40);
    assert_eq!(rig.gits64(CREADR), 0x60);
}

#[test]
fn reset_returns_to_the_beginning() {
    let mut rig = busy();
    rig.gic.reset();
    let mem = rig.mem.clone();
    let fresh = Gic::new(Config { processors: 2, ..Config::default() }, mem);
    assert_eq!(rig.gic.save(), fresh.save());
    assert_eq!((rig.lines(0), rig.lines(1)), (NONE, NONE));
}

#[test]
fn a_state_of_another_shape_does_no_harm() {
    let state = busy().gic.save();
    for (processors, spis) in [(1, 32), (8, 960), (2, 64)] {
        let mem = PhysMem::anonymous(&[(Pa(0), 0x1000)]).unwrap();
        let mut gic = Gic::new(Config { processors, spis, device_bits: 16 }, mem);
        gic.restore(state.clone());
        assert_eq!(gic.lines(0), IRQ);
        let mut fx = Effects::default();
        assert_eq!(gic.read_register(0, IAR1, &mut fx), Some(27));
        let mut data = [0; 4];
        gic.read_distributor(4, &mut data, &mut fx);
        assert_eq!(u16::from(data[0] & 0x1f) * 32, spis);
    }
}

#[test]
fn a_damaged_state_does_no_harm() {
    let mut rig = busy();
    let mut state = serde_json::to_value(rig.gic.save()).unwrap();
    damage(&mut state);
    rig.gic.restore(serde_json::from_value(state).unwrap());
    assert_eq!(rig.gicd(GICD_CTLR), 0x53);
    for n in 0..2 {
        rig.set_gicr(n, WAKER, 0);
        rig.set(n, AP0R0, 0);
        rig.set(n, AP1R0, 0);
        for register in [PMR, BPR0, BPR1, CTLR, IAR0, IAR1, HPPIR0, HPPIR1, RPR] {
            rig.get(n, register);
        }
        for intid in [0, 27, 40, 8192, 0xffff] {
            rig.eoi(n, intid);
            rig.set(n, EOIR0, intid);
            rig.set(n, DIR, intid);
        }
    }
    rig.gic.take_lpis();
    rig.gic.event(crate::events::DeviceEvent::Work, &mut rig.fx);
}

#[test]
fn lpis_that_are_disabled_are_not_restored() {
    let mut rig = busy();
    let mut state = serde_json::to_value(rig.gic.save()).unwrap();
    assert_eq!(state["redistributors"][1]["lpis"]["pending"], serde_json::json!([8192]));
    state["redistributors"][1]["ctlr"] = 0b10.into();
    rig.gic.restore(serde_json::from_value(state).unwrap());
    rig.eoi(1, 40);
    rig.set(1, DIR, 40);
    rig.gic.set_spi(8, false);
    assert_eq!((rig.gicr(1, GICR_CTLR), rig.lines(1)), (0b10, NONE));
}

/// Sets every number to the largest that fits its place, by trying widths.
fn damage(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match key.as_str() {
                    "pending" => *value = (0..=u16::MAX).step_by(97).collect(),
                    "configuration" => *value = serde_json::json!({ "0": 255, "8192": 255, "65535": 255 }),
                    "priority" => *value = vec![255; 32].into(),
                    "pmr" | "bpr0" | "bpr1" => *value = 255.into(),
                    "group" | "enabled" | "latched" | "inputs" | "edge" | "ap0r" | "ap1r" | "waker" => {
                        *value = u32::MAX.into();
                    }
                    "active" => *value = 0.into(),
                    "propbaser" | "pendbaser" | "cbaser" | "creadr" | "cwriter" | "devices"
                    | "collections" => {
                        *value = u64::MAX.into();
                    }
                    "ctlr" => *value = u32::MAX.into(),
                    "routes" => value.as_array_mut().unwrap().fill(u64::MAX.into()),
                    _ => damage(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(damage),
        _ => {}
    }
}
