//! Interrupts of a device: messages, of which the IOMMU may hold some, or the line.

use serde::{Deserialize, Serialize};

use crate::exerciser::MSIX;
use crate::fabric::{Access, DmaPort, Effect, Effects, Outcome, Request, Resumption, StallTag};
use crate::vectors::{Entry, Message, Vectors};

/// Bytes of a message.
const MESSAGE_SIZE: u64 = 4;

/// The interrupts of one device.
#[derive(Debug)]
pub(super) struct Interrupts {
    line: u32,
    pub vectors: Vectors,
    /// Events are messages.
    messages: bool,
    /// Vectors whose events went to the line.
    events: u8,
    /// At most one for each vector.
    held: Vec<Held>,
}

/// [`Interrupts`] as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    vectors: Vec<Entry>,
    messages: bool,
    events: u8,
    held: Vec<Held>,
}

/// A message that the IOMMU holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    tag: StallTag,
    vector: u16,
    message: Message,
}

impl Interrupts {
    pub fn new(line: u32) -> Self {
        let vectors = Vectors::new(MSIX.vectors);
        Self { line, vectors, messages: false, events: 0, held: Vec::new() }
    }

    /// The event of `vector` has occurred.
    pub fn raise(&mut self, vector: u16, port: &DmaPort, fx: &mut Effects) {
        if !self.messages {
            // There are 8 vectors.
            return self.change(fx, |this| this.events |= 1_u8.checked_shl(vector.into()).unwrap_or(0));
        }
        if let Some(message) = self.vectors.raise(vector, is_held(&self.held, vector)) {
            self.send(vector, message, port, fx);
        }
    }

    /// Sends what was pending and may go now.
    pub fn send_unmasked(&mut self, port: &DmaPort, fx: &mut Effects) {
        while self.messages
            && let Some((vector, message)) = self.vectors.unmasked(|vector| is_held(&self.held, vector))
        {
            self.send(vector, message, port, fx);
        }
    }

    /// A held message goes on, or ends. Returns whether there is one of this tag.
    pub fn resume(&mut self, tag: StallTag, how: Resumption, port: &DmaPort, fx: &mut Effects) -> bool {
        let Some(at) = self.held.iter().position(|held| held.tag == tag) else { return false };
        let Held { tag: _, vector, message } = self.held.remove(at);
        match how {
            Resumption::Retry => self.send(vector, message, port, fx),
            Resumption::End(outcome) => {
                port.ended(Request::at(message.address), MESSAGE_SIZE, Access::Write, outcome, fx);
            }
        }
        true
    }

    fn send(&mut self, vector: u16, message: Message, port: &DmaPort, fx: &mut Effects) {
        let result = port.write(Request::at(message.address), &message.data.to_le_bytes(), fx);
        // A message that is refused is lost: its sender learns nothing.
        if let Outcome::Stalled(tag) = result.outcome {
            self.held.push(Held { tag, vector, message });
        }
    }

    pub fn messages(&self) -> bool {
        self.messages
    }

    /// Has events become messages, or go to the line.
    pub fn set_messages(&mut self, messages: bool, fx: &mut Effects) {
        self.change(fx, |this| this.messages = messages);
    }

    /// Vectors whose events went to the line.
    pub fn events(&self) -> u8 {
        self.events
    }

    /// Forgets events that went to the line.
    pub fn clear_events(&mut self, events: u8, fx: &mut Effects) {
        self.change(fx, |this| this.events &= !events);
    }

    /// Vectors whose messages are held.
    pub fn held(&self) -> u8 {
        self.held.iter().fold(0, |bits, held| bits | 1_u8.checked_shl(held.vector.into()).unwrap_or(0))
    }

    /// The level of the line.
    fn level(&self) -> bool {
        self.events != 0 && !self.messages
    }

    fn change(&mut self, fx: &mut Effects, change: impl FnOnce(&mut Self)) {
        let before = self.level();
        change(self);
        let asserted = self.level();
        if asserted != before {
            fx.push(Effect::Line { line: self.line, asserted });
        }
    }

    pub fn save(&self) -> State {
        let Self { line: _, vectors, messages, events, held } = self;
        State { vectors: vectors.save(), messages: *messages, events: *events, held: held.clone() }
    }

    /// Says what is wrong with a state, if anything is.
    pub fn check(&self, state: &State) -> Result<(), &'static str> {
        let State { vectors, messages: _, events: _, held } = state;
        if !self.vectors.fits(vectors) {
            return Err("the size of its vector table");
        }
        let rest = |at: usize| held.get(at + 1..).unwrap_or_default();
        let valid = |(at, one): (usize, &Held)| one.vector < MSIX.vectors && !is_held(rest(at), one.vector);
        if held.iter().enumerate().all(valid) { Ok(()) } else { Err("its held messages") }
    }

    /// Continues from a state that has been checked.
    pub fn restore(&mut self, state: State) {
        let State { vectors, messages, events, held } = state;
        self.vectors.restore(vectors);
        (self.messages, self.events, self.held) = (messages, events, held);
    }
}

fn is_held(held: &[Held], vector: u16) -> bool {
    held.iter().any(|held| held.vector == vector)
}
