//! Interrupt pins and where they lead.

use serde::{Deserialize, Serialize};

/// A legacy interrupt pin [PCIe 2.2.8.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pin {
    /// INTA.
    A,
    /// INTB.
    B,
    /// INTC.
    C,
    /// INTD.
    D,
}

impl Pin {
    /// As the Interrupt Pin register says it, 1 to 4.
    pub const fn register(self) -> u8 {
        self.index() + 1
    }

    /// The pin of the bridge that device `device` behind it drives [PCIe 2.2.8.1].
    #[must_use]
    pub const fn behind_bridge(self, device: u8) -> Self {
        match (device % 4 + self.index()) % 4 {
            0 => Self::A,
            1 => Self::B,
            2 => Self::C,
            _ => Self::D,
        }
    }

    const fn index(self) -> u8 {
        match self {
            Self::A => 0,
            Self::B => 1,
            Self::C => 2,
            Self::D => 3,
        }
    }
}

/// The lowest global system interrupt that a pin of an ICH9 can drive.
const FIRST_GSI: u32 = 16;

/// The global system interrupt (16 to 23) that `pin` of `device` on the root bus drives.
///
/// As an ICH9 routes it: devices 0 to 24 rotate over PIRQ E to H; devices 25 to 31 have routing
/// registers, whose reset value leads INTA to D to PIRQ A to D, except device 30, which has PIRQ E
/// to H.
pub const fn gsi(device: u8, pin: Pin) -> u32 {
    let (first, index) = match device {
        0..=24 => (20, (device + pin.index()) % 4),
        30 => (20, pin.index()),
        _ => (FIRST_GSI, pin.index()),
    };
    first + index as u32
}

/// How the pins of functions on the root bus lead to the machine's interrupt lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intx {
    /// To global system interrupts 16 to 23, as [`gsi`] says.
    #[default]
    Ich9,
    /// To four lines from this one on, each device one further than the device before: as generic host
    /// bridges have it.
    Rotated(u32),
}

impl Intx {
    /// The first line.
    pub(super) const fn first(self) -> u32 {
        match self {
            Self::Ich9 => FIRST_GSI,
            Self::Rotated(first) => first,
        }
    }

    /// The line that `pin` of `device` on the root bus drives: one of eight from the first on.
    pub const fn line(self, device: u8, pin: Pin) -> u32 {
        match self {
            Self::Ich9 => gsi(device, pin),
            Self::Rotated(first) => first + (device as u32 + pin.index() as u32) % 4,
        }
    }
}
