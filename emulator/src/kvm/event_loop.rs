//! The event loop: machine events in host time, and the end of the run.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, PoisonError};

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::timerfd::TimerFd;

use super::vcpu::VcpuThread;
use super::{KvmError, Limits, Platform, Shared, board};

/// The processor has stopped.
const ENDED: u32 = 0;
/// A machine event is due.
const MACHINE: u32 = 1;
/// Time is up.
const DEADLINE: u32 = 2;

/// The notification that the processor has stopped.
pub(super) fn ended() -> Result<EventFd, KvmError> {
    EventFd::new(libc::EFD_CLOEXEC).map_err(|source| KvmError::Host { what: "creating an eventfd", source })
}

/// Serves events until the processor has stopped, and says how it ended.
pub(super) fn run<P: Platform>(
    shared: Arc<Shared<P>>,
    thread: VcpuThread<P>,
    limits: Limits,
) -> Result<u32, KvmError> {
    let mut deadline = board::timer()?;
    // A timer of zero would never expire.
    let wait = limits.timeout.max(std::time::Duration::from_nanos(1));
    deadline.reset(wait, None).map_err(KvmError::host("setting a timer"))?;
    let events = EventLoop { shared, deadline, state: State::Running };
    let mut manager = EventManager::new().map_err(failed)?;
    let id = manager.add_subscriber(events);
    loop {
        let state = &mut manager.subscriber_mut(id).map_err(failed)?.state;
        match std::mem::replace(state, State::Running) {
            State::Running => {}
            State::Ended => break,
            State::Deadline => {
                thread.stop();
                break;
            }
            // Dropping the thread stops it.
            State::Failed(error) => return Err(error),
        }
        manager.run().map_err(failed)?;
    }
    drop(manager);
    match thread.join() {
        Some((Ok(Some(value)), _)) => Ok(value),
        Some((Ok(None), processor)) => Err(KvmError::Timeout { limit: limits.timeout, rip: processor.rip() }),
        Some((Err(error), _)) => Err(error),
        None => Err(KvmError::Unexpected("the processor's thread was joined before".into())),
    }
}

fn failed(error: event_manager::Error) -> KvmError {
    KvmError::Host { what: "waiting for events", source: std::io::Error::other(error) }
}

enum State {
    Running,
    Ended,
    Deadline,
    Failed(KvmError),
}

struct EventLoop<P> {
    shared: Arc<Shared<P>>,
    deadline: TimerFd,
    state: State,
}

impl<P: Platform> EventLoop<P> {
    fn machine_timer(&self) -> RawFd {
        self.shared.board.lock().unwrap_or_else(PoisonError::into_inner).timer().as_raw_fd()
    }
}

impl<P: Platform> MutEventSubscriber for EventLoop<P> {
    fn init(&mut self, ops: &mut EventOps) {
        let sources = [
            Events::with_data(&self.shared.ended, ENDED, EventSet::IN),
            Events::with_data_raw(self.machine_timer(), MACHINE, EventSet::IN),
            Events::with_data(&self.deadline, DEADLINE, EventSet::IN),
        ];
        for source in sources {
            if let Err(error) = ops.add(source) {
                self.state = State::Failed(failed(error));
            }
        }
    }

    fn process(&mut self, events: Events, _: &mut EventOps) {
        match events.data() {
            ENDED => self.state = State::Ended,
            // What ended or failed in the same round stays so.
            _ if !matches!(self.state, State::Running) => {}
            DEADLINE => self.state = State::Deadline,
            _ => {
                // The lock is poisoned by a panic of the other thread, whose end comes as ENDED.
                let Ok(mut board) = self.shared.board.lock() else { return };
                if let Err(error) = board.timer_expired(&self.shared.vm) {
                    self.state = State::Failed(error);
                }
            }
        }
    }
}
