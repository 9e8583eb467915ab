//! The I/O APIC: 82093AA registers, version 20h with its EOI register, 24 inputs.
//!
//! An input that wants attention becomes an interrupt request, which meets the same IOMMU as the
//! ones of PCI functions: in a machine with interrupt remapping software fills redirection entries
//! in remappable format [VT-d 5.1.2.2].
//!
//! - Edge: a rising edge of an unmasked input sends one message. An edge of a masked input is lost
//!   [82093AA 3.2.4].
//! - Level: while an unmasked input is asserted and Remote IRR is 0, a message is sent. Remote IRR
//!   is set once it is accepted, and cleared by an EOI for the entry's vector, broadcast by a
//!   processor or written to the EOI register; if the input is still asserted, the next message
//!   follows at once.
//! - Making an entry edge triggered clears its Remote IRR. Software without an EOI register ends
//!   level-triggered interrupts that way.
//!
//! A message that remapping blocks was accepted by nobody. For an edge, it is lost. For a level,
//! Remote IRR stays 0 and Delivery Status reads 1 (send pending); the next write to the entry, EOI
//! for its vector or assertion of the input sends it again.
//!
//! DEVIATION: hardware posts its messages and cannot tell that one was dropped, so there Remote IRR
//! is set and the input is dead until software ends an interrupt that it never saw. Retries wait for
//! a cause, and not for time to pass, so that one wrong entry makes one fault.
//!
//! What is absent: the APIC bus (arbitration never moves), the pin assertion register, and inputs of
//! other chips: who is wired to which pin, and shares it, is the machine's business.

mod regs;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::addr::SourceId;
use crate::fabric::{Effect, Effects, Initiator, Outcome, Translate};
use crate::register::block::{self, DwordSpace, Rules};
use crate::trace::TraceEvent;
pub use regs::{EOI, IOREGSEL, IOWIN, Indirect, IoApicId, IoApicVer, PINS, REGISTERS_SIZE, Rte, VERSION};

/// The name of the model in traces.
const UNIT: &str = "ioapic";

/// What a machine decides about its I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Requester id of its messages; the DMAR table's device scope must name the same.
    pub source: SourceId,
    /// Whether interrupt remapping verifies it; see [`Initiator::IoApic`].
    pub verify: bool,
}

impl Default for Config {
    /// Requester id ff:00.0, which no PCI function has while there are fewer than 256 buses;
    /// verified.
    fn default() -> Self {
        Self { source: SourceId::new(0xff, 0, 0), verify: true }
    }
}

/// An I/O APIC.
pub struct IoApic {
    initiator: Initiator,
    translate: Arc<dyn Translate>,
    state: State,
}

/// A saved [`IoApic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// IOREGSEL.
    selected: u8,
    id: IoApicId,
    /// Delivery Status is never set here, but worked out when it is read.
    entries: [Rte; PINS],
    /// Inputs asserted, bit n for pin n.
    lines: u32,
}

impl State {
    /// All inputs masked and deasserted.
    const RESET: Self = Self { selected: 0, id: IoApicId::ZERO, entries: [Rte::RESET; PINS], lines: 0 };

    fn asserted(&self, pin: usize) -> bool {
        self.lines >> pin & 1 != 0
    }

    /// Whether a level-triggered message is due.
    fn send_pending(&self, pin: usize) -> bool {
        let entry = self.entries[pin];
        entry.level_sensitive() && !entry.interrupt_mask() && !entry.remote_irr() && self.asserted(pin)
    }
}

/// A level-triggered input and the interrupt that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelRoute {
    /// The input, below [`PINS`].
    pub pin: u32,
    /// Address of the message as interrupt controllers get it, behind remapping.
    pub address: u64,
    /// Its data.
    pub data: u32,
}

impl IoApic {
    /// An I/O APIC as after reset, whose messages go through `translate`.
    pub fn new(config: Config, translate: Arc<dyn Translate>) -> Self {
        let Config { source, verify } = config;
        Self { initiator: Initiator::IoApic { source, verify }, translate, state: State::RESET }
    }

    /// Software reads `data.len()` bytes at `offset` of the register file.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        block::read(&mut Registers { ioapic: self, fx }, Rules::ByteLanes, offset, data);
    }

    /// Software writes `data` at `offset`. IOWIN only takes whole dwords; of IOREGSEL and EOI, only
    /// the lowest byte counts.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        block::write(&mut Registers { ioapic: self, fx }, Rules::ByteLanes, offset, data);
    }

    /// An input changed; a `pin` that does not exist is ignored, as is the level it already has.
    ///
    /// `asserted` means active, whatever the voltage.
    ///
    /// DEVIATION: the polarity of an entry is kept and has no effect. It describes the board's
    /// wiring to hardware that sees voltages; here software cannot get it wrong.
    pub fn set_line(&mut self, pin: u32, asserted: bool, fx: &mut Effects) {
        let pin = pin as usize;
        let Some(&entry) = self.state.entries.get(pin) else { return };
        if self.state.asserted(pin) == asserted {
            return;
        }
        self.state.lines ^= 1 << pin;
        if entry.level_sensitive() {
            self.send_if_pending(pin, fx);
        } else if asserted && !entry.interrupt_mask() {
            // Nobody waits for the acceptance of an edge.
            self.send(entry, fx);
        }
    }

    /// A processor broadcast the end of the interrupt `vector`, or software wrote it to the EOI
    /// register: every entry of this vector may send its level again [ICH10 13.5.4].
    ///
    /// The vector is the redirection entry's. Behind remapping a processor broadcasts the vector of
    /// the interrupt entry, so software keeps the two equal or uses the EOI register [VT-d 5.1].
    pub fn eoi(&mut self, vector: u8, fx: &mut Effects) {
        for pin in 0..PINS {
            let entry = self.state.entries[pin];
            if entry.vector() == vector {
                self.state.entries[pin] = entry.with_remote_irr(false);
                self.send_if_pending(pin, fx);
            }
        }
    }

    /// The level-triggered inputs that can interrupt or whose interrupt awaits its EOI, with the
    /// messages that processors see: a local APIC that must be asked for EOIs vector by vector
    /// (KVM's split irqchip) needs to know them.
    ///
    /// Remapping takes part, so the answer changes with redirection entries and with invalidations
    /// of interrupt entries. Inputs that remapping blocks have no message and are left out; faults
    /// of this question are not recorded. It may leave entries in the remapping unit's cache, as a
    /// message does.
    pub fn level_routes(&self) -> Vec<LevelRoute> {
        let mut routes = Vec::new();
        for (pin, entry) in (0..).zip(self.state.entries) {
            if !entry.level_sensitive() || entry.interrupt_mask() && !entry.remote_irr() {
                continue;
            }
            let mut fx = Effects::default();
            self.send(entry, &mut fx);
            for effect in fx.take() {
                if let Effect::Interrupt { address, data, .. } = effect {
                    routes.push(LevelRoute { pin, address, data });
                }
            }
        }
        routes
    }

    /// Returns to the state after power-on. The inputs are deasserted too: what drives them is
    /// reset with it.
    pub fn reset(&mut self) {
        self.state = State::RESET;
    }

    /// The registers and inputs as data.
    pub fn save(&self) -> State {
        let Self { initiator: _, translate: _, state } = self;
        state.clone()
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        self.state = state;
    }

    fn send_if_pending(&mut self, pin: usize, fx: &mut Effects) {
        if self.state.send_pending(pin) {
            let entry = self.state.entries[pin];
            let accepted = self.send(entry, fx) == Outcome::Done;
            self.state.entries[pin] = entry.with_remote_irr(accepted);
        }
    }

    fn send(&self, entry: Rte, fx: &mut Effects) -> Outcome {
        let (address, data) = entry.message();
        self.translate.interrupt(self.initiator, address, data, fx)
    }

    fn read_indirect(&self, register: Indirect) -> u32 {
        let State { id, entries, .. } = &self.state;
        match register {
            // There is no bus to arbitrate, so the arbitration id stays what writing the id made it.
            Indirect::Id | Indirect::Arb => id.raw(),
            Indirect::Ver => VERSION.raw(),
            Indirect::Redirection { pin, high } => {
                let raw = entries[pin].with_delivery_status(self.state.send_pending(pin)).raw();
                // The wanted half is the low one after the shift.
                (raw >> if high { 32 } else { 0 }) as u32
            }
        }
    }

    fn write_indirect(&mut self, register: Indirect, value: u32, fx: &mut Effects) {
        match register {
            Indirect::Id => self.state.id = self.state.id.written(value),
            Indirect::Redirection { pin, high } => {
                let old = self.state.entries[pin];
                let (keep, value) = if high {
                    (0xffff_ffff, u64::from(value) << 32)
                } else {
                    (0xffff_ffff << 32, u64::from(value))
                };
                let entry = old.written(old.raw() & keep | value);
                let remote_irr = entry.remote_irr() && entry.level_sensitive();
                self.state.entries[pin] = entry.with_remote_irr(remote_irr);
                self.send_if_pending(pin, fx);
            }
            Indirect::Ver | Indirect::Arb => {}
        }
    }

    /// The register that an access at `offset` reaches.
    fn name_at(&self, offset: u64) -> &'static str {
        match offset {
            IOREGSEL => "IOREGSEL",
            IOWIN => Indirect::at(self.state.selected).map_or("", Indirect::name),
            EOI => "EOI",
            _ => "",
        }
    }
}

impl fmt::Debug for IoApic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { initiator, translate: _, state } = self;
        f.debug_struct("IoApic").field("initiator", initiator).field("state", state).finish_non_exhaustive()
    }
}

/// The register file as software accesses it, traced.
struct Registers<'a> {
    ioapic: &'a mut IoApic,
    fx: &'a mut Effects,
}

impl DwordSpace for Registers<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let selected = self.ioapic.state.selected;
        let value = match offset {
            IOREGSEL => u32::from(selected),
            IOWIN => Indirect::at(selected).map_or(0, |register| self.ioapic.read_indirect(register)),
            _ => 0,
        };
        let register = self.ioapic.name_at(offset);
        self.fx.trace(|| TraceEvent::RegisterRead { unit: UNIT, register, offset, value });
        value
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        let register = self.ioapic.name_at(offset);
        self.fx.trace(|| TraceEvent::RegisterWrite { unit: UNIT, register, offset, value });
        let [low, ..] = value.to_le_bytes();
        match offset {
            IOREGSEL if lanes & 0xff != 0 => self.ioapic.state.selected = low,
            IOWIN if lanes == u32::MAX => {
                if let Some(register) = Indirect::at(self.ioapic.state.selected) {
                    self.ioapic.write_indirect(register, value, self.fx);
                }
            }
            EOI if lanes & 0xff != 0 => self.ioapic.eoi(low, self.fx),
            _ => {}
        }
    }
}
