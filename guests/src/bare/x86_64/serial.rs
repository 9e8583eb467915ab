//! COM1, polled.

use core::fmt;

use super::cpu::{in8, out8};

const COM1: u16 = 0x3f8;
/// Line Status Register, with its bit "transmitter holding register empty".
const LSR: u16 = COM1 + 5;
const THRE: u8 = 1 << 5;
/// Looks at LSR before a byte is sent regardless: a machine without a serial port must not hang us.
const LOOKS: u32 = 10_000;

/// 8 data bits, no parity, one stop bit, no interrupts, FIFO on; the rate stays.
pub fn init() {
    out8(COM1 + 1, 0x00);
    out8(COM1 + 3, 0x03);
    out8(COM1 + 2, 0x07);
}

/// Sends bytes.
pub fn write(text: &[u8]) {
    for byte in text {
        let _ready = (0..LOOKS).any(|_| in8(LSR) & THRE != 0);
        out8(COM1, *byte);
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
