//! Physical Region Pages [NVMe 4.3].

use serde::{Deserialize, Serialize};

use super::super::command::Command;
use super::super::completion::Status;
use super::{Bus, Piece, Stop, in_page};

/// Entries of a list that are read at once.
const BURST: u64 = 32;

/// PRP entries that have been followed some way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Where the data goes on in the memory page of the entry in use.
    at: u64,
    /// Bytes left of that page.
    left: u64,
    next: Next,
}

/// Where the next entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Next {
    /// It is PRP Entry 2, or that points to a list of it and others.
    Second(u64),
    /// In a list, of which some entries have been read, the next one first.
    List { address: u64, read: Vec<u64> },
}

impl Cursor {
    /// The data pointer of `command`, with memory pages of `page` bytes.
    pub(super) fn new(command: Command, page: u64) -> Result<Self, Status> {
        let at = command.prp1();
        // The data begins at any dword of its first page.
        if !at.is_multiple_of(4) {
            return Err(Status::PrpOffsetInvalid);
        }
        Ok(Self { at, left: page - at % page, next: Next::Second(command.prp2()) })
    }

    /// The next piece, where `len` bytes are left to be moved.
    pub(super) fn peek(&mut self, len: usize, page: u64, bus: &mut Bus<'_, '_>) -> Result<Piece, Stop> {
        while self.left == 0 {
            self.load(len as u64, page, bus)?;
        }
        // Whatever does not fit is more than `len`.
        let left = usize::try_from(self.left).unwrap_or(len);
        Ok(Piece::Memory { address: self.at, len: in_page(self.at, len.min(left)) })
    }

    /// `len` bytes, at most what was peeked, have been moved.
    pub(super) fn consume(&mut self, len: usize) {
        // The last page of the address space ends where addresses begin again.
        self.at = self.at.wrapping_add(len as u64);
        self.left = self.left.saturating_sub(len as u64);
    }

    /// Takes the next entry into use, or reads some of the list.
    fn load(&mut self, len: u64, page: u64, bus: &mut Bus<'_, '_>) -> Result<(), Stop> {
        match &mut self.next {
            Next::Second(entry) if len <= page => {
                (self.at, self.left) = (data_page(*entry, page)?, page);
            }
            Next::Second(list) => {
                if !list.is_multiple_of(8) {
                    return Err(Status::PrpOffsetInvalid.into());
                }
                self.next = Next::List { address: *list, read: Vec::new() };
            }
            Next::List { address, read } if read.is_empty() => {
                let in_list = (page - *address % page) / 8;
                let count = len.div_ceil(page).min(in_list).min(BURST);
                let mut bytes = [0; 8 * BURST as usize];
                // At most the burst. It crosses no page.
                let bytes = &mut bytes[..8 * count as usize];
                bus.read(*address, bytes)?;
                read.extend(bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)));
            }
            Next::List { address, read } => {
                let entry = read.remove(0);
                // The last entry of a list page points to the next list where one page is not all that
                // is left.
                if *address % page == page - 8 && len > page {
                    *address = data_page(entry, page)?;
                    read.clear();
                } else {
                    *address = address.wrapping_add(8);
                    (self.at, self.left) = (data_page(entry, page)?, page);
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_valid(&self) -> bool {
        match &self.next {
            Next::Second(_) => true,
            Next::List { address, read } => address.is_multiple_of(8) && read.len() <= BURST as usize,
        }
    }
}

/// An entry that is not the first has no offset.
fn data_page(entry: u64, page: u64) -> Result<u64, Status> {
    if entry.is_multiple_of(page) { Ok(entry) } else { Err(Status::PrpOffsetInvalid) }
}
