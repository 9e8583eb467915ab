//! Interrupt pins and where they lead on a Q35 chipset.

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

/// The lowest global system interrupt that a pin can drive.
pub(super) const FIRST_GSI: u32 = 16;

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
