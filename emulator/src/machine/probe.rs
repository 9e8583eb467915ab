//! What people ask of a machine from outside: why a request ends as it does, and requests of
//! functions that no guest asked for.

use std::fmt;

use devices::addr::SourceId;
use devices::events::DeviceId;
use devices::fabric::{DmaResult, Initiator, Request, Transaction};
use devices::pci::{Bus, FunctionInfo, FunctionKind, Placement};
use devices::vtd::explain::Explanation;
use serde::Serialize;
use thiserror::Error;

use super::Machine;
use crate::config::SlotAddress;

/// A question that the machine has no answer to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// There is no IOMMU.
    #[error("the machine has no IOMMU, so addresses of devices are physical; add --iommu vtd-legacy")]
    NoIommu,
    /// The function is behind none of the units.
    #[error("no unit serves {0}, so its addresses are physical; name it in devices= of an --iommu")]
    NoUnit(SourceId),
    /// No function has this name or place.
    #[error("there is no device '{name}'; known: {known}")]
    NoDevice {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// An explanation, with what the rest of the machine has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The IOMMU's part.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// What stands before the IOMMU.
    pub notes: Vec<String>,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.explanation)?;
        self.notes.iter().try_for_each(|note| write!(f, "\nnote: {note}"))
    }
}

impl Machine {
    /// Explains what `request` would come to, without doing it; `data` counts for interrupts. It goes
    /// to the unit that its source is behind; from the I/O APIC's requester id it is the I/O APIC's. See
    /// [`vtd::Unit::explain`](devices::vtd::Unit::explain).
    ///
    /// # Errors
    /// [`ProbeError::NoIommu`] and [`ProbeError::NoUnit`].
    pub fn explain(&self, request: &Transaction, data: u32) -> Result<Explained, ProbeError> {
        if self.units.is_empty() {
            return Err(ProbeError::NoIommu);
        }
        let mut request = *request;
        let source = request.initiator.source();
        let function = self.pci.functions().find(|function| function.source == Some(source));
        let mut notes = Vec::new();
        let index = match &function {
            Some(function) => {
                let Placement { bus, device, function } = function.placement;
                let bus = match bus {
                    Bus::Root => None,
                    Bus::Behind(name) => Some(name),
                };
                self.served.owner(bus, SlotAddress { device, function })
            }
            None if source == self.config.machine.ioapic_source => {
                let verify = self.config.machine.ioapic_verify;
                request.initiator = Initiator::IoApic { source, verify };
                self.served.ioapic()
            }
            None => {
                notes.push(format!("there is no function {source} in this machine now"));
                self.served.ioapic()
            }
        };
        let Some((index, remapper)) = index.and_then(|index| Some((index, self.units.get(index)?))) else {
            return Err(ProbeError::NoUnit(source));
        };
        if self.units.len() > 1 {
            let base = remapper.base;
            notes.push(format!("this is what unit {index} says, whose registers are at {base:#x}"));
        }
        let id = function.and_then(|function| match function.kind {
            FunctionKind::Endpoint { id, .. } => Some(id),
            FunctionKind::HostBridge | FunctionKind::RootPort { .. } => None,
        });
        if id.and_then(|id| self.pci.is_master(id)) == Some(false) {
            notes.push(format!(
                "Bus Master Enable is clear in {source} or above it, so nothing of this reaches the IOMMU"
            ));
        }
        Ok(Explained { explanation: remapper.unit.explain(&request, data), notes })
    }

    /// Has a function read memory by DMA. It is named by its place, such as `00:01.0`, or by its
    /// model, such as `edu`, which means the first of them. Without Bus Master Enable the request
    /// does not reach the bus, as with any request of the function.
    ///
    /// # Errors
    /// [`ProbeError::NoDevice`].
    pub fn dma_read(
        &mut self,
        device: &str,
        request: Request,
        data: &mut [u8],
    ) -> Result<DmaResult, ProbeError> {
        let id = self.device(device)?;
        let mut fx = self.effects();
        let result = self.pci.dma_read(id, request, data, &mut fx);
        self.deliver(fx);
        result.ok_or_else(|| self.no_device(device))
    }

    /// Has a function write memory by DMA; see [`Self::dma_read`].
    ///
    /// # Errors
    /// [`ProbeError::NoDevice`].
    pub fn dma_write(
        &mut self,
        device: &str,
        request: Request,
        data: &[u8],
    ) -> Result<DmaResult, ProbeError> {
        let id = self.device(device)?;
        let mut fx = self.effects();
        let result = self.pci.dma_write(id, request, data, &mut fx);
        self.deliver(fx);
        result.ok_or_else(|| self.no_device(device))
    }

    fn device(&self, name: &str) -> Result<DeviceId, ProbeError> {
        let place = name.parse::<SourceId>().ok();
        let named = |(at, _, model): &(SourceId, DeviceId, &str)| *model == name || place == Some(*at);
        self.endpoints().find(named).map(|(_, id, _)| id).ok_or_else(|| self.no_device(name))
    }

    fn no_device(&self, name: &str) -> ProbeError {
        let known: Vec<_> = self.endpoints().map(|(at, _, model)| format!("{at} ({model})")).collect();
        let known =
            if known.is_empty() { "none, add --device exerciser".to_owned() } else { known.join(", ") };
        ProbeError::NoDevice { name: name.to_owned(), known }
    }

    /// Place, number and model of every endpoint that has a place now.
    fn endpoints(&self) -> impl Iterator<Item = (SourceId, DeviceId, &'static str)> {
        self.pci.functions().filter_map(|FunctionInfo { kind, source, .. }| match kind {
            FunctionKind::Endpoint { id, model } => Some((source?, id, model)),
            FunctionKind::HostBridge | FunctionKind::RootPort { .. } => None,
        })
    }
}
