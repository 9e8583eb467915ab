//! Saved devices, with what is held.

use serde_json::{Value, json};

use super::stalls::{ROWS, check_end, parked};
use super::*;

/// Another rig with the same memory, its device restored from text.
fn restored(rig: &Rig) -> Rig {
    let text = serde_json::to_string(&rig.device.save()).unwrap();
    let mut other = Rig::new();
    other.device.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(other.device.save(), rig.device.save());
    other.mem.restore_pages(&rig.mem.nonzero_pages(4096)).unwrap();
    other.queue.restore(rig.queue.save());
    other.fx.set_now(rig.fx.now());
    other
}

#[test]
fn what_is_held_goes_on_after_a_restore() {
    for row in &ROWS {
        let (what, .., [retried, zero, aborted]) = row;
        for (how, end) in [(RETRY, retried), (RAZ, zero), (UR, aborted)] {
            let mut one = parked(row);
            let mut two = restored(&one);
            assert_eq!(two.read(STATUS), 9, "{what}");
            for rig in [&mut one, &mut two] {
                rig.mend();
                assert!(rig.resume(0, how), "{what}");
                check_end(rig, what, *end);
            }
            assert_eq!(one.device.save(), two.device.save(), "{what}");
            assert_eq!(one.mem.nonzero_pages(4096), two.mem.nonzero_pages(4096), "{what}");
        }
    }
}

#[test]
fn held_messages_and_the_line_are_saved() {
    let mut one = Rig::new();
    one.raise(4);
    one.message(2);
    one.take_away(DOORBELL & !0xfff, true);
    one.raise(2);
    one.raise(2);
    let mut two = restored(&one);
    assert_eq!((two.read(INTERRUPT_STATUS), two.read(PENDING)), (1 << 10 | 1 << 4, 1 << 2));
    assert!(two.resume(0, RETRY));
    assert_eq!(two.messages, [(DOORBELL, 2), (DOORBELL, 2)]);
    two.lines.clear();
    two.write(INTERRUPT_CONTROL, 0);
    assert_eq!(two.lines, [true], "the level before was that of the saved device");
}

#[test]
fn a_timer_that_runs_is_saved() {
    let mut one = Rig::with(1000, 0);
    one.put(0, [0; 6]);
    one.write(TAIL, 1);
    let mut two = restored(&one);
    two.run_until(1000);
    assert_eq!(two.read(HEAD), 1);
}

#[test]
fn damaged_states_are_refused() {
    let held = |vector: u16| {
        let tag = serde_json::to_value(tag(0)).unwrap();
        json!({ "tag": tag, "vector": vector, "message": { "address": 0, "data": 0 } })
    };
    let mut device = parked(&ROWS[0]).device;
    let before = device.save();
    let good = serde_json::to_value(&before).unwrap();
    let mut check = |place: &str, value: Value, expected: Option<&'static str>| {
        let mut state = good.clone();
        *state.pointer_mut(place).unwrap() = value;
        let state = serde_json::from_value(state).unwrap();
        let expected = expected.map(|what| StateError { device: MASTER, what });
        assert_eq!(device.check(&state).err(), expected, "{place}");
        assert_eq!(device.restore(state).err(), expected, "{place}");
        if expected.is_some() {
            assert_eq!(device.save(), before, "{place}");
        }
    };
    check("/exerciser/buffer", json!([0]), Some("the length of its buffer"));
    check("/exerciser/engine/head", json!(4), Some("its ring indices"));
    // Off, but with a DMA that is held.
    check("/exerciser/engine/enabled", json!(false), Some("its ring indices"));
    check("/interrupts/vectors", json!([]), Some("the size of its vector table"));
    check("/interrupts/held", json!([held(8)]), Some("its held messages"));
    check("/interrupts/held", json!([held(1), held(2), held(1)]), Some("its held messages"));
    check("/interrupts/held", json!([held(7), held(2)]), None);
}

#[test]
fn no_saved_work_makes_a_device_panic() {
    // A write of a copy is held: bytes moved, and bytes read, that no device has.
    let state = serde_json::to_value(parked(&ROWS[5]).device.save()).unwrap();
    for (moved, read) in [(u32::MAX, 0), (0x20, 5000), (0, 0x10), (7, 1), (0x1f, 1)] {
        let mut state = state.clone();
        state["exerciser"]["engine"]["work"]["moved"] = json!(moved);
        state["exerciser"]["engine"]["work"]["read"] = json!(vec![1_u8; read]);
        let mut rig = Rig::new();
        rig.device.restore(serde_json::from_value(state).unwrap()).unwrap();
        assert!(rig.resume(0, RETRY));
        assert_eq!(rig.read(STATUS), 0, "{moved:#x} {read}");
    }
}
