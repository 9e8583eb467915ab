//! Interrupt lines: what drives them, and which inputs of the interrupt controllers they are.
//!
//! A line has a global system interrupt number: 0 to 15 are the lines of the ISA bus, 16 to 23 those
//! of PCI. Each is driven from one place: a device at fixed ports, or the PCI host, which ORs the pins
//! of its functions. Where several lines end at one input, the input is their OR, formed here.
//!
//! ISA lines lead to both controllers, and line 0 to pin 2 of the I/O APIC [ACPI 5.2.12.5]. PCI lines
//! lead to the I/O APIC alone: the routing registers that would lead them to the 8259s as well are
//! off after reset, and this chipset has none.

use devices::ioapic;
use serde::{Deserialize, Serialize};

/// The timer's line.
const TIMER: u32 = 0;
/// Where it ends.
const TIMER_PIN: u32 = 2;
/// Lines, as many as the I/O APIC has pins.
const LINES: u32 = ioapic::PINS as u32;

/// The levels of all lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lines {
    /// Bit n for line n.
    asserted: u32,
}

/// An input of the I/O APIC and its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub pin: u32,
    pub asserted: bool,
}

impl Lines {
    /// A line changed: the input that it leads to, and the level there now. Lines that do not exist
    /// lead nowhere.
    pub fn set(&mut self, line: u32, asserted: bool) -> Option<Input> {
        if line >= LINES {
            return None;
        }
        let bit = 1 << line;
        self.asserted = if asserted { self.asserted | bit } else { self.asserted & !bit };
        let pin = pin(line);
        let drives = |line: u32| self.asserted >> line & 1 != 0 && self::pin(line) == pin;
        Some(Input { pin, asserted: (0..LINES).any(drives) })
    }
}

const fn pin(line: u32) -> u32 {
    if line == TIMER { TIMER_PIN } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_input_is_the_or_of_its_lines() {
        let mut lines = Lines::default();
        for (line, asserted, expected) in [
            (0, true, Some((2, true))),
            (2, true, Some((2, true))),
            (0, false, Some((2, true))),
            (2, false, Some((2, false))),
            (4, true, Some((4, true))),
            (23, true, Some((23, true))),
            (4, false, Some((4, false))),
            (24, true, None),
            (u32::MAX, true, None),
        ] {
            let expected = expected.map(|(pin, asserted)| Input { pin, asserted });
            assert_eq!(lines.set(line, asserted), expected, "{line} {asserted}");
        }
    }
}
