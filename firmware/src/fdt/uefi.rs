//! The tree that goes with UEFI's tables: it says nothing of the machine but where they are
//! [Linux Documentation/arch/arm/uefi.rst].

use vm_fdt::FdtWriter;

use super::{Written, boot_arguments, node};
use crate::arm::Description;

/// `linux,uefi-secure-boot`, which kernels of some distributions insist on: it is switched off.
const SECURE_BOOT_DISABLED: u32 = 2;

/// Where the tables that UEFI has left are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uefi {
    /// Physical address of the system table.
    pub system_table: u64,
    /// Physical address of the memory map.
    pub map: u64,
    /// Its size, in bytes.
    pub map_size: u32,
    /// Bytes from one of its descriptors to the next.
    pub descriptor_size: u32,
    /// Version of its descriptors.
    pub descriptor_version: u32,
}

pub(super) fn write(fdt: &mut FdtWriter, machine: &Description, uefi: &Uefi) -> Written {
    node(fdt, "", |fdt| {
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        node(fdt, "chosen", |fdt| {
            boot_arguments(fdt, machine)?;
            fdt.property_u64("linux,uefi-system-table", uefi.system_table)?;
            fdt.property_u64("linux,uefi-mmap-start", uefi.map)?;
            fdt.property_u32("linux,uefi-mmap-size", uefi.map_size)?;
            fdt.property_u32("linux,uefi-mmap-desc-size", uefi.descriptor_size)?;
            fdt.property_u32("linux,uefi-mmap-desc-ver", uefi.descriptor_version)?;
            fdt.property_u32("linux,uefi-secure-boot", SECURE_BOOT_DISABLED)
        })
    })
}
