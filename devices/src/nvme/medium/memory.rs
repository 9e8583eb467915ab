//! A medium in memory of this process.

use super::blocks::Blocks;
use super::{Medium, MediumError, MediumState};

/// A medium whose bytes are zero until they are written. It takes memory for what is not zero, never more
/// than its capacity. It survives resets, as a disk does.
#[derive(Debug)]
pub struct Memory(Blocks);

impl Memory {
    /// A medium of `bytes`.
    pub fn new(bytes: u64) -> Self {
        Self(Blocks::new(bytes))
    }

    /// Whether the block `index` takes memory.
    #[cfg(test)]
    pub(super) fn keeps(&self, index: u64) -> bool {
        self.0.get(index).is_some()
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

impl Medium for Memory {
    fn bytes(&self) -> u64 {
        self.0.capacity()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, at: u64, data: &mut [u8]) -> Result<(), MediumError> {
        for part in self.0.parts(at, data.len())? {
            let into = &mut data[part.in_range()];
            match self.0.get(part.index) {
                Some(block) => into.copy_from_slice(&block[part.in_block()]),
                None => into.fill(0),
            }
        }
        Ok(())
    }

    fn write(&mut self, at: u64, data: &[u8]) -> Result<(), MediumError> {
        for part in self.0.parts(at, data.len())? {
            let from = &data[part.in_range()];
            if self.0.get(part.index).is_none() && is_zero(from) {
                continue;
            }
            let block = self.0.get_or_keep(part.index, |len| Ok(vec![0; len].into()))?;
            block[part.in_block()].copy_from_slice(from);
        }
        Ok(())
    }

    fn deallocate(&mut self, at: u64, bytes: u64) {
        self.0.drop_inside(at, bytes);
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn save(&self) -> MediumState {
        MediumState::Memory(self.0.save(is_zero))
    }

    fn restore(&mut self, state: MediumState) -> Result<(), &'static str> {
        let MediumState::Memory(blocks) = state else { return Err("the kind of its medium") };
        self.0 = Blocks::from_saved(self.0.capacity(), blocks)?;
        Ok(())
    }
}
