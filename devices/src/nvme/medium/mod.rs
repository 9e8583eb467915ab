//! What a namespace is stored on.
//!
//! A [`Medium`] is bytes that can be read and written. [`Memory`] keeps them in this process, [`Overlay`]
//! keeps what was written apart from what is below it. Media that are files are the emulator's: nothing
//! here opens one.

mod blocks;
mod memory;
mod overlay;
mod state;
#[cfg(test)]
mod tests;

pub use blocks::BLOCK;
pub use memory::Memory;
pub use overlay::Overlay;
pub use state::{Block, Bytes, MediumState};

use thiserror::Error;

/// The medium did not do what was asked of it: the host refused, or the range is not on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the medium failed")]
pub struct MediumError;

/// A store of bytes with a fixed capacity.
///
/// A range that does not lie on the medium is an error, not a panic.
pub trait Medium: Send {
    /// Capacity in bytes. It never changes.
    fn bytes(&self) -> u64;

    /// Whether every write is refused.
    fn read_only(&self) -> bool;

    /// Reads `data.len()` bytes from `at` on.
    ///
    /// # Errors
    /// [`MediumError`]; what `data` holds then is not defined.
    fn read(&mut self, at: u64, data: &mut [u8]) -> Result<(), MediumError>;

    /// Writes `data` from `at` on. It may stay in a volatile cache until [`Self::flush`].
    ///
    /// # Errors
    /// [`MediumError`]; what the range holds then is not defined.
    fn write(&mut self, at: u64, data: &[u8]) -> Result<(), MediumError>;

    /// The `bytes` from `at` on are not needed any more: they may read as zero or as before. A range that
    /// leaves the medium is cut to it.
    fn deallocate(&mut self, at: u64, bytes: u64);

    /// Makes everything written before survive a loss of power.
    ///
    /// # Errors
    /// [`MediumError`] if that is not certain.
    fn flush(&mut self) -> Result<(), MediumError>;

    /// The medium as data.
    fn save(&self) -> MediumState;

    /// Takes over what was saved.
    ///
    /// # Errors
    /// What is wrong with the state; nothing has changed then.
    fn restore(&mut self, state: MediumState) -> Result<(), &'static str>;
}

/// Whether `len` bytes from `at` on lie on a medium of `bytes`.
fn contains(bytes: u64, at: u64, len: usize) -> bool {
    at.checked_add(len as u64).is_some_and(|end| end <= bytes)
}
