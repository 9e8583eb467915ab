//! The two 8259A interrupt controllers of a PC, and their edge/level control registers.
//!
//! Guests probe them, initialise them and mask them, and then use the I/O APIC. So everything that
//! a guest can read back is here: the initialisation sequence, masks, requests, priorities, polling
//! and what ends an interrupt.
//!
//! What is absent: interrupt acknowledge. INTR goes nowhere, so a vector base (ICW2) has no effect;
//! a guest takes interrupts of these chips by polling only. Cascading is wired as on every PC (the
//! second chip is input 2 of the first), whatever ICW3 says.

mod chip;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::fabric::Effects;
use crate::trace::TraceEvent;
use chip::Chip;

/// The name of the model in traces.
const UNIT: &str = "pic";

/// I/O ports of the first chip, of the second, and of the edge/level control registers.
pub const PORTS: [RangeInclusive<u16>; 3] = [0x20..=0x21, 0xa0..=0xa1, 0x4d0..=0x4d1];

/// Inputs of the first chip that can be level triggered; 0 to 2 cannot [ICH10 13.4.10].
const MASTER_LEVEL: u8 = 0xf8;
/// Inputs of the second chip that can be level triggered; 8 and 13 cannot [ICH10 13.4.11].
const SLAVE_LEVEL: u8 = 0xde;
/// The input of the first chip that the second drives.
const CASCADE: u8 = 2;

/// The pair of 8259As.
#[derive(Clone, Debug, Default)]
pub struct Pic {
    state: State,
}

/// A saved [`Pic`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    master: Chip,
    slave: Chip,
}

/// What a port leads to.
enum Port {
    /// A chip, and its address line A0.
    Chip { chip: fn(&mut State) -> &mut Chip, a0: bool },
    /// Edge/level control of a chip, and the inputs that have it.
    Elcr { chip: fn(&mut State) -> &mut Chip, inputs: u8, name: &'static str },
}

impl Port {
    fn at(port: u16) -> Option<Self> {
        let master: fn(&mut State) -> &mut Chip = |state| &mut state.master;
        let slave: fn(&mut State) -> &mut Chip = |state| &mut state.slave;
        match port {
            0x20 | 0x21 => Some(Self::Chip { chip: master, a0: port == 0x21 }),
            0xa0 | 0xa1 => Some(Self::Chip { chip: slave, a0: port == 0xa1 }),
            0x4d0 => Some(Self::Elcr { chip: master, inputs: MASTER_LEVEL, name: "ELCR1" }),
            0x4d1 => Some(Self::Elcr { chip: slave, inputs: SLAVE_LEVEL, name: "ELCR2" }),
            _ => None,
        }
    }
}

impl Pic {
    /// Both chips as the first initialisation command word leaves them; power-on itself is
    /// undefined.
    pub fn new() -> Self {
        Self::default()
    }

    /// Software reads `data.len()` consecutive ports from `port`; a port that is not one of
    /// [`PORTS`] reads all ones, as the chips sit on an 8-bit bus that splits wider accesses.
    pub fn read(&mut self, port: u16, data: &mut [u8], fx: &mut Effects) {
        for (port, byte) in (usize::from(port)..).zip(data) {
            *byte = u16::try_from(port).map_or(0xff, |port| self.read_port(port, fx));
        }
    }

    /// Software writes consecutive ports from `port`; those that are not ours are skipped.
    pub fn write(&mut self, port: u16, data: &[u8], fx: &mut Effects) {
        for (port, &byte) in (usize::from(port)..).zip(data) {
            if let Ok(port) = u16::try_from(port) {
                self.write_port(port, byte, fx);
            }
        }
    }

    /// An input changed: 0 to 15, without 2, which is the cascade; others are ignored.
    pub fn set_line(&mut self, irq: u32, asserted: bool) {
        let State { master, slave } = &mut self.state;
        match u8::try_from(irq) {
            Ok(CASCADE) => {}
            Ok(irq @ 0..8) => master.set_line(irq, asserted),
            Ok(irq @ 8..16) => slave.set_line(irq - 8, asserted),
            _ => {}
        }
        self.cascade();
    }

    /// Returns to the state after power-on; what drives the inputs is reset too.
    pub fn reset(&mut self) {
        self.state = State::default();
    }

    /// Both chips as data.
    pub fn save(&self) -> State {
        let Self { state } = self;
        state.clone()
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        self.state = state;
    }

    fn read_port(&mut self, port: u16, fx: &mut Effects) -> u8 {
        let (register, value) = match Port::at(port) {
            Some(Port::Chip { chip, a0 }) => chip(&mut self.state).read(a0),
            Some(Port::Elcr { chip, name, .. }) => (name, chip(&mut self.state).elcr()),
            None => return 0xff,
        };
        self.cascade();
        let (offset, value32) = (u64::from(port), u32::from(value));
        fx.trace(|| TraceEvent::RegisterRead { unit: UNIT, register, offset, value: value32 });
        value
    }

    fn write_port(&mut self, port: u16, value: u8, fx: &mut Effects) {
        let register = match Port::at(port) {
            Some(Port::Chip { chip, a0 }) => chip(&mut self.state).write(a0, value),
            Some(Port::Elcr { chip, inputs, name }) => {
                chip(&mut self.state).set_elcr(value & inputs);
                name
            }
            None => return,
        };
        self.cascade();
        let (offset, value) = (u64::from(port), u32::from(value));
        fx.trace(|| TraceEvent::RegisterWrite { unit: UNIT, register, offset, value });
    }

    /// Lets the second chip's INT reach the first.
    fn cascade(&mut self) {
        let State { master, slave } = &mut self.state;
        master.set_line(CASCADE, slave.int());
    }
}
