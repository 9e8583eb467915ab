//! The SMMUs.

use vm_fdt::FdtWriter;

use super::phandle::Phandles;
use super::{Written, cells, node, strings};
use crate::arm::{SMMU_SIZE, Smmu, Spi, Trigger};

pub(super) fn write(fdt: &mut FdtWriter, smmu: &Smmu, phandle: u32, phandles: &Phandles) -> Written {
    node(fdt, &format!("iommu@{:x}", smmu.base), |fdt| {
        fdt.property_string("compatible", "arm,smmu-v3")?;
        cells::registers(fdt, smmu.base, SMMU_SIZE)?;
        let lines = smmu.interrupts;
        let lines = [
            ("eventq", lines.event),
            ("priq", lines.pri),
            ("cmdq-sync", lines.sync),
            ("gerror", lines.gerror),
        ];
        let wired: Vec<_> = lines.iter().filter_map(|&(name, line)| Some((name, line?))).collect();
        if !wired.is_empty() {
            let edge = |&(_, number): &(&str, u32)| cells::spi(Spi { number, trigger: Trigger::Edge });
            let interrupts: Vec<_> = wired.iter().flat_map(edge).collect();
            fdt.property_array_u32("interrupts", &interrupts)?;
            strings(fdt, "interrupt-names", wired.iter().map(|&(name, _)| name))?;
        }
        if smmu.coherent {
            fdt.property_null("dma-coherent")?;
        }
        fdt.property_u32("#iommu-cells", 1)?;
        msi_parent(fdt, smmu.msi_device, phandles)?;
        fdt.property_phandle(phandle)
    })
}

/// `msi-parent` of what sends message interrupts with a DeviceID of its own.
pub(super) fn msi_parent(fdt: &mut FdtWriter, device: Option<u32>, phandles: &Phandles) -> Written {
    match phandles.its().zip(device) {
        Some((its, device)) => fdt.property_array_u32("msi-parent", &[its, device]),
        None => Ok(()),
    }
}
