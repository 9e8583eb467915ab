//! Admin commands [NVMe 5].

mod abort;
mod identify;
mod log;
mod queues;

use super::command::Command;
use super::completion::Status;
use super::controller::{Controller, Outside, Work};
use super::data::{Stop, Transfer};
use super::engine::Begun;

/// The commands there are, by their opcodes.
const DELETE_IO_SQ: u8 = 0x00;
const CREATE_IO_SQ: u8 = 0x01;
const GET_LOG_PAGE: u8 = 0x02;
const DELETE_IO_CQ: u8 = 0x04;
const CREATE_IO_CQ: u8 = 0x05;
const IDENTIFY: u8 = 0x06;
const ABORT: u8 = 0x08;
const SET_FEATURES: u8 = 0x09;
const GET_FEATURES: u8 = 0x0a;
const ASYNC_EVENT_REQUEST: u8 = 0x0c;

/// All of them.
const COMMANDS: [u8; 10] = [
    DELETE_IO_SQ,
    CREATE_IO_SQ,
    GET_LOG_PAGE,
    DELETE_IO_CQ,
    CREATE_IO_CQ,
    IDENTIFY,
    ABORT,
    SET_FEATURES,
    GET_FEATURES,
    ASYNC_EVENT_REQUEST,
];

impl Controller {
    /// Begins the first command, which is of the admin queue.
    pub(super) fn begin_admin(&mut self, command: Command, out: &mut Outside<'_, '_>) -> Result<Begun, Stop> {
        let opcode = command.opc();
        if !COMMANDS.contains(&opcode) {
            return Err(Status::InvalidOpcode.into());
        }
        // SGLs are for I/O commands [NVMe 4.2].
        if command.psdt() != 0 {
            return Err(Status::InvalidField.into());
        }
        let done = |()| Begun::Done(0);
        match opcode {
            DELETE_IO_SQ => self.delete_submission_queue(command, out),
            CREATE_IO_SQ => Ok(self.create_submission_queue(command).map(done)?),
            GET_LOG_PAGE => {
                let page = self.log_page(command, out.bus.cx.now())?;
                self.send(command, page)
            }
            DELETE_IO_CQ => Ok(self.delete_completion_queue(command).map(done)?),
            CREATE_IO_CQ => Ok(self.create_completion_queue(command).map(done)?),
            IDENTIFY => {
                let page = identify::page(command, out.config, out.medium)?;
                self.send(command, page)
            }
            ABORT => self.abort(command, out),
            SET_FEATURES => self.set_features(command, out),
            GET_FEATURES => Ok(Begun::Done(self.features.get(command)?)),
            _ => Ok(self.events.hold(command.cid()).map(|()| Begun::Held)?),
        }
    }

    fn set_features(&mut self, command: Command, out: &mut Outside<'_, '_>) -> Result<Begun, Stop> {
        let cached = self.features.write_cache();
        let dw0 = self.set_feature(command)?;
        if cached && !self.features.write_cache() {
            // What the cache has is durable before it is off.
            self.flush_medium(out)?;
        }
        Ok(Begun::Done(dw0))
    }

    fn send(&self, command: Command, data: Vec<u8>) -> Result<Begun, Stop> {
        Ok(Begun::Work(Work::Transfer(Transfer::send(command, data, self.page())?)))
    }
}
