//! What is known of a context, from what its calls returned.
//!
//! It may be out of date: objects that nobody made on purpose go by themselves. What is here of
//! mappings is true, or it would be useless: what could have become wrong is forgotten.

use std::ops::RangeInclusive;

use iommufd::span::Span;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IOAS.
    Ioas,
    /// A paging HWPT.
    Paging,
    /// A nested HWPT.
    Nested,
    /// A mock device, to the self-tests.
    Mock,
    /// A bound device.
    Device,
    /// A fault queue.
    Faults,
    /// A vIOMMU.
    Viommu,
    /// A device of a vIOMMU.
    Vdevice,
    /// A queue of a vIOMMU's events.
    Events,
    /// A hardware queue of a vIOMMU.
    HwQueue,
    /// Pins of an access: not an object, but a number all the same.
    Pins,
}

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its IOAS.
    pub ioas: u32,
    /// Its IOVAs.
    pub span: Span,
}

/// What is known of a context.
#[derive(Default)]
pub struct Known {
    objects: Vec<(u32, Kind)>,
    /// Paging HWPTs, and the IOAS of each.
    pub hwpts: Vec<(u32, u32)>,
    /// Mappings.
    pub areas: Vec<Area>,
    /// Offsets that can be mapped, with how many bytes.
    pub windows: Vec<(u64, u64)>,
    /// Objects that there ever were at most.
    made: u32,
}

impl Known {
    /// The `nth` newest object of a kind, counted around.
    pub fn nth(&self, kind: Kind, nth: usize) -> Option<u32> {
        let count = self.objects.iter().filter(|(_, other)| *other == kind).count();
        let nth = nth.checked_rem(count)?;
        self.objects.iter().rev().filter(|(_, other)| *other == kind).nth(nth).map(|(id, _)| *id)
    }

    /// Notes a new object. It has the lowest id that was free.
    ///
    /// # Panics
    /// If its id is greater than the number of objects ever made.
    pub fn add(&mut self, id: u32, kind: Kind) {
        if kind != Kind::Pins {
            self.gone(id);
            assert!(0 < id && id <= self.made, "id {id} with {} objects ever made", self.made);
        }
        self.objects.push((id, kind));
    }

    /// Notes that a call may have made objects.
    pub fn may_make(&mut self, objects: u32) {
        self.made += objects;
    }

    /// Notes a paging HWPT over an IOAS.
    pub fn add_paging(&mut self, id: u32, ioas: u32) {
        self.add(id, Kind::Paging);
        self.hwpts.push((id, ioas));
    }

    /// Notes the HWPT that a device was attached to by naming `pt_id`.
    pub fn attached(&mut self, hwpt: u32, pt_id: u32) {
        if self.is(pt_id, Kind::Ioas) && hwpt != pt_id && !self.hwpts.contains(&(hwpt, pt_id)) {
            self.add_paging(hwpt, pt_id);
        }
    }

    /// All ids that objects can have.
    pub fn all_ids(&self) -> RangeInclusive<u32> {
        1..=self.made
    }

    /// Whether an object is known as of a kind.
    pub fn is(&self, id: u32, kind: Kind) -> bool {
        self.objects.contains(&(id, kind))
    }

    /// The IOAS that a HWPT is over, or the IOAS that it names.
    pub fn ioas_of(&self, pt_id: u32) -> Option<u32> {
        let over = self.hwpts.iter().find(|(hwpt, _)| *hwpt == pt_id).map(|(_, ioas)| *ioas);
        over.or_else(|| self.is(pt_id, Kind::Ioas).then_some(pt_id))
    }

    /// Notes that an object is gone.
    pub fn gone(&mut self, id: u32) {
        self.objects.retain(|(other, kind)| *other != id || *kind == Kind::Pins);
        self.hwpts.retain(|(hwpt, ioas)| *hwpt != id && *ioas != id);
        self.areas.retain(|area| area.ioas != id);
    }

    /// Notes a mapping.
    ///
    /// # Panics
    /// If it is where another one is.
    pub fn map(&mut self, ioas: u32, iova: u64, bytes: u64) {
        let Ok(span) = Span::sized(iova, bytes) else { panic!("mapped {bytes:#x} bytes at {iova:#x}") };
        let other = self.areas.iter().find(|area| area.ioas == ioas && area.span.meets(span));
        assert!(other.is_none(), "{span:x?} of IOAS {ioas} is mapped where {other:x?} is");
        self.areas.push(Area { ioas, span });
    }

    /// Forgets mappings that share an IOVA with `span`, and says how many bytes those in it have.
    pub fn unmap(&mut self, ioas: u32, span: Span) -> u64 {
        let inside = self.areas.iter().filter(|area| area.ioas == ioas && span.covers(area.span));
        let bytes = inside.fold(0_u64, |sum, area| sum.wrapping_add(area.span.bytes()));
        self.areas.retain(|area| area.ioas != ioas || !area.span.meets(span));
        bytes
    }

    /// Forgets what a call may have changed that did not say what it did.
    pub fn unsure(&mut self) {
        self.hwpts.clear();
        self.areas.clear();
    }

    /// First IOVAs of mappings of an IOAS.
    pub fn iovas(&self, ioas: u32) -> Vec<u64> {
        self.areas.iter().filter(|area| area.ioas == ioas).map(|area| area.span.start).collect()
    }
}
