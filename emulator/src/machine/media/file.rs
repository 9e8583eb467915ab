//! A file or block device of the host as a medium.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use devices::nvme::LBA;
use devices::nvme::medium::{Medium, MediumError, MediumState};
use thiserror::Error;

/// A file that cannot be a medium.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The host refuses.
    #[error("cannot open {}: {source}; give file= a file that this user may use, or readonly=on", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// It has no bytes that could be read at any place.
    #[error("{} is neither a file nor a block device; give file= a disk image", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// It does not consist of blocks.
    #[error(
        "{} has {bytes} bytes; a disk has a multiple of {LBA}, at least one: 'truncate -s %{LBA}' pads it",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Somebody else writes it, or reads what would be written.
    #[error("{} is in use by another device or machine; end that, or use snapshot=on in both", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

/// An open file, locked against other writers.
#[derive(Debug)]
pub(super) struct File {
    file: fs::File,
    bytes: u64,
    read_only: bool,
}

impl File {
    /// Opens `path`, for reading alone if `read_only`.
    pub(super) fn open(path: &Path, read_only: bool) -> Result<Self, OpenError> {
        let path = || path.to_owned();
        let failed = |source| OpenError::Open { path: path(), source };
        // To open a pipe would wait for its other end.
        let kind = fs::metadata(path()).map_err(failed)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(OpenError::Kind { path: path() });
        }
        let mut file = OpenOptions::new().read(true).write(!read_only).open(path()).map_err(failed)?;
        match if read_only { file.try_lock_shared() } else { file.try_lock() } {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path() }),
            // Some file systems have no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The metadata of a block device do not have its size.
        let bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if bytes == 0 || !bytes.is_multiple_of(LBA) {
            return Err(OpenError::Size { path: path(), bytes });
        }
        Ok(Self { file, bytes, read_only })
    }

    /// Whether `len` bytes from `at` on are in the file: it must not grow.
    fn check(&self, at: u64, len: usize) -> Result<(), MediumError> {
        let fits = at.checked_add(len as u64).is_some_and(|end| end <= self.bytes);
        fits.then_some(()).ok_or(MediumError)
    }
}

impl Medium for File {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, at: u64, data: &mut [u8]) -> Result<(), MediumError> {
        self.check(at, data.len())?;
        self.file.read_exact_at(data, at).map_err(|_| MediumError)
    }

    fn write(&mut self, at: u64, data: &[u8]) -> Result<(), MediumError> {
        self.check(at, data.len())?;
        self.file.write_all_at(data, at).map_err(|_| MediumError)
    }

    /// Does nothing: holes in the file are not asked for.
    fn deallocate(&mut self, _: u64, _: u64) {}

    fn flush(&mut self) -> Result<(), MediumError> {
        if self.read_only { Ok(()) } else { self.file.sync_data().map_err(|_| MediumError) }
    }

    fn save(&self) -> MediumState {
        MediumState::Host { bytes: self.bytes }
    }

    fn restore(&mut self, state: MediumState) -> Result<(), &'static str> {
        match state {
            MediumState::Host { bytes } if bytes == self.bytes => Ok(()),
            MediumState::Host { .. } => Err("the size of its file"),
            MediumState::Memory(_) | MediumState::Overlay { .. } => Err("the kind of its medium"),
        }
    }
}
