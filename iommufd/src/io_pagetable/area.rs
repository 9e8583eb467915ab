//! Areas: what is mapped from one IOVA to another without a seam.

use std::collections::BTreeMap;
use std::sync::Arc;

use devices::addr::PAGE_SIZE;

use crate::driver::Protection;
use crate::pages::{Direction, Pages, Window};
use crate::span::Span;

/// Some pages at some IOVAs.
pub(super) struct Area {
    pub(super) window: Window,
    pub(super) pages: Arc<Pages>,
    /// Pins of accesses: they are asked to let go before it is unmapped.
    pub(super) accesses: u32,
    /// Those among them that never let go.
    pub(super) locks: u32,
    /// It is being unmapped: no access may begin.
    pub(super) leaving: bool,
}

impl Area {
    pub(super) fn new(window: Window, pages: Arc<Pages>) -> Self {
        Self { window, pages, accesses: 0, locks: 0, leaving: false }
    }

    pub(super) fn iova(&self) -> Span {
        self.window.iova
    }

    /// Whether IOVA, length and memory are multiples of `alignment`.
    pub(super) fn is_aligned(&self, alignment: u64) -> bool {
        let bytes = self.iova().beyond().wrapping_add(1);
        let offset = self.window.start_byte % PAGE_SIZE;
        (self.iova().start | bytes | offset).is_multiple_of(alignment)
    }

    pub(super) fn permits(&self, direction: Direction) -> bool {
        self.window.protection.contains(match direction {
            Direction::Read => Protection::READ,
            Direction::Write => Protection::WRITE,
        })
    }

    /// The pages that are at `iova`, which is in the area.
    pub(super) fn pages_at(&self, iova: Span) -> Span {
        Span {
            start: self.window.byte_at(iova.start) / PAGE_SIZE,
            last: self.window.byte_at(iova.last) / PAGE_SIZE,
        }
    }
}

/// All areas, by their first IOVA. They do not overlap.
#[derive(Default)]
pub(super) struct Areas {
    areas: BTreeMap<u64, Area>,
}

impl Areas {
    pub(super) fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Area> {
        self.areas.values()
    }

    pub(super) fn insert(&mut self, area: Area) {
        self.areas.insert(area.iova().start, area);
    }

    pub(super) fn remove(&mut self, start: u64) -> Option<Area> {
        self.areas.remove(&start)
    }

    pub(super) fn get_mut(&mut self, start: u64) -> Option<&mut Area> {
        self.areas.get_mut(&start)
    }

    /// The area that `iova` is in.
    pub(super) fn at(&self, iova: u64) -> Option<&Area> {
        let (_, area) = self.areas.range(..=iova).next_back()?;
        area.iova().contains(iova).then_some(area)
    }

    /// The first area with a byte in `span`.
    pub(super) fn first_in(&mut self, span: Span) -> Option<&mut Area> {
        let start = match self.at(span.start) {
            Some(area) => area.iova().start,
            None => *self.areas.range(span.range()).next()?.0,
        };
        self.areas.get_mut(&start)
    }

    /// The areas that `span` goes through, with what of it is in each, up to the first hole.
    pub(super) fn contiguous(&self, span: Span) -> impl Iterator<Item = (&Area, Span)> {
        let first = self.at(span.start).map_or(span.start, |area| area.iova().start);
        let mut next = Some(span.start);
        self.areas.range(first..).map_while(move |(_, area)| {
            let start = next.filter(|start| *start <= span.last && area.iova().contains(*start))?;
            let last = area.iova().last.min(span.last);
            next = last.checked_add(1);
            Some((area, Span { start, last }))
        })
    }
}
