//! Files that a guest is made of.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use emulator::exit::Exit;
use emulator::machine::MachineState;
use emulator::snapshot::{self, SnapshotError};

use super::{Failure, OrExit};

/// The largest image or module: no guest of this emulator comes near, and a mistyped name of a disk does not
/// fill the host's memory.
const MAX: u64 = 256 << 20;

/// Reads a file.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= MAX, "it is larger than {MAX} bytes");
    Ok(bytes)
}

/// Reads what `what` names, such as "the kernel".
pub fn read_named(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    read(path).with_context(|| format!("cannot read {what} {}", path.display())).or_exit(Exit::Environment)
}

/// Reads an initial RAM disk.
pub fn read_initrd(path: &Path) -> Result<Vec<u8>, Failure> {
    read_named("the initial RAM disk", path)
}

/// Reads a saved machine.
pub fn read_snapshot(path: &Path) -> Result<MachineState, Failure> {
    snapshot::read(path).map_err(|error| {
        let exit = match &error {
            SnapshotError::Io(_) => Exit::Environment,
            SnapshotError::Json(_) | SnapshotError::TooLarge => Exit::Usage,
        };
        let error = anyhow::Error::new(error).context(format!("cannot read {}", path.display()));
        Failure { exit, error }
    })
}
