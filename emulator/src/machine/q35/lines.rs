//! Interrupt lines: what drives them, and which inputs of the interrupt controllers they are.
//!
//! A line has a global system interrupt number: 0 to 15 are the lines of the ISA bus, 16 to 23 those
//! of PCI. Each is driven from one place: a device at fixed ports, or the PCI host, which ORs the pins
//! of its functions. Where several lines end at one input, the input is their OR, formed here.
//!
//! ISA lines lead to both controllers, and line 0 to pin 2 of the I/O APIC [ACPI 5.2.12.5]. PCI lines
//! lead to the I/O APIC's pins of their number, and besides to the ISA lines [`PCI_ISA_LINES`]: so a
//! PC's firmware sets up the routing registers of the chipset, which this one has wired for good. The
//! Interrupt Line registers name the ISA lines, and kernels without ACPI go by them.

use devices::ioapic;
use serde::{Deserialize, Serialize};

/// The ISA lines that PCI lines lead to: PIRQ A, B, E and F to the first, C, D, G and H to the second,
/// as the firmware of QEMU's machines routes them. They are level-triggered and active high.
pub(super) const PCI_ISA_LINES: [u8; 2] = [10, 11];

/// The timer's line.
const TIMER: u32 = 0;
/// Where it ends.
const TIMER_PIN: u32 = 2;
/// The first line of PCI.
const FIRST_PCI: u32 = 16;
/// Lines, as many as the I/O APIC has pins.
const LINES: u32 = ioapic::PINS as u32;

/// The levels of all lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lines {
    /// Bit n for line n.
    asserted: u32,
}

/// An input of an interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Of the pair of 8259s, 0 to 15.
    Pic(u32),
    /// A pin of the I/O APIC.
    IoApic(u32),
}

impl Lines {
    /// A line changed: the inputs that it leads to, and the levels there now. Lines that do not exist
    /// lead nowhere.
    pub fn set(&mut self, line: u32, asserted: bool) -> impl Iterator<Item = (Input, bool)> + use<> {
        let exists = line < LINES;
        if exists {
            let bit = 1 << line;
            self.asserted = if asserted { self.asserted | bit } else { self.asserted & !bit };
        }
        let lines = *self;
        ends(line).filter(move |_| exists).map(move |input| (input, lines.level(input)))
    }

    fn level(self, input: Input) -> bool {
        (0..LINES).any(|line| self.asserted >> line & 1 != 0 && ends(line).any(|end| end == input))
    }
}

/// The ISA line that a line is or leads to.
pub(in crate::machine) const fn isa(line: u32) -> u32 {
    let [low, high] = PCI_ISA_LINES;
    match line {
        ..FIRST_PCI => line,
        _ if line & 2 == 0 => low as u32,
        _ => high as u32,
    }
}

/// Where a line ends.
fn ends(line: u32) -> impl Iterator<Item = Input> {
    let isa = isa(line);
    let pin = if isa == TIMER { TIMER_PIN } else { isa };
    let pci = (line >= FIRST_PCI).then_some(Input::IoApic(line));
    [Input::Pic(isa), Input::IoApic(pin)].into_iter().chain(pci)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_input_is_the_or_of_its_lines() {
        use Input::{IoApic, Pic};
        let mut lines = Lines::default();
        for (line, asserted, expected) in [
            (0, true, &[(Pic(0), true), (IoApic(2), true)][..]),
            (2, true, &[(Pic(2), true), (IoApic(2), true)]),
            (0, false, &[(Pic(0), false), (IoApic(2), true)]),
            (2, false, &[(Pic(2), false), (IoApic(2), false)]),
            (4, true, &[(Pic(4), true), (IoApic(4), true)]),
            (4, false, &[(Pic(4), false), (IoApic(4), false)]),
            (16, true, &[(Pic(10), true), (IoApic(10), true), (IoApic(16), true)]),
            (21, true, &[(Pic(10), true), (IoApic(10), true), (IoApic(21), true)]),
            (16, false, &[(Pic(10), true), (IoApic(10), true), (IoApic(16), false)]),
            (10, true, &[(Pic(10), true), (IoApic(10), true)]),
            (21, false, &[(Pic(10), true), (IoApic(10), true), (IoApic(21), false)]),
            (10, false, &[(Pic(10), false), (IoApic(10), false)]),
            (23, true, &[(Pic(11), true), (IoApic(11), true), (IoApic(23), true)]),
            (24, true, &[]),
            (u32::MAX, true, &[]),
        ] {
            let inputs = lines.set(line, asserted).collect::<Vec<_>>();
            assert_eq!(inputs, expected, "{line} {asserted}");
        }
    }

    #[test]
    fn pci_lines_lead_to_two_isa_lines() {
        assert_eq!([16, 17, 18, 19, 20, 21, 22, 23].map(isa), [10, 10, 11, 11, 10, 10, 11, 11]);
        assert_eq!([0, 4, 15].map(isa), [0, 4, 15]);
    }
}
