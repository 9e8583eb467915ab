//! Which interrupts a processor has to report the end of.
//!
//! A local APIC inside KVM reports the end of an interrupt only for vectors that it was told to. What
//! they are follows from the I/O APIC's entries and, behind interrupt remapping, from tables in
//! memory. Watching those tables would be dear and is not needed: a vector matters once a message
//! with it was sent. So the answer is worked out anew after everything that can change it: a write to
//! the I/O APIC or to a remapping unit, a step of a unit's queue, an end of interrupt, and, for entries
//! that software changes without an invalidation, each level-triggered message.

use devices::ioapic::LevelRoute;

use super::super::Machine;
use super::super::board::Board;

/// What a driver was told last, and whether that may have changed.
#[derive(Debug, Default)]
pub(in crate::machine) struct Routes {
    told: Vec<LevelRoute>,
    stale: bool,
}

impl Routes {
    pub fn touch(&mut self) {
        self.stale = true;
    }
}

impl Machine {
    /// The level-triggered interrupts whose end the I/O APIC waits for, if they are others than at the
    /// last call; a machine that was not asked yet has none, and neither has a board without I/O APIC.
    ///
    /// A driver asks before it delivers what [`Self::take_interrupts`] gives, and reports the end of
    /// these vectors to [`Self::end_of_interrupt`].
    pub fn take_level_routes(&mut self) -> Option<Vec<LevelRoute>> {
        let Board::Q35(board) = &mut self.board else { return None };
        if !std::mem::take(&mut board.routes.stale) {
            return None;
        }
        let routes = board.ioapic.level_routes();
        if routes == board.routes.told {
            return None;
        }
        board.routes.told.clone_from(&routes);
        Some(routes)
    }

    /// A processor has ended a level-triggered interrupt, which it broadcasts to the I/O APIC.
    pub fn end_of_interrupt(&mut self, vector: u8) {
        let mut fx = self.effects();
        let Board::Q35(board) = &mut self.board else { return };
        board.routes.touch();
        board.ioapic.eoi(vector, &mut fx);
        self.deliver(fx);
    }
}
