//! Guests on the host's processor, by Linux KVM (x86-64 only).
//!
//! One virtual processor in a thread of its own, its local APIC in the kernel; the event loop runs
//! in the calling thread. Everything else is the [`Platform`]'s: each exit locks it, brings its time
//! up to the host's, does the access and delivers what came of it. Machine time follows the host's
//! monotonic clock.
//!
//! Message interrupts go to the local APIC by KVM_SIGNAL_MSI. Interrupt *lines* end at the I/O APIC,
//! which with a split irqchip is the platform's: it makes messages of them. The end of a
//! level-triggered one has to come back to it, and KVM tells the end of those vectors only that its
//! interrupt routes name. So the routes follow the platform's, always before the message goes out.
//!
//! Not every KVM is real. A para-virtual one, without VMX or SVM below it, *emulates* kernel-mode
//! code, runs only a subset of the instructions and may run some of them wrongly. So [`probe`] runs
//! a small guest first; where a guest meets an instruction that KVM cannot run, the run ends with
//! [`KvmError::CannotRun`]; and where the probe saw emulation, CPUID offers only what an emulator
//! runs (see `cpuid`).
//!
//! Invariants: `unsafe` is in `sys` only. No guest outlasts its limit, whatever it does; a console or a
//! trace that nobody reads can hold up the end of a run, as it holds up any writer. The
//! platform is given back however the run ended.

mod board;
mod cpuid;
mod error;
mod event_loop;
mod platform;
mod probe;
mod sys;
#[cfg(test)]
mod tests;
mod vcpu;
mod vm;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firmware::BootState;
use vmm_sys_util::eventfd::EventFd;

use board::Board;
pub use error::{KvmError, ProbeError};
pub use platform::Platform;
pub use probe::probe;
use vm::{Processor, Vm};

/// Bounds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Host time after which the guest is stopped.
    pub timeout: Duration,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished<P> {
    /// The platform as the guest left it.
    pub platform: P,
    /// The value the guest ended with, or why it did not get there.
    pub end: Result<u32, KvmError>,
}

/// Which CPUID the guest is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Features {
    /// All that KVM offers.
    Offered,
    /// Only what an instruction emulator runs.
    Emulated,
}

/// What both threads of a run hold.
struct Shared<P> {
    board: Mutex<Board<P>>,
    vm: Vm,
    /// The virtual processor shall stop.
    stop: AtomicBool,
    /// Written when the virtual processor has stopped.
    ended: EventFd,
}

/// Runs a guest, loaded by [`firmware::boot`] or [`firmware::multiboot`] into the platform's memory, until it ends or
/// meets a limit. `console` gets what it prints, as it comes, from either of two threads.
///
/// # Panics
/// Passes on a panic of the platform or of `console`.
pub fn run<P: Platform>(
    platform: P,
    boot: &BootState,
    limits: Limits,
    console: impl FnMut(&[u8]) + Send + 'static,
) -> Finished<P> {
    match probe::features() {
        Ok(features) => run_with(platform, boot, limits, console, features),
        Err(error) => Finished { platform, end: Err(KvmError::Unusable(Box::new(error))) },
    }
}

fn run_with<P: Platform>(
    platform: P,
    boot: &BootState,
    limits: Limits,
    console: impl FnMut(&[u8]) + Send + 'static,
    features: Features,
) -> Finished<P> {
    let prepared = Vm::new(platform.memory())
        .and_then(|vm| Ok((vm.processor(boot, features)?, vm)))
        .and_then(|(processor, vm)| Ok((processor, vm, board::timer()?, event_loop::ended()?)));
    let (processor, vm, timer, ended) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Finished { platform, end: Err(error) },
    };
    let board = Mutex::new(Board::new(platform, Box::new(console), timer));
    let shared = Arc::new(Shared { board, vm, stop: AtomicBool::new(false), ended });
    let end = drive(&shared, processor, limits);
    // The thread is joined and the event loop dropped, so this is the only owner.
    let shared = Arc::into_inner(shared).expect("no other owner is left");
    Finished {
        platform: shared.board.into_inner().unwrap_or_else(PoisonError::into_inner).into_platform(),
        end,
    }
}

/// Runs both threads to the end.
fn drive<P: Platform>(
    shared: &Arc<Shared<P>>,
    processor: Processor,
    limits: Limits,
) -> Result<u32, KvmError> {
    vcpu::prepare_kick()?;
    let thread = vcpu::spawn(Arc::clone(shared), processor)?;
    event_loop::run(Arc::clone(shared), thread, limits)
}
