//! A driver for a GICv3 as far as programs need it beside what the machine sets up for them: shared
//! peripheral interrupts, and messages that an interrupt translation service (ITS) makes LPIs of
//! [IHI 0069 5, 12].
//!
//! The machine has the distributor on and the processor interface of the first CPU open; see the
//! crate's boot protocol. Everything here is for that CPU.

use crate::arena::Arena;
use crate::error::Error;
use crate::hw::{Hw, poll};

/// Where the `virt` machine has its distributor.
pub const DISTRIBUTOR: u64 = 0x0800_0000;
/// Where it has its ITS.
pub const ITS: u64 = 0x0808_0000;
/// Where it has the redistributor of the first CPU.
pub const REDISTRIBUTOR: u64 = 0x080a_0000;
/// Where messages are written: GITS_TRANSLATER.
pub const DOORBELL: u64 = ITS + 0x1_0040;
/// The first LPI.
pub const FIRST_LPI: u32 = 8192;

/// Priority of what is enabled here, which every mask lets through that lets anything through.
const PRIORITY: u8 = 0xa0;
const GICD_IGROUPR: u64 = 0x0080;
const GICD_ISENABLER: u64 = 0x0100;
const GICD_ICENABLER: u64 = 0x0180;
const GICD_ICPENDR: u64 = 0x0280;
const GICD_IPRIORITYR: u64 = 0x0400;
const GICD_ICFGR: u64 = 0x0c00;
const GICD_IROUTER: u64 = 0x6000;
const GICR_CTLR: u64 = 0x0000;
const ENABLE_LPIS: u32 = 1;
const GICR_PROPBASER: u64 = 0x0070;
const GICR_PENDBASER: u64 = 0x0078;
const GITS_CTLR: u64 = 0x0000;
const GITS_CBASER: u64 = 0x0080;
const GITS_CWRITER: u64 = 0x0088;
const GITS_CREADR: u64 = 0x0090;
const GITS_BASER: u64 = 0x0100;
const VALID: u64 = 1 << 63;
/// GITS_BASER: two levels.
const INDIRECT: u64 = 1 << 62;
/// GITS_BASER.Type of the two tables that an ITS keeps for software.
const DEVICES: u64 = 1;
const COLLECTIONS: u64 = 4;
/// INTID bits of LPIs, less one: those from 8192 to 16383.
const ID_BITS: u64 = 13;
/// EventIDs of a device, log2.
const EVENTS: u64 = 5;
/// Bytes of a command.
const COMMAND: u64 = 32;
/// Bytes of the command queue.
const QUEUE: u64 = 4096;

/// Lets an edge-triggered SPI in on the first CPU.
pub fn enable_edge<H: Hw>(hw: &mut H, intid: u32) {
    let word = u64::from(intid / 32) * 4;
    let bit = 1 << (intid % 32);
    let group = hw.mmio_read32(DISTRIBUTOR + GICD_IGROUPR + word);
    hw.mmio_write32(DISTRIBUTOR + GICD_IGROUPR + word, group | bit);
    let at = DISTRIBUTOR + GICD_IPRIORITYR + u64::from(intid / 4 * 4);
    let shift = intid % 4 * 8;
    let others = hw.mmio_read32(at) & !(0xff << shift);
    hw.mmio_write32(at, others | u32::from(PRIORITY) << shift);
    let at = DISTRIBUTOR + GICD_ICFGR + u64::from(intid / 16) * 4;
    let trigger = hw.mmio_read32(at) | 0b10 << (intid % 16 * 2);
    hw.mmio_write32(at, trigger);
    hw.mmio_write64(DISTRIBUTOR + GICD_IROUTER + u64::from(intid) * 8, 0);
    // What came while it was a level, or before anybody cared.
    hw.mmio_write32(DISTRIBUTOR + GICD_ICPENDR + word, bit);
    hw.mmio_write32(DISTRIBUTOR + GICD_ISENABLER + word, bit);
}

/// Keeps an SPI out again.
pub fn disable<H: Hw>(hw: &mut H, intid: u32) {
    hw.mmio_write32(DISTRIBUTOR + GICD_ICENABLER + u64::from(intid / 32) * 4, 1 << (intid % 32));
}

/// The ITS, with one collection: that of the first CPU.
#[derive(Debug)]
pub struct Its {
    queue: u64,
    /// Offset in the queue.
    writer: u64,
}

impl Its {
    /// Turns LPIs on: tables, command queue, the collection, and 8192 LPIs at the first CPU, all
    /// enabled.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::OutOfMemory`] or [`Error::Its`].
    pub fn enable<H: Hw>(hw: &mut H, arena: &mut Arena) -> Result<Self, Error> {
        // One byte for each LPI: priority, and the enable bit.
        let properties = arena.pages(hw, 2)?;
        for page in [0, 4096] {
            hw.mem_write(properties + page, &[PRIORITY | 1; 4096]);
        }
        // One bit for each INTID, those below the LPIs included.
        let pending = arena.aligned(hw, 0x1_0000)?;
        hw.mmio_write64(REDISTRIBUTOR + GICR_PROPBASER, properties | ID_BITS);
        hw.mmio_write64(REDISTRIBUTOR + GICR_PENDBASER, pending);
        hw.mmio_write32(REDISTRIBUTOR + GICR_CTLR, ENABLE_LPIS);

        for index in 0..8 {
            let at = ITS + GITS_BASER + 8 * index;
            match hw.mmio_read64(at) >> 56 & 0b111 {
                DEVICES => Self::device_table(hw, arena, at)?,
                COLLECTIONS => {
                    let table = arena.page(hw)?;
                    hw.mmio_write64(at, VALID | table);
                }
                _ => {}
            }
        }
        let queue = arena.page(hw)?;
        hw.mmio_write64(ITS + GITS_CBASER, VALID | queue);
        hw.mmio_write64(ITS + GITS_CWRITER, 0);
        hw.mmio_write32(ITS + GITS_CTLR, 1);
        let mut its = Self { queue, writer: 0 };
        // MAPC: collection 0 is the first CPU, which is processor number 0.
        its.command(hw, [0x09, 0, VALID, 0])?;
        Ok(its)
    }

    /// A first level for all DeviceIDs of 20 bits, and second levels for the ranges that this machine
    /// uses: requester ids, the first platform devices, the remapping units.
    fn device_table<H: Hw>(hw: &mut H, arena: &mut Arena, at: u64) -> Result<(), Error> {
        hw.mmio_write64(at, INDIRECT);
        let entry = hw.mmio_read64(at);
        if entry & INDIRECT == 0 {
            return Err(Error::Unsupported("device tables of two levels in the ITS"));
        }
        let per_page = 4096 / ((entry >> 48 & 0x1f) + 1);
        let levels = arena.aligned(hw, (8 << 20) / per_page)?;
        for first in [0, 0x1_0000, 0xf_0000] {
            let page = arena.page(hw)?;
            hw.mem_write64(levels + first / per_page * 8, VALID | page);
        }
        let pages = ((8u64 << 20) / per_page).div_ceil(4096);
        hw.mmio_write64(at, VALID | INDIRECT | levels | (pages - 1));
        Ok(())
    }

    /// Has events 0 to 31 of a device be LPIs from `first` on.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::Its`].
    pub fn map<H: Hw>(
        &mut self,
        hw: &mut H,
        arena: &mut Arena,
        device: u32,
        first: u32,
    ) -> Result<(), Error> {
        let device = u64::from(device) << 32;
        let table = arena.page(hw)?;
        // MAPD, then MAPTI for each event.
        self.command(hw, [0x08 | device, EVENTS - 1, VALID | table, 0])?;
        for event in 0..1 << EVENTS {
            self.command(hw, [0x0a | device, (u64::from(first) + event) << 32 | event, 0, 0])?;
        }
        Ok(())
    }

    fn command<H: Hw>(&mut self, hw: &mut H, words: [u64; 4]) -> Result<(), Error> {
        for (at, word) in (self.queue + self.writer..).step_by(8).zip(words) {
            hw.mem_write64(at, word);
        }
        self.writer = (self.writer + COMMAND) % QUEUE;
        hw.mmio_write64(ITS + GITS_CWRITER, self.writer);
        let writer = self.writer;
        let done = poll(hw, |hw| (hw.mmio_read64(ITS + GITS_CREADR) == writer).then_some(()));
        done.ok_or_else(|| Error::Its { creadr: hw.mmio_read64(ITS + GITS_CREADR) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn an_interrupt_is_let_in_by_its_own_bits() {
        let hw = &mut Fake::new();
        hw.registers.insert(0x0800_0468, 0x1122_3344);
        enable_edge(hw, 106);
        disable(hw, 106);
        let expected = [
            (0x0800_008c, 1 << 10),
            (0x0800_0468, 0x11a0_3344),
            (0x0800_0c18, 0b10 << 20),
            (0x0800_6350, 0),
            (0x0800_6354, 0),
            (0x0800_028c, 1 << 10),
            (0x0800_010c, 1 << 10),
            (0x0800_018c, 1 << 10),
        ];
        assert_eq!(hw.writes, expected);
    }

    #[test]
    fn an_its_that_does_not_move_is_an_error() {
        let hw = &mut Fake::new();
        let mut its = Its { queue: 0x4000, writer: 4096 - 32 };
        // The fake's read pointer is at 40h.
        hw.registers.insert(0x0808_0090, 0x40);
        let mut arena = Arena::new(hw.ram());
        assert_eq!(its.map(hw, &mut arena, 0xf_0000, 8192), Err(Error::Its { creadr: 0x40 }));
        let words = [0, 8, 16, 24].map(|word| hw.mem_read64(0x4fe0 + word));
        assert_eq!(words, [0x000f_0000_0000_0008, 4, 1 << 63 | 0x1000, 0]);
        assert_eq!(its.writer, 0);
    }
}
