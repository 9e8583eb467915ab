//! Which IOVAs may be mapped, and which are free.

use devices::addr::PAGE_SIZE;
use rangemap::RangeInclusiveSet;

use super::ReservedBy;
use crate::errno::{Errno, Result};
use crate::span::Span;

/// Largest alignment that an automatic IOVA gets from its memory: a huge page.
const MAX_ALIGNMENT: u64 = 2 << 20;

/// Automatic IOVAs are in here: not 0, as callers take that for none, and away from the top.
const AUTOMATIC: Span = Span { start: PAGE_SIZE, last: u64::MAX - PAGE_SIZE };

/// The IOVA space of an IOAS, by what has been done with it.
pub(super) struct Space {
    /// Neither reserved nor mapped.
    free: RangeInclusiveSet<u64>,
    /// In the order of reserving; they may overlap.
    reservations: Vec<(ReservedBy, Span)>,
    /// All reservations together.
    reserved: RangeInclusiveSet<u64>,
    /// Where automatic IOVAs may be and reservations may not; empty for everywhere.
    allowed: RangeInclusiveSet<u64>,
}

impl Default for Space {
    fn default() -> Self {
        let mut free = RangeInclusiveSet::new();
        free.insert(Span::ALL.range());
        Self {
            free,
            reservations: Vec::new(),
            reserved: RangeInclusiveSet::new(),
            allowed: RangeInclusiveSet::new(),
        }
    }
}

impl Space {
    /// Reserves `span`.
    ///
    /// # Errors
    /// `EADDRINUSE` where it is allowed, or mapped.
    pub(super) fn reserve(&mut self, owner: ReservedBy, span: Span) -> Result<()> {
        let range = span.range();
        if self.allowed.overlaps(&range) || self.is_mapped(span) {
            return Err(Errno::EADDRINUSE);
        }
        self.reservations.push((owner, span));
        self.reserved.insert(range.clone());
        self.free.remove(range);
        Ok(())
    }

    /// Takes back the reservations of `owner` but for the first `keep` of all.
    pub(super) fn release(&mut self, owner: ReservedBy, keep: usize) {
        let mut index = 0;
        let mut released = Vec::new();
        self.reservations.retain(|(by, span)| {
            let stays = index < keep || *by != owner;
            index += 1;
            if !stays {
                released.push(*span);
            }
            stays
        });
        if released.is_empty() {
            return;
        }
        self.reserved = self.reservations.iter().map(|(_, span)| span.range()).collect();
        for span in released {
            for gap in self.reserved.gaps(&span.range()) {
                self.free.insert(gap);
            }
        }
    }

    /// How many reservations there are.
    pub(super) fn reservations(&self) -> usize {
        self.reservations.len()
    }

    /// What is not reserved, in order.
    pub(super) fn usable(&self) -> Vec<Span> {
        self.reserved.gaps(&Span::ALL.range()).map(Span::from).collect()
    }

    /// Replaces the allowed ranges.
    ///
    /// # Errors
    /// `EADDRINUSE` where one is reserved; the old ones stay then.
    pub(super) fn allow(&mut self, allowed: RangeInclusiveSet<u64>) -> Result<()> {
        if allowed.iter().any(|range| self.reserved.overlaps(range)) {
            return Err(Errno::EADDRINUSE);
        }
        self.allowed = allowed;
        Ok(())
    }

    /// Says that `span`, which is free, is mapped.
    pub(super) fn take(&mut self, span: Span) {
        self.free.remove(span.range());
    }

    /// Says that `span`, which was mapped, is not any more.
    pub(super) fn give_back(&mut self, span: Span) {
        self.free.insert(span.range());
    }

    /// Checks that `span` can be mapped.
    ///
    /// # Errors
    /// `EINVAL` where it is reserved, `EEXIST` where it is mapped.
    pub(super) fn check(&self, span: Span) -> Result<()> {
        if self.free.get(&span.start).is_some_and(|free| *free.end() >= span.last) {
            Ok(())
        } else if self.reserved.overlaps(&span.range()) {
            Err(Errno::EINVAL)
        } else {
            Err(Errno::EEXIST)
        }
    }

    /// Chooses where to map `bytes` of memory that are at `address` in their source: as well aligned
    /// as that, at the first place that is large enough.
    ///
    /// # Errors
    /// `EOVERFLOW` for more than half of the space, `EINVAL` where the memory is less aligned than
    /// `alignment`, `ENOSPC`.
    pub(super) fn choose(&self, bytes: u64, address: u64, alignment: u64) -> Result<u64> {
        if bytes == 0 || bytes >= u64::MAX / 2 {
            return Err(Errno::EOVERFLOW);
        }
        let own = if address == 0 { u64::MAX } else { 1 << address.trailing_zeros() };
        let wanted = bytes.next_power_of_two().min(own).min(MAX_ALIGNMENT);
        if wanted < alignment {
            return Err(Errno::EINVAL);
        }
        let fit = Fit { bytes, alignment: wanted, offset: address % PAGE_SIZE };
        let found = if self.allowed.is_empty() {
            self.choose_in(AUTOMATIC, &fit)
        } else {
            self.allowed
                .overlapping(AUTOMATIC.range())
                .filter_map(|range| Span::from(range.clone()).common(AUTOMATIC))
                .find_map(|range| self.choose_in(range, &fit))
        };
        found.ok_or(Errno::ENOSPC)
    }

    fn choose_in(&self, range: Span, fit: &Fit) -> Option<u64> {
        let range = Span::new(fit.first(range)?, range.last)?;
        self.free
            .overlapping(range.range())
            .filter_map(|hole| Span::from(hole.clone()).common(range))
            .find_map(|hole| fit.first(hole))
    }

    fn is_mapped(&self, span: Span) -> bool {
        let range = span.range();
        // What is neither free nor reserved is mapped.
        self.free.gaps(&range).any(|taken| self.reserved.gaps(&taken).next().is_some())
    }
}

/// What an automatic IOVA must be like.
struct Fit {
    bytes: u64,
    alignment: u64,
    /// Offset of the memory in its page, which the IOVA has too.
    offset: u64,
}

impl Fit {
    /// The first IOVA in `hole` that fits. A hole of one byte is none, as in the kernel.
    fn first(&self, hole: Span) -> Option<u64> {
        let start = hole.start.checked_add(self.alignment - 1)? & !(self.alignment - 1) | self.offset;
        (start < hole.last && hole.last - start >= self.bytes - 1).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = PAGE_SIZE;
    /// Well aligned memory.
    const BUFFER: u64 = 0x7f3e_8100_0000;

    fn span(start: u64, last: u64) -> Span {
        Span { start, last }
    }

    /// Lengths in pages with the IOVAs that a kernel gave for them, one after the other.
    fn check(space: &mut Space, address: u64, expected: &[(u64, u64)]) {
        for (pages, iova) in expected {
            assert_eq!(space.choose(pages * PAGE, address, 1), Ok(*iova), "{pages} pages");
            space.take(Span { start: *iova, last: iova + (pages * PAGE - 1) });
        }
    }

    #[test]
    fn automatic_iovas_are_those_of_a_kernel() {
        check(&mut Space::default(), BUFFER, &[(1, 0x1000), (1, 0x2000), (1, 0x3000), (1, 0x4000)]);
        check(
            &mut Space::default(),
            1 << 31,
            &[
                (1, 0x1000),
                (2, 0x2000),
                (3, 0x4000),
                (4, 0x8000),
                (5, 0x1_0000),
                (6, 0x1_8000),
                (7, 0x2_0000),
                (8, 0x2_8000),
                (9, 0x3_0000),
                (10, 0x4_0000),
            ],
        );
        let mut space = Space::default();
        assert_eq!(space.reserve(ReservedBy::NoOne, span(0x4000, 0x6_7fff)), Ok(()));
        check(&mut space, BUFFER, &[(1, 0x1000), (2, 0x2000), (3, 0x6_8000), (4, 0x6_c000), (5, 0x7_0000)]);

        let mut space = Space::default();
        assert_eq!(space.allow([200 * PAGE..=600 * PAGE - 1].into_iter().collect()), Ok(()));
        check(
            &mut space,
            BUFFER,
            &[(1, 0xc_8000), (2, 0xc_a000), (3, 0xc_c000), (4, 0xd_0000), (5, 0xd_8000)],
        );
    }

    /// Rows of bytes, address, alignment and what comes out in an empty space.
    #[test]
    fn alignment_comes_from_length_and_memory() {
        for (bytes, address, alignment, expected) in [
            (0, BUFFER, 1, Err(Errno::EOVERFLOW)),
            (u64::MAX / 2, BUFFER, 1, Err(Errno::EOVERFLOW)),
            (PAGE, BUFFER + 8, 1, Ok(0x1008)),
            (PAGE, BUFFER + 8, 16, Err(Errno::EINVAL)),
            (2048, BUFFER, PAGE, Err(Errno::EINVAL)),
            (PAGE, BUFFER + 2048, 2048, Ok(0x1800)),
            (4 << 20, BUFFER, 1, Ok(2 << 20)),
            (4 << 20, BUFFER + 0x8000, 1, Ok(0x8000)),
            (0x1_0000, 0, 1, Ok(0x1_0000)),
            (3, 1, 1, Ok(0x1001)),
            (u64::MAX / 2 - 1, 0, 1, Ok(2 << 20)),
        ] {
            assert_eq!(
                Space::default().choose(bytes, address, alignment),
                expected,
                "{bytes:#x} {address:#x}"
            );
        }
    }

    #[test]
    fn the_top_of_the_space_does_not_wrap() {
        let mut space = Space::default();
        assert_eq!(space.reserve(ReservedBy::NoOne, Span { start: 6, last: 0xff80_0000_0000_0005 }), Ok(()));
        let top = space.choose(5 * PAGE, BUFFER, 1);
        assert_eq!(top, Ok(0xff80_0000_0000_8000));
        assert_eq!(space.reserve(ReservedBy::NoOne, Span { start: 7, last: u64::MAX - 6 }), Ok(()));
        assert_eq!(space.choose(5 * PAGE, BUFFER, 1), Err(Errno::ENOSPC));
        assert_eq!(space.usable(), [span(0, 5), span(u64::MAX - 5, u64::MAX)]);
    }

    #[test]
    fn adjoining_allowed_ranges_are_one() {
        let mut space = Space::default();
        let allowed = [0x1_0000..=0x1_0fff, 0x1_1000..=0x1_1fff, 0x3_0000..=0x3_0fff].into_iter().collect();
        assert_eq!(space.allow(allowed), Ok(()));
        assert_eq!(space.choose(2 * PAGE, BUFFER, 1), Ok(0x1_0000));
        space.take(span(0x1_1000, 0x1_1fff));
        assert_eq!(space.choose(2 * PAGE, BUFFER, 1), Err(Errno::ENOSPC));
        assert_eq!(space.choose(PAGE, BUFFER, 1), Ok(0x1_0000));
        space.take(span(0x1_0000, 0x1_0fff));
        assert_eq!(space.choose(PAGE, BUFFER, 1), Ok(0x3_0000));
        assert_eq!(space.reserve(ReservedBy::NoOne, span(0x3_0fff, 0x4_0000)), Err(Errno::EADDRINUSE));
        assert_eq!(space.reserve(ReservedBy::NoOne, span(0x3_1000, 0x4_0000)), Ok(()));
        assert_eq!(space.allow([0x4_0000..=0x5_0000].into_iter().collect()), Err(Errno::EADDRINUSE));
        assert_eq!(space.choose(PAGE, BUFFER, 1), Ok(0x3_0000), "the old ranges stay");
        assert_eq!(space.allow(RangeInclusiveSet::new()), Ok(()));
        assert_eq!(space.choose(PAGE, BUFFER, 1), Ok(0x1000));
    }

    #[test]
    fn overlapping_reservations_go_with_their_owners() {
        let mut space = Space::default();
        let (a, b) = (ReservedBy::Device(1), ReservedBy::Device(2));
        assert_eq!(space.reserve(a, span(0, 99)), Ok(()));
        assert_eq!(space.reserve(b, span(50, 149)), Ok(()));
        assert_eq!(space.reserve(b, span(200, 299)), Ok(()));
        assert_eq!(space.check(span(40, 60)), Err(Errno::EINVAL));
        space.release(a, 0);
        assert_eq!(space.usable(), [span(0, 49), span(150, 199), span(300, u64::MAX)]);
        assert_eq!((space.check(span(0, 49)), space.check(span(0, 50))), (Ok(()), Err(Errno::EINVAL)));
        space.take(span(0, 9));
        assert_eq!(space.check(span(5, 20)), Err(Errno::EEXIST));
        assert_eq!(space.check(span(5, 60)), Err(Errno::EINVAL), "reserved comes first");
        assert_eq!(space.reserve(a, span(9, 12)), Err(Errno::EADDRINUSE));
        space.release(b, 1);
        assert_eq!(space.usable(), [span(0, 49), span(150, u64::MAX)], "the first of all stays");
    }
}
