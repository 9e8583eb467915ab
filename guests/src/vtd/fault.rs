//! Fault recording and the two event interrupts [VT-d 7.2, 7.3].

use core::fmt;

use super::regs;
use super::unit::Unit;
use crate::hw::Hw;

/// A fault recording register as it reads, low word first [VT-d 11.4.7.6].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FaultRecord(pub [u64; 2]);

impl FaultRecord {
    /// Fault reason, bits 103:96.
    pub const fn reason(self) -> u8 {
        (self.0[1] >> 32) as u8
    }
}

impl fmt::Debug for FaultRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As the specification prints it: the high word first.
impl fmt::Display for FaultRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}_{:016x}", self.0[1], self.0[0])
    }
}

/// An event interrupt: its control register, which data and address registers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A fault was recorded, or the queue stopped.
    Fault,
    /// An invalidation wait that asked for an interrupt completed.
    Invalidation,
}

impl Event {
    const fn control(self) -> u64 {
        match self {
            Self::Fault => regs::FECTL,
            Self::Invalidation => regs::IECTL,
        }
    }
}

impl Unit {
    /// The fault that software should read first; `None` while no fault is pending.
    pub fn pending_fault<H: Hw>(&self, hw: &mut H) -> Option<(u64, FaultRecord)> {
        let fsts = self.read32(hw, regs::FSTS);
        if fsts & regs::PPF == 0 {
            return None;
        }
        let index = u64::from(fsts >> 8 & 0xff);
        Some((index, self.fault_record(hw, index)))
    }

    /// The fault recording register with an index below [`super::regs::Cap::fault_records`].
    pub fn fault_record<H: Hw>(&self, hw: &mut H, index: u64) -> FaultRecord {
        let at = self.fault_record_at(index);
        FaultRecord([self.read64(hw, at), self.read64(hw, at + 8)])
    }

    /// Frees a fault recording register: writes 1 to F.
    pub fn clear_fault<H: Hw>(&self, hw: &mut H, index: u64) {
        self.write32(hw, self.fault_record_at(index) + 12, 1 << 31);
    }

    /// Frees all fault recording registers, then clears the overflow bit.
    pub fn clear_faults<H: Hw>(&self, hw: &mut H) {
        for index in 0..self.cap.fault_records() {
            self.clear_fault(hw, index);
        }
        self.write32(hw, regs::FSTS, regs::PFO);
    }

    fn fault_record_at(&self, index: u64) -> u64 {
        self.cap.fault_offset() + index * 16
    }

    /// Programs an event's message; its mask stays as it is.
    pub fn set_event<H: Hw>(&self, hw: &mut H, event: Event, (address, data): (u64, u32)) {
        let control = event.control();
        self.write32(hw, control + 4, data);
        self.write32(hw, control + 8, address as u32);
        self.write32(hw, control + 12, (address >> 32) as u32);
    }

    /// Masks or unmasks an event.
    pub fn mask_event<H: Hw>(&self, hw: &mut H, event: Event, masked: bool) {
        self.write32(hw, event.control(), if masked { regs::IM } else { 0 });
    }

    /// Whether a masked event waits to be sent.
    pub fn is_event_pending<H: Hw>(&self, hw: &mut H, event: Event) -> bool {
        self.read32(hw, event.control()) & regs::IP != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::vtd::regs::{Cap, Ecap};

    #[test]
    fn the_first_fault_is_found_by_index_and_cleared_by_its_top_bit() {
        let hw = &mut Fake::new();
        // FRO = 22h, so records start at 220h.
        let unit = Unit::at(0xfed9_0000, Cap(0x22 << 24), Ecap(0));
        assert_eq!(unit.pending_fault(hw), None);
        hw.mmio_write32(0xfed9_0034, 0x0302);
        hw.mmio_write64(0xfed9_0250, 0x12_3456_7000);
        hw.mmio_write64(0xfed9_0258, 0xc000_0006_0000_0010);
        let (index, record) = unit.pending_fault(hw).unwrap();
        assert_eq!((index, record.0), (3, [0x12_3456_7000, 0xc000_0006_0000_0010]));
        assert_eq!(record.reason(), 6);
        hw.writes.clear();
        unit.clear_fault(hw, index);
        assert_eq!(hw.writes, [(0xfed9_025c, 0x8000_0000)]);
    }

    #[test]
    fn events_are_programmed_at_their_own_registers() {
        let rows = [(Event::Fault, 0xfed9_0038), (Event::Invalidation, 0xfed9_00a0)];
        for (event, control) in rows {
            let hw = &mut Fake::new();
            let unit = Unit::at(0xfed9_0000, Cap(0), Ecap(0));
            unit.set_event(hw, event, (0x5_fee0_1000, 0x41));
            unit.mask_event(hw, event, true);
            let expected =
                [(control + 4, 0x41), (control + 8, 0xfee0_1000), (control + 12, 5), (control, 1 << 31)];
            assert_eq!(hw.writes, expected, "{event:?}");
            hw.registers.insert(control, 0x4000_0000);
            assert!(unit.is_event_pending(hw, event));
        }
    }
}
