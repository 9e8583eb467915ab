//! Descriptors: what the bits mean.

use super::VECTORS;
use crate::addr::{Iova, Pasid};
use crate::fabric::{AtomicOp, Attrs, Kind, Request};
use crate::register;

/// The longest transfer of one descriptor, 16 MiB.
const MAX_LENGTH: u32 = 16 << 20;
const BUFFER_OFFSETS: u32 = super::BUFFER_SIZE as u32;

register! {
    /// A descriptor as it lies in memory; bit 8 n is bit 0 of byte n.
    pub struct Descriptor: [u64; 8] {
        511:384 Ignored  _written,
        383:372 Reserved _r1,
        /// PASID, where `pasid_present` is set.
        371:352 Field    pasid: u32,
        /// Where a read or write starts in the buffer, 0 to 4095.
        351:320 Field    buffer_offset: u32,
        /// The value that a compare-and-swap expects.
        319:256 Field    compare: u64,
        /// Addend or new value of an atomic.
        255:192 Field    operand: u64,
        /// Destination of a copy.
        191:128 Field    address2: u64,
        /// IOVA of the operation.
        127:64  Field    address: u64,
        /// Bytes of a read, write or copy, 1 to 16 MiB.
        63:32   Field    length: u32,
        /// MSI-X vector of `interrupt`.
        31:16   Field    vector: u16,
        15:15   Reserved _r0,
        /// The operand of an atomic has 64 bits, else 32.
        14:14   Field    wide: bool,
        /// Request with Execute attribute.
        13:13   Field    execute: bool,
        /// Request with Privileged attribute.
        12:12   Field    privileged: bool,
        /// Request with PASID.
        11:11   Field    pasid_present: bool,
        /// Request with No Snoop attribute.
        10:10   Field    no_snoop: bool,
        /// Request with address type Translated.
        9:9     Field    translated: bool,
        /// Send an interrupt on completion.
        8:8     Field    interrupt: bool,
        /// What to do.
        7:0     Field    opcode: u8,
    }
}

/// What a well-formed descriptor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing.
    Nop,
    /// Memory to buffer.
    Read {
        /// Bytes.
        length: u32,
        /// Where in the buffer it starts.
        buffer: usize,
    },
    /// Buffer to memory.
    Write {
        /// Bytes.
        length: u32,
        /// Where in the buffer it starts.
        buffer: usize,
    },
    /// Memory to memory.
    Copy {
        /// Bytes.
        length: u32,
        /// Where to.
        to: Iova,
    },
    /// An AtomicOp.
    Atomic(AtomicOp),
    /// A read of no bytes.
    ZeroLengthRead,
}

/// A descriptor that says nothing the device could do: a reserved bit, an unknown opcode, a length,
/// offset or vector out of range, or an atomic that is not naturally aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Descriptor {
    /// From the bytes in memory.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self::from_raw(words)
    }

    /// What it asks for.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn operation(self) -> Result<Operation, Malformed> {
        let reserved = self.raw().iter().zip(Self::RESERVED).any(|(word, mask)| word & mask != 0);
        if reserved || (self.interrupt() && self.vector() >= VECTORS) {
            return Err(Malformed);
        }
        let length = self.length();
        // An offset below 4096 fits.
        let buffer = self.buffer_offset() as usize;
        let (length_ok, buffer_ok) =
            ((1..=MAX_LENGTH).contains(&length), self.buffer_offset() < BUFFER_OFFSETS);
        // A 32-bit atomic uses the low half of its operands.
        let (operand, compare) = (self.operand(), self.compare());
        let (operand32, compare32) = (operand as u32, compare as u32);
        match self.opcode() {
            0 => Ok(Operation::Nop),
            1 if length_ok && buffer_ok => Ok(Operation::Read { length, buffer }),
            2 if length_ok && buffer_ok => Ok(Operation::Write { length, buffer }),
            3 if length_ok => Ok(Operation::Copy { length, to: Iova(self.address2()) }),
            4 if self.wide() => self.atomic(AtomicOp::FetchAdd64(operand)),
            4 => self.atomic(AtomicOp::FetchAdd32(operand32)),
            5 if self.wide() => self.atomic(AtomicOp::Swap64(operand)),
            5 => self.atomic(AtomicOp::Swap32(operand32)),
            6 if self.wide() => self.atomic(AtomicOp::CompareSwap64 { compare, swap: operand }),
            6 => self.atomic(AtomicOp::CompareSwap32 { compare: compare32, swap: operand32 }),
            7 => Ok(Operation::ZeroLengthRead),
            _ => Err(Malformed),
        }
    }

    /// A request of this descriptor for `address`.
    pub fn request(self, address: Iova) -> Request {
        Request {
            address,
            pasid: if self.pasid_present() { Pasid::new(self.pasid()) } else { None },
            attrs: Attrs {
                privileged: self.privileged(),
                execute: self.execute(),
                no_snoop: self.no_snoop(),
                secure: false,
            },
            kind: if self.translated() { Kind::Translated } else { Kind::Untranslated },
        }
    }

    fn atomic(self, op: AtomicOp) -> Result<Operation, Malformed> {
        if self.address().is_multiple_of(op.size()) { Ok(Operation::Atomic(op)) } else { Err(Malformed) }
    }
}
