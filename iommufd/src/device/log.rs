//! DMA that was refused for good: what a kernel writes to its log.

use std::collections::VecDeque;

use crate::driver::DmaFault;
use crate::host::Host;
use crate::sync::lock;

/// How many are kept; hostile devices make them as fast as they can.
const KEPT: usize = 1024;

#[derive(Default)]
pub(super) struct FaultLog {
    faults: VecDeque<DmaFault>,
    lost: u64,
}

impl FaultLog {
    pub(super) fn push(&mut self, fault: DmaFault) {
        if self.faults.len() == KEPT {
            self.faults.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
        self.faults.push_back(fault);
    }
}

/// Refused DMA since the last look, as [`Host::take_dma_faults`] gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DmaFaults {
    /// The latest 1,024, the oldest first.
    pub faults: Vec<DmaFault>,
    /// How many older ones were not kept.
    pub lost: u64,
}

impl Host {
    /// The DMA that IOMMUs refused since this was last asked.
    pub fn take_dma_faults(&self) -> DmaFaults {
        let log = std::mem::take(&mut *lock(&self.devices.faults));
        DmaFaults { faults: log.faults.into(), lost: log.lost }
    }
}
