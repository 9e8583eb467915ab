//! What can be wrong with what UEFI is to leave behind.

use thiserror::Error;

use crate::acpi::AcpiError;
use crate::arm::DescriptionError;
use crate::fdt::FdtError;

/// A machine cannot be handed over as UEFI does.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum EfiError {
    /// The description is at fault.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// The ACPI tables cannot be made.
    #[error(transparent)]
    Acpi(#[from] AcpiError),
    /// The device tree cannot be made.
    #[error(transparent)]
    Tree(#[from] FdtError),
    /// No place for it all.
    #[error(
        "{first:#x} to {last:#x} cannot hold UEFI's tables; use more than 192 KiB of RAM, from a multiple of \
         64 KiB on"
    )]
    Area {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// Too many bytes for their place.
    #[error("the {what} has {size} bytes, and 64 KiB are for it; describe less")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Bytes.
        size: usize,
    },
}
