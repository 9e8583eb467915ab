//! The PCI Express host bridge [PCI Bus Binding to IEEE 1275, 2.2].

use std::ops::RangeInclusive;

use vm_fdt::FdtWriter;

use super::phandle::Phandles;
use super::{Written, cells, memory, node};
use crate::arm::{BUS_SIZE, Description, Master, PciHost};

/// `ss` of phys.hi: which address space, and that the address is not relocatable nor prefetchable.
const IO_SPACE: u32 = 0x0100_0000;
const MEMORY_32: u32 = 0x0200_0000;
const MEMORY_64: u32 = 0x0300_0000;
/// Device bits 1:0 of phys.hi and the pin decide where an interrupt leads.
const INTERRUPT_MASK: [u32; 4] = [0x1800, 0, 0, 7];

pub(super) fn write(fdt: &mut FdtWriter, machine: &Description, phandles: &Phandles) -> Written {
    let pci = &machine.pci;
    let buses = u32::from(pci.last_bus) + 1;
    node(fdt, &format!("pcie@{:x}", pci.ecam), |fdt| {
        fdt.property_string("compatible", "pci-host-ecam-generic")?;
        fdt.property_string("device_type", "pci")?;
        fdt.property_u32("#address-cells", 3)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_u32("#interrupt-cells", 1)?;
        fdt.property_u32("linux,pci-domain", 0)?;
        fdt.property_array_u32("bus-range", &[0, buses - 1])?;
        cells::registers(fdt, pci.ecam, u64::from(buses) * BUS_SIZE)?;
        fdt.property_array_u32("ranges", &ranges(pci))?;
        fdt.property_array_u32("interrupt-map-mask", &INTERRUPT_MASK)?;
        fdt.property_array_u32("interrupt-map", &interrupt_map(pci.intx, phandles.gic()))?;
        if let Some(its) = phandles.its() {
            fdt.property_array_u32("msi-map", &[0, its, 0, buses << 8])?;
        }
        let entries = pci.streams.iter().flat_map(|entry| {
            [(*entry.requesters.start()).into(), phandles.smmu(entry.smmu), entry.stream, entry.count()]
        });
        let entries: Vec<_> = entries.collect();
        if !entries.is_empty() {
            fdt.property_array_u32("iommu-map", &entries)?;
        }
        if pci.ats {
            fdt.property_null("ats-supported")?;
        }
        if pci.coherent {
            fdt.property_null("dma-coherent")?;
        }
        for &master in phandles.functions() {
            function(fdt, machine, master, phandles)?;
        }
        Ok(())
    })
}

/// Which space has a memory address.
pub(super) fn space(address: u64) -> u32 {
    if u32::try_from(address).is_ok() { MEMORY_32 } else { MEMORY_64 }
}

fn ranges(pci: &PciHost) -> Vec<u32> {
    let entry = |space, bus: u64, window: &RangeInclusive<u64>| {
        let [bus_high, bus_low] = cells::wide(bus);
        let [address_high, address_low, size_high, size_low] = cells::range(window);
        [space, bus_high, bus_low, address_high, address_low, size_high, size_low]
    };
    let io = pci.io.iter().map(|window| entry(IO_SPACE, 0, window));
    let memory = pci.memory.iter().map(|window| entry(space(*window.start()), *window.start(), window));
    io.chain(memory).flatten().collect()
}

/// All pins of four devices; the mask folds the others onto them.
fn interrupt_map(intx: [u32; 4], gic: u32) -> Vec<u32> {
    let pins = (0..4_u32).flat_map(|device| (0..4_u32).map(move |pin| (device, pin)));
    let entry = |(device, pin): (u32, u32)| {
        let [kind, number, trigger] = cells::level(intx[((device + pin) % 4) as usize]);
        // The GIC's address takes two cells, which mean nothing.
        [device << 11, 0, 0, pin + 1, gic, 0, 0, kind, number, trigger]
    };
    pins.flat_map(entry).collect()
}

/// A function on bus 0 that needs reserved memory.
fn function(fdt: &mut FdtWriter, machine: &Description, master: Master, phandles: &Phandles) -> Written {
    let Master::Pci { device, function } = master else { return Ok(()) };
    let unit_address = match function {
        0 => format!("{device:x}"),
        _ => format!("{device:x},{function:x}"),
    };
    node(fdt, &format!("function@{unit_address}"), |fdt| {
        fdt.property_array_u32("reg", &[u32::from(device) << 11 | u32::from(function) << 8, 0, 0, 0, 0])?;
        memory::regions(fdt, machine, master, phandles)?;
        fdt.property_phandle(phandles.master(master))
    })
}
