//! CPUs, how they are started, their timers and performance monitors.

use vm_fdt::FdtWriter;

use super::{Written, cells, node, strings};
use crate::arm::{Description, PERFORMANCE_MONITORS, TimerInterrupts};

pub(super) fn write(fdt: &mut FdtWriter, machine: &Description) -> Written {
    cpus(fdt, &machine.cpus)?;
    node(fdt, "psci", |fdt| {
        strings(fdt, "compatible", ["arm,psci-1.0", "arm,psci-0.2"])?;
        fdt.property_string("method", "hvc")
    })?;
    node(fdt, "timer", |fdt| {
        fdt.property_string("compatible", "arm,armv8-timer")?;
        let timers = [
            TimerInterrupts::SECURE,
            TimerInterrupts::NON_SECURE,
            TimerInterrupts::VIRTUAL,
            TimerInterrupts::HYPERVISOR,
        ];
        fdt.property_array_u32("interrupts", timers.map(cells::ppi).as_flattened())?;
        fdt.property_null("always-on")
    })?;
    node(fdt, "pmu", |fdt| {
        fdt.property_string("compatible", "arm,armv8-pmuv3")?;
        fdt.property_array_u32("interrupts", &cells::ppi(PERFORMANCE_MONITORS))
    })
}

fn cpus(fdt: &mut FdtWriter, cpus: &[u64]) -> Written {
    // Aff3 takes a second cell, which all then have.
    let wide = cpus.iter().any(|&cpu| u32::try_from(cpu).is_err());
    node(fdt, "cpus", |fdt| {
        fdt.property_u32("#address-cells", if wide { 2 } else { 1 })?;
        fdt.property_u32("#size-cells", 0)?;
        for &affinity in cpus {
            node(fdt, &format!("cpu@{affinity:x}"), |fdt| {
                fdt.property_string("device_type", "cpu")?;
                fdt.property_string("compatible", "arm,armv8")?;
                let reg = cells::wide(affinity);
                fdt.property_array_u32("reg", if wide { &reg } else { &reg[1..] })?;
                fdt.property_string("enable-method", "psci")
            })?;
        }
        Ok(())
    })
}
