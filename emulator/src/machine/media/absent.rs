//! In place of a file that is not opened.

use devices::nvme::medium::{Medium, MediumError, MediumState};

/// A medium without bytes, which keeps the state of the one that it stands for.
#[derive(Debug)]
pub(super) struct Absent(MediumState);

impl Default for Absent {
    fn default() -> Self {
        Self(MediumState::Host { bytes: 0 })
    }
}

impl Medium for Absent {
    fn bytes(&self) -> u64 {
        0
    }

    fn read_only(&self) -> bool {
        true
    }

    fn read(&mut self, _: u64, _: &mut [u8]) -> Result<(), MediumError> {
        Err(MediumError)
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), MediumError> {
        Err(MediumError)
    }

    fn deallocate(&mut self, _: u64, _: u64) {}

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn save(&self) -> MediumState {
        self.0.clone()
    }

    fn restore(&mut self, state: MediumState) -> Result<(), &'static str> {
        self.0 = state;
        Ok(())
    }
}
