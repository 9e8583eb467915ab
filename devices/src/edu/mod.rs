//! The educational device of virtual machines, PCI 1234:11e8: liveness, a factorial, and a DMA
//! engine with a buffer of its own. Conventional PCI, one MSI vector, INTA.
//!
//! | offset | bits | |
//! |---|---|---|
//! | 0x00 | 32 | RO, 0x010000ed |
//! | 0x04 | 32 | liveness: reads the complement of what was written |
//! | 0x08 | 32 | factorial: write n, read n! modulo 2^32 when it is computed |
//! | 0x20 | 32 | status: bit 0 computing, RO; bit 7 interrupt (0x001) when the factorial is done |
//! | 0x24 | 32 | RO, interrupt status |
//! | 0x60 | 32 | WO, raise: sets interrupt status bits |
//! | 0x64 | 32 | WO, acknowledge: clears them |
//! | 0x80 | 64 | DMA source |
//! | 0x88 | 64 | DMA destination |
//! | 0x90 | 64 | DMA byte count |
//! | 0x98 | 64 | DMA command: bit 0 run, bit 1 direction (0: memory to device), bit 2 interrupt (0x100) when done |
//!
//! Below 0x80 accesses have 4 bytes, from there on 4 or 8, and start at a register; 4 bytes written
//! to a 64-bit register set all of it. Any other read returns ones, any other write is dropped. The
//! DMA registers ignore writes while bit 0 of the command is set. The buffer is 4 KiB at device
//! address 0x40000; a transfer that leaves it moves nothing and completes all the same. The mask of
//! DMA addresses applies to the memory side. How a DMA ended is not reported.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::fabric::Request;
use crate::pci::{
    BarKind, BarSpec, Context, Description, Endpoint, EndpointState, Mastering, MsiSpec, Pin, StateError,
    Timer,
};
use crate::register;

/// What the device is to configuration software.
pub const DESCRIPTION: Description = Description {
    model: "edu",
    vendor: 0x1234,
    device: 0x11e8,
    revision: 0x10,
    class: 0x00_ff00,
    subsystem_vendor: 0x1af4,
    subsystem: 0x1100,
    bars: &[BarSpec::new(0, BarKind::Memory32, 1 << 20)],
    pin: Some(Pin::A),
    msi: Some(MsiSpec { vectors: 1, maskable: false }),
    msix: None,
    express: false,
    mastering: Mastering::Gated,
};

/// The mask of DMA addresses where no other is asked for: 28 bits.
pub const DEFAULT_DMA_MASK: u64 = (1 << 28) - 1;

const ID: u32 = 0x0100_00ed;
const FACTORIAL_DONE: u32 = 0x001;
const DMA_DONE: u32 = 0x100;
const BUFFER_FIRST: u64 = 0x4_0000;
const BUFFER_SIZE: usize = 4096;
/// From command to DMA, in nanoseconds of machine time.
const DMA_LATENCY: u64 = 100_000_000;
/// Time of a factorial beside its multiplications of a nanosecond each: one that is never ready at
/// once, so drivers have to look.
const FACTORIAL_LATENCY: u64 = 1000;
/// 34! is the first factorial that 2^32 divides.
const FACTORIAL_VANISHES: u32 = 34;

const DMA: Timer = Timer::Main;
const FACTORIAL: Timer = Timer::Second;

register! {
    /// Status, offset 0x20.
    struct Status: u32 {
        31:8 RsvdZ _r1,
        7:7  Rw    interrupt: bool,
        6:1  RsvdZ _r0,
        0:0  Ro    computing: bool,
    }
}

register! {
    /// DMA command, offset 0x98.
    struct Command: u64 {
        63:3 Rw _kept,
        2:2  Rw interrupt: bool,
        1:1  Rw to_memory: bool,
        0:0  Rw run: bool,
    }
}

/// The educational device.
pub struct Edu {
    dma_mask: u64,
    registers: Registers,
    buffer: Box<[u8; BUFFER_SIZE]>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Registers {
    liveness: u32,
    factorial: u32,
    status: Status,
    interrupts: u32,
    source: u64,
    destination: u64,
    count: u64,
    command: Command,
}

/// A saved [`Edu`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    registers: Registers,
    buffer: Vec<u8>,
}

impl Edu {
    /// A device that cuts memory addresses of its DMA to `dma_mask`.
    pub fn new(dma_mask: u64) -> Self {
        Self { dma_mask, registers: Registers::default(), buffer: Box::new([0; BUFFER_SIZE]) }
    }

    fn set_interrupts(&mut self, interrupts: u32, cx: &mut Context<'_>) {
        self.registers.interrupts = interrupts;
        cx.set_intx(interrupts != 0);
    }

    fn raise(&mut self, bits: u32, cx: &mut Context<'_>) {
        self.set_interrupts(self.registers.interrupts | bits, cx);
        if self.registers.interrupts != 0 {
            cx.interrupt(0);
        }
    }

    fn run_dma(&mut self, cx: &mut Context<'_>) {
        let Registers { source, destination, count, command, .. } = self.registers;
        let (device, memory) =
            if command.to_memory() { (source, destination) } else { (destination, source) };
        // A transfer of no bytes does not reach the bus, where it would be a zero-length read.
        if let Some(range) = buffer_range(device, count).filter(|range| !range.is_empty()) {
            let request = Request::at(memory & self.dma_mask);
            // The device has no way to say how its DMA ended.
            let _ = if command.to_memory() {
                cx.dma_write(request, &self.buffer[range])
            } else {
                cx.dma_read(request, &mut self.buffer[range])
            };
        }
        self.registers.command = command.with_run(false);
        if command.interrupt() {
            self.raise(DMA_DONE, cx);
        }
    }
}

impl Endpoint for Edu {
    fn describe(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn read(&mut self, _: u8, offset: u64, data: &mut [u8], _: &mut Context<'_>) {
        let Registers { liveness, factorial, status, interrupts, source, destination, count, command } =
            self.registers;
        let value = match (offset, data.len()) {
            (0x00, 4) => u64::from(ID),
            (0x04, 4) => liveness.into(),
            (0x08, 4) => factorial.into(),
            (0x20, 4) => status.raw().into(),
            (0x24, 4) => interrupts.into(),
            (0x80, 4 | 8) => source,
            (0x88, 4 | 8) => destination,
            (0x90, 4 | 8) => count,
            (0x98, 4 | 8) => command.raw(),
            _ => return data.fill(0xff),
        };
        let len = data.len();
        data.copy_from_slice(&value.to_le_bytes()[..len]);
    }

    fn write(&mut self, _: u8, offset: u64, data: &[u8], cx: &mut Context<'_>) {
        let value = match (<[u8; 4]>::try_from(data), <[u8; 8]>::try_from(data)) {
            (Ok(bytes), _) => u32::from_le_bytes(bytes).into(),
            (_, Ok(bytes)) if offset >= 0x80 => u64::from_le_bytes(bytes),
            _ => return,
        };
        // Registers below 0x80 are only written by 4 bytes.
        let value32 = value as u32;
        let registers = &mut self.registers;
        match offset {
            0x04 => registers.liveness = !value32,
            0x08 if !registers.status.computing() => {
                registers.factorial = value32;
                registers.status = registers.status.with_computing(true);
                cx.set_timer(FACTORIAL, FACTORIAL_LATENCY + u64::from(value32));
            }
            0x20 => registers.status = registers.status.written(value32),
            0x60 => self.raise(value32, cx),
            0x64 => self.set_interrupts(self.registers.interrupts & !value32, cx),
            // The rest are the DMA registers.
            _ if registers.command.run() => {}
            0x80 => registers.source = value,
            0x88 => registers.destination = value,
            0x90 => registers.count = value,
            0x98 if Command::from_raw(value).run() => {
                registers.command = Command::from_raw(value);
                cx.set_timer(DMA, DMA_LATENCY);
            }
            _ => {}
        }
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_>) {
        match timer {
            DMA => self.run_dma(cx),
            FACTORIAL => {
                self.registers.factorial = factorial(self.registers.factorial);
                self.registers.status = self.registers.status.with_computing(false);
                if self.registers.status.interrupt() {
                    self.raise(FACTORIAL_DONE, cx);
                }
            }
        }
    }

    fn reset(&mut self) {
        let Self { dma_mask: _, registers, buffer } = self;
        *registers = Registers::default();
        buffer.fill(0);
    }

    fn save(&self) -> EndpointState {
        let Self { dma_mask: _, registers, buffer } = self;
        EndpointState::Edu(State { registers: registers.clone(), buffer: buffer.to_vec() })
    }

    fn restore(&mut self, state: EndpointState) -> Result<(), StateError> {
        let EndpointState::Edu(State { registers, buffer }) = state else {
            return Err(StateError::Model { expected: DESCRIPTION.model, found: state.model() });
        };
        *self.buffer = buffer.try_into().map_err(|_| StateError::Invalid {
            model: DESCRIPTION.model,
            what: "the length of its buffer",
        })?;
        self.registers = registers;
        Ok(())
    }
}

/// n! modulo 2^32.
fn factorial(n: u32) -> u32 {
    if n >= FACTORIAL_VANISHES { 0 } else { (1..=n).fold(1, u32::wrapping_mul) }
}

/// The part of the buffer that `count` bytes at device address `first` are, if all of them are in it.
fn buffer_range(first: u64, count: u64) -> Option<std::ops::Range<usize>> {
    let first = usize::try_from(first.checked_sub(BUFFER_FIRST)?).ok()?;
    let end = first.checked_add(usize::try_from(count).ok()?)?;
    (end <= BUFFER_SIZE).then_some(first..end)
}
