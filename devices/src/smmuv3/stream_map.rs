//! From bus masters to StreamIDs [SMMUv3 3.2, 3.9].

use serde::{Deserialize, Serialize};

use crate::addr::StreamId;
use crate::fabric::Initiator;

/// How the bus masters before a unit are named. The machine decides; nothing is assumed to be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamMap {
    /// Ranges of requester ids, none overlapping another.
    ranges: Vec<RequesterRange>,
}

/// Requester ids of one segment that are named one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequesterRange {
    /// PCI segment group.
    pub segment: u16,
    /// First requester id.
    pub first: u16,
    /// Last requester id.
    pub last: u16,
    /// StreamID of the first.
    pub stream: StreamId,
}

impl StreamMap {
    /// From ranges. Where two overlap the first counts.
    pub fn new(ranges: Vec<RequesterRange>) -> Self {
        Self { ranges }
    }

    /// Whether no PCI function is before the unit.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The StreamID of a bus master; `None` where the map has none, and the master cannot reach the unit.
    #[inline]
    pub fn stream(&self, initiator: Initiator) -> Option<StreamId> {
        let (segment, source) = match initiator {
            Initiator::Platform { stream, .. } => return Some(stream),
            Initiator::Pci { segment, source } => (segment, source),
            Initiator::IoApic { .. } => return None,
        };
        let range = self
            .ranges
            .iter()
            .find(|range| range.segment == segment && range.first <= source.0 && source.0 <= range.last)?;
        range.stream.0.checked_add(u32::from(source.0 - range.first)).map(StreamId)
    }
}
