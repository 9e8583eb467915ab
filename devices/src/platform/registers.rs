//! The registers as dwords.

use super::attachment::Context;
use crate::exerciser::{self, Exerciser, MSIX};
use crate::pci::Part;
use crate::register;
use crate::register::block::DwordSpace;
use crate::trace::TraceEvent;

const UNIT: &str = exerciser::DESCRIPTION.model;

register! {
    /// INTERRUPT_CONTROL.
    struct InterruptControl: u32 {
        31:1 RsvdZ _r0,
        0:0  Rw    messages: bool,
    }
}

register! {
    /// INTERRUPT_STATUS.
    struct InterruptStatus: u32 {
        31:16 RsvdZ _r0,
        15:8  Ro    held: u8,
        7:0   Rw1c  events: u8,
    }
}

/// The device, with what it may use during an access.
pub(super) struct Registers<'a> {
    pub exerciser: &'a mut Exerciser,
    pub at: Context<'a>,
}

impl Registers<'_> {
    fn dword(&mut self, offset: u64) -> u32 {
        let Self { exerciser, at } = self;
        match MSIX.locate(MSIX.bar, offset).0 {
            Part::Table(offset) => at.interrupts.vectors.table().read_dword(offset),
            Part::Pending(offset) => at.interrupts.vectors.pending().read_dword(offset),
            Part::Model => match offset {
                0x2c => InterruptControl::ZERO.with_messages(at.interrupts.messages()).raw(),
                0x30 => InterruptStatus::ZERO
                    .with_held(at.interrupts.held())
                    .with_events(at.interrupts.events())
                    .raw(),
                _ => exerciser.registers(at).read_dword(offset),
            },
        }
    }
}

/// The name of the register at `offset`, or "".
const fn name(offset: u64) -> &'static str {
    match offset {
        0x2c => "INTERRUPT_CONTROL",
        0x30 => "INTERRUPT_STATUS",
        _ => exerciser::Registers::name(offset),
    }
}

impl DwordSpace for Registers<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let value = self.dword(offset);
        self.at.fx.trace(|| TraceEvent::RegisterRead { unit: UNIT, register: name(offset), offset, value });
        value
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        let Self { exerciser, at } = self;
        at.fx.trace(|| TraceEvent::RegisterWrite { unit: UNIT, register: name(offset), offset, value });
        match MSIX.locate(MSIX.bar, offset).0 {
            Part::Table(offset) => at.interrupts.vectors.table().write_dword(offset, value, lanes),
            // Software cannot write pending bits.
            Part::Pending(_) => {}
            Part::Model => match offset {
                0x2c if lanes & 1 != 0 => {
                    let messages = InterruptControl::from_raw(value).messages();
                    at.interrupts.set_messages(messages, at.fx);
                }
                0x2c => {}
                0x30 => at.interrupts.clear_events(InterruptStatus::from_raw(value).events(), at.fx),
                _ => exerciser.registers(at).write_dword(offset, value, lanes),
            },
        }
    }
}
