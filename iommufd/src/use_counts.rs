//! How many users each page of something has, as intervals.
//!
//! A gigabyte that one user holds is one entry; entries of equal count that touch are one.

use rangemap::RangeInclusiveMap;

use crate::span::Span;

/// Counts over page numbers.
#[derive(Default)]
pub(crate) struct UseCounts {
    counts: RangeInclusiveMap<u64, u32>,
}

impl UseCounts {
    /// The parts of `pages` that have no user.
    pub(crate) fn unused(&self, pages: Span) -> Vec<Span> {
        self.counts.gaps(&pages.range()).map(Span::from).collect()
    }

    /// One user more for each page.
    pub(crate) fn add(&mut self, pages: Span) {
        let range = pages.range();
        if !self.counts.overlaps(&range) {
            self.counts.insert(range, 1);
            return;
        }
        let used = self.parts(pages);
        for unused in self.unused(pages) {
            self.counts.insert(unused.range(), 1);
        }
        for (part, count) in used {
            // Users are areas and pins, each of which takes memory: they cannot be 2^32.
            self.counts.insert(part.range(), count.saturating_add(1));
        }
    }

    /// One user less for each page that has any; says which have none now.
    pub(crate) fn remove(&mut self, pages: Span) -> Vec<Span> {
        let mut freed: Vec<Span> = Vec::new();
        for (part, count) in self.parts(pages) {
            if count > 1 {
                self.counts.insert(part.range(), count - 1);
                continue;
            }
            self.counts.remove(part.range());
            freed.push(part);
        }
        freed
    }

    /// The users of one page.
    pub(crate) fn at(&self, page: u64) -> u32 {
        self.counts.get(&page).copied().unwrap_or(0)
    }

    /// Whether no page has a user.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// What of `pages` is used, in order.
    fn parts(&self, pages: Span) -> Vec<(Span, u32)> {
        self.counts
            .overlapping(pages.range())
            .filter_map(|(range, count)| Some((Span::from(range.clone()).common(pages)?, *count)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64, last: u64) -> Span {
        Span { start, last }
    }

    #[test]
    fn a_page_is_free_when_its_last_user_goes() {
        let mut counts = UseCounts::default();
        counts.add(span(0, 9));
        counts.add(span(5, 14));
        assert_eq!((counts.at(4), counts.at(5), counts.at(10), counts.at(15)), (1, 2, 1, 0));
        assert_eq!(counts.unused(span(0, 20)), [span(15, 20)]);
        assert_eq!(counts.remove(span(0, 9)), [span(0, 4)]);
        assert_eq!(counts.remove(span(5, 14)), [span(5, 14)]);
        assert!(counts.is_empty());
    }

    #[test]
    fn the_last_page_number_is_a_page_like_others() {
        let mut counts = UseCounts::default();
        counts.add(span(u64::MAX, u64::MAX));
        counts.add(Span::ALL);
        assert_eq!(counts.remove(span(3, u64::MAX)), [span(3, u64::MAX - 1)]);
        assert_eq!((counts.at(2), counts.at(3), counts.at(u64::MAX)), (1, 0, 1));
    }

    #[test]
    fn who_has_no_users_loses_none() {
        let mut counts = UseCounts::default();
        counts.add(span(8, 9));
        assert_eq!(counts.remove(span(0, 7)), []);
        assert_eq!(counts.unused(span(0, 9)), [span(0, 7)]);
    }
}
