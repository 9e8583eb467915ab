//! Sizes of memory: `512M`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Bytes of RAM: a multiple of 4 KiB between [`Self::MIN`] and [`Self::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct MemorySize(u64);

impl MemorySize {
    /// Enough for a boot image, its tables and its stack.
    pub const MIN: Self = Self(4 << 20);
    /// What stays below the 39 address bits of the narrowest IOMMU.
    pub const MAX: Self = Self(256 << 30);

    const EXPECTED: &str = "a size such as 512M or 4G: a multiple of 4K, from 4M to 256G";

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for MemorySize {
    fn default() -> Self {
        Self(512 << 20)
    }
}

impl TryFrom<u64> for MemorySize {
    type Error = ConfigError;

    fn try_from(bytes: u64) -> Result<Self, ConfigError> {
        let valid = bytes.is_multiple_of(4096) && (Self::MIN.0..=Self::MAX.0).contains(&bytes);
        valid.then_some(Self(bytes)).ok_or_else(|| invalid(&bytes.to_string()))
    }
}

impl From<MemorySize> for u64 {
    fn from(size: MemorySize) -> Self {
        size.0
    }
}

impl FromStr for MemorySize {
    type Err = ConfigError;

    /// A number of bytes, or of KiB, MiB or GiB with the suffix `K`, `M` or `G`.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        parse_bytes(text).and_then(|bytes| Self::try_from(bytes).ok()).ok_or_else(|| invalid(text))
    }
}

/// A number of bytes, or of KiB, MiB or GiB with the suffix `K`, `M` or `G`.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    super::parse_number(digits)?.checked_mul(1 << shift)
}

fn invalid(value: &str) -> ConfigError {
    ConfigError::Value { key: "memory", value: value.to_owned(), expected: MemorySize::EXPECTED }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, suffix) in [(30, "G"), (20, "M")] {
            if self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{suffix}", self.0 >> shift);
            }
        }
        write!(f, "{}K", self.0 >> 10)
    }
}
