//! What people ask of a machine from outside: why a request ends as it does, and requests of
//! devices that no guest asked for.

use std::fmt;

use devices::addr::{SourceId, StreamId};
use devices::events::DeviceId;
use devices::fabric::{DmaResult, Initiator, Request, Transaction};
use devices::pci::{Bus, FunctionInfo, FunctionKind, Placement};
use devices::{smmuv3, vtd};
use serde::Serialize;
use thiserror::Error;

use super::Machine;
use super::unit::Unit;
use crate::config::{MachineSpec, SlotAddress, parse_number};

/// A question that the machine has no answer to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// There is no IOMMU.
    #[error("the machine has no IOMMU, so addresses of devices are physical; add one with --iommu")]
    NoIommu,
    /// The function is behind none of the units.
    #[error("no unit serves {0}, so its addresses are physical; name it in devices= of an --iommu")]
    NoUnit(SourceId),
    /// A StreamID where masters have none.
    #[error(
        "only an SMMUv3 knows masters by a StreamID; name a PCI function, such as 00:01.0, in place of {0}"
    )]
    NoStreams(StreamId),
    /// A StreamID, and several units that it could be meant for.
    #[error(
        "every unit has StreamIDs of its own, and no unit takes what is behind no other; name a PCI function"
    )]
    WhichUnit,
    /// No device has this name or place.
    #[error("there is no device '{name}'; known: {known}")]
    NoDevice {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// Who makes a request that no guest asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Master {
    Function(DeviceId),
    Platform(StreamId),
}

/// An explanation, in the words of the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Explanation {
    /// By a VT-d unit.
    Vtd(vtd::explain::Explanation),
    /// By an SMMUv3.
    Smmuv3(smmuv3::explain::Explanation),
}

impl Explanation {
    /// What a VT-d unit says, if it is one.
    pub fn vtd(&self) -> Option<&vtd::explain::Explanation> {
        match self {
            Self::Vtd(explanation) => Some(explanation),
            Self::Smmuv3(_) => None,
        }
    }

    /// What an SMMUv3 says, if it is one.
    pub fn smmuv3(&self) -> Option<&smmuv3::explain::Explanation> {
        match self {
            Self::Smmuv3(explanation) => Some(explanation),
            Self::Vtd(_) => None,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vtd(explanation) => explanation.fmt(f),
            Self::Smmuv3(explanation) => explanation.fmt(f),
        }
    }
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
    /// to the unit that its source is behind; from the I/O APIC's requester id it is the I/O APIC's. A
    /// StreamID that a PCI function has means that function, another one a master that can be held. See
    /// [`vtd::Unit::explain`] and [`smmuv3::Unit::explain`].
    ///
    /// # Errors
    /// [`ProbeError`], except [`ProbeError::NoDevice`].
    pub fn explain(&self, request: &Transaction, data: u32) -> Result<Explained, ProbeError> {
        if self.units.is_empty() {
            return Err(ProbeError::NoIommu);
        }
        let mut request = *request;
        if let Initiator::Platform { stream, .. } = request.initiator {
            let (index, function) = self.stream(stream)?;
            match function {
                Some(source) => request.initiator = Initiator::Pci { segment: 0, source },
                None => return self.explained(index, &request, data, Vec::new()),
            }
        }
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
            None => {
                match self.config.machine {
                    MachineSpec::Q35(spec) if source == spec.ioapic_source => {
                        request.initiator = Initiator::IoApic { source, verify: spec.ioapic_verify };
                    }
                    _ => notes.push(format!("there is no function {source} in this machine now")),
                }
                self.served.ioapic()
            }
        };
        let index = index.filter(|index| *index < self.units.len()).ok_or(ProbeError::NoUnit(source))?;
        let id = function.and_then(|function| match function.kind {
            FunctionKind::Endpoint { id, .. } => Some(id),
            FunctionKind::HostBridge | FunctionKind::RootPort { .. } => None,
        });
        if id.and_then(|id| self.pci.is_master(id)) == Some(false) {
            notes.push(format!(
                "Bus Master Enable is clear in {source} or above it, so nothing of this reaches the IOMMU"
            ));
        }
        self.explained(index, &request, data, notes)
    }

    /// What a unit says.
    fn explained(
        &self,
        index: usize,
        request: &Transaction,
        data: u32,
        mut notes: Vec<String>,
    ) -> Result<Explained, ProbeError> {
        let source = request.initiator.source();
        let remapper = self.units.get(index).ok_or(ProbeError::NoUnit(source))?;
        if self.units.len() > 1 {
            let base = remapper.base;
            notes.push(format!("this is what unit {index} says, whose registers are at {base:#x}"));
        }
        let explanation = match &remapper.unit {
            Unit::Vtd(unit) => Explanation::Vtd(unit.explain(request, data)),
            Unit::Smmuv3(unit) => Explanation::Smmuv3(unit.explain(request, data)),
        };
        Ok(Explained { explanation, notes })
    }

    /// The unit that a StreamID is meant for, and the PCI function that has it.
    fn stream(&self, stream: StreamId) -> Result<(usize, Option<SourceId>), ProbeError> {
        let of = |index: usize| self.config.iommus.get(index).and_then(|iommu| iommu.smmuv3());
        let functions =
            (0..self.units.len()).find(|&index| of(index).is_some_and(|unit| unit.is_requester(stream)));
        if let Some(index) = functions {
            // A unit names requester ids by the low half.
            return Ok((index, Some(SourceId(stream.0 as u16))));
        }
        let index = match self.units.len() {
            1 => 0,
            _ => self.served.rest().ok_or(ProbeError::WhichUnit)?,
        };
        of(index).ok_or(ProbeError::NoStreams(stream)).map(|_| (index, None))
    }

    /// Has a device read memory by DMA. A function is named by its place, such as `00:01.0`, or by its
    /// model, such as `edu`, which means the first of them. Without Bus Master Enable its request does
    /// not reach the bus, as with any request of the function. A platform device is named by its
    /// StreamID, as `stream=0x10000`; nobody waits for a request of it that is stalled.
    ///
    /// # Errors
    /// [`ProbeError::NoDevice`].
    pub fn dma_read(
        &mut self,
        device: &str,
        request: Request,
        data: &mut [u8],
    ) -> Result<DmaResult, ProbeError> {
        let master = self.master(device)?;
        let mut fx = self.effects();
        let result = match master {
            Master::Function(id) => self.pci.dma_read(id, request, data, &mut fx),
            Master::Platform(stream) => {
                self.platform.by_stream(stream).map(|device| device.dma_read(request, data, &mut fx))
            }
        };
        self.deliver(fx);
        result.ok_or_else(|| self.no_device(device))
    }

    /// Has a device write memory by DMA; see [`Self::dma_read`].
    ///
    /// # Errors
    /// [`ProbeError::NoDevice`].
    pub fn dma_write(
        &mut self,
        device: &str,
        request: Request,
        data: &[u8],
    ) -> Result<DmaResult, ProbeError> {
        let master = self.master(device)?;
        let mut fx = self.effects();
        let result = match master {
            Master::Function(id) => self.pci.dma_write(id, request, data, &mut fx),
            Master::Platform(stream) => {
                self.platform.by_stream(stream).map(|device| device.dma_write(request, data, &mut fx))
            }
        };
        self.deliver(fx);
        result.ok_or_else(|| self.no_device(device))
    }

    fn master(&self, name: &str) -> Result<Master, ProbeError> {
        if let Some(stream) = name.strip_prefix("stream=") {
            let stream = parse_number(stream).and_then(|stream| u32::try_from(stream).ok()).map(StreamId);
            let known = self.platform.streams().find(|known| Some(*known) == stream);
            return known.map(Master::Platform).ok_or_else(|| self.no_device(name));
        }
        let place = name.parse::<SourceId>().ok();
        let named = |(at, _, model): &(SourceId, DeviceId, &str)| *model == name || place == Some(*at);
        let function = self.endpoints().find(named).map(|(_, id, _)| Master::Function(id));
        function.ok_or_else(|| self.no_device(name))
    }

    fn no_device(&self, name: &str) -> ProbeError {
        let functions = self.endpoints().map(|(at, _, model)| format!("{at} ({model})"));
        let streams = self.platform.streams().map(|stream| format!("stream={stream}"));
        let known: Vec<_> = functions.chain(streams).collect();
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
