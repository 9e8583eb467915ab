//! The system table, and the tables that it leads to [UEFI 2.10 4.2, 4.3, 4.6].

use flate2::Crc;

/// `IBI SYST`.
const SIGNATURE: u64 = 0x5453_5953_2049_4249;
/// UEFI 2.10.
const REVISION: u32 = 2 << 16 | 100;
/// Bytes of the table, and where its checksum stands.
const SIZE: usize = 120;
const CRC32_AT: usize = 16;
/// FirmwareVendor: this firmware, and its FirmwareRevision.
const VENDOR: &str = "Iommulator";
const FIRMWARE_REVISION: u32 = 1;

/// EFI_ACPI_20_TABLE_GUID 8868e871-e4f1-11d3-bc22-0080c73c8881, as it lies in memory.
const ACPI_20: [u8; 16] =
    [0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81];
/// EFI_RT_PROPERTIES_TABLE_GUID eb66918a-7eef-402a-842e-931d21c38ae9.
const RT_PROPERTIES: [u8; 16] =
    [0x8a, 0x91, 0x66, 0xeb, 0xef, 0x7e, 0x2a, 0x40, 0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9];
/// LINUX_EFI_MEMRESERVE_TABLE_GUID 888eb0c6-8ede-4ff5-a8f0-9aee5cb977c2.
const LINUX_MEMRESERVE: [u8; 16] =
    [0xc6, 0xb0, 0x8e, 0x88, 0xde, 0x8e, 0xf5, 0x4f, 0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2];
/// EFI_RT_PROPERTIES_TABLE: version 1, 8 bytes, a mask of supported services that has none.
const NO_SERVICES: [u8; 8] = [1, 0, 8, 0, 0, 0, 0, 0];

/// Where Linux begins a list of memory that the next kernel it starts must not touch: size, count and address of
/// the next list, of which there is none. Its start program for UEFI makes it; without, the kernel complains
/// that it cannot protect the tables of interrupts, which the GIC may go on writing to.
const NOTHING_RESERVED: [u8; 16] = [0; 16];

/// Offsets of what follows the table.
const CONFIGURATION_AT: u64 = 0x80;
const PROPERTIES_AT: u64 = 0x100;
const MEMRESERVE_AT: u64 = 0x120;
const VENDOR_AT: u64 = 0x140;

/// The system table for address `at`, and behind it what it points to, but for the ACPI tables.
pub fn build(at: u64, rsdp: u64) -> Vec<u8> {
    let configuration =
        [(ACPI_20, rsdp), (RT_PROPERTIES, at + PROPERTIES_AT), (LINUX_MEMRESERVE, at + MEMRESERVE_AT)];
    let mut bytes = table(at, configuration.len() as u64).to_vec();
    bytes.resize(CONFIGURATION_AT as usize, 0);
    for (guid, table) in configuration {
        bytes.extend(guid);
        bytes.extend(table.to_le_bytes());
    }
    bytes.resize(PROPERTIES_AT as usize, 0);
    bytes.extend(NO_SERVICES);
    bytes.resize(MEMRESERVE_AT as usize, 0);
    bytes.extend(NOTHING_RESERVED);
    bytes.resize(VENDOR_AT as usize, 0);
    bytes.extend(VENDOR.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    bytes
}

/// EFI_SYSTEM_TABLE after boot services are over: there are no consoles and no services.
fn table(at: u64, configuration_tables: u64) -> [u8; SIZE] {
    let mut table = [0; SIZE];
    let mut put = |at: usize, bytes: &[u8]| table[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &SIGNATURE.to_le_bytes());
    put(8, &REVISION.to_le_bytes());
    put(12, &(SIZE as u32).to_le_bytes());
    put(24, &(at + VENDOR_AT).to_le_bytes());
    put(32, &FIRMWARE_REVISION.to_le_bytes());
    put(104, &configuration_tables.to_le_bytes());
    put(112, &(at + CONFIGURATION_AT).to_le_bytes());
    let mut crc = Crc::new();
    crc.update(&table);
    table[CRC32_AT..CRC32_AT + 4].copy_from_slice(&crc.sum().to_le_bytes());
    table
}
