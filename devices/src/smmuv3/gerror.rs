//! Global errors [SMMUv3 7.5].

use serde::{Deserialize, Serialize};

use super::regs::{Gerror, Idr0};

/// Conditions that the unit reports as global errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GlobalError {
    /// The command queue stopped.
    Cmdq,
    /// A record could not be written.
    EventqAbort,
    /// The message of a CMD_SYNC had no taker.
    MsiCmdqAbort,
    /// The message of the event queue had no taker.
    MsiEventqAbort,
    /// The message of a global error had no taker.
    MsiGerrorAbort,
}

impl GlobalError {
    const fn bit(self) -> u32 {
        match self {
            Self::Cmdq => Gerror::ZERO.with_cmdq_err(true),
            Self::EventqAbort => Gerror::ZERO.with_eventq_abt_err(true),
            Self::MsiCmdqAbort => Gerror::ZERO.with_msi_cmdq_abt_err(true),
            Self::MsiEventqAbort => Gerror::ZERO.with_msi_eventq_abt_err(true),
            Self::MsiGerrorAbort => Gerror::ZERO.with_msi_gerror_abt_err(true),
        }
        .raw()
    }
}

/// SMMU_GERROR and SMMU_GERRORN. An error is active where the two differ: the unit toggles a bit of the
/// first, software makes the second equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GlobalErrors {
    pub gerror: Gerror,
    pub gerrorn: Gerror,
}

impl GlobalErrors {
    pub const fn active(self, error: GlobalError) -> bool {
        (self.gerror.raw() ^ self.gerrorn.raw()) & error.bit() != 0
    }

    /// Makes `error` active; whether it was not before. Of one that is active nothing more is told.
    pub fn raise(&mut self, error: GlobalError) -> bool {
        let news = !self.active(error);
        if news {
            self.gerror = Gerror::from_raw(self.gerror.raw() ^ error.bit());
        }
        news
    }

    /// Software wrote GERRORN.
    pub fn acknowledge(&mut self, value: u32, idr0: Idr0) {
        self.gerrorn = Gerror::from_raw(value & Self::implemented(idr0));
    }

    /// Bits of errors that a unit with these features can have; the others are reserved.
    fn implemented(idr0: Idr0) -> u32 {
        let (msi, pri) = (idr0.msi(), idr0.pri());
        Gerror::from_raw(Gerror::RW)
            .with_msi_cmdq_abt_err(msi)
            .with_msi_eventq_abt_err(msi)
            .with_msi_gerror_abt_err(msi)
            .with_msi_priq_abt_err(msi && pri)
            .with_priq_abt_err(pri)
            .raw()
    }
}
