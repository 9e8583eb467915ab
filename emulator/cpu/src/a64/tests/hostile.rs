//! Guests that mean no good: whatever they run, time passes and nothing panics.

use proptest::prelude::*;

use super::rig::{BASE, Rig};
use crate::a64::regs::{El, PState};

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
}
