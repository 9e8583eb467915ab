//! Runs that are saved and continued elsewhere.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::machine::MachineState;
use crate::trace::{Format, Writer};

/// What a run leaves: its text, its trace, how and when it ended, and what the machine is then.
#[derive(Debug, PartialEq)]
struct Rest {
    console: String,
    trace: String,
    ending: Ending,
    end: Time,
    machine: MachineState,
}

/// A trace that a test can read.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A built-in guest about to begin.
fn started(
    board: &str,
    iommus: &[&str],
    devices: &[&str],
    image: &[u8],
    command_line: &str,
) -> Soft<Machine> {
    let config = MachineConfig {
        machine: board.parse().unwrap(),
        memory: "64M".parse().unwrap(),
        iommus: iommus.iter().map(|spec| spec.parse().unwrap()).collect(),
        devices: devices.iter().map(|spec| spec.parse().unwrap()).collect(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    let start =
        boot::aarch64::start(&machine, Guest { image, command_line, initrd: None, firmware: Firmware::Tree })
            .unwrap();
    let MachineSpec::Virt(VirtSpec { cpus }) = config.machine else { panic!("another board") };
    let mut soft = Soft::new(machine, &Options { cpus: cpus.into(), ..Options::default() }).ok().unwrap();
    soft.start(start.entry, start.tree);
    soft
}

/// Runs to the end by tenths of a millisecond; `look` sees the machine and its CPUs before each, with the
/// lengths of console and trace so far.
fn finish(mut soft: Soft<Machine>, mut look: impl FnMut(&Soft<Machine>, [usize; 2])) -> Rest {
    let heard = Heard::default();
    soft.board_mut().set_trace(Some(Box::new(Writer::new(Format::Text, heard.clone()))));
    let mut console = Vec::new();
    let ending = loop {
        look(&soft, [console.len(), heard.0.lock().unwrap().len()]);
        let pause = soft.run(soft.now().after(100_000));
        console.extend(soft.board_mut().take_console());
        match pause {
            Pause::Time => assert!(soft.now() < Time(60_000_000_000), "it does not end"),
            Pause::Ended(ending) => break ending,
            other => panic!("{other:?}"),
        }
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let trace = text(std::mem::take(&mut heard.0.lock().unwrap()));
    let machine = soft.save();
    Rest { console: text(console), trace, ending, end: soft.now(), machine }
}

/// Two CPUs and more that are started, stopped and interrupted; and an SMMU with two masters behind it.
#[test]
fn what_was_saved_continues_as_if_nothing_had_happened() {
    let devices = ["exerciser,functions=2", "exerciser,bus=platform,stream=0x10000,can-stall=on"];
    for soft in [
        started("virt,cpus=3", &[], &[], guests::image::CPU_CHECK, "one two"),
        started("virt", &["smmuv3.2-nested,sidsize=17"], &devices, guests::image::SMMUV3_DMA, ""),
    ] {
        let mut saved = Vec::new();
        let mut slice = 0u32;
        let whole = finish(soft, |soft, lengths| {
            if slice.is_power_of_two() {
                let state = soft.save();
                assert!(state.has_processors());
                saved.push((serde_json::to_string(&state).unwrap(), lengths));
            }
            slice += 1;
        });
        assert_eq!(whole.ending, Ending::Exited(0), "{}", whole.console);
        assert!(!whole.machine.has_processors(), "nothing can go on");
        assert!(saved.len() >= 3, "{slice} slices");
        // From the last ones less is left to run.
        for (text, [console, trace]) in saved.split_off(saved.len() - 3) {
            let restored = Soft::restore(serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(serde_json::to_string(&restored.save()).unwrap(), text);
            let rest = finish(restored, |_, _| {});
            assert_eq!((rest.ending, rest.end), (whole.ending, whole.end));
            assert_eq!(rest.console, whole.console[console..]);
            assert!(rest.trace == whole.trace[trace..], "the traces differ");
            assert!(rest.machine == whole.machine, "the machines differ");
        }
    }
}

#[test]
fn damaged_states_are_refused() {
    let soft = started("virt,cpus=2", &[], &[], guests::image::CPU_CHECK, "");
    let good = serde_json::to_value(soft.save()).unwrap();
    assert!(Soft::restore(serde_json::from_value(good.clone()).unwrap()).is_ok());
    let q35 = serde_json::to_value(Machine::new(&MachineConfig::default()).unwrap().save()).unwrap();
    let without = serde_json::to_value(soft.board().save()).unwrap();
    // Where, what is there instead, and why that is refused.
    let rows: [(&Value, &str, Value, &str); 9] = [
        (&without, "/now", json!(0), "without its processors"),
        (&q35, "/processors", good["processors"].clone(), "software processors on the board q35"),
        (&good, "/processors/instruction", json!(0), "0 ns per instruction"),
        (&good, "/now", json!(5), "the machine's time is"),
        (&good, "/processors/origin", json!(1_000_000_001), "the machine's time is"),
        (&good, "/processors/cluster/time", json!(2_000_000_000u64), "the machine's time is"),
        (&good, "/processors/cluster/cores", json!([]), "the saved state has 0 CPUs, and this machine 2"),
        (&good, "/ram/0/bytes", json!("####"), "is damaged"),
        (&good, "/config/memory", json!(1u64 << 20), ""),
    ];
    for (state, place, value, expected) in rows {
        let mut state = state.clone();
        match state.pointer_mut(place) {
            Some(old) => *old = value,
            None => state[&place[1..]] = value,
        }
        let error = serde_json::from_value(state).map_err(|error| error.to_string());
        let error = error.and_then(|state| Soft::restore(state).map_err(|error| error.to_string()));
        let error = error.err().unwrap_or_default();
        assert!(!error.is_empty() && error.contains(expected), "{place}: {error}");
    }
}

/// The places of all numbers in `value`.
fn numbers(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(place.to_owned()),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                numbers(item, &format!("{place}/{at}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                numbers(field, &format!("{place}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn processors_with_any_number_run_or_are_refused() {
    let mut soft = started("virt", &[], &[], guests::image::CPU_CHECK, "");
    soft.run(Time(300_000));
    let good = serde_json::to_value(soft.save()).unwrap();
    let mut places = Vec::new();
    numbers(&good["processors"], "/processors", &mut places);
    // General registers hold any number anyway.
    places.retain(|place| !place.contains("/x/") && !place.contains("/v/"));
    assert!(places.len() > 50, "{}", places.len());
    let values = [json!(u64::MAX), json!(u32::MAX), json!(0xff), json!(1u64 << 63), json!(0)];
    for (place, value) in places.iter().zip(values.iter().cycle()) {
        let mut state = good.clone();
        *state.pointer_mut(place).unwrap() = value.clone();
        let Ok(state) = serde_json::from_value(state) else { continue };
        if let Ok(mut soft) = Soft::restore(state) {
            soft.run(soft.now().after(5_000));
        }
    }
}
