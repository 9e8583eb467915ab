//! A driver for the exerciser, the emulator's test master: a PCI function (1234:1077), or a device on
//! a platform bus with the same registers.
//!
//! The device takes 64-byte descriptors from a ring in memory, does one DMA for each, and writes a
//! status back. It reaches ring and data through the IOMMU under the same requester id, so a
//! translation that refuses the ring stops the device, and one that refuses the data shows in the
//! descriptor's status.

use crate::arena::Arena;
use crate::error::Error;
use crate::hw::{Hw, poll};
use crate::pci::{Function, MsixTable};

/// Vendor id.
pub const VENDOR: u16 = 0x1234;
/// Device id.
pub const DEVICE: u16 = 0x1077;

const ID: u64 = 0x00;
const ID_VALUE: u32 = 0x494f_4d55;
const CONTROL: u64 = 0x08;
const ENABLE: u32 = 1 << 0;
const RESET: u32 = 1 << 1;
const STATUS: u64 = 0x0c;
const RING_FAULT: u32 = 1 << 1;
const RING_BASE: u64 = 0x10;
const RING_SIZE: u64 = 0x18;
const TAIL: u64 = 0x1c;
/// The device's own memory, as an offset in BAR 0.
const BUFFER: u64 = 0x1000;
const MSIX_TABLE: u64 = 0x4000;
const MSIX_PENDING: u64 = 0x6000;
/// Descriptors in the ring; it fills a page.
const RING: u32 = 64;
const DESCRIPTOR: u64 = 64;
/// DONE, in a descriptor's status.
const DONE: u32 = 1 << 31;

/// What a descriptor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Nothing: the descriptor is fetched and completed.
    Nop,
    /// Memory to the device's buffer.
    Read {
        /// Bytes.
        len: u32,
        /// Offset in the buffer.
        buffer: u32,
    },
    /// The device's buffer to memory.
    Write {
        /// Bytes.
        len: u32,
        /// Offset in the buffer.
        buffer: u32,
    },
    /// Memory to memory.
    Copy {
        /// Bytes.
        len: u32,
        /// Destination IOVA.
        to: u64,
    },
    /// Adds to memory.
    FetchAdd(u64),
    /// Replaces memory.
    Swap(u64),
    /// Replaces memory that equals `compare`.
    CompareSwap {
        /// Value expected.
        compare: u64,
        /// Value stored if it was found.
        swap: u64,
    },
    /// A read of no bytes: asks whether the page may be reached.
    ZeroLengthRead,
}

/// A DMA: an operation, where, and what its requests carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dma {
    /// Operation.
    pub op: Op,
    /// IOVA.
    pub address: u64,
    /// MSI-X vector to raise once it is done.
    pub interrupt: Option<u16>,
    /// Address type "translated": the device claims to hold a translation.
    pub translated: bool,
    /// PASID that the requests carry.
    pub pasid: Option<u32>,
    /// Operands of atomics are qwords, not dwords.
    pub wide: bool,
}

impl Dma {
    /// A plain untranslated operation, without interrupt.
    pub const fn new(op: Op, address: u64) -> Self {
        Self { op, address, interrupt: None, translated: false, pasid: None, wide: false }
    }

    /// The descriptor, with its status clear.
    pub fn descriptor(&self) -> [u8; DESCRIPTOR as usize] {
        let (opcode, len, address2, operand, compare, buffer) = match self.op {
            Op::Nop => (0, 0, 0, 0, 0, 0),
            Op::Read { len, buffer } => (1, len, 0, 0, 0, buffer),
            Op::Write { len, buffer } => (2, len, 0, 0, 0, buffer),
            Op::Copy { len, to } => (3, len, to, 0, 0, 0),
            Op::FetchAdd(addend) => (4, 0, 0, addend, 0, 0),
            Op::Swap(value) => (5, 0, 0, value, 0, 0),
            Op::CompareSwap { compare, swap } => (6, 0, 0, swap, compare, 0),
            Op::ZeroLengthRead => (7, 0, 0, 0, 0, 0),
        };
        let mut first: u32 = opcode;
        if let Some(vector) = self.interrupt {
            first |= 1 << 8 | u32::from(vector) << 16;
        }
        first |= u32::from(self.translated) << 9;
        first |= u32::from(self.pasid.is_some()) << 11;
        first |= u32::from(self.wide) << 14;

        let mut bytes = [0; DESCRIPTOR as usize];
        bytes[0..4].copy_from_slice(&first.to_le_bytes());
        bytes[4..8].copy_from_slice(&len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.address.to_le_bytes());
        bytes[16..24].copy_from_slice(&address2.to_le_bytes());
        bytes[24..32].copy_from_slice(&operand.to_le_bytes());
        bytes[32..40].copy_from_slice(&compare.to_le_bytes());
        bytes[40..44].copy_from_slice(&buffer.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.pasid.unwrap_or(0).to_le_bytes());
        bytes
    }
}

/// How a DMA ended, as the device saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Done,
    /// Dropped; a read gave zeros.
    ReadAsZero,
    /// Unsupported Request.
    Ur,
    /// Completer Abort.
    Ca,
    /// The descriptor made no sense.
    Malformed,
    /// A code that the device does not define.
    Unknown(u8),
}

impl Status {
    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Done,
            2 => Self::ReadAsZero,
            3 => Self::Ur,
            4 => Self::Ca,
            5 => Self::Malformed,
            other => Self::Unknown(other),
        }
    }
}

/// A DMA that the device was told of, by the address of its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted(u64);

/// What the device wrote back into a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// How it ended.
    pub status: Status,
    /// Bytes moved.
    pub bytes: u32,
    /// Old value of an atomic.
    pub result: u64,
}

/// An exerciser that is no PCI function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform;

/// An exerciser: a PCI function, or one on a [`Platform`] bus.
#[derive(Debug)]
pub struct Exerciser<P = Function> {
    place: P,
    /// First register.
    bar: u64,
    /// The ring as the CPU reaches it.
    ring: u64,
    tail: u32,
    /// The ring as the device reaches it.
    ring_iova: u64,
}

impl Exerciser {
    /// Enables a function and gives it a ring, which it reaches by physical address at first.
    ///
    /// # Errors
    /// [`Error::Bar`], [`Error::Device`] or [`Error::OutOfMemory`].
    pub fn new<H: Hw>(hw: &mut H, arena: &mut Arena, function: Function) -> Result<Self, Error> {
        let bar = function.bar0(hw)?;
        function.enable(hw);
        Self::at(hw, arena, function, bar)
    }

    /// The PCI function.
    pub fn function(&self) -> Function {
        self.place
    }

    /// Requester id.
    pub fn source(&self) -> u16 {
        self.place.source()
    }
}

impl Exerciser<Platform> {
    /// Gives the device at this address a ring, if there is one.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::OutOfMemory`].
    pub fn find<H: Hw>(hw: &mut H, arena: &mut Arena, base: u64) -> Result<Option<Self>, Error> {
        if hw.mmio_read32(base + ID) != ID_VALUE {
            return Ok(None);
        }
        Self::at(hw, arena, Platform, base).map(Some)
    }
}

impl<P> Exerciser<P> {
    fn at<H: Hw>(hw: &mut H, arena: &mut Arena, place: P, bar: u64) -> Result<Self, Error> {
        if hw.mmio_read32(bar + ID) != ID_VALUE {
            return Err(Error::Device { doing: "identifying itself" });
        }
        let ring = arena.page(hw)?;
        let mut exerciser = Self { place, bar, ring, tail: 0, ring_iova: ring };
        exerciser.start(hw, ring);
        Ok(exerciser)
    }

    /// Physical address of the ring, a page.
    pub fn ring(&self) -> u64 {
        self.ring
    }

    /// The ring as the device reaches it.
    pub fn ring_iova(&self) -> u64 {
        self.ring_iova
    }

    /// Its MSI-X table.
    pub fn msix(&self) -> MsixTable {
        MsixTable { table: self.bar + MSIX_TABLE, pending: self.bar + MSIX_PENDING }
    }

    /// Resets the device and restarts it with its ring at this IOVA.
    pub fn start<H: Hw>(&mut self, hw: &mut H, ring_iova: u64) {
        self.tail = 0;
        self.ring_iova = ring_iova;
        hw.mmio_write32(self.bar + CONTROL, RESET);
        hw.mmio_write32(self.bar + RING_BASE, ring_iova as u32);
        hw.mmio_write32(self.bar + RING_BASE + 4, (ring_iova >> 32) as u32);
        hw.mmio_write32(self.bar + RING_SIZE, RING);
        hw.mmio_write32(self.bar + CONTROL, ENABLE);
    }

    /// Restarts the device after its ring was refused.
    pub fn restart<H: Hw>(&mut self, hw: &mut H) {
        self.start(hw, self.ring_iova);
    }

    /// Has the device do a DMA, and waits for its completion.
    ///
    /// # Errors
    /// [`Error::RingFault`] where the device could not fetch the descriptor, [`Error::Device`] where
    /// it does not answer.
    pub fn run<H: Hw>(&mut self, hw: &mut H, dma: &Dma) -> Result<Completion, Error> {
        let posted = self.post(hw, dma);
        self.finish(hw, posted)
    }

    /// Has the device do a DMA, without waiting for its completion.
    pub fn post<H: Hw>(&mut self, hw: &mut H, dma: &Dma) -> Posted {
        let at = self.ring + u64::from(self.tail) * DESCRIPTOR;
        hw.mem_write(at, &dma.descriptor());
        self.tail = (self.tail + 1) % RING;
        hw.mmio_write32(self.bar + TAIL, self.tail);
        Posted(at)
    }

    /// Whether a DMA is complete.
    pub fn is_complete<H: Hw>(&self, hw: &mut H, Posted(at): Posted) -> bool {
        hw.mem_read32(at + 48) & DONE != 0
    }

    /// Whether the ring was refused, so that the device does nothing until it is restarted.
    pub fn has_stopped<H: Hw>(&self, hw: &mut H) -> bool {
        hw.mmio_read32(self.bar + STATUS) & RING_FAULT != 0
    }

    /// Waits for the completion of a DMA.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn finish<H: Hw>(&self, hw: &mut H, Posted(at): Posted) -> Result<Completion, Error> {
        let done = poll(hw, |hw| {
            let status = hw.mem_read32(at + 48);
            if status & DONE != 0 {
                return Some(Ok(status));
            }
            self.has_stopped(hw).then_some(Err(Error::RingFault))
        });
        let status = done.unwrap_or(Err(Error::Device { doing: "completing a descriptor" }))?;
        Ok(Completion {
            status: Status::from_code(status as u8),
            bytes: hw.mem_read32(at + 52),
            result: hw.mem_read64(at + 56),
        })
    }

    /// Writes the device's buffer; offset and length are multiples of 4.
    pub fn write_buffer<H: Hw>(&self, hw: &mut H, offset: u64, data: &[u32]) {
        for (at, dword) in (self.bar + BUFFER + offset..).step_by(4).zip(data) {
            hw.mmio_write32(at, *dword);
        }
    }

    /// Reads the device's buffer; the offset is a multiple of 4.
    pub fn read_buffer<H: Hw>(&self, hw: &mut H, offset: u64, data: &mut [u32]) {
        for (at, dword) in (self.bar + BUFFER + offset..).step_by(4).zip(data) {
            *dword = hw.mmio_read32(at);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::fake::Fake;

    /// A descriptor from its dwords, zero where none is given.
    fn dwords(set: &[(usize, u32)]) -> [u8; 64] {
        let mut bytes = [0; 64];
        for (offset, value) in set {
            bytes[*offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn descriptors_have_the_device_layout() {
        let at = 0x1_2345_6000;
        let plain = Dma::new(Op::Nop, at);
        let address = [(8, 0x2345_6000), (12, 1)];
        type Row<'a> = (&'a str, Dma, &'a [(usize, u32)]);
        let rows: [Row<'_>; 10] = [
            ("nop", plain, &[]),
            ("read", Dma::new(Op::Read { len: 64, buffer: 128 }, at), &[(0, 1), (4, 64), (40, 128)]),
            ("write", Dma::new(Op::Write { len: 4, buffer: 0 }, at), &[(0, 2), (4, 4)]),
            (
                "copy",
                Dma::new(Op::Copy { len: 8192, to: 0x9_8765_4000 }, at),
                &[(0, 3), (4, 8192), (16, 0x8765_4000), (20, 9)],
            ),
            ("fetch-add", Dma::new(Op::FetchAdd(5), at), &[(0, 4), (24, 5)]),
            ("swap, qword", Dma { wide: true, ..Dma::new(Op::Swap(1 << 32), at) }, &[(0, 0x4005), (28, 1)]),
            (
                "compare-and-swap",
                Dma::new(Op::CompareSwap { compare: 7, swap: 8 }, at),
                &[(0, 6), (24, 8), (32, 7)],
            ),
            ("zero-length read", Dma::new(Op::ZeroLengthRead, at), &[(0, 7)]),
            ("interrupt", Dma { interrupt: Some(3), ..plain }, &[(0, 0x0003_0100)]),
            (
                "translated, PASID",
                Dma { translated: true, pasid: Some(0xf_ffff), ..plain },
                &[(0, 0x0a00), (44, 0xf_ffff)],
            ),
        ];
        for (name, dma, expected) in rows {
            let mut all = std::vec::Vec::from(address);
            all.extend_from_slice(expected);
            assert_eq!(dma.descriptor(), dwords(&all), "{name}");
        }
    }

    fn exerciser() -> Exerciser {
        Exerciser { place: Function(8), bar: 0xfe00_0000, ring: 0x4000, tail: 63, ring_iova: 0x4000 }
    }

    #[test]
    fn the_ring_wraps_and_a_silent_device_is_an_error() {
        let hw = &mut Fake::new();
        let mut device = exerciser();
        let error = device.run(hw, &Dma::new(Op::ZeroLengthRead, 0)).unwrap_err();
        assert_eq!(error, Error::Device { doing: "completing a descriptor" });
        assert_eq!(hw.mem_read32(0x4fc0), 7);
        assert_eq!(hw.writes, [(0xfe00_001c, 0)]);
    }

    #[test]
    fn a_refused_ring_is_told_from_silence() {
        let hw = &mut Fake::new();
        hw.registers.insert(0xfe00_000c, 2);
        assert_eq!(exerciser().run(hw, &Dma::new(Op::Nop, 0)), Err(Error::RingFault));
        assert_eq!(hw.idled, 0);
    }

    #[test]
    fn a_restart_resets_before_it_enables() {
        let hw = &mut Fake::new();
        exerciser().start(hw, 0x1_0000_4000);
        let expected = [
            (0xfe00_0008, 2),
            (0xfe00_0010, 0x0000_4000),
            (0xfe00_0014, 1),
            (0xfe00_0018, 64),
            (0xfe00_0008, 1),
        ];
        assert_eq!(hw.writes, expected);
    }
}
