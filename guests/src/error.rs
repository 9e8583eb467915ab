//! Why a driver gave up.

use core::fmt;

/// A driver's operation failed. A program reports it as a failed check and goes on or stops; it
/// never waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No register block answers at the unit's address.
    NoUnit {
        /// Physical address looked at.
        base: u64,
    },
    /// The unit lacks something the driver is built on.
    Unsupported(&'static str),
    /// The status register did not follow a command.
    Command {
        /// The command's mnemonic.
        name: &'static str,
        /// Global Status when the driver gave up.
        gsts: u32,
    },
    /// A register-based invalidation did not complete, or was refused.
    Invalidation {
        /// The register's mnemonic.
        register: &'static str,
        /// Its value when the driver gave up.
        value: u64,
    },
    /// The invalidation queue did not reach the wait descriptor.
    Queue {
        /// Fault Status: bit 4 tells of a refused descriptor.
        fsts: u32,
        /// Offset of the descriptor the unit stands at.
        head: u64,
    },
    /// A register was not acknowledged as written.
    Update {
        /// The register's mnemonic.
        register: &'static str,
        /// What is acknowledged instead.
        value: u32,
    },
    /// The command queue did not reach the last CMD_SYNC.
    Commands {
        /// GERROR: bit 0 tells, compared with GERRORN, of a refused command.
        gerror: u32,
        /// CMDQ_CONS: where the unit stands, and in 30:24 why.
        cons: u32,
    },
    /// The interrupt translation service did not reach the last command.
    Its {
        /// GITS_CREADR: where it stands.
        creadr: u64,
    },
    /// Guest RAM is used up.
    OutOfMemory,
    /// A page table holds a larger page where a table is needed, or the address is too wide for it.
    NotATable {
        /// The I/O virtual address.
        iova: u64,
    },
    /// No PCI function has these ids.
    NoFunction {
        /// Vendor id.
        vendor: u16,
        /// Device id.
        device: u16,
    },
    /// A PCI function's BAR was not assigned below 4 GiB before the program started.
    Bar {
        /// Requester id of the function.
        source: u16,
        /// Address found.
        address: u64,
    },
    /// A PCI function lacks a capability.
    NoCapability {
        /// Requester id of the function.
        source: u16,
        /// Capability id.
        id: u8,
    },
    /// The exerciser stopped its ring because a descriptor could not be fetched or its status could
    /// not be written.
    RingFault,
    /// A device did not answer in time.
    Device {
        /// What it was to do.
        doing: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoUnit { base } => write!(f, "no IOMMU at {base:#x}: start the machine with one"),
            Self::Unsupported(what) => write!(f, "the unit does not offer {what}: choose a preset that does"),
            Self::Command { name, gsts } => {
                write!(f, "command {name} was not followed by its status bit (GSTS {gsts:#010x})")
            }
            Self::Invalidation { register, value } => {
                write!(f, "invalidation through {register} did not complete as asked ({value:#018x})")
            }
            Self::Queue { fsts, head } => {
                write!(f, "the invalidation queue stopped at {head:#x} (FSTS {fsts:#010x})")
            }
            Self::Update { register, value } => {
                write!(f, "{register} was not acknowledged as written ({value:#010x})")
            }
            Self::Commands { gerror, cons } => {
                write!(f, "the command queue stopped (GERROR {gerror:#010x}, CMDQ_CONS {cons:#010x})")
            }
            Self::Its { creadr } => write!(f, "the interrupt translation service stopped at {creadr:#x}"),
            Self::OutOfMemory => f.write_str("guest RAM is used up: give the machine more"),
            Self::NotATable { iova } => write!(f, "the page tables cannot map IOVA {iova:#x} this way"),
            Self::NoFunction { vendor, device } => {
                write!(f, "no PCI function {vendor:04x}:{device:04x}: add the device to the machine")
            }
            Self::Bar { source, address } => write!(
                f,
                "BAR 0 of {} is at {address:#x}: it must be assigned below 4 GiB before entry",
                Bdf(source)
            ),
            Self::NoCapability { source, id } => write!(f, "{} has no PCI capability {id:02x}h", Bdf(source)),
            Self::RingFault => f.write_str("the exerciser's ring stopped: a descriptor access was refused"),
            Self::Device { doing } => write!(f, "the device did not answer in time ({doing})"),
        }
    }
}

impl core::error::Error for Error {}

/// A requester id, written as bus:device.function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bdf(pub u16);

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(id) = *self;
        write!(f, "{:02x}:{:02x}.{}", id >> 8, id >> 3 & 0x1f, id & 7)
    }
}
