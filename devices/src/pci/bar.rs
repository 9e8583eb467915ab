//! Base address registers [PCIe 7.5.1.2.1].

use super::config::{Builder, ConfigSpace};
use super::header::{BAR0, COMMAND, CommandStatus};

/// What a BAR decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory32,
    /// Memory anywhere; takes two BARs.
    Memory64 {
        /// Reads have no side effects.
        prefetchable: bool,
    },
}

impl BarKind {
    /// Whether this is memory, as opposed to I/O ports.
    pub const fn is_memory(self) -> bool {
        !matches!(self, Self::Io)
    }

    /// The bits that say what the BAR is.
    const fn flags(self) -> u32 {
        match self {
            Self::Io => 0b0001,
            Self::Memory32 => 0b0000,
            Self::Memory64 { prefetchable: false } => 0b0100,
            Self::Memory64 { prefetchable: true } => 0b1100,
        }
    }
}

/// One BAR of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarSpec {
    index: u8,
    kind: BarKind,
    size: u64,
}

impl BarSpec {
    /// BAR `index` (0 to 5), decoding `size` bytes.
    ///
    /// # Panics
    /// If there is no such BAR, or `size` is not a power of two that it can decode: at least 4 ports
    /// and at most 256, or at least 16 bytes of memory.
    pub const fn new(index: u8, kind: BarKind, size: u64) -> Self {
        assert!(size.is_power_of_two(), "a BAR decodes a power of two");
        match kind {
            BarKind::Io => assert!(index < 6 && size >= 4 && size <= 0x100, "an I/O BAR has 4 to 256 ports"),
            BarKind::Memory32 => {
                assert!(index < 6 && size >= 16 && size <= 1 << 31, "a 32-bit BAR has 16 bytes to 2 GiB");
            }
            BarKind::Memory64 { .. } => assert!(index < 5 && size >= 16, "a 64-bit BAR takes two of the six"),
        }
        Self { index, kind, size }
    }

    /// Number of the BAR, 0 to 5; of the lower one where it takes two.
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// What it decodes.
    pub const fn kind(&self) -> BarKind {
        self.kind
    }

    /// How many bytes or ports it decodes, a power of two.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Offset of the (lower) register in configuration space.
    pub const fn offset(&self) -> u16 {
        BAR0 + 4 * self.index as u16
    }

    pub(super) fn build(&self, builder: &mut Builder) {
        let mask = !(self.size - 1);
        // The register holds the low half of the mask; a 64-bit BAR has the rest in the next one.
        builder.raw(self.offset(), self.kind.flags(), mask as u32);
        if let BarKind::Memory64 { .. } = self.kind {
            builder.raw(self.offset() + 4, 0, (mask >> 32) as u32);
        }
    }

    /// The offset behind `address` and how many bytes the BAR still has from there on, if it
    /// decodes that address now.
    pub(super) fn decode(&self, config: &ConfigSpace, address: u64) -> Option<(u64, u64)> {
        let command = CommandStatus::from_raw(config.dword(COMMAND));
        let enabled = if self.kind.is_memory() { command.memory() } else { command.io() };
        let low = u64::from(config.dword(self.offset()));
        let high = match self.kind {
            BarKind::Memory64 { .. } => u64::from(config.dword(self.offset() + 4)),
            BarKind::Io | BarKind::Memory32 => 0,
        };
        let base = (high << 32 | low) & !(self.size - 1);
        let offset = address.checked_sub(base)?;
        (enabled && offset < self.size).then(|| (offset, self.size - offset))
    }
}
