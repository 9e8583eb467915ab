//! Replays what Linux's own tests of iommufd did, and compares every answer with the kernel's.
//!
//! A recording holds calls and answers. What the program did between them is in its script: see
//! [`scripts`]. The replayer hands a call to the library, without its answer, and compares afterwards:
//! the result, the errno, every byte of the argument structure, and that nothing behind it changed.
//! Scripts add what the tests themselves assert on the memory that structures point to.
//!
//! A second replay makes every fallible step of a call fail in turn, and then the call again: the answer
//! must be the kernel's still, as if nothing had been tried.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod decode;
mod recording;
mod script;
mod scripts;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use iommufd::fault_point;
use iommufd::uapi::test::{self, Operation};
use iommufd::uapi::{self, Command};
use recording::{Action, Answer, Kind, Recorded, Recording};
use world::World;

/// Recordings that cannot be replayed, and why. A name here must fail, any other must not.
const UNREPLAYABLE: &[(&str, &str)] = &[];

/// How often a call of one kind is made with failures in one recording.
const FAILING_CALLS: usize = 6;

/// Calls that stay done, in the kernel too, where at last their answer cannot be written: that step does
/// not fail.
const DONE_BEFORE_ANSWERED: &[Kind] = &[
    Kind::Ioctl(uapi::IoasCopy::REQUEST),
    Kind::Ioctl(uapi::IoasMap::REQUEST),
    Kind::Ioctl(uapi::IoasMapFile::REQUEST),
    Kind::Ioctl(uapi::IoasUnmap::REQUEST),
    // What stays is that the id of the pins is used up.
    Kind::Test(test::AccessPages::OP),
];

/// Calls that may come by another way to where a step was to lead: a device that cannot be attached to
/// the domain that is there gets a new one.
const OTHER_WAYS: &[Kind] = &[Kind::Test(test::MockDomain::OP), Kind::Test(test::MockDomainFlags::OP)];

/// Two tests for each fixture of the kernel's tests; every recording is of one.
macro_rules! fixtures {
    ($($fixture:ident)*) => {
        const FIXTURES: &[&str] = &[$(stringify!($fixture)),*];

        mod exactly {
            $(#[test]
            fn $fixture() {
                super::check(stringify!($fixture), super::replay);
            })*
        }

        mod after_failures {
            $(#[test]
            fn $fixture() {
                super::check(stringify!($fixture), super::replay_with_failures);
            })*
        }
    };
}

fixtures! {
    iommufd
    iommufd_dirty_tracking
    iommufd_ioas
    iommufd_mock_domain
    iommufd_viommu
}

#[test]
fn every_recording_is_replayed_by_one_of_the_tests() {
    let recordings = &recording::ALL;
    let fixtures: BTreeSet<&str> = recordings.keys().map(|name| fixture(name)).collect();
    assert_eq!(fixtures, FIXTURES.iter().copied().collect());
    assert_eq!(recordings.len(), 151);
    for (name, _) in UNREPLAYABLE {
        assert!(recordings.contains_key(*name), "{name} is listed and not there");
    }
}

fn fixture(name: &str) -> &str {
    name.split('.').next().unwrap()
}

/// Replays the recordings of fixture `wanted` by `replay`.
fn check(wanted: &str, replay: fn(&str, &Recording) -> Result<(), String>) {
    let mut wrong = Vec::new();
    let mut replayed = 0;
    for (name, recording) in recording::ALL.iter().filter(|(name, _)| fixture(name) == wanted) {
        let listed = UNREPLAYABLE.iter().find(|(listed, _)| listed == name);
        // One that panicked may have left a failure to come.
        fault_point::arm(0);
        match (catch_unwind(AssertUnwindSafe(|| replay(name, recording))), listed) {
            (Ok(Ok(())), None) => replayed += 1,
            (Ok(Ok(())), Some((_, reason))) => wrong.push(format!("{name} replays, listed as: {reason}")),
            (Ok(Err(_)) | Err(_), Some(_)) => {}
            (Ok(Err(mismatch)), None) => wrong.push(format!("{name}, {mismatch}")),
            (Err(panic), None) => wrong.push(format!("{name} panics: {}", message(&*panic))),
        }
    }
    println!("{wanted}: {replayed} recordings replay exactly");
    assert!(wrong.is_empty(), "{} recordings of {wanted} do not replay:\n{}", wrong.len(), wrong.join("\n"));
}

fn replay(name: &str, recording: &Recording) -> Result<(), String> {
    replay_by(name, recording, |world, recorded, _| world.make(&recorded.call))
}

/// Replays with every step of a call failing in turn, before the call is made that is compared.
fn replay_with_failures(name: &str, recording: &Recording) -> Result<(), String> {
    let mut steps = Vec::new();
    replay_by(name, recording, |world, recorded, _| {
        fault_point::arm(u32::MAX);
        let answer = world.make(&recorded.call);
        steps.push(u32::MAX - fault_point::remaining());
        fault_point::arm(0);
        answer
    })?;
    // Lines, and steps of their calls, without which the call went another way.
    let mut spared = BTreeSet::new();
    loop {
        let known = spared.len();
        let mut steps = steps.iter();
        let replayed = replay_by(name, recording, |world, recorded, nth| {
            let (call, steps) = (&recorded.call, *steps.next().unwrap());
            let failing = match call.kind() {
                _ if nth >= FAILING_CALLS => 0,
                kind if DONE_BEFORE_ANSWERED.contains(&kind) => steps.saturating_sub(1),
                _ => steps,
            };
            for step in (1..=failing).filter(|step| !spared.contains(&(recorded.line, *step))) {
                fault_point::arm(step);
                let answer = world.make(call);
                assert_eq!(
                    fault_point::remaining(),
                    0,
                    "step {step} of {steps} of {:x?} did not come",
                    call.kind()
                );
                if answer.result.is_ok() {
                    if answer != recorded.answer && OTHER_WAYS.contains(&call.kind()) {
                        spared.insert((recorded.line, step));
                    }
                    return answer;
                }
            }
            world.make(call)
        });
        if spared.len() == known {
            return replayed;
        }
    }
}

/// Replays one recording up to the first call that is answered differently. `make` makes each call, which
/// is the how manieth of its kind from 0 on.
fn replay_by(
    name: &str,
    recording: &Recording,
    mut make: impl FnMut(&World, &Recorded, usize) -> Answer,
) -> Result<(), String> {
    let mut script = scripts::script(name);
    let world = World::new(recording.calls[0].call.process);
    for recorded in &recording.calls {
        let nth = script.run_before(&world, &recorded.call);
        let answer = make(&world, recorded, nth);
        if answer != recorded.answer {
            return Err(mismatch(recorded, &answer));
        }
        script.run_after(&world, &recorded.call, &answer);
    }
    assert_eq!(script.left_over(), [], "calls of the script that never came");
    // It may hold files.
    drop(script);
    world.end();
    Ok(())
}

fn mismatch(recorded: &Recorded, answer: &Answer) -> String {
    let command = match recorded.call.action {
        Action::Ioctl { command, .. } => command,
        _ => 0,
    };
    let show = |answer: &Answer| format!("{:?}\n{}", answer.result, decode::decode(command, &answer.bytes));
    let sides = decode::compare(&show(&recorded.answer), &show(answer));
    format!("line {}, {:x?}:\n{sides}", recorded.line, recorded.call.kind())
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(message), _) => message,
        (None, Some(message)) => message,
        (None, None) => "without a message",
    }
}
