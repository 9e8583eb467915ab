//! One 8259A.

use serde::{Deserialize, Serialize};

use super::CASCADE;

/// ICW1: tells it from the operation command words.
const ICW1: u8 = 1 << 4;
/// ICW1: no other chip, so no ICW3 follows.
const SNGL: u8 = 1 << 1;
/// ICW1: ICW4 follows.
const IC4: u8 = 1 << 0;
/// ICW4: special fully nested mode.
const SFNM: u8 = 1 << 4;
/// ICW4: automatic end of interrupt.
const AEOI: u8 = 1 << 1;
/// OCW3: tells it from OCW2.
const OCW3: u8 = 1 << 3;
/// OCW3: poll command.
const POLL: u8 = 1 << 2;
/// A poll's answer: some input requests service.
const REQUEST: u8 = 1 << 7;

/// Which command word the data port (A0 = 1) takes next [8259A, Initialization Command Words].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Expects {
    /// Initialised: OCW1, the mask.
    #[default]
    Ocw1,
    Icw2 {
        single: bool,
        icw4: bool,
    },
    Icw3 {
        icw4: bool,
    },
    Icw4,
}

/// What the next read of the command port (A0 = 0) shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Shows {
    #[default]
    Irr,
    Isr,
}

/// One 8259A; bit n of every mask belongs to input n.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chip {
    expects: Expects,
    shows: Shows,
    /// The next read is a poll.
    poll: bool,
    /// Inputs asserted.
    lines: u8,
    /// Inputs whose latest rising edge nobody has taken; it counts while the input is asserted.
    edges: u8,
    /// Inputs that are level triggered.
    elcr: u8,
    /// Interrupt mask register.
    imr: u8,
    /// In-service register.
    isr: u8,
    /// The input of highest priority, below 8: rotation moves it.
    first: u8,
    special_mask: bool,
    special_fully_nested: bool,
    auto_eoi: bool,
    rotate_on_auto_eoi: bool,
}

impl Chip {
    /// Edge/level control register.
    pub fn elcr(&self) -> u8 {
        self.elcr
    }

    /// Makes the inputs of `elcr` level triggered and the others edge triggered.
    pub fn set_elcr(&mut self, elcr: u8) {
        self.elcr = elcr;
    }

    /// An input, below 8, has this level now. A request goes with the level that made it, in either
    /// trigger mode [8259A, Edge and Level Triggered Modes].
    pub fn set_line(&mut self, input: u8, asserted: bool) {
        let bit = 1 << input;
        if asserted {
            self.edges |= bit & !self.lines;
            self.lines |= bit;
        } else {
            self.lines &= !bit;
        }
    }

    /// The INT output.
    pub fn int(&self) -> bool {
        self.request().is_some()
    }

    /// Software reads a port; also gives the name of what it read.
    pub fn read(&mut self, a0: bool) -> (&'static str, u8) {
        if std::mem::take(&mut self.poll) {
            ("POLL", self.acknowledge().map_or(0, |input| REQUEST | input))
        } else if a0 {
            ("IMR", self.imr)
        } else {
            match self.shows {
                Shows::Irr => ("IRR", self.irr()),
                Shows::Isr => ("ISR", self.isr),
            }
        }
    }

    /// Software writes a port; gives the name of the command word that this was.
    pub fn write(&mut self, a0: bool, value: u8) -> &'static str {
        if a0 {
            return self.write_data(value);
        }
        if value & ICW1 != 0 {
            self.initialise(value);
            "ICW1"
        } else if value & OCW3 != 0 {
            self.ocw3(value);
            "OCW3"
        } else {
            self.ocw2(value);
            "OCW2"
        }
    }

    fn write_data(&mut self, value: u8) -> &'static str {
        let after_icw3 = |icw4| if icw4 { Expects::Icw4 } else { Expects::Ocw1 };
        match self.expects {
            Expects::Ocw1 => {
                self.imr = value;
                "OCW1"
            }
            Expects::Icw2 { single, icw4 } => {
                self.expects = if single { after_icw3(icw4) } else { Expects::Icw3 { icw4 } };
                "ICW2"
            }
            Expects::Icw3 { icw4 } => {
                self.expects = after_icw3(icw4);
                "ICW3"
            }
            Expects::Icw4 => {
                self.special_fully_nested = value & SFNM != 0;
                self.auto_eoi = value & AEOI != 0;
                self.expects = Expects::Ocw1;
                "ICW4"
            }
        }
    }

    /// ICW1. Its trigger mode bit does nothing: a PC has the edge/level control register instead.
    /// The data sheet is silent on interrupts in service; nobody is left to end them, so they go.
    fn initialise(&mut self, icw1: u8) {
        let Self { lines, elcr, .. } = *self;
        let expects = Expects::Icw2 { single: icw1 & SNGL != 0, icw4: icw1 & IC4 != 0 };
        // An input that is asserted must fall and rise again before it requests: no edge is kept.
        *self = Self { lines, elcr, expects, ..Self::default() };
    }

    /// OCW2: bits 7:5 are R, SL and EOI, bits 2:0 an input.
    fn ocw2(&mut self, value: u8) {
        let input = value & 7;
        match value >> 5 {
            0b000 => self.rotate_on_auto_eoi = false,
            0b001 => {
                self.end_of_interrupt(self.highest(self.serviced()));
            }
            0b010 => {}
            0b011 => {
                self.end_of_interrupt(Some(input));
            }
            0b100 => self.rotate_on_auto_eoi = true,
            0b101 => {
                let ended = self.highest(self.serviced());
                self.end_of_interrupt(ended);
                if let Some(input) = ended {
                    self.make_lowest(input);
                }
            }
            0b110 => self.make_lowest(input),
            _ => {
                self.end_of_interrupt(Some(input));
                self.make_lowest(input);
            }
        }
    }

    /// OCW3: bits 6:5 are ESMM and SMM, bits 1:0 RR and RIS.
    fn ocw3(&mut self, value: u8) {
        if value & 0x40 != 0 {
            self.special_mask = value & 0x20 != 0;
        }
        // Both may be asked for: the poll is answered first.
        self.poll |= value & POLL != 0;
        if value & 2 != 0 {
            self.shows = if value & 1 != 0 { Shows::Isr } else { Shows::Irr };
        }
    }

    fn irr(&self) -> u8 {
        self.lines & (self.elcr | self.edges)
    }

    /// In-service bits that count: in special mask mode, masked ones do not.
    fn serviced(&self) -> u8 {
        self.isr & !if self.special_mask { self.imr } else { 0 }
    }

    /// The input that requests service, if nothing of its priority or a higher one is in service.
    fn request(&self) -> Option<u8> {
        let input = self.highest(self.irr() & !self.imr)?;
        let Some(serviced) = self.highest(self.serviced()) else { return Some(input) };
        // Special fully nested mode lets the other chip interrupt itself; only it knows its priorities.
        let nests = self.special_fully_nested && input == CASCADE && serviced == CASCADE;
        (nests || self.rank(input) < self.rank(serviced)).then_some(input)
    }

    /// Takes the request, as an interrupt acknowledge cycle does.
    fn acknowledge(&mut self) -> Option<u8> {
        let input = self.request()?;
        self.edges &= !(1 << input);
        if !self.auto_eoi {
            self.isr |= 1 << input;
        } else if self.rotate_on_auto_eoi {
            self.make_lowest(input);
        }
        Some(input)
    }

    fn end_of_interrupt(&mut self, input: Option<u8>) {
        if let Some(input) = input {
            self.isr &= !(1 << input);
        }
    }

    fn make_lowest(&mut self, input: u8) {
        self.first = (input + 1) % 8;
    }

    /// 0 for the highest priority.
    fn rank(&self, input: u8) -> u8 {
        input.wrapping_sub(self.first) % 8
    }

    /// The input of highest priority among those of `mask`.
    fn highest(&self, mask: u8) -> Option<u8> {
        (0..8).filter(|input| mask >> input & 1 != 0).min_by_key(|&input| self.rank(input))
    }
}
