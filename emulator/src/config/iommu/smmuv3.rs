//! An SMMUv3: `smmuv3.2-nested,cache=tiny`.

use devices::addr::StreamId;
use devices::smmuv3::Config;
use devices::smmuv3::capability::{OVERRIDES, Override};
use devices::smmuv3::stream_map::{RequesterRange, StreamMap};
use serde::{Deserialize, Serialize};

use super::super::{ConfigError, parse_number};
use super::policy;

/// Keys of the options that are no fields of the ID registers.
const OPTIONS: &[&str] = &["cache", "devices", "streams"];
const STREAMS: &str = "the StreamID of requester id 00:00.0, a multiple of 0x10000 below 0x100000000";

/// An SMMUv3 as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smmuv3Spec {
    /// What follows from the preset and the options. Number, seed, streams and interrupts are the
    /// machine's.
    pub config: Config,
    /// StreamID of requester id 0; those of the others follow.
    pub streams: StreamId,
}

impl Smmuv3Spec {
    /// What the preset of this name is, if there is one.
    pub(super) fn preset(name: &str) -> Option<Self> {
        Some(Self { config: Config::preset(name)?, streams: StreamId(0) })
    }

    /// The keys of all options.
    pub(super) fn options() -> Vec<&'static str> {
        let mut options: Vec<_> =
            OVERRIDES.iter().map(|option| option.key).chain(OPTIONS.iter().copied()).collect();
        options.sort_unstable();
        options
    }

    /// Takes an option. Returns whether there is one of this name.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        match (key, Override::named(key)) {
            ("cache", _) => self.config.cache = policy(value)?,
            ("streams", _) => {
                let invalid =
                    || ConfigError::Value { key: "streams", value: value.to_owned(), expected: STREAMS };
                let stream = parse_number(value).and_then(|stream| u32::try_from(stream).ok());
                self.streams = stream.map(StreamId).filter(is_first).ok_or_else(invalid)?;
            }
            (_, Some(option)) => option.apply(&mut self.config, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Checks what was read as data; `known` is the preset.
    pub(super) fn check(&self, known: &Self) -> Result<(), ConfigError> {
        let Self { config, streams } = self;
        // Of these, each value is one that some option gives, or not taken from here.
        let Config {
            unit: _,
            idr0: _,
            idr1: _,
            idr3: _,
            idr5: _,
            minor: _,
            streams: _,
            wires: _,
            doorbell: _,
            cache: _,
            tlb_entries,
            seed: _,
            sanitize: _,
            concurrent: _,
        } = *config;
        if tlb_entries != known.config.tlb_entries {
            let value = tlb_entries.to_string();
            return Err(ConfigError::Value { key: "tlb_entries", value, expected: "the preset's number" });
        }
        if !is_first(streams) {
            return Err(ConfigError::Value { key: "streams", value: streams.to_string(), expected: STREAMS });
        }
        config.check()?;
        Ok(())
    }

    /// How PCI functions before it are named.
    pub fn stream_map(&self) -> StreamMap {
        StreamMap::new(vec![RequesterRange { segment: 0, first: 0, last: u16::MAX, stream: self.streams }])
    }

    /// Whether `stream` is that of some requester id.
    pub fn is_requester(&self, stream: StreamId) -> bool {
        stream.0 >> 16 == self.streams.0 >> 16
    }

    /// Whether StreamIDs have room for `stream`.
    pub fn has_stream(&self, stream: StreamId) -> bool {
        // At most 32.
        u64::from(stream.0) >> self.config.idr1.sidsize() == 0
    }
}

fn is_first(stream: &StreamId) -> bool {
    stream.0.is_multiple_of(0x1_0000)
}
