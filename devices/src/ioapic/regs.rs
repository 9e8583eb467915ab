//! Registers, indirect registers and the message that a redirection entry stands for.

use crate::register;

/// Bytes that the register file occupies, from 0xfec0_0000 on a PC.
pub const REGISTERS_SIZE: u64 = 0x1000;
/// Interrupt inputs, each with a redirection entry.
pub const PINS: usize = 24;

/// Index of the register that IOWIN shows [82093AA 3.1.1].
pub const IOREGSEL: u64 = 0x00;
/// Window to the register that IOREGSEL selects [82093AA 3.1.2].
pub const IOWIN: u64 = 0x10;
/// End of interrupt, write only [ICH10 13.5.4].
pub const EOI: u64 = 0x40;

register! {
    /// Identification Register, index 00h [82093AA 3.2.1].
    pub struct IoApicId: u32 {
        31:28 RsvdZ _r1,
        /// Identification, which software assigns.
        27:24 Rw    id: u8,
        23:0  RsvdZ _r0,
    }
}

register! {
    /// Version Register, index 01h [82093AA 3.2.2].
    pub struct IoApicVer: u32 {
        31:24 RsvdZ _r1,
        /// Index of the last redirection entry.
        23:16 Ro    max_redirection_entry: u8,
        /// Pin assertion register implemented [ICH10 13.5.6].
        15:15 Ro    prq: bool,
        14:8  RsvdZ _r0,
        /// Implementation version; from 20h on there is an EOI register.
        7:0   Ro    version: u8,
    }
}

/// The Version Register: version 20h, 24 entries, no pin assertion register.
pub const VERSION: IoApicVer = IoApicVer::from_raw(0x0017_0020);

register! {
    /// Redirection table entry [82093AA 3.2.4, ICH10 13.5.7].
    ///
    /// The destination is kept as the 16 bits that become bits 19:4 of the message's address: in
    /// compatibility format an APIC id (63:56) and its extension (55:48), in remappable format the
    /// index of an interrupt entry (63:49) and the format bit (48) [VT-d 5.1.2.2].
    pub struct Rte: u64 {
        /// Destination, or remapping index and format.
        63:48 Rw    destination: u16,
        47:17 RsvdZ _r0,
        /// Interrupt mask.
        16:16 Rw    interrupt_mask: bool,
        /// Trigger mode: 1 level, 0 edge.
        15:15 Rw    trigger_mode: bool,
        /// Remote IRR: the message was accepted and no EOI has come since.
        14:14 Ro    remote_irr: bool,
        /// Input polarity: 1 active low. See [`IoApic::set_line`](super::IoApic::set_line).
        13:13 Rw    intpol: bool,
        /// Delivery status: 1 if a message waits to be sent.
        12:12 Ro    delivery_status: bool,
        /// Destination mode: 1 logical; in remappable format bit 15 of the index.
        11:11 Rw    destination_mode: bool,
        /// Delivery mode; 000 in remappable format.
        10:8  Rw    delivery_mode: u8,
        /// Vector.
        7:0   Rw    vector: u8,
    }
}

/// Delivery mode: to the processors named.
const FIXED: u8 = 0b000;
/// Delivery mode: to that processor among those named which is the least busy.
const LOWEST_PRIORITY: u8 = 0b001;

impl Rte {
    /// Masked, all else zero.
    pub const RESET: Self = Self::from_raw(0x0001_0000);

    /// Whether the input's level counts, not its edges. SMI, NMI, INIT and ExtINT are edge triggered
    /// whatever the trigger mode says, and never set Remote IRR [82093AA 3.2.4, ICH10 13.5.7].
    pub const fn level_sensitive(self) -> bool {
        self.trigger_mode() && matches!(self.delivery_mode(), FIXED | LOWEST_PRIORITY)
    }

    /// Address and data of the interrupt request, in either format [ICH10 5.9.4, VT-d 5.1.2].
    ///
    /// The format needs no switch: the remappable one is software's way to fill the same bits. An
    /// ExtINT entry sends its own vector field; which vector the processor takes is between it and
    /// the 8259s.
    ///
    /// DEVIATION: [ICH10 5.9.4] sets bit 14 of the data (assert) for edges too, where receivers do
    /// not look at it. Here it follows the trigger mode.
    pub const fn message(self) -> (u64, u32) {
        let lowest_priority = self.delivery_mode() == LOWEST_PRIORITY;
        let address = 0xfee0_0000
            | (self.destination() as u64) << 4
            | (lowest_priority as u64) << 3
            | (self.destination_mode() as u64) << 2;
        let trigger_mode = self.trigger_mode() as u32;
        let data = self.vector() as u32
            | (self.delivery_mode() as u32) << 8
            // Only assertions are sent.
            | trigger_mode << 14
            | trigger_mode << 15;
        (address, data)
    }
}

/// A register behind IOWIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indirect {
    /// IOAPICID.
    Id,
    /// IOAPICVER.
    Ver,
    /// IOAPICARB.
    Arb,
    /// A half of IOREDTBL.
    Redirection {
        /// Input, below [`PINS`].
        pin: usize,
        /// Bits 63:32.
        high: bool,
    },
}

impl Indirect {
    /// The register that this value of IOREGSEL selects, if there is one.
    pub const fn at(index: u8) -> Option<Self> {
        match index {
            0x00 => Some(Self::Id),
            0x01 => Some(Self::Ver),
            0x02 => Some(Self::Arb),
            0x10..0x40 => {
                Some(Self::Redirection { pin: (index as usize - 0x10) / 2, high: !index.is_multiple_of(2) })
            }
            _ => None,
        }
    }

    /// The data sheet's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "IOAPICID",
            Self::Ver => "IOAPICVER",
            Self::Arb => "IOAPICARB",
            Self::Redirection { .. } => "IOREDTBL",
        }
    }
}
