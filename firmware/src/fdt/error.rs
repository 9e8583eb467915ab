//! Why there is no blob.

use thiserror::Error;

use crate::arm::DescriptionError;

/// No device tree can be made.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum FdtError {
    /// The description is at fault.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// The description has what a blob cannot hold, though its own checks let it pass.
    #[error("the device tree cannot be written: {0}; simplify the description")]
    Write(#[from] vm_fdt::Error),
    /// The blob is larger than a kernel takes.
    #[error("the device tree has {size} bytes; {max} are the most: describe fewer devices")]
    TooLarge {
        /// Bytes.
        size: usize,
        /// The most that Linux maps.
        max: usize,
    },
}
