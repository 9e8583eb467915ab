//! A driver for `edu`, a small DMA device that many test guests drive (1234:11e8).

use crate::error::Error;
use crate::hw::{Hw, poll};
use crate::pci::Function;

/// Vendor id.
pub const VENDOR: u16 = 0x1234;
/// Device id.
pub const DEVICE: u16 = 0x11e8;

const ID: u64 = 0x00;
/// Any version: the low bytes name the device.
const ID_MASK: u32 = 0x0000_ffff;
const ID_VALUE: u32 = 0x0000_00ed;
const INTERRUPT_STATUS: u64 = 0x24;
const RAISE: u64 = 0x60;
const ACKNOWLEDGE: u64 = 0x64;
const DMA_SOURCE: u64 = 0x80;
const DMA_DESTINATION: u64 = 0x88;
const DMA_COUNT: u64 = 0x90;
const DMA_COMMAND: u64 = 0x98;
const START: u32 = 1 << 0;
const TO_MEMORY: u32 = 1 << 1;
/// The device's buffer, in its own address space.
const BUFFER: u32 = 0x4_0000;

/// An `edu` device.
#[derive(Clone, Copy, Debug)]
pub struct Edu {
    function: Function,
    bar: u64,
}

impl Edu {
    /// Enables the device.
    ///
    /// # Errors
    /// [`Error::Bar`] or [`Error::Device`].
    pub fn new<H: Hw>(hw: &mut H, function: Function) -> Result<Self, Error> {
        let bar = function.bar0(hw)?;
        function.enable(hw);
        if hw.mmio_read32(bar + ID) & ID_MASK != ID_VALUE {
            return Err(Error::Device { doing: "identifying itself" });
        }
        Ok(Self { function, bar })
    }

    /// The PCI function.
    pub fn function(&self) -> Function {
        self.function
    }

    /// Copies from memory at an IOVA into the device's buffer. The device's address mask must not
    /// cut the address: 28 bits are safe.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn read<H: Hw>(&self, hw: &mut H, iova: u32, count: u32) -> Result<(), Error> {
        self.dma(hw, iova, BUFFER, count, START)
    }

    /// Copies from the device's buffer to memory at an IOVA.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn write<H: Hw>(&self, hw: &mut H, iova: u32, count: u32) -> Result<(), Error> {
        self.dma(hw, BUFFER, iova, count, START | TO_MEMORY)
    }

    fn dma<H: Hw>(&self, hw: &mut H, from: u32, to: u32, count: u32, command: u32) -> Result<(), Error> {
        hw.mmio_write32(self.bar + DMA_SOURCE, from);
        hw.mmio_write32(self.bar + DMA_DESTINATION, to);
        hw.mmio_write32(self.bar + DMA_COUNT, count);
        hw.mmio_write32(self.bar + DMA_COMMAND, command);
        let at = self.bar + DMA_COMMAND;
        poll(hw, |hw| (hw.mmio_read32(at) & START == 0).then_some(())).ok_or(Error::Device { doing: "a DMA" })
    }

    /// Raises the device's interrupt with these status bits.
    pub fn raise<H: Hw>(&self, hw: &mut H, bits: u32) {
        hw.mmio_write32(self.bar + RAISE, bits);
    }

    /// Interrupt status bits that wait to be acknowledged.
    pub fn interrupt_status<H: Hw>(&self, hw: &mut H) -> u32 {
        hw.mmio_read32(self.bar + INTERRUPT_STATUS)
    }

    /// Acknowledges interrupt status bits.
    pub fn acknowledge<H: Hw>(&self, hw: &mut H, bits: u32) {
        hw.mmio_write32(self.bar + ACKNOWLEDGE, bits);
    }
}
