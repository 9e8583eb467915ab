//! The unit's own interrupts [SMMUv3 3.18].

use serde::{Deserialize, Serialize};

use super::regs::{IrqCfg0, IrqCfg2};

/// What an interrupt is raised for, as far as registers configure it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The event queue is no longer empty.
    Eventq,
    /// A global error became active.
    Gerror,
}

/// SMMU_x_IRQ_CFG0 to 2 of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    pub cfg0: IrqCfg0,
    pub data: u32,
    /// Attributes of the write, which has none here.
    pub cfg2: IrqCfg2,
}

impl Message {
    /// Address and data; `None` where software wants no message.
    pub fn target(self) -> Option<(u64, u32)> {
        (self.cfg0.addr() != 0).then_some((self.cfg0.addr() << 2, self.data))
    }
}
