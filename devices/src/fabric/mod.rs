//! The fabric: the words that bus masters, IOMMUs and machines share.
//!
//! A bus master puts a [`Transaction`] on the bus through its [`DmaPort`] and learns an [`Outcome`],
//! nothing more. Between the two stands a [`Translate`]: an IOMMU, or [`Direct`] where there is
//! none. Why a transaction was refused stays inside the IOMMU, as its architected record.
//!
//! Invariants:
//! - No model calls another. What must happen elsewhere is an [`Effect`], delivered by the machine.
//! - A message interrupt is a write of 4 bytes; the address decides what a write is.
//! - A DMA is cut at 4-KiB borders, each piece translated and done before the next is looked at, so
//!   what lies before a fault has happened.

mod effects;
pub mod guard;
mod port;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::addr::{Iova, Pa, Pasid, SourceId, StreamId};
use crate::iommu::UnitId;
use crate::mem::{Handle, PhysMem};
pub use effects::{Effect, Effects};
pub use port::{DmaPort, DmaResult, Doorbell, Request};

/// First address of the message-interrupt window [VT-d 3.15].
pub const MESSAGE_FIRST: u64 = 0xfee0_0000;
/// Last address of the message-interrupt window.
pub const MESSAGE_LAST: u64 = 0xfeef_ffff;

/// Whether `address` lies in the message-interrupt window.
pub const fn is_message(address: u64) -> bool {
    address >= MESSAGE_FIRST && address <= MESSAGE_LAST
}

/// Who masters the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Initiator {
    /// A PCI function.
    Pci {
        /// PCI segment group.
        segment: u16,
        /// Requester id.
        source: SourceId,
    },
    /// An I/O APIC.
    IoApic {
        /// Requester id, as the DRHD's device scope names it [VT-d 8.3.1].
        source: SourceId,
        /// Whether interrupt remapping compares the requester id with what its entry wants.
        ///
        /// DEVIATION: hardware verifies every requester. Guests exist that give the entries of
        /// I/O APIC pins the requester id of the device behind the pin; off serves them. It is a
        /// property of the requester because only I/O APICs need it, not of the remapping unit,
        /// which must not become lax towards PCI functions.
        verify: bool,
    },
    /// A bus master that is no PCI function.
    Platform {
        /// Its StreamID.
        stream: StreamId,
        /// Whether its transactions may be stalled; those of PCI functions must not be
        /// [SMMUv3 3.12.2]. A property of the requester, because it has to hold the transaction.
        can_stall: bool,
    },
}

impl Initiator {
    /// The requester id that an IOMMU sees. That of a platform master is the low half of its
    /// StreamID, as firmware gives those that VT-d calls ACPI name-space devices one [VT-d 8.3.1].
    pub const fn source(self) -> SourceId {
        match self {
            Self::Pci { source, .. } | Self::IoApic { source, .. } => source,
            Self::Platform { stream, .. } => SourceId(stream.0 as u16),
        }
    }

    /// The requester id that interrupt remapping holds against the one of its entry, or `None` if
    /// this requester is not to be verified.
    pub const fn verified_source(self) -> Option<SourceId> {
        match self {
            Self::Pci { .. } | Self::IoApic { verify: true, .. } | Self::Platform { .. } => {
                Some(self.source())
            }
            Self::IoApic { verify: false, .. } => None,
        }
    }
}

impl std::fmt::Display for Initiator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pci { source, .. } | Self::IoApic { source, .. } => source.fmt(f),
            Self::Platform { stream, .. } => write!(f, "stream {stream}"),
        }
    }
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Reads memory; with `len == 0` it only asks whether it might.
    Read,
    /// Writes memory.
    Write,
    /// Reads, modifies and writes memory in one step.
    Atomic,
}

/// Attributes of a transaction beside its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attrs {
    /// Privileged mode requested (PASID prefix, or the bus's own signal).
    pub privileged: bool,
    /// Execute permission requested.
    pub execute: bool,
    /// No Snoop attribute.
    pub no_snoop: bool,
    /// Secure address space (Arm).
    pub secure: bool,
}

/// The address type of a TLP [PCIe 10.2.4].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// AT = 00: the address is an IOVA.
    #[default]
    Untranslated,
    /// AT = 10: the device claims to hold a translation.
    Translated,
}

/// One transaction on the bus. It never crosses a 4-KiB border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Who asks.
    pub initiator: Initiator,
    /// PASID prefix, if there is one.
    pub pasid: Option<Pasid>,
    /// First byte.
    pub address: Iova,
    /// Length in bytes; 0 for a zero-length read.
    pub len: u64,
    /// What it does.
    pub access: Access,
    /// Attributes.
    pub attrs: Attrs,
    /// Address type.
    pub kind: Kind,
}

/// How a transaction can fail, as its completion says it [PCIe 2.2.9].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Abort {
    /// Unsupported Request.
    Ur,
    /// Completer Abort.
    Ca,
}

/// All that a bus master ever learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// It happened.
    Done,
    /// Refused without a word: a write is dropped, a read returns zeros.
    Raz,
    /// Refused: a write is dropped, a read returns nothing.
    Abort(Abort),
    /// Held: it goes on, or ends, when [`Effect::Resume`] names the tag. Only a master that can stall
    /// ever sees it.
    Stalled(StallTag),
}

/// Names a held transaction to its master and to the IOMMU that holds it. Unique among the
/// transactions that a unit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StallTag {
    /// The unit that holds it.
    pub unit: UnitId,
    /// A number that the unit gave.
    pub number: u32,
}

/// How a held transaction goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Resumption {
    /// As a new arrival.
    Retry,
    /// It ends with this outcome, [`Outcome::Raz`] or [`Outcome::Abort`].
    End(Outcome),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Raz => "read as zero",
            Self::Abort(Abort::Ur) => "aborted (UR)",
            Self::Abort(Abort::Ca) => "aborted (CA)",
            Self::Stalled(_) => "stalled",
        })
    }
}

/// What an IOMMU decided about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on to this physical address.
    Memory {
        /// Where the first byte lies.
        pa: Pa,
        /// The RAM there, if the IOMMU knew it already.
        handle: Option<Handle>,
    },
    /// A message interrupt: do not touch memory.
    Interrupt,
    /// Complete without touching memory (a zero-length read of the message window).
    Nothing,
    /// Refused.
    Refused(Outcome),
}

/// The half of an IOMMU that bus masters meet; also what stands in its place.
pub trait Translate: Send + Sync {
    /// Decides about `transaction`. What the unit is to record goes to `fx`, as [`Effect::Fault`] or
    /// [`Effect::Event`].
    fn translate(&self, transaction: &Transaction, fx: &mut Effects) -> Verdict;

    /// A slot for a port, where invalidations have to wait for DMA on other threads.
    fn guard_slot(&self) -> Option<guard::Slot> {
        None
    }

    /// Decides about an interrupt request that [`Self::translate`] recognised, and sends what
    /// becomes of it as [`Effect::Interrupt`]. Without interrupt remapping that is the request as
    /// it is.
    fn interrupt(&self, initiator: Initiator, address: u64, data: u32, fx: &mut Effects) -> Outcome {
        fx.push(Effect::Interrupt { initiator, address, data });
        Outcome::Done
    }
}

/// No IOMMU, on a bus without a message-interrupt window: what a write means is decided by the physical address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untranslated;

impl Translate for Untranslated {
    fn translate(&self, transaction: &Transaction, _: &mut Effects) -> Verdict {
        match transaction.kind {
            Kind::Untranslated => Verdict::Memory { pa: Pa(transaction.address.0), handle: None },
            Kind::Translated => Verdict::Refused(Outcome::Abort(Abort::Ur)),
        }
    }
}

/// No IOMMU, on a bus with the message-interrupt window of a PC: physical addresses on the bus.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Translate for Direct {
    fn translate(&self, transaction: &Transaction, _: &mut Effects) -> Verdict {
        let Transaction { address, len, access, kind, .. } = *transaction;
        if kind == Kind::Translated {
            return Verdict::Refused(Outcome::Abort(Abort::Ur));
        }
        if !is_message(address.0) {
            return Verdict::Memory { pa: Pa(address.0), handle: None };
        }
        match access {
            Access::Write if is_interrupt_write(address, len) => Verdict::Interrupt,
            Access::Read if len == 0 => Verdict::Nothing,
            _ => Verdict::Refused(Outcome::Abort(Abort::Ur)),
        }
    }
}

/// Whether a write has the form of an interrupt request: one aligned dword [VT-d 3.15].
pub const fn is_interrupt_write(address: Iova, len: u64) -> bool {
    is_message(address.0) && len == 4 && address.0.is_multiple_of(4)
}

/// An AtomicOp with its operands [PCIe 6.15].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AtomicOp {
    /// Adds to a dword.
    FetchAdd32(u32),
    /// Adds to a qword.
    FetchAdd64(u64),
    /// Replaces a dword.
    Swap32(u32),
    /// Replaces a qword.
    Swap64(u64),
    /// Replaces a dword that equals `compare`.
    CompareSwap32 {
        /// The value expected.
        compare: u32,
        /// The value stored if it was found.
        swap: u32,
    },
    /// Replaces a qword that equals `compare`.
    CompareSwap64 {
        /// The value expected.
        compare: u64,
        /// The value stored if it was found.
        swap: u64,
    },
}

impl AtomicOp {
    /// Bytes of the operand in memory, 4 or 8.
    pub const fn size(self) -> u64 {
        match self {
            Self::FetchAdd32(_) | Self::Swap32(_) | Self::CompareSwap32 { .. } => 4,
            Self::FetchAdd64(_) | Self::Swap64(_) | Self::CompareSwap64 { .. } => 8,
        }
    }

    /// The new value for an old one; a 4-byte operation wraps at 32 bits.
    pub fn apply(self, old: u64) -> u64 {
        match self {
            // The sum of a dword is cut to a dword.
            Self::FetchAdd32(add) => u64::from((old as u32).wrapping_add(add)),
            Self::FetchAdd64(add) => old.wrapping_add(add),
            Self::Swap32(new) => u64::from(new),
            Self::Swap64(new) => new,
            Self::CompareSwap32 { compare, swap } if old == u64::from(compare) => u64::from(swap),
            Self::CompareSwap64 { compare, swap } if old == compare => swap,
            Self::CompareSwap32 { .. } | Self::CompareSwap64 { .. } => old,
        }
    }
}

/// A write of 4 bytes that a model other than a bus master wants done (its own message interrupt):
/// to the message window it is an interrupt, to RAM a store, elsewhere it is lost. The window is
/// told by the low dword of the address: the upper one holds bits 31:8 of an x2APIC destination, in
/// its own bits 31:8 [VT-d 5.1.6.2].
///
/// Returns whether it is an interrupt for the machine to deliver.
pub fn posted_write(mem: &PhysMem, address: u64, data: u32) -> bool {
    if is_interrupt_write(Iova(address & 0xffff_ffff), 4) && (address >> 32) & 0xff == 0 {
        return true;
    }
    // A write that hits neither RAM nor the window has no completer; posted writes report nothing.
    let _ = mem.write(Pa(address), &data.to_le_bytes());
    false
}
