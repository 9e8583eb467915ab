//! All CPUs of a machine, turn by turn on one thread.
//!
//! Cores run in the order of their index, each for a quantum, and time is the sum of what they ran.
//! So time never differs between two cores, and the interleaving is a function of the guest alone.

use serde::{Deserialize, Serialize};

use super::core::{Activity, Core, CoreState, Env, Message, Settings};
use super::exec::run::{Exit, run};
use super::features::Features;
use super::op::Page;
use crate::interp::{Bus, CodePages, Conduit, Ram};

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

/// Why [`Cluster::run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time asked for has come.
    Time,
}

/// The CPUs of a machine.
pub struct Cluster {
    ram: Ram,
    pages: CodePages<Page>,
    cores: Vec<Core>,
    settings: Settings,
    quantum: u32,
    time: u64,
    outbox: Vec<Message>,
}

/// A cluster as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    cores: Vec<CoreState>,
    time: u64,
}

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
            outbox: Vec::new(),
        }
    }

    /// Starts a CPU at physical address `entry` in EL1 with the MMU off and `context` in X0. No
    /// effect on one that does not exist.
    pub fn start(&mut self, cpu: usize, entry: u64, context: u64) {
        if let Some(core) = self.cores.get_mut(cpu) {
            *core = Core::new(&self.ram, cpu, &self.settings.features);
            core.pc = entry;
            core.x[0] = context;
            core.activity = Activity::Running;
            core.context_changed();
        }
    }

    /// Instructions retired by all CPUs, plus what was skipped while all of them waited.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Runs until `until`.
    pub fn run(&mut self, bus: &mut dyn Bus, until: u64) -> Stop {
        while self.time < until {
            for cpu in 0..self.cores.len() {
                let slice = u64::from(self.quantum).min(until.saturating_sub(self.time));
                self.turn(bus, cpu, slice as i64);
            }
        }
        Stop::Time
    }

    #[cfg(test)]
    pub(in crate::a64) fn core_mut(&mut self, cpu: usize) -> &mut Core {
        &mut self.cores[cpu]
    }

    fn turn(&mut self, bus: &mut dyn Bus, cpu: usize, slice: i64) {
        let core = &mut self.cores[cpu];
        core.grant(self.time, slice);
        while core.activity == Activity::Running {
            let mut env = Env {
                bus: &mut *bus,
                ram: &self.ram,
                pages: &self.pages,
                outbox: &mut self.outbox,
                cpu,
                settings: &self.settings,
            };
            match run::<false>(core, &mut env) {
                Exit::Time => break,
                Exit::CacheFull => self.pages.clear(),
            }
        }
        self.time = core.now();
    }
}
