//! From device specifications to models in their places.

use std::sync::Arc;

use devices::addr::SourceId;
use devices::edu::Edu;
use devices::events::DeviceId;
use devices::exerciser::Exerciser;
use devices::fabric::{Direct, DmaPort, Initiator, Translate, Untranslated};
use devices::iommu::{UNITS_MAX, UnitId, UnitKind};
use devices::iommu_testdev::IommuTestdev;
use devices::mem::PhysMem;
use devices::nvme::{self, Nvme};
use devices::pci::{Bus, Endpoint, Host, Intx, Placement};
use devices::platform;
use devices::{smmuv3, vtd};

use super::media::{self, Files};
use super::platform::Platform;
use super::unit::{Remapper, Unit};
use super::{FIRST_UNIT, layout};
use crate::config::{
    ConfigError, DeviceKind, IommuSpec, MachineConfig, MachineSpec, Placed, PlatformSpec, SlotAddress,
    UnitLayout, UnitSpec,
};

/// The number of the first platform device in the event queue; at most 31 others follow.
const FIRST_PLATFORM: u32 = 0x80;
/// The number of the first PCI function in the event queue; the others follow.
const FIRST_FUNCTION: u32 = 0x100;

/// The remapping units, at the addresses that `served` gives them.
pub(super) fn units(
    config: &MachineConfig,
    served: &UnitLayout,
    phys: &PhysMem,
) -> Result<Vec<Remapper>, ConfigError> {
    let count = config.iommus.len();
    let specs = config.iommus.iter().zip(served.bases()).enumerate();
    let build = |(index, (spec, base)): (usize, (&IommuSpec, u64))| {
        let id = |kind| UnitId::of(kind, index, count).ok_or(ConfigError::Units { count, max: UNITS_MAX });
        // Units that evict at random do not do it in step.
        let seed = config.seed ^ (index as u64) << 32;
        let unit = match &spec.unit {
            UnitSpec::Vtd(spec) => {
                let config = vtd::Config { unit: id(UnitKind::Vtd)?, seed, ..spec.config.clone() };
                Unit::Vtd(vtd::Unit::new(config, phys.clone()))
            }
            UnitSpec::Smmuv3(spec) => {
                let config = smmuv3::Config {
                    unit: id(UnitKind::Smmuv3)?,
                    seed,
                    streams: spec.stream_map(),
                    // At most 8.
                    wires: Some(layout::virt::smmu_lines(index as u32)),
                    doorbell: Some(layout::virt::ITS_DOORBELL),
                    ..spec.config.clone()
                };
                Unit::Smmuv3(smmuv3::Unit::new(config, phys.clone()))
            }
        };
        // At most 8.
        Ok(Remapper { base, device: DeviceId(FIRST_UNIT + index as u32), unit })
    };
    specs.map(build).collect()
}

/// What stands between memory and a bus master of the unit of this index, or of none.
pub(super) fn translator(
    board: &MachineSpec,
    units: &[Remapper],
    index: Option<usize>,
) -> Arc<dyn Translate> {
    match (index.and_then(|index| units.get(index)), board) {
        (Some(remapper), _) => remapper.unit.translator(),
        (None, MachineSpec::Q35(_)) => Arc::new(Direct),
        (None, MachineSpec::Virt(_)) => Arc::new(Untranslated),
    }
}

/// The PCI host with all devices, each function behind its unit; `files` says whether those that devices
/// name are opened.
pub(super) fn build(
    config: &MachineConfig,
    placed: &[Placed<'_>],
    phys: &PhysMem,
    served: &UnitLayout,
    units: &[Remapper],
    files: Files,
) -> Result<Host, ConfigError> {
    let mut pci = Host::with_intx(match config.machine {
        MachineSpec::Q35(_) => Intx::Ich9,
        MachineSpec::Virt(_) => Intx::Rotated(layout::virt::PCI_FIRST_LINE),
    });
    let mut ids = (FIRST_FUNCTION..).map(DeviceId);
    let mut serials = (0u32..).map(|number| format!("iommulator-{number}"));
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
                DeviceKind::Nvme { medium, latency } => {
                    let serial = serials.next().unwrap_or_default();
                    let config = nvme::Config { serial, latency: *latency };
                    Box::new(Nvme::new(config, media::build(medium, files)?))
                }
            };
            // The bus number is the one of before enumeration; the host follows what software writes.
            let iommu = translator(
                &config.machine,
                units,
                served.owner(spec.bus.as_deref(), SlotAddress { device, function }),
            );
            let port = DmaPort::new(SourceId::new(0, device, function), phys.clone(), iommu);
            let port = match config.machine {
                MachineSpec::Q35(_) => port,
                MachineSpec::Virt(_) => port.with_doorbell(layout::virt::ITS_DOORBELL),
            };
            pci.add_endpoint(Placement { bus, device, function }, id, port, model)?;
        }
    }
    Ok(pci)
}

/// The platform bus with its devices in their order, each behind its unit.
pub(super) fn platform(
    config: &MachineConfig,
    phys: &PhysMem,
    served: &UnitLayout,
    units: &[Remapper],
) -> Platform {
    let device = |(index, (kind, spec)): (usize, (&DeviceKind, &PlatformSpec))| {
        // Only exercisers pass the checks.
        let DeviceKind::Exerciser { functions: _, latency } = kind else { return None };
        let PlatformSpec { stream, can_stall, ssid_bits, iommu: _ } = *spec;
        let iommu = translator(&config.machine, units, served.platform_owner(spec));
        let port = DmaPort::of(Initiator::Platform { stream, can_stall }, phys.clone(), iommu)
            .with_doorbell(layout::virt::ITS_DOORBELL);
        // At most 32.
        let id = DeviceId(FIRST_PLATFORM + index as u32);
        let line = layout::virt::platform_device_line(index);
        Some(platform::Device::new(id, line, ssid_bits, port, Exerciser::new(*latency)))
    };
    let specs = config.devices.iter().filter_map(|device| Some((&device.kind, device.platform.as_ref()?)));
    Platform::new(specs.enumerate().filter_map(device).collect())
}
