//! The platform bus as the engine meets it.

use super::TIMER;
use super::interrupts::Interrupts;
use crate::addr::Pasid;
use crate::alarm::Alarm;
use crate::events::Time;
use crate::exerciser::Attachment;
use crate::fabric::{Access, AtomicOp, DmaPort, DmaResult, Effects, Outcome, Request};

/// What a device uses while it runs.
pub(super) struct Context<'a> {
    pub port: &'a DmaPort,
    pub pasid_bits: u8,
    pub interrupts: &'a mut Interrupts,
    pub alarm: &'a mut Alarm,
    pub fx: &'a mut Effects,
}

impl Attachment for Context<'_> {
    fn dma_read(&mut self, request: Request, data: &mut [u8]) -> DmaResult {
        self.port.read(request, data, self.fx)
    }

    fn dma_write(&mut self, request: Request, data: &[u8]) -> DmaResult {
        self.port.write(request, data, self.fx)
    }

    fn dma_atomic(&mut self, request: Request, op: AtomicOp) -> Result<u64, Outcome> {
        self.port.atomic(request, op, self.fx)
    }

    fn dma_ended(&mut self, request: Request, len: u64, access: Access, outcome: Outcome) {
        self.port.ended(request, len, access, outcome, self.fx);
    }

    fn carries(&self, pasid: Pasid) -> bool {
        self.pasid_bits > 0 && u64::from(pasid.get()) >> self.pasid_bits.min(super::PASID_BITS_MAX) == 0
    }

    fn interrupt(&mut self, vector: u16) {
        self.interrupts.raise(vector, self.port, self.fx);
    }

    fn set_timer(&mut self, ns: u64) {
        if let Some(at) = self.alarm.set(self.fx.now().after(ns)) {
            schedule(at, self.fx);
        }
    }

    fn clear_timer(&mut self) {
        self.alarm.clear();
    }
}

/// Asks to be called at `at`.
pub(super) fn schedule(at: Time, fx: &mut Effects) {
    fx.schedule_after(at.0.saturating_sub(fx.now().0), TIMER);
}
