//! IORT: who reaches memory and the ITS through which SMMU [IORT E.e].
//!
//! Ids travel along mappings: a function's requester id becomes a StreamID at its SMMU, and the StreamID
//! becomes a DeviceID at the ITS; where no SMMU is, the first is the last. Whatever the StreamIDs, the
//! DeviceID of a PCI function is its requester id, as `msi-map` says in the device tree.

mod nodes;

use std::ops::RangeInclusive;

use super::AcpiError;
use super::arm_machine::device_path;
use super::header::table;
use nodes::{FIRST_NODE, Mapping, NODE_HEADER, Nodes};

use crate::arm::{Description, Master, PlatformDevice, Reserved, SPI_BASE, Smmu};

/// Table revisions: of issue E.d, and of E.e, which has SMMUv3 nodes of revision 5.
const REVISION_E_D: u8 = 5;
const REVISION_E_E: u8 = 6;

/// Node types, with the revisions written here.
const ITS_GROUP: (u8, u8) = (0, 1);
const NAMED_COMPONENT: (u8, u8) = (1, 4);
const ROOT_COMPLEX: (u8, u8) = (2, 3);
const SMMUV3: u8 = 4;
const RESERVED_MEMORY: (u8, u8) = (6, 3);

/// SMMUv3 flags.
const COHACC_OVERRIDE: u32 = 1 << 0;
const HTTU_OVERRIDE_SHIFT: u32 = 1;
const DEVICE_ID_VALID: u32 = 1 << 4;
/// Memory access flags: the path to memory, and the device's own attributes, are coherent.
const COHERENT_PATH: u8 = 1 << 0 | 1 << 1;
/// Root complex ATS attributes.
const ATS: u32 = 1 << 0;
const PRI: u32 = 1 << 1;
const PASID: u32 = 1 << 2;
/// Named component flags.
const CAN_STALL: u32 = 1 << 0;
/// Access attributes of reserved memory, bits 9:2: Normal write-back, or else Device-nGnRnE.
const WRITE_BACK: u32 = 5 << 2;
/// All addresses of 64 bits.
const ADDRESS_LIMIT: u8 = 64;

/// The table of a description that was found sound, so that each index of an SMMU is of one there is.
pub(super) fn build(machine: &Description) -> Result<Vec<u8>, AcpiError> {
    let mut nodes = Nodes { bytes: Vec::new(), count: 0 };
    let its = match machine.gic.its {
        // One ITS, of id 0.
        Some(_) => Some(nodes.push("the ITS group", ITS_GROUP, &[1, 0, 0, 0, 0, 0, 0, 0], &[])?),
        None => None,
    };
    let smmus = machine.smmus.iter().enumerate();
    let smmus = smmus.map(|(index, unit)| smmu(&mut nodes, machine, index, unit, its));
    let smmus: Vec<_> = smmus.collect::<Result<_, _>>()?;
    root_complex(&mut nodes, machine, &smmus, its)?;
    for (index, device) in machine.devices.iter().enumerate() {
        named_component(&mut nodes, index, device, &smmus, its)?;
    }
    for reserved in &machine.reserved {
        reserved_memory(&mut nodes, machine, reserved, &smmus)?;
    }
    let newest = machine.smmus.iter().any(|unit| smmu_revision(unit) > 4);
    let revision = if newest { REVISION_E_E } else { REVISION_E_D };
    let mut body: Vec<_> =
        [nodes.count, FIRST_NODE as u32, 0].into_iter().flat_map(u32::to_le_bytes).collect();
    body.extend(nodes.bytes);
    Ok(table(*b"IORT", revision, &body))
}

/// Before revision 5, mapping 0 is the SMMU's own DeviceID unless all four interrupts are wired; from then
/// on a flag says so.
fn smmu_revision(unit: &Smmu) -> u8 {
    let lines = unit.interrupts;
    let wired = lines.event.and(lines.pri).and(lines.sync).and(lines.gerror).is_some();
    if wired && unit.msi_device.is_none() { 4 } else { 5 }
}

fn smmu(
    nodes: &mut Nodes,
    machine: &Description,
    index: usize,
    unit: &Smmu,
    its: Option<u32>,
) -> Result<u32, AcpiError> {
    let flags = if unit.coherent { COHACC_OVERRIDE } else { 0 }
        | u32::from(unit.httu) << HTTU_OVERRIDE_SHIFT
        | if unit.msi_device.is_some() { DEVICE_ID_VALID } else { 0 };
    // 0 is not wired.
    let gsiv = |line: Option<u32>| line.map_or(0, |spi| SPI_BASE + spi);
    let lines = unit.interrupts;
    let (vatos, generic, proximity) = (0_u64, 0_u32, 0_u32);
    let mappings = its.map(|its| device_ids(machine, index, unit, its)).unwrap_or_default();
    // There are at most as many as requester ids and masters.
    let device_id_mapping = unit.msi_device.map_or(0, |_| mappings.len().saturating_sub(1) as u32);
    let mut fields = unit.base.to_le_bytes().to_vec();
    fields.extend(flags.to_le_bytes());
    fields.extend([0; 4]);
    fields.extend(vatos.to_le_bytes());
    let rest = [
        generic,
        gsiv(lines.event),
        gsiv(lines.pri),
        gsiv(lines.gerror),
        gsiv(lines.sync),
        proximity,
        device_id_mapping,
    ];
    fields.extend(rest.into_iter().flat_map(u32::to_le_bytes));
    nodes.push("an SMMU", (SMMUV3, smmu_revision(unit)), &fields, &mappings)
}

/// From StreamIDs to DeviceIDs; the SMMU's own comes last. Linux 6.1 does not know that its index can be valid
/// where all interrupts are wired as well, and calls it a bug of the firmware wherever it meets it in a search.
fn device_ids(machine: &Description, index: usize, unit: &Smmu, its: u32) -> Vec<Mapping> {
    let own = unit.msi_device.map(|device| Mapping::single(device, its));
    let functions = machine.pci.streams.iter().filter(|entry| entry.smmu == index);
    let functions = functions.map(|entry| Mapping {
        input: entry.stream,
        more: entry.count() - 1,
        output: (*entry.requesters.start()).into(),
        to: its,
        flags: 0,
    });
    let devices = machine.devices.iter().filter_map(|device| {
        let master = device.master.as_ref().filter(|master| master.smmu == index)?;
        Some((master, device.msi_device?))
    });
    let devices = devices.flat_map(|(master, device)| {
        let stream = move |&input: &u32| Mapping { input, more: 0, output: device, to: its, flags: 0 };
        master.streams.iter().map(stream)
    });
    functions.chain(devices).chain(own).collect()
}

fn root_complex(
    nodes: &mut Nodes,
    machine: &Description,
    smmus: &[u32],
    its: Option<u32>,
) -> Result<u32, AcpiError> {
    let pci = &machine.pci;
    let attributes = if pci.ats { ATS } else { 0 }
        | if pci.pri { PRI } else { 0 }
        | if pci.pasid_bits != 0 { PASID } else { 0 };
    let segment = 0_u32;
    let mut fields = memory_properties(pci.coherent).to_vec();
    fields.extend(attributes.to_le_bytes());
    fields.extend(segment.to_le_bytes());
    fields.push(ADDRESS_LIMIT);
    fields.extend(u16::from(pci.pasid_bits).to_le_bytes());
    fields.push(0);
    let mut mappings: Vec<_> = pci
        .streams
        .iter()
        .map(|entry| Mapping {
            input: (*entry.requesters.start()).into(),
            more: entry.count() - 1,
            output: entry.stream,
            to: smmus[entry.smmu],
            flags: 0,
        })
        .collect();
    if let Some(its) = its {
        mappings.extend(holes(machine).into_iter().map(|range| {
            let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
            Mapping { input: first, more: last - first, output: first, to: its, flags: 0 }
        }));
    }
    mappings.sort_by_key(|mapping| mapping.input);
    nodes.push("the root complex", ROOT_COMPLEX, &fields, &mappings)
}

/// Requester ids behind no SMMU.
fn holes(machine: &Description) -> Vec<RangeInclusive<u16>> {
    let pci = &machine.pci;
    let last = u16::from(pci.last_bus) << 8 | 0xff;
    let mut served: Vec<_> = pci.streams.iter().map(|entry| entry.requesters.clone()).collect();
    served.sort_by_key(|range| *range.start());
    let mut holes = Vec::new();
    // The first id that is not dealt with; none after the last of all.
    let mut next = Some(0);
    for range in &served {
        if let Some((first, end)) = next.zip(range.start().checked_sub(1))
            && first <= end
        {
            holes.push(first..=end);
        }
        next = range.end().checked_add(1);
    }
    holes.extend(next.filter(|&first| first <= last).map(|first| first..=last));
    holes
}

fn named_component(
    nodes: &mut Nodes,
    index: usize,
    device: &PlatformDevice,
    smmus: &[u32],
    its: Option<u32>,
) -> Result<(), AcpiError> {
    let mappings: Vec<_> = match (&device.master, device.msi_device.zip(its)) {
        (Some(master), _) => {
            let to = smmus[master.smmu];
            master.streams.iter().map(|&stream| Mapping::single(stream, to)).collect()
        }
        (None, Some((device, its))) => vec![Mapping::single(device, its)],
        // Its coherency, all that is left to say, is in its _CCA.
        (None, None) => return Ok(()),
    };
    let master = device.master.as_ref();
    let flags = if master.is_some_and(|master| master.can_stall) { CAN_STALL } else { 0 }
        | master.map_or(0, |master| u32::from(master.substream_bits)) << 1;
    let mut fields = flags.to_le_bytes().to_vec();
    fields.extend(memory_properties(device.coherent));
    fields.push(ADDRESS_LIMIT);
    fields.extend(device_path(index).bytes());
    // The path's NUL, and a byte more: ACPICA's disassembler gives up where no padding follows.
    fields.extend([0; 2]);
    nodes.push("a platform device", NAMED_COMPONENT, &fields, &mappings).map(drop)
}

fn reserved_memory(
    nodes: &mut Nodes,
    machine: &Description,
    reserved: &Reserved,
    smmus: &[u32],
) -> Result<(), AcpiError> {
    let flags = if machine.is_ram(&reserved.range) { WRITE_BACK } else { 0 };
    let (count, descriptors_at) = (1_u32, (NODE_HEADER + 12) as u32);
    let (first, last) = (*reserved.range.start(), *reserved.range.end());
    let mut fields: Vec<_> = [flags, count, descriptors_at].into_iter().flat_map(u32::to_le_bytes).collect();
    fields.extend(first.to_le_bytes());
    fields.extend((last - first + 1).to_le_bytes());
    fields.extend([0; 4]);
    let streams = |&master: &Master| machine.streams(master);
    let mappings = reserved.masters.iter().filter_map(streams).flat_map(|(unit, streams)| {
        let to = smmus[unit];
        streams.into_iter().map(move |stream| Mapping::single(stream, to))
    });
    let mappings: Vec<_> = mappings.collect();
    nodes.push("reserved memory", RESERVED_MEMORY, &fields, &mappings).map(drop)
}

/// Cache coherency, allocation hints, reserved, memory access flags.
fn memory_properties(coherent: bool) -> [u8; 8] {
    let flags = if coherent { COHERENT_PATH } else { 0 };
    [coherent.into(), 0, 0, 0, 0, 0, 0, flags]
}
