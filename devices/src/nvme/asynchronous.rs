//! Asynchronous events [NVMe 5.2].

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::completion::Status;
use super::controller::{Controller, Outside};
use super::engine::QueueFault;
use super::error_log::Entry;

/// Asynchronous Event Requests that can be held at once; AERL is one less.
pub(super) const LIMIT: usize = 4;

/// An event that the controller can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Event {
    /// A doorbell of a queue that is not there was written.
    InvalidDoorbell,
    /// A doorbell was written with a value that its queue does not take.
    InvalidDoorbellValue,
    /// The composite temperature is past a threshold.
    Temperature,
}

/// Types of events: each is reported once until its log page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error = 0,
    Smart = 1,
}

impl Event {
    const fn kind(self) -> Kind {
        match self {
            Self::InvalidDoorbell | Self::InvalidDoorbellValue => Kind::Error,
            Self::Temperature => Kind::Smart,
        }
    }

    /// Dword 0 of the completion: type in 2:0, information in 15:8, log page in 23:16.
    const fn dw0(self) -> u32 {
        match self {
            Self::InvalidDoorbell => 0x01_00_00,
            Self::InvalidDoorbellValue => 0x01_01_00,
            Self::Temperature => 0x02_01_01,
        }
    }
}

/// Requests without events and events without requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Events {
    /// Command identifiers of the requests that are held, oldest first.
    held: Vec<u16>,
    /// Events to be reported, oldest first, each once.
    pending: Vec<Event>,
    /// Types of which one was reported and not yet cleared.
    masked: [bool; 2],
}

impl Events {
    /// Holds a request.
    pub(super) fn hold(&mut self, cid: u16) -> Result<(), Status> {
        if self.held.len() >= LIMIT {
            return Err(Status::EventLimitExceeded);
        }
        self.held.push(cid);
        Ok(())
    }

    /// Whether a request with this identifier is held.
    pub(super) fn holds(&self, cid: u16) -> bool {
        self.held.contains(&cid)
    }

    /// Gives up the request with this identifier.
    pub(super) fn release(&mut self, cid: u16) {
        self.held.retain(|held| *held != cid);
    }

    /// An event has occurred.
    pub(super) fn occurred(&mut self, event: Event) {
        if !self.pending.contains(&event) {
            self.pending.push(event);
        }
    }

    /// The log page of a type was read: events of it are reported again.
    pub(super) fn clear(&mut self, kind: Kind) {
        self.masked[kind as usize] = false;
    }

    /// The next event to report, and the request that it completes.
    fn next(&mut self) -> Option<(Event, u16)> {
        let at = self.pending.iter().position(|event| !self.masked[event.kind() as usize])?;
        let cid = *self.held.first()?;
        self.held.remove(0);
        let event = self.pending.remove(at);
        self.masked[event.kind() as usize] = true;
        Some((event, cid))
    }

    pub(super) fn is_valid(&self) -> bool {
        let once = |(at, event): (usize, &Event)| !self.pending[..at].contains(event);
        self.held.len() <= LIMIT && self.pending.iter().enumerate().all(once)
    }
}

impl Controller {
    /// Completes requests for events as far as the admin completion queue has room.
    pub(super) fn report_events(&mut self, out: &mut Outside<'_, '_>) -> Result<(), QueueFault> {
        while self.can_post(0)
            && let Some((event, cid)) = self.events.next()
        {
            self.complete(0, Command::ZERO.with_cid(cid), Ok(event.dw0()), out)?;
        }
        Ok(())
    }

    /// A doorbell was written wrongly.
    pub(super) fn report_doorbell(&mut self, event: Event) {
        self.errors.add(Entry::of_no_command());
        self.events.occurred(event);
    }
}
