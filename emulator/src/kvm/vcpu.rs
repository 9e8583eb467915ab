//! The thread of the virtual processor.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use libc::{c_int, c_void, siginfo_t};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler, unblock_signal};

use super::board::Board;
use super::sys::{self, Exit, Target};
use super::vm::Processor;
use super::{KvmError, Platform, Shared};

/// KVM's number for an instruction that it could not emulate (KVM_INTERNAL_ERROR_EMULATION).
const EMULATION_FAILED: u32 = 1;
/// How often a processor that shall stop is told so. A signal that arrives between the processor's
/// look at `stop` and its entry into the guest has no effect, so one may not be enough.
const KICK_INTERVAL: Duration = Duration::from_millis(1);

/// What the thread comes back with: `None` if it was told to stop.
pub(super) type Outcome = Result<Option<u32>, KvmError>;

/// The thread of a virtual processor. Dropping it stops it.
pub(super) struct VcpuThread<P> {
    shared: Arc<Shared<P>>,
    /// `None` once it is joined.
    handle: Option<JoinHandle<(Outcome, Processor)>>,
}

/// Makes the signal that stops a processor harmless to this process.
pub(super) fn prepare_kick() -> Result<(), KvmError> {
    extern "C" fn interrupt_only(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}
    register_signal_handler(SIGRTMIN(), interrupt_only).map_err(KvmError::host("installing a signal handler"))
}

/// Starts the processor.
pub(super) fn spawn<P: Platform>(
    shared: Arc<Shared<P>>,
    mut processor: Processor,
) -> Result<VcpuThread<P>, KvmError> {
    let mine = Arc::clone(&shared);
    let body = move || {
        let ended = Ended(mine);
        let outcome = run(&ended.0, &mut processor);
        (outcome, processor)
    };
    let handle = Builder::new().name("vcpu0".into()).spawn(body);
    let handle = handle.map_err(|source| KvmError::Host { what: "starting a thread", source })?;
    Ok(VcpuThread { shared, handle: Some(handle) })
}

/// Tells the event loop when the thread ends, by a panic too.
struct Ended<P>(Arc<Shared<P>>);

impl<P> Drop for Ended<P> {
    fn drop(&mut self) {
        // It fails only if the counter would overflow, so with one write never.
        let _ = self.0.ended.write(1);
    }
}

impl<P> VcpuThread<P> {
    /// Makes the processor leave the guest, and waits until it has.
    pub(super) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        let Some(handle) = &self.handle else { return };
        while !handle.is_finished() {
            // It fails only if the thread is gone, which ends the loop.
            let _ = handle.kill(SIGRTMIN());
            std::thread::sleep(KICK_INTERVAL);
        }
    }

    /// Waits for the end and passes on a panic.
    pub(super) fn join(mut self) -> Option<(Outcome, Processor)> {
        let joined = self.handle.take()?.join();
        Some(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl<P> Drop for VcpuThread<P> {
    fn drop(&mut self) {
        self.stop();
        // Only a run that has failed otherwise ends here: its error counts, not what this one says.
        let _ = self.handle.take().map(JoinHandle::join);
    }
}

fn run<P: Platform>(shared: &Shared<P>, processor: &mut Processor) -> Outcome {
    unblock_signal(SIGRTMIN()).map_err(|error| KvmError::Host {
        what: "unblocking a signal",
        source: io::Error::other(format!("{error:?}")),
    })?;
    loop {
        if shared.stop.load(Ordering::Acquire) {
            return Ok(None);
        }
        let exit = match sys::run(&mut processor.vcpu) {
            Ok(exit) => exit,
            Err(error) if error.errno() == libc::EINTR => continue,
            Err(error) => return Err(KvmError::host("running the guest")(error)),
        };
        match exit {
            Exit::Read { .. } | Exit::Write { .. } => {
                // The lock is poisoned by a panic of the other thread, which ends the run.
                let Ok(mut board) = shared.board.lock() else { return Ok(None) };
                board.catch_up();
                access(&mut board, exit);
                board.settle(&shared.vm)?;
                if let Some(value) = board.platform.exit_request() {
                    return Ok(Some(value));
                }
            }
            Exit::EndOfInterrupt { vector } => {
                let Ok(mut board) = shared.board.lock() else { return Ok(None) };
                board.catch_up();
                board.platform.end_of_interrupt(vector);
                board.settle(&shared.vm)?;
            }
            Exit::Shutdown => return Err(KvmError::TripleFault),
            Exit::InternalError { suberror } => return Err(internal_error(shared, processor, suberror)),
            Exit::Other(what) => return Err(KvmError::Unexpected(what)),
        }
    }
}

fn access<P: Platform>(board: &mut Board<P>, exit: Exit<'_>) {
    let platform = &mut board.platform;
    match exit {
        Exit::Read { target: Target::Port { port, size }, data } => {
            data.chunks_mut(size).for_each(|data| platform.io_read(port, data));
        }
        Exit::Write { target: Target::Port { port, size }, data } => {
            data.chunks(size).for_each(|data| platform.io_write(port, data));
        }
        Exit::Read { target: Target::Memory(address), data } => platform.read(address, data),
        Exit::Write { target: Target::Memory(address), data } => platform.write(address, data),
        Exit::EndOfInterrupt { .. } | Exit::Shutdown | Exit::InternalError { .. } | Exit::Other(_) => {}
    }
}

fn internal_error<P: Platform>(shared: &Shared<P>, processor: &Processor, suberror: u32) -> KvmError {
    let rip = processor.rip();
    if suberror != EMULATION_FAILED {
        return KvmError::Internal { suberror, rip };
    }
    let board = shared.board.lock().unwrap_or_else(PoisonError::into_inner);
    KvmError::CannotRun { rip, bytes: processor.bytes_at(rip, board.platform.memory()) }
}
