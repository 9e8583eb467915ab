//! QEMU's qtest protocol: a machine driven by lines of text instead of a processor.
//!
//! One command per line, one reply per command; replies and number formats are those of QEMU's test
//! server, so that its clients work unchanged. Numbers are decimal, octal after `0` or hexadecimal
//! after `0x`. Time moves only by `clock_step` and `clock_set`.
//!
//! Interrupts are reported once intercepted, as `IRQ raise N` and `IRQ lower N` lines before the
//! reply of the command that caused them:
//! - `irq_intercept_in ioapic`: level-triggered lines; N is the global system interrupt.
//! - `irq_intercept_in lapic`: message interrupts, those of the I/O APIC included. N is the vector, data bits 7:0, raised and lowered
//!   at once because a message has no level. QEMU has no counterpart.
//! - `irq_intercept_in gic`, on the board virt in place of both: shared peripheral interrupts, N being
//!   their number without the first 32 INTIDs, and the LPIs that are pending and enabled at a
//!   redistributor, N being the INTID, 8192 or more. Edges and LPIs are raised and lowered at once, and
//!   an LPI that was reported is pending no longer.
//!
//! Deviations: where QEMU's server would stop on a bad argument, this one answers `FAIL` and goes
//! on. Lines are at most [`MAX_LINE`] bytes and data at most [`MAX_DATA`] bytes.

mod arguments;
mod command;
mod refusals;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, BufReader, Read, Write};

use devices::gic::its::Lpi;

use crate::machine::{Interrupt, Machine};
use command::Reply;
pub use refusals::{Refusal, Refusals};

/// Bytes of data that one command moves at most.
pub const MAX_DATA: usize = 16 << 20;
/// Bytes of one line at most: a `write` of [`MAX_DATA`] bytes fits.
pub const MAX_LINE: usize = 2 * MAX_DATA + 128;

/// Serves commands from `input` until it ends, and returns which of them failed.
///
/// # Errors
/// Those of `input` and `output`. Bad commands are no errors: they are answered.
pub fn serve(machine: &mut Machine, input: impl Read, mut output: impl Write) -> io::Result<Refusals> {
    let mut input = BufReader::new(input);
    let mut session = Session::default();
    let mut line = Vec::new();
    let mut refusals = Refusals::default();
    for number in 1.. {
        let reply = match next_line(&mut input, &mut line)? {
            Line::End if line.is_empty() => break,
            Line::End => {
                refusals.add(
                    number,
                    &line,
                    "nothing: it does not end with a newline, so it was not carried out",
                );
                break;
            }
            Line::TooLong => Reply::Fail(format!("line longer than {MAX_LINE} bytes")),
            Line::Whole => match std::str::from_utf8(&line) {
                Ok(text) => command::run(text, machine, &mut session),
                Err(_) => Reply::Fail("the line is not text".to_owned()),
            },
        };
        for interrupt in machine.take_interrupts() {
            session.report(interrupt, &mut output)?;
        }
        if session.intercept == Some(Controller::Gic) {
            for Lpi { intid, .. } in machine.take_lpis() {
                writeln!(output, "IRQ raise {intid}\nIRQ lower {intid}")?;
            }
        }
        if reply.is_refusal() {
            refusals.add(number, &line, &reply.to_string());
        }
        writeln!(output, "{reply}")?;
        output.flush()?;
    }
    Ok(refusals)
}

/// Lines that a board can have: the interrupts that a GIC can share among processors are fewer.
const LINES: usize = 1024;

/// Which interrupts the client wants to hear of, and what it heard.
#[derive(Debug)]
struct Session {
    intercept: Option<Controller>,
    /// Levels of the lines as last reported.
    levels: [bool; LINES],
}

/// An interrupt controller whose inputs can be intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controller {
    Ioapic,
    Lapic,
    Gic,
}

impl Default for Session {
    fn default() -> Self {
        Self { intercept: None, levels: [false; LINES] }
    }
}

impl Session {
    fn report(&mut self, interrupt: Interrupt, output: &mut impl Write) -> io::Result<()> {
        match (self.intercept, interrupt) {
            (Some(Controller::Ioapic | Controller::Gic), Interrupt::Line { line, asserted }) => {
                let Some(level) = usize::try_from(line).ok().and_then(|line| self.levels.get_mut(line))
                else {
                    return Ok(());
                };
                if std::mem::replace(level, asserted) == asserted {
                    return Ok(());
                }
                writeln!(output, "IRQ {} {line}", if asserted { "raise" } else { "lower" })
            }
            (Some(Controller::Lapic), Interrupt::Message { data, .. }) => {
                let vector = data & 0xff;
                writeln!(output, "IRQ raise {vector}\nIRQ lower {vector}")
            }
            (Some(Controller::Ioapic | Controller::Gic), Interrupt::Pulse { line }) => {
                writeln!(output, "IRQ raise {line}\nIRQ lower {line}")
            }
            _ => Ok(()),
        }
    }
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads up to the next newline; of a line that is too long, the rest is skipped. What follows the
/// last newline is no command; it is left in `line`.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut too_long = false;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(Line::End);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        too_long |= line.len() + part.len() > MAX_LINE;
        if !too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(if too_long { Line::TooLong } else { Line::Whole });
        }
    }
}
