//! The IOMMU: `vtd-legacy,cache=tiny`.

use std::str::FromStr;

use devices::iommu::cache::Policy;
use devices::vtd::{AddressWidth, Config};
use serde::{Deserialize, Serialize};

use super::{ConfigError, parse_options, switch};

/// Keys of the options.
const OPTIONS: [&str; 9] = [
    "abort-dma",
    "aw-bits",
    "cache",
    "caching-mode",
    "compress-faults",
    "intremap",
    "protected-regions",
    "root-set-invalidates",
    "write-buffer-flush",
];

/// An IOMMU as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IommuSpec {
    /// Name of its capabilities, one of [`Config::PRESETS`].
    pub preset: String,
    /// What follows from the preset and the options. The seed is the machine's.
    pub unit: Config,
}

impl FromStr for IommuSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let preset = text.split(',').next().unwrap_or_default();
        let mut unit =
            Config::preset(preset).ok_or_else(|| ConfigError::unknown("IOMMU", preset, Config::PRESETS))?;
        parse_options(text, &OPTIONS, |key, value| {
            let switch = |key| switch(key, value);
            match key {
                "aw-bits" => unit.address_width = address_width(value)?,
                "cache" => unit.cache = policy(value)?,
                "compress-faults" => unit.compress_faults = switch("compress-faults")?,
                "intremap" => unit.interrupt_remapping = switch("intremap")?,
                "abort-dma" => unit.abort_dma = switch("abort-dma")?,
                "caching-mode" => unit.caching_mode = switch("caching-mode")?,
                "protected-regions" => unit.protected_regions = switch("protected-regions")?,
                "root-set-invalidates" => unit.root_set_invalidates = switch("root-set-invalidates")?,
                "write-buffer-flush" => unit.write_buffer_flush = switch("write-buffer-flush")?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { preset: preset.to_owned(), unit })
    }
}

fn address_width(value: &str) -> Result<AddressWidth, ConfigError> {
    // A sign would parse as well.
    let bits = value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
    bits.and_then(AddressWidth::from_bits).ok_or_else(|| ConfigError::Value {
        key: "aw-bits",
        value: value.to_owned(),
        expected: "39, 48 or 57",
    })
}

fn policy(value: &str) -> Result<Policy, ConfigError> {
    let named = Policy::ALL.iter().find(|(name, _)| *name == value);
    named.map(|(_, policy)| *policy).ok_or_else(|| ConfigError::Value {
        key: "cache",
        value: value.to_owned(),
        expected: "retain, tiny, adversarial or off",
    })
}
