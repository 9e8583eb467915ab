//! What can be wrong with a description.

use thiserror::Error;

/// A description that contradicts itself or that no table can say.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DescriptionError {
    /// A list that must not be empty.
    #[error("there is no {0}; describe at least one")]
    None(&'static str),
    /// A list that is too long.
    #[error("there are {count} {what}s; describe at most {max}")]
    TooMany {
        /// What is listed.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many there can be.
        max: usize,
    },
    /// Two of a kind with one number.
    #[error("the {what} {id:#x} is given twice; give each its own")]
    Duplicate {
        /// Which kind of number.
        what: &'static str,
        /// The number.
        id: u64,
    },
    /// A number that its field or its meaning does not allow.
    #[error("{what} is {value:#x}; {remedy}")]
    Value {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it must be.
        remedy: &'static str,
    },
    /// A range that is empty, misaligned, or lies where it must not.
    #[error("{what} is {first:#x} to {last:#x}; {remedy}")]
    Range {
        /// Which range.
        what: &'static str,
        /// First address or number.
        first: u64,
        /// Last address or number.
        last: u64,
        /// What it must be.
        remedy: &'static str,
    },
    /// Two things at one place.
    #[error("{what} and {other} overlap at {at:#x}; move one")]
    Overlap {
        /// The one that begins first.
        what: &'static str,
        /// The other.
        other: &'static str,
        /// First address or number of the other.
        at: u64,
    },
    /// A string that is not what it is to be.
    #[error("{what} is {text:?}; {remedy}")]
    Text {
        /// Which string.
        what: &'static str,
        /// What it is.
        text: String,
        /// What it must be.
        remedy: &'static str,
    },
    /// Something that names an SMMU that is not there, or no SMMU where it needs one.
    #[error("{what} {id:#x} is behind no SMMU of this machine; name one of those described")]
    NoSmmu {
        /// What should be behind it.
        what: &'static str,
        /// Its number: first requester id, or index of the device.
        id: u64,
    },
    /// An SMMU whose events nobody would hear of.
    #[error(
        "the SMMU at {0:#x} can send no message interrupts, nor are its event queue and global errors both wired; do \
         either"
    )]
    Mute(u64),
    /// A DeviceID without an ITS.
    #[error("the DeviceID {0:#x} needs an ITS; describe one, or no message interrupts")]
    NoIts(u32),
}
