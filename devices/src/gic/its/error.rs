//! Why a command was skipped or a message dropped.

use thiserror::Error;

/// What is wrong with a command or a message [GICv3 5.3]. Software is not told: GITS_TYPER.SEIS is 0,
/// and the queue goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", self.describe())]
pub enum Error {
    /// The ITS is off.
    Disabled,
    /// There is no such command.
    Opcode,
    /// The DeviceID has too many bits, or the device table has no place for it.
    DeviceRange,
    /// The device is not mapped.
    Device,
    /// MAPD asks for more EventIDs than there can be.
    Size,
    /// The device has no such EventID.
    EventRange,
    /// The event is not mapped.
    Event,
    /// The INTID is not that of an LPI, or has too many bits.
    Intid,
    /// The collection table has no place for the collection.
    CollectionRange,
    /// The collection is not mapped.
    Collection,
    /// There is no such redistributor.
    Redistributor,
    /// A table lies outside memory.
    Table,
}

impl Error {
    /// The reason in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Disabled => "the ITS is disabled",
            Self::Opcode => "unknown opcode",
            Self::DeviceRange => "DeviceID out of range",
            Self::Device => "device not mapped",
            Self::Size => "EventID size out of range",
            Self::EventRange => "EventID out of range",
            Self::Event => "event not mapped",
            Self::Intid => "INTID out of range",
            Self::CollectionRange => "collection out of range",
            Self::Collection => "collection not mapped",
            Self::Redistributor => "no such redistributor",
            Self::Table => "table outside memory",
        }
    }
}
