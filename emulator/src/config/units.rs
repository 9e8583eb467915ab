//! Which remapping unit serves whom.

use std::collections::{BTreeMap, BTreeSet};

use devices::fabric::{MESSAGE_FIRST, MESSAGE_LAST};
use devices::vtd::{REGISTERS_SIZE, UNITS_MAX};

use super::{
    ConfigError, DeviceKind, DeviceSpec, IommuSpec, Placed, PlatformSpec, Reserved, SlotAddress, UnitSpec,
};
use crate::machine::layout;

/// The units' addresses, and what is behind each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitLayout {
    bases: Vec<u64>,
    /// Functions of bus 0 that a unit names.
    named: BTreeMap<SlotAddress, usize>,
    /// The unit that takes all others.
    rest: Option<usize>,
    /// Where the root ports are, by the names of the buses behind them.
    ports: BTreeMap<String, SlotAddress>,
}

impl UnitLayout {
    /// The layout of units among devices, of which those of PCI are in their places.
    ///
    /// # Errors
    /// Units too many or at one address; functions that are not there, or behind two units; reserved
    /// memory where there can be none; StreamIDs that a unit cannot tell apart.
    pub fn new(
        iommus: &[IommuSpec],
        placed: &[Placed<'_>],
        devices: &[DeviceSpec],
    ) -> Result<Self, ConfigError> {
        if iommus.len() > UNITS_MAX {
            return Err(ConfigError::Units { count: iommus.len(), max: UNITS_MAX });
        }
        let present = functions(placed);
        let mut layout = Self { bases: bases(iommus)?, ports: ports(placed), ..Self::default() };
        for (index, iommu) in iommus.iter().enumerate() {
            if let Some(reserved) = iommu.reserved() {
                check_memory(reserved, &layout.bases)?;
                reserved.devices.iter().try_for_each(|at| check_present("rmrr", *at, &present))?;
            }
            let Some(devices) = &iommu.devices else {
                if index + 1 != iommus.len() {
                    return Err(ConfigError::RestNotLast(index));
                }
                layout.rest = Some(index);
                continue;
            };
            for &at in devices {
                check_present("devices", at, &present)?;
                if layout.named.insert(at, index).is_some() {
                    return Err(ConfigError::TwoUnits(at));
                }
            }
        }
        for platform in devices.iter().filter_map(|device| device.platform.as_ref()) {
            layout.check_stream(platform, iommus)?;
        }
        Ok(layout)
    }

    fn check_stream(&self, platform: &PlatformSpec, iommus: &[IommuSpec]) -> Result<(), ConfigError> {
        let stream = platform.stream;
        if let Some(index) = platform.iommu.filter(|index| *index >= iommus.len()) {
            return Err(ConfigError::NoIommu { index, count: iommus.len() });
        }
        let unit = self.platform_owner(platform).and_then(|index| iommus.get(index)?.smmuv3());
        match unit {
            Some(unit) if !unit.has_stream(stream) => {
                let why = "has more bits than the IOMMU takes; give that a greater sidsize=, such as 20";
                Err(ConfigError::Stream { stream, why })
            }
            Some(unit) if unit.is_requester(stream) => {
                let why =
                    "is that of a PCI function before the same IOMMU; choose another, or another streams=";
                Err(ConfigError::Stream { stream, why })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// First registers of the units.
    pub fn bases(&self) -> impl Iterator<Item = u64> {
        self.bases.iter().copied()
    }

    /// The unit that a function is behind, if any: on bus 0, or on the bus behind a root port, which
    /// shares the port's.
    pub fn owner(&self, bus: Option<&str>, at: SlotAddress) -> Option<usize> {
        let at = bus.and_then(|bus| self.ports.get(bus)).copied().unwrap_or(at);
        self.named.get(&at).copied().or(self.rest)
    }

    /// The unit that a platform device is behind, if any.
    pub fn platform_owner(&self, platform: &PlatformSpec) -> Option<usize> {
        platform.iommu.or(self.rest)
    }

    /// The unit that takes what is behind no other, if there is one.
    pub const fn rest(&self) -> Option<usize> {
        self.rest
    }

    /// The unit that the I/O APIC is behind: the last, which is the one without `devices=` if there is
    /// one.
    pub fn ioapic(&self) -> Option<usize> {
        self.bases.len().checked_sub(1)
    }
}

/// The addresses asked for, and for the others those that are customary, by the units' numbers.
fn bases(iommus: &[IommuSpec]) -> Result<Vec<u64>, ConfigError> {
    let mut taken = BTreeSet::new();
    let base = |(index, iommu): (u64, &IommuSpec)| match &iommu.unit {
        UnitSpec::Vtd(unit) => unit.base.unwrap_or(layout::q35::VTD_BASE + 0x1000 * index),
        UnitSpec::Smmuv3(_) => layout::virt::smmu_base(index),
    };
    let bases = (0..).zip(iommus).map(base);
    bases.map(|base| if taken.insert(base) { Ok(base) } else { Err(ConfigError::SameBase(base)) }).collect()
}

/// Checks that reserved memory is none of what is no memory although DMA could be addressed to it: an
/// operating system would map it one to one for the device.
fn check_memory(reserved: &Reserved, bases: &[u64]) -> Result<(), ConfigError> {
    let Reserved { first, last, devices: _ } = *reserved;
    let over = |from, to| first <= to && from <= last;
    let refused = |what| Err(ConfigError::NoMemory { first, last, what });
    if over(MESSAGE_FIRST, MESSAGE_LAST) {
        return refused(format!("interrupt messages, {MESSAGE_FIRST:#x} to {MESSAGE_LAST:#x}"));
    }
    let unit = bases.iter().position(|base| over(*base, base + (REGISTERS_SIZE - 1)));
    unit.map_or(Ok(()), |unit| refused(format!("the registers of IOMMU {unit}, at {:#x}", bases[unit])))
}

fn ports(placed: &[Placed<'_>]) -> BTreeMap<String, SlotAddress> {
    let port = |placed: &Placed<'_>| match &placed.spec.kind {
        DeviceKind::RootPort { id } => Some((id.clone(), placed.address)),
        _ => None,
    };
    placed.iter().filter_map(port).collect()
}

/// All functions of bus 0.
fn functions(placed: &[Placed<'_>]) -> BTreeSet<SlotAddress> {
    let host = SlotAddress { device: 0, function: 0 };
    let on_root = placed.iter().filter(|placed| placed.spec.bus.is_none());
    let functions = on_root.flat_map(|placed| {
        let SlotAddress { device, function: first } = placed.address;
        (first..first + placed.spec.kind.functions()).map(move |function| SlotAddress { device, function })
    });
    functions.chain([host]).collect()
}

fn check_present(
    key: &'static str,
    at: SlotAddress,
    present: &BTreeSet<SlotAddress>,
) -> Result<(), ConfigError> {
    if present.contains(&at) {
        return Ok(());
    }
    let known: Vec<_> = present.iter().map(|at| format!("00:{at}")).collect();
    Err(ConfigError::NoFunction { key, at, known: known.join(", ") })
}
