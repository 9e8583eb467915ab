//! The PrimeCells and their clock.

use vm_fdt::FdtWriter;

use super::phandle::Phandles;
use super::{Written, cells, node, strings};
use crate::arm::{Description, PERIPHERAL_SIZE, Peripheral};

pub(super) fn write(fdt: &mut FdtWriter, machine: &Description, phandles: &Phandles) -> Written {
    let clock = phandles.clock();
    node(fdt, "apb-pclk", |fdt| {
        fdt.property_string("compatible", "fixed-clock")?;
        fdt.property_u32("#clock-cells", 0)?;
        fdt.property_u32("clock-frequency", machine.apb_clock)?;
        fdt.property_phandle(clock)
    })?;
    for uart in machine.uarts() {
        node(fdt, &uart_name(*uart), |fdt| {
            prime_cell(fdt, "arm,pl011", *uart)?;
            fdt.property_array_u32("clocks", &[clock, clock])?;
            strings(fdt, "clock-names", ["uartclk", "apb_pclk"])
        })?;
    }
    let Some(rtc) = machine.rtc else { return Ok(()) };
    node(fdt, &format!("rtc@{:x}", rtc.base), |fdt| {
        prime_cell(fdt, "arm,pl031", rtc)?;
        fdt.property_u32("clocks", clock)?;
        fdt.property_string("clock-names", "apb_pclk")
    })
}

/// The UARTs' numbers, which do not depend on the order of their nodes.
pub(super) fn aliases(fdt: &mut FdtWriter, machine: &Description) -> Written {
    node(fdt, "aliases", |fdt| {
        for (number, uart) in machine.uarts().enumerate() {
            fdt.property_string(&format!("serial{number}"), &format!("/{}", uart_name(*uart)))?;
        }
        Ok(())
    })
}

/// Name of a UART's node, below the root.
pub(super) fn uart_name(uart: Peripheral) -> String {
    format!("serial@{:x}", uart.base)
}

fn prime_cell(fdt: &mut FdtWriter, compatible: &str, peripheral: Peripheral) -> Written {
    strings(fdt, "compatible", [compatible, "arm,primecell"])?;
    cells::registers(fdt, peripheral.base, PERIPHERAL_SIZE)?;
    fdt.property_array_u32("interrupts", &cells::level(peripheral.spi))
}
