//! What a machine is made of, as people write it on a command line.
//!
//! Every name, key and value is checked here, once; what follows works with types. Each error is
//! one sentence that names the thing, its value and what would be right.

mod board;
mod device;
mod iommu;
mod medium;
mod placement;
mod size;
#[cfg(test)]
mod tests;
mod units;

use devices::addr::{SourceId, StreamId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use board::{MachineSpec, Q35Spec, VirtSpec};
pub use device::{DeviceKind, DeviceSpec, PLATFORM_BUS, PlatformSpec, SlotAddress};
pub use iommu::{IommuSpec, Reserved, Smmuv3Spec, UnitSpec, VtdSpec};
pub use medium::MediumSpec;
pub use placement::{Placed, ROOT_BUS, place};
pub use size::MemorySize;
pub use units::UnitLayout;

/// A machine as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineConfig {
    /// Which board.
    pub machine: MachineSpec,
    /// Its IOMMUs: the remapping units, in the order of their numbers.
    pub iommus: Vec<IommuSpec>,
    /// Size of RAM.
    pub memory: MemorySize,
    /// PCI devices, in the order in which slots are given out.
    pub devices: Vec<DeviceSpec>,
    /// Seed of all randomness in the machine.
    pub seed: u64,
}

impl MachineConfig {
    /// Checks what reading it from options has checked: the description of a saved machine comes from a
    /// file that anybody can have written, and its numbers are sizes of what is built.
    ///
    /// # Errors
    /// Values that no option can have.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.machine.check(self.memory)?;
        self.iommus.iter().try_for_each(|iommu| iommu.check(&self.machine))?;
        let platform = self.devices.iter().filter(|device| device.platform.is_some()).count();
        self.machine.check_platform(platform)?;
        self.devices.iter().try_for_each(DeviceSpec::check)
    }
}

/// A machine that cannot be built as asked for.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A name that nothing has.
    #[error("unknown {what} '{value}'; known: {known}")]
    Unknown {
        /// What kind of name.
        what: &'static str,
        /// The name.
        value: String,
        /// What would be right.
        known: String,
    },
    /// An option that its owner does not have.
    #[error("{owner} has no option '{key}'; its options: {known}")]
    UnknownKey {
        /// The device or IOMMU.
        owner: String,
        /// The option.
        key: String,
        /// What would be right.
        known: String,
    },
    /// An option given twice, or without `=value`.
    #[error("{owner}: write the option '{key}' once, as {key}=VALUE")]
    Malformed {
        /// The device or IOMMU.
        owner: String,
        /// The option.
        key: String,
    },
    /// A value that is not one of the option's.
    #[error("{key}={value} is not valid: expected {expected}")]
    Value {
        /// The option.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// An option without which the device makes no sense.
    #[error("{owner} needs the option {key}=VALUE")]
    Missing {
        /// The device.
        owner: &'static str,
        /// The option.
        key: &'static str,
    },
    /// Something that the board does not have or take.
    #[error("{what} cannot be on the board {board}, which {why}")]
    Board {
        /// What was asked for.
        what: String,
        /// The board.
        board: &'static str,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// An option for platform devices on one that is none.
    #[error(
        "{device} takes stream=, can-stall=, ssid-bits= and iommu= only with bus=platform; add it, or leave them out"
    )]
    NotOnPlatform {
        /// The device.
        device: &'static str,
    },
    /// A platform device that would have to be on PCI.
    #[error("{device} on bus=platform is one exerciser without addr= and functions=; leave them out")]
    OnlyOnPci {
        /// The device.
        device: &'static str,
    },
    /// No medium, or two.
    #[error("nvme needs file=PATH, a disk image, or size=BYTES, memory, and not both")]
    OneMedium,
    /// Options of files for a medium in memory.
    #[error("readonly= and snapshot= are for nvme,file=PATH; leave them out, or give a file")]
    NotOfMemory,
    /// Options that contradict each other.
    #[error("readonly=on and snapshot=on exclude each other; nothing is written where nothing can be")]
    ReadOnlySnapshot,
    /// A file that cannot be a disk.
    #[error(transparent)]
    Image(#[from] crate::machine::OpenError),
    /// A StreamID that a platform device cannot have.
    #[error("stream={stream} {why}")]
    Stream {
        /// The StreamID.
        stream: StreamId,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// A unit that is not there.
    #[error("iommu={index} names no IOMMU; the machine has {count}, counted from 0")]
    NoIommu {
        /// The index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// Two devices at one place.
    #[error(
        "{device} cannot be at {at} on bus {bus}: {taken_by} is there; choose another addr=, or leave it out"
    )]
    Clash {
        /// Who wants the place.
        device: &'static str,
        /// Device and function number.
        at: SlotAddress,
        /// The bus.
        bus: String,
        /// Who has it.
        taken_by: &'static str,
    },
    /// A place that software would not find, or that the bus does not have.
    #[error("{device} cannot be at {at} on bus {bus}: {why}")]
    Place {
        /// Who wants the place.
        device: &'static str,
        /// Device and function number.
        at: SlotAddress,
        /// The bus.
        bus: String,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// No slot is left.
    #[error("bus {bus} has no free slot for {device}; take a device away, or put it behind a root port")]
    Full {
        /// Who wants a slot.
        device: &'static str,
        /// The bus.
        bus: String,
    },
    /// Two root ports of one name.
    #[error("two root ports are called '{0}'; give each its own id=")]
    SameName(String),
    /// More units than a machine can have.
    #[error("{count} IOMMUs are too many; a machine has at most {max}")]
    Units {
        /// How many were asked for.
        count: usize,
        /// How many there can be.
        max: usize,
    },
    /// Two units at one address.
    #[error("two IOMMUs have their registers at {0:#x}; give one of them another base=")]
    SameBase(u64),
    /// A unit that would take all functions that are left, and is not the last.
    #[error(
        "IOMMU {0} has no devices=, so it takes all that no other names, and must be the last; name its devices, or put \
         it last"
    )]
    RestNotLast(usize),
    /// A function behind two units.
    #[error("00:{0} is named more than once in devices=; a function is behind one IOMMU")]
    TwoUnits(SlotAddress),
    /// A function that bus 0 does not have.
    #[error(
        "{key}=00:{at} names no function of this machine; on bus 00 are: {known}; of what is behind a root port, name the \
         port"
    )]
    NoFunction {
        /// The option.
        key: &'static str,
        /// The function.
        at: SlotAddress,
        /// Those there are.
        known: String,
    },
    /// Reserved memory where something else is.
    #[error("rmrr={first:#x}-{last:#x} covers {what}, which are no memory; reserve another range")]
    NoMemory {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
        /// What is there.
        what: String,
    },
    /// A requester id of the I/O APIC that is not its own.
    #[error(
        "ioapic-source={id} cannot be the I/O APIC's: it is {whose}; choose an id that no function has, such as \
             f0:1f.0"
    )]
    IoapicSource {
        /// The id.
        id: SourceId,
        /// Whose it is.
        whose: String,
    },
    /// A field of an SMMU that cannot have this value.
    #[error(transparent)]
    SmmuOption(#[from] devices::smmuv3::capability::BadValue),
    /// Fields of an SMMU that cannot stand together.
    #[error(transparent)]
    SmmuRule(#[from] devices::smmuv3::capability::Inconsistent),
    /// The PCI host refuses a place.
    #[error(transparent)]
    Pci(#[from] devices::pci::AddError),
    /// The host cannot provide the memory.
    #[error(transparent)]
    Memory(#[from] devices::mem::MemError),
    /// The devices do not fit their bus windows.
    #[error("no room for {what} of {bytes:#x} bytes below {last:#x}; take a device away")]
    NoRoom {
        /// What had to be placed.
        what: String,
        /// Its size.
        bytes: u64,
        /// The end of the window.
        last: u64,
    },
}

impl ConfigError {
    fn unknown(what: &'static str, value: &str, known: &[&str]) -> Self {
        Self::Unknown { what, value: value.to_owned(), known: known.join(", ") }
    }
}

/// Splits `name,key=value,…` and gives each pair to `set`, which says whether it knows the key;
/// `known` lists the keys for the one who mistypes.
fn parse_options(
    text: &str,
    known: &[&str],
    mut set: impl FnMut(&str, &str) -> Result<bool, ConfigError>,
) -> Result<(), ConfigError> {
    let mut parts = text.split(',');
    let owner = parts.next().unwrap_or_default();
    let mut seen = Vec::new();
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let malformed = value.is_empty() || seen.contains(&key);
        if malformed && known.contains(&key) {
            return Err(ConfigError::Malformed { owner: owner.to_owned(), key: key.to_owned() });
        }
        if malformed || !set(key, value)? {
            let known = known.join(", ");
            return Err(ConfigError::UnknownKey { owner: owner.to_owned(), key: key.to_owned(), known });
        }
        seen.push(key);
    }
    Ok(())
}

/// The value of a switch.
fn switch(key: &'static str, value: &str) -> Result<bool, ConfigError> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(ConfigError::Value { key, value: value.to_owned(), expected: "on or off" }),
    }
}

/// A number as C writes them: decimal, or hexadecimal after `0x`.
pub fn parse_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // The standard parser would accept a sign.
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}
