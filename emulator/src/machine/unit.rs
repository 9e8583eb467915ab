//! A remapping unit in its place, whichever model it is.

use std::sync::Arc;

use devices::events::{DeviceEvent, DeviceId};
use devices::fabric::{Effects, Translate};
use devices::{smmuv3, vtd};
use serde::{Deserialize, Serialize};

/// A remapping unit in its place.
pub(super) struct Remapper {
    /// First register.
    pub base: u64,
    /// Its number in the event queue.
    pub device: DeviceId,
    pub unit: Unit,
}

impl Remapper {
    /// Bytes of registers.
    pub const fn size(&self) -> u64 {
        match self.unit {
            Unit::Vtd(_) => vtd::REGISTERS_SIZE,
            Unit::Smmuv3(_) => smmuv3::REGISTERS_SIZE,
        }
    }
}

/// A unit, by its model.
pub(super) enum Unit {
    Vtd(vtd::Unit),
    Smmuv3(smmuv3::Unit),
}

/// A saved [`Unit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Vtd(vtd::State),
    Smmuv3(smmuv3::State),
}

impl Unit {
    /// The half that bus masters meet.
    pub fn translator(&self) -> Arc<dyn Translate> {
        match self {
            Self::Vtd(unit) => unit.translator(),
            Self::Smmuv3(unit) => unit.translator(),
        }
    }

    /// Software reads `data.len()` bytes at `offset` of the register file.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        match self {
            Self::Vtd(unit) => unit.read(offset, data, fx),
            Self::Smmuv3(unit) => unit.read(offset, data, fx),
        }
    }

    /// Software writes `data` at `offset`.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        match self {
            Self::Vtd(unit) => unit.write(offset, data, fx),
            Self::Smmuv3(unit) => unit.write(offset, data, fx),
        }
    }

    /// Delivers an event that the unit asked for.
    pub fn event(&mut self, event: DeviceEvent, fx: &mut Effects) {
        match self {
            Self::Vtd(unit) => unit.event(event, fx),
            Self::Smmuv3(unit) => unit.event(event, fx),
        }
    }

    pub fn save(&self) -> State {
        match self {
            Self::Vtd(unit) => State::Vtd(unit.save()),
            Self::Smmuv3(unit) => State::Smmuv3(unit.save()),
        }
    }

    /// Whether `state` is one of a unit of this model.
    pub fn fits(&self, state: &State) -> bool {
        matches!((self, state), (Self::Vtd(_), State::Vtd(_)) | (Self::Smmuv3(_), State::Smmuv3(_)))
    }

    /// Continues from a state that [fits](Self::fits); another changes nothing.
    pub fn restore(&mut self, state: State) {
        match (self, state) {
            (Self::Vtd(unit), State::Vtd(state)) => unit.restore(state),
            (Self::Smmuv3(unit), State::Smmuv3(state)) => unit.restore(state),
            (Self::Vtd(_), State::Smmuv3(_)) | (Self::Smmuv3(_), State::Vtd(_)) => {}
        }
    }
}
