//! SPCR: the console [Microsoft, Serial Port Console Redirection Table].

use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

use super::header::{bytes, table};
use crate::arm::{Peripheral, SPI_BASE};

const REVISION: u8 = 2;
/// Interface type.
const PL011: u8 = 3;
/// Interrupt type: a GIC's.
const GIC: u8 = 1 << 3;
/// Baud rate: as the port has it.
const AS_IT_IS: u8 = 0;
const STOP_BITS: u8 = 1;
/// Terminal type.
const ANSI: u8 = 3;
const NO_PCI_ID: u16 = 0xffff;

pub(super) fn build(uart: Peripheral) -> Vec<u8> {
    let registers = GAS::new(AddressSpace::SystemMemory, 32, 0, AccessSize::DwordAccess, uart.base);
    let (isa_line, parity, flow_control, language) = (0, 0, 0, 0);
    let mut body = vec![PL011, 0, 0, 0];
    body.extend(bytes(&registers));
    body.extend([GIC, isa_line]);
    body.extend((SPI_BASE + uart.spi).to_le_bytes());
    body.extend([AS_IT_IS, parity, STOP_BITS, flow_control, ANSI, language]);
    body.extend([NO_PCI_ID, NO_PCI_ID].into_iter().flat_map(u16::to_le_bytes));
    // PCI bus, device, function, flags and segment; a reserved word.
    body.extend([0; 12]);
    table(*b"SPCR", REVISION, &body)
}
