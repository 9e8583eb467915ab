//! Nodes, and the mappings of ids between them.

use crate::acpi::AcpiError;

/// Offset of the first node: after the table's header and three fields.
pub(super) const FIRST_NODE: usize = 48;
/// Bytes before a node's own fields.
pub(super) const NODE_HEADER: usize = 16;

/// ID mapping flags: whatever the input, the output is this one.
const SINGLE: u32 = 1 << 0;

/// From ids of a node to ids of another.
pub(super) struct Mapping {
    pub input: u32,
    /// Ids less one.
    pub more: u32,
    pub output: u32,
    /// Offset of the node where they mean something.
    pub to: u32,
    pub flags: u32,
}

impl Mapping {
    pub fn single(output: u32, to: u32) -> Self {
        Self { input: 0, more: 0, output, to, flags: SINGLE }
    }

    fn bytes(&self) -> impl Iterator<Item = u8> + use<> {
        let Self { input, more, output, to, flags } = *self;
        [input, more, output, to, flags].into_iter().flat_map(u32::to_le_bytes)
    }
}

/// The nodes so far.
pub(super) struct Nodes {
    pub bytes: Vec<u8>,
    pub count: u32,
}

impl Nodes {
    /// Adds a node, whose length is a multiple of 4, and returns its offset in the table.
    pub fn push(
        &mut self,
        node: &'static str,
        (kind, revision): (u8, u8),
        fields: &[u8],
        mappings: &[Mapping],
    ) -> Result<u32, AcpiError> {
        let at = FIRST_NODE + self.bytes.len();
        let fields_end = (NODE_HEADER + fields.len()).next_multiple_of(4);
        let size = fields_end + 20 * mappings.len();
        let length = u16::try_from(size).map_err(|_| AcpiError::Mappings { node, size })?;
        let too_large = |_| AcpiError::TooLarge { size: at, max: u32::MAX as usize };
        let offset = u32::try_from(at).map_err(too_large)?;
        // Below 64 KiB, all of it, so that its parts are too.
        let count = mappings.len() as u32;
        let mappings_at = if mappings.is_empty() { 0 } else { fields_end as u32 };
        self.bytes.push(kind);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.push(revision);
        self.bytes.extend([self.count, count, mappings_at].into_iter().flat_map(u32::to_le_bytes));
        self.bytes.extend(fields);
        self.bytes.resize(at - FIRST_NODE + fields_end, 0);
        self.bytes.extend(mappings.iter().flat_map(Mapping::bytes));
        self.count += 1;
        Ok(offset)
    }
}
