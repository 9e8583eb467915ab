//! ACPI tables of a PC with remapping hardware [ACPI 6.3; VT-d 8].
//!
//! [`build`] turns a [`MachineDescription`] into RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, MCFG and
//! DMAR; [`Tables::write`] puts them where operating systems look for them:
//!
//! | address | what |
//! |---|---|
//! | 0xf0000 | RSDP, found by a scan of 0xe0000..0x100000 |
//! | after it, below 0x100000 | the other tables, 16-byte aligned (FACS: 64) |
//!
//! Boot protocols call that area reserved in their memory maps, so a guest keeps its hands off.
//!
//! Every table comes from acpi_tables where that crate has it; DMAR, MADT and what points by 32 bits
//! are made here. A description that contradicts itself, or that an operating system would answer by
//! silently not using the remapping hardware, is refused.
//!
//! What is absent: processor objects, power states, buttons, _OSC, hot-plug, and any table for what
//! the description has no word for. DMAR has remapping units and reserved memory, no ATSR, RHSA,
//! ANDD, SATC or SIDP.

mod description;
mod dmar;
mod error;
mod fadt;
mod header;
mod madt;
mod pci;
#[cfg(test)]
mod tests;

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

pub use description::{
    DeviceScope, Dmar, Drhd, IntxRoute, IoApic, MachineDescription, PathStep, PciRoot, PowerManagement, Rmrr,
    ScopeKind,
};
pub use error::AcpiError;

/// Where the RSDP lies.
const RSDP: u32 = 0xf_0000;
/// First address after the area for tables.
const AREA_END: u32 = 0x10_0000;
const AREA_SIZE: usize = (AREA_END - RSDP) as usize;
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
    pub const RSDP: u64 = RSDP as u64;

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

/// Builds the tables of a machine.
///
/// # Errors
/// [`AcpiError`] says what in the description cannot be.
pub fn build(machine: &MachineDescription) -> Result<Tables, AcpiError> {
    let mut area = Area { tables: Vec::new(), size: header::RSDP_SIZE };
    let facs = machine.power.map(|_| area.place(fadt::facs(), FACS_ALIGNMENT)).transpose()?;
    let dsdt = area.place(pci::dsdt(&machine.pci)?, ALIGNMENT)?;
    let mut listed = vec![
        area.place(fadt::build(machine, dsdt, facs)?, ALIGNMENT)?,
        area.place(madt::build(machine)?, ALIGNMENT)?,
        area.place(pci::mcfg(&machine.pci)?, ALIGNMENT)?,
    ];
    if let Some(dmar) = &machine.dmar {
        listed.push(area.place(dmar::build(dmar, &machine.io_apics)?, ALIGNMENT)?);
    }
    let rsdt = area.place(header::rsdt(&listed), ALIGNMENT)?;
    let xsdt = area.place(header::xsdt(&listed), ALIGNMENT)?;
    let rsdp = Table { address: Tables::RSDP, bytes: header::rsdp(rsdt, xsdt).to_vec() };
    area.tables.insert(0, rsdp);
    Ok(Tables { tables: area.tables })
}

/// The area for tables, filled from its start.
struct Area {
    tables: Vec<Table>,
    /// Bytes used, the RSDP's included.
    size: usize,
}

impl Area {
    /// Gives `bytes`, a table, its address.
    fn place(&mut self, bytes: Vec<u8>, alignment: usize) -> Result<u32, AcpiError> {
        let offset = self.size.next_multiple_of(alignment);
        self.size = offset + bytes.len();
        if self.size > AREA_SIZE {
            return Err(AcpiError::TooLarge { size: self.size, max: AREA_SIZE });
        }
        // An offset in the area is below 64 KiB.
        let address = RSDP + offset as u32;
        self.tables.push(Table { address: address.into(), bytes });
        Ok(address)
    }
}
