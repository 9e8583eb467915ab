//! What a recorded program did between its calls.

use std::collections::HashMap;

use crate::recording::{Answer, Call, Kind};
use crate::world::World;

type Before = Box<dyn FnMut(&World, &Call)>;
type After = Box<dyn FnMut(&World, &Call, &Answer)>;

/// Steps, each bound to the call before or after which the program took it.
#[derive(Default)]
pub struct Script {
    before: Vec<Step<Before>>,
    after: Vec<Step<After>>,
    seen: HashMap<Kind, usize>,
}

struct Step<Act> {
    kind: Kind,
    /// Which call of that kind, from 0 on; `None` is every one.
    nth: Option<usize>,
    act: Act,
    taken: bool,
}

impl<Act> Step<Act> {
    fn is_due(&mut self, kind: Kind, nth: usize) -> bool {
        let due = self.kind == kind && self.nth.is_none_or(|wanted| wanted == nth);
        self.taken |= due;
        due
    }
}

impl Script {
    /// Before the `nth` call of `kind`, from 0 on.
    pub fn before(&mut self, kind: Kind, nth: usize, act: impl FnMut(&World, &Call) + 'static) {
        self.before.push(Step { kind, nth: Some(nth), act: Box::new(act), taken: false });
    }

    /// Before every call of `kind`.
    pub fn before_each(&mut self, kind: Kind, act: impl FnMut(&World, &Call) + 'static) {
        self.before.push(Step { kind, nth: None, act: Box::new(act), taken: false });
    }

    /// After the `nth` call of `kind`, from 0 on.
    pub fn after(&mut self, kind: Kind, nth: usize, act: impl FnMut(&World, &Call, &Answer) + 'static) {
        self.after.push(Step { kind, nth: Some(nth), act: Box::new(act), taken: false });
    }

    /// After every call of `kind`.
    pub fn after_each(&mut self, kind: Kind, act: impl FnMut(&World, &Call, &Answer) + 'static) {
        self.after.push(Step { kind, nth: None, act: Box::new(act), taken: false });
    }

    /// Takes the steps that are due before `call`, and says the how manieth of its kind it is, from 0 on.
    pub fn run_before(&mut self, world: &World, call: &Call) -> usize {
        let (kind, nth) = self.count(call);
        for step in self.before.iter_mut().filter_map(|step| step.is_due(kind, nth).then_some(step)) {
            (step.act)(world, call);
        }
        nth
    }

    /// Takes the steps that are due after `call`, which was answered with `answer` here.
    pub fn run_after(&mut self, world: &World, call: &Call, answer: &Answer) {
        let (kind, nth) = self.count(call);
        for step in self.after.iter_mut().filter_map(|step| step.is_due(kind, nth).then_some(step)) {
            (step.act)(world, call, answer);
        }
        self.seen.insert(kind, nth + 1);
    }

    /// The calls that steps were bound to and that never came: the script is wrong.
    pub fn left_over(&self) -> Vec<(Kind, Option<usize>)> {
        let before = self.before.iter().filter(|step| !step.taken).map(|step| (step.kind, step.nth));
        let after = self.after.iter().filter(|step| !step.taken).map(|step| (step.kind, step.nth));
        before.chain(after).collect()
    }

    fn count(&self, call: &Call) -> (Kind, usize) {
        let kind = call.kind();
        (kind, self.seen.get(&kind).copied().unwrap_or(0))
    }
}
