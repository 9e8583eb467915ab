//! A saved device.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Device, interrupts};
use crate::alarm::Alarm;
use crate::exerciser;
use crate::fabric::Initiator;

/// A saved [`Device`]: what is held is part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    exerciser: exerciser::State,
    interrupts: interrupts::State,
    alarm: Alarm,
}

/// Values that no saved device has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the saved state of the exerciser of {device} is damaged ({what}); save it again")]
pub struct StateError {
    /// Whose state it is.
    pub device: Initiator,
    /// What is wrong.
    pub what: &'static str,
}

impl Device {
    /// The device as data.
    pub fn save(&self) -> State {
        let Self { id: _, pasid_bits: _, port: _, exerciser, interrupts, alarm } = self;
        State { exerciser: exerciser.to_state(), interrupts: interrupts.save(), alarm: alarm.clone() }
    }

    /// Checks a state without taking it over.
    ///
    /// # Errors
    /// [`StateError`] if [`Self::restore`] would refuse it.
    pub fn check(&self, state: &State) -> Result<(), StateError> {
        let State { exerciser, interrupts, alarm: _ } = state;
        exerciser
            .check()
            .and_then(|()| self.interrupts.check(interrupts))
            .map_err(|what| StateError { device: self.initiator(), what })
    }

    /// Takes over what was saved.
    ///
    /// # Errors
    /// [`StateError`] if it is damaged; nothing has changed then.
    pub fn restore(&mut self, state: State) -> Result<(), StateError> {
        self.check(&state)?;
        let State { exerciser, interrupts, alarm } = state;
        let device = self.initiator();
        self.exerciser.take_state(exerciser).map_err(|what| StateError { device, what })?;
        self.interrupts.restore(interrupts);
        self.alarm = alarm;
        Ok(())
    }
}
