//! Leaves of the mock's page table, kept as the ranges they were mapped in.
//!
//! The table fills a range with the largest leaves that its alignment allows, from the front on. What
//! results are the largest aligned blocks inside the range, so which leaf holds an address follows from
//! the range alone: a gigabyte is one entry here, however many leaves it has, and cutting a range
//! between two leaves changes neither.

use std::collections::{BTreeMap, BTreeSet};

use crate::errno::{Errno, Result};
use crate::span::Span;

/// One mapped range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    last: u64,
    /// Where its first byte leads.
    physical: u64,
    /// Bit n set: leaves of 2^n bytes were allowed.
    sizes: u64,
}

impl Extent {
    /// The leaf at `address`, which lies in this range beginning at `start`.
    fn leaf(&self, start: u64, address: u64) -> Span {
        let misaligned = start ^ self.physical;
        let mut sizes = self.sizes;
        loop {
            let shift = 63 - sizes.leading_zeros();
            let mask = (1 << shift) - 1;
            sizes &= mask;
            let leaf = Span { start: address & !mask, last: address | mask };
            let inside = start <= leaf.start && leaf.last <= self.last;
            if sizes == 0 || (inside && misaligned & mask == 0) {
                return leaf;
            }
        }
    }
}

/// All leaves of one table, and which of them were written through.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    extents: BTreeMap<u64, Extent>,
    /// First addresses of dirty leaves.
    dirty: BTreeSet<u64>,
}

impl Leaves {
    /// Maps `span` to `physical` on in leaves of `sizes`; both are aligned to the smallest of them.
    ///
    /// # Errors
    /// `EINVAL` where something of `span` is mapped.
    pub(super) fn map(&mut self, span: Span, physical: u64, sizes: u64) -> Result<()> {
        if self.last_before(span.last).is_some_and(|(_, extent)| extent.last >= span.start) {
            return Err(Errno::EINVAL);
        }
        self.extents.insert(span.start, Extent { last: span.last, physical, sizes });
        Ok(())
    }

    /// Removes every leaf that touches `span`, and its dirt.
    pub(super) fn unmap(&mut self, span: Span) {
        let first = self.leaf(span.start).map_or(span.start, |leaf| leaf.start);
        let last = self.leaf(span.last).map_or(span.last, |leaf| leaf.last);
        self.cut(first);
        if let Some(after) = last.checked_add(1) {
            self.cut(after);
        }
        self.extents.extract_if(first..=last, |_, _| true).for_each(drop);
        self.dirty.extract_if(first..=last, |_| true).for_each(drop);
    }

    /// Makes a range begin at `leaf`, the first address of a leaf, if one has it inside.
    fn cut(&mut self, leaf: u64) {
        let Some((start, extent)) = self.holding(leaf) else { return };
        if start < leaf {
            self.extents.insert(start, Extent { last: leaf - 1, ..extent });
            let physical = extent.physical + (leaf - start);
            self.extents.insert(leaf, Extent { physical, ..extent });
        }
    }

    /// Where `address` leads, and up to which address the same holds without a break.
    pub(super) fn find(&self, address: u64) -> Option<(u64, u64)> {
        let (start, extent) = self.holding(address)?;
        Some((extent.physical + (address - start), extent.last))
    }

    /// The leaf that holds `address`.
    pub(super) fn leaf(&self, address: u64) -> Option<Span> {
        let (start, extent) = self.holding(address)?;
        Some(extent.leaf(start, address))
    }

    /// A write went through `address`. Nothing happens where nothing is mapped.
    pub(super) fn set_dirty(&mut self, address: u64) {
        if let Some(leaf) = self.leaf(address) {
            self.dirty.insert(leaf.start);
        }
    }

    /// Calls `report` with each dirty leaf that touches `span` from there on to its end, in order. The
    /// leaves are clean then, unless `keep`.
    pub(super) fn read_dirty(&mut self, span: Span, keep: bool, report: &mut dyn FnMut(Span)) {
        let mut from = self.leaf(span.start).map_or(span.start, |leaf| leaf.start);
        while let Some(&start) = self.dirty.range(from..=span.last).next() {
            let leaf = self.leaf(start).unwrap_or(Span { start, last: start });
            report(Span { start: start.max(span.start), last: leaf.last });
            if !keep {
                self.dirty.remove(&start);
            }
            let Some(next) = leaf.last.checked_add(1) else { break };
            from = next;
            if from > span.last {
                break;
            }
        }
    }

    /// Forgets what was written.
    pub(super) fn clean(&mut self) {
        self.dirty.clear();
    }

    fn last_before(&self, address: u64) -> Option<(u64, Extent)> {
        self.extents.range(..=address).next_back().map(|(start, extent)| (*start, *extent))
    }

    fn holding(&self, address: u64) -> Option<(u64, Extent)> {
        self.last_before(address).filter(|(_, extent)| address <= extent.last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every power of two from 2 KiB to 128 GiB.
    const ALL: u64 = (1 << 38) - (1 << 11);
    const SMALL: u64 = 1 << 11 | 1 << 12;
    const HUGE: u64 = 1 << 20 | 1 << 12;

    fn span(start: u64, bytes: u64) -> Span {
        Span::sized(start, bytes).unwrap()
    }

    /// The sizes of all leaves, found as the hardware's walk would meet them.
    fn sizes(leaves: &Leaves, span: Span) -> Vec<u64> {
        let mut at = span.start;
        let mut sizes = Vec::new();
        while at <= span.last {
            let leaf = leaves.leaf(at).unwrap();
            assert_eq!(leaf.start, at, "leaves follow each other");
            sizes.push(leaf.bytes());
            at = leaf.last + 1;
        }
        sizes
    }

    /// The rule in its own words: at each place the largest leaf that fits.
    fn greedy(mut at: u64, mut physical: u64, mut bytes: u64, allowed: u64) -> Vec<u64> {
        let mut sizes = Vec::new();
        while bytes > 0 {
            let size = (0..64)
                .rev()
                .map(|bit| 1u64 << bit)
                .find(|size| allowed & size != 0 && (at | physical).is_multiple_of(*size) && *size <= bytes)
                .unwrap();
            sizes.push(size);
            at += size;
            physical += size;
            bytes -= size;
        }
        sizes
    }

    #[test]
    fn leaves_are_as_large_as_they_can_be() {
        for (start, physical, bytes, allowed) in [
            (0x100_0000, 0x100_0000, 0x1000, ALL),
            (0x100_0000, 0x100_0800, 0x1000, ALL),
            (0x100_0800, 0x900_0800, 0x20_0000, ALL),
            (0x100_1000, 0x900_1000, 0x12_3800, ALL),
            (0x100_1000, 0x900_2000, 0x12_3000, ALL),
            (0x4000_0000, 0x1_4000_0000, 0x4000_0000, ALL),
            (0x4000_0000, 0x1_4020_0000, 0x3fff_f800, ALL),
            (0x100_0000, 0x100_0000, 0x10_1000, SMALL),
            (0x100_1000, 0x100_1000, 0x30_0000, HUGE),
            (0x100_1000, 0x100_2000, 0x30_0000, HUGE),
        ] {
            let mut leaves = Leaves::default();
            leaves.map(span(start, bytes), physical, allowed).unwrap();
            assert_eq!(
                sizes(&leaves, span(start, bytes)),
                greedy(start, physical, bytes, allowed),
                "{start:#x} {physical:#x} {bytes:#x}"
            );
        }
    }

    #[test]
    fn a_gigabyte_is_one_entry() {
        let mut leaves = Leaves::default();
        leaves.map(span(1 << 30, 1 << 30), 0x7000, ALL).unwrap();
        assert_eq!(leaves.extents.len(), 1);
        assert_eq!(leaves.leaf(1 << 30).unwrap().bytes(), 0x1000);
    }

    #[test]
    fn cutting_between_leaves_keeps_the_others() {
        let all = span(0x100_1000, 0x7_f000);
        let mut whole = Leaves::default();
        whole.map(all, 0x900_1000, ALL).unwrap();
        let mut at = all.start;
        while at < all.last {
            let cut = whole.leaf(at).unwrap();
            let mut leaves = Leaves::default();
            leaves.map(all, 0x900_1000, ALL).unwrap();
            leaves.unmap(cut);
            assert_eq!(leaves.find(cut.start), None);
            assert_eq!(leaves.find(cut.last), None);
            let mut other = all.start;
            while other < all.last {
                let leaf = whole.leaf(other).unwrap();
                if leaf != cut {
                    assert_eq!(leaves.leaf(other), Some(leaf), "{cut:x?} {other:#x}");
                    assert_eq!(
                        leaves.find(other).map(|found| found.0),
                        whole.find(other).map(|found| found.0)
                    );
                }
                other = leaf.last + 1;
            }
            at = cut.last + 1;
        }
    }

    #[test]
    fn a_cut_leaf_goes_whole() {
        let mut leaves = Leaves::default();
        leaves.map(span(0x100_0000, 0x4000), 0x200_0000, ALL).unwrap();
        leaves.unmap(span(0x100_1000, 0x800));
        assert_eq!(leaves.find(0x100_0000), None);
        assert_eq!(leaves.find(0x100_3800), None);
    }

    #[test]
    fn unmapping_reaches_over_ranges_and_holes() {
        let mut leaves = Leaves::default();
        for start in [0x100_0000, 0x100_1000, 0x100_4000] {
            leaves.map(span(start, 0x1000), start + 0x700_0000, ALL).unwrap();
        }
        leaves.unmap(span(0x100_1000, 0x10_0000));
        assert_eq!(leaves.find(0x100_0fff), Some((0x800_0fff, 0x100_0fff)));
        assert_eq!(leaves.extents.len(), 1);
        leaves.unmap(Span::ALL);
        assert!(leaves.extents.is_empty());
    }

    #[test]
    fn what_is_mapped_cannot_be_mapped() {
        let mut leaves = Leaves::default();
        leaves.map(span(0x100_1000, 0x2000), 0, ALL).unwrap();
        for (start, bytes, free) in [
            (0x100_0000, 0x1000, true),
            (0x100_0000, 0x1800, false),
            (0x100_2800, 0x1000, false),
            (0x100_1800, 0x800, false),
            (0x100_0000, 0x10000, false),
            (0x100_3000, 0x800, true),
        ] {
            let outcome = leaves.map(span(start, bytes), 0, ALL);
            assert_eq!(outcome.is_ok(), free, "{start:#x}");
        }
    }

    fn dirty(leaves: &mut Leaves, span: Span, keep: bool) -> Vec<Span> {
        let mut found = Vec::new();
        leaves.read_dirty(span, keep, &mut |range| found.push(range));
        found
    }

    #[test]
    fn a_write_makes_its_whole_leaf_dirty() {
        let mut leaves = Leaves::default();
        let all = span(0x100_0000, 0x3000);
        leaves.map(all, 0x100_0000, ALL).unwrap();
        leaves.set_dirty(0x100_1800);
        leaves.set_dirty(0x300_0000);
        assert_eq!(dirty(&mut leaves, all, true), [span(0x100_0000, 0x2000)]);
        assert_eq!(dirty(&mut leaves, span(0x100_1000, 0x800), true), [span(0x100_1000, 0x1000)]);
        assert_eq!(dirty(&mut leaves, span(0x100_2000, 0x1000), true), []);
        leaves.set_dirty(0x100_2000);
        assert_eq!(dirty(&mut leaves, all, true), [span(0x100_0000, 0x2000), span(0x100_2000, 0x1000)]);
        assert_eq!(dirty(&mut leaves, span(0x100_1800, 0x800), false), [span(0x100_1800, 0x800)]);
        assert_eq!(dirty(&mut leaves, all, false), [span(0x100_2000, 0x1000)]);
        assert_eq!(dirty(&mut leaves, all, false), []);
    }

    #[test]
    fn dirt_goes_with_its_leaf() {
        let mut leaves = Leaves::default();
        let all = span(0x100_0000, 0x3000);
        leaves.map(all, 0x100_0000, ALL).unwrap();
        leaves.set_dirty(0x100_0000);
        leaves.set_dirty(0x100_2000);
        leaves.unmap(span(0x100_0000, 0x2000));
        leaves.map(span(0x100_0000, 0x2000), 0x100_0000, ALL).unwrap();
        assert_eq!(dirty(&mut leaves, all, true), [span(0x100_2000, 0x1000)]);
        leaves.clean();
        assert_eq!(dirty(&mut leaves, Span::ALL, true), []);
    }

    /// The same table leaf by leaf: what the hardware's would be.
    #[derive(Default)]
    struct Naive(Vec<(Span, u64, bool)>);

    impl Naive {
        fn map(&mut self, span: Span, physical: u64, sizes: u64) -> bool {
            let free = !self.0.iter().any(|(leaf, ..)| leaf.meets(span));
            if free {
                let mut at = 0;
                for size in greedy(span.start, physical, span.bytes(), sizes) {
                    self.0.push((Span::sized(span.start + at, size).unwrap(), physical + at, false));
                    at += size;
                }
                self.0.sort_by_key(|(leaf, ..)| *leaf);
            }
            free
        }

        fn read_dirty(&mut self, span: Span, keep: bool) -> Vec<Span> {
            let hit = self.0.iter_mut().filter(|(leaf, _, dirty)| *dirty && leaf.meets(span));
            hit.map(|(leaf, _, dirty)| {
                *dirty = keep;
                Span { start: leaf.start.max(span.start), last: leaf.last }
            })
            .collect()
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Map { span: Span, physical: u64, sizes: u64 },
        Unmap(Span),
        Write(u64),
        Read { span: Span, keep: bool },
    }

    const GRANULE: u64 = 2048;
    const GRANULES: u64 = 64;

    fn spans() -> impl Strategy<Value = Span> {
        (0..GRANULES, 1..GRANULES).prop_map(|(start, count)| span(start * GRANULE, count * GRANULE))
    }

    fn steps() -> impl Strategy<Value = Step> {
        let sizes = prop_oneof![Just(ALL), Just(SMALL), Just(GRANULE | 1 << 13)];
        prop_oneof![
            3 => (spans(), 0..4 * GRANULES, sizes)
                .prop_map(|(span, at, sizes)| Step::Map { span, physical: at * GRANULE, sizes }),
            2 => spans().prop_map(Step::Unmap),
            3 => (0..2 * GRANULES * GRANULE).prop_map(Step::Write),
            2 => (spans(), any::<bool>()).prop_map(|(span, keep)| Step::Read { span, keep }),
        ]
    }

    proptest! {
        #[test]
        fn ranges_say_what_leaves_would(steps in prop::collection::vec(steps(), 1..40)) {
            let (mut leaves, mut naive) = (Leaves::default(), Naive::default());
            for step in steps {
                match step {
                    Step::Map { span, physical, sizes } => {
                        prop_assert_eq!(leaves.map(span, physical, sizes).is_ok(), naive.map(span, physical, sizes));
                    }
                    Step::Unmap(span) => {
                        leaves.unmap(span);
                        naive.0.retain(|(leaf, ..)| !leaf.meets(span));
                    }
                    Step::Write(at) => {
                        leaves.set_dirty(at);
                        let hit = naive.0.iter_mut().find(|(leaf, ..)| leaf.contains(at));
                        hit.into_iter().for_each(|(_, _, dirty)| *dirty = true);
                    }
                    Step::Read { span, keep } => {
                        prop_assert_eq!(dirty(&mut leaves, span, keep), naive.read_dirty(span, keep));
                    }
                }
                for at in (0..2 * GRANULES).map(|granule| granule * GRANULE + granule) {
                    let expected = naive.0.iter().find(|(leaf, ..)| leaf.contains(at));
                    prop_assert_eq!(leaves.leaf(at), expected.map(|(leaf, ..)| *leaf));
                    let place = expected.map(|(leaf, physical, _)| physical + (at - leaf.start));
                    prop_assert_eq!(leaves.find(at).map(|(place, _)| place), place);
                }
            }
        }
    }
}
