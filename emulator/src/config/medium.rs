//! What an NVMe namespace is stored on: `file=disk.img,snapshot=on`, or `size=64M`.

use std::path::{Path, PathBuf};

use devices::nvme::LBA;
use serde::{Deserialize, Serialize};

use super::size::parse_bytes;
use super::{ConfigError, switch};

/// A medium as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediumSpec {
    /// Memory of this process, zero at first.
    Memory {
        /// Its size.
        bytes: u64,
    },
    /// A file or block device of the host.
    File {
        /// Where it is.
        path: PathBuf,
        /// The guest cannot write.
        read_only: bool,
        /// What the guest writes is kept in memory of this process, and the file is not changed.
        snapshot: bool,
    },
}

/// Sizes of media in memory.
const SIZES: std::ops::RangeInclusive<u64> = LBA..=64 << 30;
const SIZES_EXPECTED: &str = "a size such as 64M: a multiple of 512, at most 64G";

impl MediumSpec {
    /// The file of the host that it is stored in, and whether a guest can change that.
    pub fn file(&self) -> Option<(&Path, bool)> {
        match self {
            Self::Memory { .. } => None,
            Self::File { path, read_only, snapshot } => Some((path, !read_only && !snapshot)),
        }
    }

    /// See [`super::MachineConfig::check`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Memory { bytes } if !is_size(*bytes) => Err(bad_size(&bytes.to_string())),
            Self::File { read_only: true, snapshot: true, .. } => Err(ConfigError::ReadOnlySnapshot),
            Self::Memory { .. } | Self::File { .. } => Ok(()),
        }
    }
}

/// The options of a medium, as they come.
#[derive(Debug, Default)]
pub(super) struct Options {
    file: Option<PathBuf>,
    size: Option<u64>,
    read_only: Option<bool>,
    snapshot: Option<bool>,
}

impl Options {
    /// Takes an option; `false` if it is none of a medium.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        match key {
            "file" => self.file = Some(value.into()),
            "size" => {
                let size = parse_bytes(value).filter(|bytes| is_size(*bytes));
                self.size = Some(size.ok_or_else(|| bad_size(value))?);
            }
            "readonly" => self.read_only = Some(switch("readonly", value)?),
            "snapshot" => self.snapshot = Some(switch("snapshot", value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The medium that they describe.
    pub(super) fn finish(self) -> Result<MediumSpec, ConfigError> {
        let Self { file, size, read_only, snapshot } = self;
        let spec = match (file, size) {
            (Some(path), None) => MediumSpec::File {
                path,
                read_only: read_only.unwrap_or(false),
                snapshot: snapshot.unwrap_or(false),
            },
            (None, Some(bytes)) if read_only.is_none() && snapshot.is_none() => MediumSpec::Memory { bytes },
            (None, Some(_)) => return Err(ConfigError::NotOfMemory),
            (None, None) | (Some(_), Some(_)) => return Err(ConfigError::OneMedium),
        };
        spec.check()?;
        Ok(spec)
    }
}

fn is_size(bytes: u64) -> bool {
    SIZES.contains(&bytes) && bytes.is_multiple_of(LBA)
}

fn bad_size(value: &str) -> ConfigError {
    ConfigError::Value { key: "size", value: value.to_owned(), expected: SIZES_EXPECTED }
}
