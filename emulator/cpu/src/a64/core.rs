//! One CPU: its architectural state, and what it caches of it.

use serde::{Deserialize, Serialize};

use super::debugger::{Reason, Stops};
use super::exception::{Exception, Vector};
use super::features::Features;
use super::mmu::Mmu;
use super::op::Page;
use super::regs::{Nzcv, PState, Slots, ZR, daif};
use super::sysreg::SysRegs;
use crate::interp::{At, Bus, CodePages, Conduit, Frame, Lines, Ram};

/// A token: an exception has been recorded in [`Core::pending`] and is to be taken next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) struct Raised(());

/// What a core reaches outside itself while it runs.
pub(in crate::a64) struct Env<'a> {
    pub(in crate::a64) bus: &'a mut dyn Bus,
    pub(in crate::a64) ram: &'a Ram,
    pub(in crate::a64) pages: &'a CodePages<Page>,
    /// What the other cores are to be told before they run next.
    pub(in crate::a64) outbox: &'a mut Vec<Message>,
    /// Index of the core that runs.
    pub(in crate::a64) cpu: usize,
    pub(in crate::a64) settings: &'a Settings,
    /// Where a debugger wants to be asked.
    pub(in crate::a64) stops: &'a Stops,
}

/// What is the same for all cores of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) struct Settings {
    pub(in crate::a64) features: Features,
    /// The instruction that makes firmware calls.
    pub(in crate::a64) conduit: Option<Conduit>,
    /// Hz, as CNTFRQ_EL0 gives it.
    pub(in crate::a64) counter_frequency: u32,
    /// Units of time per tick of the counter.
    pub(in crate::a64) time_per_tick: u64,
}

/// What a core tells all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::a64) enum Message {
    /// TLB maintenance, inner shareable.
    Tlbi(super::mmu::tlbi::Scope),
    /// SEV.
    Event,
    /// A page now holds decoded code.
    Guard(Frame),
    /// A firmware call starts core `cpu`.
    Start { cpu: usize, entry: u64, context: u64 },
}

/// Why a core does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) enum Activity {
    /// It runs.
    Running,
    /// WFI.
    WaitInterrupt,
    /// WFE.
    WaitEvent,
    /// Not started, or switched off.
    Off,
}

/// A marked granule: what LDXR read and STXR has to find unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) struct Monitor {
    pub(in crate::a64) pa: u64,
    /// Bytes.
    pub(in crate::a64) size: u64,
    /// What was read, element by element. A device that writes here changes it.
    pub(in crate::a64) value: (u64, u64),
}

/// One CPU.
pub(in crate::a64) struct Core {
    pub(in crate::a64) x: Slots,
    pub(in crate::a64) v: [u128; 32],
    pub(in crate::a64) nzcv: Nzcv,
    pub(in crate::a64) pc: u64,
    pub(in crate::a64) pstate: PState,
    /// FPCR; bits that are not implemented are zero.
    pub(in crate::a64) fpcr: u32,
    /// FPSR: QC and the cumulative exception flags.
    pub(in crate::a64) fpsr: u32,
    pub(in crate::a64) sys: SysRegs,
    pub(in crate::a64) monitor: Option<Monitor>,
    /// The event register.
    pub(in crate::a64) event: bool,
    pub(in crate::a64) activity: Activity,
    pub(in crate::a64) lines: Lines,
    /// When the event stream ends the current WFE.
    pub(in crate::a64) stream_due: Option<u64>,

    /// Taken next, by [`super::exception::take`].
    pub(in crate::a64) pending: Option<Exception>,
    pub(in crate::a64) mmu: Mmu,
    /// FP and SIMD may be used at the current exception level.
    pub(in crate::a64) fp_enabled: bool,
    /// Units of time until the loop is left.
    pub(in crate::a64) left: i64,
    /// What [`Self::kick`] took out of `left`.
    stash: i64,
    /// The time at which `left` reaches zero.
    deadline: u64,
    /// Interrupts and the like are to be looked at.
    pub(in crate::a64) attention: bool,
    /// A timer was changed: the time granted may be too long.
    pub(in crate::a64) reschedule: bool,
    /// YIELD: the turn is over.
    pub(in crate::a64) yielded: bool,
    /// A firmware call ends the run.
    pub(in crate::a64) stopped: bool,
    /// The last instruction was stepped; EX of its syndrome.
    pub(in crate::a64) stepped: Option<u32>,
    /// A debugger is to be asked.
    pub(in crate::a64) debugger: Option<Reason>,
    /// A debugger steps: its stops do not count.
    pub(in crate::a64) stepped_over: bool,
}

/// A core as it is saved: everything architectural, nothing cached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreState {
    x: [u64; 32],
    v: [u128; 32],
    nzcv: Nzcv,
    pc: u64,
    pstate: PState,
    fpcr: u32,
    fpsr: u32,
    sys: SysRegs,
    monitor: Option<Monitor>,
    event: bool,
    activity: Activity,
    lines: Lines,
    stepped: Option<u32>,
    stream_due: Option<u64>,
}

impl Core {
    /// A core that is off, as after a cold reset.
    pub(in crate::a64) fn new(ram: &Ram, index: usize, features: &Features) -> Self {
        Self {
            x: Slots::new(),
            v: [0; 32],
            nzcv: Nzcv::default(),
            pc: 0,
            pstate: PState::RESET,
            fpcr: 0,
            fpsr: 0,
            sys: SysRegs::reset(index, features),
            monitor: None,
            event: false,
            activity: Activity::Off,
            lines: Lines::default(),
            stream_due: None,
            pending: None,
            mmu: Mmu::new(ram),
            fp_enabled: false,
            left: 0,
            stash: 0,
            deadline: 0,
            attention: true,
            reschedule: false,
            yielded: false,
            stopped: false,
            stepped: None,
            debugger: None,
            stepped_over: false,
        }
    }

    /// A reset of a core that keeps its caches' memory.
    pub(in crate::a64) fn reset(&mut self, index: usize, features: &Features) {
        self.x = Slots::new();
        self.v = [0; 32];
        self.nzcv = Nzcv::default();
        self.pc = 0;
        self.pstate = PState::RESET;
        self.fpcr = 0;
        self.fpsr = 0;
        let old = std::mem::replace(&mut self.sys, SysRegs::reset(index, features));
        self.sys.keep_outputs(&old);
        self.monitor = None;
        self.event = false;
        self.activity = Activity::Off;
        self.pending = None;
        self.stepped = None;
        self.context_changed();
        self.mmu.reconfigure(&self.sys, features);
        self.mmu.flush();
    }

    pub(in crate::a64) fn save(&self) -> CoreState {
        let Self {
            x,
            v,
            nzcv,
            pc,
            pstate,
            fpcr,
            fpsr,
            sys,
            monitor,
            event,
            activity,
            lines,
            stepped,
            stream_due,
            // Empty between runs.
            pending: _,
            reschedule: _,
            yielded: _,
            stopped: _,
            debugger: _,
            stepped_over: _,
            left: _,
            stash: _,
            deadline: _,
            attention: _,
            // Recomputed.
            mmu: _,
            fp_enabled: _,
        } = self;
        CoreState {
            x: x.named(),
            v: *v,
            nzcv: *nzcv,
            pc: *pc,
            pstate: *pstate,
            fpcr: *fpcr,
            fpsr: *fpsr,
            sys: sys.clone(),
            monitor: *monitor,
            event: *event,
            activity: *activity,
            lines: *lines,
            stepped: *stepped,
            stream_due: *stream_due,
        }
    }

    pub(in crate::a64) fn restore(&mut self, state: CoreState, features: &Features) {
        let CoreState {
            x,
            v,
            nzcv,
            pc,
            pstate,
            fpcr,
            fpsr,
            sys,
            monitor,
            event,
            activity,
            lines,
            stepped,
            stream_due,
        } = state;
        self.x.set_named(x);
        self.v = v;
        self.nzcv = Nzcv(nzcv.0 & 15);
        self.pc = pc;
        self.pstate = PState { daif: pstate.daif & daif::ALL, ..pstate };
        self.set_fpcr(fpcr.into(), features);
        self.set_fpsr(fpsr.into());
        self.sys = sys;
        self.monitor = monitor;
        self.event = event;
        self.activity = activity;
        self.lines = lines;
        self.stepped = stepped;
        self.stream_due = stream_due;
        self.pending = None;
        self.attention = true;
        self.context_changed();
        self.mmu.reconfigure(&self.sys, features);
        self.mmu.flush();
    }

    /// Records an exception, to be taken with PC as its preferred return address.
    #[cold]
    pub(in crate::a64) fn raise(&mut self, exception: Exception) -> Raised {
        self.pending = Some(exception);
        Raised(())
    }

    /// Leaves the loop at the current instruction, which has had no effect, to ask a debugger.
    #[cold]
    pub(in crate::a64) fn stop_for_debugger(&mut self, reason: Reason) -> Raised {
        self.debugger = Some(reason);
        self.kick();
        Raised(())
    }

    /// A general register by its number, 31 being zero.
    #[inline]
    pub(in crate::a64) fn gpr(&self, number: u32) -> u64 {
        self.x[if number & 31 == 31 { ZR } else { (number & 31) as u8 }]
    }

    /// Writes a general register by its number, 31 being nobody.
    #[inline]
    pub(in crate::a64) fn set_gpr(&mut self, number: u32, value: u64) {
        if number & 31 != 31 {
            self.x[(number & 31) as u8] = value;
        }
    }

    /// Grants time: from `now` on, `left` units.
    pub(in crate::a64) fn grant(&mut self, now: u64, left: i64) {
        self.left = left;
        self.stash = 0;
        self.deadline = now.wrapping_add_signed(left);
        self.kick();
    }

    /// The current time.
    pub(in crate::a64) fn now(&self) -> u64 {
        self.deadline.wrapping_sub_signed(self.left.wrapping_add(self.stash))
    }

    /// Makes the loop come out at the end of the block, to see what needs attention.
    pub(in crate::a64) fn kick(&mut self) {
        self.attention = true;
        self.stash += self.left;
        self.left = 0;
    }

    /// Kicks where interrupts or debug exceptions may be due that PSTATE.DAIF masked.
    pub(in crate::a64) fn unmasked(&mut self) {
        if self.due_interrupt().is_some() || self.needs_care() {
            self.kick();
        }
    }

    /// Kicks where the debug mask changed, which may end or begin a step.
    pub(in crate::a64) fn kick_for_debug(&mut self, masks: u32) {
        if masks & daif::D != 0 {
            self.kick();
        }
    }

    /// Follows a change of a debug register: watchpoints are folded into the data TLB.
    pub(in crate::a64) fn debug_changed(&mut self) {
        self.mmu.data.flush();
        self.kick();
    }

    /// An interrupt that is pending, masked or not: what ends WFI.
    pub(in crate::a64) fn interrupt_pending(&self) -> bool {
        self.lines.irq || self.lines.fiq || self.lines.serror.is_some()
    }

    /// The interrupt to take next: pending and not masked.
    pub(in crate::a64) fn due_interrupt(&self) -> Option<Exception> {
        let masked = |bit: u32| self.pstate.daif & bit != 0;
        if let Some(iss) = self.lines.serror.filter(|_| !masked(daif::A)) {
            return Some(Exception::serror(iss));
        }
        if self.lines.fiq && !masked(daif::F) {
            return Some(Exception::interrupt(Vector::Fiq));
        }
        (self.lines.irq && !masked(daif::I)).then_some(Exception::interrupt(Vector::Irq))
    }

    /// Must the loop be left for something else than time?
    pub(in crate::a64) fn must_stop(&mut self) -> bool {
        let reschedule = std::mem::take(&mut self.reschedule);
        reschedule
            || self.activity != Activity::Running
            || self.yielded
            || self.stopped
            || self.debugger.is_some()
    }

    /// Does the whole run end here?
    pub(in crate::a64) fn stops_run(&self) -> bool {
        self.stopped || self.debugger.is_some()
    }

    /// Must instructions be looked at one by one?
    pub(in crate::a64) fn needs_care(&self) -> bool {
        super::exception::debug::needs_care(self)
    }

    /// Sets the event register where the event stream has come to its next event.
    pub(in crate::a64) fn poll_stream(&mut self) {
        if self.activity == Activity::WaitEvent {
            let now = self.now();
            self.event |= self.stream_due.is_some_and(|due| due <= now);
        }
    }

    /// Ends a wait for what has come.
    pub(in crate::a64) fn wake(&mut self) {
        match self.activity {
            Activity::WaitInterrupt if self.interrupt_pending() => self.activity = Activity::Running,
            Activity::WaitEvent if self.event || self.due_interrupt().is_some() => {
                self.event = false;
                self.activity = Activity::Running;
            }
            _ => {}
        }
    }

    /// Undoes the kicks' effect on the budget.
    pub(in crate::a64) fn unstash(&mut self) {
        self.left += self.stash;
        self.stash = 0;
    }

    /// Who asks the bus, and when.
    pub(in crate::a64) fn at(&self, env: &Env<'_>) -> At {
        At { cpu: env.cpu, time: self.now() }
    }

    /// Asks for the interrupt lines again, after the bus was called.
    pub(in crate::a64) fn poll_lines(&mut self, env: &mut Env<'_>) {
        let at = self.at(env);
        self.lines = env.bus.lines(at);
        self.kick();
    }

    /// Recomputes what depends on PSTATE.EL, PAN and the control registers.
    pub(in crate::a64) fn context_changed(&mut self) {
        self.mmu.select(&self.pstate);
        self.fp_enabled = super::exec::fp_enabled(self);
    }
}
