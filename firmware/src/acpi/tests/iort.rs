//! IORT, node by node, as literals.

use super::arm::arm_table;
use super::*;
use crate::arm::samples::{rich, virt};
use crate::arm::{Master, PciStreams, PlatformMaster};

/// A node: offset in the table, type, revision, fields, ID mappings.
#[derive(Debug, PartialEq)]
struct Node {
    at: usize,
    kind: u8,
    revision: u8,
    fields: Vec<u8>,
    mappings: Vec<[u32; 5]>,
}

/// The nodes as a driver walks them.
fn nodes(iort: &[u8]) -> Vec<Node> {
    assert_eq!(u32_at(iort, 44), 0);
    let (count, mut at) = (u32_at(iort, 36), u32_at(iort, 40) as usize);
    let mut nodes = Vec::new();
    for id in 0..count {
        let length = usize::from(u16::from_le_bytes([iort[at + 1], iort[at + 2]]));
        let node = &iort[at..at + length];
        assert_eq!(u32_at(node, 4), id, "identifiers are unique");
        let (count, offset) = (u32_at(node, 8) as usize, u32_at(node, 12) as usize);
        let fields_end = if count == 0 { length } else { offset };
        assert_eq!(fields_end + 20 * count, length);
        let cells = |bytes: &[u8]| [0, 4, 8, 12, 16].map(|at| u32_at(bytes, at));
        nodes.push(Node {
            at,
            kind: node[0],
            revision: node[3],
            fields: node[16..fields_end].to_vec(),
            mappings: node[fields_end..].chunks(20).map(cells).collect(),
        });
        at += length;
    }
    assert_eq!(at, iort.len());
    nodes
}

fn node(at: usize, (kind, revision): (u8, u8), fields: &[u8], mappings: &[[u32; 5]]) -> Node {
    Node { at, kind, revision, fields: fields.to_vec(), mappings: mappings.to_vec() }
}

/// What QEMU 11 tells of its machine.
#[test]
fn of_qemus_machine() {
    let iort = arm_table(&virt(), "IORT");
    assert_eq!(iort[8], 5);
    let expected = [
        0x03, 0, 0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, // 3 nodes from offset 48 on
        // ITS group
        0, 24, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // type, length, revision, id, no mappings
        1, 0, 0, 0, 0, 0, 0, 0, // one ITS: 0
        // SMMUv3
        4, 88, 0, 4, 1, 0, 0, 0, 1, 0, 0, 0, 68, 0, 0, 0, // one mapping, at 68
        0, 0, 5, 9, 0, 0, 0, 0, // base
        1, 0, 0, 0, 0, 0, 0, 0, // COHACC override
        0, 0, 0, 0, 0, 0, 0, 0, // no VATOS
        0, 0, 0, 0, // generic
        106, 0, 0, 0, 107, 0, 0, 0, 109, 0, 0, 0, 108, 0, 0, 0, // event, PRI, GERR, sync
        0, 0, 0, 0, 0, 0, 0, 0, // proximity, DeviceID mapping
        0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, // all to the ITS group
        // root complex
        2, 56, 0, 3, 2, 0, 0, 0, 1, 0, 0, 0, 36, 0, 0, 0, // one mapping, at 36
        1, 0, 0, 0, 0, 0, 0, 3, // coherent, CPM and DACS
        0, 0, 0, 0, 0, 0, 0, 0, // no ATS, segment 0
        64, 0, 0, 0, // 64 bits, no PASIDs
        0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 72, 0, 0, 0, 0, 0, 0, 0, // all to the SMMU
    ];
    assert_eq!(iort[36..], expected);
}

#[test]
fn of_several_units_devices_and_reserved_memory() {
    let iort = arm_table(&rich(), "IORT");
    assert_eq!(iort[8], 6);
    let no_interrupts = [0; 16];
    // Flags: COHACC in bit 0, HTTU in bits 2:1, DeviceID mapping valid in bit 4.
    // The index of the DeviceID mapping is in the last word.
    let smmu = |base: [u8; 4], flags: u8, gsivs: &[u8; 16], own: u8| {
        [&base[..], &[0; 4], &[flags, 0, 0, 0], &[0; 16], gsivs, &[0; 4], &[own, 0, 0, 0]].concat()
    };
    // Offsets of the ITS group and the units.
    let (its, unit_0, unit_1, unit_2) = (48, 72, 160, 288);
    let expected = [
        node(48, (0, 1), &[1, 0, 0, 0, 0, 0, 0, 0], &[]),
        node(
            72,
            (4, 4),
            &smmu([0, 0, 5, 9], 1, &[106, 0, 0, 0, 107, 0, 0, 0, 109, 0, 0, 0, 108, 0, 0, 0], 0),
            &[[0x1008, 0xf7, 8, its, 0]],
        ),
        node(
            160,
            (4, 5),
            &smmu([0, 0, 7, 9], 0x14, &no_interrupts, 2),
            // The unit's own is behind those in which an id is looked for.
            &[[0, 0xff, 0x100, its, 0], [0x8000, 0x7fff, 0x8000, its, 0], [0, 0, 0x1_0000, its, 1]],
        ),
        node(
            288,
            (4, 5),
            &smmu([0, 0, 9, 9], 3, &[112, 0, 0, 0, 0, 0, 0, 0, 113, 0, 0, 0, 0, 0, 0, 0], 0),
            &[[7, 0, 0x1_0001, its, 0], [0xffff_ffff, 0, 0x1_0001, its, 0]],
        ),
        node(
            396,
            (2, 3),
            // ATS, PRI and PASIDs of 20 bits.
            &[1, 0, 0, 0, 0, 0, 0, 3, 7, 0, 0, 0, 0, 0, 0, 0, 64, 20, 0, 0],
            &[
                [0, 7, 0, its, 0],
                [8, 0xf7, 0x1008, unit_0, 0],
                [0x100, 0xff, 0, unit_1, 0],
                [0x200, 0x7dff, 0x200, its, 0],
                [0x8000, 0x7fff, 0x8000, unit_1, 0],
            ],
        ),
        node(
            532,
            (1, 4),
            // Stalls, 8 bits of SubstreamID, coherent.
            &[&[0x11, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 64][..], b"\\_SB_.D000\0\0\0\0\0"].concat(),
            &[[0, 0, 7, unit_2, 1], [0, 0, 0xffff_ffff, unit_2, 1]],
        ),
        node(
            616,
            (1, 4),
            &[&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64][..], b"\\_SB_.D001\0\0\0\0\0"].concat(),
            &[[0, 0, 0x1_0002, its, 1]],
        ),
        node(
            680,
            (1, 4),
            &[&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64][..], b"\\_SB_.D002\0\0\0\0\0"].concat(),
            &[[0, 0, 1, unit_0, 1]],
        ),
        node(
            744,
            (6, 3),
            &[
                &[5 << 2, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0][..], // Normal write-back; one range, at 28
                &[0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ]
            .concat(),
            &[[0, 0, 0x1008, unit_0, 1], [0, 0, 7, unit_2, 1], [0, 0, 0xffff_ffff, unit_2, 1]],
        ),
        node(
            852,
            (6, 3),
            &[
                &[0, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0][..], // Device-nGnRnE
                &[0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ]
            .concat(),
            &[[0, 0, 0x1013, unit_0, 1], [0, 0, 0x1008, unit_0, 1]],
        ),
    ];
    let found = nodes(&iort);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn requester_ids_behind_no_smmu_go_to_the_its() {
    let served = |requesters| PciStreams { requesters, smmu: 0, stream: 0x5_0000 };
    for (streams, last_bus, expected) in [
        (vec![], 255, vec![[0, 0xffff]]),
        (vec![], 0, vec![[0, 0xff]]),
        (vec![served(0..=0xffff)], 255, vec![]),
        (vec![served(0xffff..=0xffff)], 255, vec![[0, 0xfffe]]),
        (vec![served(0..=0)], 255, vec![[1, 0xfffe]]),
        (vec![served(0..=0xff)], 0, vec![]),
        (
            vec![PciStreams { stream: 0, ..served(0x20..=0xff) }, served(8..=0x1e)],
            1,
            vec![[0, 7], [0x1f, 0], [0x100, 0xff]],
        ),
    ] {
        let mut machine = virt();
        (machine.pci.streams, machine.pci.last_bus) = (streams, last_bus);
        let root_complex = nodes(&arm_table(&machine, "IORT")).remove(2);
        assert_eq!(root_complex.kind, 2);
        let direct = root_complex.mappings.iter().filter(|mapping| mapping[3] == 48);
        let direct: Vec<_> = direct
            .map(|&[first, more, output, _, flags]| {
                assert_eq!((output, flags), (first, 0));
                [first, more]
            })
            .collect();
        assert_eq!(direct, expected, "{:x?}", machine.pci.streams);
    }
}

#[test]
fn without_an_its_nothing_leads_to_it() {
    let mut machine = virt();
    machine.gic.its = None;
    machine.pci.streams[0].requesters = 0..=0xff;
    let found = nodes(&arm_table(&machine, "IORT"));
    assert_eq!(found.iter().map(|node| node.kind).collect::<Vec<_>>(), [4, 2]);
    assert_eq!(found[0].mappings, [[0; 5]; 0]);
    assert_eq!(found[1].mappings, [[0, 0xff, 0, 48, 0]]);
    machine.smmus.clear();
    machine.pci.streams.clear();
    let found = nodes(&arm_table(&machine, "IORT"));
    assert_eq!(
        found,
        [node(48, (2, 3), &[1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0], &[])]
    );
}

#[test]
fn only_wired_units_without_messages_are_of_the_old_revision() {
    let revision = |change: fn(&mut crate::arm::Smmu)| {
        let mut machine = virt();
        change(&mut machine.smmus[0]);
        let iort = arm_table(&machine, "IORT");
        (iort[8], nodes(&iort)[1].revision)
    };
    assert_eq!(revision(|_| {}), (5, 4));
    assert_eq!(revision(|unit| unit.interrupts.pri = None), (6, 5));
    assert_eq!(revision(|unit| unit.interrupts.sync = None), (6, 5));
    assert_eq!(revision(|unit| unit.msi_device = Some(0x1_0000)), (6, 5));
}

#[test]
fn a_node_has_64_kib_at_most() {
    let mut machine = virt();
    let mut device = rich().devices[0].clone();
    device.master = Some(PlatformMaster { smmu: 0, streams: vec![], substream_bits: 0, can_stall: false });
    machine.devices = vec![device];
    machine.reserved = rich().reserved[..1].to_vec();
    machine.reserved[0].masters = vec![Master::Platform(0)];
    for (count, expected) in [
        (3272, Ok(())),
        (3273, Err(AcpiError::Mappings { node: "an SMMU", size: 65548 })),
        (4000, Err(AcpiError::Mappings { node: "an SMMU", size: 80088 })),
    ] {
        let streams = (0x1_0000..0x1_0000 + count).collect();
        machine.devices[0].master.as_mut().unwrap().streams = streams;
        let area = 0x4000_0000..=0x400f_ffff;
        assert_eq!(build(Machine::Arm { machine: &machine, area }).map(drop), expected);
    }
}
