//! The CPUs as a debugger's threads: registers, memory, stops, and what to do on a resume.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use cpu::a64::{Reason, Watch};
use devices::events::Time;
use gdbstub::common::{Signal, Tid};
use gdbstub::stub::MultiThreadStopReason;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint,
    SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};

use super::arch::{AArch64, Registers};
use super::{UnknownCpu, memory};
use crate::soft::{Board, Ending, Pause, Soft};

/// Nanoseconds of machine time between two looks at the debugger.
const SLICE: u64 = 1_000_000;
/// The same while a CPU that is to be stepped waits: it shall not run far once it wakes.
const WAIT: u64 = 1000;
/// The protocol's error number for an address where nothing is.
const EFAULT: u8 = 14;
/// Breakpoints, and watchpoints, that a debugger can set.
const STOPS_MAX: usize = 1000;

/// Why the CPUs stand.
pub(super) type Stopped = MultiThreadStopReason<u64>;

/// A watchpoint as the debugger set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watchpoint {
    first: u64,
    last: u64,
    kind: WatchKind,
}

/// CPUs with a debugger at them.
pub(super) struct Debugged<'a, B> {
    pub(super) soft: &'a mut Soft<B>,
    pub(super) cpus: usize,
    pub(super) limit: Time,
    pub(super) console: &'a mut dyn FnMut(&[u8]),
    pub(super) service: &'a mut dyn FnMut(&mut Soft<B>) -> ControlFlow<()>,
    pub(super) ending: Option<Ending>,
    /// Addresses of breakpoints that the debugger calls software ones, and hardware ones: here they are
    /// the same.
    software: Vec<u64>,
    hardware: Vec<u64>,
    watchpoints: Vec<Watchpoint>,
    /// The CPUs that the resume is about, and the one of them to step.
    chosen: Vec<usize>,
    step: Option<usize>,
    /// All others stand still.
    locked: bool,
}

/// The thread of a CPU.
pub(super) fn thread(cpu: usize) -> Tid {
    NonZeroUsize::MIN.saturating_add(cpu)
}

impl<'a, B: Board> Debugged<'a, B> {
    pub(super) fn new(
        soft: &'a mut Soft<B>,
        cpus: usize,
        limit: Time,
        console: &'a mut dyn FnMut(&[u8]),
        service: &'a mut dyn FnMut(&mut Soft<B>) -> ControlFlow<()>,
    ) -> Self {
        Self {
            soft,
            cpus,
            limit,
            console,
            service,
            ending: None,
            software: Vec::new(),
            hardware: Vec::new(),
            watchpoints: Vec::new(),
            chosen: Vec::new(),
            step: None,
            locked: false,
        }
    }

    fn cpu(&self, thread: Tid) -> Result<usize, UnknownCpu> {
        let cpu = thread.get() - 1;
        if cpu < self.cpus { Ok(cpu) } else { Err(UnknownCpu(thread.get())) }
    }

    /// Runs a slice as the debugger asked; why it has stopped, if it has.
    pub(super) fn slice(&mut self) -> Option<Stopped> {
        if (self.service)(self.soft).is_break() {
            return Some(self.end(Ending::Stopped));
        }
        let now = self.soft.now();
        if now >= self.limit {
            return Some(self.end(Ending::TimedOut));
        }
        let stopped = match (self.step, &self.chosen[..]) {
            (Some(cpu), _) => self.step(cpu),
            (None, &[cpu]) if self.locked => self.run_alone(cpu),
            (None, _) => self.run(now.after(SLICE)),
        };
        let text = self.soft.board_mut().take_console();
        if !text.is_empty() {
            (self.console)(&text);
        }
        stopped
    }

    fn run(&mut self, until: Time) -> Option<Stopped> {
        match self.soft.run(until.min(self.limit)) {
            Pause::Time | Pause::Idle(_) => None,
            Pause::Ended(ending) => Some(self.end(ending)),
            Pause::Debugger { cpu, reason } => Some(self.reached(cpu, reason)),
        }
    }

    /// Steps a CPU; one that waits is waited for.
    fn step(&mut self, cpu: usize) -> Option<Stopped> {
        if !self.soft.step(cpu) {
            return self.run(self.soft.now().after(WAIT));
        }
        let done = MultiThreadStopReason::SignalWithThread { tid: thread(cpu), signal: Signal::SIGTRAP };
        Some(self.soft.ending().map_or(done, |ending| self.end(ending)))
    }

    /// Runs one CPU while all others stand still: instruction by instruction, up to a breakpoint.
    fn run_alone(&mut self, cpu: usize) -> Option<Stopped> {
        let end = self.soft.now().after(SLICE / 10);
        while self.soft.now() < end {
            if !self.soft.step(cpu) {
                return self.run(self.soft.now().after(WAIT));
            }
            if let Some(ending) = self.soft.ending() {
                return Some(self.end(ending));
            }
            let pc = self.soft.cluster().registers(cpu).map(|registers| registers.pc);
            if pc.is_some_and(|pc| self.software.contains(&pc) || self.hardware.contains(&pc)) {
                return Some(self.reached(cpu, Reason::Breakpoint));
            }
        }
        None
    }

    fn reached(&self, cpu: usize, reason: Reason) -> Stopped {
        let tid = thread(cpu);
        match reason {
            Reason::Breakpoint => {
                let pc = self.soft.cluster().registers(cpu).map_or(0, |registers| registers.pc);
                if self.software.contains(&pc) {
                    MultiThreadStopReason::SwBreak(tid)
                } else {
                    MultiThreadStopReason::HwBreak(tid)
                }
            }
            Reason::Watch { address, write } => {
                // The access may begin before what is watched.
                let last = address.saturating_add(15);
                let hit = self.watchpoints.iter().find(|watch| {
                    let kind = if write { WatchKind::Read } else { WatchKind::Write };
                    watch.kind != kind && watch.first <= last && watch.last >= address
                });
                let kind = if write { WatchKind::Write } else { WatchKind::Read };
                let (kind, addr) = hit.map_or((kind, address), |hit| (hit.kind, hit.first.max(address)));
                MultiThreadStopReason::Watch { tid, kind, addr }
            }
        }
    }

    fn end(&mut self, ending: Ending) -> Stopped {
        self.ending = Some(ending);
        match ending {
            // The protocol has 8 bits for it.
            Ending::Exited(value) => MultiThreadStopReason::Exited(value as u8),
            Ending::Off => MultiThreadStopReason::Exited(0),
            Ending::Reset | Ending::NoCpu => MultiThreadStopReason::Terminated(Signal::SIGABRT),
            Ending::TimedOut => MultiThreadStopReason::Terminated(Signal::SIGALRM),
            Ending::Stopped => MultiThreadStopReason::Terminated(Signal::SIGTERM),
        }
    }

    /// The first CPU that is on.
    pub(super) fn somebody(&self) -> Tid {
        let on = |cpu: &usize| self.soft.cluster().is_on(*cpu);
        thread((0..self.cpus).find(on).unwrap_or(0))
    }

    /// Gives the CPUs the breakpoints as they are now.
    fn set_breakpoints(&mut self) {
        let all = self.software.iter().chain(&self.hardware).copied().collect();
        self.soft.cluster_mut().set_breakpoints(all);
    }

    fn set_watchpoints(&mut self) {
        let watch = |&Watchpoint { first, last, kind }: &Watchpoint| Watch {
            first,
            last,
            read: kind != WatchKind::Write,
            write: kind != WatchKind::Read,
        };
        let all = self.watchpoints.iter().map(watch).collect();
        self.soft.cluster_mut().set_watchpoints(all);
    }

    /// Takes all stops away.
    pub(super) fn let_go(&mut self) {
        self.software.clear();
        self.hardware.clear();
        self.watchpoints.clear();
        self.set_breakpoints();
        self.set_watchpoints();
    }
}

/// Removes the first entry that is `wanted`; whether there was one.
fn remove<T: PartialEq>(list: &mut Vec<T>, wanted: &T) -> bool {
    let place = list.iter().position(|entry| entry == wanted);
    place.map(|place| list.remove(place)).is_some()
}

/// Adds an entry where there is room; whether there was.
fn add<T>(list: &mut Vec<T>, entry: T) -> bool {
    let room = list.len() < STOPS_MAX;
    if room {
        list.push(entry);
    }
    room
}

impl<B: Board> Target for Debugged<'_, B> {
    type Arch = AArch64;
    type Error = UnknownCpu;

    fn base_ops(&mut self) -> BaseOps<'_, AArch64, UnknownCpu> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl<B: Board> MultiThreadBase for Debugged<'_, B> {
    fn read_registers(&mut self, registers: &mut Registers, tid: Tid) -> TargetResult<(), Self> {
        let cpu = self.cpu(tid).map_err(TargetError::Fatal)?;
        registers.0 = self.soft.cluster().registers(cpu).ok_or(TargetError::NonFatal)?;
        Ok(())
    }

    fn write_registers(&mut self, registers: &Registers, tid: Tid) -> TargetResult<(), Self> {
        let cpu = self.cpu(tid).map_err(TargetError::Fatal)?;
        self.soft.cluster_mut().set_registers(cpu, &registers.0);
        Ok(())
    }

    fn read_addrs(&mut self, address: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        let cpu = self.cpu(tid).map_err(TargetError::Fatal)?;
        match memory::read(self.soft, cpu, address, data) {
            0 if !data.is_empty() => Err(TargetError::Errno(EFAULT)),
            read => Ok(read),
        }
    }

    fn write_addrs(&mut self, address: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        let cpu = self.cpu(tid).map_err(TargetError::Fatal)?;
        if memory::write(self.soft, cpu, address, data) { Ok(()) } else { Err(TargetError::Errno(EFAULT)) }
    }

    fn list_active_threads(&mut self, register: &mut dyn FnMut(Tid)) -> Result<(), UnknownCpu> {
        (0..self.cpus).map(thread).for_each(register);
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl<B: Board> MultiThreadResume for Debugged<'_, B> {
    fn resume(&mut self) -> Result<(), UnknownCpu> {
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), UnknownCpu> {
        self.chosen.clear();
        self.step = None;
        self.locked = false;
        Ok(())
    }

    /// A signal has no meaning to a CPU.
    fn set_resume_action_continue(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), UnknownCpu> {
        let cpu = self.cpu(tid)?;
        self.chosen.push(cpu);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl<B: Board> MultiThreadSingleStep for Debugged<'_, B> {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), UnknownCpu> {
        self.step = Some(self.cpu(tid)?);
        Ok(())
    }
}

impl<B: Board> MultiThreadSchedulerLocking for Debugged<'_, B> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), UnknownCpu> {
        self.locked = true;
        Ok(())
    }
}

impl<B: Board> Breakpoints for Debugged<'_, B> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl<B: Board> SwBreakpoint for Debugged<'_, B> {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let added = add(&mut self.software, address);
        self.set_breakpoints();
        Ok(added)
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let removed = remove(&mut self.software, &address);
        self.set_breakpoints();
        Ok(removed)
    }
}

impl<B: Board> HwBreakpoint for Debugged<'_, B> {
    fn add_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let added = add(&mut self.hardware, address);
        self.set_breakpoints();
        Ok(added)
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let removed = remove(&mut self.hardware, &address);
        self.set_breakpoints();
        Ok(removed)
    }
}

impl<B: Board> HwWatchpoint for Debugged<'_, B> {
    fn add_hw_watchpoint(&mut self, address: u64, len: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        let Some(watchpoint) = watchpoint(address, len, kind) else { return Ok(false) };
        let added = add(&mut self.watchpoints, watchpoint);
        self.set_watchpoints();
        Ok(added)
    }

    fn remove_hw_watchpoint(&mut self, address: u64, len: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        let Some(watchpoint) = watchpoint(address, len, kind) else { return Ok(false) };
        let removed = remove(&mut self.watchpoints, &watchpoint);
        self.set_watchpoints();
        Ok(removed)
    }
}

/// None for a range that is empty or wraps around.
fn watchpoint(first: u64, len: u64, kind: WatchKind) -> Option<Watchpoint> {
    Some(Watchpoint { first, last: first.checked_add(len.checked_sub(1)?)?, kind })
}

impl<B: Board> ThreadExtraInfo for Debugged<'_, B> {
    fn thread_extra_info(&self, tid: Tid, text: &mut [u8]) -> Result<usize, UnknownCpu> {
        let cpu = self.cpu(tid)?;
        let cluster = self.soft.cluster();
        let what = match cluster.exception_level(cpu) {
            Some(level) if cluster.is_on(cpu) => format!("CPU {cpu}, {level:?}"),
            _ => format!("CPU {cpu}, off"),
        };
        let len = what.len().min(text.len());
        text[..len].copy_from_slice(&what.as_bytes()[..len]);
        Ok(len)
    }
}
