//! The control socket: questions and orders to a machine while it runs.
//!
//! A UNIX stream socket for people and scripts (`socat - UNIX-CONNECT:PATH`). Clients are served one
//! after another, each for as long as it stays. A command is a line of at most [`MAX_LINE`] bytes; its
//! answer is any number of lines and then one that starts with `ok` or `error: `. Numbers are
//! decimal, or hexadecimal after `0x`; data is hexadecimal without `0x`.
//!
//! | command | |
//! |---|---|
//! | `explain SOURCE ADDRESS [read\|write\|atomic] [translated] [privileged] [instruction] [len=N] [pasid=N] [data=N] [json]` | what such a request would come to, and why; nothing changes. SOURCE is a function, or at an SMMUv3 `stream=N` |
//! | `dma DEVICE read ADDRESS LEN` | has a function (`00:01.0`, or the name of its model) or a platform device (`stream=0x10000`) read; answers `ok done DATA`, or how the request ended |
//! | `dma DEVICE write ADDRESS LEN [BYTE]` | has it write LEN times BYTE, 0 if not given |
//! | `save FILE` | writes the machine's state, and that of software processors, as JSON on the emulator's side; compressed if FILE ends in `.gz` |
//! | `trace on\|off` | continues or pauses the trace that the machine was started with |
//! | `help` | lists the commands |
//! | `quit` | ends the run |
//!
//! Commands run between two accesses of the guest, never inside one: a thread only moves lines, and
//! whoever drives the machine calls [`Server::serve`] when it may be touched. Whoever may connect can
//! write files as this process can, so only the user who runs it may.
//!
//! A run with a control socket is repeatable only as far as its clients are.

mod command;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod platform;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::machine::{Machine, MachineState};
use crate::soft::Soft;
use crate::trace::{Switch, Switched};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use platform::Controlled;
use socket::{Call, Socket};

/// Bytes of one line at most.
pub const MAX_LINE: usize = 4096;
/// Bytes of one DMA at most.
pub const MAX_DMA: usize = 4096;

/// The server's end of the control socket.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    session: Session,
}

/// What commands are about.
pub trait Subject {
    /// The machine.
    fn machine(&mut self) -> &mut Machine;
    /// It as data, with its processors where they can be saved.
    fn save(&self) -> MachineState;
}

impl Subject for Machine {
    fn machine(&mut self) -> &mut Machine {
        self
    }

    fn save(&self) -> MachineState {
        self.save()
    }
}

impl Subject for Soft<Machine> {
    fn machine(&mut self) -> &mut Machine {
        self.board_mut()
    }

    fn save(&self) -> MachineState {
        self.save()
    }
}

/// What commands leave behind.
#[derive(Debug, Default)]
struct Session {
    /// Pauses the trace, if there is one.
    trace: Option<Switch>,
    quit: bool,
}

impl Session {
    fn take_trace(&mut self, machine: &mut Machine) {
        if let Some(sink) = machine.set_trace(None) {
            let switch = Switch::default();
            machine.set_trace(Some(Box::new(Switched::new(sink, switch.clone()))));
            self.trace = Some(switch);
        }
    }
}

impl Server {
    /// Listens at `path`, where nothing may be yet; the socket is gone when the server is.
    ///
    /// # Errors
    /// Those of binding.
    pub fn bind(path: &Path) -> io::Result<Self> {
        Ok(Self { socket: Socket::bind(path)?, session: Session::default() })
    }

    /// Runs a command, if one is waiting. Breaks once a client has said `quit`.
    pub fn serve(&mut self, subject: &mut dyn Subject) -> ControlFlow<()> {
        if let Some(call) = self.socket.waiting() {
            self.answer(call, subject);
        }
        if self.session.quit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Runs commands until a client says `quit`.
    pub fn hold(&mut self, machine: &mut Machine) {
        while !self.session.quit
            && let Some(call) = self.socket.wait()
        {
            self.answer(call, machine);
        }
    }

    /// Whether a client has said `quit`.
    pub fn has_quit(&self) -> bool {
        self.session.quit
    }

    /// Lets clients pause the trace that `machine` has now. What listens to the machine later, such
    /// as its checks, hears everything all the same.
    pub fn take_trace(&mut self, machine: &mut Machine) {
        self.session.take_trace(machine);
    }

    fn answer(&mut self, call: Call, subject: &mut dyn Subject) {
        let answer = command::run(&call.line, subject, &mut self.session);
        // A client that has gone does not want to know.
        let _ = call.reply.send(answer);
    }
}
