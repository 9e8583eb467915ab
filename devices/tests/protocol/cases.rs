//! What is explored.

use crate::cache::Policy;
use crate::model::Machine;

/// Explores `run` with at most `preemptions` switches away from a thread that could go on.
fn explore(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(run);
}

#[test]
fn a_cached_translation_is_not_used_after_its_invalidation() {
    explore(3, || {
        let machine = Machine::new(Policy::Off);
        machine.warm();
        let device = machine.device(0, 2);
        machine.remap_page();
        machine.invalidate();
        machine.reuse_page();
        device.join().unwrap();
    });
}

#[test]
fn a_walk_does_not_cache_what_an_invalidation_has_passed() {
    explore(4, || {
        let machine = Machine::new(Policy::Off);
        let device = machine.device(0, 2);
        machine.remap_page();
        machine.invalidate();
        machine.reuse_page();
        device.join().unwrap();
    });
}

#[test]
fn a_walk_from_a_cached_table_does_not_outlive_it() {
    explore(3, || {
        let machine = Machine::new(Policy::Tiny);
        machine.warm_structures();
        let device = machine.device(0, 2);
        machine.remap_table();
        machine.invalidate();
        machine.reuse_page();
        device.join().unwrap();
    });
}

#[test]
fn a_translation_that_another_device_cached_is_not_used_after_its_invalidation() {
    explore(1, || {
        let machine = Machine::new(Policy::Off);
        let devices = [machine.device(0, 1), machine.device(1, 1)];
        machine.remap_page();
        machine.invalidate();
        machine.reuse_page();
        devices.into_iter().for_each(|device| device.join().unwrap());
    });
}
