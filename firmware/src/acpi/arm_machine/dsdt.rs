//! DSDT: CPUs, the PCI host bridge, the UARTs and platform devices
//! [ACPI 6.1, 6.2.11, 6.2.17, 6.4.3; PCI Firmware 4.5].

use std::ops::RangeInclusive;

use acpi_tables::Aml;
use acpi_tables::aml::{
    And, Arg, CreateDWordField, Device, Else, Equal, If, Interrupt, Local, Memory32Fixed, Method, Name,
    NotEqual, Or, Package, PackageBuilder, Path, ResourceTemplate, Return, Scope, Store, Uuid,
};

use super::super::header::{Encoded, bytes, table};
use super::super::{AcpiError, IntxRoute, pci};
use super::device_name;
use super::wide_range::WideRange;
use crate::arm::{Description, PERIPHERAL_SIZE, PciHost, Peripheral, PlatformDevice, SPI_BASE, Spi, Trigger};

/// _OSC of a PCI host bridge, and what it grants: there is no firmware that would keep native hot-plug
/// (bit 0), PME (2), AER (3) or the PCI Express capability (4) to itself.
const OSC_PCI: &str = "33DB4D5B-1FF7-401C-9657-7441C03DD766";
const OSC_GRANTED: u8 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4;
/// Bits of the first double word that _OSC returns.
const OSC_UNKNOWN_UUID: u8 = 1 << 2;
const OSC_UNKNOWN_REVISION: u8 = 1 << 3;
const OSC_MASKED: u8 = 1 << 4;
/// Device properties.
const DSD_PROPERTIES: &str = "daffd814-6eba-4d8c-8a91-bc9bbf4aa301";

pub(super) fn build(machine: &Description) -> Result<Vec<u8>, AcpiError> {
    let mut objects: Vec<_> = (0..machine.cpus.len()).map(processor).collect();
    objects.push(pci::motherboard(machine.pci.ecam, machine.pci.last_bus)?);
    objects.push(host_bridge(&machine.pci)?);
    objects.extend(machine.uarts().enumerate().map(|(index, line)| uart(index, *line)));
    objects.extend(machine.devices.iter().enumerate().map(|(index, device)| platform(index, device)));
    let scope = Scope::new(Path::new("_SB_"), objects.iter().map(|object| object as &dyn Aml).collect());
    Ok(table(*b"DSDT", pci::DSDT_REVISION, &bytes(&scope)))
}

fn device(name: &str, names: &[Name]) -> Encoded {
    Encoded::new(&Device::new(Path::new(name), names.iter().map(|name| name as &dyn Aml).collect()))
}

fn name(path: &str, value: &dyn Aml) -> Name {
    Name::new(Path::new(path), value)
}

/// A processor device, which the UID ties to its GICC structure.
fn processor(index: usize) -> Encoded {
    device(&format!("C{index:03X}"), &[name("_HID", &"ACPI0007"), name("_UID", &index)])
}

fn host_bridge(host: &PciHost) -> Result<Encoded, AcpiError> {
    let io = host.io.as_ref().map(WideRange::ports);
    let ports = io.iter().map(|window| window as &dyn Aml).collect();
    let resources = pci::resources(host.last_bus, ports, &host.memory)?;
    let names = pci::host_bridge(resources, Some(pci::routing(&routes(host.intx))?));
    let coherent = name("_CCA", &u8::from(host.coherent));
    let osc = osc();
    let mut children: Vec<_> = names.iter().map(|name| name as &dyn Aml).collect();
    children.extend([&coherent as &dyn Aml, &osc]);
    Ok(Encoded::new(&Device::new(Path::new("PCI0"), children)))
}

fn routes(intx: [u32; 4]) -> Vec<IntxRoute> {
    let pins = (0..32).flat_map(|device| (0..4).map(move |pin| (device, pin)));
    let route = |(device, pin): (u8, u8)| IntxRoute {
        device,
        pin,
        gsi: SPI_BASE + intx[usize::from((device + pin) % 4)],
    };
    pins.map(route).collect()
}

/// Grants what is asked for and in [`OSC_GRANTED`], and tells what was not understood. Arguments: UUID,
/// revision, count, and a buffer of status, support and control, which comes back.
fn osc() -> Encoded {
    let (uuid, revision, capabilities) = (Arg(0), Arg(1), Arg(3));
    let (status, control, granted) = (Path::new("CDW1"), Path::new("CDW3"), Local(0));
    let status_field = CreateDWordField::new(&status, &capabilities, &0_u8);
    let control_field = CreateDWordField::new(&control, &capabilities, &8_u8);
    let grant = And::new(&granted, &control, &OSC_GRANTED);

    let other_revision = NotEqual::new(&revision, &1_u8);
    let tell_revision = Or::new(&status, &status, &OSC_UNKNOWN_REVISION);
    let tell_revision = If::new(&other_revision, vec![&tell_revision]);
    let not_all = NotEqual::new(&granted, &control);
    let tell_masked = Or::new(&status, &status, &OSC_MASKED);
    let tell_masked = If::new(&not_all, vec![&tell_masked]);
    let answer = Store::new(&control, &granted);

    let pci = Uuid::new(OSC_PCI);
    let is_pci = Equal::new(&uuid, &pci);
    let is_pci = If::new(&is_pci, vec![&control_field, &grant, &tell_revision, &tell_masked, &answer]);
    let tell_uuid = Or::new(&status, &status, &OSC_UNKNOWN_UUID);
    let is_not = Else::new(vec![&tell_uuid]);
    let result = Return::new(&capabilities);
    // It creates objects, so that it must not run twice at a time.
    let serialized = true;
    let body: Vec<&dyn Aml> = vec![&status_field, &is_pci, &is_not, &result];
    Encoded::new(&Method::new(Path::new("_OSC"), 4, serialized, body))
}

/// A PL011 whose speed and pins firmware has set up: the Arm Base System Architecture's generic UART is
/// compatible with it. There are fewer than SPIs, so that three digits number them.
fn uart(index: usize, uart: Peripheral) -> Encoded {
    let range = uart.base..=uart.base + (PERIPHERAL_SIZE - 1);
    let resources = device_resources(&range, &[Spi { number: uart.spi, trigger: Trigger::Level }]);
    device(
        &format!("U{index:03X}"),
        &[name("_HID", &"ARMH0011"), name("_UID", &index), name("_CRS", &resources)],
    )
}

/// A device that its driver knows by the programming models of its device tree node.
fn platform(index: usize, described: &PlatformDevice) -> Encoded {
    let mut models = PackageBuilder::new();
    described.compatible.iter().for_each(|model| models.add_element(model));
    let property = Package::new(vec![&"compatible", &models]);
    let properties = Package::new(vec![&property]);
    let uuid = Uuid::new(DSD_PROPERTIES);
    device(
        &device_name(index),
        &[
            name("_HID", &"PRP0001"),
            name("_UID", &index),
            name("_CCA", &u8::from(described.coherent)),
            name("_CRS", &device_resources(&described.registers, &described.interrupts)),
            name("_DSD", &Package::new(vec![&uuid, &properties])),
        ],
    )
}

/// _CRS of a device: registers, then interrupts in their order.
fn device_resources(registers: &RangeInclusive<u64>, interrupts: &[Spi]) -> Encoded {
    let (first, last) = (*registers.start(), *registers.end());
    // A size of 4 GiB, of which 32 bits would lose the top bit, begins at 0 and has no room for RAM.
    let registers = match (u32::try_from(first), u32::try_from(last)) {
        (Ok(first), Ok(last)) => Encoded::new(&Memory32Fixed::new(true, first, last - first + 1)),
        _ => Encoded::new(&WideRange::registers(registers)),
    };
    let interrupt = |line: &Spi| {
        let edge = line.trigger == Trigger::Edge;
        let (consumer, active_low, shared) = (true, false, false);
        Interrupt::new(consumer, edge, active_low, shared, SPI_BASE + line.number)
    };
    let interrupts: Vec<_> = interrupts.iter().map(interrupt).collect();
    let mut resources: Vec<&dyn Aml> = vec![&registers];
    resources.extend(interrupts.iter().map(|interrupt| interrupt as &dyn Aml));
    Encoded::new(&ResourceTemplate::new(resources))
}
