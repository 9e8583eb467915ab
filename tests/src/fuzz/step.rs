//! Commands of the qtest protocol: what the machine targets do, and what a crash becomes.

use std::fmt;

use devices::events::Time;
use emulator::machine::Machine;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `readb` to `readq`.
    Read {
        /// First byte.
        address: u64,
        /// 1, 2, 4 or 8.
        size: usize,
    },
    /// `writeb` to `writeq`.
    Write {
        /// First byte.
        address: u64,
        /// 1, 2, 4 or 8.
        size: usize,
        /// The low `size` bytes are written.
        value: u64,
    },
    /// `inb` to `inl`.
    In {
        /// First port.
        port: u16,
        /// 1, 2 or 4.
        size: usize,
    },
    /// `outb` to `outl`.
    Out {
        /// First port.
        port: u16,
        /// 1, 2 or 4.
        size: usize,
        /// The low `size` bytes are written.
        value: u32,
    },
    /// `clock_step` by this many nanoseconds.
    Clock(u64),
}

impl Step {
    /// A write of 4 bytes.
    pub fn write32(address: u64, value: u32) -> Self {
        Self::Write { address, size: 4, value: value.into() }
    }

    /// A write of 8 bytes.
    pub fn write64(address: u64, value: u64) -> Self {
        Self::Write { address, size: 8, value }
    }

    /// Runs it; what was read, or the time reached.
    pub fn run(&self, machine: &mut Machine) -> u64 {
        let mut data = [0; 8];
        match *self {
            Self::Read { address, size } => machine.read(address, &mut data[..size]),
            Self::Write { address, size, value } => machine.write(address, &value.to_le_bytes()[..size]),
            Self::In { port, size } => machine.io_read(port, &mut data[..size]),
            Self::Out { port, size, value } => machine.io_write(port, &value.to_le_bytes()[..size]),
            Self::Clock(ns) => {
                let Time(reached) = machine.advance(machine.now().after(ns));
                return reached;
            }
        }
        u64::from_le_bytes(data)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = |size: usize| match size {
            1 => 'b',
            2 => 'w',
            4 => 'l',
            _ => 'q',
        };
        match *self {
            Self::Read { address, size } => write!(f, "read{} {address:#x}", suffix(size)),
            Self::Write { address, size, value } => {
                let value = value & (u64::MAX >> (64 - 8 * size));
                write!(f, "write{} {address:#x} {value:#x}", suffix(size))
            }
            Self::In { port, size } => write!(f, "in{} {port:#x}", suffix(size)),
            Self::Out { port, size, value } => {
                let value = u64::from(value) & (u64::MAX >> (64 - 8 * size));
                write!(f, "out{} {port:#x} {value:#x}", suffix(size))
            }
            Self::Clock(ns) => write!(f, "clock_step {ns}"),
        }
    }
}
