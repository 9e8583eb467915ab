//! NVM commands [NVMe 6].

use super::command::Command;
use super::completion::Status;
use super::controller::{Controller, Outside, Work};
use super::data::{Stop, Transfer};
use super::engine::Begun;
use super::medium::Medium;
use super::{LBA, MAX_TRANSFER};

const FLUSH: u8 = 0x00;
const WRITE: u8 = 0x01;
const READ: u8 = 0x02;
const COMPARE: u8 = 0x05;
const WRITE_ZEROES: u8 = 0x08;
const DATASET_MANAGEMENT: u8 = 0x09;

/// The commands there are, by their opcodes, and whether they change blocks.
pub(super) const COMMANDS: [(u8, bool); 6] = [
    (FLUSH, false),
    (WRITE, true),
    (READ, false),
    (COMPARE, false),
    (WRITE_ZEROES, true),
    (DATASET_MANAGEMENT, true),
];

/// The namespace identifier that stands for all.
const ALL: u32 = u32::MAX;
/// Force Unit Access, of dword 12.
const FUA: u32 = 1 << 30;
/// Deallocate, of dword 11 of Dataset Management.
const DEALLOCATE: u32 = 1 << 2;
/// Bytes that Write Zeroes writes at once, and what they count for: as many requests as a transfer of them.
const ZEROES: usize = 64 << 10;
const ZEROES_CHARGE: u32 = 16;

/// Bytes of the namespace.
struct Range {
    first: u64,
    bytes: u64,
}

impl Range {
    /// Dwords 10 to 12: where a command begins and how many blocks it has, one less.
    fn of(command: Command, medium: &dyn Medium) -> Result<Self, Status> {
        let (first, blocks) = (command.slba(), u64::from(command.cdw12() & 0xffff) + 1);
        let end = first.checked_add(blocks).ok_or(Status::LbaOutOfRange)?;
        if end > Controller::blocks(medium) {
            return Err(Status::LbaOutOfRange);
        }
        // The medium ends below 2^64 bytes, and so does the range.
        Ok(Self { first: first * LBA, bytes: blocks * LBA })
    }

    /// What reading it from the medium counts for: as many requests as a transfer of whole pages, whether the
    /// host takes the data or not.
    fn requests(&self) -> u32 {
        // At most 8,192: 65,536 blocks.
        (self.bytes / (ZEROES as u64 / u64::from(ZEROES_CHARGE))) as u32
    }

    /// Its length, if a command may move as much.
    fn transfer(&self) -> Result<usize, Status> {
        // Small enough by then.
        if self.bytes <= MAX_TRANSFER as u64 { Ok(self.bytes as usize) } else { Err(Status::InvalidField) }
    }
}

impl Controller {
    /// Begins the first command, which is of an I/O queue.
    pub(super) fn begin_io(&mut self, command: Command, out: &mut Outside<'_, '_>) -> Result<Begun, Stop> {
        let opcode = command.opc();
        let Some((_, writes)) = COMMANDS.iter().find(|(known, _)| *known == opcode) else {
            return Err(Status::InvalidOpcode.into());
        };
        if command.nsid() != 1 && !(opcode == FLUSH && command.nsid() == ALL) {
            return Err(Status::InvalidNamespace.into());
        }
        if *writes && out.medium.read_only() {
            return Err(Status::NamespaceWriteProtected.into());
        }
        let page = self.page();
        let transfer = match opcode {
            FLUSH => {
                self.noting_errors(|controller| controller.flush_medium(out))?;
                return Ok(Begun::Done(0));
            }
            READ => {
                let range = Range::of(command, out.medium)?;
                let mut data = vec![0; range.transfer()?];
                self.noting_errors(|controller| controller.commit(command, out))?;
                out.bus.charge(range.requests());
                let read = out.medium.read(range.first, &mut data);
                self.noting_errors(|_| read.map_err(|_| Status::UnrecoveredReadError))?;
                Transfer::send(command, data, page)?
            }
            WRITE | COMPARE => Transfer::receive(command, Range::of(command, out.medium)?.transfer()?, page)?,
            WRITE_ZEROES => {
                Range::of(command, out.medium)?;
                return Ok(Begun::Work(Work::Zero(0)));
            }
            // Up to 256 ranges of 16 bytes.
            _ => Transfer::receive(command, ((command.cdw10() & 0xff) as usize + 1) * 16, page)?,
        };
        Ok(Begun::Work(Work::Transfer(transfer)))
    }

    /// All data of a command has come from the host.
    pub(super) fn received(
        &mut self,
        command: Command,
        data: Vec<u8>,
        out: &mut Outside<'_, '_>,
    ) -> Result<Begun, Stop> {
        match command.opc() {
            WRITE => {
                let range = Range::of(command, out.medium)?;
                let written = out.medium.write(range.first, &data);
                self.noting_errors(|controller| {
                    written.map_err(|_| Status::WriteFault)?;
                    controller.settle(command, out)
                })?;
                self.health.wrote(range.bytes / LBA);
            }
            COMPARE => {
                let range = Range::of(command, out.medium)?;
                let mut stored = vec![0; data.len()];
                self.noting_errors(|controller| controller.commit(command, out))?;
                out.bus.charge(range.requests());
                let read = out.medium.read(range.first, &mut stored);
                self.noting_errors(|_| read.map_err(|_| Status::UnrecoveredReadError))?;
                self.health.read(range.bytes / LBA);
                if stored != data {
                    return Err(Status::CompareFailure.into());
                }
            }
            _ => deallocate(command, &data, out.medium)?,
        }
        Ok(Begun::Done(0))
    }

    /// Does what is left of a Write Zeroes after `done` bytes.
    pub(super) fn go_on_zeroing(
        &mut self,
        command: Command,
        mut done: u64,
        out: &mut Outside<'_, '_>,
    ) -> Result<Begun, Stop> {
        let range = Range::of(command, out.medium)?;
        while done < range.bytes {
            if out.bus.is_exhausted() {
                self.work = Some(Work::Zero(done));
                return Err(Stop::Later);
            }
            out.bus.charge(ZEROES_CHARGE);
            // At most that much.
            let len = (range.bytes - done).min(ZEROES as u64) as usize;
            let written = out.medium.write(range.first + done, &[0; ZEROES][..len]);
            self.noting_errors(|_| written.map_err(|_| Status::WriteFault))?;
            done += len as u64;
        }
        self.noting_errors(|controller| controller.settle(command, out))?;
        Ok(Begun::Done(0))
    }

    /// What was written is durable before the command completes if it says so or there is no write cache.
    fn settle(&mut self, command: Command, out: &mut Outside<'_, '_>) -> Result<(), Status> {
        if self.features.write_cache() { self.commit(command, out) } else { self.flush_medium(out) }
    }

    /// What a command with FUA reads or has written is durable [NVMe 6.6, 6.9, 6.15].
    fn commit(&mut self, command: Command, out: &mut Outside<'_, '_>) -> Result<(), Status> {
        if command.cdw12() & FUA != 0 { self.flush_medium(out) } else { Ok(()) }
    }

    /// Counts a failure of the medium.
    fn noting_errors(&mut self, access: impl FnOnce(&mut Self) -> Result<(), Status>) -> Result<(), Status> {
        let result = access(self);
        if result.is_err() {
            self.health.media_error();
        }
        result
    }
}

/// Dataset Management [NVMe 6.7]. Other attributes than Deallocate are hints that change nothing. Nothing is
/// deallocated if one range leaves the namespace.
fn deallocate(command: Command, data: &[u8], medium: &mut dyn Medium) -> Result<(), Status> {
    if command.cdw11() & DEALLOCATE == 0 {
        return Ok(());
    }
    let blocks = Controller::blocks(medium);
    let ranges = data.as_chunks::<16>().0.iter().map(|range| {
        // Context attributes in 31:0, length in blocks in 63:32, first block in 127:64.
        let value = u128::from_le_bytes(*range);
        ((value >> 64) as u64, u64::from((value >> 32) as u32))
    });
    if ranges.clone().any(|(first, len)| first.checked_add(len).is_none_or(|end| end > blocks)) {
        return Err(Status::LbaOutOfRange);
    }
    for (first, len) in ranges {
        medium.deallocate(first * LBA, len * LBA);
    }
    Ok(())
}
