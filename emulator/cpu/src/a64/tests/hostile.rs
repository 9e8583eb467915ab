//! Guests and saved states that mean no good: whatever they run, time passes and nothing panics.

use proptest::prelude::*;

use serde_json::Value;

use super::rig::{BASE, Board, Rig};
use crate::a64::core::{Env, Message, Settings};
use crate::a64::debugger::Stops;
use crate::a64::mmu::tlbi::Scope;
use crate::a64::regs::{El, PState};
use crate::a64::{ClusterState, Features, OtherCpus, Stop};
use crate::interp::CodePages;

/// Words that mostly decode to something: random, of each encoding group, and system registers.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        (
            any::<u32>(),
            prop::sample::select(vec![0b1000u32, 0b1001, 0b1010, 0b0100, 0b1100, 0b1110, 0b0101, 0b1101])
        )
            .prop_map(|(word, group)| word & !(15 << 25) | group << 25),
        any::<u32>().prop_map(|word| 0xd500_0000 | word & 0x3f_ffff),
        any::<u32>().prop_map(|word| 0xd400_0000 | word & 0xff_ffff),
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0u64..1 << 22).prop_map(|offset| BASE + offset),
        (0u64..1 << 22).prop_map(|offset| BASE + (offset & !7)),
        0u64..64,
        Just(!0),
        Just(1 << 63),
        (0u64..0x2000).prop_map(|offset| 0x900_0000 + offset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_end_in_time(
        program in prop::collection::vec(word(), 1..200),
        registers in prop::collection::vec(value(), 31),
        control in prop::collection::vec(value(), 8),
        tables in prop::collection::vec(any::<u64>(), 64),
        user in any::<bool>(),
        translate in any::<bool>(),
    ) {
        let mut rig = Rig::new(&program);
        for (pa, entry) in (BASE + 0x10_0000..).step_by(8).zip(&tables) {
            // Descriptors that lead back into the tables, or to RAM.
            let entry = entry & 0x00ff_0000_003f_ffff | BASE | 3;
            rig.ram.store64(pa, entry);
        }
        rig.cluster.start(1, BASE, 0);
        for cpu in 0..2 {
            let core = rig.cluster.core_of(cpu).unwrap();
            for (slot, value) in (0..).zip(&registers) {
                core.x[slot] = *value;
            }
            core.sys.tcr = control[0];
            core.sys.ttbr0 = BASE + 0x10_0000;
            core.sys.ttbr1 = control[1];
            core.sys.mair = control[2];
            core.sys.vbar = BASE + (control[3] & 0x3f_f800);
            core.sys.mdscr = control[4];
            core.sys.cpacr = 3 << 20;
            core.sys.os_locked = false;
            core.sys.breakpoints[0] = (BASE + 16, control[5]);
            core.sys.watchpoints[0] = (registers[1], control[6]);
            core.sys.sctlr |= u64::from(translate);
            let (sys, features) = (core.sys.clone(), crate::a64::Features::MAX);
            core.mmu.reconfigure(&sys, &features);
            if user {
                let pstate = PState { el: El::El0, sp_sel: false, ..core.pstate };
                core.set_pstate(pstate);
            }
        }
        rig.run(20_000);
        let time = rig.cluster.time();
        prop_assert!((20_000..21_100).contains(&time), "{time}");
        prop_assert_eq!(rig.core().x[crate::a64::regs::ZR], 0);
    }

    #[test]
    fn saved_states_with_any_numbers_run_in_time(
        program in prop::collection::vec(word(), 1..50),
        places in prop::collection::vec((any::<prop::sample::Index>(), value()), 1..40),
    ) {
        let mut rig = Rig::new(&program);
        rig.cluster.start(1, BASE, 0);
        let mut state = serde_json::to_value(rig.cluster.save()).unwrap();
        let count = numbers(&mut state).len();
        for (index, value) in places {
            // A field may be too narrow for the number.
            let mut changed = state.clone();
            *numbers(&mut changed)[index.index(count)] = value.into();
            if serde_json::from_value::<ClusterState>(changed.clone()).is_ok() {
                state = changed;
            }
        }
        rig.cluster.restore(serde_json::from_value(state).unwrap()).unwrap();
        let begin = rig.cluster.time();
        rig.run(5000);
        let time = rig.cluster.time() - begin;
        prop_assert!((5000..6100).contains(&time), "{time}");
        prop_assert!(rig.cluster.run(&mut rig.board, begin) == Stop::Time);
        serde_json::to_string(&rig.cluster.save()).unwrap();
    }
}

/// All numbers in a value.
fn numbers(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Number(_) => vec![value],
        Value::Array(list) => list.iter_mut().flat_map(numbers).collect(),
        Value::Object(fields) => fields.values_mut().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_state_of_other_cpus_is_refused() {
    let mut rig = Rig::new(&[0x1400_0000]);
    let before = rig.cluster.save();
    let mut state = serde_json::to_value(&before).unwrap();
    state["cores"].as_array_mut().unwrap().pop();
    let state = serde_json::from_value(state).unwrap();
    assert_eq!(rig.cluster.restore(state), Err(OtherCpus { saved: 1, here: 2 }));
    assert_eq!(rig.cluster.save(), before);
}

#[test]
fn bits_of_fpcr_and_fpsr_that_do_not_exist_stay_zero() {
    let mut rig = Rig::new(&[0x1400_0000]);
    let mut registers = rig.cluster.registers(0).unwrap();
    (registers.fpcr, registers.fpsr) = (!0, !0);
    rig.cluster.set_registers(0, &registers);
    // AHP, DN, FZ, RMode, FZ16; QC, IDC, IXC to IOC [Arm C5.2.8, C5.2.9].
    assert_eq!((rig.core().fpcr, rig.core().fpsr), (0x07c8_0000, 0x0800_009f));
    let mut state = serde_json::to_value(rig.cluster.save()).unwrap();
    (state["cores"][0]["fpcr"], state["cores"][0]["fpsr"]) = (u32::MAX.into(), u32::MAX.into());
    rig.cluster.restore(serde_json::from_value(state).unwrap()).unwrap();
    assert_eq!((rig.core().fpcr, rig.core().fpsr), (0x07c8_0000, 0x0800_009f));
}

#[test]
fn what_cores_tell_each_other_is_bounded() {
    let rig = Rig::new(&[]);
    let (pages, mut outbox, mut board) = (CodePages::new(&rig.ram), Vec::new(), Board::default());
    let settings =
        Settings { features: Features::MAX, conduit: None, counter_frequency: 62_500_000, time_per_tick: 16 };
    let mut env = Env {
        bus: &mut board,
        ram: &rig.ram,
        pages: &pages,
        outbox: &mut outbox,
        cpu: 0,
        settings: &settings,
        stops: &Stops::default(),
    };
    for page in 0..10_000 {
        env.tell(Message::Event);
        env.tell(Message::Tlbi(Scope::address(page)));
    }
    assert!((3..100).contains(&outbox.len()), "{}", outbox.len());
    assert!(outbox.contains(&Message::Tlbi(Scope::All)));
}
