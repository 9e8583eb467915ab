//! The unit: registers, and commands that follow the Global Status protocol [VT-d 11.4.4].

use super::regs::{self, Cap, Ecap};
use crate::error::Error;
use crate::hw::{Hw, poll};

/// Where the q35 machine has its unit.
pub const BASE: u64 = 0xfed9_0000;

/// A VT-d unit.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    base: u64,
    /// What it can do.
    pub cap: Cap,
    /// What else it can do.
    pub ecap: Ecap,
}

impl Unit {
    /// Finds the unit at `base` and switches off whatever was left on.
    ///
    /// # Errors
    /// [`Error::NoUnit`] where nothing answers, [`Error::Command`] where it cannot be switched off.
    pub fn new<H: Hw>(hw: &mut H, base: u64) -> Result<Self, Error> {
        let cap = hw.mmio_read64(base + regs::CAP);
        let ecap = hw.mmio_read64(base + regs::ECAP);
        if [cap, ecap].contains(&u64::MAX) || cap == 0 {
            return Err(Error::NoUnit { base });
        }
        let unit = Self { base, cap: Cap(cap), ecap: Ecap(ecap) };
        unit.disable(hw, regs::TE, "TE=0")?;
        unit.disable(hw, regs::QIE, "QIE=0")?;
        Ok(unit)
    }

    /// A unit with given capabilities, whatever its registers say.
    #[cfg(test)]
    pub(super) fn at(base: u64, cap: Cap, ecap: Ecap) -> Self {
        Self { base, cap, ecap }
    }

    /// Version: major number, minor number.
    pub fn version<H: Hw>(&self, hw: &mut H) -> (u32, u32) {
        let ver = self.read32(hw, regs::VER);
        (ver >> 4 & 0xf, ver & 0xf)
    }

    /// Reads a register of 32 bits.
    pub fn read32<H: Hw>(&self, hw: &mut H, offset: u64) -> u32 {
        hw.mmio_read32(self.base + offset)
    }

    /// Writes a register of 32 bits.
    pub fn write32<H: Hw>(&self, hw: &mut H, offset: u64, value: u32) {
        hw.mmio_write32(self.base + offset, value);
    }

    /// Reads a register of 64 bits.
    pub fn read64<H: Hw>(&self, hw: &mut H, offset: u64) -> u64 {
        hw.mmio_read64(self.base + offset)
    }

    /// Writes a register of 64 bits.
    pub fn write64<H: Hw>(&self, hw: &mut H, offset: u64, value: u64) {
        hw.mmio_write64(self.base + offset, value);
    }

    /// Latches a legacy-mode root table. The caller must then invalidate the context cache and the
    /// IOTLB, in this order.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub fn set_root_table<H: Hw>(&self, hw: &mut H, table: u64) -> Result<(), Error> {
        self.write64(hw, regs::RTADDR, table);
        self.enable(hw, regs::SRTP, "SRTP")
    }

    /// Enables DMA remapping.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub fn enable_translation<H: Hw>(&self, hw: &mut H) -> Result<(), Error> {
        self.enable(hw, regs::TE, "TE=1")
    }

    /// Disables DMA remapping.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub fn disable_translation<H: Hw>(&self, hw: &mut H) -> Result<(), Error> {
        self.disable(hw, regs::TE, "TE=0")
    }

    pub(super) fn enable<H: Hw>(&self, hw: &mut H, bit: u32, name: &'static str) -> Result<(), Error> {
        self.command(hw, bit, true, name)
    }

    fn disable<H: Hw>(&self, hw: &mut H, bit: u32, name: &'static str) -> Result<(), Error> {
        self.command(hw, bit, false, name)
    }

    /// Changes one bit of GCMD, keeping what GSTS says is on, and waits for GSTS to follow.
    fn command<H: Hw>(&self, hw: &mut H, bit: u32, on: bool, name: &'static str) -> Result<(), Error> {
        let kept = self.read32(hw, regs::GSTS) & regs::GCMD_KEEP & !bit;
        self.write32(hw, regs::GCMD, if on { kept | bit } else { kept });
        let done = poll(hw, |hw| {
            let set = self.read32(hw, regs::GSTS) & bit != 0;
            (set == on).then_some(())
        });
        done.ok_or_else(|| Error::Command { name, gsts: self.read32(hw, regs::GSTS) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    /// GSTS is a memory cell of the fake, so the test plays the hardware.
    fn unit(gsts: u32) -> (Fake, Unit) {
        let mut hw = Fake::new();
        hw.registers.insert(0xfed9_001c, gsts);
        (hw, Unit::at(0xfed9_0000, Cap(0), Ecap(0)))
    }

    #[test]
    fn a_command_changes_one_bit_and_drops_one_shot_bits() {
        // GSTS says: translation, root pointer, queue, interrupt table pointer, and CFIS are set.
        let (mut hw, unit) = unit(0xc580_0000);
        unit.enable(&mut hw, 1 << 30, "SRTP").unwrap();
        assert_eq!(hw.writes, [(0xfed9_0018, 0xc480_0000)]);
    }

    #[test]
    fn a_command_that_is_not_followed_ends_in_an_error() {
        let (mut hw, unit) = unit(0x8000_0000);
        let error = unit.disable_translation(&mut hw).unwrap_err();
        assert_eq!(error, Error::Command { name: "TE=0", gsts: 0x8000_0000 });
        assert_eq!(hw.writes, [(0xfed9_0018, 0)]);
        assert!(hw.idled > 0);
    }

    #[test]
    fn no_unit_where_nothing_answers() {
        for (low, high) in [(0, 0), (u32::MAX, u32::MAX)] {
            let mut hw = Fake::new();
            for offset in [0x08, 0x10] {
                hw.registers.insert(0xfed9_0000 + offset, low);
                hw.registers.insert(0xfed9_0004 + offset, high);
            }
            assert_eq!(Unit::new(&mut hw, BASE).unwrap_err(), Error::NoUnit { base: 0xfed9_0000 });
        }
    }
}
