//! Scatter gather lists [NVMe 4.4].

use serde::{Deserialize, Serialize};

use super::super::command::Command;
use super::super::completion::Status;
use super::{Bus, Direction, Piece, Stop, in_page};
use crate::addr::PAGE_SIZE;
use crate::register;

/// Descriptors of a segment that are read at once.
const BURST: u32 = 16;
/// Most descriptors of a command. The specification knows no limit, and lists can run in circles.
const DESCRIPTORS_MAX: u32 = 1 << 16;
/// Bytes of a descriptor.
const SIZE: u32 = 16;

register! {
    /// An SGL descriptor; bit 8 n is bit 0 of byte n.
    struct Descriptor: [u64; 2] {
        /// SGL Descriptor Type.
        127:124 Field   kind: u8,
        /// SGL Descriptor Sub Type: 0 says that the address is one.
        123:120 Field   subtype: u8,
        119:96  Ignored _r0,
        95:64   Field   length: u32,
        63:0    Field   address: u64,
    }
}

const DATA_BLOCK: u8 = 0x0;
const BIT_BUCKET: u8 = 0x1;
const SEGMENT: u8 = 0x2;
const LAST_SEGMENT: u8 = 0x3;

/// An SGL that has been followed some way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    block: Block,
    segment: Segment,
    /// Descriptors taken so far.
    taken: u32,
}

/// What is left of the data block in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    /// `None` past the top of the address space.
    address: Option<u64>,
    left: u32,
    /// It is a bit bucket.
    discard: bool,
}

/// What is left of the segment in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Segment {
    /// Where the descriptors go on that have not been read; `None` past the top of the address space.
    address: Option<u64>,
    /// Descriptors that have not been taken.
    left: u32,
    /// It was announced as the last.
    last: bool,
    /// Descriptors that have been read and not taken, the next one first.
    read: Vec<Descriptor>,
}

impl Cursor {
    /// The data pointer of `command`: SGL Entry 1, a segment of one descriptor.
    pub(super) fn new(command: Command) -> Self {
        let first = Descriptor::from_raw([command.prp1(), command.prp2()]);
        Self {
            block: Block { address: None, left: 0, discard: false },
            segment: Segment { address: None, left: 1, last: false, read: vec![first] },
            taken: 0,
        }
    }

    /// The next piece, where `len` bytes are left to be moved.
    pub(super) fn peek(
        &mut self,
        len: usize,
        direction: Direction,
        bus: &mut Bus<'_, '_>,
    ) -> Result<Piece, Stop> {
        while self.block.left == 0 {
            self.load(direction, bus)?;
        }
        // Whatever does not fit is more than `len`.
        let len = usize::try_from(self.block.left).unwrap_or(len).min(len);
        if self.block.discard {
            return Ok(Piece::Discard(len));
        }
        let address = self.block.address.ok_or(Status::DataTransferError)?;
        Ok(Piece::Memory { address, len: in_page(address, len) })
    }

    /// `len` bytes, at most what was peeked, have been moved.
    pub(super) fn consume(&mut self, len: usize) {
        let Block { address, left, discard: _ } = &mut self.block;
        *address = address.and_then(|address| address.checked_add(len as u64));
        // No more than there are.
        *left = left.saturating_sub(len as u32);
    }

    /// Takes the next descriptor, or reads some of the segment.
    fn load(&mut self, direction: Direction, bus: &mut Bus<'_, '_>) -> Result<(), Stop> {
        let Self { block, segment, taken } = self;
        if segment.left == 0 {
            // A segment that is not the last ends with the descriptor of the next; the list is shorter
            // than the data.
            return Err(Status::SglLengthInvalid.into());
        }
        if segment.read.is_empty() {
            return segment.read_some(bus);
        }
        let descriptor = segment.read.remove(0);
        segment.left -= 1;
        *taken = taken.saturating_add(1);
        if *taken > DESCRIPTORS_MAX {
            return Err(Status::InvalidSglCount.into());
        }
        let (address, length) = (descriptor.address(), descriptor.length());
        match (descriptor.kind(), descriptor.subtype()) {
            (DATA_BLOCK, 0) => *block = Block { address: Some(address), left: length, discard: false },
            (BIT_BUCKET, 0) => {
                // In data for the controller it stands for nothing.
                let left = if direction == Direction::ToHost { length } else { 0 };
                *block = Block { address: None, left, discard: true };
            }
            (kind @ (SEGMENT | LAST_SEGMENT), 0) => {
                if segment.left != 0 {
                    return Err(Status::InvalidSglCount.into());
                }
                if segment.last || length == 0 || !length.is_multiple_of(SIZE) {
                    return Err(Status::InvalidSglSegment.into());
                }
                let last = kind == LAST_SEGMENT;
                *segment = Segment { address: Some(address), left: length / SIZE, last, read: Vec::new() };
            }
            _ => return Err(Status::SglTypeInvalid.into()),
        }
        Ok(())
    }

    pub(super) fn is_valid(&self) -> bool {
        let Segment { address: _, left, last: _, read } = &self.segment;
        read.len() <= BURST as usize && read.len() <= *left as usize
    }
}

impl Segment {
    /// Reads descriptors up to the end of the page, or one that crosses it.
    fn read_some(&mut self, bus: &mut Bus<'_, '_>) -> Result<(), Stop> {
        let address = self.address.ok_or(Status::DataTransferError)?;
        let in_page = (PAGE_SIZE - address % PAGE_SIZE) / u64::from(SIZE);
        // At most 256 descriptors are in a page.
        let count = self.left.min(BURST).min(in_page as u32).max(1);
        let mut bytes = [0; (SIZE * BURST) as usize];
        let bytes = &mut bytes[..(SIZE * count) as usize];
        bus.read(address, bytes)?;
        let descriptor = |bytes: &[u8; 16]| {
            let value = u128::from_le_bytes(*bytes);
            // The two halves.
            Descriptor::from_raw([value as u64, (value >> 64) as u64])
        };
        self.read.extend(bytes.as_chunks().0.iter().map(descriptor));
        self.address = address.checked_add(u64::from(SIZE * count));
        Ok(())
    }
}
