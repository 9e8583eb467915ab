//! A saved host.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::endpoint::{EndpointState, Timer};
use crate::addr::SourceId;
use crate::alarm::Alarm;
use crate::vectors::Entry;

/// A saved [`Host`](super::Host).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(super) config_address: u32,
    pub(super) lines: u8,
    pub(super) functions: Vec<FunctionState>,
}

/// A saved function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FunctionState {
    /// The host bridge.
    HostBridge {
        /// Configuration dwords.
        config: Vec<u32>,
    },
    /// A root port.
    RootPort {
        /// Configuration dwords.
        config: Vec<u32>,
    },
    /// An endpoint.
    Endpoint {
        /// Configuration dwords.
        config: Vec<u32>,
        /// The requester id it has captured.
        source: SourceId,
        /// MSI-X table and pending bits.
        msix: Vec<Entry>,
        /// The level its model wants on the interrupt pin.
        intx: bool,
        /// Its timers.
        alarms: [Alarm; Timer::COUNT],
        /// Its model.
        model: EndpointState,
    },
}

impl FunctionState {
    /// Name of the model.
    pub(super) fn model(&self) -> &'static str {
        match self {
            Self::HostBridge { .. } => "host bridge",
            Self::RootPort { .. } => "root-port",
            Self::Endpoint { model, .. } => model.model(),
        }
    }
}

/// A saved state does not fit the machine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// Another number of functions.
    #[error(
        "the saved state has {saved} PCI functions and this machine has {here}; \
         give it the devices it was saved with"
    )]
    Functions {
        /// How many were saved.
        saved: usize,
        /// How many there are.
        here: usize,
    },
    /// Another device in the same place.
    #[error(
        "the saved state has a {found} where this machine has a {expected}; \
         give it the devices it was saved with, in the same order"
    )]
    Model {
        /// The model in this machine.
        expected: &'static str,
        /// The model that was saved.
        found: &'static str,
    },
    /// Values that no saved device has.
    #[error("the saved state of the {model} is damaged ({what}); save it again")]
    Invalid {
        /// The model.
        model: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}
