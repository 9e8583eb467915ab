//! Protected memory regions [VT-d 11.4.8].

use serde::{Deserialize, Serialize};

use super::control::merge;
use super::invalidation::ProtectedRange;
use super::regs::{Pmen, ProtectedHigh, ProtectedLow, Reg};

/// Bits below the granularity of the regions, 2 MiB; they count as ones in a limit.
const BELOW: u64 = (1 << 21) - 1;

/// The registers. Base and limit take effect when EPM is set; software may not change them while
/// PRS = 1, and what it writes then waits for the next time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    pmen: Pmen,
    low_base: ProtectedLow,
    low_limit: ProtectedLow,
    high_base: ProtectedHigh,
    high_limit: ProtectedHigh,
}

impl Protected {
    /// No region, not enabled.
    pub const RESET: Self = Self {
        pmen: Pmen::ZERO,
        low_base: ProtectedLow::ZERO,
        low_limit: ProtectedLow::ZERO,
        high_base: ProtectedHigh::ZERO,
        high_limit: ProtectedHigh::ZERO,
    };

    /// The value of a register; 0 for one that is not of these.
    pub(super) fn read(&self, reg: Reg) -> u64 {
        match reg {
            Reg::Pmen => u64::from(self.pmen.raw()),
            Reg::Plmbase => u64::from(self.low_base.raw()),
            Reg::Plmlimit => u64::from(self.low_limit.raw()),
            Reg::Phmbase => self.high_base.raw(),
            Reg::Phmlimit => self.high_limit.raw(),
            _ => 0,
        }
    }

    /// Software wrote a dword of a base or limit; other registers are not of these.
    pub(super) fn write(&mut self, reg: Reg, dword: u32, value: u32) {
        let high = |old: ProtectedHigh| old.written(merge(old.raw(), dword, value));
        match reg {
            Reg::Plmbase => self.low_base = self.low_base.written(value),
            Reg::Plmlimit => self.low_limit = self.low_limit.written(value),
            Reg::Phmbase => self.high_base = high(self.high_base),
            Reg::Phmlimit => self.high_limit = high(self.high_limit),
            _ => {}
        }
    }

    /// Software wrote PMEN. Returns the regions now in force, if that changed.
    pub fn enable(&mut self, value: u32) -> Option<Option<[ProtectedRange; 2]>> {
        let before = self.pmen.epm();
        self.pmen = self.pmen.written(value);
        self.pmen = self.pmen.with_prs(self.pmen.epm());
        (before != self.pmen.epm()).then(|| self.pmen.epm().then(|| self.ranges()))
    }

    fn ranges(&self) -> [ProtectedRange; 2] {
        [
            ProtectedRange {
                first: u64::from(self.low_base.raw()),
                last: u64::from(self.low_limit.raw()) | BELOW,
            },
            ProtectedRange { first: self.high_base.raw(), last: self.high_limit.raw() | BELOW },
        ]
    }
}
