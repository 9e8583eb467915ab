//! The board: `q35,ioapic-source=f0:1f.0`.

use std::str::FromStr;

use devices::addr::SourceId;
use devices::ioapic;
use serde::{Deserialize, Serialize};

use super::{ConfigError, DeviceKind, Placed, parse_options, switch};

/// A board as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Which board.
    pub kind: MachineKind,
    /// Whether interrupt remapping verifies the source id of the I/O APIC's messages, as hardware
    /// does. Some guests give their entries another one, and run with `ioapic-verify=off`.
    pub ioapic_verify: bool,
    /// Requester id of the I/O APIC's messages, which no PCI function may have.
    pub ioapic_source: SourceId,
}

impl MachineSpec {
    /// The I/O APIC.
    pub fn ioapic(&self) -> ioapic::Config {
        ioapic::Config { source: self.ioapic_source, verify: self.ioapic_verify }
    }

    /// Checks that the I/O APIC's requester id is its own among devices in their places. Of the buses
    /// behind root ports, which firmware numbers from 1 on, it can have none.
    ///
    /// # Errors
    /// [`ConfigError::IoapicSource`].
    pub fn check_ioapic(&self, placed: &[Placed<'_>]) -> Result<(), ConfigError> {
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
        let ioapic::Config { source, verify } = ioapic::Config::default();
        Self { kind: MachineKind::Q35, ioapic_verify: verify, ioapic_source: source }
    }
}

/// The boards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachineKind {
    /// x86-64 with the address map of QEMU's q35.
    Q35,
}

impl FromStr for MachineSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let kind = match text.split(',').next().unwrap_or_default() {
            "q35" => MachineKind::Q35,
            other => return Err(ConfigError::unknown("machine", other, &["q35"])),
        };
        let mut spec = Self { kind, ..Self::default() };
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
