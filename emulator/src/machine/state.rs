//! The whole machine as data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use devices::addr::{PAGE_SIZE, Pa};
use devices::events::{self, Time};
use devices::mem::ForeignPage;
use devices::{pci, platform};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Interrupt, Machine, board, unit};
use crate::config::MachineConfig;
use crate::soft::ProcessorsState;

/// A saved [`Machine`]: everything but its trace sink. Its driver may add the processors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineState {
    config: MachineConfig,
    now: Time,
    events: events::State,
    interrupts: Vec<Interrupt>,
    units: Vec<unit::State>,
    pci: pci::State,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    platform: Vec<platform::State>,
    board: board::State,
    ram: Vec<Page>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    processors: Option<Box<ProcessorsState>>,
}

impl MachineState {
    /// The machine that it is the state of.
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// Whether the processors are in it as well.
    pub fn has_processors(&self) -> bool {
        self.processors.is_some()
    }

    /// Adds or takes out the processors, and returns those that were in it.
    pub(crate) fn set_processors(&mut self, processors: Option<ProcessorsState>) -> Option<ProcessorsState> {
        std::mem::replace(&mut self.processors, processors.map(Box::new)).map(|processors| *processors)
    }
}

/// A page of RAM that is not all zero, in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    address: Pa,
    bytes: String,
}

/// A saved machine that cannot be restored; nothing has changed then.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// It was saved by a machine of other devices or memory.
    #[error("the state was saved by another machine; build this one with the same options")]
    OtherMachine,
    /// A page is not valid base64.
    #[error("the saved memory page {address} is damaged: {source}; save the machine again")]
    Damaged {
        /// Which page.
        address: Pa,
        /// What is wrong.
        source: base64::DecodeError,
    },
    /// A PCI function is not as it was saved.
    #[error(transparent)]
    Pci(#[from] pci::StateError),
    /// A platform device is not as it was saved.
    #[error(transparent)]
    Platform(#[from] platform::StateError),
    /// A page does not fit the memory.
    #[error(transparent)]
    ForeignPage(#[from] ForeignPage),
}

impl Machine {
    /// The machine as data.
    pub fn save(&self) -> MachineState {
        let Self {
            config,
            memory: _,
            phys,
            now,
            events,
            interrupts,
            units,
            served: _,
            pci,
            platform,
            board,
            sink: _,
        } = self;
        let page = |(address, bytes): (Pa, Vec<u8>)| Page { address, bytes: STANDARD.encode(bytes) };
        MachineState {
            config: config.clone(),
            now: *now,
            events: events.save(),
            interrupts: interrupts.clone(),
            units: units.iter().map(|remapper| remapper.unit.save()).collect(),
            pci: pci.save(),
            platform: platform.save(),
            board: board.save(),
            ram: phys.nonzero_pages(PAGE_SIZE as usize).into_iter().map(page).collect(),
            processors: None,
        }
    }

    /// Makes this machine equal to the one that was saved; its trace sink stays. Processors are not its
    /// affair: see [`crate::soft::Soft::restore`].
    ///
    /// # Errors
    /// [`RestoreError`] where the state is not one of a machine like this.
    pub fn restore(&mut self, mut state: MachineState) -> Result<(), RestoreError> {
        self.check_origin(&state)?;
        let pages = std::mem::take(&mut state.ram)
            .into_iter()
            .map(|Page { address, bytes }| match STANDARD.decode(bytes) {
                Ok(bytes) if self.is_ram(address, bytes.len()) => Ok((address, bytes)),
                Ok(_) => Err(ForeignPage(address).into()),
                Err(source) => Err(RestoreError::Damaged { address, source }),
            })
            .collect::<Result<Vec<_>, RestoreError>>()?;
        self.restore_devices(state)?;
        Ok(self.phys.restore_pages(&pages)?)
    }

    /// As [`Self::restore`] for everything but RAM, which stays as it is: for a caller that knows
    /// which pages to put back, and does it often.
    ///
    /// # Errors
    /// As [`Self::restore`].
    pub fn restore_devices(&mut self, state: MachineState) -> Result<(), RestoreError> {
        self.check_origin(&state)?;
        let MachineState {
            config: _,
            now,
            events,
            interrupts,
            units,
            pci,
            platform,
            board,
            ram: _,
            processors: _,
        } = state;
        self.platform.check(&platform)?;
        // The host may refuse a damaged state half way, so what it was is kept.
        let before = self.pci.save();
        if let Err(error) = self.pci.restore(pci) {
            let undone = self.pci.restore(before);
            debug_assert!(undone.is_ok(), "a state fits the host that saved it");
            return Err(error.into());
        }
        self.platform.restore(platform)?;
        self.now = now;
        self.events.restore(events);
        self.interrupts = interrupts;
        for (remapper, state) in self.units.iter_mut().zip(units) {
            remapper.unit.restore(state);
        }
        self.board.restore(board);
        Ok(())
    }

    fn check_origin(&self, state: &MachineState) -> Result<(), RestoreError> {
        let same = state.config == self.config
            && state.units.len() == self.units.len()
            && self.units.iter().zip(&state.units).all(|(remapper, state)| remapper.unit.fits(state))
            && self.platform.fits(&state.platform)
            && self.board.fits(&state.board);
        if same { Ok(()) } else { Err(RestoreError::OtherMachine) }
    }

    fn is_ram(&self, address: Pa, len: usize) -> bool {
        self.phys.resolve(address).is_some_and(|(_, left)| len as u64 <= left)
    }
}
