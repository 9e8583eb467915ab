//! What processors of a virt have of the interrupt controller, beside its memory-mapped registers. A
//! board without GIC has nothing of this.

use devices::gic::{Lines, its::Lpi};

use super::super::Machine;
use super::super::board::Board;
use super::Virt;

impl Machine {
    /// The interrupt inputs of a processor, as levels. They can have changed after each access, each
    /// [`Self::advance`] and each call below.
    pub fn interrupt_inputs(&self, processor: usize) -> Lines {
        match &self.board {
            Board::Virt(board) => board.gic.lines(processor),
            Board::Q35(_) => Lines::default(),
        }
    }

    /// The input of a private interrupt of a processor changed; `ppi` counts from 0 (INTID 16) to 15.
    pub fn set_private_interrupt(&mut self, processor: usize, ppi: u32, asserted: bool) {
        if let Some(board) = self.virt() {
            board.gic.set_ppi(processor, ppi, asserted);
        }
    }

    /// A processor reads a system register of its interrupt controller interface, by the encoding
    /// `op0:op1:CRn:CRm:op2` in 2, 3, 4, 4 and 3 bits; `None` where that is undefined.
    pub fn read_gic_register(&mut self, processor: usize, encoding: u16) -> Option<u64> {
        let mut fx = self.effects();
        let value = self.virt()?.gic.read_register(processor, encoding, &mut fx);
        self.deliver(fx);
        value
    }

    /// A processor writes such a register; `None` where that is undefined.
    pub fn write_gic_register(&mut self, processor: usize, encoding: u16, value: u64) -> Option<()> {
        self.virt()?.gic.write_register(processor, encoding, value)
    }

    /// Takes the LPIs that are pending and enabled, for a driver that stands in for the processors:
    /// they are pending no longer.
    pub fn take_lpis(&mut self) -> Vec<Lpi> {
        self.virt().map(|board| board.gic.take_lpis()).unwrap_or_default()
    }

    fn virt(&mut self) -> Option<&mut Virt> {
        match &mut self.board {
            Board::Virt(board) => Some(board),
            Board::Q35(_) => None,
        }
    }
}
