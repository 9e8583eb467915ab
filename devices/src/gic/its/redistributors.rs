//! What an ITS asks of redistributors.

use crate::fabric::Effects;

/// What is to happen to LPIs. Redistributors are named by their processor number, which is below
/// [`Config::redistributors`](super::Config::redistributors); INTIDs are those of LPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LpiAction {
    /// An LPI becomes pending: a message arrived, or INT.
    SetPending {
        /// Redistributor.
        target: u16,
        /// LPI.
        intid: u32,
    },
    /// An LPI is no longer pending: CLEAR and DISCARD.
    ClearPending {
        /// Redistributor.
        target: u16,
        /// LPI.
        intid: u32,
    },
    /// If an LPI is pending, it is so at another redistributor from now on: MOVI.
    Move {
        /// LPI.
        intid: u32,
        /// Redistributor.
        from: u16,
        /// Another one.
        to: u16,
    },
    /// All pending LPIs move: MOVALL.
    MoveAll {
        /// Redistributor.
        from: u16,
        /// Another one.
        to: u16,
    },
    /// The configuration of an LPI changed in memory: INV.
    Invalidate {
        /// Redistributor.
        target: u16,
        /// LPI.
        intid: u32,
    },
    /// Any LPI's configuration may have changed in memory: INVALL.
    InvalidateAll {
        /// Redistributor.
        target: u16,
    },
}

/// The redistributors that an ITS serves: a GIC's, or whatever stands in their place in a machine
/// that only wants to know what became pending.
pub trait Redistributors {
    /// Performs `action` before it returns; so there is nothing for SYNC to wait for.
    fn act(&mut self, action: LpiAction, fx: &mut Effects);
}

/// Keeps the actions, in order.
impl Redistributors for Vec<LpiAction> {
    fn act(&mut self, action: LpiAction, _fx: &mut Effects) {
        self.push(action);
    }
}
