//! All CPUs of a machine, turn by turn on one thread.
//!
//! Cores run in the order of their index, each for a quantum, and time is the sum of what they ran.
//! So time never differs between two cores, and the interleaving is a function of the guest alone: a run
//! that ends within a turn does not end the turn.
//! A turn may end late by the rest of a block, which is at most one page of instructions. When all
//! cores wait, time jumps to the next timer, or to what is due next in the machine.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::core::{Activity, Core, CoreState, Env, Message, Settings};
use super::debugger::{Reason, Stops};
use super::exec::run::{Exit, run};
use super::features::Features;
use super::mmu::tlbi::Scope;
use super::op::Page;
use crate::interp::{At, Bus, CodePages, CodeWatch, Conduit, Ram};

/// What a cluster is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Number of CPUs.
    pub cpus: usize,
    /// What they implement.
    pub features: Features,
    /// The instruction that makes firmware calls; the other one is undefined.
    pub conduit: Option<Conduit>,
    /// Frequency of the system counter in Hz, as CNTFRQ_EL0 gives it.
    pub counter_frequency: u32,
    /// Instructions per tick of the counter, at least 1.
    pub time_per_tick: u64,
    /// Instructions that a CPU runs before the next one has its turn, at least 1.
    pub quantum: u32,
}

/// Why [`Cluster::run`] or [`Cluster::run_to_idle`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time asked for has come.
    Time,
    /// All CPUs that are on wait. Only [`Cluster::run_to_idle`] says so.
    Idle {
        /// When the first of them wakes, or something is due, unless something comes from outside.
        due: Option<u64>,
    },
    /// A firmware call asked for it ([`crate::interp::CallOutcome::Stop`]).
    Firmware {
        /// The CPU that made the call.
        cpu: usize,
    },
    /// No CPU is on.
    AllOff,
    /// A breakpoint or watchpoint of a debugger.
    Debugger {
        /// The CPU that reached it.
        cpu: usize,
        /// Which.
        reason: Reason,
    },
}

/// The CPUs of a machine.
pub struct Cluster {
    ram: Ram,
    pages: CodePages<Page>,
    cores: Vec<Core>,
    settings: Settings,
    quantum: u32,
    time: u64,
    /// How much of `time` was skipped.
    idle: u64,
    /// The core whose turn it is.
    turn: usize,
    /// When its turn ends, if it has begun.
    turn_end: Option<u64>,
    /// The core that ran last.
    last: usize,
    outbox: Vec<Message>,
    stops: Stops,
}

/// A cluster as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    cores: Vec<CoreState>,
    settings: Settings,
    quantum: u32,
    time: u64,
    idle: u64,
    turn: usize,
    turn_end: Option<u64>,
    last: usize,
}

/// A state cannot be restored: it is of a machine with other CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the saved state has {saved} CPUs, and this machine {here}; restore it to a machine like its own")]
pub struct OtherCpus {
    /// CPUs in the state.
    pub saved: usize,
    /// CPUs here.
    pub here: usize,
}

/// No run gets here; a state that claims a later time is not to make it wrap around.
const LATEST: u64 = 1 << 63;

impl Cluster {
    /// CPUs over `ram`, all off.
    pub fn new(ram: Ram, config: &Config) -> Self {
        let settings = Settings {
            features: config.features,
            conduit: config.conduit,
            counter_frequency: config.counter_frequency,
            time_per_tick: config.time_per_tick.max(1),
        };
        Self {
            pages: CodePages::new(&ram),
            cores: (0..config.cpus).map(|index| Core::new(&ram, index, &config.features)).collect(),
            ram,
            settings,
            quantum: config.quantum.max(1),
            time: 0,
            idle: 0,
            turn: 0,
            turn_end: None,
            last: 0,
            outbox: Vec::new(),
            stops: Stops::default(),
        }
    }

    /// Starts a CPU at physical address `entry` in EL1 with the MMU off and `context` in X0. No
    /// effect on one that does not exist.
    pub fn start(&mut self, cpu: usize, entry: u64, context: u64) {
        if let Some(core) = self.cores.get_mut(cpu) {
            core.reset(cpu, &self.settings.features);
            core.pc = entry;
            core.x[0] = context;
            core.activity = Activity::Running;
        }
    }

    /// Is this CPU on? A CPU that waits is.
    pub fn is_on(&self, cpu: usize) -> bool {
        self.cores.get(cpu).is_some_and(|core| core.activity != Activity::Off)
    }

    /// What writes to RAM by devices, loaders and debuggers must be reported to.
    pub fn code_watch(&self) -> Arc<CodeWatch> {
        self.pages.watch()
    }

    /// Instructions retired by all CPUs, plus what was skipped while all of them waited. An
    /// exception counts as one instruction.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Instructions retired by all CPUs: [`Self::time`] without what was skipped.
    pub fn instructions(&self) -> u64 {
        self.time - self.idle
    }

    /// The value of the system counter.
    pub fn counter(&self) -> u64 {
        self.settings.counter(self.time)
    }

    /// Everything but RAM, between two runs.
    pub fn save(&self) -> ClusterState {
        let Self {
            ram: _,
            pages: _,
            cores,
            settings,
            quantum,
            time,
            idle,
            turn,
            turn_end,
            last,
            outbox: _,
            stops: _,
        } = self;
        ClusterState {
            cores: cores.iter().map(Core::save).collect(),
            settings: settings.clone(),
            quantum: *quantum,
            time: *time,
            idle: *idle,
            turn: *turn,
            turn_end: *turn_end,
            last: *last,
        }
    }

    /// Continues from a saved state, over the RAM this cluster has.
    ///
    /// # Errors
    /// [`OtherCpus`], and nothing has changed.
    pub fn restore(&mut self, state: ClusterState) -> Result<(), OtherCpus> {
        let ClusterState { cores, settings, quantum, time, idle, turn, turn_end, last } = state;
        if cores.len() != self.cores.len() {
            return Err(OtherCpus { saved: cores.len(), here: self.cores.len() });
        }
        self.settings = Settings { time_per_tick: settings.time_per_tick.max(1), ..settings };
        self.quantum = quantum.max(1);
        self.time = time.min(LATEST);
        self.idle = idle.min(self.time);
        self.turn = turn;
        self.turn_end = turn_end.map(|end| end.min(self.time + u64::from(self.quantum)));
        self.last = last;
        self.outbox.clear();
        self.pages.clear();
        let features = self.settings.features;
        self.cores = cores
            .into_iter()
            .enumerate()
            .map(|(index, state)| {
                let mut core = Core::new(&self.ram, index, &features);
                core.restore(state, &features);
                core
            })
            .collect();
        Ok(())
    }

    /// Runs until `until`, which may be passed by the rest of a block. Where all CPUs wait, time jumps to
    /// what is due next.
    pub fn run(&mut self, bus: &mut dyn Bus, until: u64) -> Stop {
        self.go(bus, until, true)
    }

    /// As [`Self::run`], but returns where time would jump: [`Self::run`] up to when it has passed.
    pub fn run_to_idle(&mut self, bus: &mut dyn Bus, until: u64) -> Stop {
        self.go(bus, until, false)
    }

    fn go(&mut self, bus: &mut dyn Bus, until: u64, jump: bool) -> Stop {
        while self.time < until {
            if self.cores.iter().all(|core| core.activity == Activity::Off) {
                return Stop::AllOff;
            }
            self.round(bus, until);
            if self.all_wait() {
                // One core may have made an interrupt for another.
                self.look_at_all(bus);
                if self.all_wait() {
                    let wakes = self.cores.iter().filter_map(|core| self.wakes(core));
                    // What is late already must not hold time up.
                    let due = bus.next_event().map(|due| due.max(self.time + 1));
                    let due = wakes.chain(due).min();
                    if !jump {
                        return Stop::Idle { due };
                    }
                    // The last block may have gone past `until`.
                    let woken = due.unwrap_or(until).min(until).max(self.time);
                    self.idle += woken - self.time;
                    self.time = woken;
                    self.look_at_all(bus);
                }
            }
            if let Some(cpu) = self.cores.iter_mut().position(|core| std::mem::take(&mut core.stopped)) {
                return Stop::Firmware { cpu };
            }
            for (cpu, core) in self.cores.iter_mut().enumerate() {
                if let Some(reason) = core.debugger.take() {
                    return Stop::Debugger { cpu, reason };
                }
            }
        }
        Stop::Time
    }

    /// Runs one instruction, or exception entry, of one CPU, and no other CPU meanwhile. Returns
    /// false where that CPU is off or waits.
    pub fn step(&mut self, bus: &mut dyn Bus, cpu: usize) -> bool {
        if cpu >= self.cores.len() {
            return false;
        }
        self.look(bus, cpu);
        self.cores[cpu].stepped_over = true;
        let ran = self.slice::<true>(bus, cpu, self.time.saturating_add(1));
        self.cores[cpu].stepped_over = false;
        // Nobody else has a turn that YIELD could give up.
        self.cores[cpu].yielded = false;
        ran
    }

    /// Gives each core that has not had it its turn, up to one that stops the run.
    fn round(&mut self, bus: &mut dyn Bus, until: u64) {
        while self.turn < self.cores.len() {
            if self.time >= until {
                return;
            }
            let cpu = self.turn;
            self.look(bus, cpu);
            let quantum = u64::from(self.quantum);
            let end = self.turn_end.unwrap_or(self.time.saturating_add(quantum));
            self.turn_end = Some(end);
            self.slice::<false>(bus, cpu, end.min(until));
            if self.time >= end || self.cores[cpu].activity != Activity::Running || self.cores[cpu].yielded {
                self.cores[cpu].yielded = false;
                self.turn += 1;
                self.turn_end = None;
            }
            if self.cores[cpu].stops_run() {
                return;
            }
        }
        self.turn = 0;
        self.turn_end = None;
    }

    /// When a waiting core wakes by itself.
    fn wakes(&self, core: &Core) -> Option<u64> {
        if core.activity == Activity::Off {
            return None;
        }
        let timer = core.timer_deadline(&self.settings, self.time);
        let stream = core.stream_due.filter(|_| core.activity == Activity::WaitEvent);
        timer.into_iter().chain(stream).min()
    }

    /// Does no core run, and no core end the run?
    fn all_wait(&self) -> bool {
        self.cores.iter().all(|core| core.activity != Activity::Running && !core.stops_run())
    }

    fn look_at_all(&mut self, bus: &mut dyn Bus) {
        for cpu in 0..self.cores.len() {
            self.look(bus, cpu);
        }
    }

    /// Looks at a core's timers and interrupt lines, and wakes it if it waits for what has come.
    fn look(&mut self, bus: &mut dyn Bus, cpu: usize) {
        self.pages.drain();
        let core = &mut self.cores[cpu];
        if core.activity == Activity::Off {
            return;
        }
        if self.last != cpu {
            // Others ran: what they stored ended this core's reservation, which is an event.
            core.event |= core.monitor.take().is_some();
        }
        core.grant(self.time, 0);
        let mut env = Env {
            bus: &mut *bus,
            ram: &self.ram,
            pages: &self.pages,
            outbox: &mut self.outbox,
            cpu,
            settings: &self.settings,
            stops: &self.stops,
        };
        core.update_timers(&mut env);
        core.update_pmu(&mut env);
        core.poll_lines(&mut env);
        core.poll_stream();
        core.wake();
        if bus.take_event(At { cpu, time: self.time }) {
            for core in &mut self.cores {
                core.event = true;
                core.wake();
            }
        }
    }

    /// Runs one core until `end`, or until it waits. False if it does not run at all.
    fn slice<const EXACT: bool>(&mut self, bus: &mut dyn Bus, cpu: usize, end: u64) -> bool {
        if self.cores[cpu].activity != Activity::Running {
            return false;
        }
        self.last = cpu;
        // One instruction is to be looked at by itself.
        let mut care = false;
        while self.time < end && self.cores[cpu].activity == Activity::Running && !self.cores[cpu].yielded {
            let core = &mut self.cores[cpu];
            let end = if care { self.time + 1 } else { end };
            let limit = core.timer_deadline(&self.settings, self.time).unwrap_or(end);
            let limit = limit.clamp(self.time + 1, end);
            // A slice is no longer than a quantum.
            core.grant(self.time, (limit - self.time) as i64);
            let mut env = Env {
                bus: &mut *bus,
                ram: &self.ram,
                pages: &self.pages,
                outbox: &mut self.outbox,
                cpu,
                settings: &self.settings,
                stops: &self.stops,
            };
            let exit = if EXACT || care || core.needs_care() {
                run::<true>(core, &mut env)
            } else {
                run::<false>(core, &mut env)
            };
            care = exit == Exit::Care;
            core.update_timers(&mut env);
            core.update_pmu(&mut env);
            self.time = core.now();
            self.pages.drain();
            if exit == Exit::CacheFull {
                self.forget_decoded();
            }
            self.deliver(cpu);
            if self.cores[cpu].stops_run() {
                break;
            }
        }
        true
    }

    /// Tells the other cores what a core had to say.
    fn deliver(&mut self, from: usize) {
        for message in std::mem::take(&mut self.outbox) {
            if let Message::Start { cpu, entry, context } = message {
                if !self.is_on(cpu) {
                    self.start(cpu, entry, context);
                }
                continue;
            }
            for (_, core) in self.cores.iter_mut().enumerate().filter(|(cpu, _)| *cpu != from) {
                match message {
                    Message::Tlbi(scope) => core.mmu.invalidate(scope),
                    Message::Event => core.event = true,
                    Message::Guard(frame) => core.mmu.data.guard(frame),
                    Message::Start { .. } => {}
                }
            }
        }
    }

    pub(in crate::a64) fn core(&self, cpu: usize) -> Option<&Core> {
        self.cores.get(cpu)
    }

    pub(in crate::a64) fn core_of(&mut self, cpu: usize) -> Option<&mut Core> {
        self.cores.get_mut(cpu)
    }

    pub(in crate::a64) fn features(&self) -> Features {
        self.settings.features
    }

    pub(in crate::a64) fn stops_mut(&mut self) -> &mut Stops {
        &mut self.stops
    }

    /// Decodes everything anew.
    pub(in crate::a64) fn forget_decoded(&mut self) {
        self.pages.clear();
        self.cores.iter_mut().for_each(|core| core.mmu.forget_recent());
    }

    /// Translates everything anew.
    pub(in crate::a64) fn forget_translations(&mut self) {
        self.cores.iter_mut().for_each(|core| core.mmu.flush());
    }

    pub(in crate::a64) fn ram(&self) -> &Ram {
        &self.ram
    }
}

/// Messages that are kept apart; more TLB maintenance than this becomes "everything".
const KEPT: usize = 64;

impl Env<'_> {
    /// Tells all other cores, before they run next.
    pub(in crate::a64) fn tell(&mut self, message: Message) {
        let message = match message {
            Message::Tlbi(_) if self.outbox.len() >= KEPT => Message::Tlbi(Scope::All),
            message => message,
        };
        // Saying it once more would change nothing, and could be said without end.
        if !self.outbox.contains(&message) {
            self.outbox.push(message);
        }
    }
}

/// A cluster may be built on one thread and run on another.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Cluster>();
};
