//! From device specifications to models in their places.

use std::sync::Arc;

use devices::addr::SourceId;
use devices::edu::Edu;
use devices::events::DeviceId;
use devices::exerciser::Exerciser;
use devices::fabric::{DmaPort, Translate};
use devices::iommu_testdev::IommuTestdev;
use devices::mem::PhysMem;
use devices::pci::{Bus, Endpoint, Host, Placement};

use crate::config::{ConfigError, DeviceKind, DeviceSpec, Placed, SlotAddress, place};

/// The number of the first PCI function in the event queue; the others follow.
const FIRST_FUNCTION: u32 = 0x100;

/// The PCI host with all devices, behind `iommu`.
pub(super) fn build(
    specs: &[DeviceSpec],
    phys: &PhysMem,
    iommu: &Arc<dyn Translate>,
) -> Result<Host, ConfigError> {
    let mut pci = Host::new();
    let mut ids = (FIRST_FUNCTION..).map(DeviceId);
    for Placed { spec, address } in place(specs)? {
        let SlotAddress { device, function: first } = address;
        let bus = spec.bus.as_deref().map_or(Bus::Root, Bus::Behind);
        for (function, id) in (first..first + spec.kind.functions()).zip(&mut ids) {
            let model: Box<dyn Endpoint> = match &spec.kind {
                DeviceKind::RootPort { id } => {
                    pci.add_root_port(id, device, function)?;
                    continue;
                }
                DeviceKind::Edu { dma_mask } => Box::new(Edu::new(*dma_mask)),
                DeviceKind::Exerciser { latency, .. } => Box::new(Exerciser::new(*latency)),
                DeviceKind::IommuTestdev => Box::new(IommuTestdev::new(phys.clone())),
            };
            // The bus number is the one of before enumeration; the host follows what software writes.
            let port = DmaPort::new(SourceId::new(0, device, function), phys.clone(), iommu.clone());
            pci.add_endpoint(Placement { bus, device, function }, id, port, model)?;
        }
    }
    Ok(pci)
}
