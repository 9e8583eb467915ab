//! The commands.

use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use devices::events::Time;

use super::arguments::{Arguments, number};
use super::{Controller, Session};
use crate::config::MachineSpec;
use crate::machine::Machine;

/// An answer, without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Ok,
    /// What was read from memory, as 64 bits.
    Value(u64),
    /// What was read from a port.
    Port(u32),
    /// The time.
    Clock(Time),
    /// A time other than the one asked for.
    OtherClock(Time),
    Hex(Vec<u8>),
    Base64(Vec<u8>),
    Little,
    Fail(String),
    Error(String),
}

impl Reply {
    /// Whether the command was not carried out, or not as asked for.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Fail(_) | Self::Error(_) | Self::OtherClock(_) => true,
            Self::Ok
            | Self::Value(_)
            | Self::Port(_)
            | Self::Clock(_)
            | Self::Hex(_)
            | Self::Base64(_)
            | Self::Little => false,
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => write!(f, "OK"),
            Self::Value(value) => write!(f, "OK {value:#018x}"),
            Self::Port(value) => write!(f, "OK {value:#06x}"),
            Self::Clock(time) => write!(f, "OK {}", time.0),
            Self::OtherClock(time) => write!(f, "FAIL {}", time.0),
            Self::Hex(bytes) => {
                write!(f, "OK 0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Base64(bytes) => write!(f, "OK {}", Base64Display::new(bytes, &STANDARD)),
            Self::Little => write!(f, "OK little"),
            Self::Fail(why) => write!(f, "FAIL {why}"),
            Self::Error(why) => write!(f, "ERR {why}"),
        }
    }
}

/// Runs the command of one line.
pub(super) fn run(line: &str, machine: &mut Machine, session: &mut Session) -> Reply {
    let mut words = line.split_ascii_whitespace();
    let command = words.next().unwrap_or_default();
    match dispatch(command, Arguments::new(words), machine, session) {
        Ok(reply) | Err(reply) => reply,
    }
}

fn dispatch(
    command: &str,
    mut args: Arguments<'_>,
    machine: &mut Machine,
    session: &mut Session,
) -> Result<Reply, Reply> {
    match command {
        "readb" => read(1, args, machine),
        "readw" => read(2, args, machine),
        "readl" => read(4, args, machine),
        "readq" => read(8, args, machine),
        "writeb" => write(1, args, machine),
        "writew" => write(2, args, machine),
        "writel" => write(4, args, machine),
        "writeq" => write(8, args, machine),
        "inb" => port_in(1, args, machine),
        "inw" => port_in(2, args, machine),
        "inl" => port_in(4, args, machine),
        "outb" => port_out(1, args, machine),
        "outw" => port_out(2, args, machine),
        "outl" => port_out(4, args, machine),
        "read" => {
            let bytes = block(&mut args, machine)?;
            // An empty answer would be "0x", which is no number to a client.
            if bytes.is_empty() { Err(Reply::Fail("size 0".to_owned())) } else { Ok(Reply::Hex(bytes)) }
        }
        "b64read" => Ok(Reply::Base64(block(&mut args, machine)?)),
        "write" => {
            let (address, size) = (args.number("ADDR")?, args.size()?);
            machine.write(address, &args.hex(size)?);
            Ok(Reply::Ok)
        }
        "b64write" => {
            let (address, size) = (args.number("ADDR")?, args.size()?);
            machine.write(address, &args.base64(size)?);
            Ok(Reply::Ok)
        }
        "memset" => {
            let (address, size, value) = (args.number("ADDR")?, args.size()?, args.number("VALUE")?);
            // As C's memset, which takes the low byte.
            machine.write(address, &vec![value as u8; size]);
            Ok(Reply::Ok)
        }
        "clock_step" => clock_step(args, machine),
        "clock_set" => {
            let until = Time(args.number("NS")?);
            let now = machine.advance(until);
            Ok(if now == until { Reply::Clock(now) } else { Reply::OtherClock(now) })
        }
        "irq_intercept_in" => intercept_in(args, machine, session),
        "irq_intercept_out" => {
            controller(args.word("QOM-PATH")?, machine)?;
            Err(Reply::Fail("No intercepts installed".to_owned()))
        }
        "endianness" => Ok(Reply::Little),
        _ => Err(Reply::Fail(format!("Unknown command '{command}'"))),
    }
}

fn read(size: usize, mut args: Arguments<'_>, machine: &mut Machine) -> Result<Reply, Reply> {
    let mut bytes = [0; 8];
    machine.read(args.number("ADDR")?, &mut bytes[..size]);
    Ok(Reply::Value(u64::from_le_bytes(bytes)))
}

fn write(size: usize, mut args: Arguments<'_>, machine: &mut Machine) -> Result<Reply, Reply> {
    let (address, value) = (args.number("ADDR")?, args.number("VALUE")?);
    machine.write(address, &value.to_le_bytes()[..size]);
    Ok(Reply::Ok)
}

fn port_in(size: usize, mut args: Arguments<'_>, machine: &mut Machine) -> Result<Reply, Reply> {
    let mut bytes = [0; 4];
    machine.io_read(args.port()?, &mut bytes[..size]);
    Ok(Reply::Port(u32::from_le_bytes(bytes)))
}

fn port_out(size: usize, mut args: Arguments<'_>, machine: &mut Machine) -> Result<Reply, Reply> {
    let (port, value) = (args.port()?, args.number("VALUE")?);
    machine.io_write(port, &value.to_le_bytes()[..size]);
    Ok(Reply::Ok)
}

fn block(args: &mut Arguments<'_>, machine: &mut Machine) -> Result<Vec<u8>, Reply> {
    let (address, size) = (args.number("ADDR")?, args.size()?);
    let mut bytes = vec![0; size];
    machine.read(address, &mut bytes);
    Ok(bytes)
}

fn clock_step(mut args: Arguments<'_>, machine: &mut Machine) -> Result<Reply, Reply> {
    let before = machine.now();
    let until = match args.optional() {
        Some(word) => before.after(number(word, "NS")?),
        None => machine.next_event().ok_or_else(|| {
            let why = "cannot advance clock to the next deadline because there is no pending deadline";
            Reply::Fail(why.to_owned())
        })?,
    };
    let now = machine.advance(until);
    if now > before { Ok(Reply::Clock(now)) } else { Err(Reply::Fail("could not advance time".to_owned())) }
}

fn intercept_in(mut args: Arguments<'_>, machine: &Machine, session: &mut Session) -> Result<Reply, Reply> {
    let wanted = controller(args.word("QOM-PATH")?, machine)?;
    if session.intercept.is_some_and(|intercepted| intercepted != wanted) {
        return Err(Reply::Fail("IRQ intercept already enabled".to_owned()));
    }
    session.intercept = Some(wanted);
    Ok(Reply::Ok)
}

fn controller(name: &str, machine: &Machine) -> Result<Controller, Reply> {
    match (name, machine.config().machine) {
        ("ioapic", MachineSpec::Q35(_)) => Ok(Controller::Ioapic),
        ("lapic", MachineSpec::Q35(_)) => Ok(Controller::Lapic),
        ("gic", MachineSpec::Virt(_)) => Ok(Controller::Gic),
        _ => Err(Reply::Fail("Unknown device".to_owned())),
    }
}
