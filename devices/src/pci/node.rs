//! The places of a host and what is in them.

use super::config::ConfigSpace;
use super::function::Function;
use super::root_port::RootPort;

/// What a function is.
pub(super) enum Body {
    HostBridge(ConfigSpace),
    RootPort(RootPort),
    Endpoint(Box<Function>),
}

impl Body {
    pub(super) fn config(&mut self) -> &mut ConfigSpace {
        match self {
            Self::HostBridge(config) => config,
            Self::RootPort(port) => &mut port.config,
            Self::Endpoint(function) => &mut function.wiring.config,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::HostBridge(_) => "the host bridge".to_owned(),
            Self::RootPort(port) => format!("root port {:?}", port.name),
            Self::Endpoint(function) => format!("{} {}", function.description.model, function.id.0),
        }
    }
}

/// A function in its place.
pub(super) struct Node {
    /// Index of the root port that the function is behind.
    pub(super) parent: Option<usize>,
    pub(super) device: u8,
    pub(super) function: u8,
    pub(super) body: Body,
}
