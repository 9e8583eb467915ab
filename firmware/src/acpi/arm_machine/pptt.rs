//! PPTT: the topology of the processors [ACPI 5.2.30].

use super::super::header::table;

/// The revision of ACPI 6.3.
const REVISION: u8 = 2;
/// Processor hierarchy nodes: type, and bytes without resources.
const HIERARCHY_NODE: u8 = 0;
const NODE_SIZE: u8 = 20;
/// Flags of a node.
const PHYSICAL_PACKAGE: u32 = 1 << 0;
const ID_VALID: u32 = 1 << 1;
const LEAF: u32 = 1 << 3;
const IDENTICAL: u32 = 1 << 4;
/// Offset of the first node, right after the header.
const PACKAGE_AT: u32 = 36;

/// One package with this many processors; their caches are not modelled, and so not told of.
pub(super) fn build(cpus: usize) -> Vec<u8> {
    let no_parent = 0;
    let mut body = node(PHYSICAL_PACKAGE | IDENTICAL, no_parent, 0);
    body.extend((0..).take(cpus).flat_map(|uid| node(LEAF | ID_VALID, PACKAGE_AT, uid)));
    table(*b"PPTT", REVISION, &body)
}

fn node(flags: u32, parent: u32, uid: u32) -> Vec<u8> {
    let resources = 0_u32;
    let mut node = vec![HIERARCHY_NODE, NODE_SIZE, 0, 0];
    node.extend([flags, parent, uid, resources].into_iter().flat_map(u32::to_le_bytes));
    node
}
