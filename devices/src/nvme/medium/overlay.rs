//! Copy on write.

use super::blocks::{BLOCK, Blocks};
use super::{Medium, MediumError, MediumState};

/// A medium over another one, which is only read: blocks that were written are kept here.
pub struct Overlay {
    below: Box<dyn Medium>,
    blocks: Blocks,
}

impl Overlay {
    /// What is below, with nothing written.
    pub fn new(below: Box<dyn Medium>) -> Self {
        let blocks = Blocks::new(below.bytes());
        Self { below, blocks }
    }
}

impl Medium for Overlay {
    fn bytes(&self) -> u64 {
        self.blocks.capacity()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, at: u64, data: &mut [u8]) -> Result<(), MediumError> {
        for part in self.blocks.parts(at, data.len())? {
            let into = &mut data[part.in_range()];
            match self.blocks.get(part.index) {
                Some(block) => into.copy_from_slice(&block[part.in_block()]),
                None => self.below.read(at + part.done as u64, into)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, at: u64, data: &[u8]) -> Result<(), MediumError> {
        for part in self.blocks.parts(at, data.len())? {
            let below = &mut self.below;
            let block = self.blocks.get_or_keep(part.index, |len| {
                let mut block = vec![0; len];
                // What is written whole need not be read first.
                if part.len < len {
                    below.read(part.index * BLOCK, &mut block)?;
                }
                Ok(block.into())
            })?;
            block[part.in_block()].copy_from_slice(&data[part.in_range()]);
        }
        Ok(())
    }

    /// Does nothing: what is below would show again.
    fn deallocate(&mut self, _: u64, _: u64) {}

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn save(&self) -> MediumState {
        let Self { below, blocks } = self;
        MediumState::Overlay { below: Box::new(below.save()), blocks: blocks.save(|_| false) }
    }

    fn restore(&mut self, state: MediumState) -> Result<(), &'static str> {
        let MediumState::Overlay { below, blocks } = state else { return Err("the kind of its medium") };
        let blocks = Blocks::from_saved(self.blocks.capacity(), blocks)?;
        self.below.restore(*below)?;
        self.blocks = blocks;
        Ok(())
    }
}
