//! Protected memory regions [VT-d 11.4.8].

use serde::{Deserialize, Serialize};

use super::invalidation::ProtectedRange;
use super::regs::{Pmen, ProtectedHigh, ProtectedLow};

/// Bits below the granularity of the regions, 2 MiB; they count as ones in a limit.
const BELOW: u64 = (1 << 21) - 1;

/// The registers. Base and limit take effect when EPM is set; software may not change them while
/// PRS = 1, and what it writes then waits for the next time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    pub(super) pmen: Pmen,
    pub(super) low_base: ProtectedLow,
    pub(super) low_limit: ProtectedLow,
    pub(super) high_base: ProtectedHigh,
    pub(super) high_limit: ProtectedHigh,
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
