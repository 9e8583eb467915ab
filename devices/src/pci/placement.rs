//! Where functions are, as the machine says it and is told it.

use thiserror::Error;

use super::bar::BarSpec;
use crate::addr::SourceId;
use crate::events::DeviceId;

/// Which bus a function is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus<'a> {
    /// Bus 0.
    Root,
    /// The bus behind the root port of this name.
    Behind(&'a str),
}

/// Where a function is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement<'a> {
    /// Bus.
    pub bus: Bus<'a>,
    /// Device number, 0 to 31; behind a root port there is only device 0.
    pub device: u8,
    /// Function number, 0 to 7.
    pub function: u8,
}

/// A function cannot be put where it should go.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddError {
    /// No such device or function number.
    #[error("{device:02x}.{function:x} is no PCI address; use device 00 to 1f and function 0 to 7")]
    Range {
        /// Device number asked for.
        device: u8,
        /// Function number asked for.
        function: u8,
    },
    /// A device other than 0 behind a root port.
    #[error("device {0:02x} does not exist behind a root port; its link leads to device 00 only")]
    Link(u8),
    /// The place is taken.
    #[error("{device:02x}.{function:x} of that bus is taken by {by}; choose another address")]
    Taken {
        /// Device number asked for.
        device: u8,
        /// Function number asked for.
        function: u8,
        /// What is there.
        by: String,
    },
    /// No root port of that name.
    #[error("there is no root port {0:?}; add it before what goes behind it")]
    NoRootPort(String),
    /// Two root ports of one name.
    #[error("there is a root port {0:?} already; give each its own id")]
    DuplicateRootPort(String),
}

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind<'a> {
    /// The host bridge.
    HostBridge,
    /// A root port.
    RootPort {
        /// Its name.
        name: &'a str,
    },
    /// An endpoint.
    Endpoint {
        /// The machine's number for it.
        id: DeviceId,
        /// Name of its model.
        model: &'static str,
    },
}

/// A function as the machine needs to know it: to assign resources and to describe it in tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionInfo<'a> {
    /// Where it is.
    pub placement: Placement<'a>,
    /// What it is.
    pub kind: FunctionKind<'a>,
    /// Its address by the bus numbers of now; `None` behind a root port without a bus number.
    pub source: Option<SourceId>,
    /// Its BARs.
    pub bars: &'a [BarSpec],
    /// The interrupt line that its pin drives, if it has one.
    pub line: Option<u32>,
}
