//! Which remapping unit serves whom.

use std::collections::{BTreeMap, BTreeSet};

use devices::fabric::{MESSAGE_FIRST, MESSAGE_LAST};
use devices::vtd::{REGISTERS_SIZE, UNITS_MAX};

use super::{ConfigError, DeviceKind, IommuSpec, Placed, Reserved, SlotAddress};
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
    /// The layout of units among devices in their places.
    ///
    /// # Errors
    /// Units too many or at one address; functions that are not there, or behind two units; reserved
    /// memory where there can be none.
    pub fn new(iommus: &[IommuSpec], placed: &[Placed<'_>]) -> Result<Self, ConfigError> {
        if iommus.len() > UNITS_MAX {
            return Err(ConfigError::Units { count: iommus.len(), max: UNITS_MAX });
        }
        let present = functions(placed);
        let mut layout = Self { bases: bases(iommus)?, ports: ports(placed), ..Self::default() };
        for (index, iommu) in iommus.iter().enumerate() {
            if let Some(reserved) = &iommu.reserved {
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
        Ok(layout)
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

    /// The unit that the I/O APIC is behind: the last, which is the one without `devices=` if there is
    /// one.
    pub fn ioapic(&self) -> Option<usize> {
        self.bases.len().checked_sub(1)
    }
}

/// The addresses asked for, and for the others those that follow each other from the customary one
/// on, by the units' numbers.
fn bases(iommus: &[IommuSpec]) -> Result<Vec<u64>, ConfigError> {
    let mut taken = BTreeSet::new();
    let customary = (layout::VTD_BASE..).step_by(0x1000);
    let bases = customary.zip(iommus).map(|(customary, iommu)| iommu.base.unwrap_or(customary));
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
