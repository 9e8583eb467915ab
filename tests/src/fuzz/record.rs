//! Inputs as lists of records of a fixed size.
//!
//! A record is raw: what its fields mean is the target's to say, and every value means something.
//! So an input can be cut, joined and changed anywhere and stays one, which is what mutation and
//! minimizing need; and it can be written by hand, which is what a seed corpus needs.

use arbitrary::{Arbitrary, Unstructured};

/// Records that one input has at most; what follows is ignored, so that an input ends soon.
pub const MAX_RECORDS: usize = 64;

/// One operation, undecoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Arbitrary)]
pub struct Record {
    /// What to do.
    pub kind: u8,
    /// Where.
    pub place: u8,
    /// How: sizes, flags.
    pub shape: u16,
    /// An address or data.
    pub value: u64,
}

impl Record {
    /// Bytes of a record in an input.
    pub const BYTES: usize = 12;

    /// The bytes that an input has for it.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let Self { kind, place, shape, value } = self;
        let mut bytes = [0; Self::BYTES];
        bytes[0] = kind;
        bytes[1] = place;
        bytes[2..4].copy_from_slice(&shape.to_le_bytes());
        bytes[4..].copy_from_slice(&value.to_le_bytes());
        bytes
    }
}

/// An input taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which variant of the hardware.
    pub config: u8,
    /// The operations, in order.
    pub records: Vec<Record>,
}

impl Input {
    /// From bytes; a record cut off at the end is continued with zeros.
    pub fn parse(data: &[u8]) -> Self {
        let mut u = Unstructured::new(data);
        let config = u.arbitrary().unwrap_or_default();
        let mut records = Vec::with_capacity(MAX_RECORDS.min(u.len() / Record::BYTES + 1));
        while !u.is_empty() && records.len() < MAX_RECORDS {
            records.push(u.arbitrary().unwrap_or_default());
        }
        Self { config, records }
    }

    /// The reverse of [`Self::parse`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let records = self.records.iter().flat_map(|record| record.to_bytes());
        std::iter::once(self.config).chain(records).collect()
    }
}
