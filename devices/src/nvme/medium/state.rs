//! A saved medium.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A saved [`Medium`](super::Medium).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediumState {
    /// Of a [`Memory`](super::Memory): the blocks that are not all zero, by ascending index.
    Memory(Vec<Block>),
    /// Of an [`Overlay`](super::Overlay).
    Overlay {
        /// What it lies on.
        below: Box<MediumState>,
        /// The blocks that differ from it, by ascending index.
        blocks: Vec<Block>,
    },
    /// Of a medium whose bytes the host keeps: they are not part of the state.
    Host {
        /// Its capacity in bytes.
        bytes: u64,
    },
}

/// [`BLOCK`](super::BLOCK) bytes of a medium; fewer at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Where it lies on the medium, in blocks.
    pub index: u64,
    /// What it holds.
    pub bytes: Bytes,
}

/// Bytes that are base64 in text formats.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(de::Error::custom)
    }
}
