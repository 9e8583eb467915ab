//! PL011 UART [DDI 0183], revision 1: FIFOs of 16 bytes.
//!
//! The line is as fast as its users: what is sent has left at once, so the transmit FIFO is always
//! empty, and a terminal is connected, so CTS, DSR and DCD are asserted. What comes in is followed by
//! silence, so the receive timeout interrupt is there as soon as the FIFO holds anything. The line
//! makes no errors; only loop-back can overrun the receive FIFO.
//!
//! DEVIATION: UARTEN, TXE and RXE do not stop data. Programs exist that never set them, because the
//! machines that they were written on do not look either.
//!
//! What is absent: DMA, IrDA, breaks, and the timing of baud rates. Their registers keep what is
//! written.

mod regs;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::id;
use crate::fabric::{Effect, Effects};
use crate::register::block::{self, DwordSpace, Rules};
use regs::{Control, FifoLevels, Flags, Interrupts, LineControl};

/// UARTPeriphID0 to 3: part 011h, designer 41h, revision 1 [DDI 0183 3.3.16].
const PERIPHERAL: [u8; 4] = [0x11, 0x10, 0x14, 0x00];
/// Bytes of the receive FIFO, while it is one.
const FIFO: usize = 16;
/// Overrun error, in UARTDR.
const DATA_OVERRUN: u32 = 1 << 11;
/// Overrun error, in UARTRSR.
const STATUS_OVERRUN: u32 = 1 << 3;

/// The UART.
///
/// What software sends is kept until [`take_output`](Self::take_output), at most
/// [`OUTPUT_MAX`](Self::OUTPUT_MAX) bytes: what comes after is lost, as on a line where nobody
/// listens.
#[derive(Clone, Debug)]
pub struct Pl011 {
    line: u32,
    asserted: bool,
    registers: Registers,
    received: VecDeque<u8>,
    output: Vec<u8>,
}

/// A saved [`Pl011`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    asserted: bool,
    registers: Registers,
    received: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Registers {
    /// UARTRSR: overrun.
    overrun: bool,
    /// UARTILPR, 8 bits.
    low_power: u32,
    /// UARTIBRD, 16 bits.
    integer_divisor: u32,
    /// UARTFBRD, 6 bits.
    fractional_divisor: u32,
    line_control: LineControl,
    control: Control,
    levels: FifoLevels,
    mask: Interrupts,
    raw: Interrupts,
    /// UARTDMACR, 3 bits.
    dma: u32,
}

impl Registers {
    const RESET: Self = Self {
        overrun: false,
        low_power: 0,
        integer_divisor: 0,
        fractional_divisor: 0,
        line_control: LineControl::ZERO,
        control: Control::ZERO.with_rxe(true).with_txe(true),
        levels: FifoLevels::ZERO.with_rxiflsel(0b010).with_txiflsel(0b010),
        mask: Interrupts::ZERO,
        raw: Interrupts::ZERO,
        dma: 0,
    };
}

impl Pl011 {
    /// Bytes sent that wait for [`take_output`](Self::take_output).
    pub const OUTPUT_MAX: usize = 1 << 20;

    /// A UART that interrupts on `line`.
    pub fn new(line: u32) -> Self {
        let (received, output) = (VecDeque::new(), Vec::new());
        Self { line, asserted: false, registers: Registers::RESET, received, output }
    }

    /// Software reads `data.len()` bytes at `offset`.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        block::read(self, Rules::ByteLanes, offset, data);
        self.update_line(fx);
    }

    /// Software writes `data` at `offset`.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        block::write(self, Rules::ByteLanes, offset, data);
        self.update_line(fx);
    }

    /// Bytes come in from the line; returns how many fit the FIFO (none in loop-back mode).
    pub fn push_input(&mut self, bytes: &[u8], fx: &mut Effects) -> usize {
        if self.registers.control.lbe() {
            return 0;
        }
        let taken = bytes.len().min(self.depth().saturating_sub(self.received.len()));
        bytes.iter().take(taken).for_each(|byte| self.receive(*byte));
        self.update_line(fx);
        taken
    }

    /// Whether software waits for input by interrupt. A driver that does not yet may empty the FIFO
    /// unread when it begins.
    pub fn is_listening(&self) -> bool {
        self.registers.mask.rx() || self.registers.mask.rt()
    }

    /// Removes and returns what software has sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The UART as data.
    pub fn save(&self) -> State {
        let Self { line: _, asserted, registers, received, output } = self;
        State {
            asserted: *asserted,
            registers: registers.clone(),
            received: received.iter().copied().collect(),
            output: output.clone(),
        }
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        let State { asserted, registers, mut received, mut output } = state;
        // More can only come from a damaged snapshot.
        received.truncate(FIFO);
        output.truncate(Self::OUTPUT_MAX);
        *self = Self { line: self.line, asserted, registers, received: received.into(), output };
    }

    /// Bytes that the receive FIFO holds: without FEN it is a single holding register
    /// [DDI 0183 3.3.7].
    fn depth(&self) -> usize {
        if self.registers.line_control.fen() { FIFO } else { 1 }
    }

    /// Bytes at which the receive interrupt is raised.
    fn trigger(&self) -> usize {
        if !self.registers.line_control.fen() {
            return 1;
        }
        match self.registers.levels.rxiflsel() {
            0b000 => FIFO / 8,
            0b001 => FIFO / 4,
            0b010 => FIFO / 2,
            0b011 => FIFO / 4 * 3,
            // 101b and above are reserved.
            _ => FIFO / 8 * 7,
        }
    }

    fn receive(&mut self, byte: u8) {
        if self.received.len() < self.depth() {
            self.received.push_back(byte);
        } else {
            self.registers.overrun = true;
            self.registers.raw = self.registers.raw.with_oe(true);
        }
        let reached = self.received.len() >= self.trigger();
        let raw = self.registers.raw.with_rt(true);
        self.registers.raw = if reached { raw.with_rx(true) } else { raw };
    }

    fn data(&mut self) -> u32 {
        let overrun =
            if self.registers.overrun && self.received.len() >= self.depth() { DATA_OVERRUN } else { 0 };
        let byte = self.received.pop_front().unwrap_or(0);
        let mut raw = self.registers.raw;
        if self.received.len() < self.trigger() {
            raw = raw.with_rx(false);
        }
        if self.received.is_empty() {
            raw = raw.with_rt(false);
        }
        self.registers.raw = raw;
        u32::from(byte) | overrun
    }

    fn send(&mut self, byte: u8) {
        if self.registers.control.lbe() {
            self.receive(byte);
        } else if self.output.len() < Self::OUTPUT_MAX {
            self.output.push(byte);
        }
        // It has left, so the FIFO has passed its level downwards.
        self.registers.raw = self.registers.raw.with_tx(true);
    }

    /// RI, DCD, DSR, CTS: the terminal's, or in loop-back mode our own outputs [DDI 0183 2.4.4].
    fn modem(&self) -> [bool; 4] {
        let control = self.registers.control;
        if control.lbe() {
            [control.out2(), control.out1(), control.dtr(), control.rts()]
        } else {
            [false, true, true, true]
        }
    }

    fn flags(&self) -> Flags {
        let [ri, dcd, dsr, cts] = self.modem();
        Flags::ZERO
            .with_ri(ri)
            .with_dcd(dcd)
            .with_dsr(dsr)
            .with_cts(cts)
            .with_txfe(true)
            .with_rxfe(self.received.is_empty())
            .with_rxff(self.received.len() >= self.depth())
    }

    fn set_control(&mut self, value: u32) {
        let before = self.modem();
        self.registers.control = self.registers.control.written(value);
        let after = self.modem();
        let [ri, dcd, dsr, cts] = [0, 1, 2, 3].map(|input| before[input] != after[input]);
        let changed = Interrupts::ZERO.with_ri(ri).with_dcd(dcd).with_dsr(dsr).with_cts(cts);
        self.registers.raw = Interrupts::from_raw(self.registers.raw.raw() | changed.raw());
    }

    fn set_line_control(&mut self, value: u32) {
        let before = self.registers.line_control;
        self.registers.line_control = before.written(value);
        if before.fen() != self.registers.line_control.fen() {
            self.received.clear();
            self.registers.raw = self.registers.raw.with_rx(false).with_rt(false);
        }
    }

    fn update_line(&mut self, fx: &mut Effects) {
        let asserted = self.registers.raw.raw() & self.registers.mask.raw() != 0;
        if std::mem::replace(&mut self.asserted, asserted) != asserted {
            fx.push(Effect::Line { line: self.line, asserted });
        }
    }
}

impl DwordSpace for Pl011 {
    fn read_dword(&mut self, offset: u64) -> u32 {
        match offset {
            0x00 => self.data(),
            0x04 if self.registers.overrun => STATUS_OVERRUN,
            0x18 => self.flags().raw(),
            0x20 => self.registers.low_power,
            0x24 => self.registers.integer_divisor,
            0x28 => self.registers.fractional_divisor,
            0x2c => self.registers.line_control.raw(),
            0x30 => self.registers.control.raw(),
            0x34 => self.registers.levels.raw(),
            0x38 => self.registers.mask.raw(),
            0x3c => self.registers.raw.raw(),
            0x40 => self.registers.raw.raw() & self.registers.mask.raw(),
            0x48 => self.registers.dma,
            _ => id::read(PERIPHERAL, offset).unwrap_or(0),
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        let registers = &mut self.registers;
        let merged = |old: u32| old & !lanes | value;
        match offset {
            // The low byte.
            0x00 if lanes & 0xff != 0 => self.send(value as u8),
            // UARTECR: a write of anything clears the errors.
            0x04 => registers.overrun = false,
            0x20 => registers.low_power = merged(registers.low_power) & 0xff,
            0x24 => registers.integer_divisor = merged(registers.integer_divisor) & 0xffff,
            0x28 => registers.fractional_divisor = merged(registers.fractional_divisor) & 0x3f,
            0x2c => {
                let value = merged(registers.line_control.raw());
                self.set_line_control(value);
            }
            0x30 => {
                let value = merged(registers.control.raw());
                self.set_control(value);
            }
            0x34 => registers.levels = registers.levels.written(merged(registers.levels.raw())),
            0x38 => registers.mask = registers.mask.written(merged(registers.mask.raw())),
            0x44 => registers.raw = Interrupts::from_raw(registers.raw.raw() & !value),
            0x48 => registers.dma = merged(registers.dma) & 0b111,
            // UARTFR, UARTRIS, UARTMIS and the identification are read only.
            _ => {}
        }
    }
}
