//! The way to a unit's registers.

use std::sync::Arc;

use super::regs::Global;
use super::regs::{LEVELS, offset};
use crate::errno::{Errno, Result};
use crate::sync::{Mutex, lock};

/// The register file of one unit, as a bus shows it.
///
/// An access returns before anyone calls [`VtdDriver::interrupt`] for what it set off: the driver holds
/// locks meanwhile. Whoever runs the machine delivers interrupts.
///
/// [`VtdDriver::interrupt`]: super::VtdDriver::interrupt
pub trait Mmio: Send + Sync {
    /// Reads `size` bytes, 4 or 8, at `offset`, a multiple of `size`.
    fn read(&self, offset: u64, size: u32) -> u64;

    /// Writes `size` bytes, 4 or 8, at `offset`, a multiple of `size`.
    fn write(&self, offset: u64, size: u32, value: u64);

    /// Called between two polls of something that the unit was told to do, `polls` of which found it not
    /// done. Says whether to go on; the unit counts as dead otherwise, and blocks all DMA for good.
    ///
    /// Without a clock: every poll is an access to the unit, so the limit is far more than anything takes.
    /// What holds the unit up may be a thread that waits for this one's processor, so that is soon given
    /// away. Whoever has a clock may do better.
    fn wait(&self, polls: u32) -> bool {
        if polls < SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
        polls < POLLS
    }
}

/// Polls before the processor is given away.
const SPINS: u32 = 64;
/// Polls before hardware counts as dead.
const POLLS: u32 = 1 << 24;

/// Typed access to the registers, and the rules for commands [VT-d 6.9].
pub(super) struct Registers {
    mmio: Arc<dyn Mmio>,
    /// One global command at a time.
    command: Mutex<()>,
}

impl Registers {
    pub(super) fn new(mmio: Arc<dyn Mmio>) -> Self {
        Self { mmio, command: Mutex::new(()) }
    }

    pub(super) fn read32(&self, offset: u64) -> u32 {
        // The width that was asked for.
        self.mmio.read(offset, 4) as u32
    }

    pub(super) fn read64(&self, offset: u64) -> u64 {
        self.mmio.read(offset, 8)
    }

    pub(super) fn write32(&self, offset: u64, value: u32) {
        self.mmio.write(offset, 4, value.into());
    }

    pub(super) fn write64(&self, offset: u64, value: u64) {
        self.mmio.write(offset, 8, value);
    }

    pub(super) fn status(&self) -> Global {
        Global::from_raw(self.read32(offset::GSTS))
    }

    /// Writes GCMD: the levels as they are, changed by `change`; returns when the status is `done`.
    ///
    /// # Errors
    /// `ETIMEDOUT`.
    pub(super) fn command(
        &self,
        change: impl FnOnce(Global) -> Global,
        done: impl Fn(Global) -> bool,
    ) -> Result<()> {
        let _command = lock(&self.command);
        let levels = Global::from_raw(self.status().raw() & LEVELS);
        self.write32(offset::GCMD, change(levels).raw());
        self.poll(|| Ok(done(self.status())))
    }

    /// Asks `done` until it is so.
    ///
    /// # Errors
    /// What `done` says; `ETIMEDOUT`.
    pub(super) fn poll(&self, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
        let mut polls = 0u32;
        while !done()? {
            polls = polls.saturating_add(1);
            if !self.mmio.wait(polls) {
                return Err(Errno::ETIMEDOUT);
            }
        }
        Ok(())
    }
}
