//! The board: `q35,ioapic-source=f0:1f.0`.

use std::str::FromStr;

use devices::addr::SourceId;
use devices::ioapic;
use serde::{Deserialize, Serialize};

use super::{ConfigError, DeviceKind, MemorySize, Placed, parse_number, parse_options, switch};
use crate::machine::layout;

/// A board as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachineSpec {
    /// x86-64 with the address map of QEMU's q35.
    Q35(Q35Spec),
    /// AArch64 with the address map of QEMU's virt.
    Virt(VirtSpec),
}

/// A q35 as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Q35Spec {
    /// Whether interrupt remapping verifies the source id of the I/O APIC's messages, as hardware
    /// does. Some guests give their entries another one, and run with `ioapic-verify=off`.
    pub ioapic_verify: bool,
    /// Requester id of the I/O APIC's messages, which no PCI function may have.
    pub ioapic_source: SourceId,
}

/// A virt as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtSpec {
    /// Processors that the interrupt controller serves, 1 to 8.
    pub cpus: u8,
}

/// Processors that a virt can have.
const CPUS: std::ops::RangeInclusive<u64> = 1..=8;
const CPUS_EXPECTED: &str = "a number from 1 to 8";

impl MachineSpec {
    const NAMES: &'static [&'static str] = &["q35", "virt"];

    /// The name on the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Q35(_) => "q35",
            Self::Virt(_) => "virt",
        }
    }

    /// See [`super::MachineConfig::check`].
    pub(super) fn check(&self, memory: MemorySize) -> Result<(), ConfigError> {
        let Self::Virt(VirtSpec { cpus }) = self else { return Ok(()) };
        if !CPUS.contains(&u64::from(*cpus)) {
            return Err(ConfigError::Value { key: "cpus", value: cpus.to_string(), expected: CPUS_EXPECTED });
        }
        if memory.bytes() > layout::virt::RAM_MAX {
            return Err(ConfigError::Value {
                key: "memory",
                value: memory.to_string(),
                expected: "at most 255G on the board virt",
            });
        }
        Ok(())
    }

    /// Checks that the board has room for as many platform devices.
    pub(super) fn check_platform(&self, devices: usize) -> Result<(), ConfigError> {
        let board = self.name();
        let refused = |why| Err(ConfigError::Board { what: "bus=platform".to_owned(), board, why });
        match self {
            Self::Q35(_) if devices > 0 => refused("has no platform bus; use --machine virt"),
            Self::Virt(_) if devices > layout::virt::PLATFORM_DEVICES => {
                refused("has room for 32 platform devices; take some away")
            }
            Self::Q35(_) | Self::Virt(_) => Ok(()),
        }
    }

    /// Checks what the board requires of the places of devices.
    ///
    /// # Errors
    /// [`ConfigError::IoapicSource`].
    pub fn check_places(&self, placed: &[Placed<'_>]) -> Result<(), ConfigError> {
        match self {
            Self::Q35(spec) => spec.check_ioapic(placed),
            Self::Virt(_) => Ok(()),
        }
    }
}

impl Q35Spec {
    /// The I/O APIC.
    pub fn ioapic(&self) -> ioapic::Config {
        ioapic::Config { source: self.ioapic_source, verify: self.ioapic_verify }
    }

    /// Checks that the I/O APIC's requester id is its own among devices in their places. Of the buses
    /// behind root ports, which firmware numbers from 1 on, it can have none.
    fn check_ioapic(&self, placed: &[Placed<'_>]) -> Result<(), ConfigError> {
        let source = self.ioapic_source;
        let refused = |whose: &str| Err(ConfigError::IoapicSource { id: source, whose: whose.to_owned() });
        if source == SourceId::default() {
            return refused("that of the host bridge");
        }
        if source.bus() == 0 {
            let there = |placed: &&Placed<'_>| {
                let first = placed.address;
                let functions = first.function..first.function.saturating_add(placed.spec.kind.functions());
                placed.spec.bus.is_none()
                    && first.device == source.device()
                    && functions.contains(&source.function())
            };
            return placed
                .iter()
                .find(there)
                .map_or(Ok(()), |placed| refused(&format!("that of {}", placed.spec.kind.name())));
        }
        let port = |placed: &&Placed<'_>| matches!(placed.spec.kind, DeviceKind::RootPort { .. });
        let behind = usize::from(source.bus()) <= placed.iter().filter(port).count();
        if behind { refused("on a bus behind a root port") } else { Ok(()) }
    }
}

impl Default for MachineSpec {
    fn default() -> Self {
        Self::Q35(Q35Spec::default())
    }
}

impl Default for Q35Spec {
    fn default() -> Self {
        let ioapic::Config { source, verify } = ioapic::Config::default();
        Self { ioapic_verify: verify, ioapic_source: source }
    }
}

impl Default for VirtSpec {
    fn default() -> Self {
        Self { cpus: 1 }
    }
}

impl FromStr for MachineSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.split(',').next().unwrap_or_default() {
            "q35" => text.parse().map(Self::Q35),
            "virt" => text.parse().map(Self::Virt),
            other => Err(ConfigError::unknown("machine", other, Self::NAMES)),
        }
    }
}

impl FromStr for Q35Spec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut spec = Self::default();
        parse_options(text, &["ioapic-source", "ioapic-verify"], |key, value| {
            match key {
                "ioapic-source" => {
                    spec.ioapic_source = value.parse().map_err(|_| ConfigError::Value {
                        key: "ioapic-source",
                        value: value.to_owned(),
                        expected: "bus:device.function in hexadecimal, such as f0:1f.0",
                    })?;
                }
                "ioapic-verify" => spec.ioapic_verify = switch("ioapic-verify", value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(spec)
    }
}

impl FromStr for VirtSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut spec = Self::default();
        parse_options(text, &["cpus"], |key, value| {
            let "cpus" = key else { return Ok(false) };
            let invalid =
                || ConfigError::Value { key: "cpus", value: value.to_owned(), expected: CPUS_EXPECTED };
            let cpus = parse_number(value).filter(|cpus| CPUS.contains(cpus)).ok_or_else(invalid)?;
            // At most 8.
            spec.cpus = cpus as u8;
            Ok(true)
        })?;
        Ok(spec)
    }
}
