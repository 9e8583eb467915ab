//! What an input made visible, as one number, to compare two runs.

use devices::fabric::{Access, Effect, Outcome};

/// A running hash, equal for equal sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Takes a number in.
    pub fn number(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The hash so far.
    pub fn value(&self) -> u64 {
        self.0
    }

    /// Takes bytes in, and how many they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.number(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.number((*byte).into()));
    }

    /// Takes in how a DMA ended.
    pub fn outcome(&mut self, outcome: Outcome) {
        self.number(match outcome {
            Outcome::Done => 1,
            Outcome::Raz => 2,
            Outcome::Abort(abort) => 3 + abort as u64,
            Outcome::Stalled(tag) => 5 + u64::from(tag.number),
        });
    }

    /// Takes an effect in.
    pub fn effect(&mut self, effect: &Effect) {
        let fields = match effect {
            Effect::Interrupt { initiator, address, data } => {
                [1, initiator.source().0.into(), *address, (*data).into()]
            }
            Effect::PostedWrite { unit: _, address, data } => [2, *address, (*data).into(), 0],
            Effect::Fault { fault, .. } => {
                let access = match fault.access {
                    Access::Read => 0,
                    Access::Write => 1,
                    Access::Atomic => 2,
                };
                [3 + access, fault.source.0.into(), fault.address.0, fault.reason.code().into()]
            }
            Effect::Event { report, .. } => [
                9,
                report.subject.stream.0.into(),
                report.subject.address.0,
                report.stall.map_or(0, |stag| 1 + u64::from(stag)),
            ],
            Effect::Resume { tag, .. } => [10, tag.number.into(), 0, 0],
            Effect::Pulse { line } => [11, (*line).into(), 0, 0],
            Effect::SendEvent { .. } => [12, 0, 0, 0],
            Effect::Stale { .. } => [8, 0, 0, 0],
            Effect::Line { line, asserted } => [6, (*line).into(), (*asserted).into(), 0],
            Effect::Schedule { device, time, .. } => [7, device.0.into(), time.0, 0],
        };
        fields.into_iter().for_each(|field| self.number(field));
    }
}
