//! A 16550A UART: rust-vmm's register model with its interrupt made a line.

use std::convert::Infallible;
use std::io;

use devices::fabric::{Effect, Effects};
use serde::{Deserialize, Serialize};
use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, SerialState};

/// A serial port.
///
/// What the guest sends is kept until [`take_output`](Self::take_output), at most
/// [`OUTPUT_MAX`](Self::OUTPUT_MAX) bytes: what comes after is lost, as on a line where nobody
/// listens. What it receives waits in a FIFO of 64 bytes.
///
/// DEVIATION: reading IIR withdraws a receive interrupt too, where a 16550 holds it until the data
/// is read. Drivers serve everything LSR shows before they leave their handler.
pub struct Serial {
    uart: Uart,
    line: u32,
    asserted: bool,
}

type Uart = vm_superio::Serial<Unheard, NoEvents, Output>;

/// A saved [`Serial`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// DLL, DLM, IER, IIR, LCR, LSR, MCR, MSR, SCR.
    registers: [u8; 9],
    received: Vec<u8>,
    output: Vec<u8>,
    line: u32,
    asserted: bool,
}

/// The line's level is read from IIR after each access, so the model's own edge goes unheard.
struct Unheard;

impl Trigger for Unheard {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[derive(Default)]
struct Output(Vec<u8>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = Serial::OUTPUT_MAX.saturating_sub(self.0.len());
        let taken = &bytes[..bytes.len().min(room)];
        self.0.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Serial {
    /// Where the first serial port of a PC is found.
    pub const PORT: u16 = 0x3f8;
    /// Ports it occupies.
    pub const PORTS: u16 = 8;
    /// The interrupt line of the first serial port of a PC.
    pub const LINE: u32 = 4;
    /// Bytes sent that wait for [`take_output`](Self::take_output).
    pub const OUTPUT_MAX: usize = 1 << 20;

    /// A port that interrupts on `line`.
    pub fn new(line: u32) -> Self {
        Self { uart: Uart::new(Unheard, Output::default()), line, asserted: false }
    }

    /// Reads `data.len()` ports from `offset`.
    pub fn read(&mut self, offset: u16, data: &mut [u8], fx: &mut Effects) {
        for (port, byte) in (usize::from(offset)..).zip(data) {
            *byte = register(port).map_or(0xff, |register| self.uart.read(register));
        }
        self.update_line(fx);
    }

    /// Writes `data.len()` ports from `offset`.
    pub fn write(&mut self, offset: u16, data: &[u8], fx: &mut Effects) {
        for (port, byte) in (usize::from(offset)..).zip(data) {
            if let Some(register) = register(port) {
                // The only error is a full output buffer: that byte is lost.
                let _ = self.uart.write(register, *byte);
            }
        }
        self.update_line(fx);
    }

    /// Bytes come in from the line; returns how many fit the FIFO (none in loop-back mode).
    pub fn push_input(&mut self, bytes: &[u8], fx: &mut Effects) -> usize {
        // The only error is a full FIFO.
        let taken = self.uart.enqueue_raw_bytes(bytes).unwrap_or(0);
        self.update_line(fx);
        taken
    }

    /// Whether the guest waits for input by interrupt.
    pub fn is_listening(&self) -> bool {
        self.uart.state().interrupt_enable & IER_RECEIVED != 0
    }

    /// Removes and returns what the guest has sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.uart.writer_mut().0)
    }

    /// The port as data.
    pub fn save(&self) -> State {
        let Self { uart, line, asserted } = self;
        let SerialState {
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
            in_buffer,
        } = uart.state();
        State {
            registers: [
                baud_divisor_low,
                baud_divisor_high,
                interrupt_enable,
                interrupt_identification,
                line_control,
                line_status,
                modem_control,
                modem_status,
                scratch,
            ],
            received: in_buffer,
            output: uart.writer().0.clone(),
            line: *line,
            asserted: *asserted,
        }
    }

    /// Replaces the port by what was saved.
    pub fn restore(&mut self, state: State) {
        let State { registers, mut received, output, line, asserted } = state;
        let [
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
        ] = registers;
        // More than the FIFO holds can only come from a damaged snapshot.
        received.truncate(FIFO);
        let state = SerialState {
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
            in_buffer: received,
        };
        let mut output = Output(output);
        output.0.truncate(Self::OUTPUT_MAX);
        // The only error is a FIFO too full, which was cut above.
        if let Ok(uart) = Uart::from_state(&state, Unheard, NoEvents, output) {
            *self = Self { uart, line, asserted };
        }
    }

    fn update_line(&mut self, fx: &mut Effects) {
        let asserted = self.uart.state().interrupt_identification & IIR_NONE == 0;
        if asserted != self.asserted {
            self.asserted = asserted;
            fx.push(Effect::Line { line: self.line, asserted });
        }
    }
}

/// Bytes in the receive FIFO.
const FIFO: usize = 64;
/// IER bit 0: an interrupt for received data.
const IER_RECEIVED: u8 = 1;
/// IIR bit 0: no interrupt is pending.
const IIR_NONE: u8 = 1;

fn register(port: usize) -> Option<u8> {
    u8::try_from(port).ok().filter(|&register| u16::from(register) < Serial::PORTS)
}

#[cfg(test)]
mod tests {
    use devices::events::Time;

    use super::*;

    fn fx() -> Effects {
        Effects::new(Time(0), false)
    }

    fn in8(serial: &mut Serial, offset: u16) -> u8 {
        let mut data = [0];
        serial.read(offset, &mut data, &mut fx());
        data[0]
    }

    #[test]
    fn what_is_sent_can_be_taken_once_and_is_bounded() {
        let mut serial = Serial::new(4);
        for byte in b"ok\n" {
            assert_eq!(in8(&mut serial, 5) & 0x20, 0x20, "LSR.THRE");
            serial.write(0, &[*byte], &mut fx());
        }
        assert_eq!(serial.take_output(), b"ok\n");
        assert_eq!(serial.take_output(), b"");
        for _ in 0..(1 << 20) + 5 {
            serial.write(0, b"x", &mut fx());
        }
        assert_eq!(serial.take_output().len(), 1 << 20);
    }

    #[test]
    fn received_bytes_assert_line_4_until_they_are_read() {
        let mut serial = Serial::new(4);
        let mut fx = fx();
        serial.write(1, &[1], &mut fx);
        assert_eq!(fx.take(), []);
        assert_eq!(serial.push_input(&[7; 70], &mut fx), 64);
        assert_eq!(serial.push_input(&[7], &mut fx), 0);
        assert_eq!(fx.take(), [Effect::Line { line: 4, asserted: true }]);
        let mut data = [0];
        serial.read(0, &mut data, &mut fx);
        assert_eq!((data, fx.take()), ([7], vec![Effect::Line { line: 4, asserted: false }]));
    }

    #[test]
    fn it_listens_while_an_interrupt_for_input_is_enabled() {
        let mut serial = Serial::new(4);
        for (enabled, listens) in [(0, false), (1, true), (0xe, false), (0xf, true)] {
            serial.write(1, &[enabled], &mut fx());
            assert_eq!(serial.is_listening(), listens, "{enabled:#x}");
        }
    }

    #[test]
    fn every_size_at_every_offset_is_bytes_at_successive_ports() {
        let mut serial = Serial::new(4);
        for offset in [0, 3, 7, 8, 0xffff] {
            for len in 0..=8 {
                let mut data = [0; 8];
                serial.write(offset, &data[..len], &mut fx());
                serial.read(offset, &mut data[..len], &mut fx());
            }
        }
        serial.write(6, &[0xff, 0x5a, 0x77], &mut fx());
        let mut data = [0; 2];
        serial.read(7, &mut data, &mut fx());
        assert_eq!(data, [0x5a, 0xff], "scratch, then a port that is not ours");
    }

    #[test]
    fn a_saved_port_goes_on_where_it_was() {
        let mut serial = Serial::new(3);
        let mut out = fx();
        serial.write(3, &[0x80], &mut out);
        serial.write(0, &[0x0c, 0x00], &mut out);
        serial.write(3, &[0x03], &mut out);
        serial.write(1, &[0x05], &mut out);
        serial.push_input(b"ab", &mut out);
        serial.write(0, b"z", &mut out);
        let saved = serial.save();
        let text = serde_json::to_string(&saved).unwrap();
        let mut restored = Serial::new(9);
        restored.restore(serde_json::from_str(&text).unwrap());
        assert_eq!(restored.save(), saved);
        assert_eq!(restored.take_output(), b"z");
        assert_eq!([in8(&mut restored, 0), in8(&mut restored, 0)], *b"ab");
        assert_eq!(in8(&mut restored, 3), 3);
        let mut out = fx();
        restored.push_input(b"c", &mut out);
        assert_eq!(out.take(), [Effect::Line { line: 3, asserted: true }]);
    }
}
