//! From device specifications to models in their places.

use std::sync::Arc;

use devices::addr::SourceId;
use devices::edu::Edu;
use devices::events::DeviceId;
use devices::exerciser::Exerciser;
use devices::fabric::{Direct, DmaPort, Translate};
use devices::iommu_testdev::IommuTestdev;
use devices::mem::PhysMem;
use devices::pci::{Bus, Endpoint, Host, Placement};
use devices::vtd::{self, UNITS_MAX, UnitId};

use super::{FIRST_UNIT, Remapper};
use crate::config::{ConfigError, DeviceKind, IommuSpec, MachineConfig, Placed, SlotAddress, UnitLayout};

/// The number of the first PCI function in the event queue; the others follow.
const FIRST_FUNCTION: u32 = 0x100;

/// The remapping units, at the addresses that `layout` gives them.
pub(super) fn units(
    config: &MachineConfig,
    layout: &UnitLayout,
    phys: &PhysMem,
) -> Result<Vec<Remapper>, ConfigError> {
    let count = config.iommus.len();
    let specs = config.iommus.iter().zip(layout.bases()).enumerate();
    let build = |(index, (spec, base)): (usize, (&IommuSpec, u64))| {
        let unit = UnitId::of(index, count).ok_or(ConfigError::Units { count, max: UNITS_MAX })?;
        // Units that evict at random do not do it in step.
        let seed = config.seed ^ (index as u64) << 32;
        let unit = vtd::Unit::new(vtd::Config { unit, seed, ..spec.unit.clone() }, phys.clone());
        // At most 8.
        Ok(Remapper { base, device: DeviceId(FIRST_UNIT + index as u32), unit })
    };
    specs.map(build).collect()
}

/// What stands between memory and a bus master of the unit of this index, or of none.
pub(super) fn translator(units: &[Remapper], index: Option<usize>) -> Arc<dyn Translate> {
    match index.and_then(|index| units.get(index)) {
        Some(remapper) => remapper.unit.translator(),
        None => Arc::new(Direct),
    }
}

/// The PCI host with all devices, each function behind its unit.
pub(super) fn build(
    placed: &[Placed<'_>],
    phys: &PhysMem,
    layout: &UnitLayout,
    units: &[Remapper],
) -> Result<Host, ConfigError> {
    let mut pci = Host::new();
    let mut ids = (FIRST_FUNCTION..).map(DeviceId);
    for Placed { spec, address } in placed {
        let SlotAddress { device, function: first } = *address;
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
            let iommu =
                translator(units, layout.owner(spec.bus.as_deref(), SlotAddress { device, function }));
            let port = DmaPort::new(SourceId::new(0, device, function), phys.clone(), iommu);
            pci.add_endpoint(Placement { bus, device, function }, id, port, model)?;
        }
    }
    Ok(pci)
}
