//! ACPI tables of machines with IOMMUs [ACPI 6.3; VT-d 8; IORT E.e].
//!
//! [`build`] turns what is known of a machine into tables; [`Tables::write`] puts them into memory.
//!
//! | machine | tables | where |
//! |---|---|---|
//! | PC ([`MachineDescription`]) | RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, MCFG, DMAR | 0xf0000 to 0xfffff: operating systems scan for the RSDP |
//! | Arm ([`arm::Description`]) | RSDP, XSDT, FADT, DSDT, MADT, PPTT, GTDT, MCFG, SPCR, IORT | where the caller says: boot firmware hands the RSDP over |
//!
//! The RSDP lies first, the others follow 16-byte aligned (FACS: 64). On a PC, boot protocols call that
//! area reserved in their memory maps, so a guest keeps its hands off.
//!
//! Every table comes from acpi_tables where that crate has it; DMAR, IORT, MADT, PPTT, GTDT, SPCR and what
//! points by 32 bits are made here. A description that contradicts itself, or that an operating system
//! would answer by silently not using the remapping hardware, is refused.
//!
//! What is absent: power states, buttons, hot-plug, a PC's processor objects and _OSC, and any table for
//! what a description has no word for. DMAR has remapping units and reserved memory, no ATSR, RHSA,
//! ANDD, SATC or SIDP; IORT has no SMMUv2 and no performance counters; the DSDT of an Arm machine leaves
//! out the PL031, whose time comes from the firmware there.

mod arm_machine;
mod description;
mod dmar;
mod error;
mod fadt;
mod gtdt;
mod header;
mod iort;
mod madt;
mod pci;
mod spcr;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::arm;

pub use description::{
    DeviceScope, Dmar, Drhd, IntxRoute, IoApic, MachineDescription, PathStep, PciRoot, PowerManagement, Rmrr,
    ScopeKind,
};
pub use error::AcpiError;

/// Where the tables of a PC lie.
const PC_AREA: RangeInclusive<u64> = 0xf_0000..=0xf_ffff;
const ALIGNMENT: usize = 16;
const FACS_ALIGNMENT: usize = 64;

/// ACPI tables and where they lie in guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    tables: Vec<Table>,
}

/// A table and where it lies in guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Physical address of its first byte.
    pub address: u64,
    /// The whole table, from its signature on.
    pub bytes: Vec<u8>,
}

impl Tables {
    /// Physical address of the RSDP, for boot protocols that hand it over.
    pub fn rsdp(&self) -> u64 {
        // There is always at least the RSDP.
        self.tables.first().map_or(0, |rsdp| rsdp.address)
    }

    /// The tables in ascending order of addresses: first the RSDP.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter()
    }

    /// Writes the tables to guest memory.
    ///
    /// # Errors
    /// [`AcpiError::NoRam`] if a table's place is not RAM. Nothing has been written then.
    pub fn write(&self, memory: &GuestMemoryMmap) -> Result<(), AcpiError> {
        let no_ram = |table: &Table| AcpiError::NoRam {
            first: table.address,
            last: table.address + (table.bytes.len() as u64 - 1),
        };
        let is_ram = |table: &&Table| {
            GuestMemoryBackend::check_range(memory, GuestAddress(table.address), table.bytes.len())
        };
        if let Some(table) = self.tables.iter().find(|table| !is_ram(table)) {
            return Err(no_ram(table));
        }
        for table in &self.tables {
            memory.write_slice(&table.bytes, GuestAddress(table.address)).map_err(|_| no_ram(table))?;
        }
        Ok(())
    }
}

/// What tables are made of.
#[derive(Clone, Debug)]
pub enum Machine<'a> {
    /// A PC.
    Pc(&'a MachineDescription),
    /// An Arm machine.
    Arm {
        /// The machine.
        machine: &'a arm::Description,
        /// Where the tables may lie: RAM that nothing else uses, 16-byte aligned at its start. 64 KiB
        /// suffice for any machine of ordinary size.
        area: RangeInclusive<u64>,
    },
}

impl<'a> From<&'a MachineDescription> for Machine<'a> {
    fn from(machine: &'a MachineDescription) -> Self {
        Self::Pc(machine)
    }
}

/// Builds the tables of a machine.
///
/// # Errors
/// [`AcpiError`] says what in the description cannot be.
pub fn build<'a>(machine: impl Into<Machine<'a>>) -> Result<Tables, AcpiError> {
    match machine.into() {
        Machine::Pc(machine) => pc(machine),
        Machine::Arm { machine, area } => arm_machine::build(machine, &area),
    }
}

fn pc(machine: &MachineDescription) -> Result<Tables, AcpiError> {
    let mut area = Area::new(&PC_AREA);
    // All addresses are below 1 MiB.
    let narrow = |address: u64| address as u32;
    let facs = machine.power.map(|_| area.place(fadt::facs(), FACS_ALIGNMENT)).transpose()?;
    let dsdt = area.place(pci::dsdt(&machine.pci)?, ALIGNMENT)?;
    let mut listed = vec![
        area.place(fadt::build(machine, narrow(dsdt), facs.map(narrow))?, ALIGNMENT)?,
        area.place(madt::build(machine)?, ALIGNMENT)?,
        area.place(pci::mcfg(machine.pci.ecam, machine.pci.last_bus)?, ALIGNMENT)?,
    ];
    if let Some(dmar) = &machine.dmar {
        listed.push(area.place(dmar::build(dmar, &machine.io_apics)?, ALIGNMENT)?);
    }
    let short: Vec<_> = listed.iter().copied().map(narrow).collect();
    let rsdt = area.place(header::rsdt(&short), ALIGNMENT)?;
    let xsdt = area.place(header::xsdt(&listed), ALIGNMENT)?;
    Ok(area.finish(&header::rsdp(narrow(rsdt), xsdt)))
}

/// An area for tables, filled from its start.
struct Area {
    first: u64,
    /// Bytes that fit.
    max: usize,
    tables: Vec<Table>,
    /// Bytes used, the RSDP's included.
    size: usize,
}

impl Area {
    fn new(range: &RangeInclusive<u64>) -> Self {
        let max = usize::try_from((range.end() - range.start()).saturating_add(1)).unwrap_or(usize::MAX);
        Self { first: *range.start(), max, tables: Vec::new(), size: header::RSDP_SIZE }
    }

    /// Gives `bytes`, a table, its address.
    fn place(&mut self, bytes: Vec<u8>, alignment: usize) -> Result<u64, AcpiError> {
        let offset = self.size.next_multiple_of(alignment);
        self.size = offset + bytes.len();
        if self.size > self.max {
            return Err(AcpiError::TooLarge { size: self.size, max: self.max });
        }
        // Inside the area.
        let address = self.first + offset as u64;
        self.tables.push(Table { address, bytes });
        Ok(address)
    }

    /// The tables, with the RSDP before them.
    fn finish(mut self, rsdp: &[u8]) -> Tables {
        self.tables.insert(0, Table { address: self.first, bytes: rsdp.to_vec() });
        Tables { tables: self.tables }
    }
}
