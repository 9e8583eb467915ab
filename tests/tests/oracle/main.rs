//! Random tables and requests: the VT-d unit must do what the oracle says, register for register and
//! byte for byte.

mod case;
mod decisions;
mod dma;
mod generate;
mod image;
mod rig;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use devices::iommu::cache::Policy;
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use case::{Case, Special};
use rig::Rig;

/// One unit of each kind, made when it is first needed.
#[derive(Default)]
struct Rigs(BTreeMap<(u32, bool, Special, u8), Rig>);

impl Rigs {
    fn run(&mut self, case: &Case) -> Result<(), String> {
        for cache in [Policy::Off, case.policy] {
            let key = (case.width.bits(), case.compress, case.special, cache as u8);
            let rig = match self.0.entry(key) {
                Entry::Occupied(rig) => rig.into_mut(),
                Entry::Vacant(place) => place.insert(Rig::new(rig::config(case, cache)?)?),
            };
            if let Err(difference) = rig.run(case) {
                // Its memory may hold what no case should find.
                self.0.remove(&key);
                return Err(format!("with caches {cache:?}, {difference}"));
            }
        }
        Ok(())
    }

    /// Agreement means something only where there was something to disagree about.
    fn assert_variety(&self) {
        let seen = |refusal| -> u32 {
            let counts = self.0.values().flat_map(|rig| &rig.seen);
            counts.filter(|((_, end), _)| *end == refusal).map(|(_, count)| count).sum()
        };
        let reported = UNQUALIFIED.iter().chain(&QUALIFIED).map(|reason| (*reason, true));
        let hidden = QUALIFIED.iter().map(|reason| (*reason, false));
        for (reason, reported) in reported.chain(hidden) {
            let count = seen(Some((reason, reported)));
            assert!(count >= 20, "reason {reason:#04x} (reported: {reported}) came up {count} times only");
        }
        let passed = seen(None);
        assert!(passed >= 10_000, "{passed} requests passed");
    }
}

/// Fault reasons that FPD does not hide: legacy mode's, then those of RTADDR_REG and of the interrupt
/// address range [VT-d 7.1.3, 5.1.4.1].
const UNQUALIFIED: [u8; 8] = [0x01, 0x08, 0x09, 0x0a, 0x30, 0x31, 0x33, 0x29];
/// Those that it hides.
const QUALIFIED: [u8; 10] = [0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0b, 0x0c, 0x0d, 0x0e];

/// Runs `cases` cases from a fixed seed.
fn check(seed: u8, cases: u32, mutations: usize, steps: usize) {
    let rigs = RefCell::new(Rigs::default());
    let runs = Runs { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Runs::default() };
    let mut runner = TestRunner::new_with_rng(runs, TestRng::from_seed(RngAlgorithm::XorShift, &[seed; 16]));
    let result = runner.run(&generate::case(mutations, steps), |case| {
        rigs.borrow_mut().run(&case).map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(difference, case)) => panic!("{difference}\nin the case\n{case:?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
    rigs.borrow().assert_variety();
}

#[test]
fn tables_without_mistakes_translate_as_the_oracle_says() {
    check(1, 20_000, 0, 8);
}

#[test]
fn tables_with_one_mistake_fault_as_the_oracle_says() {
    check(2, 38_000, 1, 6);
}

#[test]
fn tables_with_many_mistakes_fault_as_the_oracle_says() {
    check(3, 38_000, 4, 6);
}

#[test]
fn long_runs_fill_and_wrap_the_fault_records() {
    check(4, 4_000, 2, 32);
}
