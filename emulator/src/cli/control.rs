//! `--control`: a socket for commands while a guest runs.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use emulator::control::Server;
use emulator::exit::Exit;
use emulator::machine::Machine;

use super::{Failure, OrExit};

/// Options that let others at the machine.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// Listen on this UNIX socket for commands: explain, dma, save, trace, quit
    ///
    /// One command a line; 'help' lists them. Try: socat - UNIX-CONNECT:SOCKET
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// With --control: when the guest has ended, keep its machine until a client says quit
    #[arg(long, requires = "control")]
    hold: bool,
}

impl ControlArgs {
    /// Listens, if that is asked for.
    pub fn bind(&self) -> Result<Option<Server>, Failure> {
        let Some(path) = &self.control else { return Ok(None) };
        let server = Server::bind(path).with_context(|| {
            format!("cannot listen on {}; remove it if it is left over, or name another", path.display())
        });
        server.map(Some).or_exit(Exit::Environment)
    }

    /// The run is over.
    pub fn finish(&self, server: Option<Server>, machine: &mut Machine) {
        let Some(mut server) = server else { return };
        if self.hold && !server.has_quit() {
            tell!("iommulator: the guest has ended; waiting for quit on the control socket");
            server.hold(machine);
        } else if server.has_quit() {
            tell!("iommulator: a client of the control socket ended the run");
        }
    }
}
