use super::*;
use crate::nvme::State;
use crate::nvme::controller::{Controller, Work};
use crate::nvme::error_log::Entry;
use crate::nvme::regs::Cc;
use crate::pci::{Endpoint, EndpointState, StateError};

fn nvme() -> Nvme {
    let config = Config { serial: "test-0".to_owned(), latency: 0 };
    Nvme::new(config, Box::new(Memory::new(BLOCKS * 512)))
}

#[test]
fn save_and_restore_in_mid_transfer() {
    let make = || {
        let mut driver = Driver::new();
        let list: Vec<u64> = (0..255).map(|at| DATA + 0x1000 * (at % 32)).collect();
        driver.words(0x8_0000, &list);
        driver
    };
    let mut driver = make();
    driver.store(0, 16, 1);
    driver.put(0, C { opcode: 0x0c, ..C::default() });
    driver.ring(0);
    for opcode in [READ, READ, COMPARE, WRITE_ZEROES] {
        driver.put(1, C { prp2: 0x8_0000, ..C::io(opcode, 0, 2048) });
    }
    driver.ring(1);
    let mut rounds = 0;
    loop {
        let text = serde_json::to_string(&driver.rig.host.save()).unwrap();
        let mut other = make();
        other.rig.host.restore(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(other.rig.host.save(), driver.rig.host.save());
        other.rig.queue.restore(driver.rig.queue.save());
        other.rig.mem.restore_pages(&driver.rig.mem.nonzero_pages(4096)).unwrap();
        other.rig.fx.set_now(driver.rig.fx.now());
        (other.pairs, other.cid) = (driver.pairs, driver.cid);
        let before = driver.rig.fx.now();
        for driver in [&mut driver, &mut other] {
            driver.rig.step();
        }
        assert_eq!(before, driver.rig.fx.now());
        assert_eq!(other.rig.host.save(), driver.rig.host.save(), "round {rounds}");
        assert!(other.rig.mem.nonzero_pages(4096) == driver.rig.mem.nonzero_pages(4096));
        driver = other;
        if driver.rig.queue.is_empty() {
            break;
        }
        rounds += 1;
    }
    assert!(rounds >= 3, "{rounds}");
    assert_eq!(std::iter::from_fn(|| driver.reap(1)).count(), 4);
}

#[test]
fn a_reset_leaves_the_logs() {
    let mut nvme = nvme();
    nvme.controller.health.wrote(2001);
    nvme.controller.errors.add(Entry::of_no_command());
    nvme.controller.cc = Cc::from_raw(0x0046_0000);
    let (health, errors) = (nvme.controller.health.clone(), nvme.controller.errors.clone());
    nvme.reset();
    assert_eq!(nvme.controller, Controller { health, errors, ..Controller::default() });
}

#[test]
fn damaged_states_are_refused() {
    let mut driver = Driver::new();
    driver.rig.fx.take_trace();
    let list: Vec<u64> = (0..255).map(|_| DATA + 0x1000).collect();
    driver.words(0x8_0000, &list);
    driver.put(1, C { prp2: 0x8_0000, ..C::io(READ, 0, 2048) });
    driver.ring(1);
    // The first step reads the medium, the second has most of it written.
    driver.rig.step();
    let text = serde_json::to_value(driver.rig.host.save()).unwrap();
    let function = text["functions"].as_array().unwrap().iter().find_map(|function| function.get("Endpoint"));
    let saved: EndpointState = serde_json::from_value(function.unwrap()["model"].clone()).unwrap();
    let good = || {
        let EndpointState::Nvme(state) = saved.clone() else { panic!("another model") };
        *state
    };
    let with = |change: fn(&mut Controller)| {
        let mut state = good();
        change(&mut state.controller);
        nvme().restore(EndpointState::Nvme(Box::new(state)))
    };
    assert_eq!(with(|_| {}), Ok(()));
    let invalid = |what| Err(StateError::Invalid { model: "nvme", what });
    assert_eq!(with(|state| state.submission[0] = None), invalid("its queues"));
    assert_eq!(with(|state| state.completion[1] = None), invalid("its queues"));
    assert_eq!(with(|state| state.ready = false), invalid("its queues"));
    assert_eq!(with(|state| state.turn.queue = 9), invalid("its queues"));
    let active = "the commands under way";
    assert_eq!(with(|state| state.active[0].queue = 5), invalid(active));
    assert_eq!(with(|state| state.active.extend(vec![state.active[0].clone(); 32])), invalid(active));
    let transfer = "the transfer under way";
    assert_eq!(with(|state| state.work = Some(Work::Zero(0x200_0001))), invalid(transfer));
    assert_eq!(with(|state| state.active.clear()), invalid(transfer));
    // What the fields of other modules hide is changed in the text of the state.
    let text = serde_json::to_string(&good().controller).unwrap();
    for (from, to, what) in [
        ("\"size\":16", "\"size\":5000", "its queues"),
        ("\"size\":16", "\"size\":1", "its queues"),
        ("\"vector\":1", "\"vector\":9", "its queues"),
        ("\"completion\":1", "\"completion\":77", "its queues"),
        ("\"queues\":[8,8]", "\"queues\":[9,8]", "its features"),
        ("\"queues\":[8,8]", "\"queues\":[8,0]", "its features"),
        ("\"held\":[]", "\"held\":[1,2,3,4,5]", "its events or its error log"),
        ("\"moved\":", "\"moved\":9999999", transfer),
        ("\"read\":[", &format!("\"read\":[{}", "8,".repeat(33)), transfer),
    ] {
        assert!(text.contains(from), "{from}");
        let controller = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
        let state = State { controller, medium: good().medium };
        assert_eq!(nvme().restore(EndpointState::Nvme(Box::new(state))), invalid(what), "{to}");
    }
    let state = State { medium: MediumState::Host { bytes: BLOCKS * 512 }, ..good() };
    assert_eq!(nvme().restore(EndpointState::Nvme(Box::new(state))), invalid("the kind of its medium"));
}
