//! Media of NVMe namespaces: what the models of `devices` cannot have, files of the host.

mod absent;
mod file;
#[cfg(test)]
mod tests;

use devices::nvme::medium::{Medium, Memory, Overlay};

use crate::config::MediumSpec;
use absent::Absent;
use file::File;
pub use file::OpenError;

/// What becomes of files that the description of a machine names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// They are opened, and locked as long as the machine is there.
    Opened,
    /// They are left alone; a guest could not read them.
    Absent,
}

/// The medium that `spec` describes.
///
/// # Errors
/// A file that cannot be used.
pub(super) fn build(spec: &MediumSpec, files: Files) -> Result<Box<dyn Medium>, OpenError> {
    match (spec, files) {
        (MediumSpec::Memory { bytes }, _) => Ok(Box::new(Memory::new(*bytes))),
        (MediumSpec::File { .. }, Files::Absent) => Ok(Box::new(Absent::default())),
        (MediumSpec::File { path, read_only, snapshot }, Files::Opened) => {
            let file = File::open(path, *read_only || *snapshot)?;
            Ok(if *snapshot { Box::new(Overlay::new(Box::new(file))) } else { Box::new(file) })
        }
    }
}
