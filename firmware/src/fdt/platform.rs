//! Devices that are no PCI functions.

use vm_fdt::FdtWriter;

use super::phandle::Phandles;
use super::{Written, cells, memory, node, smmu, strings};
use crate::arm::{Description, Master, PlatformDevice};

pub(super) fn write(
    fdt: &mut FdtWriter,
    machine: &Description,
    index: usize,
    device: &PlatformDevice,
    phandles: &Phandles,
) -> Written {
    node(fdt, &format!("{}@{:x}", device.name, device.registers.start()), |fdt| {
        strings(fdt, "compatible", device.compatible.iter().map(String::as_str))?;
        fdt.property_array_u32("reg", &cells::range(&device.registers))?;
        if !device.interrupts.is_empty() {
            let lines: Vec<_> = device.interrupts.iter().flat_map(|&line| cells::spi(line)).collect();
            fdt.property_array_u32("interrupts", &lines)?;
        }
        if device.coherent {
            fdt.property_null("dma-coherent")?;
        }
        if let Some(master) = &device.master {
            let unit = phandles.smmu(master.smmu);
            let iommus: Vec<_> = master.streams.iter().flat_map(|&stream| [unit, stream]).collect();
            fdt.property_array_u32("iommus", &iommus)?;
            if master.substream_bits != 0 {
                fdt.property_u32("pasid-num-bits", master.substream_bits.into())?;
            }
            if master.can_stall {
                fdt.property_null("dma-can-stall")?;
            }
        }
        smmu::msi_parent(fdt, device.msi_device, phandles)?;
        memory::regions(fdt, machine, Master::Platform(index), phandles)?;
        fdt.property_phandle(phandles.master(Master::Platform(index)))
    })
}
