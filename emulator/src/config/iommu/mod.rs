//! The IOMMU: `vtd-legacy,cache=tiny`.

mod smmuv3;
mod vtd;

use std::str::FromStr;

use devices::iommu::cache::Policy;
use serde::{Deserialize, Serialize};

use super::{ConfigError, MachineSpec, SlotAddress, parse_options};
pub use smmuv3::Smmuv3Spec;
pub use vtd::{Reserved, VtdSpec};

const DEVICES: &str = "functions of bus 00 joined by '+', such as 00:02.0+00:03.0";

/// An IOMMU as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IommuSpec {
    /// Name of its capabilities, one of [`Self::presets`].
    pub preset: String,
    /// What follows from the preset and the options.
    pub unit: UnitSpec,
    /// The functions of bus 0 that are behind it, root ports with all that is behind them; all that no
    /// other unit names if `None`.
    pub devices: Option<Vec<SlotAddress>>,
}

/// A unit, by its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnitSpec {
    /// Intel VT-d.
    Vtd(VtdSpec),
    /// Arm SMMUv3.
    Smmuv3(Smmuv3Spec),
}

impl UnitSpec {
    fn preset(name: &str) -> Option<Self> {
        let vtd = VtdSpec::preset(name).map(Self::Vtd);
        vtd.or_else(|| Smmuv3Spec::preset(name).map(Self::Smmuv3))
    }

    fn options(&self) -> Vec<&'static str> {
        match self {
            Self::Vtd(_) => vtd::OPTIONS.to_vec(),
            Self::Smmuv3(_) => Smmuv3Spec::options(),
        }
    }
}

impl FromStr for IommuSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let preset = text.split(',').next().unwrap_or_default();
        let mut unit = Self::unit(preset)?;
        let mut devices = None;
        parse_options(text, &unit.options(), |key, value| {
            if key == "devices" {
                devices = Some(functions("devices", value, DEVICES)?);
                return Ok(true);
            }
            match &mut unit {
                UnitSpec::Vtd(unit) => unit.set(key, value),
                UnitSpec::Smmuv3(unit) => unit.set(key, value),
            }
        })?;
        if let UnitSpec::Smmuv3(unit) = &unit {
            // Options that depend on each other are known only now.
            unit.config.check()?;
        }
        Ok(Self { preset: preset.to_owned(), unit, devices })
    }
}

impl IommuSpec {
    /// The names of all presets.
    pub fn presets() -> Vec<&'static str> {
        [devices::vtd::Config::PRESETS, devices::smmuv3::Config::PRESETS].concat()
    }

    fn unit(preset: &str) -> Result<UnitSpec, ConfigError> {
        UnitSpec::preset(preset).ok_or_else(|| ConfigError::unknown("IOMMU", preset, &Self::presets()))
    }

    /// The unit, if it is a VT-d unit.
    pub fn vtd(&self) -> Option<&VtdSpec> {
        match &self.unit {
            UnitSpec::Vtd(unit) => Some(unit),
            UnitSpec::Smmuv3(_) => None,
        }
    }

    /// The unit, if it is an SMMUv3.
    pub fn smmuv3(&self) -> Option<&Smmuv3Spec> {
        match &self.unit {
            UnitSpec::Smmuv3(unit) => Some(unit),
            UnitSpec::Vtd(_) => None,
        }
    }

    /// Memory that some device needs from the start.
    pub fn reserved(&self) -> Option<&Reserved> {
        self.vtd()?.reserved.as_ref()
    }

    /// Whether it reports every use of a cached entry that memory no longer bears out.
    pub fn sanitizes(&self) -> bool {
        match &self.unit {
            UnitSpec::Vtd(unit) => unit.config.sanitize,
            UnitSpec::Smmuv3(unit) => unit.config.sanitize,
        }
    }

    /// Has it report these uses, or not.
    pub fn set_sanitize(&mut self, sanitize: bool) {
        match &mut self.unit {
            UnitSpec::Vtd(unit) => unit.config.sanitize = sanitize,
            UnitSpec::Smmuv3(unit) => unit.config.sanitize = sanitize,
        }
    }

    /// See [`super::MachineConfig::check`].
    pub(super) fn check(&self, board: &MachineSpec) -> Result<(), ConfigError> {
        let Self { preset, unit, devices } = self;
        let known = Self::unit(preset)?;
        let refused = |why| Err(ConfigError::Board { what: preset.clone(), board: board.name(), why });
        match (unit, &known, board) {
            (UnitSpec::Vtd(unit), UnitSpec::Vtd(known), MachineSpec::Q35(_)) => unit.check(known)?,
            (UnitSpec::Smmuv3(unit), UnitSpec::Smmuv3(known), MachineSpec::Virt(_)) => unit.check(known)?,
            (UnitSpec::Vtd(_), _, MachineSpec::Virt(_)) => {
                return refused("takes SMMUv3 units; use --machine q35, or a preset such as smmuv3.2-nested");
            }
            (UnitSpec::Smmuv3(_), _, MachineSpec::Q35(_)) => {
                return refused("takes VT-d units; use --machine virt, or a preset such as vtd-legacy");
            }
            // A saved one that is not what its preset says.
            (UnitSpec::Vtd(_) | UnitSpec::Smmuv3(_), ..) => {
                return Err(ConfigError::unknown("IOMMU", preset, &Self::presets()));
            }
        }
        devices.iter().flatten().try_for_each(SlotAddress::check)
    }
}

/// Functions of bus 0, as `00:02.0+00:03.0`.
fn functions(
    key: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<Vec<SlotAddress>, ConfigError> {
    let function = |text: &str| text.strip_prefix("00:").and_then(|text| text.parse().ok());
    let invalid = || ConfigError::Value { key, value: value.to_owned(), expected };
    value.split('+').map(|text| function(text).ok_or_else(invalid)).collect()
}

fn policy(value: &str) -> Result<Policy, ConfigError> {
    let named = Policy::ALL.iter().find(|(name, _)| *name == value);
    named.map(|(_, policy)| *policy).ok_or_else(|| ConfigError::Value {
        key: "cache",
        value: value.to_owned(),
        expected: "retain, tiny, adversarial or off",
    })
}
