//! What is common to tables, and the pointers to them [ACPI 5.2.5 to 5.2.8].

use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink};

/// OEMID of all tables.
pub(super) const OEM_ID: [u8; 6] = *b"IOMMUL";
/// OEM Table ID of all tables.
pub(super) const OEM_TABLE_ID: [u8; 8] = *b"IOMMULTR";
/// OEM Revision of all tables.
pub(super) const OEM_REVISION: u32 = 1;
/// Bytes of a table's header.
const HEADER: u32 = 36;
/// Bytes of the RSDP.
pub(super) const RSDP_SIZE: usize = 36;

/// A table: header with checksum, then `body`.
pub(super) fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut table = Sdt::new(signature, HEADER, revision, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(body);
    table.as_slice().to_vec()
}

/// What `part` encodes to.
pub(super) fn bytes(part: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    part.to_aml_bytes(&mut bytes);
    bytes
}

/// A part that is encoded already.
pub(super) struct Encoded(pub(super) Vec<u8>);

impl Encoded {
    pub(super) fn new(part: &dyn Aml) -> Self {
        Self(bytes(part))
    }
}

impl Aml for Encoded {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

/// The table of 64-bit pointers.
pub(super) fn xsdt(tables: &[u64]) -> Vec<u8> {
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    tables.iter().for_each(|&address| xsdt.add_entry(address));
    bytes(&xsdt)
}

/// The table of 32-bit pointers, which is all that some test kernels read.
pub(super) fn rsdt(tables: &[u32]) -> Vec<u8> {
    table(*b"RSDT", 1, &tables.iter().copied().flat_map(u32::to_le_bytes).collect::<Vec<_>>())
}

/// The root pointer, revision 2; an `rsdt` of 0 is none. acpi_tables has one too, but it always leaves
/// out the RSDT.
pub(super) fn rsdp(rsdt: u32, xsdt: u64) -> [u8; RSDP_SIZE] {
    let mut rsdp = [0; RSDP_SIZE];
    rsdp[..8].copy_from_slice(b"RSD PTR ");
    rsdp[9..15].copy_from_slice(&OEM_ID);
    rsdp[15] = 2;
    rsdp[16..20].copy_from_slice(&rsdt.to_le_bytes());
    rsdp[20..24].copy_from_slice(&HEADER.to_le_bytes());
    rsdp[24..32].copy_from_slice(&xsdt.to_le_bytes());
    // The first 20 bytes are all that revision 0 had, and have a checksum of their own.
    rsdp[8] = checksum(&rsdp[..20]);
    rsdp[32] = checksum(&rsdp);
    rsdp
}

/// What makes the sum of all bytes zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte))
}
