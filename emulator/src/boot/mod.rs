//! What firmware does last: tables, the guest's image, and the state in which it starts.

pub mod aarch64;

use firmware::BootState;
#[cfg(test)]
mod tests;

use firmware::acpi::{self, AcpiError};
use firmware::bios_data::{self, NoLowMemory};
use firmware::boot::{self, BootConfig};
use firmware::multiboot::{self, Module, MultibootConfig};
use thiserror::Error;

use crate::config::{IommuSpec, MachineSpec, Reserved};
use crate::machine::{Machine, layout};

/// A guest to start.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// An image with a multiboot header, or an ELF64 executable.
    pub image: &'a [u8],
    /// The image's name: by custom the first word of a multiboot guest's command line.
    pub name: &'a str,
    /// Words for the guest.
    pub command_line: &'a str,
    /// Files for the guest, which must be a multiboot one.
    pub modules: &'a [Module<'a>],
}

/// The guest cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The firmware tables cannot be made.
    #[error(transparent)]
    Tables(#[from] AcpiError),
    /// The BIOS data area cannot be written.
    #[error(transparent)]
    BiosData(#[from] NoLowMemory),
    /// The ELF64 image cannot be loaded.
    #[error(transparent)]
    Elf(#[from] boot::BootError),
    /// The multiboot image cannot be loaded.
    #[error(transparent)]
    Multiboot(#[from] multiboot::MultibootError),
    /// The machine has another architecture.
    #[error("the board {0} has no x86-64 firmware to start a guest with; use --machine q35")]
    Board(&'static str),
    /// Modules for an image that has no way to find them.
    #[error("only multiboot images take modules, and this one has no multiboot header; leave --module out")]
    Modules,
}

/// Writes the tables that describe `machine` to its memory: RSDP, RSDT, XSDT, FADT, DSDT, MADT, MCFG
/// and, where there is an IOMMU, DMAR.
///
/// # Errors
/// [`StartError::Board`], and [`StartError::Tables`] where the machine cannot be described.
pub fn write_tables(machine: &Machine) -> Result<(), StartError> {
    let board = || StartError::Board(machine.config().machine.name());
    let description = machine.description().ok_or_else(board)?;
    Ok(acpi::build(&description)?.write(machine.memory())?)
}

/// Writes the tables and the BIOS data area and loads the guest, by the protocol that its header asks for, into a machine
/// with resources assigned.
///
/// # Errors
/// [`StartError`] says what is wrong with the guest or the machine.
pub fn start(machine: &Machine, guest: Guest<'_>) -> Result<BootState, StartError> {
    let Guest { image, name, command_line, modules } = guest;
    let MachineSpec::Q35(_) = machine.config().machine else {
        return Err(StartError::Board(machine.config().machine.name()));
    };
    let memory = machine.memory();
    let ecam = layout::q35::ECAM_BASE..=layout::q35::ECAM_BASE + (layout::q35::ECAM_SIZE - 1);
    let promised = machine.config().iommus.iter().filter_map(IommuSpec::reserved);
    let reserved: &Vec<_> = &promised.map(Reserved::range).chain([ecam]).collect();
    let state = if multiboot::has_header(image) {
        let command_line = format!("{name} {command_line}");
        let command_line = command_line.trim_end();
        multiboot::load(memory, &MultibootConfig { image, command_line, modules, reserved })?
    } else if modules.is_empty() {
        boot::load(memory, &BootConfig { image, command_line, reserved })?
    } else {
        return Err(StartError::Modules);
    };
    bios_data::write(memory, layout::q35::SERIAL_PORT)?;
    write_tables(machine)?;
    Ok(state)
}
