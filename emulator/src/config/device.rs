//! Devices: `exerciser,functions=2,addr=04.0` on PCI, `exerciser,bus=platform,stream=0x10000` beside it.

use std::fmt;
use std::str::FromStr;

use devices::addr::StreamId;
use devices::platform::PASID_BITS_MAX;
use devices::{edu, exerciser, nvme};
use serde::{Deserialize, Serialize};

use super::medium::{self, MediumSpec};
use super::{ConfigError, parse_number, parse_options, switch};

/// A device as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// What it is, with its own options.
    pub kind: DeviceKind,
    /// Where on its bus; chosen if not given.
    pub address: Option<SlotAddress>,
    /// Name of the root port that it is behind; on the root bus if not given.
    pub bus: Option<String>,
    /// What it is as a platform device; `None` if it is on PCI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformSpec>,
}

/// A bus master that is no PCI function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformSpec {
    /// Its StreamID.
    pub stream: StreamId,
    /// Whether the IOMMU may stall its transactions.
    pub can_stall: bool,
    /// Bits of its SubstreamIDs, 0 (none) to 20.
    pub ssid_bits: u8,
    /// Index of the IOMMU that it is behind; the one that takes all that no other names if `None`.
    pub iommu: Option<usize>,
}

/// The name of the platform bus in `bus=`.
pub const PLATFORM_BUS: &str = "platform";

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
    /// An NVMe controller with one namespace.
    Nvme {
        /// What the namespace is stored on.
        medium: MediumSpec,
        /// Nanoseconds from the fetch of a command to its turn.
        latency: u32,
    },
    /// A PCI Express root port.
    RootPort {
        /// The name of the bus behind it.
        id: String,
    },
}

impl DeviceKind {
    const NAMES: &'static [&'static str] = &["edu", "exerciser", "iommu-testdev", "nvme", "root-port"];

    /// The name on the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Edu { .. } => "edu",
            Self::Exerciser { .. } => "exerciser",
            Self::IommuTestdev => "iommu-testdev",
            Self::Nvme { .. } => "nvme",
            Self::RootPort { .. } => "root-port",
        }
    }

    /// How many functions of one device number it takes.
    pub const fn functions(&self) -> u8 {
        match self {
            Self::Exerciser { functions, .. } => *functions,
            Self::Edu { .. } | Self::IommuTestdev | Self::Nvme { .. } | Self::RootPort { .. } => 1,
        }
    }

    fn of_name(name: &str) -> Option<(Self, &'static [&'static str])> {
        Some(match name {
            "edu" => (Self::Edu { dma_mask: edu::DEFAULT_DMA_MASK }, &["addr", "bus", "dma-mask"]),
            "exerciser" => (
                Self::Exerciser { functions: 1, latency: exerciser::DEFAULT_LATENCY },
                &["addr", "bus", "can-stall", "functions", "iommu", "latency", "ssid-bits", "stream"],
            ),
            "iommu-testdev" => (Self::IommuTestdev, &["addr", "bus"]),
            "nvme" => (
                // The medium follows from the options.
                Self::Nvme { medium: MediumSpec::Memory { bytes: 0 }, latency: nvme::DEFAULT_LATENCY },
                &["addr", "bus", "file", "latency", "readonly", "size", "snapshot"],
            ),
            "root-port" => (Self::RootPort { id: String::new() }, &["addr", "id"]),
            _ => return None,
        })
    }
}

impl DeviceSpec {
    /// Checks that nothing is asked of a platform device that only PCI has.
    fn check_platform(&self) -> Result<(), ConfigError> {
        let Self { kind, address, bus, platform } = self;
        if let Some(PlatformSpec { stream, can_stall: _, ssid_bits, iommu: _ }) = platform {
            if !STREAMS.contains(&stream.0.into()) {
                let value = stream.to_string();
                return Err(ConfigError::Value { key: "stream", value, expected: STREAMS_EXPECTED });
            }
            if !SSID_BITS.contains(&u64::from(*ssid_bits)) {
                let value = ssid_bits.to_string();
                return Err(ConfigError::Value { key: "ssid-bits", value, expected: SSID_BITS_EXPECTED });
            }
        }
        let on_pci = address.is_some() || bus.is_some();
        match kind {
            DeviceKind::Exerciser { functions: 1, latency: _ } if !on_pci => Ok(()),
            _ => Err(ConfigError::OnlyOnPci { device: kind.name() }),
        }
    }

    /// See [`super::MachineConfig::check`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Self { kind, address, bus, platform } = self;
        if platform.is_some() {
            self.check_platform()?;
        }
        address.as_ref().map_or(Ok(()), SlotAddress::check)?;
        match kind {
            DeviceKind::Edu { dma_mask: _ } | DeviceKind::IommuTestdev => Ok(()),
            DeviceKind::Exerciser { functions, latency: _ } => {
                let value = || functions.to_string();
                let invalid =
                    || ConfigError::Value { key: "functions", value: value(), expected: FUNCTIONS_EXPECTED };
                FUNCTIONS.contains(&u64::from(*functions)).then_some(()).ok_or_else(invalid)
            }
            DeviceKind::Nvme { medium, latency: _ } => medium.check(),
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
/// StreamIDs that platform devices can have. The ITS tells devices apart by them: those below are the
/// requester ids of PCI functions, and those above it has for remapping units or not at all.
const STREAMS: std::ops::RangeInclusive<u64> = 0x1_0000..=0xe_ffff;
const STREAMS_EXPECTED: &str = "a StreamID from 0x10000 to 0xeffff";
/// Widths of SubstreamIDs.
const SSID_BITS: std::ops::RangeInclusive<u64> = 0..=PASID_BITS_MAX as u64;
const SSID_BITS_EXPECTED: &str = "a number of bits from 0 to 20";
const NO_ID: ConfigError = ConfigError::Missing { owner: "root-port", key: "id" };

impl FromStr for DeviceSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let name = text.split(',').next().unwrap_or_default();
        let Some((mut kind, keys)) = DeviceKind::of_name(name) else {
            return Err(ConfigError::unknown("device", name, DeviceKind::NAMES));
        };
        let (mut address, mut bus, mut on_platform) = (None, None, false);
        let mut options = medium::Options::default();
        let (mut stream, mut can_stall, mut ssid_bits, mut iommu) = (None, None, None, None);
        parse_options(text, keys, |key, value| {
            match (key, &mut kind) {
                // A root port is always on the root bus.
                ("bus", DeviceKind::RootPort { .. }) => return Ok(false),
                ("addr", _) => address = Some(value.parse()?),
                ("bus", DeviceKind::Exerciser { .. }) if value == PLATFORM_BUS => on_platform = true,
                ("stream", DeviceKind::Exerciser { .. }) => {
                    // The range makes the number fit.
                    stream = Some(number("stream", value, STREAMS, STREAMS_EXPECTED)? as u32);
                }
                ("can-stall", DeviceKind::Exerciser { .. }) => can_stall = Some(switch("can-stall", value)?),
                ("ssid-bits", DeviceKind::Exerciser { .. }) => {
                    // The range makes the number fit.
                    ssid_bits = Some(number("ssid-bits", value, SSID_BITS, SSID_BITS_EXPECTED)? as u8);
                }
                ("iommu", DeviceKind::Exerciser { .. }) => {
                    // At most 7.
                    iommu = Some(number("iommu", value, 0..=7, "the index of an IOMMU, 0 to 7")? as usize);
                }
                ("bus", _) => bus = Some(value.to_owned()).filter(|bus| bus != super::ROOT_BUS),
                ("dma-mask", DeviceKind::Edu { dma_mask }) => {
                    *dma_mask = number("dma-mask", value, 0..=u64::MAX, "a number such as 0xfffffff")?;
                }
                ("functions", DeviceKind::Exerciser { functions, .. }) => {
                    // The range makes the number fit.
                    *functions = number("functions", value, FUNCTIONS, FUNCTIONS_EXPECTED)? as u8;
                }
                ("latency", DeviceKind::Exerciser { latency, .. } | DeviceKind::Nvme { latency, .. }) => {
                    let all = 0..=u64::from(u32::MAX);
                    // The range makes the number fit.
                    *latency = number("latency", value, all, "nanoseconds, a 32-bit number")? as u32;
                }
                (key, DeviceKind::Nvme { .. }) => return options.set(key, value),
                ("id", DeviceKind::RootPort { id }) => *id = bus_name(value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if let DeviceKind::Nvme { medium, .. } = &mut kind {
            *medium = options.finish()?;
        }
        if matches!(&kind, DeviceKind::RootPort { id } if id.is_empty()) {
            return Err(NO_ID);
        }
        let platform = match stream {
            None if on_platform => return Err(ConfigError::Missing { owner: "exerciser", key: "stream" }),
            Some(stream) if on_platform => {
                let (can_stall, ssid_bits) = (can_stall.unwrap_or(false), ssid_bits.unwrap_or(0));
                Some(PlatformSpec { stream: StreamId(stream), can_stall, ssid_bits, iommu })
            }
            _ if stream.is_some() || can_stall.is_some() || ssid_bits.is_some() || iommu.is_some() => {
                return Err(ConfigError::NotOnPlatform { device: kind.name() });
            }
            _ => None,
        };
        let spec = Self { kind, address, bus, platform };
        if spec.platform.is_some() {
            spec.check_platform()?;
        }
        Ok(spec)
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
    if valid && value.len() <= 32 && value != super::ROOT_BUS && value != PLATFORM_BUS {
        return Ok(value.to_owned());
    }
    let expected = "up to 32 letters, digits, '-', '_' or '.', and neither pcie.0 nor platform";
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
