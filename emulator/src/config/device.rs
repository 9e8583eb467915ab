//! PCI devices: `exerciser,functions=2,addr=04.0`.

use std::fmt;
use std::str::FromStr;

use devices::{edu, exerciser};
use serde::{Deserialize, Serialize};

use super::{ConfigError, parse_number, parse_options};

/// A device as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// What it is, with its own options.
    pub kind: DeviceKind,
    /// Where on its bus; chosen if not given.
    pub address: Option<SlotAddress>,
    /// Name of the root port that it is behind; on the root bus if not given.
    pub bus: Option<String>,
}

/// The devices there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// A small DMA device that many test guests drive.
    Edu {
        /// Bits that a DMA address may have.
        dma_mask: u64,
    },
    /// Our own PCI test master.
    Exerciser {
        /// Number of functions, 1 to 8.
        functions: u8,
        /// Nanoseconds from start of a descriptor to its DMA.
        latency: u32,
    },
    /// A DMA trigger for tests without a CPU.
    IommuTestdev,
    /// A PCI Express root port.
    RootPort {
        /// The name of the bus behind it.
        id: String,
    },
}

impl DeviceKind {
    const NAMES: &'static [&'static str] = &["edu", "exerciser", "iommu-testdev", "root-port"];

    /// The name on the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Edu { .. } => "edu",
            Self::Exerciser { .. } => "exerciser",
            Self::IommuTestdev => "iommu-testdev",
            Self::RootPort { .. } => "root-port",
        }
    }

    /// How many functions of one device number it takes.
    pub const fn functions(&self) -> u8 {
        match self {
            Self::Exerciser { functions, .. } => *functions,
            Self::Edu { .. } | Self::IommuTestdev | Self::RootPort { .. } => 1,
        }
    }

    fn of_name(name: &str) -> Option<(Self, &'static [&'static str])> {
        Some(match name {
            "edu" => (Self::Edu { dma_mask: edu::DEFAULT_DMA_MASK }, &["addr", "bus", "dma-mask"]),
            "exerciser" => (
                Self::Exerciser { functions: 1, latency: exerciser::DEFAULT_LATENCY },
                &["addr", "bus", "functions", "latency"],
            ),
            "iommu-testdev" => (Self::IommuTestdev, &["addr", "bus"]),
            "root-port" => (Self::RootPort { id: String::new() }, &["addr", "id"]),
            _ => return None,
        })
    }
}

impl DeviceSpec {
    /// See [`super::MachineConfig::check`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Self { kind, address, bus } = self;
        address.as_ref().map_or(Ok(()), SlotAddress::check)?;
        match kind {
            DeviceKind::Edu { dma_mask: _ } | DeviceKind::IommuTestdev => Ok(()),
            DeviceKind::Exerciser { functions, latency: _ } => {
                let value = || functions.to_string();
                let invalid =
                    || ConfigError::Value { key: "functions", value: value(), expected: FUNCTIONS_EXPECTED };
                FUNCTIONS.contains(&u64::from(*functions)).then_some(()).ok_or_else(invalid)
            }
            DeviceKind::RootPort { id: _ } if bus.is_some() => Err(ConfigError::UnknownKey {
                owner: "root-port".to_owned(),
                key: "bus".to_owned(),
                known: "addr, id".to_owned(),
            }),
            DeviceKind::RootPort { id } if id.is_empty() => Err(NO_ID),
            DeviceKind::RootPort { id } => bus_name(id).map(drop),
        }
    }
}

/// Functions that an exerciser can have.
const FUNCTIONS: std::ops::RangeInclusive<u64> = 1..=8;
const FUNCTIONS_EXPECTED: &str = "a number from 1 to 8";
const NO_ID: ConfigError = ConfigError::Missing { owner: "root-port", key: "id" };

impl FromStr for DeviceSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let name = text.split(',').next().unwrap_or_default();
        let Some((mut kind, keys)) = DeviceKind::of_name(name) else {
            return Err(ConfigError::unknown("device", name, DeviceKind::NAMES));
        };
        let (mut address, mut bus) = (None, None);
        parse_options(text, keys, |key, value| {
            match (key, &mut kind) {
                // A root port is always on the root bus.
                ("bus", DeviceKind::RootPort { .. }) => return Ok(false),
                ("addr", _) => address = Some(value.parse()?),
                ("bus", _) => bus = Some(value.to_owned()).filter(|bus| bus != super::ROOT_BUS),
                ("dma-mask", DeviceKind::Edu { dma_mask }) => {
                    *dma_mask = number("dma-mask", value, 0..=u64::MAX, "a number such as 0xfffffff")?;
                }
                ("functions", DeviceKind::Exerciser { functions, .. }) => {
                    // The range makes the number fit.
                    *functions = number("functions", value, FUNCTIONS, FUNCTIONS_EXPECTED)? as u8;
                }
                ("latency", DeviceKind::Exerciser { latency, .. }) => {
                    let all = 0..=u64::from(u32::MAX);
                    // The range makes the number fit.
                    *latency = number("latency", value, all, "nanoseconds, a 32-bit number")? as u32;
                }
                ("id", DeviceKind::RootPort { id }) => *id = bus_name(value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if matches!(&kind, DeviceKind::RootPort { id } if id.is_empty()) {
            return Err(NO_ID);
        }
        Ok(Self { kind, address, bus })
    }
}

fn number(
    key: &'static str,
    value: &str,
    range: std::ops::RangeInclusive<u64>,
    expected: &'static str,
) -> Result<u64, ConfigError> {
    parse_number(value).filter(|number| range.contains(number)).ok_or_else(|| ConfigError::Value {
        key,
        value: value.to_owned(),
        expected,
    })
}

fn bus_name(value: &str) -> Result<String, ConfigError> {
    let valid = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if valid && value.len() <= 32 && value != super::ROOT_BUS {
        return Ok(value.to_owned());
    }
    let expected = "up to 32 letters, digits, '-', '_' or '.', and not pcie.0, the root bus";
    Err(ConfigError::Value { key: "id", value: value.to_owned(), expected })
}

/// Device and function number on a bus, written in hexadecimal as `DD.F` or `DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SlotAddress {
    /// 0 to 31.
    pub device: u8,
    /// 0 to 7.
    pub function: u8,
}

impl SlotAddress {
    const EXPECTED: &str = "device.function in hexadecimal, from 00.0 to 1f.7";

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let valid = self.device <= 31 && self.function <= 7;
        let invalid =
            || ConfigError::Value { key: "addr", value: self.to_string(), expected: Self::EXPECTED };
        valid.then_some(()).ok_or_else(invalid)
    }
}

impl FromStr for SlotAddress {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (device, function) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most: usize, last: u8| {
            let valid = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
            valid.then(|| u8::from_str_radix(text, 16).ok()).flatten().filter(|number| *number <= last)
        };
        match (digits(device, 2, 31), digits(function, 1, 7)) {
            (Some(device), Some(function)) => Ok(Self { device, function }),
            _ => Err(ConfigError::Value { key: "addr", value: text.to_owned(), expected: Self::EXPECTED }),
        }
    }
}

impl fmt::Display for SlotAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}.{:x}", self.device, self.function)
    }
}
