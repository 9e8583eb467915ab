//! What can be wrong with a description.

use thiserror::Error;

use crate::arm::DescriptionError;

/// No tables can be made, or they cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AcpiError {
    /// The description of an Arm machine is at fault.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A list that must not be empty.
    #[error("the machine has no {0}; describe at least one")]
    None(&'static str),
    /// Two processors or I/O APICs with one id.
    #[error("two {what}s have the id {id:#x}; give each its own")]
    Duplicate {
        /// Processor or I/O APIC.
        what: &'static str,
        /// The id.
        id: u32,
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
    /// A range that is empty, or lies where it must not.
    #[error("{what} is {first:#x} to {last:#x}; {remedy}")]
    Range {
        /// Which range.
        what: &'static str,
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
        /// What it must be.
        remedy: &'static str,
    },
    /// INTR_REMAP with an I/O APIC that no unit serves: an operating system would not remap any.
    #[error(
        "no remapping unit's scope names I/O APIC {0}; add it to one, or describe no interrupt remapping"
    )]
    UnscopedIoApic(u8),
    /// A unit after the INCLUDE_PCI_ALL one of its segment.
    #[error(
        "the remapping unit at {base:#x} follows the one that takes all else of segment {segment}; put that one last"
    )]
    AfterIncludeAll {
        /// PCI segment.
        segment: u16,
        /// Registers of the unit that comes too late.
        base: u64,
    },
    /// A device scope whose path is empty, too long, or not made of PCI numbers.
    #[error(
        "a device scope on bus {start_bus:#x} has a bad path; it takes 1 to 124 steps of device 0 to 31, function 0 \
         to 7"
    )]
    Path {
        /// Where the path begins.
        start_bus: u8,
    },
    /// A DMAR structure of more bytes than its length field can say.
    #[error(
        "the device scopes of the structure at {address:#x} have {size} bytes; 65535 fit: use bridges' scopes"
    )]
    Scopes {
        /// Base of the unit or of the reserved memory.
        address: u64,
        /// Bytes.
        size: usize,
    },
    /// An IORT node of more bytes than its length field can say.
    #[error("the ID mappings of {node} make it {size} bytes; 65535 fit: describe fewer ranges of ids")]
    Mappings {
        /// Which node.
        node: &'static str,
        /// Bytes.
        size: usize,
    },
    /// The tables do not fit the area where they are to lie.
    #[error("the ACPI tables have {size} bytes; {max} fit their area: describe fewer devices")]
    TooLarge {
        /// Bytes.
        size: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// No RAM where the tables are to lie.
    #[error("{first:#x} to {last:#x} is not all RAM; the ACPI tables lie there")]
    NoRam {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
}
