//! The Error Information log [NVMe 5.14.1.1].

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::completion::Status;

/// Entries that are kept; ELPE is one less.
pub(super) const ENTRIES: usize = 16;
/// Bytes of an entry.
const ENTRY: usize = 64;

/// An error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    queue: u16,
    cid: u16,
    status: u16,
    lba: u64,
    nsid: u32,
}

impl Entry {
    /// Of a command. It does not say where in the command the error is.
    pub(super) fn of(queue: u16, command: Command, status: Status) -> Self {
        // Commands of the admin queue name no block.
        let lba = if queue == 0 { 0 } else { command.slba() };
        Self { queue, cid: command.cid(), status: status.code(), lba, nsid: command.nsid() }
    }

    /// Of something that is no command.
    pub(super) const fn of_no_command() -> Self {
        Self { queue: 0xffff, cid: 0xffff, status: 0, lba: 0, nsid: 0 }
    }
}

/// The log, newest entry first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErrorLog {
    /// Errors since the controller was made.
    count: u64,
    entries: VecDeque<Entry>,
}

impl ErrorLog {
    pub(super) fn add(&mut self, entry: Entry) {
        self.count = self.count.saturating_add(1);
        self.entries.truncate(ENTRIES - 1);
        self.entries.push_front(entry);
    }

    /// How many errors there have been.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The log page.
    pub(super) fn page(&self) -> Vec<u8> {
        let mut page = vec![0; ENTRIES * ENTRY];
        for (age, (bytes, entry)) in (0..).zip(page.chunks_exact_mut(ENTRY).zip(&self.entries)) {
            let Entry { queue, cid, status, lba, nsid } = *entry;
            bytes[0..8].copy_from_slice(&self.count.saturating_sub(age).to_le_bytes());
            bytes[8..10].copy_from_slice(&queue.to_le_bytes());
            bytes[10..12].copy_from_slice(&cid.to_le_bytes());
            // As in the completion, with the phase tag in bit 0.
            bytes[12..14].copy_from_slice(&(status << 1).to_le_bytes());
            // No particular byte of the command.
            bytes[14..16].copy_from_slice(&[0xff; 2]);
            bytes[16..24].copy_from_slice(&lba.to_le_bytes());
            bytes[24..28].copy_from_slice(&nsid.to_le_bytes());
        }
        page
    }

    pub(super) fn is_valid(&self) -> bool {
        self.entries.len() <= ENTRIES && self.count >= self.entries.len() as u64
    }
}
