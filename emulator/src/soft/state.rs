//! A machine and the processors that run it, as data.
//!
//! Firmware is no part of it: which processors are on, they know themselves. Nor is what was cached of
//! memory: translations and decoded code are made anew, so a guest that relies on a translation after
//! it changed the table, without invalidating it, may run differently than it would have.

use cpu::a64::{ClusterState, OtherCpus};
use devices::events::Time;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Options, Soft, SoftError};
use crate::config::{ConfigError, MachineSpec, VirtSpec};
use crate::machine::{self, Machine, MachineState};

/// Nanoseconds by which machine time may be behind that of the processors: where very much was due, it
/// catches up later.
const BEHIND: u64 = 1_000_000_000;

/// The processors of a machine, saved between two slices of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessorsState {
    cluster: ClusterState,
    /// Machine time at instruction 0.
    origin: Time,
    /// Nanoseconds that an instruction takes.
    instruction: u32,
}

/// A saved run that cannot be continued.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The state is of the machine alone.
    #[error(
        "the state holds a machine without its processors: it was not saved while a guest ran on the \
         software processor; 'explain --state' reads it, but nothing can run in it"
    )]
    NoProcessors,
    /// The processors are of the board virt, and this is another.
    #[error("the state is damaged: it has software processors on the board {0}")]
    Board(&'static str),
    /// Machine and processors were not saved at the same time.
    #[error(
        "the state is damaged: the machine's time is {machine}, that of its processors {processors}; save again"
    )]
    Time {
        /// That of the machine.
        machine: Time,
        /// That of the processors.
        processors: Time,
    },
    /// The machine that is described cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine is not as it was saved.
    #[error(transparent)]
    Machine(#[from] machine::RestoreError),
    /// The processors cannot be made.
    #[error(transparent)]
    Processors(#[from] SoftError),
    /// There are more of them than the machine has, or fewer.
    #[error(transparent)]
    Number(#[from] OtherCpus),
}

impl Soft<Machine> {
    /// The machine and its processors; without them where the guest has ended, as nothing can go on then.
    pub fn save(&self) -> MachineState {
        let mut state = self.wires.board.save();
        if self.ending().is_none() {
            state.set_processors(Some(ProcessorsState {
                cluster: self.cluster.save(),
                origin: self.wires.pace.origin,
                instruction: self.options.instruction,
            }));
        }
        state
    }

    /// A machine and processors that continue where they were saved: from there on, they do what those
    /// would have done.
    ///
    /// # Errors
    /// [`RestoreError`] where the state is damaged or has no processors.
    pub fn restore(mut state: MachineState) -> Result<Self, RestoreError> {
        let processors = state.set_processors(None).ok_or(RestoreError::NoProcessors)?;
        let ProcessorsState { cluster, origin, instruction } = processors;
        let MachineSpec::Virt(VirtSpec { cpus }) = state.config().machine else {
            return Err(RestoreError::Board(state.config().machine.name()));
        };
        let mut machine = Machine::new(state.config())?;
        machine.restore(state)?;
        let options = Options { cpus: cpus.into(), instruction, ..Options::default() };
        let mut soft = Self::new(machine, &options).map_err(|(_, error)| error)?;
        soft.cluster.restore(cluster)?;
        soft.wires.pace.origin = origin;
        for cpu in (0..options.cpus).filter(|cpu| soft.cluster.is_on(*cpu)) {
            soft.wires.firmware.set_on(cpu);
        }
        let (machine, processors) = (soft.board().now(), soft.now());
        if processors.0.checked_sub(machine.0).is_none_or(|behind| behind > BEHIND) {
            return Err(RestoreError::Time { machine, processors });
        }
        Ok(soft)
    }
}
