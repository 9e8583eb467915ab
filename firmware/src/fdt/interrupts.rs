//! The GICv3 and its ITS.

use vm_fdt::FdtWriter;

use super::phandle::Phandles;
use super::{Written, cells, node};
use crate::arm::{Description, GIC_FRAME, ITS_SIZE};

pub(super) fn write(fdt: &mut FdtWriter, machine: &Description, phandles: &Phandles) -> Written {
    let gic = &machine.gic;
    node(fdt, &format!("interrupt-controller@{:x}", gic.distributor), |fdt| {
        fdt.property_string("compatible", "arm,gic-v3")?;
        fdt.property_u32("#interrupt-cells", 3)?;
        fdt.property_null("interrupt-controller")?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_null("ranges")?;
        fdt.property_u32("#redistributor-regions", 1)?;
        let redistributors = &gic.redistributors;
        fdt.property_array_u64(
            "reg",
            &[gic.distributor, GIC_FRAME, *redistributors.start(), cells::size(redistributors)],
        )?;
        fdt.property_phandle(phandles.gic())?;
        match gic.its.zip(phandles.its()) {
            Some((base, phandle)) => its(fdt, base, phandle),
            None => Ok(()),
        }
    })
}

fn its(fdt: &mut FdtWriter, base: u64, phandle: u32) -> Written {
    node(fdt, &format!("msi-controller@{base:x}"), |fdt| {
        fdt.property_string("compatible", "arm,gic-v3-its")?;
        fdt.property_null("msi-controller")?;
        fdt.property_u32("#msi-cells", 1)?;
        cells::registers(fdt, base, ITS_SIZE)?;
        fdt.property_phandle(phandle)
    })
}
