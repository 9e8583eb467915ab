//! Saving, restoring, and whatever software or a saved state may throw at a unit.

use super::*;
use crate::fabric::{DmaPort, Initiator, Outcome, Request};
use crate::smmuv3::Unit;
use crate::smmuv3::control::State;

#[test]
fn a_saved_unit_goes_on_where_it_was() {
    let mut rig = Rig::running(config());
    for _ in 0..4 {
        rig.report(fault());
    }
    rig.hold(100, 1);
    rig.submit(&[[0x30, 0], [0xff, 0]]);
    let text = serde_json::to_string(&rig.control.save()).unwrap();
    let state: State = serde_json::from_str(&text).unwrap();
    let mut other = Rig::new(config());
    other.calls();
    other.control.restore(state);
    assert_eq!(other.control.save(), rig.control.save());
    assert!(matches!(other.calls()[..], [Call::Global(Global { enabled: true, .. })]), "the back end knows");
    other.w32(EVENTQ_CONS, 4);
    assert_eq!((other.r32(EVENTQ_PROD), other.record(0)[1]), (5, 0x208_8000_0001));
    other.set(COMMANDS + 16, 0x46);
    other.w32(GERRORN, 1);
    assert_eq!((other.r32(CMDQ_CONS) & 0xfffff, other.r32(GERROR)), (2, 1));
}

#[test]
fn a_reset_unit_is_a_new_one() {
    let mut rig = Rig::running(config());
    rig.submit(&[[0xff, 0]]);
    rig.report(fault());
    rig.w32(0x44, 0x8010_0000);
    rig.control.reset();
    assert_eq!(rig.control.save(), Rig::new(config()).control.save());
}

/// Every number in a saved state replaced by another.
fn scramble(value: &mut serde_json::Value, random: &mut Random) {
    match value {
        serde_json::Value::Number(number) => {
            let pick = [0, 1, 0xffff, u64::from(u32::MAX), random.next()][random.below(5) as usize];
            *number = pick.into();
        }
        serde_json::Value::Bool(flag) => *flag = random.below(2) == 0,
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| scramble(item, random)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| scramble(field, random)),
        _ => {}
    }
}

#[test]
fn hostile_states_do_no_harm() {
    let mut random = Random(0x5eed);
    let mut rig = Rig::running(config());
    for _ in 0..4 {
        rig.report(fault());
    }
    rig.hold(100, 1);
    let saved = serde_json::to_value(rig.control.save()).unwrap();
    let mut restored = 0;
    for _ in 0..4000 {
        let mut value = saved.clone();
        for field in value.as_object_mut().unwrap().values_mut() {
            if random.below(3) == 0 {
                scramble(field, &mut random);
            }
        }
        let Ok(state) = serde_json::from_value::<State>(value) else { continue };
        restored += 1;
        rig.control.restore(state);
        assert_eq!(rig.r32(CR0) & !0x1cd, 0);
        stir(&mut rig, &mut random, 10);
    }
    assert!(restored > 100, "{restored}");
}

#[test]
fn a_state_with_more_stalls_than_there_may_be_is_cut() {
    let mut rig = Rig::running(config());
    rig.w32(CR0, SMMUEN);
    rig.hold(100, 1);
    let mut value = serde_json::to_value(rig.control.save()).unwrap();
    let report = value["unwritten"]["reports"][0].clone();
    value["unwritten"]["reports"] = vec![report; 1000].into();
    value["unwritten"]["outdated"] = u32::MAX.into();
    rig.control.restore(serde_json::from_value(value).unwrap());
    let reports = &serde_json::to_value(rig.control.save()).unwrap()["unwritten"];
    assert_eq!((reports["reports"].as_array().unwrap().len(), &reports["outdated"]), (4, &4.into()));
}

/// Registers, queues and reports at random; indexes and sizes are often near what is right.
fn stir(rig: &mut Rig, random: &mut Random, steps: u32) {
    let offsets: Vec<u64> = (0..0x100).step_by(4).chain([EVENTQ_PROD, EVENTQ_CONS, 0xff0]).collect();
    for _ in 0..steps {
        let offset = offsets[random.below(offsets.len() as u64) as usize];
        let word = random.next();
        let value = match random.below(4) {
            0 => random.below(0x40),
            1 => 1 << random.below(64),
            _ => word,
        };
        match random.below(8) {
            0 => rig.w64(offset, value),
            1..=3 => rig.w32(offset, value as u32),
            4 => {
                let at = COMMANDS + random.below(0x100) * 16;
                // Mostly opcodes that exist.
                let opcode = [0x03, 0x04, 0x05, 0x12, 0x2a, 0x44, 0x45, 0x46, 0x46, word & 0xff];
                rig.set(at, word & !0xff | opcode[random.below(10) as usize]);
                rig.set(at + 8, value);
            }
            5 => {
                let report = Report { stall: (word & 1 != 0).then_some(value as u16), ..fault() };
                rig.report(report);
            }
            6 => rig.w32(CR0, (word & 0x1f) as u32 | SMMUEN | EVENTQEN | CMDQEN),
            _ => {
                rig.w32(GERRORN, word as u32);
                rig.r64(offset);
            }
        }
        rig.fx.take_trace();
    }
}

#[test]
fn random_software_does_no_harm() {
    let configs = || Config::PRESETS.iter().map(|name| Config::preset(name).unwrap()).chain([config()]);
    for (seed, config) in (1..=40).zip(std::iter::repeat_with(configs).flatten()) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let mut rig = Rig::running(config.clone());
        stir(&mut rig, &mut random, 500);
        // Whatever it did, reset brings it back.
        rig.control.reset();
        assert_eq!(rig.control.save(), Rig::new(config).control.save());
        rig.calls();
    }
}

/// The whole unit, with its own translating half, before translation is on.
#[test]
fn a_new_unit_lets_dma_pass_until_told_otherwise() {
    let mem = PhysMem::anonymous(&[(Pa(0), 0x1_0000)]).unwrap();
    let mut unit = Unit::new(config(), mem.clone());
    let mut fx = Effects::new(Time(0), false);
    let initiator = Initiator::Platform { stream: StreamId(7), can_stall: false };
    let mut port = DmaPort::of(initiator, mem, unit.translator());
    port.set_enabled(true);
    let dma = |fx: &mut Effects| port.write(Request::at(0x3000), &[1], fx).outcome;
    assert_eq!(dma(&mut fx), Outcome::Done);
    unit.write(0x44, &0x8010_0000_u32.to_le_bytes(), &mut fx);
    assert!(matches!(dma(&mut fx), Outcome::Abort(_)));
    let saved = unit.save();
    unit.reset();
    assert_eq!(dma(&mut fx), Outcome::Done);
    unit.restore(saved);
    assert!(matches!(dma(&mut fx), Outcome::Abort(_)));
    let mut data = [0; 4];
    unit.read(0x44, &mut data, &mut fx);
    assert_eq!(data, 0x0010_0000_u32.to_le_bytes());
}
