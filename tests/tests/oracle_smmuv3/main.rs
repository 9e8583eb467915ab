//! Random tables and transactions: the SMMUv3 must do what the oracle says, record for record and byte for
//! byte.
//!
//! Each case runs with caches off and with another policy. `IOMMULATOR_ORACLE_CASES` multiplies the number
//! of cases.

mod build;
mod case;
mod generate;
mod image;
mod random;
mod rig;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use devices::iommu::cache::Policy;

use case::UNITS;
use random::Random;
use rig::{Rig, Seen};

/// Plays `cases` cases with up to so many mistakes each, from a fixed seed. Returns how often what came up.
fn check(seed: u64, cases: u64, mistakes: u64) -> BTreeMap<Seen, u32> {
    let factor = std::env::var("IOMMULATOR_ORACLE_CASES").ok().and_then(|factor| factor.parse().ok());
    let (mut rigs, mut random) = (BTreeMap::new(), Random::new(seed));
    for number in 0..cases * factor.unwrap_or(1) {
        let unit = random.below(UNITS.len() as u64) as usize;
        let config = case::config(unit, Policy::Off).expect("a unit that can be");
        let case = generate::case(&mut random, unit, &config, mistakes);
        for policy in [Policy::Off, case.policy] {
            let rig = match rigs.entry((unit, policy as u8)) {
                Entry::Occupied(rig) => rig.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(case::config(unit, policy).and_then(Rig::new).expect("memory for a unit"))
                }
            };
            if let Err(difference) = rig.run(&case) {
                panic!("case {number} of seed {seed}, caches {policy:?}: {difference}\nin the case\n{case}");
            }
        }
    }
    let mut seen = BTreeMap::new();
    for (what, count) in rigs.into_values().flat_map(|rig| rig.seen) {
        *seen.entry(what).or_insert(0) += count;
    }
    seen
}

/// Types of records with S2 in bit 0 and CLASS in bits 2:1: all that a transaction can lead to [SMMUv3
/// 7.3].
const RECORDS: [(u8, &[u8]); 12] = [
    (0x02, &[0]),
    (0x03, &[0]),
    (0x04, &[0]),
    (0x06, &[0]),
    (0x08, &[0]),
    (0x09, &[0]),
    (0x0a, &[0]),
    // Stage 1 with CLASS = TT, then stage 2 with CD, TT and IN.
    (0x0b, &[2, 1, 3, 5]),
    // Stage 1 with CLASS = IN, then stage 2 with CD, TT and IN.
    (0x10, &[4, 1, 3, 5]),
    (0x11, &[4, 1, 3, 5]),
    (0x12, &[4, 1, 3, 5]),
    (0x13, &[4, 1, 3, 5]),
];

/// Agreement means something only where there was something to disagree about.
fn assert_variety(seen: &BTreeMap<Seen, u32>) {
    let count = |of: &dyn Fn(&Seen) -> bool| -> u32 {
        seen.iter().filter(|(what, _)| of(what)).map(|(_, count)| count).sum()
    };
    for (code, classes) in RECORDS {
        for class in classes {
            let count = count(&|(_, record)| *record == Some((code, *class)));
            assert!(count >= 8, "record {code:#04x} with {class:#05b} came up {count} times only");
        }
    }
    for (ending, least) in [("done", 5_000), ("updated", 200), ("abort", 5_000), ("raz", 500), ("stall", 500)]
    {
        let count = count(&|(found, _)| *found == ending);
        assert!(count >= least, "{ending:?} came up {count} times only");
    }
}

#[test]
fn tables_without_mistakes_translate_as_the_oracle_says() {
    check(1, 2_000, 0);
}

#[test]
fn tables_with_one_mistake_fault_as_the_oracle_says() {
    check(2, 3_300, 1);
}

#[test]
fn tables_with_many_mistakes_fault_as_the_oracle_says() {
    assert_variety(&check(3, 3_300, 4));
}
