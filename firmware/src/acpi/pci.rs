//! MCFG and DSDT: the PCI Express hierarchy [PCI Firmware 4.1.2; ACPI 5.2.11.1, 6.2.13, 6.4.3.5].

use std::ops::RangeInclusive;

use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Name, PackageBuilder, Path, ResourceTemplate,
    Scope,
};
use acpi_tables::mcfg::MCFG;

use super::header::{Encoded, OEM_ID, OEM_REVISION, OEM_TABLE_ID, bytes, table};
use super::{AcpiError, IntxRoute, PciRoot};

/// Integers have 64 bits from this revision on.
pub(super) const DSDT_REVISION: u8 = 2;
const BUS_SIZE: u64 = 1 << 20;
const FOUR_GIB: u64 = 1 << 32;
/// CONFIG_ADDRESS and CONFIG_DATA: 8 ports [PCI 3.2.2.3.2].
const CONFIG_PORT: u16 = 0xcf8;

pub(super) fn mcfg(base: u64, last_bus: u8) -> Result<Vec<u8>, AcpiError> {
    let ecam = ecam(base, last_bus)?;
    let mut mcfg = MCFG::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    mcfg.add_ecam(*ecam.start(), 0, 0, last_bus);
    Ok(bytes(&mcfg))
}

/// The host bridge and the motherboard of a PC.
pub(super) fn dsdt(pci: &PciRoot) -> Result<Vec<u8>, AcpiError> {
    let config = IO::new(CONFIG_PORT, CONFIG_PORT, 1, 8);
    let io: Vec<_> = pci.io.iter().map(io_window).collect::<Result<_, _>>()?;
    let mut ports: Vec<&dyn Aml> = vec![&config];
    ports.extend(io.iter().map(|window| window as &dyn Aml));
    let resources = resources(pci.last_bus, ports, &pci.memory)?;
    let routing = if pci.intx.is_empty() { None } else { Some(routing(&pci.intx)?) };
    let names = host_bridge(resources, routing);
    let host_bridge = Device::new(Path::new("PCI0"), names.iter().map(|name| name as &dyn Aml).collect());
    let motherboard = motherboard(pci.ecam, pci.last_bus)?;
    let scope = Scope::new(Path::new("_SB_"), vec![&motherboard, &host_bridge]);
    Ok(table(*b"DSDT", DSDT_REVISION, &bytes(&scope)))
}

/// What every host bridge says of itself; `routing` is its _PRT.
pub(super) fn host_bridge(resources: Encoded, routing: Option<PackageBuilder>) -> Vec<Name> {
    let mut names = vec![
        Name::new(Path::new("_HID"), &EISAName::new("PNP0A08")),
        Name::new(Path::new("_CID"), &EISAName::new("PNP0A03")),
        Name::new(Path::new("_UID"), &0_u8),
        Name::new(Path::new("_SEG"), &0_u8),
        Name::new(Path::new("_BBN"), &0_u8),
        Name::new(Path::new("_CRS"), &resources),
    ];
    names.extend(routing.map(|routing| Name::new(Path::new("_PRT"), &routing)));
    names
}

/// _CRS of a host bridge: buses, ports, windows for memory.
pub(super) fn resources(
    last_bus: u8,
    ports: Vec<&dyn Aml>,
    memory: &[RangeInclusive<u64>],
) -> Result<Encoded, AcpiError> {
    let buses = AddressSpace::<u16>::new_bus_number(0, u16::from(last_bus));
    let memory: Vec<_> = memory.iter().map(memory_window).collect::<Result<_, _>>()?;
    let mut resources: Vec<&dyn Aml> = vec![&buses];
    resources.extend(ports);
    resources.extend(memory.iter().map(Box::as_ref));
    Ok(Encoded::new(&ResourceTemplate::new(resources)))
}

/// _PRT: where interrupt pins lead.
pub(super) fn routing(intx: &[IntxRoute]) -> Result<PackageBuilder, AcpiError> {
    let mut routing = PackageBuilder::new();
    for (index, route) in intx.iter().enumerate() {
        if intx[..index].iter().any(|before| (before.device, before.pin) == (route.device, route.pin)) {
            let id = u32::from(route.device) << 8 | u32::from(route.pin);
            return Err(AcpiError::Duplicate { what: "interrupt route", id });
        }
        routing.add_element(&interrupt_route(*route)?);
    }
    Ok(routing)
}

/// A motherboard device that claims the configuration space: an operating system trusts MCFG only where
/// something does.
pub(super) fn motherboard(base: u64, last_bus: u8) -> Result<Encoded, AcpiError> {
    let ecam = memory(&ecam(base, last_bus)?);
    let claimed = ResourceTemplate::new(vec![ecam.as_ref()]);
    let names = [
        Name::new(Path::new("_HID"), &EISAName::new("PNP0C02")),
        Name::new(Path::new("_UID"), &0_u8),
        Name::new(Path::new("_CRS"), &claimed),
    ];
    let names = names.iter().map(|name| name as &dyn Aml).collect();
    Ok(Encoded::new(&Device::new(Path::new("MBRD"), names)))
}

/// The configuration space.
fn ecam(first: u64, last_bus: u8) -> Result<RangeInclusive<u64>, AcpiError> {
    let size = (u64::from(last_bus) + 1) * BUS_SIZE;
    let last = first.saturating_add(size - 1);
    let fits =
        first.is_multiple_of(BUS_SIZE) && first.checked_add(size - 1).is_some() && addressable(first, last);
    if !fits {
        let remedy = "align it to 1 MiB, above 0, wholly below 4 GiB or wholly above";
        return Err(AcpiError::Range { what: "the PCI configuration space", first, last, remedy });
    }
    Ok(first..=last)
}

/// Whether one address space descriptor can say it.
fn addressable(first: u64, last: u64) -> bool {
    0 < first && first <= last && (last < FOUR_GIB || first >= FOUR_GIB)
}

fn memory_window(range: &RangeInclusive<u64>) -> Result<Box<dyn Aml>, AcpiError> {
    let (&first, &last) = (range.start(), range.end());
    if !addressable(first, last) {
        let remedy = "use a range above 0, wholly below 4 GiB or wholly above";
        return Err(AcpiError::Range { what: "a PCI memory window", first, last, remedy });
    }
    Ok(memory(range))
}

/// A descriptor for an addressable range: 32-bit where that is enough.
fn memory(range: &RangeInclusive<u64>) -> Box<dyn Aml> {
    let uncached = AddressSpaceCacheable::NotCacheable;
    match (u32::try_from(*range.start()), u32::try_from(*range.end())) {
        (Ok(first), Ok(last)) => Box::new(AddressSpace::new_memory(uncached, true, first, last, None)),
        _ => Box::new(AddressSpace::new_memory(uncached, true, *range.start(), *range.end(), None)),
    }
}

fn io_window(range: &RangeInclusive<u16>) -> Result<AddressSpace<u16>, AcpiError> {
    let (&first, &last) = (range.start(), range.end());
    if first > last || first < CONFIG_PORT + 8 && last >= CONFIG_PORT {
        let (first, last) = (first.into(), last.into());
        let remedy = "use ranges that leave out the bridge's own ports 0xcf8 to 0xcff";
        return Err(AcpiError::Range { what: "a PCI I/O window", first, last, remedy });
    }
    Ok(AddressSpace::new_io(first, last, None))
}

/// An element of _PRT: all functions of the device, the pin, no link device, the global interrupt.
fn interrupt_route(route: IntxRoute) -> Result<PackageBuilder, AcpiError> {
    let IntxRoute { device, pin, gsi } = route;
    for (what, value, max, remedy) in [
        ("an interrupt route's device", device, 31, "bus 0 has devices 0 to 31"),
        ("an interrupt route's pin", pin, 3, "pins are 0 (INTA) to 3 (INTD)"),
    ] {
        if value > max {
            return Err(AcpiError::Value { what, value: value.into(), remedy });
        }
    }
    let mut element = PackageBuilder::new();
    element.add_element(&(u32::from(device) << 16 | 0xffff));
    element.add_element(&pin);
    element.add_element(&0_u8);
    element.add_element(&gsi);
    Ok(element)
}
