//! The board: `q35,ioapic-verify=off`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, parse_options, switch};

/// A board as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Which board.
    pub kind: MachineKind,
    /// Whether interrupt remapping verifies the source id of the I/O APIC's messages, as hardware
    /// does. Some guests give their entries another one, and run with `ioapic-verify=off`.
    pub ioapic_verify: bool,
}

impl Default for MachineSpec {
    fn default() -> Self {
        Self { kind: MachineKind::Q35, ioapic_verify: true }
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
        parse_options(text, &["ioapic-verify"], |key, value| {
            match key {
                "ioapic-verify" => spec.ioapic_verify = switch("ioapic-verify", value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(spec)
    }
}
