//! A debugger at software CPUs, by GDB's remote protocol.
//!
//! Each CPU is a thread, numbered from 1. Registers are X0 to X30, SP, PC, PSTATE (as CPSR) and those of
//! FP and SIMD. Memory is that of virtual addresses as the thread's CPU translates them now, physical
//! where its MMU is off; device registers are not shown. Breakpoints of both kinds and watchpoints are
//! the CPUs' own and never seen by the guest. A step steps one CPU while the others stand still; so does
//! `continue` under scheduler locking, which looks at breakpoints but not at watchpoints.
//!
//! The guest stands until the debugger lets it run. When the debugger detaches, or its connection
//! breaks, the guest goes on without it.

mod arch;
mod memory;
mod target;
#[cfg(test)]
mod tests;

use std::io;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;

use devices::events::Time;
use gdbstub::common::Signal;
use gdbstub::conn::{Connection, ConnectionExt};
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::stub::{DisconnectReason, GdbStub, GdbStubError, MultiThreadStopReason};
use thiserror::Error;

use crate::soft::{self, Board, Ending, Soft};
use target::{Debugged, Stopped};

/// The debugger means a CPU that the machine does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the debugger asked for thread {0}, which is no CPU of this machine")]
pub struct UnknownCpu(pub usize);

/// How a debugger left.
#[derive(Debug)]
pub enum Left {
    /// The guest has ended, or the debugger has killed it.
    Ended(Ending),
    /// The debugger detached.
    Detached,
    /// The connection broke, or the debugger did not speak the protocol: why.
    Lost(String),
}

/// A place where a debugger can connect, on this host only.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
}

impl Listener {
    /// Listens on a TCP port of the loopback interface; 0 takes a free one.
    ///
    /// # Errors
    /// The host's, where the port is taken or not allowed.
    pub fn bind(port: u16) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, port))? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The host's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for a debugger.
    ///
    /// # Errors
    /// The host's.
    pub fn accept(self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept()?;
        // Each packet is answered: waiting for more to send would be waiting for nothing.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Runs a guest of `cpus` CPUs as the debugger at `connection` says, to its end or to `limit`; `console`
/// and `service` are as for [`soft::run`]. The guest stands when this begins, and where the debugger has
/// left it when it ends; its stops are gone then.
pub fn debug<B: Board, C: ConnectionExt<Error = io::Error>>(
    soft: &mut Soft<B>,
    cpus: usize,
    connection: C,
    limit: Time,
    console: &mut dyn FnMut(&[u8]),
    service: &mut dyn FnMut(&mut Soft<B>) -> ControlFlow<()>,
) -> Left {
    let mut debugged = Debugged::new(soft, cpus, limit, console, service);
    let result = GdbStub::new(connection).run_blocking::<Loop<'_, B, C>>(&mut debugged);
    debugged.let_go();
    let ending = debugged.ending;
    match result {
        Ok(DisconnectReason::Disconnect) => Left::Detached,
        Ok(DisconnectReason::Kill) => Left::Ended(Ending::Stopped),
        Ok(DisconnectReason::TargetExited(_) | DisconnectReason::TargetTerminated(_)) => {
            Left::Ended(ending.unwrap_or(Ending::Stopped))
        }
        Err(error) => match ending {
            Some(ending) => Left::Ended(ending),
            None => Left::Lost(reason(&error)),
        },
    }
}

fn reason(error: &GdbStubError<UnknownCpu, io::Error>) -> String {
    format!("{error}")
}

/// As [`debug`], and then, where the debugger has left, on to the guest's end without it; `left` is told
/// how it did.
pub fn run<B: Board, C: ConnectionExt<Error = io::Error>>(
    soft: &mut Soft<B>,
    cpus: usize,
    connection: C,
    limit: Time,
    console: &mut dyn FnMut(&[u8]),
    service: &mut dyn FnMut(&mut Soft<B>) -> ControlFlow<()>,
    left: impl FnOnce(&Left),
) -> Ending {
    let how = debug(soft, cpus, connection, limit, console, service);
    left(&how);
    match how {
        Left::Ended(ending) => ending,
        Left::Detached | Left::Lost(_) => soft::run(soft, limit, console, service),
    }
}

/// Waits for a stop or for the debugger.
struct Loop<'a, B, C>(PhantomData<(&'a B, C)>);

impl<'a, B: Board, C: ConnectionExt<Error = io::Error>> BlockingEventLoop for Loop<'a, B, C> {
    type Target = Debugged<'a, B>;
    type Connection = C;
    type StopReason = Stopped;

    fn wait_for_stop_reason(
        target: &mut Self::Target,
        connection: &mut C,
    ) -> Result<Event<Stopped>, WaitForStopReasonError<UnknownCpu, <C as Connection>::Error>> {
        loop {
            if connection.peek().map_err(WaitForStopReasonError::Connection)?.is_some() {
                let byte = connection.read().map_err(WaitForStopReasonError::Connection)?;
                return Ok(Event::IncomingData(byte));
            }
            if let Some(stopped) = target.slice() {
                return Ok(Event::TargetStopped(stopped));
            }
        }
    }

    fn on_interrupt(target: &mut Self::Target) -> Result<Option<Stopped>, UnknownCpu> {
        let tid = target.somebody();
        Ok(Some(MultiThreadStopReason::SignalWithThread { tid, signal: Signal::SIGINT }))
    }
}
