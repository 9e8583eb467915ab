//! The platform with what ties it to the host: its clock, its timer and the console.

use std::time::{Duration, Instant};

use devices::events::Time;
use vmm_sys_util::timerfd::TimerFd;

use super::vm::Vm;
use super::{KvmError, Platform};

/// A device that asks to be called back "now", for ever, shall leave the guest some time.
const TIMER_MIN: Duration = Duration::from_micros(1);

/// Who is given what the guest prints.
pub(super) type Console = Box<dyn FnMut(&[u8]) + Send>;

/// The platform, as both threads lock it.
pub(super) struct Board<P> {
    pub(super) platform: P,
    console: Console,
    start: Instant,
    /// Machine time at `start`.
    origin: Time,
    timer: TimerFd,
    /// What the timer is set to, in machine time.
    armed: Option<Time>,
}

/// The timer of a [`Board`].
pub(super) fn timer() -> Result<TimerFd, KvmError> {
    TimerFd::new().map_err(KvmError::host("creating a timer"))
}

impl<P: Platform> Board<P> {
    pub(super) fn new(platform: P, console: Console, timer: TimerFd) -> Self {
        let origin = platform.now();
        Self { platform, console, start: Instant::now(), origin, timer, armed: None }
    }

    /// Brings machine time up to the host's.
    pub(super) fn catch_up(&mut self) {
        let now = self.host_now();
        self.platform.advance(now);
    }

    fn host_now(&self) -> Time {
        let elapsed = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.origin.after(elapsed)
    }

    /// Sends out what has come of the last calls and sets the timer for what comes next.
    pub(super) fn settle(&mut self, vm: &Vm) -> Result<(), KvmError> {
        // A message that overtook its route would end unheard, and never be sent again.
        if let Some(routes) = self.platform.take_level_routes() {
            vm.set_level_routes(&routes)?;
        }
        for interrupt in self.platform.take_interrupts() {
            vm.deliver(interrupt)?;
        }
        self.flush();
        let next = self.platform.next_event();
        if next != self.armed { self.arm(next) } else { Ok(()) }
    }

    /// Setting the timer also withdraws an expiry that nobody has looked at.
    fn arm(&mut self, next: Option<Time>) -> Result<(), KvmError> {
        self.armed = next;
        let set = match next {
            Some(time) => {
                let wait = Duration::from_nanos(time.0.saturating_sub(self.host_now().0));
                self.timer.reset(wait.max(TIMER_MIN), None)
            }
            None => self.timer.clear(),
        };
        set.map_err(KvmError::host("setting a timer"))
    }

    /// The timer has expired: does what is due.
    pub(super) fn timer_expired(&mut self, vm: &Vm) -> Result<(), KvmError> {
        self.armed = None;
        self.catch_up();
        // The expiry must be withdrawn even if the next event is at the same time as the last.
        self.arm(None)?;
        self.settle(vm)
    }

    pub(super) fn timer(&self) -> &TimerFd {
        &self.timer
    }

    fn flush(&mut self) {
        let printed = self.platform.take_console();
        if !printed.is_empty() {
            (self.console)(&printed);
        }
    }

    /// Gives the platform back after what it still had to print.
    pub(super) fn into_platform(mut self) -> P {
        self.flush();
        self.platform
    }
}
