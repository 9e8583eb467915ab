//! What people ask of a machine from outside: why a request ends as it does, and requests of
//! functions that no guest asked for.

use std::fmt;

use devices::addr::SourceId;
use devices::events::DeviceId;
use devices::fabric::{DmaResult, Request, Transaction};
use devices::pci::{FunctionInfo, FunctionKind};
use devices::vtd::explain::Explanation;
use serde::Serialize;
use thiserror::Error;

use super::Machine;

/// A question that the machine has no answer to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// There is no IOMMU.
    #[error("the machine has no IOMMU, so addresses of devices are physical; add --iommu vtd-legacy")]
    NoIommu,
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
    /// Explains what `request` would come to, without doing it; `data` counts for interrupts. See
    /// [`vtd::Unit::explain`](devices::vtd::Unit::explain).
    ///
    /// # Errors
    /// [`ProbeError::NoIommu`].
    pub fn explain(&self, request: &Transaction, data: u32) -> Result<Explained, ProbeError> {
        let unit = self.vtd.as_ref().ok_or(ProbeError::NoIommu)?;
        let source = request.initiator.source();
        let endpoint = self.endpoints().find(|(at, ..)| *at == source);
        let note = match endpoint {
            None => Some(format!("there is no function {source} in this machine now")),
            Some((_, id, _)) if self.pci.is_master(id) == Some(false) => Some(format!(
                "Bus Master Enable is clear in {source} or above it, so nothing of this reaches the IOMMU"
            )),
            Some(_) => None,
        };
        Ok(Explained { explanation: unit.explain(request, data), notes: note.into_iter().collect() })
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
