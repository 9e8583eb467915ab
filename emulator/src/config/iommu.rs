//! The IOMMU: `vtd-legacy,cache=tiny`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, parse_options};

/// An IOMMU as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IommuSpec {
    /// Name of its capabilities, such as `vtd-legacy`.
    pub preset: String,
    /// How its caches behave.
    pub cache: CachePolicy,
}

/// When cached translations go away. Hardware may do any of these; a driver must work with all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CachePolicy {
    /// They stay until invalidated, so a missing invalidation shows.
    #[default]
    Retain,
    /// So few fit that most are evicted at once.
    Tiny,
    /// They go at random, from the machine's seed.
    Adversarial,
    /// Nothing is cached.
    Off,
}

impl CachePolicy {
    const NAMED: [(&'static str, Self); 4] = [
        ("retain", Self::Retain),
        ("tiny", Self::Tiny),
        ("adversarial", Self::Adversarial),
        ("off", Self::Off),
    ];
}

impl FromStr for IommuSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let preset = text.split(',').next().unwrap_or_default().to_owned();
        let mut cache = CachePolicy::default();
        parse_options(text, &["cache"], |key, value| {
            if key != "cache" {
                return Ok(false);
            }
            let named = CachePolicy::NAMED.iter().find(|(name, _)| *name == value);
            (_, cache) = *named.ok_or_else(|| ConfigError::Value {
                key: "cache",
                value: value.to_owned(),
                expected: "retain, tiny, adversarial or off",
            })?;
            Ok(true)
        })?;
        Ok(Self { preset, cache })
    }
}
