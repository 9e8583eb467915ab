//! The board q35: I/O APIC and 8259 pair, serial port, clock, firmware configuration and exit port.
//!
//! Interrupt lines end at both controllers, and leave the machine as messages.

mod description;
mod lines;
mod ports;
mod routes;

use std::sync::Arc;

use devices::addr::Pa;
use devices::fabric::{Effects, Initiator, Translate};
use devices::ioapic::{self, IoApic};
use devices::pic::{self, Pic};
use serde::{Deserialize, Serialize};

use super::board::Sender;
use super::layout::q35 as layout;
use crate::config::Q35Spec;
use crate::legacy::{self, DebugExit, FwCfg, Rtc, Serial};
pub(super) use lines::isa;
use lines::{Input, Lines, PCI_ISA_LINES};
use routes::Routes;

/// Processors that a machine is driven by, at most.
const PROCESSORS: u16 = 1;
/// Data bit of a message: level triggered [SDM 11.11.2].
const LEVEL: u32 = 1 << 15;
/// Edge/level control register of the second 8259: bit n for ISA line 8 + n.
const ELCR2: u16 = 0x4d1;

/// The devices of the board.
pub(super) struct Q35 {
    spec: Q35Spec,
    pub ioapic: IoApic,
    pic: Pic,
    lines: Lines,
    pub routes: Routes,
    pub serial: Serial,
    rtc: Rtc,
    fw_cfg: FwCfg,
    pub debug_exit: DebugExit,
}

/// A saved [`Q35`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    ioapic: ioapic::State,
    pic: pic::State,
    lines: Lines,
    serial: legacy::SerialState,
    rtc: legacy::RtcState,
    fw_cfg: legacy::FwCfgState,
    debug_exit: DebugExit,
}

impl Q35 {
    /// The board as after reset, with RAM in `ranges`; the I/O APIC sends through `translate`.
    pub fn new(spec: Q35Spec, ranges: &[(Pa, u64)], translate: Arc<dyn Translate>) -> Self {
        let bytes = |index: usize| ranges.get(index).map_or(0, |(_, bytes)| *bytes);
        Self {
            spec,
            ioapic: IoApic::new(spec.ioapic(), translate),
            pic: Pic::new(),
            lines: Lines::default(),
            routes: Routes::default(),
            serial: Serial::new(layout::SERIAL_LINE),
            rtc: Rtc::new(bytes(0), bytes(1)),
            fw_cfg: FwCfg::new(PROCESSORS, PROCESSORS, bytes(0) + bytes(1)),
            debug_exit: DebugExit::default(),
        }
    }

    pub fn read(&mut self, address: u64, data: &mut [u8], fx: &mut Effects) -> bool {
        let Some(offset) = ioapic_offset(address) else { return false };
        self.ioapic.read(offset, data, fx);
        true
    }

    pub fn write(&mut self, address: u64, data: &[u8], fx: &mut Effects) -> bool {
        let Some(offset) = ioapic_offset(address) else { return false };
        self.ioapic.write(offset, data, fx);
        self.routes.touch();
        true
    }

    pub fn set_line(&mut self, line: u32, asserted: bool, fx: &mut Effects) {
        for (input, asserted) in self.lines.set(line, asserted) {
            match input {
                Input::Pic(irq) => self.pic.set_line(irq, asserted),
                Input::IoApic(pin) => self.ioapic.set_line(pin, asserted, fx),
            }
        }
    }

    /// A message goes to the processors.
    pub fn message(&mut self, sender: Sender, data: u32) {
        if matches!(sender, Sender::Master(Initiator::IoApic { .. })) && data & LEVEL != 0 {
            self.routes.touch();
        }
    }

    /// Makes the ISA lines that PCI leads to level-triggered, as firmware does.
    pub fn assign_lines(&mut self, fx: &mut Effects) {
        let level = PCI_ISA_LINES.iter().fold(0, |level, line| level | 1 << (line - 8));
        self.pic.write(ELCR2, &[level], fx);
    }

    pub fn save(&self) -> State {
        let Self { spec: _, ioapic, pic, lines, routes: _, serial, rtc, fw_cfg, debug_exit } = self;
        State {
            ioapic: ioapic.save(),
            pic: pic.save(),
            lines: *lines,
            serial: serial.save(),
            rtc: rtc.save(),
            fw_cfg: fw_cfg.save(),
            debug_exit: debug_exit.save(),
        }
    }

    pub fn restore(&mut self, state: State) {
        let State { ioapic, pic, lines, serial, rtc, fw_cfg, debug_exit } = state;
        self.ioapic.restore(ioapic);
        self.pic.restore(pic);
        self.lines = lines;
        // What a driver was told is the driver's to know; it asks again.
        self.routes.touch();
        self.serial.restore(serial);
        self.rtc.restore(rtc);
        self.fw_cfg.restore(fw_cfg);
        self.debug_exit.restore(debug_exit);
    }
}

fn ioapic_offset(address: u64) -> Option<u64> {
    address.checked_sub(layout::IOAPIC_BASE).filter(|offset| *offset < ioapic::REGISTERS_SIZE)
}
