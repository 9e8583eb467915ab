//! Between the CPUs and their board: time, accesses, lines, firmware calls.

use std::sync::Arc;

use cpu::interp::{At, Bus, BusError, CallOutcome, CodeWatch, Conduit, Lines};
use devices::addr::Pa;
use devices::events::Time;
use devices::mem::WriteWatch;

use super::board::{Board, PHYSICAL_TIMER, PMU, VIRTUAL_TIMER};
use super::psci::Firmware;

/// Machine time, counted in instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Machine time at instruction 0.
    pub(super) origin: Time,
    /// Nanoseconds per instruction, at least 1.
    pub(super) nanoseconds: u64,
}

impl Pace {
    /// The time of an instruction.
    pub(super) fn time(self, instructions: u64) -> Time {
        self.origin.after(instructions.saturating_mul(self.nanoseconds))
    }

    /// The first instruction that is not before `time`.
    pub(super) fn instructions(self, time: Time) -> u64 {
        time.0.saturating_sub(self.origin.0).div_ceil(self.nanoseconds)
    }
}

/// What the CPUs' bus leads to.
pub(super) struct Wires<B> {
    pub(super) board: B,
    pub(super) firmware: Firmware,
    pub(super) pace: Pace,
}

impl<B: Board> Wires<B> {
    /// Brings the board's time up to that of the CPUs.
    pub(super) fn pass(&mut self, instructions: u64) -> &mut B {
        let time = self.pace.time(instructions);
        if self.board.now() < time {
            self.board.advance(time);
        }
        &mut self.board
    }
}

impl<B: Board> Bus for Wires<B> {
    fn read(&mut self, at: At, address: u64, size: u8) -> Result<u64, BusError> {
        let mut data = [0; 8];
        let bytes = &mut data[..usize::from(size.min(8))];
        self.pass(at.time).read(address, bytes)?;
        Ok(u64::from_le_bytes(data))
    }

    fn write(&mut self, at: At, address: u64, size: u8, value: u64) -> Result<(), BusError> {
        self.pass(at.time).write(address, &value.to_le_bytes()[..usize::from(size.min(8))])
    }

    fn lines(&mut self, at: At) -> Lines {
        self.pass(at.time).lines(at.cpu)
    }

    fn next_event(&mut self) -> Option<u64> {
        self.board.next_event().map(|due| self.pace.instructions(due))
    }

    fn take_event(&mut self, _: At) -> bool {
        self.board.take_event()
    }

    fn serror_taken(&mut self, at: At) {
        self.board.serror_taken(at.cpu);
    }

    fn timer_line(&mut self, at: At, timer: usize, level: bool) {
        let intid = if timer == 0 { VIRTUAL_TIMER } else { PHYSICAL_TIMER };
        self.pass(at.time).private_line(at.cpu, intid, level);
    }

    fn pmu_line(&mut self, at: At, level: bool) {
        self.pass(at.time).private_line(at.cpu, PMU, level);
    }

    fn gic_read(&mut self, at: At, register: u16) -> Option<u64> {
        self.pass(at.time).gic_read(at.cpu, register)
    }

    fn gic_write(&mut self, at: At, register: u16, value: u64) -> Option<()> {
        self.pass(at.time).gic_write(at.cpu, register, value)
    }

    fn firmware_call(&mut self, at: At, _: Conduit, x: &mut [u64; 18]) -> CallOutcome {
        self.pass(at.time);
        self.firmware.call(at.cpu, x)
    }
}

/// Tells the CPUs' decoded pages what devices write.
pub(super) struct DeviceWrites(pub(super) Arc<CodeWatch>);

impl WriteWatch for DeviceWrites {
    fn written(&self, first: Pa, last: Pa) {
        self.0.written(first.0, last.0);
    }
}
