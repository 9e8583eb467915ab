//! Data transfer: where the data of a command lies in memory, and how far it has been moved.
//!
//! A [`Transfer`] is moved in pieces that no 4-KiB border crosses, as far as a step allows. What is left
//! is data, so that it goes on at the page where it stopped.

mod bus;
mod prp;
mod sgl;

pub(super) use bus::{Bus, Refused, Stop};

use serde::{Deserialize, Serialize};

use super::MAX_TRANSFER;
use super::command::Command;
use super::completion::Status;
use super::medium::Bytes;
use crate::addr::PAGE_SIZE;

/// A data pointer that has been followed some way [NVMe 4.3, 4.4].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Cursor {
    Prp(prp::Cursor),
    Sgl(sgl::Cursor),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Bytes of memory, inside a page of 4 KiB.
    Memory { address: u64, len: usize },
    /// Bytes that go nowhere.
    Discard(usize),
}

impl Piece {
    const fn len(self) -> usize {
        match self {
            Self::Memory { len, .. } | Self::Discard(len) => len,
        }
    }
}

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Direction {
    ToHost,
    ToController,
}

/// The data of a command on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transfer {
    direction: Direction,
    cursor: Cursor,
    /// All of the data: what is to be sent, or what has been received so far and zeros.
    data: Bytes,
    moved: usize,
}

impl Transfer {
    /// Data for the host.
    pub(super) fn send(command: Command, data: Vec<u8>, page: u64) -> Result<Self, Status> {
        Self::new(command, data, Direction::ToHost, page)
    }

    /// `len` bytes from the host.
    pub(super) fn receive(command: Command, len: usize, page: u64) -> Result<Self, Status> {
        Self::new(command, vec![0; len], Direction::ToController, page)
    }

    fn new(command: Command, data: Vec<u8>, direction: Direction, page: u64) -> Result<Self, Status> {
        let cursor = match command.psdt() {
            0b00 => Cursor::Prp(prp::Cursor::new(command, page)?),
            0b01 => Cursor::Sgl(sgl::Cursor::new(command)),
            // An SGL for metadata is not advertised, and 11b is reserved.
            _ => return Err(Status::InvalidField),
        };
        Ok(Self { direction, cursor, data: Bytes(data), moved: 0 })
    }

    /// Which way it goes.
    pub(super) fn direction(&self) -> Direction {
        self.direction
    }

    /// Moves what is left, as far as the bus has pieces for.
    pub(super) fn advance(&mut self, page: u64, bus: &mut Bus<'_, '_>) -> Result<(), Stop> {
        let Self { direction, cursor, data: Bytes(data), moved } = self;
        while *moved < data.len() {
            let left = data.len() - *moved;
            let piece = match cursor {
                Cursor::Prp(cursor) => cursor.peek(left, page, bus)?,
                Cursor::Sgl(cursor) => cursor.peek(left, *direction, bus)?,
            };
            let len = piece.len();
            if let Piece::Memory { address, .. } = piece {
                let bytes = &mut data[*moved..*moved + len];
                match direction {
                    Direction::ToHost => bus.write(address, bytes)?,
                    Direction::ToController => bus.read(address, bytes)?,
                }
            }
            match cursor {
                Cursor::Prp(cursor) => cursor.consume(len),
                Cursor::Sgl(cursor) => cursor.consume(len),
            }
            *moved += len;
        }
        Ok(())
    }

    /// The data.
    pub(super) fn into_data(self) -> Vec<u8> {
        self.data.0
    }

    pub(super) fn is_valid(&self) -> bool {
        let Self { direction: _, cursor, data: Bytes(data), moved } = self;
        let listed = match cursor {
            Cursor::Prp(cursor) => cursor.is_valid(),
            Cursor::Sgl(cursor) => cursor.is_valid(),
        };
        listed && data.len() <= MAX_TRANSFER && *moved <= data.len()
    }
}

/// The first of `len` bytes from `address` on that a page of 4 KiB holds.
fn in_page(address: u64, len: usize) -> usize {
    // At most a page.
    len.min((PAGE_SIZE - address % PAGE_SIZE) as usize)
}
