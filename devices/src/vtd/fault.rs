//! Fault reasons [VT-d 7.1.3] and fault recording [VT-d 7.2.1].

use serde::{Deserialize, Serialize};

use super::capability::Config;
use super::regs::{Frcd, Fsts};
use crate::addr::{Iova, SourceId};
use crate::fabric::Access;

/// Why a request was blocked, with the code that the record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// LRT.2: root entry not present.
    RootNotPresent = 0x01,
    /// LCT.2: context entry not present.
    ContextNotPresent = 0x02,
    /// LCT.4: context entry programmed with an unsupported width or type, or its second-stage table
    /// cannot be read.
    ContextInvalid = 0x03,
    /// LGN.1: address beyond the width of the domain.
    AddressBeyondWidth = 0x04,
    /// LGN.2: no write permission.
    NoWrite = 0x05,
    /// LGN.3: no read permission.
    NoRead = 0x06,
    /// LSS.1: a second-stage table below the first cannot be read.
    TableAccess = 0x07,
    /// LRT.1: the root entry cannot be read.
    RootAccess = 0x08,
    /// LCT.1: the context entry cannot be read.
    ContextAccess = 0x09,
    /// LRT.3: reserved field in the root entry.
    RootReserved = 0x0a,
    /// LCT.3: reserved field in the context entry.
    ContextReserved = 0x0b,
    /// LSS.2: reserved field in a second-stage entry.
    TableReserved = 0x0c,
    /// LCT.5: the context entry blocks translated and translation requests.
    TypeBlocked = 0x0d,
    /// LGN.4: the output lies in the interrupt range.
    OutputInInterruptRange = 0x0e,
    /// Reserved field in a remappable interrupt request.
    InterruptReserved = 0x20,
    /// Interrupt index beyond the table.
    InterruptIndex = 0x21,
    /// Interrupt remapping table entry not present.
    InterruptNotPresent = 0x22,
    /// The interrupt remapping table entry cannot be read.
    InterruptTableAccess = 0x23,
    /// Reserved field in an interrupt remapping table entry.
    InterruptEntryReserved = 0x24,
    /// Interrupt in compatibility format, which is blocked.
    InterruptCompatibility = 0x25,
    /// The source of the interrupt is not the one that the entry names.
    InterruptSource = 0x26,
    /// Malformed access to the interrupt range.
    InterruptRangeAccess = 0x29,
    /// RTA.1: unsupported translation table mode.
    TableMode = 0x30,
    /// RTA.2: request with PASID in legacy mode.
    PasidInLegacy = 0x31,
    /// RTA.4: abort-DMA mode.
    AbortDma = 0x33,
}

impl Reason {
    /// Every reason that a legacy-mode unit reports.
    pub const ALL: [Self; 25] = [
        Self::RootNotPresent,
        Self::ContextNotPresent,
        Self::ContextInvalid,
        Self::AddressBeyondWidth,
        Self::NoWrite,
        Self::NoRead,
        Self::TableAccess,
        Self::RootAccess,
        Self::ContextAccess,
        Self::RootReserved,
        Self::ContextReserved,
        Self::TableReserved,
        Self::TypeBlocked,
        Self::OutputInInterruptRange,
        Self::InterruptReserved,
        Self::InterruptIndex,
        Self::InterruptNotPresent,
        Self::InterruptTableAccess,
        Self::InterruptEntryReserved,
        Self::InterruptCompatibility,
        Self::InterruptSource,
        Self::InterruptRangeAccess,
        Self::TableMode,
        Self::PasidInLegacy,
        Self::AbortDma,
    ];

    /// The code in FRCD.FR.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether FPD = 1 in a context entry, or an interrupt remapping table entry, keeps it from being recorded [VT-d 7.1.3].
    pub const fn qualified(self) -> bool {
        !matches!(
            self,
            Self::RootNotPresent
                | Self::RootAccess
                | Self::ContextAccess
                | Self::RootReserved
                | Self::InterruptReserved
                | Self::InterruptIndex
                | Self::InterruptTableAccess
                | Self::InterruptCompatibility
                | Self::InterruptRangeAccess
                | Self::TableMode
                | Self::PasidInLegacy
                | Self::AbortDma
        )
    }

    /// A few words for people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::RootNotPresent => "root entry not present",
            Self::ContextNotPresent => "context entry not present",
            Self::ContextInvalid => "context entry invalid",
            Self::AddressBeyondWidth => "address beyond the domain's width",
            Self::NoWrite => "no write permission",
            Self::NoRead => "no read permission",
            Self::TableAccess => "second-stage table not readable",
            Self::RootAccess => "root entry not readable",
            Self::ContextAccess => "context entry not readable",
            Self::RootReserved => "reserved field in root entry",
            Self::ContextReserved => "reserved field in context entry",
            Self::TableReserved => "reserved field in second-stage entry",
            Self::TypeBlocked => "translated request blocked",
            Self::OutputInInterruptRange => "output in the interrupt range",
            Self::InterruptReserved => "reserved field in interrupt request",
            Self::InterruptIndex => "interrupt index beyond the table",
            Self::InterruptNotPresent => "interrupt entry not present",
            Self::InterruptTableAccess => "interrupt entry not readable",
            Self::InterruptEntryReserved => "reserved field in interrupt entry",
            Self::InterruptCompatibility => "compatibility-format interrupt blocked",
            Self::InterruptSource => "interrupt from another source than the entry's",
            Self::InterruptRangeAccess => "malformed access to the interrupt range",
            Self::TableMode => "unsupported translation table mode",
            Self::PasidInLegacy => "request with PASID in legacy mode",
            Self::AbortDma => "abort-DMA mode",
        }
    }
}

/// A fault as it is found, before it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The requester.
    pub source: SourceId,
    /// The address it asked for; of an interrupt fault, the interrupt's index in bits 63:48.
    pub address: Iova,
    /// What it wanted.
    pub access: Access,
    /// Why it was blocked.
    pub reason: Reason,
}

impl Fault {
    /// A blocked interrupt request; an index above 16 bits is cut.
    pub fn interrupt(source: SourceId, reason: Reason, index: u32) -> Self {
        Self { source, address: Iova(u64::from(index) << 48), access: Access::Write, reason }
    }

    /// The record, F set. `width` bits of the address are kept: the widest supported AGAW.
    ///
    /// PASID, privilege and address-type fields stay zero: they are reserved on a unit without
    /// ECAP.PASID and ECAP.DT.
    fn record(self, width: u32) -> Frcd {
        let address = match self.reason {
            // The field is undefined for these reasons [VT-d 11.4.7.6].
            Reason::InterruptReserved | Reason::InterruptCompatibility | Reason::InterruptRangeAccess => 0,
            Reason::InterruptIndex
            | Reason::InterruptNotPresent
            | Reason::InterruptTableAccess
            | Reason::InterruptEntryReserved
            | Reason::InterruptSource => self.address.0,
            _ => self.address.0 & ((1 << width) - 1),
        };
        Frcd::ZERO
            .with_f(true)
            .with_t1(self.access != Access::Write)
            .with_t2(self.access == Access::Atomic)
            .with_fr(self.reason.code())
            .with_sid(self.source.0)
            .with_fi(address >> 12)
    }
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Recorded; `first` if no other was pending.
    Recorded {
        /// PPF went from 0 to 1.
        first: bool,
    },
    /// Dropped, because its source has a fault pending.
    Compressed,
    /// Dropped: no room; PFO is set.
    Overflow,
}

impl Fate {
    /// A word for traces.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Recorded { .. } => "recorded",
            Self::Compressed => "collapsed into a pending one",
            Self::Overflow => "lost to overflow",
        }
    }
}

/// Number of fault recording registers; CAP.NFR reports one less.
pub const RECORDS: usize = 8;

/// The fault recording registers with their status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorder {
    records: [Frcd; RECORDS],
    /// Where the next fault goes; counted modulo [`RECORDS`].
    next: u8,
    fri: u8,
    overflow: bool,
}

impl Recorder {
    /// Empty registers.
    pub const RESET: Self = Self { records: [Frcd::ZERO; RECORDS], next: 0, fri: 0, overflow: false };

    /// Records a fault if there is room.
    pub fn record(&mut self, fault: Fault, config: &Config) -> Fate {
        if self.overflow {
            return Fate::Overflow;
        }
        if config.compress_faults && self.records.iter().any(|r| r.f() && r.sid() == fault.source.0) {
            return Fate::Compressed;
        }
        let first = !self.pending();
        let place = usize::from(self.next) % RECORDS;
        if self.records[place].f() {
            self.overflow = true;
            return Fate::Overflow;
        }
        self.records[place] = fault.record(config.address_width.bits());
        if first {
            // Below RECORDS.
            self.fri = place as u8;
        }
        self.next = self.next.wrapping_add(1);
        Fate::Recorded { first }
    }

    /// PPF: some record is valid.
    pub fn pending(&self) -> bool {
        self.records.iter().any(|record| record.f())
    }

    /// PFO.
    pub fn overflowed(&self) -> bool {
        self.overflow
    }

    /// The bits of FSTS that recording owns: FRI, PPF and PFO.
    pub fn status(&self) -> Fsts {
        Fsts::ZERO.with_fri(self.fri).with_ppf(self.pending()).with_pfo(self.overflow)
    }

    /// PFO was written with 1.
    pub fn clear_overflow(&mut self) {
        self.overflow = false;
    }

    /// Remapping was switched off: recording starts at the first register again [VT-d 7.2.1].
    pub fn restart(&mut self) {
        self.next = 0;
    }

    /// A dword (0 to 3) of register `index`, which is below [`RECORDS`].
    pub fn read(&self, index: u8, dword: u32) -> u32 {
        let words = self.records[usize::from(index)].raw();
        // The shift leaves the dword in the low half.
        (words[(dword / 2) as usize] >> (32 * (dword % 2))) as u32
    }

    /// Software wrote a dword: only F can change.
    pub fn write(&mut self, index: u8, dword: u32, value: u32) {
        let mut words = [0; 2];
        words[(dword / 2) as usize] = u64::from(value) << (32 * (dword % 2));
        let record = &mut self.records[usize::from(index)];
        *record = record.written(words);
    }
}
