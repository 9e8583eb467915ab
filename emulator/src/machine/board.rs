//! What one board has and another has not: interrupt controllers, console, clock, and what else is at
//! fixed addresses.

use devices::addr::Pa;
use devices::events::{DeviceEvent, DeviceId};
use devices::fabric::{Effects, Initiator, posted_write};
use devices::iommu::UnitId;
use devices::mem::PhysMem;
use serde::{Deserialize, Serialize};

use super::q35::{self, Q35};
use super::virt::{self, Virt};
use super::{Interrupt, layout};

/// Who sends an interrupt request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sender {
    /// A bus master.
    Master(Initiator),
    /// An IOMMU, to report an event of its own.
    Unit(UnitId),
}

/// The devices of a board.
pub(super) enum Board {
    Q35(Box<Q35>),
    Virt(Box<Virt>),
}

/// A saved [`Board`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Q35(Box<q35::State>),
    Virt(Box<virt::State>),
}

impl Board {
    /// Reads device registers. Returns whether there are any; if not, `data` is untouched.
    pub fn read(&mut self, address: u64, data: &mut [u8], fx: &mut Effects) -> bool {
        match self {
            Self::Q35(board) => board.read(address, data, fx),
            Self::Virt(board) => board.read(address, data, fx),
        }
    }

    /// Writes device registers. Returns whether there are any.
    pub fn write(&mut self, address: u64, data: &[u8], fx: &mut Effects) -> bool {
        match self {
            Self::Q35(board) => board.write(address, data, fx),
            Self::Virt(board) => board.write(address, data, fx),
        }
    }

    /// Delivers an event. Returns whether `device` is one of the board's.
    pub fn event(&mut self, device: DeviceId, event: DeviceEvent, fx: &mut Effects) -> bool {
        match self {
            Self::Q35(_) => false,
            Self::Virt(board) => board.event(device, event, fx),
        }
    }

    /// An interrupt line has changed.
    pub fn set_line(&mut self, line: u32, asserted: bool, fx: &mut Effects) {
        match self {
            Self::Q35(board) => board.set_line(line, asserted, fx),
            Self::Virt(board) => board.gic.set_spi(line, asserted),
        }
    }

    /// There was an edge on an interrupt line.
    pub fn pulse_line(&mut self, line: u32, fx: &mut Effects) {
        match self {
            Self::Q35(board) => {
                board.set_line(line, true, fx);
                board.set_line(line, false, fx);
            }
            Self::Virt(board) => board.gic.pulse_spi(line),
        }
    }

    /// An interrupt request has passed the IOMMU: what it is to the processors, if they are told by
    /// message.
    pub fn message(
        &mut self,
        sender: Sender,
        address: u64,
        data: u32,
        fx: &mut Effects,
    ) -> Option<Interrupt> {
        match self {
            Self::Q35(board) => {
                board.message(sender, data);
                Some(Interrupt::Message { address, data })
            }
            Self::Virt(board) => {
                board.message(sender, data, fx);
                None
            }
        }
    }

    /// A write of 4 bytes by a model that is no bus master: returns whether it is an interrupt request,
    /// and else does it.
    pub fn posted_write(&self, mem: &PhysMem, address: u64, data: u32) -> bool {
        match self {
            Self::Q35(_) => posted_write(mem, address, data),
            Self::Virt(_) if layout::virt::ITS_DOORBELL.contains(Pa(address)) => address.is_multiple_of(4),
            Self::Virt(_) => {
                // What hits no RAM has no completer; posted writes report nothing.
                let _ = mem.write(Pa(address), &data.to_le_bytes());
                false
            }
        }
    }

    /// A remapping unit was written to or has got on with its queue.
    pub fn unit_changed(&mut self) {
        match self {
            Self::Q35(board) => board.routes.touch(),
            Self::Virt(_) => {}
        }
    }

    /// What the program in the machine wrote to a port for it, once it did.
    pub fn exit_request(&self) -> Option<u32> {
        match self {
            Self::Q35(board) => board.debug_exit.exit_request(),
            Self::Virt(_) => None,
        }
    }

    /// Removes and returns what was sent to the console.
    pub fn take_console(&mut self) -> Vec<u8> {
        match self {
            Self::Q35(board) => board.serial.take_output(),
            Self::Virt(board) => board.uart.take_output(),
        }
    }

    /// Removes and returns what was sent past the console, on boards that have a way for it.
    pub fn take_auxiliary(&mut self) -> Vec<u8> {
        match self {
            Self::Q35(_) => Vec::new(),
            Self::Virt(board) => board.auxiliary_uart.take_output(),
        }
    }

    /// Types on the console; returns how many bytes it took.
    pub fn type_console(&mut self, bytes: &[u8], fx: &mut Effects) -> usize {
        match self {
            Self::Q35(board) => board.serial.push_input(bytes, fx),
            Self::Virt(board) => board.uart.push_input(bytes, fx),
        }
    }

    /// Whether software waits for input on the console by interrupt.
    pub fn is_console_listening(&self) -> bool {
        match self {
            Self::Q35(board) => board.serial.is_listening(),
            Self::Virt(board) => board.uart.is_listening(),
        }
    }

    pub fn save(&self) -> State {
        match self {
            Self::Q35(board) => State::Q35(Box::new(board.save())),
            Self::Virt(board) => State::Virt(Box::new(board.save())),
        }
    }

    /// Whether `state` is one of a board of this kind.
    pub fn fits(&self, state: &State) -> bool {
        matches!((self, state), (Self::Q35(_), State::Q35(_)) | (Self::Virt(_), State::Virt(_)))
    }

    /// Continues from a state that [fits](Self::fits); another changes nothing.
    pub fn restore(&mut self, state: State) {
        match (self, state) {
            (Self::Q35(board), State::Q35(state)) => board.restore(*state),
            (Self::Virt(board), State::Virt(state)) => board.restore(*state),
            (Self::Q35(_), State::Virt(_)) | (Self::Virt(_), State::Q35(_)) => {}
        }
    }
}
