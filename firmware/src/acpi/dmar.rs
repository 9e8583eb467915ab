//! DMAR: the remapping hardware [VT-d 8].

use super::header::table;
use super::{AcpiError, DeviceScope, Dmar, Drhd, IoApic, PathStep, Rmrr, ScopeKind};

const REVISION: u8 = 1;
const INTR_REMAP: u8 = 1 << 0;
const X2APIC_OPT_OUT: u8 = 1 << 1;
const INCLUDE_PCI_ALL: u8 = 1 << 0;
/// Structure types, which the table lists in ascending order.
const DRHD: u16 = 0;
const RMRR: u16 = 1;
const PAGE: u64 = 0x1000;
/// A scope has 6 bytes and 2 for each step, and its length field has 8 bits.
const STEPS_MAX: usize = 124;

pub(super) fn build(dmar: &Dmar, io_apics: &[IoApic]) -> Result<Vec<u8>, AcpiError> {
    check(dmar, io_apics)?;
    let width = dmar.host_address_width;
    let flags = if dmar.interrupt_remapping { INTR_REMAP } else { 0 }
        | if dmar.x2apic_opt_out { X2APIC_OPT_OUT } else { 0 };
    let mut body = vec![width - 1, flags];
    body.resize(12, 0);
    for unit in &dmar.units {
        body.extend(drhd(unit)?);
    }
    for reserved in &dmar.reserved {
        body.extend(rmrr(reserved)?);
    }
    Ok(table(*b"DMAR", REVISION, &body))
}

fn check(dmar: &Dmar, io_apics: &[IoApic]) -> Result<(), AcpiError> {
    let width = dmar.host_address_width;
    if !(1..=64).contains(&width) {
        let remedy = "it counts bits: use 1 to 64";
        return Err(AcpiError::Value { what: "the host address width", value: width.into(), remedy });
    }
    if dmar.x2apic_opt_out && !dmar.interrupt_remapping {
        let remedy = "it needs interrupt remapping: set both or neither";
        return Err(AcpiError::Value { what: "the x2APIC opt-out", value: 1, remedy });
    }
    if dmar.units.is_empty() {
        return Err(AcpiError::None("remapping unit"));
    }
    for (index, unit) in dmar.units.iter().enumerate() {
        let segment = unit.segment;
        if dmar.units[..index].iter().any(|before| before.include_pci_all && before.segment == segment) {
            return Err(AcpiError::AfterIncludeAll { segment, base: unit.base });
        }
    }
    let scoped = |id| {
        let mut scopes = dmar.units.iter().flat_map(|unit| &unit.scopes);
        scopes.any(|scope| scope.kind == ScopeKind::IoApic(id))
    };
    match io_apics.iter().find(|io_apic| dmar.interrupt_remapping && !scoped(io_apic.id)) {
        Some(io_apic) => Err(AcpiError::UnscopedIoApic(io_apic.id)),
        None => Ok(()),
    }
}

fn drhd(unit: &Drhd) -> Result<Vec<u8>, AcpiError> {
    let Drhd { segment, base, log2_pages, include_pci_all, ref scopes } = *unit;
    if base % PAGE != 0 {
        let remedy = "align it to 4 KiB";
        return Err(AcpiError::Value { what: "the base of a remapping unit", value: base, remedy });
    }
    if log2_pages > 15 {
        let remedy = "its field has 4 bits: use 0 to 15";
        return Err(AcpiError::Value {
            what: "the size of a remapping unit",
            value: log2_pages.into(),
            remedy,
        });
    }
    let mut fields = vec![if include_pci_all { INCLUDE_PCI_ALL } else { 0 }, log2_pages];
    fields.extend(segment.to_le_bytes());
    fields.extend(base.to_le_bytes());
    structure(DRHD, &fields, scopes, base)
}

fn rmrr(reserved: &Rmrr) -> Result<Vec<u8>, AcpiError> {
    let Rmrr { segment, ref range, ref scopes } = *reserved;
    let (&first, &last) = (range.start(), range.end());
    if first > last || first % PAGE != 0 || last % PAGE != PAGE - 1 {
        let remedy = "use whole pages of 4 KiB, at least one";
        return Err(AcpiError::Range { what: "reserved memory", first, last, remedy });
    }
    let mut fields = vec![0, 0];
    fields.extend(segment.to_le_bytes());
    fields.extend(first.to_le_bytes());
    fields.extend(last.to_le_bytes());
    structure(RMRR, &fields, scopes, first)
}

/// Type, length, fields, device scopes.
fn structure(kind: u16, fields: &[u8], scopes: &[DeviceScope], address: u64) -> Result<Vec<u8>, AcpiError> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend([0, 0]);
    bytes.extend(fields);
    for scope in scopes {
        bytes.extend(device_scope(scope)?);
    }
    let size = bytes.len();
    let length = u16::try_from(size).map_err(|_| AcpiError::Scopes { address, size })?;
    bytes[2..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

fn device_scope(scope: &DeviceScope) -> Result<Vec<u8>, AcpiError> {
    let DeviceScope { kind, start_bus, ref path } = *scope;
    let valid = |step: &PathStep| step.device < 32 && step.function < 8;
    if !(1..=STEPS_MAX).contains(&path.len()) || !path.iter().all(valid) {
        return Err(AcpiError::Path { start_bus });
    }
    let (kind, enumeration_id) = match kind {
        ScopeKind::Endpoint => (1, 0),
        ScopeKind::Bridge => (2, 0),
        ScopeKind::IoApic(id) => (3, id),
        ScopeKind::Hpet(number) => (4, number),
    };
    // At most 254.
    let length = (6 + 2 * path.len()) as u8;
    let mut bytes = vec![kind, length, 0, 0, enumeration_id, start_bus];
    bytes.extend(path.iter().flat_map(|step| [step.device, step.function]));
    Ok(bytes)
}
