//! The descriptor in progress.

use serde::{Deserialize, Serialize};

use super::BUFFER_SIZE;
use super::bus::{Bus, Code, Stop};
use super::descriptor::{Descriptor, Operation};
use crate::addr::{Iova, PAGE_SIZE};

/// A descriptor, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    descriptor: Descriptor,
    /// Bytes moved so far.
    moved: u32,
    /// What a copy has read and not yet written: the write is held.
    read: Vec<u8>,
    /// How it ended, once it did; then only its status is left to be written.
    ended: Option<Completion>,
}

/// How a descriptor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Completion {
    pub(super) code: Code,
    pub(super) moved: u32,
    pub(super) result: u64,
}

/// What a piece of a transfer comes to past the top of the address space.
const PAST_THE_TOP: (Code, usize) = (Code::Ur, 0);

impl Work {
    pub(super) fn new(descriptor: Descriptor) -> Self {
        Self { descriptor, moved: 0, read: Vec::new(), ended: None }
    }

    pub(super) fn descriptor(&self) -> Descriptor {
        self.descriptor
    }

    /// Does what is left, as far as `pages` allow.
    pub(super) fn finish(
        &mut self,
        buffer: &mut [u8; BUFFER_SIZE],
        pages: &mut u32,
        bus: &mut Bus<'_>,
    ) -> Result<Completion, Stop> {
        if let Some(completion) = self.ended {
            return Ok(completion);
        }
        let completion = self.perform(buffer, pages, bus)?;
        self.ended = Some(completion);
        Ok(completion)
    }

    fn perform(
        &mut self,
        buffer: &mut [u8; BUFFER_SIZE],
        pages: &mut u32,
        bus: &mut Bus<'_>,
    ) -> Result<Completion, Stop> {
        let Self { descriptor, moved, read, ended: _ } = self;
        let from = Iova(descriptor.address());
        let ended = |code, moved, result| Ok(Completion { code, moved, result });
        let request = descriptor.request(from);
        let (Ok(operation), true) =
            (descriptor.operation(), request.pasid.is_none_or(|pasid| bus.at.carries(pasid)))
        else {
            return ended(Code::Malformed, 0, 0);
        };
        match operation {
            Operation::Nop => ended(Code::Done, 0, 0),
            Operation::ZeroLengthRead => ended(bus.read(request, &mut [])?, 0, 0),
            Operation::Atomic(op) => match bus.atomic(request, op)? {
                // An operand has 4 or 8 bytes.
                Ok(old) => ended(Code::Done, op.size() as u32, old),
                Err(code) => ended(code, 0, 0),
            },
            Operation::Read { length, buffer: start } => transfer(moved, length, pages, |moved, left| {
                let at = (start + moved) % BUFFER_SIZE;
                let Some(address) = from.checked_add(moved as u64) else { return Ok(PAST_THE_TOP) };
                let len = left.min(rest_of_page(address)).min(BUFFER_SIZE - at);
                Ok((bus.read(descriptor.request(address), &mut buffer[at..at + len])?, len))
            }),
            Operation::Write { length, buffer: start } => transfer(moved, length, pages, |moved, left| {
                let at = (start + moved) % BUFFER_SIZE;
                let Some(address) = from.checked_add(moved as u64) else { return Ok(PAST_THE_TOP) };
                let len = left.min(rest_of_page(address)).min(BUFFER_SIZE - at);
                Ok((bus.write(descriptor.request(address), &buffer[at..at + len])?, len))
            }),
            Operation::Copy { length, to } => {
                let mut scratch = [0; PAGE_SIZE as usize];
                // A piece is read and written, so it counts twice.
                let mut pairs = pages.div_ceil(2);
                let result = transfer(moved, length, &mut pairs, |moved, left| {
                    let ends = (from.checked_add(moved as u64), to.checked_add(moved as u64));
                    let (Some(from), Some(to)) = ends else { return Ok(PAST_THE_TOP) };
                    let piece = &mut scratch[..left.min(rest_of_page(from)).min(rest_of_page(to))];
                    if read.len() == piece.len() {
                        piece.copy_from_slice(read);
                    } else {
                        let code = bus.read(descriptor.request(from), piece)?;
                        if code != Code::Done {
                            return Ok((code, 0));
                        }
                    }
                    let written = bus.write(descriptor.request(to), piece);
                    read.clear();
                    if written.is_err() {
                        read.extend_from_slice(piece);
                    }
                    Ok((written?, piece.len()))
                });
                *pages = pairs * 2;
                result
            }
        }
    }
}

/// Moves `length` bytes, of which `moved` are done, piece by piece. `piece` is given the bytes moved
/// and the bytes left; it says how it ended and how many bytes it had.
fn transfer(
    moved: &mut u32,
    length: u32,
    pages: &mut u32,
    mut piece: impl FnMut(usize, usize) -> Result<(Code, usize), Stop>,
) -> Result<Completion, Stop> {
    let mut code = Code::Done;
    while *moved < length && code == Code::Done {
        if *pages == 0 {
            return Err(Stop::Later(0));
        }
        *pages -= 1;
        let len;
        (code, len) = piece(*moved as usize, (length - *moved) as usize)?;
        if code == Code::Done {
            // A piece is at most a page.
            *moved += len as u32;
        }
    }
    Ok(Completion { code, moved: *moved, result: 0 })
}

/// Bytes from `address` to the end of its page.
fn rest_of_page(address: Iova) -> usize {
    // At most a page.
    (PAGE_SIZE - address.page_offset()) as usize
}
