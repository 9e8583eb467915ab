//! The PL011 serial port, polled [DDI 0183 3.3].

use core::fmt;

use super::cpu::{load32, store32};

const BASE: u64 = 0x0900_0000;
const UARTDR: u64 = BASE;
/// The flag register, with its bit "transmit FIFO full".
const UARTFR: u64 = BASE + 0x18;
const TXFF: u32 = 1 << 5;
const UARTLCR_H: u64 = BASE + 0x2c;
const UARTCR: u64 = BASE + 0x30;
const UARTIMSC: u64 = BASE + 0x38;
/// Looks at the flags before a byte is sent regardless: a machine without the port must not hang us.
const LOOKS: u32 = 10_000;

/// 8 data bits, no parity, one stop bit, no interrupts, FIFOs on; the rate stays.
pub fn init() {
    store32(UARTCR, 0);
    store32(UARTIMSC, 0);
    store32(UARTLCR_H, 0b11 << 5 | 1 << 4);
    // Receive, transmit, UART enable.
    store32(UARTCR, 1 << 9 | 1 << 8 | 1);
}

/// Sends bytes.
pub fn write(text: &[u8]) {
    for byte in text {
        let _ready = (0..LOOKS).any(|_| load32(UARTFR) & TXFF == 0);
        store32(UARTDR, u32::from(*byte));
    }
}

/// The port as a sink for formatted text.
pub struct Port;

impl fmt::Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}
