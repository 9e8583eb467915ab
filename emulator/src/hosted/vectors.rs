//! The little of a local APIC that messages need.

use std::collections::VecDeque;

/// The id of the only processor.
pub(super) const APIC_ID: u8 = 0;
const BROADCAST: u64 = 0xff;
/// Data bit: level triggered [SDM 11.11.2].
const LEVEL: u32 = 1 << 15;
/// Vectors below this are reserved for exceptions.
const FIRST_VECTOR: u8 = 16;

/// Vectors that arrived and were not taken, each at most once, as a processor keeps one request bit
/// per vector.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    waiting: VecDeque<Interrupt>,
    /// The level-triggered one that was taken last and did not end yet.
    in_service: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interrupt {
    vector: u8,
    level: bool,
}

impl Vectors {
    /// Accepts a message of fixed or lowest-priority delivery to this processor in physical
    /// destination mode [VT-d 5.1.2.1]; others are lost.
    pub(super) fn message(&mut self, address: u64, data: u32) {
        let destination = address >> 12 & 0xff;
        let logical = address & 1 << 2 != 0;
        let fixed = matches!(data >> 8 & 7, 0 | 1);
        // Bits 7:0 are the vector.
        let vector = data as u8;
        let mine = !logical && (destination == u64::from(APIC_ID) || destination == BROADCAST);
        if !mine || !fixed || vector < FIRST_VECTOR {
            return;
        }
        let level = data & LEVEL != 0;
        match self.waiting.iter_mut().find(|waiting| waiting.vector == vector) {
            // The trigger mode is kept per vector: that of the last message counts.
            Some(waiting) => waiting.level = level,
            None => self.waiting.push_back(Interrupt { vector, level }),
        }
    }

    /// The vector that waited longest.
    pub(super) fn take(&mut self) -> Option<u8> {
        let Interrupt { vector, level } = self.waiting.pop_front()?;
        self.in_service = level.then_some(vector);
        Some(vector)
    }

    /// Ends the interrupt taken last: its vector, if the I/O APIC has to hear of it.
    pub(super) fn end(&mut self) -> Option<u8> {
        self.in_service.take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fixed_messages_to_this_processor_arrive_and_once() {
        let mut vectors = Vectors::default();
        for (address, data) in [
            (0xfee0_0000, 0x41),
            (0xfee0_0000, 0x42),
            (0xfee0_0000, 0x41),
            (0xfeef_f000, 0x143),
            (0xfee0_1000, 0x50),
            (0xfee0_0004, 0x51),
            (0xfee0_0000, 0x252),
            (0xfee0_0000, 0x0f),
        ] {
            vectors.message(address, data);
        }
        let taken: Vec<u8> = std::iter::from_fn(|| vectors.take()).collect();
        assert_eq!(taken, [0x41, 0x42, 0x43]);
    }

    #[test]
    fn only_the_end_of_a_level_is_told_and_once() {
        let mut vectors = Vectors::default();
        for data in [0x41, 0xc042, 0x43, 0xc043] {
            vectors.message(0xfee0_0000, data);
        }
        let ends: Vec<_> =
            std::iter::from_fn(|| vectors.take().map(|_| (vectors.end(), vectors.end()))).collect();
        assert_eq!(ends, [(None, None), (Some(0x42), None), (Some(0x43), None)]);
    }
}
