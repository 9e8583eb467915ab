//! Get Log Page [NVMe 5.14].

use super::super::asynchronous::Kind;
use super::super::command::Command;
use super::super::completion::Status;
use super::super::controller::Controller;
use super::super::{MAX_TRANSFER, io};
use super::{COMMANDS, GET_LOG_PAGE, identify};
use crate::events::Time;

const ERROR: u8 = 0x01;
const HEALTH: u8 = 0x02;
const FIRMWARE_SLOT: u8 = 0x03;
const EFFECTS: u8 = 0x05;

/// Bit 15 of dword 10: what the page reports is not cleared.
const RETAIN: u32 = 1 << 15;

impl Controller {
    /// The part of a log page that `command` wants. What it wants beyond the end is not written.
    pub(super) fn log_page(&self, command: Command, now: Time) -> Result<Vec<u8>, Status> {
        let page = match (log(command), command.nsid()) {
            // Logs are of the controller, not of its namespace, as LPA says.
            (ERROR | HEALTH | FIRMWARE_SLOT | EFFECTS, nsid) if nsid != 0 && nsid != u32::MAX => {
                return Err(if nsid == 1 { Status::InvalidField } else { Status::InvalidNamespace });
            }
            (ERROR, _) => self.errors.page(),
            (HEALTH, _) => self.health.page(self.features.hot(), self.errors.count(), now),
            (FIRMWARE_SLOT, _) => firmware_slots(),
            (EFFECTS, _) => effects(),
            _ => return Err(Status::InvalidLogPage),
        };
        let dwords = u64::from(command.cdw11() & 0xffff) << 16 | u64::from(command.cdw10() >> 16);
        let len = (dwords + 1) * 4;
        let offset = u64::from(command.cdw13()) << 32 | u64::from(command.cdw12());
        let size = page.len() as u64;
        if !offset.is_multiple_of(4) || offset > size || len > MAX_TRANSFER as u64 {
            return Err(Status::InvalidField);
        }
        // Both are inside of the page.
        let (first, end) = (offset as usize, (offset + len).min(size) as usize);
        Ok(page[first..end].to_vec())
    }

    /// An admin command has sent its data: if it was a log page, events of its type are reported again.
    pub(in super::super) fn log_was_read(&mut self, command: Command) {
        if command.opc() != GET_LOG_PAGE || command.cdw10() & RETAIN != 0 {
            return;
        }
        match log(command) {
            ERROR => self.events.clear(Kind::Error),
            HEALTH => self.events.clear(Kind::Smart),
            _ => {}
        }
    }
}

fn log(command: Command) -> u8 {
    // Bits 7:0.
    command.cdw10() as u8
}

/// Firmware Slot Information [NVMe 5.14.1.3]: slot 1 is active.
fn firmware_slots() -> Vec<u8> {
    let mut page = vec![0; 512];
    page[0] = 1;
    page[8..16].copy_from_slice(&identify::FIRMWARE);
    page
}

/// Commands Supported and Effects [NVMe 5.14.1.5]: admin commands, then those of I/O queues.
fn effects() -> Vec<u8> {
    /// Command Supported.
    const CSUPP: u32 = 1;
    /// Logical Block Content Change.
    const LBCC: u32 = 1 << 1;
    let mut page = vec![0; 4096];
    let admin = COMMANDS.iter().map(|opcode| (usize::from(*opcode), CSUPP));
    let nvm = io::COMMANDS
        .iter()
        .map(|(opcode, writes)| (256 + usize::from(*opcode), if *writes { CSUPP | LBCC } else { CSUPP }));
    for (entry, effects) in admin.chain(nvm) {
        page[4 * entry..4 * entry + 4].copy_from_slice(&effects.to_le_bytes());
    }
    page
}
